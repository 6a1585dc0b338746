//! The frames of one message, and their way in and out of libzmq without copying.
//!
//! Invariant: a [`Frames`] has at least one frame, as every ZeroMQ message does.

use bytes::Bytes;
use std::ffi::c_void;
use zmq_sys::zmq_msg_t;

/// Received frames up to this length are copied out: that is cheaper than keeping libzmq's message alive.
const COPY_IN_LEN_MAX: usize = 128;
/// Sent frames up to this length are copied in: that is cheaper than telling libzmq how to free them.
const COPY_OUT_LEN_MAX: usize = 1024;

/// The frames of one message, in order.
///
/// A received frame above 128 bytes is a view into libzmq's receive buffer. Frames that arrived together share one
/// buffer of up to 128 KiB and keep all of it alive: whoever keeps a small one for long should copy it
/// (`Bytes::copy_from_slice`). Cloning shares, it never copies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frames {
    first: Bytes,
    rest: Vec<Bytes>,
}

impl Frames {
    /// A message of one frame.
    pub fn one(frame: impl Into<Bytes>) -> Self {
        Self { first: frame.into(), rest: Vec::new() }
    }

    /// The first frame.
    pub fn first(&self) -> &Bytes {
        &self.first
    }

    /// Frame `i`, counted from 0.
    pub fn get(&self, i: usize) -> Option<&Bytes> {
        if i == 0 { Some(&self.first) } else { self.rest.get(i - 1) }
    }

    /// How many frames: at least 1.
    #[allow(clippy::len_without_is_empty)] // It is never empty.
    pub fn len(&self) -> usize {
        1 + self.rest.len()
    }

    /// Bytes in all frames together.
    pub fn bytes_len(&self) -> usize {
        self.iter().map(Bytes::len).sum()
    }

    /// Puts a frame behind the others.
    pub fn push(&mut self, frame: impl Into<Bytes>) {
        self.rest.push(frame.into());
    }

    /// All frames in order.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> + '_ {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// The first frame and those behind it.
    pub fn into_parts(self) -> (Bytes, Vec<Bytes>) {
        (self.first, self.rest)
    }
}

impl From<Bytes> for Frames {
    fn from(frame: Bytes) -> Self {
        Self::one(frame)
    }
}

impl From<(Bytes, Vec<Bytes>)> for Frames {
    fn from((first, rest): (Bytes, Vec<Bytes>)) -> Self {
        Self { first, rest }
    }
}

impl IntoIterator for Frames {
    type Item = Bytes;
    type IntoIter = std::iter::Chain<std::iter::Once<Bytes>, std::vec::IntoIter<Bytes>>;

    fn into_iter(self) -> Self::IntoIter {
        std::iter::once(self.first).chain(self.rest)
    }
}

/// One frame in libzmq's hands or on its way there.
pub(crate) struct Message(zmq_msg_t);

// SAFETY: a message's content is reference-counted with atomics and only read here; libzmq passes messages
// between its own threads the same way.
unsafe impl Send for Message {}
// SAFETY: as above; no call through a shared reference writes.
unsafe impl Sync for Message {}

impl Message {
    /// An empty frame.
    pub(crate) fn empty() -> Self {
        let mut raw = zmq_msg_t::default();
        // SAFETY: `raw` is a place for a message; initialising an empty one cannot fail.
        unsafe { zmq_sys::zmq_msg_init(&mut raw) };
        Self(raw)
    }

    /// A frame with the content of `bytes`: copied when short, shared when long. `None` when memory is out.
    pub(crate) fn of(bytes: &Bytes) -> Option<Self> {
        if bytes.len() <= COPY_OUT_LEN_MAX { Self::copied(bytes) } else { Self::shared(bytes.clone()) }
    }

