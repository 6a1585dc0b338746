//! One ZeroMQ socket of the shared context: options, messages, readiness.
//!
//! Invariant: used by one thread at a time (it is `Send`, not `Sync`); closed before its context ends; in a forked
//! child forgotten instead of closed.

use super::context::{Context, generation};
use super::error::{Error, ErrorKind, Result, last_errno};
use super::frames::{Frames, Message};
use super::poll::{PollFds, Source};
use std::cell::Cell;
use std::ffi::{CString, c_char, c_void};
use std::mem::ManuallyDrop;

/// Largest single frame on the wire. A peer that sends a larger one is disconnected.
pub const FRAME_LEN_MAX: i64 = 2 << 20;
/// Bytes libzmq hands to the system in one call, and asks for in one.
const BATCH_LEN: i32 = 128 * 1024;

/// An error number of the system or of libzmq.
pub(crate) type Errno = i32;

pub(crate) struct Socket {
    raw: *mut c_void,
    api: ManuallyDrop<zmq::Socket>,
    context: Context,
    unread: Cell<Unread>,
}

/// What is known of messages that libzmq has and that were not read.
#[derive(Clone, Copy)]
enum Unread {
    /// There may be some, of which its descriptor does not tell.
    Perhaps,
    /// None but those of which the descriptor tells.
    AsTold,
    /// None: the descriptor was silent a moment ago.
    Nothing,
}

// SAFETY: a ZeroMQ socket may move between threads, with a full fence, which moving ownership in Rust gives.
unsafe impl Send for Socket {}

impl Socket {
    /// `kind` is one of `zmq_sys::ZMQ_DEALER` and so on. Lingers 0 ms until told otherwise.
    pub(crate) fn open(context: &Context, kind: u32) -> Result<Self> {
        let raw = context.raw_socket(kind)?;
        // SAFETY: `raw` is open and owned by nobody else.
        let api = ManuallyDrop::new(unsafe { zmq::Socket::from_raw(raw) });
        let socket = Self { raw, api, context: context.clone(), unread: Cell::new(Unread::Perhaps) };
        socket.set_int(zmq_sys::ZMQ_LINGER, 0)?;
        Ok(socket)
    }

    /// The options every connection between broker and peers shares.
    pub(crate) fn set_common(&self, options: &Common) -> Result<()> {
        self.set_int(zmq_sys::ZMQ_LINGER, clamped(options.linger_ms))?;
        self.set_int(zmq_sys::ZMQ_SNDHWM, options.send_hwm)?;
        self.set_int(zmq_sys::ZMQ_RCVHWM, options.receive_hwm)?;
        self.set(zmq_sys::ZMQ_MAXMSGSIZE, &FRAME_LEN_MAX.to_ne_bytes())?;
        self.set_int(zmq_sys::ZMQ_IN_BATCH_SIZE, BATCH_LEN)?;
        self.set_int(zmq_sys::ZMQ_OUT_BATCH_SIZE, BATCH_LEN)?;
        self.set_int(zmq_sys::ZMQ_HANDSHAKE_IVL, clamped(options.handshake_ms))?;
        self.set_int(zmq_sys::ZMQ_HEARTBEAT_IVL, clamped(options.heartbeat_ms))?;
        self.set_int(zmq_sys::ZMQ_HEARTBEAT_TIMEOUT, clamped(options.heartbeat_timeout_ms))
    }

    pub(crate) fn set_int(&self, option: u32, value: i32) -> Result<()> {
        self.set(option, &value.to_ne_bytes())
    }

    pub(crate) fn set(&self, option: u32, value: &[u8]) -> Result<()> {
        // SAFETY: the socket is open and `value` is as long as said.
        let rc =
            unsafe { zmq_sys::zmq_setsockopt(self.raw, option as i32, value.as_ptr().cast(), value.len()) };
        if rc != 0 {
            let why = Error::last(format_args!("set ZeroMQ option {option}"));
            return Err(Error::new(ErrorKind::Unsupported, why.text()));
        }
        Ok(())
    }

