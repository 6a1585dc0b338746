//! A Rust client, broker and worker through real sockets, over each transport.

use std::time::{Duration, Instant};

use bytes::Bytes;
use forebay::api::{
    Broker, BrokerSettings, Client, ClientSettings, Job, JobResult, Kind, Outcome, RegisterSettings, Retry,
    Status, Submit, Want, Worker, WorkerSettings,
};

const SOON: Option<Duration> = Some(Duration::from_secs(20));
const MIB: usize = 1 << 20;

fn broker(listen: &str) -> Broker {
    let settings =
        BrokerSettings { listen: vec![listen.to_owned()], insecure: true, ..BrokerSettings::default() };
    Broker::start(settings).unwrap()
}

fn client(broker: &Broker) -> Client {
    Client::open(broker.endpoint(0), ClientSettings::default()).unwrap()
}

fn worker(broker: &Broker, queue: &str) -> Worker {
    let worker = Worker::open(broker.endpoint(0), WorkerSettings::default()).unwrap();
    worker.register(queue, RegisterSettings::default()).unwrap();
    worker
}

/// Answers jobs until the worker is stopped, on as many threads.
fn serve<'s>(scope: &'s std::thread::Scope<'s, '_>, worker: &'s Worker, threads: usize, work: fn(&Job)) {
    for _ in 0..threads {
        scope.spawn(move || {
            loop {
                match worker.receive(None) {
                    Ok(job) => work(&job),
                    Err(why) if why.status == Status::Drained => break,
                    Err(why) => panic!("{why:?}"),
                }
            }
        });
    }
}

fn echo(job: &Job) {
    for (name, value) in &job.headers().0 {
        job.set_header(name, value.clone()).unwrap();
    }
    job.complete_frames(job.body().clone()).unwrap();
}

/// Bytes that differ from place to place, so that a mix-up shows.
fn payload(len: usize) -> Bytes {
    (0..len).map(|i| (i * 31 + i / 251) as u8).collect::<Vec<_>>().into()
}

fn every_size(listen: &str) {
    let broker = broker(listen);
    let (client, worker) = (client(&broker), worker(&broker, "echo"));
    std::thread::scope(|scope| {
        serve(scope, &worker, 1, echo);
        for len in [0, 1, 33, 34, 4_096, 4_097, MIB, MIB + 1, 64 * MIB] {
            let sent = payload(len);
            let result = client.call(Submit::new("echo", sent.clone()), SOON).unwrap();
            assert_eq!(result.outcome(), Outcome::Done, "{len}: {result:?}");
            assert!(result.data() == sent, "{len} bytes came back as {}", result.data().len());
        }
        let failure = client.call(Submit::new("echo", payload(64 * MIB + 1)), SOON).unwrap_err();
        assert_eq!(failure.status, Status::TooLarge, "{failure}");
        assert!(failure.message.contains("67108865"), "{failure}");
        worker.stop();
    });
}

#[test]
fn every_size_over_ipc() {
    let folder = support::Folder::new();
    every_size(&folder.ipc("broker"));
}

#[test]
fn every_size_over_tcp() {
    every_size("tcp://127.0.0.1:*");
}

#[test]
fn every_size_within_a_process() {
    every_size("inproc://every-size");
}

#[test]
fn frames_and_headers_of_any_bytes() {
    let broker = broker("inproc://frames");
    let (client, worker) = (client(&broker), worker(&broker, "echo"));
    std::thread::scope(|scope| {
        serve(scope, &worker, 1, echo);
        let frames: Vec<Bytes> =
            (0..1_000).map(|i| payload(if i == 500 { 2 * MIB } else { i % 70 })).collect();
        let any: Vec<u8> = (0..=255).collect();
        let job = Submit::frames("echo", frames.clone()).header("any", any.clone()).header("größe", "");
        let result = client.call(job, SOON).unwrap();
        assert_eq!(result.body().0[..], frames);
        assert_eq!(result.header("any"), Some(&any[..]));
        assert_eq!(result.header("größe"), Some(&b""[..]));
        let too_many = Submit::frames("echo", vec![Bytes::new(); 1_025]);
        assert_eq!(client.call(too_many, SOON).unwrap_err().status, Status::TooLarge);
        worker.stop();
    });
}

