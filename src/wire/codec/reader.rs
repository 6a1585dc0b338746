//! Reads msgpack from a peer. Every count is checked against the bytes that are left before anything is allocated,
//! and nothing recurses, so no input costs more than a small multiple of its own length.

use std::borrow::Cow;

use bytes::Bytes;
use rmp::Marker;

use crate::model::{JobId, Lease, limits};
use crate::wire::error::WireError;

/// Walks over the commands of one packet. The methods named after types read the next element of the current command;
/// an element that is missing or nil reads as 0, empty or false.
pub struct Reader<'a> {
    rest: &'a [u8],
    /// Elements of the current command that were not read yet.
    left: usize,
    /// Frames no command has referred to yet.
    frames: &'a [Bytes],
    /// Parts of the current command that are transfers: which part of its body, and its length.
    transfers: Vec<(usize, u64)>,
}

/// The value of an option: a number, nothing, or something that no option is.
pub(crate) enum Value {
    Nil,
    Uint(u64),
    Other,
}

impl<'a> Reader<'a> {
    /// Over the commands `rest` of frame 0 and the `frames` after it.
    pub fn new(rest: &'a [u8], frames: &'a [Bytes]) -> Self {
        Reader { rest, left: 0, frames, transfers: Vec::new() }
    }

    /// Opens the next command and returns its code.
    pub(crate) fn begin(&mut self) -> Result<u64, WireError> {
        let (Marker::FixArray(_) | Marker::Array16 | Marker::Array32) = self.peek()? else {
            return Err(WireError::Type("a command"));
        };
        self.left = self.array_value(1)?.unwrap_or(0);
        if self.left == 0 {
            return Err(WireError::Type("a command's code"));
        }
        self.uint()
    }

    /// Opens an array whose elements are read like those of a command; [`Reader::end`] closes it.
    pub(crate) fn open(&mut self) -> Result<(), WireError> {
        self.left = self.array_value(1)?.unwrap_or(0);
        Ok(())
    }

    /// Skips what is left of the current command and returns which parts of its body are transfers.
    pub(crate) fn end(&mut self) -> Result<Vec<(usize, u64)>, WireError> {
        let left = std::mem::take(&mut self.left);
        self.skip(left)?;
        Ok(std::mem::take(&mut self.transfers))
    }

    /// Checks that everything was read.
    pub(crate) fn finish(&self) -> Result<(), WireError> {
        if !self.rest.is_empty() {
            return Err(WireError::Trailing);
        }
        if !self.frames.is_empty() {
            return Err(WireError::Frames);
        }
        Ok(())
    }

    /// Whether the current command has another element; counts it as read.
    fn present(&mut self) -> bool {
        let present = self.left > 0;
        self.left -= usize::from(present);
        present
    }

    pub(crate) fn uint(&mut self) -> Result<u64, WireError> {
        if self.present() { Ok(self.uint_value()?.unwrap_or(0)) } else { Ok(0) }
    }

    pub(crate) fn uint_or_nil(&mut self) -> Result<Option<u64>, WireError> {
        if self.present() { self.uint_value() } else { Ok(None) }
    }

    /// A number that has room in 32 bits, or the largest that has: whoever checks it finds it too large all the same.
    pub(crate) fn uint32(&mut self) -> Result<u32, WireError> {
        Ok(u32::try_from(self.uint()?).unwrap_or(u32::MAX))
    }

    pub(crate) fn int_or_nil(&mut self) -> Result<Option<i64>, WireError> {
        if self.present() { self.int_value() } else { Ok(None) }
    }

    pub(crate) fn boolean(&mut self) -> Result<bool, WireError> {
        if self.present() { self.boolean_value() } else { Ok(false) }
    }

