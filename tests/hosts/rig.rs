//! What the tests of plugins share: the installed binary, plugins built for a test, a host, and jobs for it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::{Broker, Finished, Folder, Process, SOON, command, eventually, prefix, run};

/// The binary that is installed in the prefix, beside the library.
pub(crate) fn forebay(arguments: &[&str]) -> Command {
    let mut command = command(prefix!().root().join("bin/forebay"));
    command.args(arguments);
    command
}

/// `tests/c/odd_plugin.c`, linked to the library, as a shared object of this name.
#[track_caller]
pub(crate) fn odd(folder: &Folder, name: &str, flags: &[&str]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/odd_plugin.c");
    let object = folder.join(&format!("{name}.so"));
    let flags: Vec<&str> =
        ["-D_GNU_SOURCE", "-std=c11", "-Wall", "-Wextra", "-Werror", "-g", "-shared", "-fPIC"]
            .into_iter()
            .chain(flags.iter().copied())
            .collect();
    prefix!().cc(&flags, &source, &object);
    object
}

/// What their Makefile builds of the plugins of examples-c when asked for these, in a copy of the folder.
#[track_caller]
pub(crate) fn examples(targets: &[&str]) -> Folder {
    let folder = Folder::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples-c/plugins");
    for entry in std::fs::read_dir(source).expect("a folder").flatten() {
        let name = entry.file_name().into_string().expect("UTF-8");
        if name == "Makefile" || name.ends_with(".c") {
            std::fs::copy(entry.path(), folder.join(&name)).expect("a copy");
        }
    }
    let mut make = command("make");
    make.env_remove("MAKEFLAGS").arg("-C").arg(folder.path()).env("CFLAGS", "-Werror").args(targets);
    run(make.arg(format!("PREFIX={}", prefix!().root().display())), SOON * 2).success();
    folder
}

/// A worker host; when dropped it is killed, and its slots drain.
pub(crate) struct Host {
    pub(crate) process: Process,
}

impl Host {
    /// Starts one.
    #[track_caller]
    pub(crate) fn start(broker: &Broker, arguments: &[&str]) -> Host {
        let mut command = forebay(&["worker"]);
        command.args(arguments).env("FOREBAY_BROKER", broker.endpoint());
        Host { process: Process::start(&mut command) }
    }

    /// Its line once all slots are ready.
    #[track_caller]
    pub(crate) fn ready(&self) -> String {
        self.process.line_where("N slots serve QUEUES", SOON, |line| {
            line.contains(" slots serve ") || line.starts_with("1 slot serves ")
        })
    }

    /// SIGTERM, to which it ends with 0.
    #[track_caller]
    pub(crate) fn ends_well(self) -> Finished {
        self.process.stop(SOON).success()
    }
}

/// Calls a queue and gives how that ended.
#[track_caller]
pub(crate) fn call(broker: &Broker, queue: &str, data: &str) -> Finished {
    run(&mut broker.cli(&["call", queue, "--data", data]), SOON)
}

/// Submits jobs and gives their ids.
#[track_caller]
pub(crate) fn submit(broker: &Broker, queue: &str, data: &str, count: usize) -> Vec<String> {
    let submit = || run(&mut broker.cli(&["submit", queue, "--data", data]), SOON).success().text();
    (0..count).map(|_| submit().trim().to_owned()).collect()
}

/// Submits one job by these arguments and gives its id.
#[track_caller]
pub(crate) fn submit_with(broker: &Broker, arguments: &[&str]) -> String {
    run(broker.cli(&["submit"]).args(arguments), SOON).success().text().trim().to_owned()
}

/// What was seen of the last attempt at a job, once that says something of `part`.
#[track_caller]
pub(crate) fn evidence(broker: &Broker, id: &str, part: &str) -> String {
    eventually("evidence", SOON, || {
        let job = run(&mut broker.cli(&["job", id, "--json"]), SOON).success().json();
        let seen = job["history"].as_array()?.last()?["evidence"].as_str()?.to_owned();
        seen.contains(part).then_some(seen)
    })
}

/// Every fact of what an attempt used is there.
#[track_caller]
pub(crate) fn assert_used(meta: &Value) {
    let fact = |name: &str| meta[name].as_str().and_then(|text| text.parse::<u64>().ok());
    for name in ["run_us", "cpu_us", "page_faults", "page_faults_disk", "switches", "switches_forced"] {
        assert!(fact(name).is_some(), "no {name} in {meta}");
    }
    assert!(fact("max_rss_bytes").is_some_and(|bytes| bytes > 100_000), "{meta}");
}

/// Waits for the result of a job.
#[track_caller]
pub(crate) fn result(broker: &Broker, id: &str) -> Finished {
    run(&mut broker.cli(&["wait", id]), SOON)
}

/// What runs, by its worker's process id.
#[track_caller]
pub(crate) fn running(broker: &Broker) -> Vec<u64> {
    let said = run(&mut broker.cli(&["workers", "--json"]), SOON).success().json();
    let workers = said["workers"].as_array().cloned().unwrap_or_default();
    let jobs = |worker: &Value| worker["jobs"].as_array().map_or(0, Vec::len);
    let pid = |worker: &Value| worker["pid"].as_u64().unwrap_or_default();
    workers.iter().flat_map(|worker| std::iter::repeat_n(pid(worker), jobs(worker))).collect()
}

/// Waits until so many jobs run.
#[track_caller]
pub(crate) fn wait_until_running(broker: &Broker, count: usize) -> Vec<u64> {
    eventually("the jobs to run", SOON, || Some(running(broker)).filter(|pids| pids.len() == count))
}

/// How many workers are connected.
#[track_caller]
pub(crate) fn workers(broker: &Broker) -> usize {
    let said = run(&mut broker.cli(&["workers", "--json"]), SOON).success().json();
    said["workers"].as_array().map_or(0, Vec::len)
}
