//! The broker's end: one socket that serves all clients and workers at several addresses.
//!
//! Invariant: every peer that sent anything is reported once when it goes; a message is taken whole or not at all;
//! nothing is dropped silently, the sender learns that it was not taken.

use super::context::Context;
use super::curve::ServerCurve;
use super::endpoint::Endpoint;
use super::error::{Error, Result};
use super::frames::{Frames, Message};
use super::listen::{BACKLOG, IpcListener, tcp_error};
use super::monitor::Monitor;
use super::poll::{PollFds, Source};
use super::socket::{Common, Socket};
use super::zap::{Registration, user_of};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

/// What libzmq hands us as a message of a peer that went. A peer that sends these bytes itself is taken for gone:
/// it harms only itself.
const GONE: &[u8] = b"\0forebay gone";
/// How long closing waits until the ports are free again.
const UNBIND_MAX: Duration = Duration::from_secs(1);

/// How a [`Router`] treats its peers.
#[derive(Debug, Clone)]
pub struct RouterOptions {
    /// Messages queued for one peer before [`Router::send`] answers [`Sent::Full`].
    pub send_hwm: i32,
    /// Messages of one peer read ahead.
    pub receive_hwm: i32,
    /// How often a silent connection is probed; 0: never.
    pub heartbeat_ms: u64,
    /// A connection silent for so long counts as dropped. Keep it at or above the lease.
    pub heartbeat_timeout_ms: u64,
    /// A connection that has not introduced itself by then is closed.
    pub handshake_ms: u64,
    /// How long what was sent last may still be on its way after the router is dropped.
    pub linger_ms: u64,
    /// Keys for the TCP addresses among those bound. Without it they take anybody, unencrypted.
    pub curve: Option<ServerCurve>,
}

impl Default for RouterOptions {
    fn default() -> Self {
        Self {
            send_hwm: 10_000,
            receive_hwm: 10_000,
            heartbeat_ms: 10_000,
            heartbeat_timeout_ms: 30_000,
            handshake_ms: 10_000,
            linger_ms: 200,
            curve: None,
        }
    }
}

/// One connection of a peer, as long as it lasts. A peer that connects again gets another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(u64);

impl PeerId {
    /// A number without meaning, for tests and for tables.
    pub fn from_u64(id: u64) -> Self {
        Self(id)
    }

    /// The number.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peer-{:x}", self.0)
    }
}

/// Who a peer is, as far as the system or its key vouch for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `key:` and the public key of a CURVE connection, `uid:` and the user id of an ipc or inproc one, nothing for
    /// plain TCP.
    pub owner: Option<String>,
    /// The IP address of a TCP peer; empty for the others.
    pub address: String,
}

/// What [`Router::recv`] gives.
#[derive(Debug)]
pub enum FromPeer {
    /// A message.
    Packet {
        /// Who sent it.
        peer: PeerId,
        /// What was sent.
        frames: Frames,
        /// With the first message of each peer.
        identity: Option<Identity>,
    },
    /// The connection is gone; messages to it answer [`Sent::Gone`]. Comes once for each peer that ever sent one.
    Gone {
        /// Who went.
        peer: PeerId,
    },
}

/// What became of a message given to libzmq.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It waits to be sent. Only an answer of the other side means more.
    Queued,
    /// Nothing of it was taken: too much is waiting already, or there is no connection now.
    Full,
    /// The peer is not there.
    Gone,
}

/// The broker's socket.
pub struct Router {
    // Order of fields is order of closing: the socket before its rule, the files last.
    socket: Socket,
    zap: Option<Registration>,
    ipc: Vec<IpcListener>,
    endpoints: Vec<String>,
    has_inproc: bool,
    seen: HashSet<PeerId, BuildHasherDefault<PeerHasher>>,
    named: NamedPeers,
}

