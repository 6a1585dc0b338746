//! A peer's end: one socket for one connection to one address of a broker.
//!
//! Invariant: `Connected` and `Lost` alternate, beginning with `Connected`; a packet of a connection comes before
//! its `Lost`; whenever there is no connection, [`Dealer::failure`] knows why or is still finding out.

use super::context::Context;
use super::curve::ClientCurve;
use super::endpoint::Endpoint;
use super::error::{Error, ErrorKind, Result, plain};
use super::frames::Frames;
use super::monitor::{Event, Monitor};
use super::poll::{PollFds, Source};
use super::router::Sent;
use super::socket::{Common, Socket};
use std::time::{Duration, Instant};

/// What libzmq puts behind the last message of a connection that ended.
const LOST: &[u8] = b"\0forebay lost";
/// First and longest pause between attempts to connect.
const RECONNECT_MS: i32 = 50;
const RECONNECT_MS_MAX: i32 = 1_000;
/// A TCP connect that takes longer is begun again.
const CONNECT_MS_MAX: i32 = 5_000;
const HANDSHAKE_MS_MAX: u64 = 5_000;
/// Pause after a failure for which libzmq gives up and we do not.
const REVIVE: Duration = Duration::from_secs(1);
/// Silence of libzmq, without a connection, after which we begin anew. Longer than each attempt may take.
const SILENCE_MAX: Duration = Duration::from_secs(12);

const EVENTS: u32 = zmq_sys::ZMQ_EVENT_CONNECTED
    | zmq_sys::ZMQ_EVENT_CONNECT_DELAYED
    | zmq_sys::ZMQ_EVENT_CONNECT_RETRIED
    | zmq_sys::ZMQ_EVENT_CLOSED
    | zmq_sys::ZMQ_EVENT_DISCONNECTED
    | zmq_sys::ZMQ_EVENT_HANDSHAKE_SUCCEEDED
    | zmq_sys::ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq_sys::ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq_sys::ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;

/// The two ends speak different security mechanisms (`zmq.h`).
const MECHANISM_MISMATCH: u32 = 0x1100_0002;

/// How a [`Dealer`] connects.
#[derive(Debug, Clone)]
pub struct DealerOptions {
    /// Messages waiting to be sent before [`Dealer::send`] answers [`Sent::Full`].
    pub send_hwm: i32,
    /// Messages read ahead.
    pub receive_hwm: i32,
    /// How often a silent connection is probed; 0: never.
    pub heartbeat_ms: u64,
    /// A connection silent for so long counts as lost. Keep it at or above the lease.
    pub heartbeat_timeout_ms: u64,
    /// How long what was sent last may still be on its way after the dealer is dropped.
    pub linger_ms: u64,
    /// Keys for a TCP address; ipc and inproc need none and use none.
    pub curve: Option<ClientCurve>,
}

impl Default for DealerOptions {
    fn default() -> Self {
        Self {
            send_hwm: 100_000,
            receive_hwm: 100_000,
            heartbeat_ms: 10_000,
            heartbeat_timeout_ms: 30_000,
            linger_ms: 1_000,
            curve: None,
        }
    }
}

/// What [`Dealer::recv`] gives.
#[derive(Debug, PartialEq, Eq)]
pub enum FromBroker {
    /// There is a connection: [`Dealer::send`] takes messages from here on.
    Connected,
    /// A message.
    Packet(Frames),
    /// The connection is gone, and with it what was sent and had not arrived. A new one is being made.
    Lost,
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// True: trying again changes nothing, and is not done (keys that do not fit).
    pub is_permanent: bool,
    /// A sentence naming the address.
    pub text: String,
}

/// A peer's socket.
pub struct Dealer {
    socket: Socket,
    /// None for inproc, which libzmq reports nothing about.
    monitor: Option<Monitor>,
    endpoint: Endpoint,
    options: DealerOptions,
    state: State,
}