    /// A share of the whole: what is not between 0 and 1 becomes the nearer of the two, no number 0.
    pub(crate) fn fraction(&mut self) -> Result<f64, WireError> {
        if !self.present() {
            return Ok(0.0);
        }
        let value = match self.peek()? {
            Marker::F32 => f64::from(f32::from_be_bytes(self.after_marker()?)),
            Marker::F64 => f64::from_be_bytes(self.after_marker()?),
            _ => self.int_value()?.unwrap_or(0) as f64,
        };
        Ok(if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) })
    }

    /// Text, made valid and cut to `len_max` bytes.
    pub(crate) fn text(&mut self, len_max: usize) -> Result<String, WireError> {
        if self.present() { self.text_value(len_max) } else { Ok(String::new()) }
    }

    /// The bytes of a bin or a str.
    pub(crate) fn bytes(&mut self) -> Result<Option<&'a [u8]>, WireError> {
        if self.present() { self.bytes_value() } else { Ok(None) }
    }

    /// Sixteen bytes; nil is not an id.
    pub(crate) fn id(&mut self) -> Result<JobId, WireError> {
        let bytes = self.bytes()?.ok_or(WireError::Type("an id"))?;
        Ok(JobId(bytes.try_into().map_err(|_| WireError::Type("an id"))?))
    }

    /// Sixteen bytes, or zeros for nil.
    pub(crate) fn bytes16(&mut self) -> Result<[u8; 16], WireError> {
        match self.bytes()? {
            Some(bytes) => bytes.try_into().map_err(|_| WireError::Type("16 bytes")),
            None => Ok([0; 16]),
        }
    }

    /// Two elements: slot and token.
    pub(crate) fn lease(&mut self) -> Result<Lease, WireError> {
        let slot = u32::try_from(self.uint()?).map_err(|_| WireError::Value("slot"))?;
        Ok(Lease { slot, token: self.uint()? })
    }

    /// Slots and tokens in turn, as one array.
    pub(crate) fn leases(&mut self) -> Result<Vec<Lease>, WireError> {
        let len = self.array(1)?;
        if len % 2 != 0 {
            return Err(WireError::Type("a token"));
        }
        if len / 2 > limits::WORKER_LEASES_MAX {
            return Err(WireError::TooMany("leases"));
        }
        let mut leases = Vec::with_capacity(len / 2);
        for _ in 0..len / 2 {
            let slot = self.uint_value()?.unwrap_or(0);
            let slot = u32::try_from(slot).map_err(|_| WireError::Value("slot"))?;
            leases.push(Lease { slot, token: self.uint_value()?.unwrap_or(0) });
        }
        Ok(leases)
    }

    pub(crate) fn ids(&mut self) -> Result<Vec<JobId>, WireError> {
        // A bin of 16 bytes takes 18.
        let len = self.array(18)?;
        let mut ids = Vec::with_capacity(len);
        for _ in 0..len {
            let bytes = self.bytes_value()?.unwrap_or_default();
            ids.push(JobId(bytes.try_into().map_err(|_| WireError::Type("an id"))?));
        }
        Ok(ids)
    }

    /// How many items the array that comes next has, each at least `item_len` bytes long; 0 for nil.
    pub(crate) fn array(&mut self, item_len: usize) -> Result<usize, WireError> {
        if self.present() { Ok(self.array_value(item_len)?.unwrap_or(0)) } else { Ok(0) }
    }

    /// How many pairs the map that comes next has; 0 for nil.
    pub(crate) fn map(&mut self) -> Result<usize, WireError> {
        if !self.present() {
            return Ok(0);
        }
        let len = match self.marker()? {
            Marker::Null => 0,
            Marker::FixMap(len) => usize::from(len),
            Marker::Map16 => usize::from(u16::from_be_bytes(self.fixed()?)),
            Marker::Map32 => u32::from_be_bytes(self.fixed()?) as usize,
            _ => return Err(WireError::Type("a map")),
        };
        if len > self.rest.len() / 2 { Err(WireError::Short) } else { Ok(len) }
    }

    /// The next frame, which must have `len` bytes. Shared, not copied.
    pub(crate) fn frame(&mut self, len: u64) -> Result<Bytes, WireError> {
        let (frame, rest) = self.frames.split_first().ok_or(WireError::Frames)?;
        self.frames = rest;
        if frame.len() as u64 == len { Ok(frame.clone()) } else { Err(WireError::Length) }
    }

    /// Part number `part` of the current body is a transfer of `len` bytes.
    pub(crate) fn transfer(&mut self, part: usize, len: u64) {
        self.transfers.push((part, len));
    }

    pub(crate) fn uint_value(&mut self) -> Result<Option<u64>, WireError> {
        let value = match self.marker()? {
            Marker::Null => return Ok(None),
            Marker::FixPos(value) => u64::from(value),
            Marker::U8 => u64::from(u8::from_be_bytes(self.fixed()?)),
            Marker::U16 => u64::from(u16::from_be_bytes(self.fixed()?)),
            Marker::U32 => u64::from(u32::from_be_bytes(self.fixed()?)),
            Marker::U64 => u64::from_be_bytes(self.fixed()?),
            signed => {
                let value = self.signed(signed)?;
                u64::try_from(value).map_err(|_| WireError::Value("negative number"))?
            }
        };
        Ok(Some(value))
    }

    pub(crate) fn int_value(&mut self) -> Result<Option<i64>, WireError> {
        match self.peek()? {
            Marker::Null | Marker::FixPos(_) | Marker::U8 | Marker::U16 | Marker::U32 | Marker::U64 => {
                Ok(self.uint_value()?.map(|value| i64::try_from(value).unwrap_or(i64::MAX)))
            }
            _ => {
                let marker = self.marker()?;
                self.signed(marker).map(Some)
            }
        }
    }

    fn signed(&mut self, marker: Marker) -> Result<i64, WireError> {
        Ok(match marker {
            Marker::FixNeg(value) => i64::from(value),
            Marker::I8 => i64::from(i8::from_be_bytes(self.fixed()?)),
            Marker::I16 => i64::from(i16::from_be_bytes(self.fixed()?)),
            Marker::I32 => i64::from(i32::from_be_bytes(self.fixed()?)),
            Marker::I64 => i64::from_be_bytes(self.fixed()?),
            _ => return Err(WireError::Type("a number")),
        })
    }

    pub(crate) fn boolean_value(&mut self) -> Result<bool, WireError> {
        match self.marker()? {
            Marker::Null | Marker::False => Ok(false),
            Marker::True => Ok(true),
            _ => Err(WireError::Type("a boolean")),
        }
    }

    pub(crate) fn text_value(&mut self, len_max: usize) -> Result<String, WireError> {
        Ok(self.bytes_value()?.map_or_else(String::new, |bytes| valid_text(bytes, len_max).into_owned()))
    }

    /// The key of a map that names things; one that is no text names nothing.
    pub(crate) fn key(&mut self, len_max: usize) -> Result<String, WireError> {
        match self.peek()? {
            Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => self.text_value(len_max),
            Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => self.text_value(len_max),
            _ => self.skip(1).map(|()| String::new()),
        }
    }

    /// The bytes of a bin or a str: languages without a type for bytes send the one for the other.
    pub(crate) fn bytes_value(&mut self) -> Result<Option<&'a [u8]>, WireError> {
        let len = match self.marker()? {
            Marker::Null => return Ok(None),
            Marker::FixStr(len) => usize::from(len),
            Marker::Bin8 | Marker::Str8 => usize::from(u8::from_be_bytes(self.fixed()?)),
            Marker::Bin16 | Marker::Str16 => usize::from(u16::from_be_bytes(self.fixed()?)),
            Marker::Bin32 | Marker::Str32 => u32::from_be_bytes(self.fixed()?) as usize,
            _ => return Err(WireError::Type("text or bytes")),
        };
        self.take(len).map(Some)
    }

    pub(crate) fn array_value(&mut self, item_len: usize) -> Result<Option<usize>, WireError> {
        let len = match self.marker()? {
            Marker::Null => return Ok(None),
            Marker::FixArray(len) => usize::from(len),
            Marker::Array16 => usize::from(u16::from_be_bytes(self.fixed()?)),
            Marker::Array32 => u32::from_be_bytes(self.fixed()?) as usize,
            _ => return Err(WireError::Type("an array")),
        };
        if len > self.rest.len() / item_len { Err(WireError::Short) } else { Ok(Some(len)) }
    }

    /// Any value at all, of which only numbers matter.
    pub(crate) fn any_value(&mut self) -> Result<Value, WireError> {
        match self.peek()? {
            Marker::FixPos(_) | Marker::U8 | Marker::U16 | Marker::U32 | Marker::U64 => {
                Ok(self.uint_value()?.map_or(Value::Nil, Value::Uint))
            }
            Marker::I8 | Marker::I16 | Marker::I32 | Marker::I64 => {
                let value = self.int_value()?.unwrap_or(-1);
                Ok(u64::try_from(value).map_or(Value::Other, Value::Uint))
            }
            Marker::Null => self.skip(1).map(|()| Value::Nil),
            _ => self.skip(1).map(|()| Value::Other),
        }
    }

    /// Whether a text, or bytes that are taken for one, is next.
    pub(crate) fn is_text(&self) -> Result<bool, WireError> {
        use Marker::{Bin8, Bin16, Bin32, FixStr, Str8, Str16, Str32};
        Ok(matches!(self.peek()?, FixStr(_) | Str8 | Str16 | Str32 | Bin8 | Bin16 | Bin32))
    }

    /// Skips so many values with everything in them, without recursion.
    pub(crate) fn skip(&mut self, values: usize) -> Result<(), WireError> {
        let mut open = values;
        while open > 0 {
            open -= 1;
            let (len, inner) = match self.marker()? {
                Marker::Null | Marker::True | Marker::False | Marker::FixPos(_) | Marker::FixNeg(_) => (0, 0),
                Marker::U8 | Marker::I8 => (1, 0),
                Marker::U16 | Marker::I16 | Marker::FixExt1 => (2, 0),
                Marker::U32 | Marker::I32 | Marker::F32 => (4, 0),
                Marker::U64 | Marker::I64 | Marker::F64 => (8, 0),
                Marker::FixExt2 => (3, 0),
                Marker::FixExt4 => (5, 0),
                Marker::FixExt8 => (9, 0),
                Marker::FixExt16 => (17, 0),
                Marker::FixStr(len) => (usize::from(len), 0),
                Marker::Str8 | Marker::Bin8 => (self.len8()?, 0),
                Marker::Str16 | Marker::Bin16 => (self.len16()?, 0),
                Marker::Str32 | Marker::Bin32 => (self.len32()?, 0),
                Marker::Ext8 => (self.len8()? + 1, 0),
                Marker::Ext16 => (self.len16()? + 1, 0),
                Marker::Ext32 => (self.len32()?.saturating_add(1), 0),
                Marker::FixArray(len) => (0, usize::from(len)),
                Marker::Array16 => (0, self.len16()?),
                Marker::Array32 => (0, self.len32()?),
                Marker::FixMap(len) => (0, usize::from(len) * 2),
                Marker::Map16 => (0, self.len16()? * 2),
                Marker::Map32 => (0, self.len32()?.saturating_mul(2)),
                Marker::Reserved => return Err(WireError::Type("msgpack")),
            };
            self.take(len)?;
            open = open.saturating_add(inner);
            // Each value takes at least one byte.
            if open > self.rest.len() {
                return Err(WireError::Short);
            }
        }
        Ok(())
    }

    fn len8(&mut self) -> Result<usize, WireError> {
        Ok(usize::from(u8::from_be_bytes(self.fixed()?)))
    }

    fn len16(&mut self) -> Result<usize, WireError> {
        Ok(usize::from(u16::from_be_bytes(self.fixed()?)))
    }

    fn len32(&mut self) -> Result<usize, WireError> {
        Ok(u32::from_be_bytes(self.fixed()?) as usize)
    }

    pub(crate) fn peek(&self) -> Result<Marker, WireError> {
        self.rest.first().map(|byte| Marker::from_u8(*byte)).ok_or(WireError::Short)
    }

    fn marker(&mut self) -> Result<Marker, WireError> {
        let (byte, rest) = self.rest.split_first().ok_or(WireError::Short)?;
        self.rest = rest;
        Ok(Marker::from_u8(*byte))
    }

    fn after_marker<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        self.marker()?;
        self.fixed()
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or(WireError::Short)?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(WireError::Short)?;
        self.rest = rest;
        Ok(bytes)
    }
}

