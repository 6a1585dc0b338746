//! Brokers come and go under clients and workers that go on working: every job comes to its end, once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use forebay::api::{
    Broker, BrokerSettings, Client, ClientSettings, Kind, Outcome, RegisterSettings, Status, Submit, Want,
    Worker, WorkerSettings,
};

const SOON: Option<Duration> = Some(Duration::from_secs(30));
/// How long each broker lives: long enough for sessions to open, short enough for several lives.
const LIFE: Duration = Duration::from_millis(300);
const LIVES: usize = 6;

fn broker(listen: &str) -> Broker {
    let settings =
        BrokerSettings { listen: vec![listen.to_owned()], reattach_ms: 100, ..BrokerSettings::default() };
    Broker::start(settings).unwrap()
}

fn echo(worker: &Worker) {
    loop {
        match worker.receive(None) {
            // An answer that comes too late is no fault here: the job has gone to another attempt.
            Ok(job) => drop(job.complete_frames(job.body().clone())),
            Err(why) if why.status == Status::Drained => return,
            Err(why) => panic!("{why:?}"),
        }
    }
}

/// Brokers, one after the other; every other one drains before it stops. The last one, told by `is_last`, stays until
/// `is_done`.
fn lives(listen: &str, is_last: &AtomicBool, is_done: &AtomicBool) {
    for life in 0.. {
        let broker = broker(listen);
        if life >= LIVES {
            is_last.store(true, Ordering::SeqCst);
            while !is_done.load(Ordering::SeqCst) {
                let _ = broker.wait(Some(Duration::from_millis(10)));
            }
            return;
        }
        assert_eq!(broker.wait(Some(LIFE)).unwrap_err().status, Status::TimedOut);
        if life % 2 == 1 {
            broker.drain(SOON).unwrap();
        }
    }
}

#[test]
fn calls_outlive_their_brokers() {
    let folder = support::Folder::new();
    let listen = folder.ipc("broker");
    let client = Client::open(Some(&listen), ClientSettings::default()).unwrap();
    let worker = Worker::open(Some(&listen), WorkerSettings::default()).unwrap();
    worker.register("echo", RegisterSettings::default()).unwrap();
    let (is_last, is_done) = (AtomicBool::new(false), AtomicBool::new(false));
    let calls = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| echo(&worker));
        }
        let brokers = scope.spawn(|| lives(&listen, &is_last, &is_done));
        let callers: Vec<_> = (0..4)
            .map(|caller| {
                let (client, calls, is_last) = (&client, &calls, &is_last);
                scope.spawn(move || {
                    let mut n = 0;
                    while !is_last.load(Ordering::SeqCst) {
                        let text = format!("{caller}/{n}");
                        let result = match client.call(Submit::new("echo", text.clone()), SOON) {
                            Ok(result) => result,
                            // A broker that is about to stop refuses; the next one will not.
                            Err(why) if why.is_retryable() => continue,
                            Err(why) => panic!("{why:?}"),
                        };
                        assert_eq!((result.outcome(), result.text()), (Outcome::Done, text), "{result:?}");
                        calls.fetch_add(1, Ordering::SeqCst);
                        n += 1;
                    }
                })
            })
            .collect();
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        is_done.store(true, Ordering::SeqCst);
        brokers.join().unwrap();
        worker.stop();
    });
    assert!(calls.load(Ordering::SeqCst) > 1_000, "{calls:?}");
}

#[test]
fn enqueued_jobs_outlive_their_brokers_and_come_back_once() {
    const JOBS: u64 = 10_000;
    let folder = support::Folder::new();
    let listen = folder.ipc("broker");
    let client = Client::open(Some(&listen), ClientSettings::default()).unwrap();
    let worker = Worker::open(Some(&listen), WorkerSettings::default()).unwrap();
    worker.register("echo", RegisterSettings::default()).unwrap();
    let (is_last, is_done) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| echo(&worker));
        }
        let brokers = scope.spawn(|| lives(&listen, &is_last, &is_done));
        scope.spawn(|| {
            let mut n = 0;
            while n < JOBS {
                let job = Submit::new("echo", n.to_string()).tag(n).want(Want::RESULT | Want::REFUSED);
                match client.submit(job, SOON) {
                    Ok(_) => n += 1,
                    Err(why) if why.is_retryable() => {}
                    Err(why) => panic!("{why:?}"),
                }
            }
        });
        let mut seen = vec![false; JOBS as usize];
        let mut left = JOBS;
        while left > 0 {
            let news = client.next(SOON).unwrap();
            if news.kind() == Kind::Refused {
                continue;
            }
            assert_eq!((news.outcome(), news.text()), (Outcome::Done, news.tag().to_string()), "{news:?}");
            assert!(!std::mem::replace(&mut seen[news.tag() as usize], true), "{} came twice", news.tag());
            left -= 1;
        }
        is_done.store(true, Ordering::SeqCst);
        brokers.join().unwrap();
        worker.stop();
    });
}