/// What is known of the connection.
struct State {
    /// `Connected` was given and `Lost` was not.
    is_up: bool,
    /// Connections made of which no `Connected` was given yet.
    unreported: u32,
    /// `Lost` is due although libzmq does not say so: the socket was replaced.
    owes_lost: bool,
    failure: Option<Failure>,
    /// Whether the failure of the attempt under way was explained.
    is_explained: bool,
    last_event: Instant,
    revive_at: Option<Instant>,
}

impl Dealer {
    /// Begins to connect and returns at once; the broker may come later. `endpoint` was parsed for
    /// [`super::Side::Connect`].
    pub fn connect(endpoint: &Endpoint, options: &DealerOptions) -> Result<Self> {
        let context = Context::shared()?;
        let socket = Socket::open(&context, zmq_sys::ZMQ_DEALER)?;
        socket.set_common(&Common {
            send_hwm: options.send_hwm,
            receive_hwm: options.receive_hwm,
            linger_ms: options.linger_ms,
            handshake_ms: HANDSHAKE_MS_MAX,
            heartbeat_ms: options.heartbeat_ms,
            heartbeat_timeout_ms: options.heartbeat_timeout_ms,
        })?;
        // With ZMQ_IMMEDIATE libzmq throws away what was received and not yet read when a connection ends, and LOST
        // with it. Without, it keeps what was not sent for the next connection; so a lost socket is replaced.
        socket.set_int(zmq_sys::ZMQ_IMMEDIATE, 0)?;
        socket.set_int(zmq_sys::ZMQ_RECONNECT_IVL, RECONNECT_MS)?;
        socket.set_int(zmq_sys::ZMQ_RECONNECT_IVL_MAX, RECONNECT_MS_MAX)?;
        socket.set_int(zmq_sys::ZMQ_CONNECT_TIMEOUT, CONNECT_MS_MAX)?;
        socket.set_int(zmq_sys::ZMQ_IPV6, endpoint.is_ipv6().into())?;
        socket.set(zmq_sys::ZMQ_HICCUP_MSG, LOST)?;
        if let (Some(curve), true) = (&options.curve, endpoint.is_tcp()) {
            socket.set_key(zmq_sys::ZMQ_CURVE_SERVERKEY, curve.broker_key.as_str())?;
            socket.set_key(zmq_sys::ZMQ_CURVE_PUBLICKEY, curve.keys.public.as_str())?;
            socket.set_key(zmq_sys::ZMQ_CURVE_SECRETKEY, curve.keys.secret.expose())?;
        }
        let is_inproc = matches!(endpoint, Endpoint::Inproc { .. });
        let monitor = if is_inproc { None } else { Some(Monitor::open(&socket, EVENTS)?) };
        let dealer = Self {
            socket,
            monitor,
            endpoint: endpoint.clone(),
            options: options.clone(),
            state: State {
                is_up: false,
                // inproc always connects, if need be to a broker that binds later.
                unreported: is_inproc.into(),
                owes_lost: false,
                failure: None,
                is_explained: false,
                last_event: Instant::now(),
                revive_at: None,
            },
        };
        dealer.socket.connect(&endpoint.to_string()).map_err(|errno| match errno {
            libc::EINVAL => {
                Error::new(ErrorKind::Address, format!("the endpoint `{endpoint}` cannot be connected to"))
            }
            _ => Error::errno(format_args!("connect to {endpoint}"), errno),
        })?;
        Ok(dealer)
    }

    /// Where it connects.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Whether there is a connection, as far as [`Dealer::recv`] has told.
    pub fn is_connected(&self) -> bool {
        self.state.is_up
    }

    /// Why there is no connection; `None` while there is one or the first attempt is under way.
    pub fn failure(&self) -> Option<&Failure> {
        if self.state.is_up { None } else { self.state.failure.as_ref() }
    }

