//! The prefix that C programs of the tests are built against, made by the binary's own routine
//! (`forebay prefix DIR`), and the examples built in it by their own Makefiles.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::{Broker, SOON, command, run};

/// A folder with `bin`, `include` and `lib`, made from the library this test run built.
pub struct Prefix {
    root: PathBuf,
    examples: OnceLock<PathBuf>,
}

impl Prefix {
    /// The one prefix of this process, in `scratch`. Use the macro `prefix!()`. Test processes that run at the
    /// same time share the folder: the routine replaces files whole, and a lock keeps the builds apart.
    #[track_caller]
    pub fn shared(binary: &Path, scratch: &Path) -> &'static Prefix {
        static PREFIX: OnceLock<Prefix> = OnceLock::new();
        PREFIX.get_or_init(|| {
            let root = scratch.join("prefix");
            let _alone = Alone::in_folder(scratch);
            run(command(binary).arg("prefix").arg(&root), SOON * 20).success();
            Prefix { root, examples: OnceLock::new() }
        })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `include` in it.
    pub fn include(&self) -> PathBuf {
        self.root.join("include")
    }

    /// `lib` in it.
    pub fn lib(&self) -> PathBuf {
        self.root.join("lib")
    }

    /// Compiles one C file to a program linked to the shared library. `flags` come before the file.
    #[track_caller]
    pub fn cc(&self, flags: &[&str], source: &Path, program: &Path) {
        self.compile("CC", "cc", flags, source, program);
    }

    /// Compiles one C++ file to a program linked to the shared library. `flags` come before the file.
    #[track_caller]
    pub fn cxx(&self, flags: &[&str], source: &Path, program: &Path) {
        self.compile("CXX", "c++", flags, source, program);
    }

    #[track_caller]
    fn compile(&self, variable: &str, fallback: &str, flags: &[&str], source: &Path, program: &Path) {
        let compiler = std::env::var(variable).unwrap_or_else(|_| fallback.to_owned());
        let mut compile = command(compiler);
        compile.args(flags).arg("-I").arg(self.include()).arg(source).arg("-o").arg(program);
        compile.arg("-L").arg(self.lib()).args(["-lforebay", "-lpthread", "-Xlinker", "-rpath", "-Xlinker"]);
        run(compile.arg(self.lib()), SOON * 4).success();
    }

    /// A C program of `tests/c`, as in `program("claims_worker")`, built once in each test process.
    #[track_caller]
    pub fn program(&self, name: &str) -> PathBuf {
        self.program_of("tests/c", name)
    }

    /// The same of another folder of the project.
    #[track_caller]
    pub fn program_of(&self, sources: &str, name: &str) -> PathBuf {
        static BUILT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
        let folder = self.root.with_file_name("programs");
        let program = folder.join(name);
        let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        if built.insert(name.to_owned()) {
            let _alone = Alone::in_folder(self.root.parent().expect("a folder in a folder"));
            fs::create_dir_all(&folder).expect("a folder for programs");
            let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
            let source = project.join(sources).join(name).with_extension("c");
            // Put in place whole: another test process may be running the one that is there.
            let fresh = program.with_extension(std::process::id().to_string());
            self.cc(&["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"], &source, &fresh);
            fs::rename(&fresh, &program).expect("a program in its place");
        }
        program
    }

    /// A program of `examples-c` or `examples-cpp`, as in `example("examples-c/hello_worker")`. All of them are
    /// built once, by their Makefiles, in a copy of their folders.
    #[track_caller]
    pub fn example(&self, program: &str) -> PathBuf {
        let built = self.examples.get_or_init(|| {
            let scratch = self.root.with_file_name("examples");
            let _alone = Alone::in_folder(self.root.parent().expect("a folder in a folder"));
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
            // Make knows nothing of the headers: when they changed, everything is built anew.
            let again =
                copy_changed(&self.include(), &scratch.join("headers")).expect("a copy of the headers");
            for folder in ["examples-c", "examples-cpp"] {
                let copy = scratch.join(folder);
                copy_changed(&source.join(folder), &copy).expect("a copy of the examples");
                let mut make = command("make");
                make.env_remove("MAKEFLAGS").arg("-j2").arg("-C").arg(&copy).args(again.then_some("-B"));
                run(make.arg(format!("PREFIX={}", self.root.display())), SOON * 10).success();
            }
            scratch
        });
        built.join(program)
    }

    /// An example as a command that finds the broker by itself.
    #[track_caller]
    pub fn example_at(&self, broker: &Broker, program: &str) -> std::process::Command {
        broker.program(self.example(program))
    }
}

/// Copies the plain files that changed, so that make builds again only what it has to. Says whether any had.
fn copy_changed(from: &Path, to: &Path) -> io::Result<bool> {
    let mut changed = false;
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let copy = to.join(entry.file_name());
        if entry.file_type()?.is_file() && fs::read(entry.path())? != fs::read(&copy).unwrap_or_default() {
            fs::copy(entry.path(), &copy)?;
            changed = true;
        }
    }
    Ok(changed)
}

/// Holds a lock over the folder that test processes share; given back when dropped.
struct Alone(fs::File);

impl Alone {
    fn in_folder(scratch: &Path) -> Alone {
        fs::create_dir_all(scratch).expect("cargo's folder for tests");
        let file =
            fs::File::create(scratch.join("prefix.lock")).expect("a lock file in cargo's folder for tests");
        // SAFETY: a plain system call on a descriptor that is open.
        let locked = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) };
        assert_eq!(locked, 0, "cannot lock: {}", io::Error::last_os_error());
        Alone(file)
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        // SAFETY: a plain system call on a descriptor that is open.
        unsafe { libc::flock(self.0.as_raw_fd(), libc::LOCK_UN) };
    }
}
