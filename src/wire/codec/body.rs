//! Bodies, headers and facts inside commands, and where each part of a body travels.

use bytes::Bytes;
use rmp::Marker;

use crate::model::{Body, BodyFrames, Headers, Known, Meta, limits};
use crate::wire::codec::reader::{Reader, valid_text};
use crate::wire::codec::writer::Writer;
use crate::wire::error::WireError;

/// Where a part of a body travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Inside its command.
    Inline,
    /// As a frame of the packet.
    Frame,
    /// As chunks ahead of its command.
    Transfer,
}

/// Decides the places of one body's parts, in order. Depends on nothing but their lengths, so whoever asks again is
/// told the same.
#[derive(Default)]
pub struct Placement {
    inline_len: usize,
    frames: usize,
}

impl Placement {
    /// The place of the next part, which has `len` bytes.
    pub fn place(&mut self, len: usize) -> Place {
        let inline_len = self.inline_len + len;
        if len == 0 || (len <= limits::INLINE_LEN_MAX && inline_len <= limits::BODY_INLINE_LEN_MAX) {
            self.inline_len = inline_len;
            Place::Inline
        } else if len <= limits::FRAME_LEN_MAX && self.frames < limits::COMMAND_FRAMES_MAX {
            self.frames += 1;
            Place::Frame
        } else {
            Place::Transfer
        }
    }
}

impl Writer<'_> {
    pub(crate) fn body(&mut self, body: &Body) {
        let mut placement = Placement::default();
        self.array(body.0.len() as u32);
        for part in &body.0 {
            match placement.place(part.len()) {
                Place::Inline => self.bytes(part),
                Place::Frame => {
                    self.uint(part.len() as u64);
                    self.frames.push(part.clone());
                }
                Place::Transfer => {
                    self.array(1);
                    self.uint(part.len() as u64);
                }
            }
        }
    }

    pub(crate) fn headers(&mut self, headers: &Headers) {
        if headers.is_empty() {
            return self.nil();
        }
        self.array(headers.0.len() as u32 * 2);
        for (name, value) in &headers.0 {
            self.text(name, usize::MAX);
            self.bytes(value);
        }
    }

    pub(crate) fn meta(&mut self, meta: &Meta) {
        if meta.is_empty() {
            return self.nil();
        }
        let known = meta.len() - meta.others().count();
        let others = meta.others().take(limits::META_FACTS_MAX - known);
        self.map((known + others.clone().count()) as u32);
        for (known, number) in meta.numbers() {
            self.uint(known as u64);
            self.uint(number);
        }
        if let Some(worker) = meta.worker() {
            self.uint(Known::Worker as u64);
            self.text(worker, limits::TEXT_LEN_MAX);
        }
        for (key, value) in others {
            self.text(key, limits::TEXT_LEN_MAX);
            self.text(value, limits::TEXT_LEN_MAX);
        }
    }
}

impl Reader<'_> {
    /// A body. Parts inside the command are copied, for otherwise one small waiting job would keep the whole packet;
    /// frames are shared. A part that is a transfer is left empty and noted for [`Reader::end`].
    pub(crate) fn body(&mut self) -> Result<Body, WireError> {
        let len = self.array(1)?;
        if len > limits::PACKET_FRAMES_MAX {
            return Err(WireError::TooMany("parts of a body"));
        }
        let mut parts = BodyFrames::with_capacity(len);
        for index in 0..len {
            parts.push(self.part(index)?);
        }
        Ok(Body(parts))
    }

    fn part(&mut self, index: usize) -> Result<Bytes, WireError> {
        match self.peek()? {
            Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => {
                if self.array_value(1)? != Some(1) {
                    return Err(WireError::Type("a transfer"));
                }
                let len = self.uint_value()?.ok_or(WireError::Type("a transfer"))?;
                self.transfer(index, len);
                Ok(Bytes::new())
            }
            Marker::Null => Err(WireError::Type("a part of a body")),
            Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => self.inline(),
            Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => self.inline(),
            _ => {
                let len = self.uint_value()?.ok_or(WireError::Type("a part of a body"))?;
                self.frame(len)
            }
        }
    }

    fn inline(&mut self) -> Result<Bytes, WireError> {
        Ok(self.bytes_value()?.map_or_else(Bytes::new, Bytes::copy_from_slice))
    }

    pub(crate) fn headers(&mut self) -> Result<Headers, WireError> {
        let len = self.array(1)?;
        if len % 2 != 0 {
            return Err(WireError::Type("a header's value"));
        }
        if len / 2 > limits::HEADERS_MAX {
            return Err(WireError::TooMany("headers"));
        }
        let mut headers = Vec::with_capacity(len / 2);
        for _ in 0..len / 2 {
            let name = self.text_value(usize::MAX)?;
            headers.push((name, self.inline()?));
        }
        Ok(Headers(headers))
    }

    /// Facts; those beyond the limit are dropped.
    pub(crate) fn meta(&mut self) -> Result<Meta, WireError> {
        let len = self.map()?;
        let kept = len.min(limits::META_FACTS_MAX);
        let mut meta = Meta::new();
        for _ in 0..kept {
            if self.is_text()? {
                let name = self.bytes_value()?.unwrap_or_default();
                let value = self.bytes_value()?.unwrap_or_default();
                meta.push(&valid_text(name, limits::TEXT_LEN_MAX), &valid_text(value, limits::TEXT_LEN_MAX));
                continue;
            }
            match self.uint_value()?.and_then(Known::from_number) {
                None => self.skip(1)?,
                Some(Known::Worker) => {
                    let worker = self.bytes_value()?.unwrap_or_default();
                    meta.set_worker(valid_text(worker, limits::TEXT_LEN_MAX).into());
                }
                Some(known) => meta.set(known, self.uint_value()?.unwrap_or(0)),
            }
        }
        self.skip((len - kept) * 2)?;
        Ok(meta)
    }

    /// So many pairs of texts.
    pub(crate) fn texts(&mut self, len: usize) -> Result<Vec<(String, String)>, WireError> {
        let mut texts = Vec::with_capacity(len);
        for _ in 0..len {
            let key = self.text_value(limits::TEXT_LEN_MAX)?;
            texts.push((key, self.text_value(limits::TEXT_LEN_MAX)?));
        }
        Ok(texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_go_where_their_length_says() {
        let mut placement = Placement::default();
        assert_eq!(placement.place(0), Place::Inline);
        assert_eq!(placement.place(4_096), Place::Inline);
        assert_eq!(placement.place(4_097), Place::Frame);
        assert_eq!(placement.place(1 << 20), Place::Frame);
        assert_eq!(placement.place((1 << 20) + 1), Place::Transfer);
    }

    #[test]
    fn a_body_of_many_parts_fits_a_packet() {
        let mut placement = Placement::default();
        let mut counts = [0; 3];
        for _ in 0..5_000 {
            counts[placement.place(4_000) as usize] += 1;
        }
        assert!(counts[0] * 4_000 <= limits::BODY_INLINE_LEN_MAX);
        assert_eq!(counts[1], limits::COMMAND_FRAMES_MAX);
        assert_eq!(placement.place(0), Place::Inline, "an empty part cannot be a transfer");
    }
}
