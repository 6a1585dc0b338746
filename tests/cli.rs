//! The command line as users and scripts meet it: help, wrong words, exit codes, what goes to which stream.

use std::process::Command;
use std::time::Duration;

use support::{Broker, Finished, Folder, SOON, binary, command, run};

const COMMANDS: [&str; 17] = [
    "demo",
    "broker",
    "call",
    "submit",
    "wait",
    "cancel",
    "status",
    "worker",
    "new-plugin",
    "plugin",
    "events",
    "bench",
    "doctor",
    "options",
    "keygen",
    "store",
    "version",
];

fn forebay(arguments: &[&str]) -> Finished {
    run(command(binary!()).args(arguments), SOON)
}

#[test]
fn help_teaches_and_names_every_command() {
    let help = forebay(&["--help"]).success().text();
    for name in COMMANDS {
        assert!(help.contains(&format!("\n  {name} ")), "{name} is not in the help:\n{help}");
        let own = forebay(&[name, "--help"]).success().text();
        assert!(own.contains("Usage: forebay"), "{own}");
        assert!(
            own.lines().all(|line| line.chars().count() <= 100),
            "lines of {name}'s help are too long:\n{own}"
        );
    }
    assert!(help.contains("Exit codes:"), "{help}");
    assert!(help.contains("To begin:"), "{help}");
    // Without a terminal there is no colour.
    assert!(!help.contains('\x1b'), "{help}");
}

#[test]
fn without_words_it_shows_the_help_and_fails() {
    let finished = forebay(&[]).code(2);
    assert!(finished.error_text().contains("Usage: forebay <COMMAND>"), "{}", finished.error_text());
}

#[test]
fn wrong_words_are_usage_errors_that_say_what_would_be_right() {
    let id = "not-an-id";
    let cases: &[(&[&str], &str)] = &[
        (&["frobnicate"], "unrecognized subcommand"),
        (&["call", "q", "--prioritty", "3"], "'--priority'"),
        (&["call", "q", "--data", "x", "--priority", "9"], "1 to 8"),
        (&["call", "q", "--data", "x", "--set", "job.atempts=3"], "job.attempts"),
        (&["call", "q", "--data", "x", "--set", "job.attempts"], "NAME=VALUE"),
        (&["call", "q", "--data", "x", "--header", "nonsense"], "NAME=VALUE"),
        (&["call", "q", "--data", "x", "--timeout", "1parsec"], "ms, s, m and h"),
        (&["call", "", "--data", "x"], "queue"),
        (&["wait", id], "not a job id"),
        (&["bench", "--in-flight", "0"], "1 to 10000"),
        (&["bench", "--vs-local", "--cpu-time", "0"], "0.001ms"),
        (&["bench", "--vs-local", "--bare"], "--bare"),
        (&["bench", "--cpu-time", "1ms"], "--vs-local"),
        (&["broker", "--lease-ms", "1"], "100"),
        (&["status", "--check", "--every", "2"], "cannot be used with"),
    ];
    let folder = Folder::new();
    for (arguments, text) in cases {
        // Nobody answers there; what is wrong is said before anybody is asked.
        let endpoint = folder.ipc("nobody");
        let finished = run(command(binary!()).args(*arguments).env("FOREBAY_BROKER", endpoint), SOON).code(2);
        let said = finished.error_text();
        assert!(said.contains(text), "{arguments:?} said:\n{said}");
        assert!(finished.stdout.is_empty(), "{arguments:?} wrote to standard output");
    }
}

#[test]
fn wrong_addresses_are_refused_with_what_would_be_right() {
    let long = format!("ipc:///tmp/{}", "x".repeat(120));
    for address in ["blah", "tpc://x:1", "tcp:/x", "tcp://x", "", long.as_str()] {
        for arguments in [
            &["call", "q", "--data", "x", "--endpoint", address][..],
            &["broker", "--memory", "--insecure", "--listen", address],
        ] {
            if address.is_empty() && arguments[0] == "broker" {
                continue; // no address at all is the default one
            }
            let said = forebay(arguments).code(2).error_text();
            assert!(
                ["tcp://", "ipc://", "107"].iter().any(|right| said.contains(right)),
                "{arguments:?} said:\n{said}"
            );
        }
    }
}

#[test]
fn no_broker_is_said_with_the_address_and_its_own_exit_code() {
    let folder = Folder::new();
    let endpoint = folder.ipc("nobody");
    for arguments in [
        &["call", "q", "--data", "x"][..],
        &["submit", "q", "--data", "x"],
        &["status"],
        &["status", "--check"],
        &["events"],
    ] {
        let mut asked = command(binary!());
        asked.args(arguments).args(["--connect", "200ms", "--endpoint", &endpoint]);
        let said = run(&mut asked, SOON).code(3).error_text();
        assert!(said.contains(&endpoint) && said.contains("forebay broker"), "{arguments:?} said:\n{said}");
    }
}