    /// The next thing that happened, without waiting; `None` when there is nothing now. See [`Frames`] about memory.
    pub fn recv(&mut self) -> Result<Option<FromBroker>> {
        if std::mem::take(&mut self.state.owes_lost) {
            return Ok(Some(FromBroker::Lost));
        }
        if !self.state.is_up {
            self.keep_trying()?;
            self.read_monitor()?;
            if self.state.unreported > 0 {
                self.state.unreported -= 1;
                self.state.is_up = true;
                self.state.failure = None;
                self.state.revive_at = None;
                return Ok(Some(FromBroker::Connected));
            }
        }
        while let Some(frames) = self.socket.recv()? {
            if frames.len() > 1 || frames.first() != LOST {
                return Ok(Some(FromBroker::Packet(frames)));
            }
            let was_up = std::mem::take(&mut self.state.is_up);
            self.state.failure = Some(self.temporary("the connection was lost"));
            // Without the means for a new socket the old one serves on: libzmq connects it again.
            match self.begin_anew() {
                Ok(()) => {}
                Err(_) => self.state.last_event = Instant::now(),
            }
            if was_up {
                return Ok(Some(FromBroker::Lost));
            }
        }
        Ok(None)
    }

    /// Gives one message to libzmq, without waiting. On [`Sent::Full`] nothing of it was taken; that is always the
    /// answer without a connection.
    pub fn send(&mut self, frames: &Frames) -> Result<Sent> {
        if !self.state.is_up {
            return Ok(Sent::Full);
        }
        match self.socket.send(frames) {
            Ok(()) => Ok(Sent::Queued),
            Err(libc::EAGAIN) => Ok(Sent::Full),
            Err(errno) => Err(Error::errno(format_args!("send to {}", self.endpoint), errno)),
        }
    }

    /// Drops the connection, if any, and begins anew; also after a permanent failure. For a broker that is connected
    /// but does not answer, and for inproc, where libzmq does not notice that the broker went.
    pub fn reconnect(&mut self) -> Result<()> {
        let owes_lost = self.state.is_up || self.state.owes_lost;
        self.begin_anew()?;
        self.state.owes_lost = owes_lost;
        Ok(())
    }

    /// Replaces the socket, with all that waited in it.
    fn begin_anew(&mut self) -> Result<()> {
        let mut fresh = Self::connect(&self.endpoint, &self.options)?;
        fresh.state.failure = self.state.failure.take().filter(|failure| !failure.is_permanent);
        self.socket.set_int(zmq_sys::ZMQ_LINGER, 0)?;
        *self = fresh;
        Ok(())
    }

    /// Begins anew where libzmq has given up.
    fn keep_trying(&mut self) -> Result<()> {
        match self.wakes_at() {
            Some(at) if Instant::now() >= at => self.reconnect(),
            _ => Ok(()),
        }
    }

    /// When [`Dealer::keep_trying`] has something to do.
    fn wakes_at(&self) -> Option<Instant> {
        let is_permanent = self.state.failure.as_ref().is_some_and(|failure| failure.is_permanent);
        if self.state.is_up || self.state.unreported > 0 || self.monitor.is_none() || is_permanent {
            return None;
        }
        Some(self.state.revive_at.unwrap_or(self.state.last_event + SILENCE_MAX))
    }

    fn read_monitor(&mut self) -> Result<()> {
        while let Some(monitor) = &self.monitor
            && let Some(event) = monitor.next()?
        {
            self.state.last_event = Instant::now();
            self.note(event);
        }
        Ok(())
    }

