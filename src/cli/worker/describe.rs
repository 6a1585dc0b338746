//! What plugins say of themselves, asked in a process of its own: a host runs none of their code, not even what runs when they are
//! opened.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use crate::cli::ask::rows;
use crate::cli::child::Child;
use crate::cli::exit::{Exit, Failed};
use crate::cli::worker::slot;
use crate::cli::{show, signals};
use crate::slot::declared;

/// What the line begins with that says it: plugins may write to standard output, too.
const PREFIX: &str = "forebay plugins: ";

/// Says what plugins say of themselves. Only the host starts it.
#[derive(Args, Debug)]
pub(crate) struct DescribeCommand {
    /// The shared library.
    #[arg(long)]
    library: PathBuf,
    /// The process that asks.
    #[arg(long)]
    parent: i32,
    /// The plugins.
    files: Vec<String>,
}

/// What the plugins of a host declare, all together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) queues: Vec<String>,
    pub(super) params: Vec<String>,
}

impl DescribeCommand {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        if !signals::end_with(self.parent) {
            return Ok(Exit::Done);
        }
        slot::open(&self.library)?;
        let all = self.files.iter().map(|file| declared(file)).collect::<Result<Vec<_>, _>>()?;
        let all: Vec<Value> =
            all.into_iter().map(|one| json!({ "queues": one.queues, "params": one.params })).collect();
        show::line(format_args!("{PREFIX}{}", json!({ "plugins": all })))?;
        Ok(Exit::Done)
    }
}

/// Asks plugins. What is wrong with them is not said here: their first process says it.
pub(super) fn ask(library: &Path, files: &[String]) -> Option<Declared> {
    let parent = std::process::id().to_string();
    let mut command = Child::own(&["describe", "--parent", &parent, "--library"]).ok()?;
    command.arg(library).args(files).stderr(std::process::Stdio::null());
    let line = Child::start("the process that asks plugins", &mut command).ok()?.line(PREFIX).ok()?;
    let said: Value = serde_json::from_str(&line).ok()?;
    let texts = |field: &str| {
        let all = rows(&said, "plugins").iter().flat_map(|plugin| rows(plugin, field));
        all.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    Some(Declared { queues: texts("queues"), params: texts("params") })
}
