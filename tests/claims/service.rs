//! `forebay run` under load: its slots are changed, its plugin is replaced, and it is sent home.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Folder, Process, SOON, command, eventually, json_lines, prefix, run};

use crate::claim;

/// A run of the plugin in tests/c, in a folder of its own.
struct Service {
    folder: Folder,
    process: Process,
}

impl Service {
    #[track_caller]
    fn start(slots: usize, store: &str) -> Service {
        let folder = Folder::new();
        plugin(&folder, "");
        let text = format!(
            "[run]\ncontrol = 'run.sock'\n{store}\n[[workers]]\nload = 'claims.so'\nslots = {slots}\n",
            store = store.replace("FOLDER", &folder.path().display().to_string())
        );
        let text = text.replace("LISTEN", &folder.ipc("broker.ipc"));
        std::fs::write(folder.join("forebay.toml"), text).expect("a file");
        let mut command = forebay(&folder, &["run", "--config"]);
        let process = Process::start(command.arg(folder.join("forebay.toml")));
        process.line_with("ready at ipc://", SOON);
        Service { folder, process }
    }

    fn forebay(&self, arguments: &[&str]) -> Command {
        forebay(&self.folder, arguments)
    }

    /// Has so many jobs executed, and gives their results.
    #[track_caller]
    fn load(&self, payload: &str, count: usize, in_flight: usize) -> Vec<Value> {
        let lines = self.folder.join(&format!("lines-{payload}"));
        std::fs::write(&lines, vec![payload; count].join("\n")).expect("a file");
        let in_flight = in_flight.to_string();
        let mut asked = self.forebay(&["call", "claims", "--lines", "--json", "--in-flight", &in_flight]);
        json_lines(&run(asked.arg(&lines), SOON * 4).success().text())
    }

    /// Jobs that ended DONE until now.
    #[track_caller]
    fn done(&self) -> f64 {
        let said = run(&mut self.forebay(&["status", "--json"]), SOON).success().json();
        said["queues"][0]["done"].as_f64().expect("a number")
    }

    /// Jobs a second, over a while.
    #[track_caller]
    fn rate(&self) -> f64 {
        let (begun, before) = (Instant::now(), self.done());
        thread::sleep(Duration::from_secs(2));
        (self.done() - before) / begun.elapsed().as_secs_f64()
    }
}

fn forebay(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = command(prefix!().root().join("bin/forebay"));
    command.args(arguments);
    command.env("FOREBAY_BROKER", folder.ipc("broker.ipc")).env("FOREBAY_CONTROL", folder.join("run.sock"));
    command
}

/// Builds the plugin, whose answers begin with `version`, and puts it where an earlier one may be in use.
#[track_caller]
fn plugin(folder: &Folder, version: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/claims_plugin.c");
    let (new, object) = (folder.join("new.so"), folder.join("claims.so"));
    let version = format!("-DVERSION=\"{version}\"");
    prefix!().cc(&["-D_GNU_SOURCE", "-std=c11", "-g", "-shared", "-fPIC", &version], &source, &new);
    std::fs::rename(&new, &object).expect("a new file under the old name");
    object
}

const MEMORY: &str = "memory = true\n[broker]\nlisten = 'LISTEN'";

/// 5 to 10 to 5 slots under load: the throughput follows, and no job ends otherwise than DONE.
#[test]
fn scale_follows() {
    let is_asserted = std::env::var_os("FOREBAY_BENCH_ASSERT").is_some_and(|value| value == "1");
    let service = Service::start(5, MEMORY);
    let (rates, results) = thread::scope(|scope| {
        let load = scope.spawn(|| service.load("nap", 4_500, 40));
        eventually("the load", SOON, || (service.done() > 20.0).then_some(()));
        let mut rates = vec![service.rate()];
        for slots in ["10", "5"] {
            run(&mut service.forebay(&["scale", "claims", slots]), SOON).success();
            eventually("the old host to go", SOON, || {
                let said = run(&mut service.forebay(&["workers", "--json"]), SOON).success().json();
                (said["workers"].as_array().map(Vec::len) == slots.parse().ok()).then_some(())
            });
            rates.push(service.rate());
        }
        (rates, load.join().expect("the load"))
    });
    service.process.stop(SOON).success();
    let (up, down) = (rates[1] / rates[0] / 2.0, rates[2] / rates[0]);
    let done = results.iter().filter(|result| result["outcome"] == "DONE" && result["data"] == "nap").count();
    claim(
        "scale_follows",
        format!(
            "{:.0}, {:.0}, {:.0} jobs/s with 5, 10, 5 slots: {up:.3} and {down:.3} of what they should be; {done} of {} DONE",
            rates[0],
            rates[1],
            rates[2],
            results.len()
        ),
        "0.95 to 1.05 when FOREBAY_BENCH_ASSERT is 1; all DONE",
    );
    assert_eq!(done, results.len());
    assert!(!is_asserted || [up, down].iter().all(|ratio| (0.95..=1.05).contains(ratio)), "{rates:?}");
}

