//! The Python package: its table of functions against the header, and its wheel in a fresh virtual environment.

mod environment;
mod table;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::SystemTime;

use environment::environment;
use support::header::root;
use support::{Broker, Process, SOON, binary, command, has_tool, prefix, run, skip};

/// A file of the package's sources.
fn source(path: &str) -> PathBuf {
    root().join("bindings/python").join(path)
}

/// The fenced Python programs of a page, in order.
fn programs(page: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(page)).expect("a page");
    text.split("```python\n")
        .skip(1)
        .map(|rest| rest.split("```").next().expect("its end").to_owned())
        .collect()
}

#[test]
fn the_table_is_what_the_header_says() {
    let header = fs::read_to_string(root().join("include/forebay.h")).unwrap();
    let path = source("forebay/_c.py");
    let made = table::generate(&header);
    if std::env::var_os("FOREBAY_BLESS").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(made == committed, "{} is not what the header says; write it anew", path.display());
    assert_eq!(made.matches("\n    \"forebay_").count(), support::header::functions(&header).len());
}

/// Every function declared again from its ctypes, every structure's size and each field's place: the compiler and the
/// program it makes compare them with the header.
#[test]
fn a_c_compiler_agrees_with_the_table() {
    let Some(environment) = environment() else { return };
    let mut printing = environment.python(&[]);
    let text = run(printing.arg(source("tests/as_c.py")), SOON).success().text();
    let header = fs::read_to_string(root().join("include/forebay.h")).unwrap();
    for function in support::header::functions(&header) {
        assert!(text.contains(&format!(" {}(", function.name)), "{} is not declared again", function.name);
    }
    assert!(text.contains("offsetof(forebay_submit_t, reserved)"), "{text}");
    let (file, program) = (environment.folder().join("as_c.c"), environment.folder().join("as_c"));
    fs::write(&file, &text).unwrap();
    prefix!().cc(&["-std=c11", "-Wall", "-Wextra", "-Werror"], &file, &program);
    run(&mut command(&program), SOON).success();
    // The proof that it compares: one type and one number changed.
    let wrong = text.replacen("int32_t forebay_has(char *);", "int64_t forebay_has(char *);", 1);
    let wrong_number = text.replacen(
        "offsetof(forebay_submit_t, queue) != 16",
        "offsetof(forebay_submit_t, queue) != 24",
        1,
    );
    assert!(wrong != text && wrong_number != text);
    fs::write(&file, wrong).unwrap();
    let compiled = Command::new("cc")
        .arg("-I")
        .arg(prefix!().include())
        .arg("-fsyntax-only")
        .arg(&file)
        .output()
        .unwrap();
    assert!(!compiled.status.success());
    fs::write(&file, wrong_number).unwrap();
    prefix!().cc(&["-std=c11"], &file, &program);
    run(&mut command(&program), SOON).code(1);
}

/// The tag names the oldest glibc that has everything the library asks for, and the wheel has all that it needs.
#[test]
fn the_wheel_is_for_systems_that_can_load_it() {
    let Some(environment) = environment() else { return };
    let library = prefix!().lib().join("libforebay.so.0");
    if !has_tool("objdump", "binutils") {
        return;
    }
    let said = run(command("objdump").arg("-T").arg(&library), SOON).success().text();
    let minors = said.split("GLIBC_2.").skip(1).filter_map(|rest| {
        rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse::<u32>().ok())
    });
    let newest = minors.max().expect("it asks for glibc");
    let tag = format!("-py3-none-manylinux_2_{newest}_{}.whl", std::env::consts::ARCH);
    assert!(environment.wheel.ends_with(&tag), "{} is not for {tag}", environment.wheel);
    let listing = format!("import zipfile; print(*zipfile.ZipFile({:?}).namelist())", environment.wheel);
    let said = run(&mut environment.python(&["-c", &listing]), SOON).success().text();
    for file in
        ["forebay/libforebay.so.0", "forebay/py.typed", "licenses/LICENSE-MIT", "licenses/THIRD-PARTY.md"]
    {
        assert!(said.contains(file), "no {file} in {said}");
    }
    let checks =
        run(&mut environment.python(&["-m", "pip", "check", "--disable-pip-version-check"]), SOON).success();
    assert!(checks.text().contains("No broken requirements"), "{}", checks.text());
    let whence =
        "import forebay, forebay._library as l; print(forebay.__file__, l.path(), forebay.__version__)";
    let said = run(&mut environment.python(&["-c", whence]), SOON).success().text();
    let inside = environment.folder().join("venv").display().to_string();
    assert_eq!(said.matches(&inside).count(), 2, "{said}");
    assert!(said.trim().ends_with(env!("CARGO_PKG_VERSION")), "{said}");
}

