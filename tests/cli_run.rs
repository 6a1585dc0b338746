//! `forebay run` as an operator meets it: a file, scale, reload, restarts, the order of its end, and what it tells a service manager.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;

use support::{Finished, Folder, Process, SOON, binary, command, eventually, run};

/// A run in a folder of its own.
struct Run {
    folder: Folder,
    process: Process,
}

/// A command that answers every job with its own slots' variable.
const GREETS: &str =
    "[[workers]]\nqueues = 'greet'\nslots = 1\ncommand = ['sh', '-c', 'echo hello $(cat)']\n";

impl Run {
    /// Starts one by a file, to which broker and control socket are added, and waits until it is ready.
    #[track_caller]
    fn start(workers: &str) -> Run {
        let folder = Folder::new();
        write(&folder, workers);
        let process =
            Process::start(&mut forebay(&folder, &["run", "--config"], &[folder.join("forebay.toml")]));
        process.line_with("ready at ipc://", SOON);
        Run { folder, process }
    }

    #[track_caller]
    fn call(&self, queue: &str, data: &str) -> Finished {
        run(&mut forebay(&self.folder, &["call", queue, "--data", data], &[]), SOON)
    }

    /// The process ids of its children.
    fn children(&self) -> Vec<u32> {
        children(self.process.pid())
    }

    /// Waits until nothing is left of it: no process, no socket.
    #[track_caller]
    fn is_gone(&self) {
        let folder = self.folder.path().display().to_string();
        eventually("its processes to end", SOON, || named(&folder).is_empty().then_some(()));
        for name in ["run.sock", "broker.ipc"] {
            assert!(!self.folder.join(name).exists(), "{name} is left");
        }
    }
}

#[track_caller]
fn write(folder: &Folder, workers: &str) {
    let text = format!(
        "[run]\nmemory = true\ncontrol = 'run.sock'\n[broker]\nlisten = '{}'\n{workers}",
        folder.ipc("broker.ipc")
    );
    std::fs::write(folder.join("forebay.toml"), text).expect("a file");
}

/// This command, by the broker and the control socket in the folder.
fn forebay(folder: &Folder, arguments: &[&str], paths: &[PathBuf]) -> Command {
    let mut command = command(binary!());
    command.args(arguments).args(paths);
    command.env("FOREBAY_BROKER", folder.ipc("broker.ipc")).env("FOREBAY_CONTROL", folder.join("run.sock"));
    command
}

fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// Processes that name this folder, by their ids.
fn named(folder: &str) -> Vec<String> {
    let has = |pid: &String| {
        let read = |name| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        [read("cmdline"), read("environ")].iter().any(|text| String::from_utf8_lossy(text).contains(folder))
    };
    let entries = std::fs::read_dir("/proc").expect("Linux").flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(has).collect()
}

fn kill(pid: u32) {
    // SAFETY: a signal to a process that this test has started.
    assert_eq!(unsafe { libc::kill(pid as i32, libc::SIGKILL) }, 0);
}

#[test]
fn a_file_is_run_scaled_read_anew_and_drained() {
    let other = "[[workers]]\nname = 'other'\nqueues = ['up']\ncommand = ['tr', 'a-z', 'A-Z']\n[queues.up]\nattempts = 9\n";
    let held = Run::start(GREETS);
    assert_eq!(held.call("greet", "World").success().text(), "hello World\n");
    let tell = |arguments: &[&str]| run(&mut forebay(&held.folder, arguments, &[]), SOON);
    assert_eq!(tell(&["scale", "greet", "3"]).success().text(), "greet: 3 slots in the place of 1\n");
    eventually("the old host to go", SOON, || {
        let said = run(&mut forebay(&held.folder, &["workers", "--json"], &[]), SOON).success().json();
        (said["workers"].as_array().map(Vec::len) == Some(1)).then_some(())
    });
    assert!(tell(&["scale", "nobody", "3"]).code(5).error_text().contains("there are greet"));

    write(&held.folder, &format!("{GREETS}{other}"));
    assert_eq!(tell(&["reload"]).success().text(), "other: begins\ngreet: replaced\n");
    assert_eq!(held.call("up", "abc").success().text(), "ABC");
    let rules = tell(&["queue", "list", "up", "--json"]).success().text();
    assert!(rules.contains("\"attempts\":9"), "{rules}");
    write(&held.folder, "[[workers]]\nqueues = 'greet'\ncommand = ['no-such-program']\n");
    assert!(
        tell(&["reload"])
            .code(5)
            .error_text()
            .contains("greet: the new host ended with 2 before it was ready")
    );
    assert_eq!(held.call("greet", "again").success().text(), "hello again\n");
    write(&held.folder, "[[workers]]\nqueue = 'greet'\n");
    assert!(tell(&["reload"]).code(5).error_text().contains("forebay.toml:7:1: there is no key \"queue\""));

    held.process.signal(libc::SIGTERM);
    held.process.line_with("draining", SOON);
    held.is_gone();
}