/// Peers that chose their own routing id, which other ZeroMQ libraries may do. Ours have ids made here, which are a
/// zero byte and a number.
#[derive(Default)]
struct NamedPeers {
    next: u64,
    ids: HashMap<Vec<u8>, PeerId>,
    names: HashMap<PeerId, Vec<u8>>,
}

impl Router {
    /// Binds all addresses or none. `endpoints` were parsed for [`super::Side::Bind`].
    pub fn bind(endpoints: &[Endpoint], options: &RouterOptions) -> Result<Self> {
        if endpoints.is_empty() {
            return Err(Error::address("no endpoint to listen at was given"));
        }
        let context = Context::shared()?;
        let socket = Socket::open(&context, zmq_sys::ZMQ_ROUTER)?;
        socket.set_common(&Common {
            send_hwm: options.send_hwm,
            receive_hwm: options.receive_hwm,
            linger_ms: options.linger_ms,
            handshake_ms: options.handshake_ms,
            heartbeat_ms: options.heartbeat_ms,
            heartbeat_timeout_ms: options.heartbeat_timeout_ms,
        })?;
        socket.set_int(zmq_sys::ZMQ_ROUTER_MANDATORY, 1)?;
        socket.set_int(zmq_sys::ZMQ_BACKLOG, BACKLOG)?;
        socket.set(zmq_sys::ZMQ_DISCONNECT_MSG, GONE)?;
        let mut router = Self {
            socket,
            zap: None,
            ipc: Vec::new(),
            endpoints: Vec::new(),
            has_inproc: false,
            seen: HashSet::default(),
            named: NamedPeers::default(),
        };
        // Plain ones first: keys, once set, hold for every address bound after them.
        for endpoint in endpoints.iter().filter(|endpoint| !endpoint.is_tcp()) {
            router.bind_local(endpoint)?;
        }
        if let (Some(curve), true) = (&options.curve, endpoints.iter().any(Endpoint::is_tcp)) {
            router.lock_up(&context, curve)?;
        }
        for endpoint in endpoints.iter().filter(|endpoint| endpoint.is_tcp()) {
            router.bind_tcp(endpoint)?;
        }
        router.order_as(endpoints);
        Ok(router)
    }

    /// Puts what was bound, local addresses before the others, into the order it was asked for.
    fn order_as(&mut self, asked: &[Endpoint]) {
        let (tcp, local): (Vec<_>, Vec<_>) = (0..asked.len()).partition(|&place| asked[place].is_tcp());
        let places = local.into_iter().chain(tcp);
        let mut bound: Vec<_> = places.zip(std::mem::take(&mut self.endpoints)).collect();
        bound.sort_by_key(|(place, _)| *place);
        self.endpoints = bound.into_iter().map(|(_, text)| text).collect();
    }

    fn bind_local(&mut self, endpoint: &Endpoint) -> Result<()> {
        let text = endpoint.bind_text();
        if let Endpoint::Ipc { path } = endpoint {
            let mut listener = IpcListener::bind(path)?;
            let bound = self.socket.set_int(zmq_sys::ZMQ_USE_FD, listener.fd()).and_then(|()| {
                self.socket.bind(&text).map_err(|errno| Error::errno(format_args!("listen at {text}"), errno))
            });
            self.socket.set_int(zmq_sys::ZMQ_USE_FD, -1)?;
            bound?;
            listener.handed_over();
            self.ipc.push(listener);
        } else {
            self.socket.bind(&text).map_err(|errno| match errno {
                libc::EADDRINUSE => Error::new(
                    super::ErrorKind::InUse,
                    format!("the address {text} is in use: another broker of this process listens there"),
                ),
                _ => Error::errno(format_args!("listen at {text}"), errno),
            })?;
            self.has_inproc = true;
        }
        self.endpoints.push(text);
        Ok(())
    }

