//! Durable jobs: what was acknowledged is there after kill -9, and after a disk was full.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use support::{
    Broker, Client, Finished, Folder, Process, SOON, Stage, Worker, command, eventually, ms_between, now_us,
    run,
};

use crate::bench::pairs::{Middle, Pairs};
use crate::claim;

/// Jobs of the claim with two kills: as claimed in an optimised build, fewer otherwise, so that a plain `cargo test`
/// stays short.
const JOBS: usize = if cfg!(debug_assertions) { 3_000 } else { 10_000 };
/// Submitted when the broker is killed first; results there when it is killed again.
const FIRST_KILL: usize = JOBS / 10 * 4;
const SECOND_KILL: usize = JOBS / 10 * 3;

/// Jobs of the recovery claim, at full size and in a plain `cargo test`, and the bytes of each.
const KEPT: u64 = 1_000_000;
const KEPT_SHORTER: u64 = 20_000;
const KEPT_LEN: u64 = 1_024;
const RECOVERY_MS_MAX: f64 = 5_000.0;

/// How long a worker may take to come back to a restarted broker before its job goes to another: longer than usual, so
/// that a busy machine makes no second attempt.
const REATTACH: [&str; 2] = ["--reattach-ms", "5000"];

/// A stage whose broker keeps jobs in `folder`.
fn stage_on(folder: &Folder) -> Stage {
    let store = folder.join("store");
    let [option, value] = REATTACH;
    support::stage!(&["--store", store.to_str().expect("UTF-8"), option, value])
}

/// The jobs that a client was told are accepted, by number.
fn accepted(client: &Client) -> BTreeSet<usize> {
    let text = client.process.stdout();
    let number = |line: &str| line.strip_prefix("accepted ")?.split(' ').next()?.parse().ok();
    text.lines().filter_map(number).collect()
}

/// 10,000 durable jobs from a C client, the broker killed with -9 while they are submitted and again while they run:
/// every one that got an OK ends DONE.
#[test]
fn durable_jobs_outlive_the_broker() {
    let folder = Folder::new();
    let mut stage = stage_on(&folder);
    let mut client = stage.client();
    for number in 0..FIRST_KILL / 2 {
        client.enqueue("work", &format!("echo {number}"));
    }
    eventually("acceptances", SOON, || (!accepted(&client).is_empty()).then_some(()));
    for number in FIRST_KILL / 2..FIRST_KILL {
        client.enqueue("work", &format!("echo {number}"));
    }
    stage.broker.kill();
    let before = accepted(&client).len();
    stage.broker.restart();
    for number in FIRST_KILL..JOBS {
        client.enqueue("work", &format!("echo {number}"));
    }
    let workers: [Worker; 2] = std::array::from_fn(|_| stage.worker_unawaited("work"));
    eventually("results", SOON * 2, || (client.results() >= SECOND_KILL).then_some(()));
    stage.broker.kill();
    let results = client.results();
    stage.broker.restart();
    eventually("all results", SOON * 4, || (client.results() >= JOBS - 1).then_some(()));

    let accepted = accepted(&client);
    let right = accepted.iter().filter(|&&number| {
        let ended = client.result(number);
        ended.outcome == "DONE" && ended.data == number.to_string()
    });
    let right = right.count();
    let executions: usize = workers.iter().map(|worker| worker.starts().len()).sum();
    claim(
        "durable_jobs_outlive_the_broker",
        format!(
            "{right} DONE of {} acknowledged; killed with {before} acknowledged, and with {results} ended; {executions} executions",
            accepted.len()
        ),
        format!("{JOBS} of {JOBS}"),
    );
    assert_eq!((right, accepted.len()), (JOBS, JOBS));
    client.finish();
    assert_eq!(stage.status()["jobs"], 0);
}