#[test]
fn many_jobs_by_next_on_several_threads() {
    const JOBS: u64 = 20_000;
    let folder = support::Folder::new();
    let broker = broker(&folder.ipc("broker"));
    let (client, worker) = (client(&broker), worker(&broker, "echo"));
    std::thread::scope(|scope| {
        serve(scope, &worker, 4, echo);
        scope.spawn(|| {
            let mut sent = 0;
            while sent < JOBS {
                let jobs = (sent..JOBS.min(sent + 100))
                    .map(|tag| Submit::new("echo", tag.to_string()).tag(tag).want(Want::RESULT))
                    .collect();
                let taken = client.submit_many(jobs, SOON);
                assert_eq!(taken.failure, None);
                sent += taken.accepted as u64;
            }
        });
        let mut seen = vec![false; JOBS as usize];
        let mut results: Vec<JobResult> = Vec::new();
        for _ in 0..JOBS {
            if results.is_empty() {
                client.next_many(SOON, 500, &mut results).unwrap();
            }
            let result = results.pop().unwrap();
            assert_eq!((result.kind(), result.outcome()), (Kind::Result, Outcome::Done));
            assert_eq!(result.text(), result.tag().to_string());
            assert!(
                !std::mem::replace(&mut seen[result.tag() as usize], true),
                "{} came twice",
                result.tag()
            );
        }
        assert_eq!(client.next(Some(Duration::ZERO)).unwrap_err().status, Status::TimedOut);
        worker.stop();
    });
}

#[test]
fn submit_then_wait_in_any_order() {
    let broker = broker("inproc://wait");
    let (client, worker) = (client(&broker), worker(&broker, "echo"));
    let jobs = (0..10).map(|i| Submit::new("echo", i.to_string())).collect();
    let ids = client.submit_many(jobs, SOON).into_result().unwrap();
    assert_eq!(client.wait(ids[3], Some(Duration::ZERO)).unwrap_err().status, Status::TimedOut);
    assert_eq!(client.peek(ids[3], SOON).unwrap().outcome(), Outcome::Waiting);
    std::thread::scope(|scope| {
        serve(scope, &worker, 2, echo);
        assert_eq!(client.wait(ids[9], SOON).unwrap().text(), "9");
        let mut out = vec![None; 9];
        assert_eq!(client.wait_many(&ids[..9], 9, SOON, &mut out).unwrap(), 9);
        let texts: Vec<String> = out.into_iter().map(|result| result.unwrap().text()).collect();
        assert_eq!(texts, ["0", "1", "2", "3", "4", "5", "6", "7", "8"]);
        worker.stop();
    });
    let unknown = forebay::api::id_new().unwrap();
    assert_eq!(client.wait(unknown, SOON).unwrap_err().status, Status::NotFound);
}

#[test]
fn failures_are_told_whole() {
    let broker = broker("inproc://failures");
    let (client, worker) = (client(&broker), worker(&broker, "fails"));
    std::thread::scope(|scope| {
        serve(scope, &worker, 1, |job| {
            if job.payload() == b"fail" {
                job.fail(Retry::Never, "bad_input", "it is bad", "line 1\nline 2").unwrap();
            }
        });
        let result = client.call(Submit::new("fails", "fail"), SOON).unwrap();
        assert_eq!((result.outcome(), result.code()), (Outcome::Failed, "bad_input"));
        assert_eq!((result.message(), result.detail()), ("it is bad", "line 1\nline 2"));
        assert!(result.meta_json().contains("\"run_us\":"), "{}", result.meta_json());
        let mut once = Submit::new("fails", "drop");
        once.options.attempts = Some(1);
        let result = client.call(once, SOON).unwrap();
        assert_eq!((result.outcome(), result.code()), (Outcome::Failed, "abandoned"));
        worker.stop();
    });
}

#[test]
fn a_call_nobody_serves_expires_and_one_without_a_broker_is_unconfirmed() {
    let broker = broker("inproc://nobody");
    let client = client(&broker);
    client.ready(SOON).unwrap();
    let began = Instant::now();
    let result = client.call(Submit::new("nobody", "x"), Some(Duration::from_millis(100))).unwrap();
    assert_eq!(result.outcome(), Outcome::Expired);
    assert!(began.elapsed() < Duration::from_secs(2));
    let folder = support::Folder::new();
    let lonely =
        Client::open(Some(&folder.ipc("nobody")), ClientSettings { linger_ms: 0, ..Default::default() });
    let mut id = None;
    let failure = lonely
        .unwrap()
        .call_with_id(Submit::new("q", "x"), Some(Duration::from_millis(50)), &mut id)
        .unwrap_err();
    assert_eq!(failure.status, Status::Unconfirmed);
    assert!(id.is_some());
}

