//! The same echo through a bare ZeroMQ proxy: what the broker is measured beside. Proxy and worker are processes of
//! their own, as broker and worker are.

use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use forebay::api::bare::{self, Client};

use super::Transport;
use super::echo::{Pattern, changed};
use super::measure::Echo;
use crate::cli::child::{self, Child};
use crate::cli::exit::{Exit, Failed};
use crate::cli::show;

/// Passes messages on, as a broker without jobs would.
#[derive(Args, Debug)]
pub(crate) struct BareProxy {
    /// Where clients connect.
    clients: String,
    /// Where workers connect.
    workers: String,
}

impl BareProxy {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        let bound = |endpoints: &[String; 2]| {
            for endpoint in endpoints {
                // Without a reader nobody will connect.
                let _ = show::line(format_args!("listening on {endpoint}"));
            }
        };
        Err(bare::proxy(&self.clients, &self.workers, bound).into())
    }
}

/// Sends every message back.
#[derive(Args, Debug)]
pub(crate) struct BareEcho {
    /// The proxy's address for workers.
    workers: String,
}

impl BareEcho {
    pub(crate) fn run(self) -> Result<Exit, Failed> {
        Err(bare::echo(&self.workers).into())
    }
}

/// A proxy and a worker of the command's own, and a client to them. They end with it.
pub(super) struct ThroughProxy {
    client: Client,
    pattern: Pattern,
    messages: Vec<Bytes>,
    _processes: [Child; 2],
    _scratch: tempfile::TempDir,
}

impl ThroughProxy {
    pub(super) fn start(transport: Transport, size: usize) -> Result<Self, Failed> {
        let scratch = child::scratch()?;
        let address = |name: &str| match transport {
            Transport::Ipc => format!("ipc://{}", scratch.path().join(name).display()),
            Transport::Tcp => "tcp://127.0.0.1:0".to_owned(),
        };
        let mut proxy = Child::own(&["bare-proxy", &address("clients"), &address("workers")])?;
        let mut proxy = Child::start("the bare proxy", &mut proxy)?;
        let (clients, workers) = (proxy.line("listening on ")?, proxy.line("listening on ")?);
        let worker = Child::start("the bare worker", &mut Child::own(&["bare-echo", &workers])?)?;
        let client = Client::connect(&clients)?;
        Ok(ThroughProxy {
            client,
            pattern: Pattern::new(size),
            messages: Vec::new(),
            _processes: [worker, proxy],
            _scratch: scratch,
        })
    }
}

impl Echo for ThroughProxy {
    fn send(&mut self, tags: &[u64]) -> Result<(), Failed> {
        tags.iter().try_for_each(|tag| Ok(self.client.send(self.pattern.payload(*tag))?))
    }

    fn receive(&mut self, tags: &mut Vec<u64>, wait: Duration) -> Result<(), Failed> {
        self.client.receive(&mut self.messages, wait)?;
        for message in self.messages.drain(..) {
            let tag = self.pattern.tag_of(&message).ok_or_else(|| changed("through the bare proxy"))?;
            tags.push(tag);
        }
        Ok(())
    }
}
