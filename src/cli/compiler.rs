//! The C compiler of the machine, for the one C file that the demo brings along.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::cli::exit::{Exit, Failed};
use crate::cli::prefix::Prefix;

/// Compiles one C file to a program that is linked to the prefix's shared library and finds it when it runs.
pub(crate) fn compile(prefix: &Prefix, source: &Path, program: &Path) -> Result<(), Failed> {
    let mut compiler = compiler()?;
    compiler.args(["-O2", "-I"]).arg(prefix.include()).arg(source).arg("-o").arg(program);
    // One argument each for the linker: a comma in a path would end `-Wl,-rpath,PATH` early.
    compiler
        .arg("-L")
        .arg(prefix.lib())
        .args(["-lforebay", "-Xlinker", "-rpath", "-Xlinker"])
        .arg(prefix.lib());
    let output = compiler
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Failed::new(Exit::System, format!("cannot run the C compiler: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failed::new(Exit::System, format!("{compiler:?} failed with {}:\n{said}", output.status)))
}

/// $CC with its arguments, else the first usual name that runs.
pub(crate) fn compiler() -> Result<Command, Failed> {
    let chosen = std::env::var("CC").unwrap_or_default();
    let mut tried = Vec::new();
    for name in [chosen.as_str(), "cc", "gcc", "clang"] {
        let mut words = name.split_whitespace();
        let Some(program) = words.next() else { continue };
        let asked = Command::new(program)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if asked.is_ok_and(|status| status.success()) {
            let mut command = Command::new(program);
            command.args(words);
            return Ok(command);
        }
        tried.push(program);
    }
    Err(Failed::new(
        Exit::System,
        format!(
            "no C compiler found (tried {}); install one, such as `apt install gcc libc6-dev`, `dnf install gcc` or \
             `apk add gcc musl-dev`, or name yours in CC",
            tried.join(", ")
        ),
    ))
}
