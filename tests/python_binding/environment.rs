//! A fresh virtual environment with the wheel of this test run in it.
//!
//! Invariant: nothing comes from the network, and nothing of the source folder is imported.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use support::{Broker, Folder, SOON, command, prefix, run, skip};

use support::header::root;

/// The environment; gone when the last test that uses it has ended.
pub(crate) struct Environment {
    folder: Folder,
    /// The wheel's file name.
    pub(crate) wheel: String,
}

/// What the package and its extras need, each a wheel.
const NEEDED: [&str; 4] = ["msgpack", "numpy", "fsspec", "tqdm"];

/// The one environment of the tests that run now. `None` when Python, its venv or a wheel is not there, which is a skip by
/// name.
pub(crate) fn environment() -> Option<Arc<Environment>> {
    static SHARED: Mutex<Weak<Environment>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = shared.upgrade() {
        return Some(environment);
    }
    let wheels = match what_is_needed() {
        Ok(wheels) => wheels,
        Err(why) => {
            skip(&format!(
                "{why}; the Python package's tests need python3 with venv (Debian: python3-venv) and a folder with \
                 wheels: pip download -d WHEELS {}; FOREBAY_WHEELS=WHEELS",
                NEEDED.join(" ")
            ));
            return None;
        }
    };
    let environment = Arc::new(Environment::new(&wheels));
    *shared = Arc::downgrade(&environment);
    Some(environment)
}

/// The Python that makes the environment: the one FOREBAY_PYTHON names, else python3.
pub(crate) fn python() -> String {
    std::env::var("FOREBAY_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// The folder with wheels, or what is missing.
fn what_is_needed() -> Result<PathBuf, String> {
    let output = Command::new(python()).args(["-c", "import venv, ensurepip, ctypes"]).output();
    let output = output.map_err(|error| format!("{}: {error}", python()))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let wheels = PathBuf::from(std::env::var_os("FOREBAY_WHEELS").ok_or("FOREBAY_WHEELS names no folder")?);
    let listed = fs::read_dir(&wheels).map_err(|error| format!("{}: {error}", wheels.display()))?;
    let names: Vec<String> =
        listed.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    match NEEDED.iter().find(|needed| !names.iter().any(|name| name.starts_with(&format!("{needed}-")))) {
        Some(missing) => Err(format!("{} has no wheel of {missing}", wheels.display())),
        None => Ok(wheels),
    }
}

impl Environment {
    fn new(wheels: &Path) -> Environment {
        let folder = Folder::new();
        let mut build = command(python());
        build.arg("-B").arg(root().join("bindings/python/build_wheel.py"));
        build.arg("--library").arg(prefix!().lib().join("libforebay.so.0")).arg("--out").arg(folder.path());
        let said = run(&mut build, SOON * 2).success().text();
        let wheel = Path::new(said.trim()).file_name().expect("a file").to_string_lossy().into_owned();
        run(command(python()).args(["-m", "venv"]).arg(folder.join("venv")), SOON * 4).success();
        let environment = Environment { folder, wheel };
        let mut pip =
            environment.python(&["-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-index"]);
        let wheel = environment.folder.join(&environment.wheel);
        pip.arg("--find-links").arg(wheels).arg(format!("{}[numpy,store,progress]", wheel.display()));
        run(&mut pip, SOON * 4).success();
        environment
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its Python, somewhere the sources are not.
    pub(crate) fn python(&self, arguments: &[&str]) -> Command {
        let mut python = command(self.folder.join("venv/bin/python"));
        python.args(arguments).current_dir(self.folder.path()).env("PYTHONDONTWRITEBYTECODE", "1");
        for name in ["PYTHONPATH", "PYTHONHOME"] {
            python.env_remove(name);
        }
        python
    }

    /// The same with the broker's address.
    pub(crate) fn python_at(&self, broker: &Broker, arguments: &[&str]) -> Command {
        let mut python = self.python(arguments);
        python.env("FOREBAY_BROKER", broker.endpoint());
        python
    }
}
