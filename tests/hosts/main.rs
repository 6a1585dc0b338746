//! Worker hosts, which execute jobs by plugins and commands: over real processes, plugins with the installed binary, as users
//! have it.

mod by_key;
mod command;
mod handed;
mod limits;
mod reported;
mod rig;
mod supervised;
mod verify;
mod written;

use support::{Broker, SOON, binary, run};

use rig::{Host, forebay, odd};

/// The plugins of examples-c, all in one host.
#[test]
fn the_examples_serve_their_queues() {
    let broker = Broker::start(binary!());
    let files = broker.folder().join("files");
    std::fs::create_dir(&files).expect("a folder");
    std::fs::write(files.join("notes"), b"some notes").expect("a file");
    std::fs::write(broker.folder().join("secret"), b"secret").expect("a file");
    let plugins = rig::examples(&["all"]);
    let load = |name: &str| ["--load".to_owned(), plugins.join(name).display().to_string()];
    let mut arguments: Vec<String> = ["libsquare.so", "libfileopen.so", "libecho.so", "libweb.so"]
        .iter()
        .flat_map(|name| load(name))
        .collect();
    arguments.extend(["--slots", "2", "--param"].map(str::to_owned));
    arguments.push(format!("folder={}", files.display()));
    let host = Host::start(&broker, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(host.ready(), "2 slots serve square, fileopen, echo, web");

    let call = |queue, data| rig::call(&broker, queue, data);
    assert_eq!(call("square", "4294967295").success().text(), "18446744065119617025");
    assert!(call("square", "12 ").code(1).error_text().contains("not_a_number"));
    assert_eq!(call("fileopen", "notes").success().text(), "some notes");
    assert!(call("fileopen", "../secret").code(1).error_text().contains("bad_path"));
    let echoed = run(&mut broker.cli(&["call", "echo", "--data", "x", "--header", "a=b", "--json"]), SOON);
    let echoed = echoed.success().json();
    assert_eq!((&echoed["data"], &echoed["headers"][0]["value"]), (&"x".into(), &"b".into()), "{echoed}");
    assert!(call("web", "").code(1).error_text().contains("no_request"));
    let headers = ["--header", "REQUEST_METHOD=POST", "--header", "PATH_INFO=/a b"];
    let mut asked = broker.cli(&["call", "web", "--data", "some words", "--json"]);
    let page = run(asked.args(headers), SOON).success().json();
    assert_eq!(page["data"], "PATH_INFO=/a b\nREQUEST_METHOD=POST\n\n10 bytes:\nsome words", "{page}");
    assert_eq!(page["headers"][0]["value"], "200 OK", "{page}");
    host.ends_well();
}

/// What is wrong with a plugin or with what it is given ends the host at once, by name and with what would be right.
#[test]
fn what_cannot_be_loaded_is_refused_by_name() {
    let folder = support::Folder::new();
    let (well, other) = (odd(&folder, "odd", &[]), odd(&folder, "other", &["-DODD_ABI=7"]));
    let (well, other) = (well.display().to_string(), other.display().to_string());
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&[&other], 2, &["ABI 7", "has 1", "other.so"]),
        (&["/bin/sh"], 2, &["/bin/", "cannot be opened"]),
        (&["/nonexistent.so"], 6, &["/nonexistent.so"]),
        (&[&well, "--param", "begim=well"], 2, &["param.begim", "right would be: begin"]),
        (&[&well, "--param", "begin"], 2, &["NAME=VALUE"]),
        (&[&well, "--load", &well], 2, &["queue odd is wanted by odd and by odd"]),
        (&[&well, "--param", "begin=badly"], 6, &["process_init answered 7: begin is badly", "5 times"]),
        (&[&well, "--param", "begin=die"], 6, &["ended with 9", "5 times in a row before it was ready"]),
    ];
    for (arguments, code, texts) in cases {
        let mut command = forebay(&["worker", "--slots", "2", "--load"]);
        command.args(*arguments).env("FOREBAY_BROKER", folder.ipc("nobody"));
        let said = run(&mut command, SOON).code(*code).error_text();
        assert!(texts.iter().all(|text| said.contains(text)), "{arguments:?} said:\n{said}");
    }
    let said = run(&mut forebay(&["worker", "--slots", "2"]), SOON).code(2).error_text();
    assert!(said.contains("--load"), "{said}");
}

/// Threads of one process instead of processes; a handler that returns without an answer; a queue of another name.
#[test]
fn one_process_may_have_all_the_slots() {
    let broker = Broker::start(binary!());
    let plugin = odd(broker.folder(), "odd", &[]);
    let gate = broker.folder().join("gate");
    let load = plugin.display().to_string();
    let host = Host::start(
        &broker,
        &["--load", &load, "--isolate", "thread", "--slots", "3", "--queue", "even", "--name", "n-{slot}"],
    );
    assert_eq!(host.ready(), "3 slots serve even");
    let waiting = rig::submit(&broker, "even", &gate.display().to_string(), 3);
    rig::wait_until_running(&broker, 3);
    std::fs::write(&gate, b"").expect("a file");
    let mut pids: Vec<_> = waiting.iter().map(|id| rig::result(&broker, id).success().text()).collect();
    pids.dedup();
    assert_eq!(pids.len(), 1, "{pids:?}");
    let mute = run(&mut broker.cli(&["call", "even", "--data", "mute", "--attempts", "1"]), SOON).code(1);
    assert!(mute.error_text().contains("plugin odd returned 3 without an answer"), "{}", mute.error_text());
    let said = run(&mut broker.cli(&["workers", "--json"]), SOON).success().json();
    assert_eq!(said["workers"][0]["name"], "n-0", "{said}");
    let finished = host.ends_well();
    assert!(finished.error_text().contains("odd: fini"), "{}", finished.error_text());
}
