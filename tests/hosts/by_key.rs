//! Jobs by reference: what a key stands for is fetched before the handler, and its result put away after it.

use support::{Broker, Process, SOON, binary, run};

use crate::rig::{self, Host, odd};

#[test]
fn a_command_gets_what_its_key_stands_for_and_its_result_is_put_away() {
    let broker = Broker::start(binary!());
    let folder = broker.folder().path().display().to_string();
    std::fs::write(broker.folder().join("in-1"), b"some text").expect("a file");
    let retrieve = format!("cat {folder}/in-$FOREBAY_KEY");
    let save = format!("cat > {folder}/out-$FOREBAY_KEY && printf out-$FOREBAY_KEY");
    let mut command = broker.cli(&["worker", "--queue", "up", "--retrieve", &retrieve, "--save", &save]);
    let host = Process::start(command.args(["--", "tr", "a-z", "A-Z"]));
    assert_eq!(rig::call(&broker, "up", "1").success().text(), "out-1");
    let kept = std::fs::read_to_string(broker.folder().join("out-1")).expect("the result");
    assert_eq!(kept, "SOME TEXT");
    let mut asked = broker.cli(&["call", "up", "--data", "2", "--attempts", "1", "--json"]);
    let said = run(&mut asked, SOON).code(1).json();
    assert_eq!((&said["outcome"], &said["code"]), (&"FAILED".into(), &"retrieve_failed".into()), "{said}");
    assert!(said["detail"].as_str().is_some_and(|text| text.contains("in-2")), "{said}");
    host.stop(SOON).success();
}

#[test]
fn a_plugin_gets_what_its_key_stands_for_too() {
    let broker = Broker::start(binary!());
    let plugin = odd(broker.folder(), "odd", &[]).display().to_string();
    let save = "echo \"$FOREBAY_KEY by $(cat)\"";
    let host =
        Host::start(&broker, &["--load", &plugin, "--slots", "1", "--retrieve", "echo pid", "--save", save]);
    host.ready();
    let text = rig::call(&broker, "odd", "key").success().text();
    assert!(text.starts_with("key by "), "{text}");
    host.ends_well();
}

/// The store's functions of a plugin: what a key stands for is fetched and the result put away, what goes wrong is said, and the
/// host's own command counts more.
#[test]
fn a_plugin_may_be_its_own_store() {
    let broker = Broker::start(binary!());
    let plugins = rig::examples(&["libkeep.so"]);
    let plugin = plugins.join("libkeep.so");
    let kept = broker.folder().join("store");
    std::fs::create_dir(&kept).expect("a folder");
    std::fs::write(kept.join("notes"), "one\ntwo\n").expect("a file");
    let (load, store) = (plugin.display().to_string(), format!("store={}", kept.display()));
    let host = Host::start(&broker, &["--load", &load, "--slots", "1", "--param", &store]);
    host.ready();
    assert_eq!(rig::call(&broker, "keep", "notes").success().text(), "notes.lines");
    let lines = kept.join("notes.lines");
    assert_eq!(std::fs::read_to_string(&lines).expect("the result"), "2");
    let failed = |data: &str| {
        let mut asked = broker.cli(&["call", "keep", "--data", data, "--attempts", "1", "--json"]);
        let said = run(&mut asked, SOON).code(1).json();
        (
            said["code"].as_str().unwrap_or_default().to_owned(),
            said["message"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let (code, message) = failed("nothing");
    assert_eq!(code, "retrieve_failed");
    assert!(message.starts_with("plugin keep: retrieve answered 1: nothing: No such file"), "{message}");
    let (code, message) = failed("../notes");
    assert!(code == "retrieve_failed" && message.contains("the name of a file"), "{code}: {message}");
    // The value is there, and where its count should go is a folder.
    std::fs::write(kept.join("full"), "one\n").expect("a file");
    std::fs::create_dir(kept.join("full.lines")).expect("a folder");
    let (code, message) = failed("full");
    assert!(code == "save_failed" && message.contains("full.lines: Is a directory"), "{code}: {message}");
    host.ends_well();

    let own = ["--retrieve", "printf 'a\\nb\\nc\\n'"];
    let host = Host::start(&broker, &["--load", &load, "--slots", "1", "--param", &store, own[0], own[1]]);
    host.ready();
    assert_eq!(rig::call(&broker, "keep", "other").success().text(), "other.lines");
    assert_eq!(std::fs::read_to_string(kept.join("other.lines")).expect("the result"), "3");
    host.ends_well();
}

/// A plugin that was compiled when the descriptor had no store's functions is loaded as ever.
#[test]
fn a_plugin_of_the_first_release_is_loaded() {
    let broker = Broker::start(binary!());
    let plugin = odd(broker.folder(), "odd", &["-DODD_SIZE=80"]).display().to_string();
    let host = Host::start(&broker, &["--load", &plugin, "--slots", "1"]);
    host.ready();
    rig::call(&broker, "odd", "pid").success();
    host.ends_well();
}