    fn bind_tcp(&mut self, endpoint: &Endpoint) -> Result<()> {
        self.socket.set_int(zmq_sys::ZMQ_IPV6, endpoint.is_ipv6().into())?;
        let real = self
            .socket
            .bind(&endpoint.bind_text())
            .map_err(|errno| tcp_error(&endpoint.to_string(), errno))?;
        self.endpoints.push(real);
        Ok(())
    }

    /// From here on only CURVE with a key that is let in.
    fn lock_up(&mut self, context: &Context, curve: &ServerCurve) -> Result<()> {
        if !super::build().curve {
            return Err(Error::new(super::ErrorKind::Unsupported, "this build of libzmq has no CURVE"));
        }
        let zap = Registration::new(context, curve.allowed.clone())?;
        self.socket.set(zmq_sys::ZMQ_ZAP_DOMAIN, zap.domain().as_bytes())?;
        self.socket.set_int(zmq_sys::ZMQ_ZAP_ENFORCE_DOMAIN, 1)?;
        self.socket.set_int(zmq_sys::ZMQ_CURVE_SERVER, 1)?;
        self.socket.set_key(zmq_sys::ZMQ_CURVE_SECRETKEY, curve.keys.secret.expose())?;
        self.zap = Some(zap);
        Ok(())
    }

    /// Where it really listens, in the order asked for: ports that were left open are filled in.
    pub fn endpoints(&self) -> &[String] {
        &self.endpoints
    }

    /// Connections refused so far because of their key.
    pub fn refused(&self) -> u64 {
        self.zap.as_ref().map_or(0, Registration::refused)
    }

    /// The next message or departure, without waiting; `None` when there is none now. See [`Frames`] about memory.
    pub fn recv(&mut self) -> Result<Option<FromPeer>> {
        loop {
            let Some(routing_id) = self.socket.recv_frame()? else { return Ok(None) };
            let Some(first) = self.socket.recv_frame()? else { return Ok(None) };
            let peer = self.named.id_of(routing_id.as_ref());
            if first.as_ref() == GONE && !first.has_more() {
                self.named.forget(peer);
                if self.seen.remove(&peer) {
                    return Ok(Some(FromPeer::Gone { peer }));
                }
                continue; // It connected and never said anything.
            }
            let identity = self.seen.insert(peer).then(|| self.identify(&first));
            let frames = self.socket.recv_rest(first)?;
            return Ok(Some(FromPeer::Packet { peer, frames, identity }));
        }
    }

    /// Gives one message to a peer, without waiting. On [`Sent::Full`] and [`Sent::Gone`] nothing of it was taken.
    pub fn send(&mut self, peer: PeerId, frames: &Frames) -> Result<Sent> {
        // libzmq still takes messages for a while after it told us that the peer went.
        if !self.seen.contains(&peer) {
            return Ok(Sent::Gone);
        }
        let mut number = [0; 5];
        let Some(routing_id) = Message::copied(self.named.routing_id(peer, &mut number)) else {
            return Ok(Sent::Full);
        };
        let sent = self.socket.send_frame(routing_id, true).and_then(|()| self.socket.send(frames));
        match sent {
            Ok(()) => Ok(Sent::Queued),
            Err(libc::EAGAIN) => Ok(Sent::Full),
            Err(libc::EHOSTUNREACH) => Ok(Sent::Gone),
            Err(errno) => Err(Error::errno(format_args!("send to {peer}"), errno)),
        }
    }

    /// libzmq asks the system once, when the connection is made, so a descriptor used again cannot mislead us.
    fn identify(&self, message: &Message) -> Identity {
        let address = message.property(c"Peer-Address").unwrap_or_default();
        if let Some(key) = user_of(message) {
            return Identity { owner: Some(format!("key:{key}")), address };
        }
        if let Some(uid) = uid_of(&address) {
            return Identity { owner: Some(format!("uid:{uid}")), address: String::new() };
        }
        let is_inproc = self.has_inproc && address.is_empty() && message.property(c"Socket-Type").is_none();
        // SAFETY: cannot fail.
        let owner = is_inproc.then(|| format!("uid:{}", unsafe { libc::geteuid() }));
        Identity { owner, address }
    }

