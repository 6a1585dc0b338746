//! Hosts that execute jobs by a command.

use support::{Process, SOON, json_lines, run};

use crate::claim;

/// How many files are counted.
const FILES: usize = 100;

/// `forebay worker --queue wc -- wc -c` counts the bytes of files; a program that exits 3 gives FAILED with its stderr.
#[test]
fn command_as_worker() {
    let stage = support::stage!();
    let host = Process::start(&mut stage.broker.cli(&["worker", "--queue", "wc", "--", "wc", "-c"]));
    let folder = stage.broker.folder().join("files");
    std::fs::create_dir(&folder).expect("a folder");
    let mut right = 0;
    for number in 0..FILES {
        let (path, len) = (folder.join(number.to_string()), number * number * 37);
        std::fs::write(&path, vec![b'x'; len]).expect("a file");
        let said = stage.cli(&["call", "wc", &path.display().to_string()]);
        right += usize::from(said.trim() == len.to_string());
    }
    host.stop(SOON).success();

    let script = "echo 'the colour is wrong' >&2; exit 3";
    let failing = ["worker", "--queue", "three", "--", "sh", "-c", script];
    let host = Process::start(&mut stage.broker.cli(&failing));
    let mut asked = stage.broker.cli(&["call", "three", "--data", "", "--attempts", "1", "--json"]);
    let said = json_lines(&run(&mut asked, SOON).code(1).text()).remove(0);
    host.stop(SOON).success();
    claim(
        "command_as_worker",
        format!("{right} of {FILES} files counted; exit 3 is {} with {}", said["outcome"], said["detail"]),
        format!("{FILES}, FAILED with its stderr"),
    );
    assert_eq!(right, FILES);
    assert_eq!((&said["outcome"], &said["detail"]), (&"FAILED".into(), &"the colour is wrong\n".into()));
}
