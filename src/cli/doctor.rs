//! `forebay doctor`: whether this machine and this user's settings are fit for forebay, and what to do if not.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use forebay::api::options::options;
use forebay::api::{Client, Options, Status, host};
use serde_json::json;

use crate::cli::connection::Connection;
use crate::cli::exit::{Exit, Failed};
use crate::cli::{compiler, prefix, show};

/// Open files a broker should be allowed: each connection takes one or two.
const OPEN_FILES_WANTED: u64 = 4_096;

/// Checks versions, encryption, addresses, limits and settings, and says what is wrong and what would be right.
#[derive(Args, Debug)]
#[command(after_help = "\
The exit code is 1 when something is wrong. What is only noted is no fault.")]
pub(crate) struct Doctor {
    /// One JSON array.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grade {
    Good,
    Noted,
    Wrong,
}

/// One thing that was looked at.
struct Finding {
    what: &'static str,
    grade: Grade,
    text: String,
}

fn good(what: &'static str, text: impl Into<String>) -> Finding {
    Finding { what, grade: Grade::Good, text: text.into() }
}

fn noted(what: &'static str, text: impl Into<String>) -> Finding {
    Finding { what, grade: Grade::Noted, text: text.into() }
}

fn wrong(what: &'static str, text: impl Into<String>) -> Finding {
    Finding { what, grade: Grade::Wrong, text: text.into() }
}

impl Doctor {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        let mut findings = vec![versions(), encryption(), settings()];
        findings.extend(unknown_variables());
        findings.extend([self.address(), self.broker(), open_files(), library(), c_compiler()]);
        for finding in &findings {
            let (grade, style) = match finding.grade {
                Grade::Good => ("ok", show::WELL),
                Grade::Noted => ("note", show::NOTED),
                Grade::Wrong => ("WRONG", show::WRONG),
            };
            if !self.json {
                let (what, text) = (finding.what, &finding.text);
                show::coloured_line(format_args!("{style}{grade:<6}{style:#} {what:<13} {text}"))?;
            }
        }
        if self.json {
            let list: Vec<_> = findings.iter().map(Finding::as_json).collect();
            show::line(json!(list))?;
        }
        let well = findings.iter().all(|finding| finding.grade != Grade::Wrong);
        Ok(if well { Exit::Done } else { Exit::NotDone })
    }

    /// The address that clients and workers use, and the folder it lies in.
    fn address(&self) -> Finding {
        const WHAT: &str = "address";
        let address = match self.connection.address() {
            Ok(address) => address,
            Err(failed) => return wrong(WHAT, failed.to_string()),
        };
        if let Err(failure) = host::check_endpoint(&address) {
            return wrong(WHAT, failure.to_string());
        }
        let Some(folder) = address.strip_prefix("ipc://").and_then(|path| Path::new(path).parent()) else {
            return good(WHAT, address);
        };
        match fs::metadata(folder) {
            Ok(about) if about.mode() & 0o022 != 0 => {
                let text = format!("{address}: others can write to {}; chmod 700 it", folder.display());
                wrong(WHAT, text)
            }
            Ok(_) => good(WHAT, address),
            Err(error) => {
                noted(WHAT, format!("{address}: {}: {error}; the broker makes it", folder.display()))
            }
        }
    }

    /// Whether somebody answers there.
    fn broker(&self) -> Finding {
        const WHAT: &str = "broker";
        const PATIENCE: Duration = Duration::from_secs(1);
        let asked = || {
            let endpoint = self.connection.address()?;
            let client = Client::open(Some(&endpoint), self.connection.options()?.client_settings()?)?;
            client.ready(Some(PATIENCE)).map(|()| client.broker_name()).map_err(|failure| {
                match failure.status {
                    Status::TimedOut => Failed::new(Exit::NoBroker, "none answers there"),
                    Status::Io => {
                        Failed::new(Exit::NoBroker, format!("none answers there: {}", failure.message))
                    }
                    _ => failure.into(),
                }
            })
        };
        match asked() {
            Ok(name) => good(WHAT, format!("answers, id {}", name.unwrap_or_default())),
            Err(failed) if failed.exit == Exit::NoBroker => noted(WHAT, failed.to_string()),
            Err(failed) => wrong(WHAT, failed.to_string()),
        }
    }
}

impl Finding {
    fn as_json(&self) -> serde_json::Value {
        let grade = match self.grade {
            Grade::Good => "ok",
            Grade::Noted => "note",
            Grade::Wrong => "wrong",
        };
        json!({ "what": self.what, "grade": grade, "text": self.text })
    }
}

fn versions() -> Finding {
    let build = host::build();
    let text = format!(
        "forebay {}, protocol {}, libzmq {}",
        env!("CARGO_PKG_VERSION"),
        build.protocol,
        build.libzmq
    );
    good("versions", text)
}

fn encryption() -> Finding {
    let build = host::build();
    match (build.curve, build.draft) {
        (true, true) => good("encryption", "libzmq has CURVE"),
        (false, _) => wrong("encryption", "libzmq was built without CURVE; build forebay as its README says"),
        (true, false) => {
            wrong("encryption", "libzmq was built without its draft interface, which forebay needs")
        }
    }
}

/// Whether every setting in the environment fits.
fn settings() -> Finding {
    const WHAT: &str = "settings";
    let options = Options::new();
    let read = || {
        options.client_settings()?;
        options.worker_settings()?;
        options.broker_settings()?;
        options.job_options().map(drop)
    };
    match read() {
        Ok(()) => good(WHAT, "what the environment says fits"),
        Err(failure) => wrong(WHAT, failure.to_string()),
    }
}

/// Variables that look like ours and are not.
fn unknown_variables() -> Option<Finding> {
    const OTHERS: [&str; 2] = ["FOREBAY_BROKER", "FOREBAY_LOG"];
    let known = |name: &str| {
        OTHERS.contains(&name) || options().iter().any(|row| row.variable().as_deref() == Some(name))
    };
    let strange: Vec<String> = std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with("FOREBAY_") && !known(name))
        .collect();
    (!strange.is_empty()).then(|| {
        wrong("settings", format!("no option is named {}; see `forebay options`", strange.join(", ")))
    })
}

/// How many files this process may open, as Linux tells.
fn open_files() -> Finding {
    const WHAT: &str = "open files";
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|rest| rest.split_whitespace().next()).map(str::parse::<u64>);
    match soft {
        Some(Ok(n)) if n < OPEN_FILES_WANTED => noted(
            WHAT,
            format!(
                "{n}; a broker with many connections wants {OPEN_FILES_WANTED}: `ulimit -n {OPEN_FILES_WANTED}`"
            ),
        ),
        Some(Ok(n)) => good(WHAT, n.to_string()),
        Some(Err(_)) => good(WHAT, "unlimited"),
        None => noted(WHAT, "the limit cannot be read here"),
    }
}

/// What C programs are built against.
fn library() -> Finding {
    const WHAT: &str = "C library";
    match (prefix::installed(), prefix::source()) {
        (Some(root), _) => good(WHAT, format!("installed in {}", root.display())),
        (None, Some(source)) => {
            good(WHAT, format!("not installed; the demo builds it from {}", source.display()))
        }
        (None, None) => noted(WHAT, "not installed beside this binary; C programs and the demo need it"),
    }
}

fn c_compiler() -> Finding {
    match compiler::compiler() {
        Ok(command) => good("C compiler", command.get_program().to_string_lossy()),
        Err(failed) => noted("C compiler", failed.to_string()),
    }
}