    /// `key` as 40 characters of Z85.
    pub(crate) fn set_key(&self, option: u32, key: &str) -> Result<()> {
        // With the NUL, as libzmq counts it. Not quoted in an error: it may be a secret.
        let mut text = [0u8; 41];
        text[..40].copy_from_slice(key.as_bytes().first_chunk::<40>().unwrap_or(&[0; 40]));
        self.set(option, &text)
    }

    fn get_int(&self, option: u32) -> Result<i32> {
        let mut value = 0i32;
        let mut len = size_of::<i32>();
        // SAFETY: the socket is open; an int option writes an int.
        let rc = unsafe {
            zmq_sys::zmq_getsockopt(self.raw, option as i32, std::ptr::from_mut(&mut value).cast(), &mut len)
        };
        if rc != 0 {
            return Err(Error::last(format_args!("read ZeroMQ option {option}")));
        }
        Ok(value)
    }

    /// Binds, and says what the address really became (the port, for one).
    pub(crate) fn bind(&self, endpoint: &str) -> std::result::Result<String, Errno> {
        // SAFETY: the socket is open and the text ends with NUL.
        self.addressed(endpoint, |text| unsafe { zmq_sys::zmq_bind(self.raw, text) })?;
        Ok(match self.api.get_last_endpoint() {
            Ok(Ok(real)) => real,
            _ => endpoint.to_owned(),
        })
    }

    pub(crate) fn unbind(&self, endpoint: &str) -> std::result::Result<(), Errno> {
        // SAFETY: the socket is open and the text ends with NUL.
        self.addressed(endpoint, |text| unsafe { zmq_sys::zmq_unbind(self.raw, text) })
    }

    pub(crate) fn connect(&self, endpoint: &str) -> std::result::Result<(), Errno> {
        // SAFETY: the socket is open and the text ends with NUL.
        self.addressed(endpoint, |text| unsafe { zmq_sys::zmq_connect(self.raw, text) })
    }

    /// Has the events in the mask `events` sent to a PAIR socket that connects to `address`.
    pub(crate) fn monitor(&self, address: &str, events: u32) -> std::result::Result<(), Errno> {
        // SAFETY: the socket is open and the text ends with NUL.
        self.addressed(address, |text| unsafe { zmq_sys::zmq_socket_monitor(self.raw, text, events as i32) })
    }

    /// The `zmq` crate's own bind and connect panic on error numbers they do not know, such as ENOTDIR.
    fn addressed(
        &self,
        address: &str,
        call: impl Fn(*const c_char) -> i32,
    ) -> std::result::Result<(), Errno> {
        let text = CString::new(address).map_err(|_| libc::EINVAL)?;
        // Binding and the like also take in what arrived meanwhile, of which the descriptor then does not tell.
        self.unread.set(Unread::Perhaps);
        if call(text.as_ptr()) == 0 { Ok(()) } else { Err(last_errno()) }
    }

    /// Ends what [`Socket::monitor`] began.
    pub(crate) fn stop_monitor(&self) {
        // SAFETY: the socket is open; a null address ends monitoring and cannot fail.
        unsafe { zmq_sys::zmq_socket_monitor(self.raw, std::ptr::null(), 0) };
    }

    /// The next frame, without waiting.
    pub(crate) fn recv_frame(&self) -> Result<Option<Message>> {
        if matches!(self.unread.get(), Unread::Nothing) {
            self.unread.set(Unread::AsTold);
            return Ok(None);
        }
        let mut message = Message::empty();
        loop {
            // SAFETY: the socket is open, the message initialised.
            let rc = unsafe {
                zmq_sys::zmq_msg_recv(message.as_mut_ptr(), self.raw, zmq_sys::ZMQ_DONTWAIT as i32)
            };
            if rc >= 0 {
                self.unread.set(Unread::Perhaps);
                return Ok(Some(message));
            }
            match last_errno() {
                libc::EAGAIN => {
                    self.unread.set(Unread::AsTold);
                    return Ok(None);
                }
                libc::EINTR => {}
                errno => return Err(Error::errno("receive", errno)),
            }
        }
    }

