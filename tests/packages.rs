//! The Debian packages: they install into a system of their own, programs are built with them and run a job, and they are
//! removed without a trace. The tarball has the same tree.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Broker, Folder, Process, SOON, binary, command, has_tool, run, skip};

const PACKAGES: [&str; 3] = ["libforebay0", "libforebay-dev", "forebay"];

/// Builds the packages from a tree that the installation laid out, as `make packages` does.
fn packages(folder: &Folder) -> PathBuf {
    let (stage, out) = (folder.join("stage"), folder.join("out"));
    run(command(binary!()).arg("prefix").arg(stage.join("usr")), SOON * 10).success();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bindings/c/packages.sh");
    run(command(script).arg(&stage).arg(&out), SOON * 10).success();
    out
}

/// Each target that the Makefile's first lines name, and that it would do what it says.
#[test]
fn make_has_the_targets_it_names() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let makefile = fs::read_to_string(root.join("Makefile")).expect("the Makefile");
    // What follows at once; `make` alone is followed by spaces.
    let lines = makefile.lines().filter_map(|line| line.strip_prefix("#     make "));
    let named: Vec<&str> =
        lines.filter_map(|line| line.split(' ').next()).filter(|word| !word.is_empty()).collect();
    assert!(named.contains(&"packages") && named.len() >= 6, "{named:?}");
    for target in named {
        let mut make = command("make");
        make.env_remove("MAKEFLAGS").current_dir(root).args(["--dry-run", target]);
        let said = run(&mut make, SOON).success().text();
        assert!(said.contains("cargo"), "make {target} would do:\n{said}");
    }
}

/// `dpkg` on a system below `root`, as its superuser: the real one, or one in a namespace of the user's.
fn dpkg(root: &Path) -> Command {
    // SAFETY: asks the system who runs this.
    let mut dpkg = if unsafe { libc::geteuid() } == 0 {
        command("dpkg")
    } else {
        let mut namespace = command("unshare");
        namespace.args(["--map-root-user", "dpkg"]);
        namespace
    };
    dpkg.arg(format!("--root={}", root.display())).arg("--force-depends");
    dpkg
}

/// A system without a package.
fn empty_system(folder: &Folder) -> PathBuf {
    let root = folder.join("system");
    let state = root.join("var/lib/dpkg");
    for name in ["info", "updates", "triggers"] {
        fs::create_dir_all(state.join(name)).expect("a folder");
    }
    fs::write(state.join("status"), "").expect("a file");
    root
}

/// Every file of the system that is not dpkg's own, by its path.
fn files(root: &Path) -> Vec<String> {
    let said =
        run(command("find").arg(root).args(["!", "-type", "d", "-printf", "%P\n"]), SOON).success().text();
    let mut found: Vec<_> =
        said.lines().filter(|path| !path.starts_with("var/")).map(str::to_owned).collect();
    found.sort();
    found
}

/// An example built by the words of the installed pkg-config file.
fn build(usr: &Path, name: &str, program: &Path) {
    let mut tool = command("pkg-config");
    tool.args(["--cflags", "--libs", "forebay"]).env("PKG_CONFIG_PATH", usr.join("lib/pkgconfig"));
    let flags = run(&mut tool, SOON).success().text();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples-c").join(name).with_extension("c");
    let mut cc = command("cc");
    cc.arg("-std=gnu11").arg(source).arg("-o").arg(program).args(flags.split_whitespace());
    run(cc.arg(format!("-Wl,-rpath,{}", usr.join("lib").display())), SOON).success();
}

#[test]
fn they_install_run_a_job_and_are_removed() {
    for (tool, package) in
        [("dpkg-deb", "dpkg"), ("dpkg-shlibdeps", "dpkg-dev"), ("pkg-config", "pkg-config")]
    {
        if !has_tool(tool, package) {
            return;
        }
    }
    let folder = Folder::new();
    let root = empty_system(&folder);
    if !run(dpkg(&root).arg("--list"), SOON).status.success() {
        return skip("dpkg cannot be the superuser here, nor in a namespace of its own");
    }
    let out = packages(&folder);
    let architecture = run(command("dpkg").arg("--print-architecture"), SOON).success().text();
    let ending = format!("{}_{}.deb", env!("CARGO_PKG_VERSION"), architecture.trim());
    let mut install = dpkg(&root);
    install.arg("--install").args(PACKAGES.map(|name| out.join(format!("{name}_{ending}"))));
    run(&mut install, SOON * 2).success();

    let usr = root.join("usr");
    let broker = Broker::start(&usr.join("bin/forebay"));
    for name in ["hello_worker", "hello_client"] {
        build(&usr, name, &folder.join(name));
    }
    let worker = Process::start(&mut broker.program(folder.join("hello_worker")));
    let said = run(broker.program(folder.join("hello_client")).arg("Debian"), SOON).success().text();
    assert_eq!(said, "Hello, Debian!\n");
    worker.stop(SOON).success();
    drop(broker);

    let tarball = format!("forebay-{}-{}.tar.gz", env!("CARGO_PKG_VERSION"), architecture.trim());
    let listed = run(command("tar").arg("-tzf").arg(out.join(tarball)), SOON).success().text();
    for path in files(&folder.join("stage")) {
        assert!(listed.lines().any(|line| line == path), "{path} is not in the tarball");
    }
    run(dpkg(&root).arg("--purge").args(PACKAGES), SOON * 2).success();
    assert_eq!(files(&root), Vec::<String>::new());
    assert!(!usr.exists(), "folders stayed");
}
