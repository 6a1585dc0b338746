//! The connection of a command to a broker: where it is, and what is said when nobody answers there.

use std::process::Command;
use std::time::Duration;

use clap::Args;
use forebay::api::{self, Client, ClientSettings, Options, Status};

use crate::cli::exit::{Exit, Failed};
use crate::cli::flags::{ClientFlags, Flags, Sources};
use crate::cli::time;

/// Where the broker is and how to reach it.
#[derive(Args, Clone, Debug)]
pub(crate) struct Connection {
    /// The broker's address: ipc://PATH, tcp://HOST:PORT; several, separated by commas, are tried in turn.
    /// Default: $FOREBAY_BROKER, else the address of this user's own broker on this machine.
    #[arg(short, long, value_name = "ADDRESS", help_heading = "The connection")]
    endpoint: Option<String>,
    /// How long to wait for the broker to answer, such as 500ms or 10s.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time::parse,
          help_heading = "The connection", hide_short_help = true)]
    connect: Duration,
    #[command(flatten)]
    flags: Flags<ClientFlags>,
    #[command(flatten)]
    sources: Sources,
}

impl Connection {
    /// All options that were said, the connection's and whatever `--set` and `--config` hold besides.
    pub(crate) fn options(&self) -> Result<Options, Failed> {
        let mut options = self.sources.options()?;
        self.flags.apply(&mut options)?;
        Ok(options)
    }

    /// A client that the broker has answered.
    pub(crate) fn open(&self) -> Result<Client, Failed> {
        self.open_with(self.options()?.client_settings()?)
    }

    /// The same with settings of the command's own.
    pub(crate) fn open_with(&self, settings: ClientSettings) -> Result<Client, Failed> {
        let client = Client::open(self.endpoint.as_deref(), settings)?;
        match client.ready(Some(self.connect)) {
            Ok(()) => Ok(client),
            Err(failure) if matches!(failure.status, Status::TimedOut | Status::Io) => {
                let waited = time::show(self.connect);
                let why = if failure.message.is_empty() { String::new() } else { format!(" ({failure})") };
                Err(Failed::new(
                    Exit::NoBroker,
                    format!(
                        "no broker answers at {} within {waited}{why}; start one with `forebay broker`, or name \
                         another with --endpoint or FOREBAY_BROKER",
                        self.address()?
                    ),
                ))
            }
            Err(failure) => Err(failure.into()),
        }
    }

    /// Whether the user named a broker on the command line.
    pub(crate) fn is_chosen(&self) -> bool {
        self.endpoint.is_some()
    }

    /// Tells another process of this program how to reach the broker: all that was said here, but the address.
    pub(crate) fn hand_on(&self, command: &mut Command) -> Result<(), Failed> {
        let options = self.options()?;
        for key in ["broker_key", "key_file"] {
            if let Some(value) = options.get(&format!("client.{key}"))? {
                command.arg("--set").arg(format!("worker.{key}={value}"));
            }
        }
        Ok(())
    }

    /// The address in use.
    pub(crate) fn address(&self) -> Result<String, Failed> {
        match &self.endpoint {
            Some(endpoint) => Ok(endpoint.clone()),
            None => Ok(api::default_endpoint()?),
        }
    }
}
