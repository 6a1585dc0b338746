//! `forebay keygen`: the keys of encrypted connections.

use std::path::PathBuf;

use clap::Args;
use forebay::api::host;
use serde_json::json;

use crate::cli::exit::{Exit, Failed};
use crate::cli::show;

/// Makes a pair of CURVE keys: the file is the secret, the printed public key is for the other side.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  forebay keygen broker.key          prints the broker's public key
  forebay broker --listen tcp://0.0.0.0:7711 --key-file broker.key
  forebay call hello --data World --endpoint tcp://host:7711 --broker-key 'PUBLIC KEY'
A broker with --clients-file FILE lets in only the public keys listed there, one a line.")]
pub(crate) struct Keygen {
    /// The new file; only you can read it. One that is there is not overwritten.
    file: PathBuf,
    /// Prints the public key of a file that is there already.
    #[arg(long)]
    public: bool,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

impl Keygen {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        let public =
            if self.public { host::public_key_of(&self.file)? } else { host::generate_key_file(&self.file)? };
        match self.json {
            true => show::line(json!({ "file": self.file, "public": public }))?,
            false => show::line(public)?,
        }
        Ok(Exit::Done)
    }
}