#[test]
fn options_come_from_the_one_table() {
    let text = forebay(&["options"]).success().text();
    let json = forebay(&["options", "--json"]).success().json();
    let rows = json.as_array().expect("an array");
    assert!(rows.len() > 40);
    for row in rows {
        let key = row["key"].as_str().expect("a key");
        assert!(text.contains(key), "{key} is not in the text");
    }
    let narrow = forebay(&["options", "backoff"]).success().text();
    assert!(narrow.contains("job.backoff_ms") && !narrow.contains("client.name"), "{narrow}");
    forebay(&["options", "no such thing"]).code(1);
}

#[test]
fn version_says_what_is_built_in() {
    let text = forebay(&["version"]).success().text();
    assert!(text.starts_with(&format!("forebay {}\n", env!("CARGO_PKG_VERSION"))), "{text}");
    let json = forebay(&["version", "--json"]).success().json();
    assert_eq!(json["libzmq"], "4.3.5");
    assert_eq!(json["curve"], true);
    assert_eq!(json["draft"], true);
}

#[test]
fn doctor_finds_what_is_wrong_and_leaves_the_rest_alone() {
    let folder = Folder::new();
    let doctor = |variables: &[(&str, &str)]| {
        let mut doctor = command(binary!());
        doctor.args(["doctor", "--endpoint", &folder.ipc("nobody")]).envs(variables.iter().copied());
        run(&mut doctor, SOON)
    };
    let well = doctor(&[]).success().text();
    assert!(well.contains("CURVE") && well.contains("none answers"), "{well}");
    let typo = doctor(&[("FOREBAY_CLIENT_WINDOW_JOBZ", "5")]).code(1).text();
    assert!(typo.contains("FOREBAY_CLIENT_WINDOW_JOBZ"), "{typo}");
    let value = doctor(&[("FOREBAY_JOB_PRIORITY", "99")]).code(1).text();
    assert!(value.contains("FOREBAY_JOB_PRIORITY"), "{value}");
    let broker = Broker::start(binary!());
    let answers = run(&mut broker.cli(&["doctor"]), SOON).success().text();
    assert!(answers.contains("answers, id "), "{answers}");
}

#[test]
fn keygen_makes_a_private_file_and_never_overwrites_one() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let file = folder.join("broker.key");
    let path = file.to_str().expect("UTF-8");
    let public = forebay(&["keygen", path]).success().text();
    assert_eq!(public.trim_end().len(), 40, "{public}");
    let mode = std::fs::metadata(&file).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = std::fs::read(&file).expect("the file");
    assert_ne!(forebay(&["keygen", path]).status.code(), Some(0));
    assert_eq!(std::fs::read(&file).expect("the file"), before);
    assert_eq!(forebay(&["keygen", "--public", path]).success().text(), public);
}

#[test]
fn a_reader_that_goes_away_is_no_fault_worth_a_word() {
    let mut shell = Command::new("sh");
    shell.args(["-c", "\"$0\" options | head -n 1", binary!().to_str().expect("UTF-8")]);
    let finished = run(&mut shell, SOON).success();
    assert!(finished.stderr.is_empty(), "{}", finished.error_text());
}

#[test]
fn bench_compares_with_threads_of_one_process() {
    let arguments =
        ["bench", "--vs-local", "--cpu-time", "1ms,0.1ms", "--rounds", "2", "--time", "20ms", "--json"];
    let text = run(command(binary!()).args(arguments), Duration::from_secs(60)).success().text();
    let rounds: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let lengths: Vec<_> = rounds.iter().filter_map(|round| round["cpu_us"].as_u64()).collect();
    assert_eq!(lengths, [1_000, 1_000, 100, 100], "{text}");
    assert!(rounds.iter().all(|round| round["efficiency"].as_f64() > Some(0.0)), "{text}");
}

#[test]
fn bench_measures_over_both_transports() {
    for transport in ["ipc", "tcp"] {
        let arguments = [
            "bench",
            "--transport",
            transport,
            "--rounds",
            "2",
            "--time",
            "50ms",
            "--in-flight",
            "1,10",
            "--json",
        ];
        let finished = run(command(binary!()).args(arguments), Duration::from_secs(60)).success();
        let text = finished.text();
        let rounds: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(rounds.len(), 4, "{text}");
        assert!(rounds.iter().all(|round| round["jobs"].as_u64() > Some(0)), "{text}");
        assert!(rounds[0]["endpoint"].as_str().expect("text").starts_with(transport), "{text}");
    }
}
