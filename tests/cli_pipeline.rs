//! `forebay pipeline`: runs from files, watched, shown, drawn and listed, through a broker process.

use support::{Broker, Finished, Process, SOON, binary, eventually, run};

/// A broker with a worker that echoes the queue "echo".
fn with_echo() -> (Broker, Process) {
    let broker = Broker::start(binary!());
    let worker = Process::start(&mut broker.cli(&["echo", "echo"]));
    (broker, worker)
}

#[track_caller]
fn forebay(broker: &Broker, arguments: &[&str]) -> Finished {
    run(&mut broker.cli(arguments), SOON)
}

/// Writes a pipeline's file and gives its path.
fn file(broker: &Broker, name: &str, text: &str) -> String {
    let path = broker.folder().join(name);
    std::fs::write(&path, text).expect("a file");
    path.to_str().expect("UTF-8").to_owned()
}

const LETTERS: &str = r#"
[[steps]]
name = "a"
queue = "echo"
data = "A"
[[steps]]
name = "b"
queue = "echo"
file = "b.txt"
options = { attempts = 5, priority = 8, run_ms = "1m" }
headers = { unit = "mm" }
[[steps]]
name = "joined"
queue = "echo"
needs = ["b", "a"]
"#;

#[test]
fn a_file_becomes_a_run_whose_result_is_that_of_its_last_steps() {
    let (broker, _worker) = with_echo();
    file(&broker, "b.txt", "B");
    let letters = file(&broker, "letters.toml", LETTERS);
    let id = forebay(&broker, &["pipeline", "run", &letters]).success().text();
    assert_eq!(forebay(&broker, &["wait", id.trim_end()]).success().text(), "BA");

    let json = r#"{"name": "as JSON", "steps": [{"name": "one", "queue": "echo", "data": "1"}]}"#;
    let json = file(&broker, "one.json", json);
    let watched = forebay(&broker, &["pipeline", "run", &json, "--watch"]).success().text();
    assert!(
        watched.contains("one: DONE") && watched.contains("as JSON: DONE, 1 of 1 steps done"),
        "{watched}"
    );

    let shown = forebay(&broker, &["pipeline", "show", id.trim_end()]).success().text();
    for text in ["of letters: DONE", "3 of 3 steps done", "longest path: ", " > joined"] {
        assert!(shown.contains(text), "no {text:?} in {shown}");
    }
    let dot = forebay(&broker, &["pipeline", "show", id.trim_end(), "--dot"]).success().text();
    assert!(dot.starts_with("digraph \"letters\"") && dot.contains("\"b\" -> \"joined\";"), "{dot}");
    let svg = forebay(&broker, &["pipeline", "show", id.trim_end(), "--svg"]).success().text();
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
    assert_eq!((svg.matches("<rect").count(), svg.matches("<path").count()), (3, 2), "{svg}");
    let listed = forebay(&broker, &["pipeline", "list", "--json"]).success().json();
    let names: Vec<&str> =
        listed["runs"].as_array().unwrap().iter().map(|run| run["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["letters", "as JSON"]);
    assert!(forebay(&broker, &["pipeline", "list"]).success().text().contains("3 of 3"));
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_name() {
    let broker = Broker::start(binary!());
    let step = |more: &str| format!("[[steps]]\nname = \"a\"\nqueue = \"echo\"\n{more}\n");
    let cases = [
        ("", "steps"),
        ("steps = []", "has no step"),
        (&step("colour = 3"), "colour"),
        (&step("needs = [\"a\"]"), "\"a\" needs itself (ERR_CYCLE)"),
        (&step("needs = [\"b\"]"), "no step \"b\" (ERR_NOT_FOUND)"),
        (&step("options = { atempts = 3 }"), "job.attempts"),
        (&step("data = \"x\"\nfile = \"y\""), "both data and file"),
        (&format!("{}{}", step(""), step("")), "two steps \"a\""),
    ];
    for (text, said) in cases {
        let path = file(&broker, "wrong.toml", text);
        let error = forebay(&broker, &["pipeline", "run", &path]).code(2).error_text();
        assert!(error.contains("wrong.toml") && error.contains(said), "{text:?}: {error}");
    }
    let missing = file(&broker, "missing.toml", &step("file = \"nowhere\""));
    let error = forebay(&broker, &["pipeline", "run", &missing]).code(6).error_text();
    assert!(error.contains("step \"a\": cannot read") && error.contains("nowhere"), "{error}");
    assert!(forebay(&broker, &["pipeline", "list"]).success().error_text().contains("no such runs"));
}

#[test]
fn jobs_are_added_to_an_open_stage_until_it_is_closed() {
    let (broker, _worker) = with_echo();
    let text = r#"{"steps": [
        {"name": "many", "kind": "open", "queue": "echo"},
        {"name": "each", "kind": "each", "queue": "echo", "data": "-", "needs": ["many"]}
    ]}"#;
    let path = file(&broker, "many.json", text);
    let id = forebay(&broker, &["pipeline", "run", &path]).success().text();
    let id = id.trim_end();
    let lines = file(&broker, "lines", "a\nb\n");
    let added = forebay(&broker, &["pipeline", "add", id, "many", &lines, "--lines"]).success().text();
    assert_eq!(added.lines().count(), 2);
    forebay(&broker, &["pipeline", "add", id, "many", "--data", "c", "--queue", "echo"]).success();
    let open = forebay(&broker, &["pipeline", "show", id]).success().text();
    assert!(open.contains("of 3 jobs") && open.contains("open: "), "{open}");
    let wrong = forebay(&broker, &["pipeline", "close", id, "many", "--count", "2"]).error_text();
    assert!(wrong.contains("has 3 jobs and not 2"), "{wrong}");
    let missing = forebay(&broker, &["pipeline", "add", id, "few", "--data", "d"]).error_text();
    assert!(missing.contains("no open stage \"few\""), "{missing}");
    forebay(&broker, &["pipeline", "close", id, "many"]).success();
    assert_eq!(forebay(&broker, &["wait", id]).success().text(), "-a-b-c");
    let shown = forebay(&broker, &["pipeline", "show", id]).success().text();
    assert!(shown.contains("3 of 3 jobs"), "{shown}");
    let dot = forebay(&broker, &["pipeline", "show", id, "--dot"]).success().text();
    assert!(dot.contains("many\\nDONE"), "{dot}");
}

#[test]
fn results_of_a_stage_are_collected_once() {
    let (broker, _worker) = with_echo();
    let text = r#"{"steps": [{"name": "many", "kind": "open", "queue": "echo", "collected": true}]}"#;
    let path = file(&broker, "collected.json", text);
    let id = forebay(&broker, &["pipeline", "run", &path]).success().text();
    let id = id.trim_end();
    let lines = file(&broker, "lines", "a\nb\n");
    forebay(&broker, &["pipeline", "add", id, "many", &lines, "--lines"]).success();
    let collecting = Process::start(&mut broker.cli(&["pipeline", "collect", id, "many", "--as", "me"]));
    collecting.line_with("a", SOON);
    collecting.line_with("b", SOON);
    let other = forebay(&broker, &["pipeline", "collect", id, "many", "--as", "you"]).error_text();
    assert!(other.contains("collected by \"me\""), "{other}");
    forebay(&broker, &["pipeline", "add", id, "many", "--data", "c"]).success();
    forebay(&broker, &["pipeline", "close", id, "many"]).success();
    assert!(collecting.wait(SOON).success().text().ends_with("c\n"));
    let shown = forebay(&broker, &["pipeline", "show", id]).success().text();
    assert!(shown.contains("DONE") && shown.contains("3 of 3 jobs"), "{shown}");
    let again = forebay(&broker, &["pipeline", "collect", id, "many", "--as", "me"]).success().text();
    assert_eq!(again, "", "nothing comes twice");
}

#[test]
fn a_watched_run_that_does_not_end_done_says_so() {
    let broker = Broker::start(binary!());
    let path = file(&broker, "stuck.toml", "[[steps]]\nname = \"a\"\nqueue = \"nobody\"\n");
    let watching = Process::start(&mut broker.cli(&["pipeline", "run", &path, "--watch"]));
    watching.line_with("a: WAITING no worker serves queue \"nobody\"", SOON);
    let id = watching.stdout().lines().next().expect("the id").to_owned();
    forebay(&broker, &["cancel", &id, "--reason", "enough"]).success();
    let watched = watching.wait(SOON).code(1).text();
    assert!(watched.contains("of stuck: CANCELLED, 0 of 1 steps done"), "{watched}");
    let new = forebay(&broker, &["pipeline", "resume", &id]).success().text();
    let worker = Process::start(&mut broker.cli(&["echo", "nobody"]));
    let watched = forebay(&broker, &["pipeline", "resume", &id, "--watch"]).success().text();
    assert!(watched.starts_with(&new) && watched.contains("of stuck: DONE, 1 of 1 steps done"), "{watched}");
    drop(worker);
    eventually("nothing is left", SOON, || {
        let status = forebay(&broker, &["status", "--json"]).success().json();
        (status["jobs"] == 0).then_some(())
    });
}