/// A result that was finished while the broker was down reaches its client; the history shows one attempt.
#[test]
fn result_while_the_broker_is_down() {
    let folder = Folder::new();
    let mut stage = stage_on(&folder);
    let mut client = stage.client();
    let mut holder = stage.worker("work", 1);
    let (number, id) = client.submit("work", "hold on");
    holder.wait_start(&id);
    let other = stage.worker("work", 2);
    stage.broker.kill();
    holder.let_go();
    let answered = format!(" {id} OK");
    holder
        .0
        .line_where("its answer", SOON, |line| line.starts_with("answered ") && line.ends_with(&answered));
    stage.broker.restart();
    let ended = client.result(number);
    let job: serde_json::Value =
        serde_json::from_str(&stage.cli(&["job", &id, "--json"])).expect("the job's history");
    let history = job["history"].as_array().expect("attempts");
    claim(
        "result_while_the_broker_is_down",
        format!(
            "{} with attempt {}, {} in the history: {}",
            ended.outcome,
            ended.attempt,
            history.len(),
            history[0]["how"]
        ),
        "DONE, 1 attempt",
    );
    assert_eq!((ended.outcome.as_str(), ended.data.as_str(), ended.attempt), ("DONE", "on", 1));
    assert_eq!((history.len(), history[0]["how"].as_str()), (1, Some("done")));
    assert!(other.starts().is_empty());
    client.finish();
}

/// An id as an application makes it: a UUID of version 7 of a time so many hours from now.
fn id_of(hours: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64;
    let text = format!("{:012x}", now + hours * 3_600_000);
    format!("{}-{}-7abc-8def-0123456789ab", &text[..8], &text[8..])
}

/// An application's id again after the restart: same content is the same job, other content a conflict; ids of yesterday
/// and of tomorrow are refused by name.
#[test]
fn ids_after_a_restart() {
    let folder = Folder::new();
    let mut stage = stage_on(&folder);
    let worker = stage.worker("work", 1);
    let submit = |stage: &Stage, id: &str, data: &str| -> Finished {
        run(&mut stage.broker.cli(&["submit", "work", "--id", id, "--data", data]), SOON)
    };
    let (id, waiting) = (id_of(0), id_of(-1));
    submit(&stage, &id, "echo once").success();
    assert_eq!(stage.cli(&["wait", &id]), "once");
    // Its result was acknowledged: what is left of it is that it must not run again.
    let mut worker_before = worker;
    worker_before.0.kill();
    submit(&stage, &waiting, "echo later").success();
    stage.broker.kill();
    stage.broker.restart();
    let worker = stage.worker("work", 1);
    let again = submit(&stage, &id, "echo once").success();
    assert_eq!(again.text().trim(), id);
    submit(&stage, &waiting, "echo later").success();
    assert_eq!(stage.cli(&["wait", &waiting]), "later");
    let refusals = [
        (id.clone(), "echo other", "ERR_CONFLICT"),
        (waiting.clone(), "echo other", "ERR_CONFLICT"),
        (id_of(-25), "echo once", "ERR_TOO_OLD"),
        (id_of(24), "echo once", "ERR_ARGUMENT"),
    ];
    let named = refusals.iter().filter(|(id, data, name)| {
        let refused = submit(&stage, id, data);
        !refused.status.success() && refused.error_text().contains(name)
    });
    let named = named.count();
    let executions = worker_before.wait_starts(1).len() + worker.wait_starts(1).len();
    claim(
        "ids_after_a_restart",
        format!("{executions} executions of 2 jobs submitted twice, {named} refusals by name"),
        format!("2 executions, {} refusals", refusals.len()),
    );
    assert_eq!((executions, named), (2, refusals.len()));
}

/// A second broker on the store is refused, and the first one undisturbed.
#[test]
fn second_broker_on_the_store() {
    let folder = Folder::new();
    let stage = stage_on(&folder);
    let mut client = stage.client();
    let (first, _) = client.submit("work", "echo first");
    let store = folder.join("store");
    let mut second = command(support::binary!());
    second.args(["broker", "--listen", &folder.ipc("second"), "--store"]).arg(&store);
    let said = run(&mut second, SOON).code(4).error_text();
    let (then, _) = client.submit("work", "echo then");
    let _worker = stage.worker("work", 1);
    let served = [first, then].map(|number| client.result(number).data);
    claim(
        "second_broker_on_the_store",
        format!("refused: {}; the first served {}", said.trim(), served.join(" and ")),
        "refused by name, the first undisturbed",
    );
    assert!(said.contains("ERR_IN_USE") && said.contains("--memory"), "{said}");
    assert_eq!(served, ["first", "then"]);
    client.finish();
}