#[test]
fn progress_and_partial_results_come_before_the_result() {
    let broker = broker("inproc://partial");
    let (client, worker) = (client(&broker), worker(&broker, "parts"));
    std::thread::scope(|scope| {
        serve(scope, &worker, 1, |job| {
            job.progress(0.25, "a quarter");
            for i in 0..10 {
                job.send(format!("part {i}"), SOON).unwrap();
            }
            job.complete("all").unwrap();
        });
        client.submit(Submit::new("parts", "x").want(Want::ALL).tag(7), SOON).unwrap();
        let mut news = Vec::new();
        while news.last().is_none_or(|last: &JobResult| last.kind() != Kind::Result) {
            news.push(client.next(SOON).unwrap());
        }
        assert!(news.iter().all(|one| one.tag() == 7));
        let parts: Vec<String> =
            news.iter().filter(|one| one.kind() == Kind::Partial).map(JobResult::text).collect();
        assert_eq!(parts, (0..10).map(|i| format!("part {i}")).collect::<Vec<_>>());
        let progress = news.iter().find(|one| one.kind() == Kind::Progress).unwrap();
        assert_eq!((progress.progress(), progress.message()), (0.25, "a quarter"));
        assert_eq!(news[0].kind(), Kind::Accepted);
        assert_eq!(news.last().unwrap().text(), "all");
        worker.stop();
    });
}

#[test]
fn cancelling_reaches_the_inner_loop() {
    let broker = broker("inproc://cancel");
    let (client, worker) = (client(&broker), worker(&broker, "spins"));
    std::thread::scope(|scope| {
        serve(scope, &worker, 1, |job| {
            job.progress(0.0, "spinning");
            while job.stop().0 == 0 {
                std::thread::yield_now();
            }
            assert_eq!(job.complete("too late").unwrap_err().status, Status::LeaseLost);
        });
        let id = client.submit(Submit::new("spins", "x").want(Want::PROGRESS), SOON).unwrap();
        client.next(SOON).unwrap();
        client.cancel(id, "changed my mind", SOON).unwrap();
        assert_eq!(client.wait(id, SOON).unwrap().outcome(), Outcome::Cancelled);
        assert_eq!(client.cancel(id, "again", SOON).map_err(|why| why.status), Ok(()));
        worker.stop();
    });
}

#[test]
fn a_client_waits_for_workers() {
    let broker = broker("inproc://workers");
    let client = client(&broker);
    let late = client.wait_workers("echo", 1, Some(Duration::from_millis(50))).unwrap_err();
    assert_eq!(late.status, Status::TimedOut);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| client.wait_workers("echo", 2, SOON));
        let _workers = [worker(&broker, "echo"), worker(&broker, "echo")];
        waits.join().unwrap().unwrap();
    });
    let status = client.admin("status", &[], SOON).unwrap();
    assert!(status.text().starts_with('{'), "{}", status.text());
    assert!(client.stats().text().contains("\"accepted\":0"));
}

#[test]
fn an_interruption_ends_waits_now_or_the_next_one() {
    let broker = broker("inproc://interrupt");
    let (client, worker) = (client(&broker), worker(&broker, "idle"));
    client.ready(SOON).unwrap();
    client.interrupt();
    assert_eq!(client.next(None).unwrap_err().status, Status::Interrupted);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| worker.receive(None).map(drop));
        // Until the broker sees that somebody receives, nobody does.
        client.wait_workers("idle", 1, SOON).unwrap();
        worker.interrupt();
        assert_eq!(waits.join().unwrap().unwrap_err().status, Status::Interrupted);
    });
    let unconfirmed = std::thread::scope(|scope| {
        let call = scope.spawn(|| client.call(Submit::new("idle", "x"), None));
        while client.admin("status", &[], SOON).is_ok_and(|status| !status.text().contains("\"idle\"")) {}
        client.interrupt();
        call.join().unwrap().unwrap_err()
    });
    assert_eq!(unconfirmed.status, Status::Unconfirmed);
}

#[test]
fn draining_finishes_what_runs() {
    let broker = broker("inproc://drain");
    let (client, worker) = (client(&broker), worker(&broker, "echo"));
    let id = client.submit(Submit::new("echo", "x"), SOON).unwrap();
    let job = worker.receive(SOON).unwrap();
    assert_eq!(worker.drain(Some(Duration::from_millis(20))).unwrap_err().status, Status::Unconfirmed);
    assert_eq!(worker.receive(None).unwrap_err().status, Status::Drained);
    assert_eq!(job.hints().0, 1);
    job.complete("done").unwrap();
    worker.drain(SOON).unwrap();
    assert_eq!(client.wait(id, SOON).unwrap().text(), "done");
}

#[test]
fn a_single_thread_never_leases_a_second_job_behind_a_busy_first() {
    let broker = broker("inproc://single");
    let (client, busy) = (client(&broker), worker(&broker, "echo"));
    client.enqueue(Submit::new("echo", "first")).unwrap();
    let first = busy.receive(SOON).unwrap();
    client.enqueue(Submit::new("echo", "second")).unwrap();
    client.flush(SOON).unwrap();
    assert_eq!(busy.receive(Some(Duration::from_millis(50))).unwrap_err().status, Status::TimedOut);
    let other = worker(&broker, "echo");
    assert_eq!(other.receive(SOON).unwrap().payload(), b"second");
    first.complete("").unwrap();
}