    /// Frees the addresses before the socket is closed, which libzmq does in its own time.
    fn unbind(&self) {
        let is_tcp = |text: &&String| text.starts_with("tcp://");
        for text in self.endpoints.iter().filter(|text| text.starts_with("inproc://")) {
            let _ = self.socket.unbind(text);
        }
        if !self.endpoints.iter().any(|text| is_tcp(&text)) {
            return;
        }
        let Ok(monitor) = Monitor::open(&self.socket, zmq_sys::ZMQ_EVENT_CLOSED) else { return };
        let asked =
            self.endpoints.iter().filter(is_tcp).filter(|text| self.socket.unbind(text).is_ok()).count();
        monitor.wait_for(asked, UNBIND_MAX);
        self.socket.stop_monitor();
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        if self.socket.is_usable() {
            self.unbind();
        } else {
            self.ipc.drain(..).for_each(IpcListener::forget);
        }
    }
}

impl Source for Router {
    fn has_unread(&self) -> Result<bool> {
        self.socket.has_unread()
    }

    fn add_fds(&self, fds: &mut PollFds) -> Result<()> {
        self.socket.add_fds(fds)
    }

    fn stayed_silent(&self) {
        self.socket.stayed_silent();
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").field("endpoints", &self.endpoints).field("peers", &self.seen.len()).finish()
    }
}

/// The user behind a Unix socket, whose address libzmq writes `localhost:UID:GID:PID`. Those of TCP are numeric.
fn uid_of(address: &str) -> Option<u32> {
    let mut fields = address.split(':');
    let (host, uid, gid, _pid) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let is_unix = matches!(host, "" | "localhost") && fields.next().is_none() && gid.parse::<u32>().is_ok();
    if is_unix { uid.parse().ok() } else { None }
}

impl NamedPeers {
    const FIRST: u64 = 1 << 32;

    fn id_of(&mut self, routing_id: &[u8]) -> PeerId {
        if let [0, number @ ..] = routing_id
            && let Ok(number) = <[u8; 4]>::try_from(number)
        {
            return PeerId(u32::from_be_bytes(number).into());
        }
        if let Some(peer) = self.ids.get(routing_id) {
            return *peer;
        }
        let peer = PeerId(Self::FIRST + self.next);
        self.next += 1;
        self.ids.insert(routing_id.to_vec(), peer);
        self.names.insert(peer, routing_id.to_vec());
        peer
    }

    fn routing_id<'a>(&'a self, peer: PeerId, number: &'a mut [u8; 5]) -> &'a [u8] {
        match u32::try_from(peer.0) {
            Ok(id) => {
                number[1..].copy_from_slice(&id.to_be_bytes());
                number
            }
            // An empty id is nobody's.
            Err(_) => self.names.get(&peer).map_or(&[], Vec::as_slice),
        }
    }

    fn forget(&mut self, peer: PeerId) {
        if let Some(name) = self.names.remove(&peer) {
            self.ids.remove(&name);
        }
    }
}

/// Peers' numbers are counted up by libzmq or by us, never chosen by a peer, so mixing them a little is enough.
#[derive(Default)]
struct PeerHasher(u64);

impl Hasher for PeerHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(26);
    }
}

#[cfg(test)]
mod tests {
    use super::uid_of;

    #[test]
    fn users_are_told_from_addresses() {
        assert_eq!(uid_of("localhost:1000:100:4711"), Some(1000));
        assert_eq!(uid_of(":1000:100:"), Some(1000));
        for address in
            ["", "127.0.0.1", "::1", "::1:2:3", "::", "1:2:3:4:5:6:7:8", "fe80::1%eth0", "localhost"]
        {
            assert_eq!(uid_of(address), None, "{address}");
        }
    }
}