#[test]
fn what_ends_by_itself_is_there_again() {
    let mut held = Run::start(GREETS);
    for _ in 0..2 {
        for child in held.children() {
            kill(child);
        }
        held.process.line_with("was killed by SIGKILL (9); started again", SOON);
        assert_eq!(held.call("greet", "you").success().text(), "hello you\n");
    }
    // Nobody would look after them without it.
    held.process.kill();
    eventually("its processes to end", SOON, || {
        named(&held.folder.path().display().to_string()).is_empty().then_some(())
    });
}

#[test]
fn what_cannot_run_ends_all_of_it() {
    let folder = Folder::new();
    write(&folder, &format!("{GREETS}[[workers]]\nqueues = 'q'\ncommand = ['no-such-program']\n"));
    let said = run(&mut forebay(&folder, &["run", "--config"], &[folder.join("forebay.toml")]), SOON).code(2);
    assert!(said.error_text().contains("q: it ended with 2"), "{}", said.error_text());
    assert!(!folder.join("run.sock").exists());
    // One that is never ready, without being wrong in what it was told.
    let held = Run::start(GREETS);
    let mut second = forebay(&held.folder, &["run", "--config"], &[held.folder.join("forebay.toml")]);
    assert!(run(&mut second, SOON).code(4).error_text().contains("a run is there already"));
    held.process.stop(SOON).success();
}

#[test]
fn one_that_crashes_again_and_again_ends_all_of_it() {
    let mut held = Run::start(GREETS);
    let is_host = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains("worker")
    };
    let run = held.process.pid();
    eventually("the end of it", SOON * 2, || {
        children(run).into_iter().filter(is_host).for_each(|pid| {
            // SAFETY: a signal to a process that this test's own has started.
            unsafe { libc::kill(pid as i32, libc::SIGKILL) };
        });
        (!held.process.is_running()).then_some(())
    });
    let said = held.process.wait(SOON).code(6).error_text();
    assert!(
        said.contains("times in a row before it was ready") || said.contains("10 times within"),
        "{said}"
    );
}

#[test]
fn a_command_line_is_enough() {
    let folder = Folder::new();
    let listen = folder.ipc("broker.ipc");
    let arguments =
        ["run", "--memory", "--listen", &listen, "--slots", "2", "--queue", "wc", "--", "wc", "-c"];
    let process = Process::start(&mut forebay(&folder, &arguments, &[]));
    let line = process.line_with("ready at", SOON);
    assert_eq!(line, format!("ready at {listen}: 2 slots serve wc"));
    let said = run(&mut forebay(&folder, &["call", "wc", "--data", "four"], &[]), SOON).success();
    assert_eq!(said.text().trim(), "4");
    process.stop(SOON).success();
    for (arguments, text) in [(&["run"][..], "forebay.toml"), (&["run", "--memory", "--", "cat"], "--queue")]
    {
        let said = run(forebay(&folder, arguments, &[]).current_dir(folder.path()), SOON).code(2);
        assert!(said.error_text().contains(text), "{}", said.error_text());
    }
}

#[test]
fn a_service_manager_is_told() {
    let folder = Folder::new();
    let socket = UnixDatagram::bind(folder.join("notify")).expect("a socket");
    socket.set_read_timeout(Some(SOON)).expect("a time");
    let said = || {
        let mut bytes = [0; 1_024];
        let len = socket.recv(&mut bytes).expect("a word");
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    };
    write(&folder, GREETS);
    let mut command = forebay(&folder, &["run", "--config"], &[folder.join("forebay.toml")]);
    let process = Process::start(command.env("NOTIFY_SOCKET", folder.join("notify")));
    let ready = said();
    assert!(ready.starts_with("READY=1\nSTATUS=ready at ipc://"), "{ready}");
    assert!(ready.contains(&format!("MAINPID={}", process.pid())), "{ready}");
    process.signal(libc::SIGTERM);
    assert_eq!(said(), "STOPPING=1");
    process.wait(SOON).success();
}