#[test]
fn the_descriptors_follow_what_there_is() {
    fn is_readable(fd: i64, wait_ms: i32) -> bool {
        let mut item = libc::pollfd { fd: fd as i32, events: libc::POLLIN, revents: 0 };
        // SAFETY: one item, ours for the call.
        unsafe { libc::poll(&mut item, 1, wait_ms) == 1 }
    }
    let broker = broker("inproc://fd");
    let (client, worker) = (client(&broker), worker(&broker, "echo"));
    let (results, jobs) = (client.fd(), worker.fd());
    assert!(!is_readable(results, 0) && !is_readable(jobs, 0));
    client.enqueue(Submit::new("echo", "x").want(Want::RESULT)).unwrap();
    assert!(is_readable(jobs, 20_000));
    worker.receive(Some(Duration::ZERO)).unwrap().complete("y").unwrap();
    assert!(!is_readable(jobs, 0));
    assert!(is_readable(results, 20_000));
    assert_eq!(client.next(Some(Duration::ZERO)).unwrap().text(), "y");
    assert!(!is_readable(results, 0));
    worker.stop();
    assert!(is_readable(jobs, 20_000));
}

#[test]
fn handles_that_are_closed_say_so() {
    let broker = broker("inproc://closed");
    let (client, worker) = (client(&broker), worker(&broker, "echo"));
    client.enqueue(Submit::new("echo", "x")).unwrap();
    let job = worker.receive(SOON).unwrap();
    drop(worker);
    assert_eq!(job.stop().0, 2);
    assert_eq!(job.payload(), b"x");
    assert_eq!(job.complete("y").unwrap_err().status, Status::Closed);
}

#[test]
fn the_next_endpoint_of_a_list_is_tried() {
    let folder = support::Folder::new();
    let broker = broker(&folder.ipc("second"));
    let list = format!("{},{}", folder.ipc("first"), folder.ipc("second"));
    let client = Client::open(Some(&list), ClientSettings::default()).unwrap();
    client.ready(SOON).unwrap();
    drop(broker);
}

/// A broker that drains, stops and comes back as another finds its workers waiting: they do not take it for their own
/// end.
fn workers_outlive_a_broker_that_stops(listen: &str) {
    let first = broker(listen);
    let (client, worker) = (client(&first), worker(&first, "echo"));
    std::thread::scope(|scope| {
        serve(scope, &worker, 1, echo);
        assert_eq!(client.call(Submit::new("echo", "one"), SOON).unwrap().text(), "one");
        first.drain(SOON).unwrap();
        drop(first);
        let second = broker(listen);
        assert_eq!(client.call(Submit::new("echo", "two"), SOON).unwrap().text(), "two");
        worker.stop();
        drop(second);
    });
}

#[test]
fn workers_outlive_a_broker_that_stops_over_ipc() {
    let folder = support::Folder::new();
    workers_outlive_a_broker_that_stops(&folder.ipc("broker"));
}

#[test]
fn workers_outlive_a_broker_that_stops_within_a_process() {
    workers_outlive_a_broker_that_stops("inproc://outlive");
}

#[test]
fn a_worker_that_is_drained_by_name_ends() {
    let broker = broker("inproc://by-name");
    let client = client(&broker);
    let settings = WorkerSettings { name: "tired".into(), ..WorkerSettings::default() };
    let worker = Worker::open(broker.endpoint(0), settings).unwrap();
    worker.register("echo", RegisterSettings::default()).unwrap();
    client.wait_workers("echo", 1, SOON).unwrap();
    client.admin("worker.drain", &[("name".into(), "tired".into())], SOON).unwrap();
    assert_eq!(worker.receive(SOON).unwrap_err().status, Status::Drained);
}

#[test]
fn a_restarted_broker_gets_everything_again() {
    let folder = support::Folder::new();
    let listen = folder.ipc("broker");
    let first = broker(&listen);
    let (client, worker) = (client(&first), worker(&first, "echo"));
    let ids = client
        .submit_many((0..3).map(|i| Submit::new("echo", i.to_string())).collect(), SOON)
        .into_result()
        .unwrap();
    let job = worker.receive(SOON).unwrap();
    drop(first);
    let second = broker(&listen);
    let mut answer = job.payload().to_vec();
    answer.push(b'!');
    job.complete(answer).unwrap();
    std::thread::scope(|scope| {
        serve(scope, &worker, 1, |job| {
            let mut answer = job.payload().to_vec();
            answer.push(b'!');
            job.complete(answer).unwrap();
        });
        for (i, id) in ids.iter().enumerate() {
            let result = client.wait(*id, SOON).unwrap();
            assert_eq!((result.text(), result.attempt()), (format!("{i}!"), 1), "nothing ran twice");
        }
        worker.stop();
    });
    drop(second);
}