/// A disk of its own for a broker: a small file system in memory that only the broker's process sees, half of it taken
/// by a file that can be removed.
struct SmallDisk {
    folder: Folder,
}

impl SmallDisk {
    const LEN_MIB: u64 = 24;
    const BALLAST_MIB: u64 = 12;

    /// `None`, said aloud, where a user may not mount one.
    fn new() -> Option<SmallDisk> {
        let probe = command("unshare").args(["-rm", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
        if !probe.is_ok_and(|probe| probe.status.success()) {
            assert!(std::env::var_os("CI").is_none(), "CI must be able to mount a tmpfs in a namespace");
            eprintln!("SKIPPED disk_full: `unshare -rm mount -t tmpfs` is not permitted here");
            return None;
        }
        let folder = Folder::new();
        std::fs::create_dir(folder.join("disk")).expect("a folder");
        Some(SmallDisk { folder })
    }

    /// A program that runs `forebay` with its arguments where the disk is.
    fn wrapper(&self) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let (len, ballast, disk) = (Self::LEN_MIB, Self::BALLAST_MIB, self.folder.join("disk"));
        let script = format!(
            "#!/bin/sh\nexec unshare -rm sh -c 'mount -t tmpfs -o size={len}m none {disk} && head -c {ballast}M /dev/zero >{disk}/ballast && \
             exec \"$0\" \"$@\"' '{forebay}' \"$@\"\n",
            disk = disk.display(),
            forebay = support::binary!().display()
        );
        let file = self.folder.join("forebay");
        std::fs::write(&file, script).expect("a script");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("its mode");
        file
    }

    /// The disk as the broker's process sees it.
    fn seen_by(&self, broker: u32) -> PathBuf {
        let disk = self.folder.join("disk");
        Path::new("/proc")
            .join(broker.to_string())
            .join("root")
            .join(disk.strip_prefix("/").expect("absolute"))
    }
}

/// The disk is full: submissions are refused by name, what runs finishes; with space again it accepts again, and nothing is
/// lost.
#[test]
fn disk_full() {
    let Some(disk) = SmallDisk::new() else { return };
    let store = disk.folder.join("disk").join("store");
    // Small segments, so that a small disk is a store of many.
    let arguments = ["--store", store.to_str().expect("UTF-8"), "--store-max", "16Mi"];
    let mut stage = Stage::new(support::prefix!(), Broker::start_with(&disk.wrapper(), &arguments));
    let payload = disk.folder.join("payload");
    std::fs::write(&payload, [b"echo small ".as_slice(), &vec![b' '; 600 << 10]].concat()).expect("a file");
    let mut client = stage.client();
    let mut holder = stage.worker("held", 1);
    let (held, id) = client.submit("held", "hold on");
    holder.wait_start(&id);
    let submit = |stage: &Stage| {
        let file = payload.to_str().expect("UTF-8");
        run(&mut own_cli(stage, &["submit", "work", file]), SOON)
    };
    let mut ids = Vec::new();
    let refused = loop {
        let submitted = submit(&stage);
        if !submitted.status.success() {
            break submitted.code(5).error_text();
        }
        ids.push(submitted.text().trim().to_owned());
        assert!(ids.len() < 100, "24 MiB hold no such number of jobs");
    };
    holder.let_go();
    let finished = client.result(held);
    let seen = disk.seen_by(stage.broker.process().pid());
    std::fs::remove_file(seen.join("ballast")).expect("space again");
    eventually("a job taken again", SOON, || {
        let submitted = submit(&stage);
        submitted.status.success().then(|| ids.push(submitted.text().trim().to_owned()))
    });
    let _worker: Process = Process::start(stage.program("claims_worker").arg("work"));
    let kept = ids
        .iter()
        .filter(|id| run(&mut own_cli(&stage, &["wait", id]), SOON).success().text().trim() == "small")
        .count();
    claim(
        "disk_full",
        format!(
            "refused with \"{}\", the running job ended {}, {kept} of {} jobs kept",
            refused.trim(),
            finished.outcome,
            ids.len()
        ),
        "ERR_STORE_FULL, DONE, all",
    );
    assert!(refused.contains("ERR_STORE_FULL"), "{refused}");
    assert_eq!((finished.outcome.as_str(), kept), ("DONE", ids.len()));
    client.finish();
}

/// A command of the binary itself: the stage's is the wrapper that mounts a disk.
fn own_cli(stage: &Stage, arguments: &[&str]) -> std::process::Command {
    let mut cli = command(support::binary!());
    cli.args(arguments).env("FOREBAY_BROKER", stage.broker.endpoint());
    cli
}

/// A broker starts on so many waiting jobs of 1 KiB: how long until the first is begun, and what memory it takes beside
/// the payloads.
#[test]
fn recovery() {
    let is_claimed = std::env::var_os("FOREBAY_BENCH_ASSERT").is_some_and(|value| value == "1");
    let jobs = if is_claimed { KEPT } else { KEPT_SHORTER };
    let folder = Folder::new();
    let mut stage = stage_on(&folder);
    let mut fill = stage.program("claims_fill");
    run(fill.args(["work", &jobs.to_string(), &KEPT_LEN.to_string()]), SOON * 10).success();
    stage.broker.kill();
    let worker = stage.worker_unawaited("work");
    let began_us = now_us();
    stage.broker.restart();
    let first = eventually("the first job begun", SOON * 2, || worker.starts().into_iter().next());
    let ms = ms_between(began_us, first.at_us);
    let pid = stage.broker.process().pid();
    let beyond = memory_of(pid, "VmRSS").saturating_sub(jobs * KEPT_LEN) / jobs;
    let peak = memory_of(pid, "VmHWM").saturating_sub(jobs * KEPT_LEN) / jobs;
    claim(
        "recovery",
        format!(
            "{jobs} jobs: first begun after {ms:.0} ms; {beyond} bytes a job beyond the payload, {peak} at the peak"
        ),
        format!("{RECOVERY_MS_MAX} ms for {KEPT} jobs, when FOREBAY_BENCH_ASSERT is 1"),
    );
    assert!(!is_claimed || ms <= RECOVERY_MS_MAX);
}

/// Bytes of a process's memory, as /proc names them.
fn memory_of(pid: u32, field: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).expect("the field");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

/// Durable beside volatile jobs of 1 KiB in one run, with what the store wrote for each.
#[test]
fn durable_beside_volatile() {
    let is_asserted = std::env::var_os("FOREBAY_BENCH_ASSERT").is_some_and(|value| value == "1");
    let (rounds, time) = if is_asserted { ("7", "1s") } else { ("3", "50ms") };
    let mut bench = command(support::binary!());
    bench.args(["bench", "--durable", "--json", "--size", "1k", "--in-flight", "100,1000"]);
    bench.args(["--rounds", rounds, "--time", time]);
    let pairs = Pairs::read(&run(&mut bench, SOON * 4).success().text());
    for pairs in &pairs {
        let Middle { median, min, max } = pairs.middle("ratio");
        let (syncs, bytes) = (pairs.middle("syncs_per_job").median, pairs.middle("bytes_per_job").median);
        claim(
            "durable_beside_volatile",
            format!(
                "{} in flight: ratio {median:.2} ({min:.2} to {max:.2}), {syncs:.3} syncs and {bytes:.0} bytes a job",
                pairs.in_flight
            ),
            "payload and result written, fewer syncs than jobs",
        );
        // Each job's payload and result were written, and jobs in flight together share a sync.
        assert!(bytes >= 2.0 * 1_024.0 && syncs > 0.0 && syncs < 1.0);
    }
    assert_eq!(pairs.len(), 2);
}