    /// A frame with a copy of `bytes`. `None` when memory is out.
    pub(crate) fn copied(bytes: &[u8]) -> Option<Self> {
        let mut raw = zmq_msg_t::default();
        // SAFETY: `raw` is a place for a message; on success it has `bytes.len()` writable bytes of its own.
        unsafe {
            if zmq_sys::zmq_msg_init_size(&mut raw, bytes.len()) != 0 {
                return None;
            }
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                zmq_sys::zmq_msg_data(&mut raw).cast(),
                bytes.len(),
            );
        }
        Some(Self(raw))
    }

    fn shared(bytes: Bytes) -> Option<Self> {
        /// libzmq calls this from any of its threads, once.
        unsafe extern "C" fn free(_data: *mut c_void, hint: *mut c_void) {
            // SAFETY: `hint` is the box made below, given back once.
            drop(unsafe { Box::from_raw(hint.cast::<Bytes>()) });
        }
        let mut raw = zmq_msg_t::default();
        let data = bytes.as_ptr().cast_mut().cast();
        let len = bytes.len();
        let hint = Box::into_raw(Box::new(bytes)).cast();
        // SAFETY: the data stays put and unchanged until `free` drops the last share libzmq holds; libzmq only
        // reads a message it sends.
        if unsafe { zmq_sys::zmq_msg_init_data(&mut raw, data, len, Some(free), hint) } != 0 {
            // SAFETY: libzmq took nothing, so the box is still ours.
            drop(unsafe { Box::from_raw(hint.cast::<Bytes>()) });
            return None;
        }
        Some(Self(raw))
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut zmq_msg_t {
        &mut self.0
    }

    /// Whether more frames of the same message follow.
    pub(crate) fn has_more(&self) -> bool {
        // SAFETY: the message is initialised.
        unsafe { zmq_sys::zmq_msg_more(&self.0) != 0 }
    }

    /// A property of the connection a received message came by, such as `Peer-Address`.
    pub(crate) fn property(&self, name: &std::ffi::CStr) -> Option<String> {
        // SAFETY: the message is initialised; the answer lives as long as the message and is copied at once.
        unsafe {
            let text = zmq_sys::zmq_msg_gets(&self.0, name.as_ptr());
            (!text.is_null()).then(|| std::ffi::CStr::from_ptr(text).to_string_lossy().into_owned())
        }
    }

    /// The content, still in libzmq's buffer unless it is short.
    pub(crate) fn into_bytes(self) -> Bytes {
        if self.as_ref().len() <= COPY_IN_LEN_MAX {
            Bytes::copy_from_slice(self.as_ref())
        } else {
            // Boxed inside before its address is taken: a short payload lives in the message itself.
            Bytes::from_owner(self)
        }
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        let raw = std::ptr::from_ref(&self.0);
        // SAFETY: the message is initialised, and zmq_msg_data changes nothing although it asks for a mutable one.
        unsafe {
            let len = zmq_sys::zmq_msg_size(raw);
            if len == 0 {
                return &[];
            }
            std::slice::from_raw_parts(zmq_sys::zmq_msg_data(raw.cast_mut()).cast(), len)
        }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: initialised, and closed only here.
        unsafe { zmq_sys::zmq_msg_close(&mut self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_keep_their_order() {
        let mut frames = Frames::one(Bytes::from_static(b"a"));
        frames.push(Bytes::from_static(b"bc"));
        frames.push(Bytes::new());
        assert_eq!((frames.len(), frames.bytes_len()), (3, 3));
        assert_eq!(frames.get(1).unwrap(), "bc");
        assert_eq!(frames.get(3), None);
        let all: Vec<Bytes> = frames.into_iter().collect();
        assert_eq!(all, ["a", "bc", ""]);
    }

    #[test]
    fn a_message_shares_long_content_and_copies_short() {
        let long = Bytes::from(vec![7u8; COPY_OUT_LEN_MAX + 1]);
        let message = Message::of(&long).unwrap();
        assert_eq!(message.as_ref().as_ptr(), long.as_ptr());
        assert_eq!(message.into_bytes().as_ptr(), long.as_ptr());

        let short = Bytes::from(vec![7u8; COPY_OUT_LEN_MAX]);
        assert_ne!(Message::of(&short).unwrap().as_ref().as_ptr(), short.as_ptr());
    }

    #[test]
    fn libzmq_gives_shared_content_back() {
        struct Owner(std::sync::Arc<Vec<u8>>);
        impl AsRef<[u8]> for Owner {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        let alive = std::sync::Arc::new(vec![1; 4096]);
        let bytes = Bytes::from_owner(Owner(alive.clone()));
        let message = Message::of(&bytes).unwrap();
        drop(bytes);
        assert_eq!(std::sync::Arc::strong_count(&alive), 2);
        drop(message);
        assert_eq!(std::sync::Arc::strong_count(&alive), 1);
    }

    #[test]
    fn every_small_length_survives() {
        for len in 0..300 {
            let content: Vec<u8> = (0..len).map(|i| i as u8).collect();
            assert_eq!(Message::copied(&content).unwrap().into_bytes(), content);
        }
    }
}
