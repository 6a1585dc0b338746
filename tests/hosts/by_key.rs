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