    fn note(&mut self, event: Event) {
        let failure = match event.kind {
            zmq_sys::ZMQ_EVENT_HANDSHAKE_SUCCEEDED => {
                self.state.unreported += 1;
                self.state.is_explained = false;
                None
            }
            zmq_sys::ZMQ_EVENT_CLOSED => Some(self.closed(event.value)),
            zmq_sys::ZMQ_EVENT_DISCONNECTED if !self.state.is_explained => {
                Some(self.temporary("the connection was lost"))
            }
            zmq_sys::ZMQ_EVENT_CONNECT_RETRIED => {
                // Every other way to fail says something first.
                let is_explained = std::mem::take(&mut self.state.is_explained);
                let text = "the host name could not be resolved, or no socket was to be had";
                if !is_explained {
                    self.state.failure = Some(self.temporary(text));
                }
                None
            }
            zmq_sys::ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL => Some(self.temporary(match self.is_secured() {
                true => "the other side closed during the handshake; is the broker key its public key?",
                false => "the other side closed during the handshake; is that a forebay broker?",
            })),
            zmq_sys::ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL => Some(self.mismatched(event.value)),
            zmq_sys::ZMQ_EVENT_HANDSHAKE_FAILED_AUTH => Some(self.refused(event.value)),
            _ => None,
        };
        if let Some(failure) = failure {
            self.state.is_explained = true;
            self.state.failure = Some(failure);
        }
    }

    fn is_secured(&self) -> bool {
        self.options.curve.is_some() && self.endpoint.is_tcp()
    }

    fn temporary(&self, why: &str) -> Failure {
        Failure { is_permanent: false, text: format!("no connection to {}: {why}", self.endpoint) }
    }

    fn closed(&self, fd: u32) -> Failure {
        let errno = i32::try_from(fd).map_or(0, |fd| zmq_sys::forebay_zmq_connect_error(fd));
        if errno == 0 {
            return self.temporary("nobody answered in time");
        }
        let cause = plain(&std::io::Error::from_raw_os_error(errno));
        self.temporary(&match errno {
            libc::ENOENT | libc::ECONNREFUSED => format!("{cause}; is the broker running?"),
            _ => cause,
        })
    }

    fn mismatched(&mut self, detail: u32) -> Failure {
        if detail != MECHANISM_MISMATCH {
            self.state.revive_at = Some(Instant::now() + REVIVE);
            return self.temporary("the other side speaks another protocol; is that a forebay broker?");
        }
        let why = match self.is_secured() {
            true => "a broker key is given, but the broker there takes no encrypted connections",
            false => {
                "the broker there takes encrypted connections only: give its public key as the broker key"
            }
        };
        Failure { is_permanent: true, ..self.temporary(why) }
    }

    fn refused(&mut self, status: u32) -> Failure {
        if status != 400 {
            self.state.revive_at = Some(Instant::now() + REVIVE);
            return self.temporary("the broker could not check our key just now");
        }
        let key = self.options.curve.as_ref().map_or("", |curve| curve.keys.public.as_str());
        let why = format!("the broker refuses our key; its key list lacks {key}");
        Failure { is_permanent: true, ..self.temporary(&why) }
    }
}

impl Drop for Dealer {
    fn drop(&mut self) {
        // Before the monitor's own socket goes, or libzmq's thread would wait for a reader.
        if self.monitor.is_some() && self.socket.is_usable() {
            self.socket.stop_monitor();
        }
    }
}

impl Source for Dealer {
    fn has_unread(&self) -> Result<bool> {
        if self.state.owes_lost {
            return Ok(true);
        }
        if !self.state.is_up {
            if self.state.unreported > 0 {
                return Ok(true);
            }
            if let Some(monitor) = &self.monitor
                && monitor.source().has_unread()?
            {
                return Ok(true);
            }
        }
        self.socket.has_unread()
    }

    fn add_fds(&self, fds: &mut PollFds) -> Result<()> {
        self.socket.add_fds(fds)?;
        // While connected everything comes by the socket, the end of the connection too.
        match &self.monitor {
            Some(monitor) if !self.state.is_up => monitor.source().add_fds(fds),
            _ => Ok(()),
        }
    }

    fn sleep_max(&self) -> Option<Duration> {
        self.wakes_at().map(|at| at.saturating_duration_since(Instant::now()))
    }

    fn stayed_silent(&self) {
        self.socket.stayed_silent();
    }
}

impl std::fmt::Debug for Dealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dealer")
            .field("endpoint", &self.endpoint)
            .field("is_connected", &self.state.is_up)
            .field("failure", &self.failure())
            .finish()
    }
}
