//! Every example is built by its own Makefile and does what its first lines say.

use std::process::Command;
use std::time::Duration;

use support::{Broker, Finished, Process, SOON, binary, eventually, prefix, run};

/// Both languages, whose examples of one name are twins: they do the same and say the same.
const FOLDERS: [&str; 2] = ["examples-c", "examples-cpp"];

/// Starts an example's worker.
fn worker(broker: &Broker, program: &str, arguments: &[&str]) -> Process {
    Process::start(prefix!().example_at(broker, program).args(arguments))
}

/// Runs an example to its end.
fn client(broker: &Broker, program: &str, arguments: &[&str]) -> Finished {
    run(prefix!().example_at(broker, program).args(arguments), SOON * 2)
}

fn call(broker: &Broker, queue: &str, data: &str) -> Finished {
    run(&mut broker.cli(&["call", queue, "--data", data]), SOON)
}

/// Workers end on SIGTERM by themselves, with exit code 0 and nothing to complain about.
fn ends_well(worker: Process) {
    let finished = worker.stop(Duration::from_secs(10)).success();
    assert!(finished.stderr.is_empty(), "{}", finished.error_text());
}

#[test]
fn hello_in_c() {
    let broker = Broker::start(binary!());
    let worker = worker(&broker, "examples-c/hello_worker", &[]);
    assert_eq!(client(&broker, "examples-c/hello_client", &[]).success().text(), "Hello, World!\n");
    assert_eq!(client(&broker, "examples-c/hello_client", &["Ada"]).success().text(), "Hello, Ada!\n");
    ends_well(worker);
}

#[test]
fn hello_in_cpp_and_across_languages() {
    let broker = Broker::start(binary!());
    let cpp = worker(&broker, "examples-cpp/hello_worker", &[]);
    assert_eq!(
        client(&broker, "examples-cpp/hello_client", &["Bjarne"]).success().text(),
        "Hello, Bjarne!\n"
    );
    assert_eq!(client(&broker, "examples-c/hello_client", &["Dennis"]).success().text(), "Hello, Dennis!\n");
    ends_well(cpp);
}

#[test]
fn a_client_says_when_there_is_no_broker() {
    let folder = support::Folder::new();
    let mut alone = support::command(prefix!().example("examples-c/hello_client"));
    alone.env("FOREBAY_BROKER", folder.ipc("nobody"));
    let finished = run(&mut alone, SOON).code(1);
    assert!(
        finished.error_text().contains("hello_client: call: no broker answered"),
        "{}",
        finished.error_text()
    );
}

#[test]
fn squares_by_workers_in_c_and_cpp() {
    let broker = Broker::start(binary!());
    let programs = ["examples-c/square_worker", "examples-cpp/square_worker"];
    let workers: Vec<_> = programs.iter().map(|program| worker(&broker, program, &[])).collect();
    for program in ["examples-c/square_client", "examples-cpp/square_client"] {
        let finished = client(&broker, program, &["200"]).success();
        assert_eq!(finished.text(), "200 of 200 squares right, by 2 workers\n");
    }
    assert_eq!(call(&broker, "square", "4294967295").success().text(), "18446744065119617025");
    for wrong in ["", "-1", "x", "1 2", "4294967296", "99999999999999999999"] {
        let finished = call(&broker, "square", wrong).code(1);
        let said = finished.error_text();
        assert!(said.contains("FAILED") && said.contains("not_a_number"), "{wrong:?}: {said}");
    }
    workers.into_iter().for_each(ends_well);
}

