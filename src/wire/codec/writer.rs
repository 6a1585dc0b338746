//! Writes msgpack for a peer, straight into the buffer the command is kept in.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use rmp::encode;

use crate::model::{JobId, Lease};
use crate::wire::codec::reader::cut;

/// Writes one command: its msgpack into `bytes`, what is too large for that into `frames`.
pub struct Writer<'a> {
    out: Sink<'a>,
    pub(crate) frames: &'a mut Vec<Bytes>,
}

/// A buffer as `rmp` wants it. Writing into memory does not fail, so the results of `rmp` are dropped below.
struct Sink<'a>(&'a mut BytesMut);

impl io::Write for Sink<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> Writer<'a> {
    /// Appends to `bytes` and `frames`.
    pub fn new(bytes: &'a mut BytesMut, frames: &'a mut Vec<Bytes>) -> Self {
        Writer { out: Sink(bytes), frames }
    }

    /// Begins a command with so many elements after its code.
    pub(crate) fn begin(&mut self, code: u64, elements: u32) {
        self.array(elements + 1);
        self.uint(code);
    }

    pub(crate) fn array(&mut self, len: u32) {
        let _ = encode::write_array_len(&mut self.out, len);
    }

    pub(crate) fn map(&mut self, len: u32) {
        let _ = encode::write_map_len(&mut self.out, len);
    }

    pub(crate) fn nil(&mut self) {
        let _ = encode::write_nil(&mut self.out);
    }

    pub(crate) fn boolean(&mut self, value: bool) {
        let _ = encode::write_bool(&mut self.out, value);
    }

    pub(crate) fn uint(&mut self, value: u64) {
        // Most numbers are one byte.
        match value {
            0..=127 => self.out.0.put_u8(value as u8),
            _ => drop(encode::write_uint(&mut self.out, value)),
        }
    }

    pub(crate) fn uint_or_nil(&mut self, value: Option<u64>) {
        match value {
            Some(value) => self.uint(value),
            None => self.nil(),
        }
    }

    pub(crate) fn int(&mut self, value: i64) {
        let _ = encode::write_sint(&mut self.out, value);
    }

    pub(crate) fn float(&mut self, value: f64) {
        let _ = encode::write_f64(&mut self.out, value);
    }

    /// Text, cut to `len_max` bytes: the receiver keeps no more.
    pub(crate) fn text(&mut self, text: &str, len_max: usize) {
        let _ = encode::write_str(&mut self.out, cut(text, len_max));
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let _ = encode::write_bin(&mut self.out, bytes);
    }

    pub(crate) fn id(&mut self, id: &JobId) {
        self.bytes(&id.0);
    }

    /// Two elements.
    pub(crate) fn lease(&mut self, lease: Lease) {
        self.uint(u64::from(lease.slot));
        self.uint(lease.token);
    }

    /// One element: slots and tokens in turn.
    pub(crate) fn leases(&mut self, leases: &[Lease]) {
        self.array(leases.len() as u32 * 2);
        for lease in leases {
            self.lease(*lease);
        }
    }
}
