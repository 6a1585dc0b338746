//! Who may connect: the answers to libzmq's authentication requests (ZeroMQ RFC 27).
//!
//! Invariant: the authenticator is bound before the first address that needs it and outlives the last; a request
//! for a domain nobody registered is refused. Without it libzmq would let everybody in.

use super::context::Context;
use super::curve::{Allowed, PublicKey};
use super::error::{Error, Result};
use super::frames::{Frames, Message};
use super::poll::Poller;
use super::socket::Socket;
use super::thread::spawn_quiet;
use super::wake::Waker;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Where libzmq looks for it, in the context of the socket that accepts.
const ADDRESS: &str = "inproc://zeromq.zap.01";

/// The context's authenticator while anybody needs it.
pub(crate) struct Zap {
    shared: Arc<Shared>,
    stop: Waker,
    thread: JoinHandle<()>,
    users: usize,
}

struct Shared {
    is_ending: AtomicBool,
    domains: Mutex<HashMap<String, Domain>>,
}

struct Domain {
    allowed: Allowed,
    refused: Arc<AtomicU64>,
}

/// One broker's rule; it holds until this is dropped.
pub(crate) struct Registration {
    context: Context,
    domain: String,
    refused: Arc<AtomicU64>,
}

impl Registration {
    /// Has connections of a new domain judged by `allowed`.
    pub(crate) fn new(context: &Context, allowed: Allowed) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let domain = format!("forebay-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let refused = Arc::new(AtomicU64::new(0));
        let mut slot = context.zap().lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() {
            *slot = Some(Zap::start(context)?);
        }
        if let Some(zap) = slot.as_mut() {
            zap.users += 1;
            let mut domains = zap.shared.domains.lock().unwrap_or_else(PoisonError::into_inner);
            domains.insert(domain.clone(), Domain { allowed, refused: refused.clone() });
        }
        drop(slot);
        Ok(Self { context: context.clone(), domain, refused })
    }

    /// The domain to set on the socket, together with `ZMQ_ZAP_ENFORCE_DOMAIN`.
    pub(crate) fn domain(&self) -> &str {
        &self.domain
    }

    /// Connections refused so far.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if self.context.generation() != super::context::generation() {
            return; // A forked child: the thread is not here, and its lock may be held for ever.
        }
        let mut slot = self.context.zap().lock().unwrap_or_else(PoisonError::into_inner);
        let Some(zap) = slot.as_mut() else { return };
        zap.shared.domains.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.domain);
        zap.users -= 1;
        if zap.users == 0 {
            // The lock is held until the address is free again, so that the next user can bind it.
            if let Some(zap) = slot.take() {
                zap.shared.is_ending.store(true, Ordering::SeqCst);
                zap.stop.wake();
                let _ = zap.thread.join();
            }
        }
    }
}

impl Zap {
    fn start(context: &Context) -> Result<Self> {
        let socket = Socket::open(context, zmq_sys::ZMQ_REP)?;
        socket.bind(ADDRESS).map_err(|errno| {
            Error::errno(
                "take the place of ZeroMQ's authenticator in this process; is another one running?",
                errno,
            )
        })?;
        let stop = Waker::new()?;
        let shared = Arc::new(Shared { is_ending: AtomicBool::new(false), domains: Mutex::default() });
        let thread = {
            let (stop, shared) = (stop.clone(), shared.clone());
            spawn_quiet("forebay-zap", move || shared.serve(&socket, &stop))?
        };
        Ok(Self { shared, stop, thread, users: 0 })
    }
}

impl Shared {
    /// Runs until told to end. An error ends it too; then libzmq refuses every new connection.
    fn serve(&self, socket: &Socket, stop: &Waker) {
        let mut poller = Poller::new();
        while !self.is_ending.load(Ordering::SeqCst) {
            match socket.recv() {
                Ok(Some(request)) => {
                    if socket.send(&self.answer(&request)).is_err() {
                        return;
                    }
                }
                Ok(None) => {
                    if poller.wait(&[socket, stop], None).is_err() {
                        return;
                    }
                    stop.clear();
                }
                Err(_) => return,
            }
        }
    }

    fn answer(&self, request: &Frames) -> Frames {
        let frame = |i: usize| request.get(i).map_or(&b""[..], |frame| &frame[..]);
        let (version, id, domain, mechanism, key) = (frame(0), frame(1), frame(2), frame(5), frame(6));
        let user = if version == b"1.0" && mechanism == b"CURVE" { self.judge(domain, key) } else { None };
        let (status, text, user) = match &user {
            Some(key) => ("200", "OK", key.as_str()),
            None => ("400", "not in the key list", ""),
        };
        let mut answer = Frames::one(Bytes::from_static(b"1.0"));
        answer.push(Bytes::copy_from_slice(id));
        for part in [status, text, user, ""] {
            answer.push(Bytes::copy_from_slice(part.as_bytes()));
        }
        answer
    }

    /// The key as text if it may come in.
    fn judge(&self, domain: &[u8], key: &[u8]) -> Option<PublicKey> {
        let domains = self.domains.lock().unwrap_or_else(PoisonError::into_inner);
        let domain = domains.get(std::str::from_utf8(domain).ok()?)?;
        let key = PublicKey::from_bytes(key.try_into().ok()?).ok()?;
        let is_allowed = match &domain.allowed {
            Allowed::Anyone => true,
            Allowed::Listed(list) => list.has(&key),
        };
        if !is_allowed {
            domain.refused.fetch_add(1, Ordering::Relaxed);
        }
        is_allowed.then_some(key)
    }
}

/// Who sent a message, as libzmq noted it when the connection was made.
pub(crate) fn user_of(message: &Message) -> Option<String> {
    message.property(c"User-Id").filter(|user| !user.is_empty())
}
