//! `forebay version`: what this is, and what is built into it.

use clap::Args;
use serde_json::json;

use crate::cli::exit::{Exit, Failed};

/// Says the version, and what is built in.
#[derive(Debug, Args)]
pub(crate) struct Version {
    /// As one JSON object.
    #[arg(long)]
    json: bool,
}

impl Version {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        let version = env!("CARGO_PKG_VERSION");
        if self.json {
            println!("{}", json!({ "forebay": version }));
        } else {
            println!("forebay {version}");
        }
        Ok(Exit::Done)
    }
}