/// A new version of a plugin takes over under load: every job is answered by the one or the other.
#[test]
fn reload_under_load() {
    let service = Service::start(4, MEMORY);
    let results = thread::scope(|scope| {
        let load = scope.spawn(|| service.load("nap", 800, 16));
        eventually("the load", SOON, || (service.done() > 20.0).then_some(()));
        plugin(&service.folder, "2: ");
        run(&mut service.forebay(&["reload"]), SOON).success();
        load.join().expect("the load")
    });
    let after = service.load("after", 20, 4);
    service.process.stop(SOON).success();
    let by = |text: &str| results.iter().filter(|result| result["data"] == text).count();
    let (first, second) = (by("nap"), by("2: nap"));
    let late = after.iter().filter(|result| result["data"] == "2: after").count();
    claim(
        "reload_under_load",
        format!("{first} jobs answered by the first version, {second} by the second, of {}", results.len()),
        "all by one of them, and both; afterwards all by the second",
    );
    assert_eq!((first + second, late), (results.len(), after.len()));
    assert!(first > 0 && second > 0);
}

/// SIGTERM under load: it drains and ends with 0, nothing of it is left, and every job that was accepted is done or in the store.
#[test]
fn sigterm_under_load() {
    const JOBS: usize = 400;
    let store = "[broker]\nlisten = 'LISTEN'\nstore = 'FOLDER/store'";
    let service = Service::start(3, store);
    let lines = service.folder.join("lines");
    std::fs::write(&lines, vec!["nap"; JOBS].join("\n")).expect("a file");
    let mut asked = service.forebay(&["submit", "claims", "--lines", "--level", "durable"]);
    let ids = run(asked.arg(&lines), SOON).success().text();
    let ids: Vec<&str> = ids.lines().collect();
    eventually("some to be done", SOON, || (service.done() > 20.0).then_some(()));
    let begun = Instant::now();
    let Service { folder, process } = service;
    let said = process.stop(SOON).success().error_text();
    let ms = begun.elapsed().as_millis();
    let path = folder.path().display().to_string();
    let left = processes(&path);
    let names = std::fs::read_dir(folder.path()).expect("a folder").flatten();
    let names: Vec<String> = names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let sockets: Vec<&String> =
        names.iter().filter(|name| name.ends_with("sock") || name.ends_with("ipc")).collect();
    let shared = std::fs::read_dir("/dev/shm").map_or(0, |entries| {
        entries.flatten().filter(|entry| entry.file_name().to_string_lossy().contains("forebay")).count()
    });
    assert!(left.is_empty() && sockets.is_empty() && shared == 0, "{left:?} {sockets:?} {shared}\n{said}");

    let mut again = forebay(&folder, &["run", "--config"]);
    let again = Process::start(again.arg(folder.join("forebay.toml")));
    again.line_with("ready at", SOON);
    let mut waited = forebay(&folder, &["wait", "--json"]);
    let results = json_lines(&run(waited.args(&ids), SOON * 2).success().text());
    again.stop(SOON).success();
    let done = results.iter().filter(|result| result["data"] == "nap").count();
    let twice = results.iter().filter(|result| result["attempt"] != 1).count();
    claim(
        "sigterm_under_load",
        format!(
            "ended with 0 after {ms} ms; {done} of {JOBS} accepted jobs answered, {twice} of them in a second attempt; nothing left"
        ),
        format!("{JOBS}, 0"),
    );
    assert_eq!((done, twice), (JOBS, 0));
}

/// Processes that name this folder.
fn processes(folder: &str) -> Vec<String> {
    let has = |pid: &String| {
        let read = |name| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        [read("cmdline"), read("environ")].iter().any(|text| String::from_utf8_lossy(text).contains(folder))
    };
    let entries = std::fs::read_dir("/proc").expect("Linux").flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(has).collect()
}