    /// The remaining frames of the message whose frame `first` was received last.
    pub(crate) fn recv_rest(&self, first: Message) -> Result<Frames> {
        let mut has_more = first.has_more();
        let mut frames = Frames::one(first.into_bytes());
        while has_more {
            // libzmq hands a message out only once all of it is there.
            let Some(frame) = self.recv_frame()? else { break };
            has_more = frame.has_more();
            frames.push(frame.into_bytes());
        }
        Ok(frames)
    }

    /// The next message, without waiting.
    pub(crate) fn recv(&self) -> Result<Option<Frames>> {
        match self.recv_frame()? {
            Some(first) => self.recv_rest(first).map(Some),
            None => Ok(None),
        }
    }

    /// Sends one frame without waiting. A message that was not taken is dropped.
    pub(crate) fn send_frame(&self, mut message: Message, more: bool) -> std::result::Result<(), Errno> {
        let flags = zmq_sys::ZMQ_DONTWAIT | if more { zmq_sys::ZMQ_SNDMORE } else { 0 };
        // Sending also takes in what arrived meanwhile, of which the descriptor then does not tell.
        self.unread.set(Unread::Perhaps);
        loop {
            // SAFETY: the socket is open, the message initialised.
            if unsafe { zmq_sys::zmq_msg_send(message.as_mut_ptr(), self.raw, flags as i32) } >= 0 {
                return Ok(());
            }
            match last_errno() {
                libc::EINTR => {}
                errno => return Err(errno),
            }
        }
    }

    /// Sends the frames of one message, without waiting. On an error nothing of it is sent.
    pub(crate) fn send(&self, frames: &Frames) -> std::result::Result<(), Errno> {
        let last = frames.len() - 1;
        for (i, frame) in frames.iter().enumerate() {
            let message = Message::of(frame).ok_or(libc::ENOMEM)?;
            if let Err(error) = self.send_frame(message, i < last) {
                if i > 0 && i < last {
                    // The connection went between two frames. libzmq now drops the rest of this message, and
                    // would take the next one for it: an empty last frame ends that.
                    let _ = self.send_frame(Message::empty(), false);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// For calls of libzmq that are made nowhere else.
    pub(crate) fn raw(&self) -> *mut c_void {
        self.raw
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// False in a forked child of the process that opened it.
    pub(crate) fn is_usable(&self) -> bool {
        self.context.generation() == generation()
    }
}

impl Source for Socket {
    fn has_unread(&self) -> Result<bool> {
        if !matches!(self.unread.get(), Unread::Perhaps) {
            self.unread.set(Unread::AsTold);
            return Ok(false);
        }
        Ok(self.get_int(zmq_sys::ZMQ_EVENTS)? & zmq_sys::ZMQ_POLLIN as i32 != 0)
    }

    /// ZeroMQ's descriptor tells of changes, not of what is there.
    fn add_fds(&self, fds: &mut PollFds) -> Result<()> {
        fds.add(self.get_int(zmq_sys::ZMQ_FD)?);
        Ok(())
    }

    fn stayed_silent(&self) {
        self.unread.set(Unread::Nothing);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.is_usable() {
            // SAFETY: dropped only here. It closes the socket; the context goes after it.
            unsafe { ManuallyDrop::drop(&mut self.api) };
        }
    }
}

/// Options of both ends of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Common {
    pub(crate) send_hwm: i32,
    pub(crate) receive_hwm: i32,
    pub(crate) linger_ms: u64,
    pub(crate) handshake_ms: u64,
    pub(crate) heartbeat_ms: u64,
    pub(crate) heartbeat_timeout_ms: u64,
}

fn clamped(ms: u64) -> i32 {
    i32::try_from(ms).unwrap_or(i32::MAX)
}