/// The package's own tests, with unittest.
#[test]
fn its_own_tests_pass_in_a_fresh_environment() {
    let Some(environment) = environment() else { return };
    let mut tests = environment.python(&["-X", "faulthandler", "-m", "unittest", "discover", "-v", "-s"]);
    let finished = run(tests.arg(source("tests")), SOON * 20).success();
    let said = finished.error_text();
    assert!(said.contains("\nOK"), "{said}");
    assert!(!said.contains("skipped"), "{said}");
}

/// The README's Python worker and client, word for word.
#[test]
fn the_programs_of_the_readme() {
    let Some(environment) = environment() else { return };
    let found = programs("README.md");
    let [worker, client] = &found[..] else { panic!("the README has {} Python programs", found.len()) };
    assert_eq!(programs("bindings/python/README.md")[..2], found[..]);
    let broker = Broker::start(binary!());
    for (name, text) in [("worker.py", worker), ("client.py", client)] {
        assert!(text.lines().count() <= 10, "{name} has more than ten lines");
        fs::write(environment.folder().join(name), text).unwrap();
    }
    let worker = Process::start(&mut environment.python_at(&broker, &["worker.py"]));
    let said = run(&mut environment.python_at(&broker, &["client.py"]), SOON).success();
    assert_eq!(said.text(), "Hello, World!\n");
    // The same worker for a client in C, which knows nothing but bytes.
    let said = run(prefix!().example_at(&broker, "examples-c/hello_client").arg("Ada"), SOON).success();
    assert_eq!(said.text(), "Hello, Ada!\n");
    let finished = worker.stop(SOON).success();
    assert_eq!(finished.error_text(), "");
}

/// Eight processes of one Python worker for the jobs of a client in C. No process ends its first job before all eight have
/// one, so each is counted by the client.
#[test]
fn eight_python_processes_work_for_a_c_client() {
    let Some(environment) = environment() else { return };
    let broker = Broker::start(binary!());
    let mut python = environment.python_at(&broker, &[]);
    let worker = Process::start(python.arg(source("tests/square_worker.py")).arg("8"));
    let mut client = prefix!().example_at(&broker, "examples-c/square_client");
    let said = run(client.arg("1000"), SOON * 4).success();
    assert_eq!(said.text(), "1000 of 1000 squares right, by 8 workers\n");
    worker.stop(SOON).success();
}

#[test]
fn a_c_worker_works_for_a_python_client() {
    let Some(environment) = environment() else { return };
    let broker = Broker::start(binary!());
    let worker = Process::start(&mut prefix!().example_at(&broker, "examples-c/square_worker"));
    let program = "
import forebay
with forebay.Client() as client:
    numbers = [i * 7919 for i in range(1000)]
    squares = list(client.map('square', (str(number).encode() for number in numbers), timeout=60))
    assert squares == [str(number * number).encode() for number in numbers], squares
    future = client.submit('square', b'12')
    print(future.result(60), future.wait().headers['worker'][:2])
    try:
        client.call('square', 'twelve', timeout=60)
    except forebay.JobFailed as error:
        print(error)
";
    let said = run(&mut environment.python_at(&broker, &["-c", program]), SOON * 2).success();
    let expected = "b'144' b'c-'\nnot_a_number: the payload has to be a whole number from 0 to 4294967295\n";
    assert_eq!(said.text(), expected);
    worker.stop(SOON).success();
}