#[test]
fn every_example_in_c_has_a_twin_in_cpp() {
    let names = |folder: &str, suffix: &str| -> Vec<String> {
        let all = list(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
        all.iter().filter_map(|name| name.strip_suffix(suffix)).map(str::to_owned).collect()
    };
    let (in_c, in_cpp) = (names("examples-c", ".c"), names("examples-cpp", ".cpp"));
    let alone: Vec<_> = in_c.iter().filter(|name| !in_cpp.contains(name)).collect();
    assert!(in_c.len() >= 10 && alone.is_empty(), "without a twin: {alone:?}");
}

#[test]
fn fileopen_serves_its_folder_only() {
    FOLDERS.into_iter().for_each(fileopen);
}

fn fileopen(language: &str) {
    let broker = Broker::start(binary!());
    let folder = broker.folder().join("files");
    std::fs::create_dir_all(folder.join("below")).expect("a folder");
    let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(folder.join("below/data"), &bytes).expect("a file");
    std::fs::write(folder.join("empty"), b"").expect("a file");
    std::fs::write(broker.folder().join("secret"), b"secret").expect("a file");
    let worker = worker(&broker, &format!("{language}/fileopen"), &[folder.to_str().expect("UTF-8")]);
    assert!(call(&broker, "fileopen", "below/data").success().stdout == bytes);
    assert!(call(&broker, "fileopen", "empty\n").success().stdout.is_empty());
    for (path, code) in [
        ("nowhere", "cannot_read"),
        ("below", "cannot_read"),
        ("../secret", "bad_path"),
        ("below/../../secret", "bad_path"),
        ("/etc/passwd", "bad_path"),
        ("", "bad_path"),
    ] {
        let said = call(&broker, "fileopen", path).code(1).error_text();
        assert!(said.contains(code), "{path:?}: {said}");
    }
    ends_well(worker);
}

#[test]
fn digest_agrees_with_published_values() {
    FOLDERS.into_iter().for_each(digest);
}

fn digest(language: &str) {
    let broker = Broker::start(binary!());
    let worker = worker(&broker, &format!("{language}/digest"), &[]);
    // FIPS 180-4's own examples, and the lengths around the end of a block.
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 0 0";
    assert_eq!(call(&broker, "digest", "").success().text(), empty);
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad 0 1 3";
    assert_eq!(call(&broker, "digest", "abc").success().text(), abc);
    let two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    let hex = "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1 0 1 56";
    assert_eq!(call(&broker, "digest", two).success().text(), hex);
    ends_well(worker);
}

#[test]
fn cpu_loop_reports_and_stops_in_its_inner_loop() {
    FOLDERS.into_iter().for_each(cpu_loop);
}

fn cpu_loop(language: &str) {
    let broker = Broker::start(binary!());
    let worker = worker(&broker, &format!("{language}/cpu_loop"), &[]);
    assert!(call(&broker, "cpu_loop", "0.2").success().text().ends_with(" million steps"));
    assert!(call(&broker, "cpu_loop", "soon").code(1).error_text().contains("not_seconds"));
    let id = run(&mut broker.cli(&["submit", "cpu_loop", "--data", "60"]), SOON).success().text();
    let id = id.trim_end();
    let started = || run(&mut broker.cli(&["events", "--no-follow"]), SOON).success().text();
    eventually("it runs", SOON, || {
        started().lines().any(|line| line.contains(id) && line.ends_with("started")).then_some(())
    });
    run(&mut broker.cli(&["cancel", id]), SOON).success();
    worker.line_with("stopped", SOON);
    // It is free for the next job at once.
    call(&broker, "cpu_loop", "0.01").success();
    ends_well(worker);
}

#[test]
fn threads_share_one_handle() {
    let broker = Broker::start(binary!());
    for (language, other) in [FOLDERS, [FOLDERS[1], FOLDERS[0]]].map(|[one, two]| (one, two)) {
        let worker = worker(&broker, &format!("{language}/threads"), &["worker", "4"]);
        let finished = client(&broker, &format!("{other}/threads"), &["client", "8", "50"]).success();
        assert_eq!(finished.text(), "400 of 400 answers right, from 8 threads\n");
        ends_well(worker);
        client(&broker, &format!("{language}/threads"), &["nonsense"]).code(2);
    }
}

#[test]
fn poll_loop_needs_no_thread_of_its_own() {
    let broker = Broker::start(binary!());
    for language in FOLDERS {
        let finished = client(&broker, &format!("{language}/poll_loop"), &["50"]).success();
        assert_eq!(finished.text(), "50 of 50 jobs ended, the sum of their results is 2550\n");
    }
}

#[test]
fn a_pipeline_hands_results_from_step_to_step() {
    let broker = Broker::start(binary!());
    for language in FOLDERS {
        let program = format!("{language}/pipeline");
        assert_eq!(client(&broker, &program, &[]).success().text(), "DONE: Hello, 25!\n");
        assert_eq!(client(&broker, &program, &["5", "12"]).success().text(), "DONE: Hello, 169!\n");
    }
}

#[test]
fn stages_are_added_to_while_the_run_goes_on() {
    let broker = Broker::start(binary!());
    for language in FOLDERS {
        let program = format!("{language}/stages");
        assert_eq!(client(&broker, &program, &[]).success().text(), "DONE: 6 words, 29 letters\n");
        let lines = ["one", "", "two three"];
        assert_eq!(client(&broker, &program, &lines).success().text(), "DONE: 3 words, 11 letters\n");
    }
}

#[test]
fn embedded_needs_no_other_process() {
    for language in FOLDERS {
        let program = prefix!().example(&format!("{language}/embedded"));
        let finished = run(&mut support::command(program), SOON).success();
        assert_eq!(finished.text(), "HELLO FROM ONE PROCESS\nAND ONCE MORE\n");
        assert!(finished.stderr.is_empty(), "{}", finished.error_text());
    }
}

/// The picture is a sound PNG, and the same whoever computed which tile.
#[test]
fn mandelbrot_makes_the_same_picture_with_any_number_of_workers() {
    let broker = Broker::start(binary!());
    let mut pictures = Vec::new();
    for count in [1, 3] {
        let workers: Vec<_> =
            (0..count).map(|_| worker(&broker, "examples-cpp/mandelbrot", &["worker"])).collect();
        let file = broker.folder().join("picture.png");
        let path = file.to_str().expect("UTF-8");
        let said = client(&broker, "examples-cpp/mandelbrot", &["draw", path, "320", "240"]).success().text();
        assert!(said.contains("320 x 240"), "{said}");
        pictures.push(std::fs::read(&file).expect("the picture"));
        workers.into_iter().for_each(ends_well);
    }
    assert!(pictures[0] == pictures[1]);
    let pixels = read_png(&pictures[0], 320, 240);
    let colours: std::collections::BTreeSet<_> = pixels.chunks(3).collect();
    assert!(colours.len() > 20, "only {} colours", colours.len());
}

/// The pixels of an 8-bit RGB picture whose data is stored, not compressed; checks every length and checksum.
fn read_png(file: &[u8], width: u32, height: u32) -> Vec<u8> {
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().expect("four bytes"));
    let mut rest = file.strip_prefix(b"\x89PNG\r\n\x1a\n").expect("a PNG");
    let mut data = Vec::new();
    while !rest.is_empty() {
        let len = number(&rest[..4]) as usize;
        let (name, body) = (&rest[4..8], &rest[8..8 + len]);
        assert_eq!(number(&rest[8 + len..12 + len]), crc32(&rest[4..8 + len]), "the CRC of a chunk");
        if name == b"IHDR" {
            assert_eq!((number(&body[..4]), number(&body[4..8])), (width, height));
            assert_eq!(&body[8..], [8, 2, 0, 0, 0]);
        } else if name == b"IDAT" {
            data.extend_from_slice(body);
        }
        rest = &rest[12 + len..];
    }
    let mut blocks = &data[2..data.len() - 4];
    let mut stored = Vec::new();
    while !blocks.is_empty() {
        let len = u16::from_le_bytes([blocks[1], blocks[2]]);
        assert_eq!(!len, u16::from_le_bytes([blocks[3], blocks[4]]), "a stored block's length");
        stored.extend_from_slice(&blocks[5..5 + usize::from(len)]);
        blocks = &blocks[5 + usize::from(len)..];
    }
    assert_eq!(number(&data[data.len() - 4..]), adler32(&stored), "the checksum of the data");
    let row = width as usize * 3 + 1;
    assert_eq!(stored.len(), row * height as usize);
    stored.chunks(row).flat_map(|row| &row[1..]).copied().collect()
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 },
        )
    };
    !bytes.iter().fold(!0, step)
}

fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1, 0), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    b << 16 | a
}

/// A folder's Makefile builds, and cleans up after itself.
#[test]
fn make_clean_leaves_the_sources() {
    for folder in ["examples-c", "examples-cpp"] {
        let copy = support::Folder::new();
        let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let before: Vec<_> = list(&source);
        for name in &before {
            std::fs::copy(source.join(name), copy.join(name)).expect("a copy");
        }
        let make = |target: &[&str]| {
            let mut make = Command::new("make");
            make.env_remove("MAKEFLAGS").arg("-j2").arg("-C").arg(copy.path()).args(target);
            run(make.arg(format!("PREFIX={}", prefix!().root().display())), SOON * 5).success();
        };
        make(&[]);
        assert!(list(copy.path()).len() > before.len());
        make(&["clean"]);
        assert_eq!(list(copy.path()), before);
    }
}

/// The files in a folder, not those in folders below it.
fn list(folder: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let files = entries.filter(|entry| entry.path().is_file());
    let mut names: Vec<_> = files.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