/// `bytes` as text of at most `len_max` bytes, cut between characters; what is not UTF-8 becomes U+FFFD.
pub(crate) fn valid_text(bytes: &[u8], len_max: usize) -> Cow<'_, str> {
    // A character has at most four bytes: enough for the cut to fall between two, not more than has to be looked at.
    let near = &bytes[..bytes.len().min(len_max.saturating_add(4))];
    match std::str::from_utf8(near) {
        Ok(text) => cut(text, len_max).into(),
        Err(_) => {
            let mut text = String::from_utf8_lossy(near).into_owned();
            text.truncate(cut(&text, len_max).len());
            text.into()
        }
    }
}

/// The longest beginning of `text` that has at most `len_max` bytes.
pub(crate) fn cut(text: &str, len_max: usize) -> &str {
    if text.len() <= len_max {
        return text;
    }
    let mut end = len_max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters_and_made_valid() {
        assert_eq!(valid_text("größe".as_bytes(), 3), "gr");
        assert_eq!(valid_text("größe".as_bytes(), 4), "grö");
        assert_eq!(valid_text("größe".as_bytes(), 100), "größe");
        assert_eq!(valid_text(b"a\xffb", 10), "a\u{fffd}b");
        assert_eq!(valid_text(&[0xff; 100], 7), "\u{fffd}\u{fffd}");
        assert_eq!(valid_text(b"", 0), "");
    }

    #[test]
    fn missing_elements_and_nil_read_as_nothing() {
        let mut reader = Reader::new(&[0x92, 0x05, 0xc0], &[]);
        assert_eq!(reader.begin(), Ok(5));
        assert_eq!(reader.uint(), Ok(0));
        assert_eq!(reader.uint(), Ok(0));
        assert_eq!(reader.text(9), Ok(String::new()));
        assert_eq!(reader.int_or_nil(), Ok(None));
        assert_eq!(reader.boolean(), Ok(false));
        assert_eq!(reader.map(), Ok(0));
        assert_eq!(reader.leases(), Ok(vec![]));
        assert_eq!(reader.id(), Err(WireError::Type("an id")));
        assert_eq!(reader.end(), Ok(vec![]));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn numbers_are_read_in_every_format() {
        let cases: [(&[u8], u64); 7] = [
            (&[0x7f], 127),
            (&[0xcc, 200], 200),
            (&[0xcd, 1, 0], 256),
            (&[0xce, 0, 1, 0, 0], 65_536),
            (&[0xcf, 1, 0, 0, 0, 0, 0, 0, 0], 1 << 56),
            (&[0xd0, 5], 5),
            (&[0xd3, 0, 0, 0, 0, 0, 0, 0, 9], 9),
        ];
        for (bytes, value) in cases {
            assert_eq!(Reader::new(bytes, &[]).uint_value(), Ok(Some(value)));
            assert_eq!(Reader::new(bytes, &[]).int_value(), Ok(Some(value as i64)));
        }
        assert_eq!(Reader::new(&[0xff], &[]).uint_value(), Err(WireError::Value("negative number")));
        assert_eq!(Reader::new(&[0xfe], &[]).int_value(), Ok(Some(-2)));
        assert_eq!(Reader::new(&[0xcf, 255, 0, 0, 0, 0, 0, 0, 0], &[]).int_value(), Ok(Some(i64::MAX)));
    }

    #[test]
    fn anything_can_be_skipped_and_nothing_nests_too_deep() {
        let mut deep = vec![0x91; 100_000];
        deep.push(0xc0);
        let mut reader = Reader::new(&deep, &[]);
        assert_eq!(reader.skip(1), Ok(()));
        assert_eq!(reader.finish(), Ok(()));

        let mixed = [
            0x97, 0x82, 0xa1, b'k', 0xcb, 0, 0, 0, 0, 0, 0, 0, 0, 0xc3, 0xd4, 1, 2, 0xc7, 1, 5, 9, 0xc4, 2,
            1, 2, 0xd9, 1, b'x', 0xdc, 0, 1, 0xff, 0xc2, 0x80,
        ];
        let mut reader = Reader::new(&mixed, &[]);
        assert_eq!(reader.skip(1), Ok(()));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn counts_beyond_the_bytes_are_refused_before_anything_is_kept() {
        for bytes in [
            &[0xdd, 0xff, 0xff, 0xff, 0xff][..],
            &[0xdf, 0xff, 0xff, 0xff, 0xff],
            &[0xc6, 0xff, 0xff, 0xff, 0xff],
            &[0xc9, 0xff, 0xff, 0xff, 0xff],
            &[0xdc, 0xff, 0xff, 0xc0],
        ] {
            assert_eq!(Reader::new(bytes, &[]).skip(1), Err(WireError::Short), "{bytes:x?}");
        }
        let mut leases = Reader::new(&[0x92, 6, 0xdd, 0x7f, 0xff, 0xff, 0xff], &[]);
        assert_eq!(leases.begin(), Ok(6));
        assert_eq!(leases.leases(), Err(WireError::Short));
    }
}