/// The gateway of the examples before the C plugin that answers requests, each in a process of its own.
#[test]
fn a_web_gateway_stands_before_a_plugin() {
    let Some(environment) = environment() else { return };
    let broker = Broker::start(binary!());
    let plugin = environment.folder().join("libweb.so");
    let flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"];
    prefix!().cc(&flags, &root().join("examples-c/plugins/web.c"), &plugin);
    let mut gateway = environment.python_at(&broker, &["-u"]);
    let gateway = Process::start(gateway.arg(source("examples/gateway.py")).arg("0"));
    let line = gateway.line_with("listening on ", SOON);
    let address = line.rsplit(' ').next().expect("an address");
    let program = "
import sys, threading, urllib.error, urllib.request
import forebay
sys.path.insert(0, sys.argv[2])
from gateway import Gateway
address = sys.argv[1]
request = urllib.request.Request(address + 'a%20b?c=d', b'some words', {'X-Colour': 'green'})
with urllib.request.urlopen(request) as response:
    page = response.read().decode()
    assert (response.status, response.headers['content-type']) == (200, 'text/plain; charset=utf-8')
    for line in 'REQUEST_METHOD=POST', 'PATH_INFO=/a b', 'QUERY_STRING=c=d', 'HTTP_X_COLOUR=green':
        assert line + '\\n' in page, page
    assert page.endswith('\\n10 bytes:\\nsome words'), page
def get(i):
    pages.append(urllib.request.urlopen(address + str(i)).read().decode())
pages, threads = [], [threading.Thread(target=get, args=(i,)) for i in range(50)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert sorted(page.split('PATH_INFO=/')[1].split()[0] for page in pages) == sorted(map(str, range(50)))
with forebay.Client() as client:
    said = []
    environ = {'REQUEST_METHOD': 'GET', 'PATH_INFO': '/', 'wsgi.input': sys.stdin.buffer}
    Gateway(client, 'nobody', timeout=0.2)(environ, lambda status, headers: said.append(status))
    Gateway(client)({**environ, 'CONTENT_LENGTH': str(1 << 30)}, lambda status, headers: said.append(status))
print(*said, sep=', ')
";
    let mut worker = command(prefix!().root().join("bin/forebay"));
    let worker = Process::start(
        worker.arg("worker").arg("--load").arg(&plugin).env("FOREBAY_BROKER", broker.endpoint()),
    );
    let folder = source("examples").display().to_string();
    let said =
        run(&mut environment.python_at(&broker, &["-c", program, address, &folder]), SOON * 2).success();
    assert_eq!(said.text(), "504 Gateway Timeout, 413 Content Too Large\n");
    worker.stop(SOON).success();
}

/// What Python has put away, a command of a worker host reads by its key, and puts its result away for Python.
#[test]
fn payloads_by_reference_for_a_command() {
    let Some(environment) = environment() else { return };
    let broker = Broker::start(binary!());
    let store = support::Folder::new();
    let mut worker = command(prefix!().root().join("bin/forebay"));
    worker.args([
        "worker",
        "--queue",
        "sort",
        "--retrieve",
        r#"cat "$STORE/${FOREBAY_KEY#forebay-stored:}""#,
    ]);
    let save = [
        r#"cat > "$STORE/$$""#,
        r#"key=$(sha256sum < "$STORE/$$")"#,
        r#"mv "$STORE/$$" "$STORE/${key%% *}""#,
        r#"printf %s "forebay-stored:${key%% *}""#,
    ];
    let save = save.join(" && ");
    worker.args(["--save", &save, "--", "sort"]).env("STORE", store.path()).env("LC_ALL", "C");
    let worker = Process::start(worker.env("FOREBAY_BROKER", broker.endpoint()));
    let program = "
import sys, forebay
store = forebay.FsspecStore('file://' + sys.argv[1], above=0)
lines = b''.join(b'%d\\n' % (i * 7919 % 10000) for i in range(10000, 20000))
with forebay.Client(store=store) as client:
    result = client.submit('sort', lines).wait(60)
    assert result.value() == b''.join(sorted(lines.splitlines(keepends=True))), result.value()
";
    let folder = store.path().display().to_string();
    run(&mut environment.python_at(&broker, &["-c", program, &folder]), SOON * 2).success();
    worker.stop(SOON).success();
}

/// A run followed by asyncio, with a bar; one that fails says so.
#[test]
fn a_program_takes_steps_as_they_end() {
    let Some(environment) = environment() else { return };
    let broker = Broker::start(binary!());
    let folder = support::Folder::new();
    let files: Vec<_> = ["b\nd\nf\n", "e\nc\n", "a\n"]
        .iter()
        .enumerate()
        .map(|(number, text)| {
            let file = folder.join(&format!("{number}.txt"));
            fs::write(&file, text).unwrap();
            file
        })
        .collect();
    let merge = |arguments: &[PathBuf]| {
        let mut python = environment.python_at(&broker, &[]);
        run(python.arg(source("examples/as_they_end.py")).arg("--progress").args(arguments), SOON * 2)
    };
    let said = merge(&files).success();
    assert_eq!(said.text(), "a\nb\nc\nd\ne\nf\n");
    let told = said.error_text();
    for expected in ["0.txt: 3 lines", "1.txt: 2 lines", "2.txt: 1 lines", "merge: 6 lines", "4/4"] {
        assert!(told.contains(expected), "no {expected} in {told}");
    }
    let said = merge(&[files[0].clone(), folder.join("missing.txt")]).code(1);
    let told = said.error_text();
    assert!(told.contains("JobFailed") && told.contains("missing.txt"), "{told}");
}

/// Files go through a payload store; what is old there is swept.
#[test]
fn a_program_carries_files_by_reference() {
    let Some(environment) = environment() else { return };
    let broker = Broker::start(binary!());
    let (store, folder) = (support::Folder::new(), support::Folder::new());
    let old = store.join(&"0".repeat(64));
    fs::write(&old, "nobody reads this any more").unwrap();
    fs::File::options().append(true).open(&old).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let file = folder.join("zeros");
    fs::write(&file, vec![0; 200_000]).unwrap();
    let mut python = environment.python_at(&broker, &[]);
    python
        .arg(source("examples/by_reference.py"))
        .arg(format!("file://{}", store.path().display()))
        .arg(&file);
    let said = run(&mut python, SOON * 2).success().text();
    assert!(said.starts_with("zeros: ") && said.ends_with(" bytes\n1 swept\n"), "{said}");
    assert!(folder.join("zeros.xz").exists());
    let kept = fs::read_dir(store.path()).unwrap().count();
    assert_eq!(kept, 1, "the file is put away, and its small result travels");
}

/// Each example of the package is run by a test here.
#[test]
fn every_example_is_run() {
    let tests = include_str!("main.rs");
    for entry in fs::read_dir(source("examples")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if !name.ends_with(".py") {
            continue;
        }
        assert!(tests.contains(&format!("source(\"examples/{name}\")")), "no test runs {name}");
    }
}

/// Ten documents from a web server of this machine, each fetched, read and counted by steps of one run; and its picture.
#[test]
fn ten_documents_through_a_pipeline() {
    let Some(environment) = environment() else { return };
    let broker = Broker::start(binary!());
    let folder = support::Folder::new();
    let page = |number: usize| {
        let links: String = (0..number % 4).map(|link| format!("<a href='/{link}'>to it</a> ")).collect();
        format!("<html><body><p>{}</p>{links}</body></html>", "some words ".repeat(number))
    };
    (0..10).for_each(|number| fs::write(folder.join(&format!("{number}.html")), page(number)).unwrap());
    let mut server = environment.python(&["-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]);
    let server = Process::start(server.arg("--directory").arg(folder.path()));
    let line = server.line_with("Serving HTTP on ", SOON);
    let port = line.split_once(" port ").and_then(|(_, rest)| rest.split(' ').next()).expect("a port");
    let mut documents = environment.python_at(&broker, &[]);
    documents.arg(source("examples/documents.py"));
    documents.args((0..10).map(|number| format!("http://127.0.0.1:{port}/{number}.html")));
    let said = run(&mut documents, SOON * 2).success();
    let expected: String = (0..10)
        .map(|number| format!("{} words, {} links\n", 2 * (number + number % 4), number % 4))
        .collect();
    assert_eq!(said.text(), expected);
    let picture =
        run(&mut broker.cli(&["pipeline", "show", said.error_text().trim(), "--svg"]), SOON).success();
    let picture = picture.text();
    assert!(picture.starts_with("<?xml") || picture.starts_with("<svg"), "{picture}");
    for step in
        (1..=10).flat_map(|number| ["fetch", "text", "words", "links"].map(|step| format!("{step} {number}")))
    {
        assert!(picture.contains(&step), "no {step} in {picture}");
    }
    assert!(picture.contains("collect"), "{picture}");
}

/// Whether the Python that makes the environments has a tool; without it the test is a skip by name.
fn has_module(tool: &str) -> bool {
    let python = environment::python();
    let found = Command::new(&python).args(["-m", tool, "--version"]).output();
    let is_there = found.is_ok_and(|output| output.status.success());
    if !is_there {
        skip(&format!("{python} has no {tool} to check the Python package with; pip install {tool}"));
    }
    is_there
}

#[test]
fn it_is_written_as_ruff_wants_it() {
    if !has_module("ruff") {
        return;
    }
    for arguments in [&["check"][..], &["format", "--check"]] {
        let mut ruff = command(environment::python());
        ruff.args(["-m", "ruff"]).args(arguments).arg("--no-cache").current_dir(source(""));
        run(&mut ruff, SOON).success();
    }
}

/// The annotations are complete and right, as mypy sees them, in the package and for those who use it.
#[test]
fn its_types_are_right() {
    if !has_module("mypy") {
        return;
    }
    let folder = support::Folder::new();
    let mypy = |arguments: &[&str]| {
        let mut mypy = command(environment::python());
        mypy.args(["-m", "mypy", "--cache-dir"]).arg(folder.path()).args(arguments);
        mypy.current_dir(source("")).env("MYPYPATH", source(""));
        run(&mut mypy, SOON * 8)
    };
    mypy(&["--config-file", "pyproject.toml"]).success();
    let typed = fs::read_to_string(source("tests/typed.py")).unwrap();
    let wrong = typed.replace("reply: int", "reply: str");
    assert_ne!(typed, wrong);
    let wrong_file = folder.join("wrong.py");
    fs::write(&wrong_file, wrong).unwrap();
    mypy(&["--strict", "tests/typed.py"]).success();
    let said = mypy(&["--strict", &wrong_file.display().to_string()]).code(1).text();
    assert!(said.contains("Incompatible types in assignment"), "{said}");
}
