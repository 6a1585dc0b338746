//! A bare ZeroMQ proxy: what the sockets alone can do, as the yardstick of `forebay bench --bare`.
//!
//! Invariant: its sockets have the options of the broker's own, so that a comparison shows what the broker costs.

use super::context::Context;
use super::endpoint::Endpoint;
use super::error::{Error, Result};
use super::router::RouterOptions;
use super::socket::{Common, Socket};

/// ROUTER for clients, DEALER for workers, and nothing between them.
pub struct Proxy {
    clients: Socket,
    workers: Socket,
    endpoints: [String; 2],
}

impl Proxy {
    /// Binds both sides. The addresses were parsed for [`super::Side::Bind`].
    pub fn bind(clients: &Endpoint, workers: &Endpoint) -> Result<Self> {
        let context = Context::shared()?;
        let (clients, clients_at) = open(&context, zmq_sys::ZMQ_ROUTER, clients)?;
        let (workers, workers_at) = open(&context, zmq_sys::ZMQ_DEALER, workers)?;
        Ok(Self { clients, workers, endpoints: [clients_at, workers_at] })
    }

    /// Where clients and where workers connect, ports that were left open filled in.
    pub fn endpoints(&self) -> &[String; 2] {
        &self.endpoints
    }

    /// Passes messages on until the process ends; returns only why it cannot.
    pub fn run(self) -> Error {
        loop {
            // SAFETY: both sockets are open and used by this thread alone; there is no capture socket.
            unsafe { zmq_sys::zmq_proxy(self.clients.raw(), self.workers.raw(), std::ptr::null_mut()) };
            let error = Error::last("pass messages on");
            if super::error::last_errno() != libc::EINTR {
                return error;
            }
        }
    }
}

fn open(context: &Context, kind: u32, endpoint: &Endpoint) -> Result<(Socket, String)> {
    let socket = Socket::open(context, kind)?;
    let options = RouterOptions::default();
    socket.set_common(&Common {
        send_hwm: options.send_hwm,
        receive_hwm: options.receive_hwm,
        linger_ms: options.linger_ms,
        handshake_ms: options.handshake_ms,
        heartbeat_ms: options.heartbeat_ms,
        heartbeat_timeout_ms: options.heartbeat_timeout_ms,
    })?;
    let text = endpoint.bind_text();
    let real = socket.bind(&text).map_err(|errno| Error::errno(format_args!("listen at {text}"), errno))?;
    Ok((socket, real))
}
