//! `forebay version`: what this is, and what is built into it.

use clap::Args;
use forebay::api::host;
use serde_json::json;

use crate::cli::exit::{Exit, Failed};
use crate::cli::show;

/// Says the version, and what is built in.
#[derive(Args, Debug)]
pub(crate) struct Version {
    /// As one JSON object.
    #[arg(long)]
    json: bool,
}

impl Version {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        let version = env!("CARGO_PKG_VERSION");
        let build = host::build();
        if self.json {
            show::line(json!({
                "forebay": version, "protocol": build.protocol, "libzmq": build.libzmq, "curve": build.curve,
                "draft": build.draft,
            }))?;
        } else {
            show::line(format_args!("forebay {version}"))?;
            show::line(format_args!("protocol {}, libzmq {}", build.protocol, build.libzmq))?;
        }
        Ok(Exit::Done)
    }
}
