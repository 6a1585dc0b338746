//! Job ids: UUIDs of version 7 (RFC 9562), made by the client's side.

use std::fmt;

/// A job's id: 16 bytes in network byte order, the first 48 bits Unix milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct JobId(pub [u8; 16]);

impl JobId {
    /// An id for the moment `wall_ms`, the rest taken from `random`.
    pub fn new(wall_ms: u64, random: [u8; 10]) -> Self {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&wall_ms.to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&random);
        bytes[6] = 0x70 | (bytes[6] & 0x0f);
        bytes[8] = 0x80 | (bytes[8] & 0x3f);
        JobId(bytes)
    }

    /// The Unix milliseconds the id carries.
    pub fn wall_ms(&self) -> u64 {
        let mut wide = [0; 8];
        wide[2..].copy_from_slice(&self.0[..6]);
        u64::from_be_bytes(wide)
    }

    /// Whether version and variant are those of a UUID of version 7.
    pub fn is_v7(&self) -> bool {
        self.0[6] >> 4 == 7 && self.0[8] >> 6 == 0b10
    }

    /// Reads the 36-character text form (hyphens at their places, hexadecimal digits of either case).
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        if text.len() != 36 {
            return None;
        }
        let mut bytes = [0; 16];
        let mut at = 0;
        for byte in &mut bytes {
            if matches!(at, 8 | 13 | 18 | 23) {
                if text[at] != b'-' {
                    return None;
                }
                at += 1;
            }
            let high = (text[at] as char).to_digit(16)?;
            let low = (text[at + 1] as char).to_digit(16)?;
            *byte = (high << 4 | low) as u8;
            at += 2;
        }
        Some(JobId(bytes))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_time_survive_the_round_trip() {
        let id = JobId::new(0x0123_4567_89ab, [0xff; 10]);
        assert!(id.is_v7());
        assert_eq!(id.wall_ms(), 0x0123_4567_89ab);
        assert_eq!(id.to_string(), "01234567-89ab-7fff-bfff-ffffffffffff");
        assert_eq!(JobId::parse(&id.to_string().to_uppercase()), Some(id));
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        for text in [
            "",
            "01234567-89ab-7fff-bfff-fffffffffff",
            "01234567x89ab-7fff-bfff-ffffffffffff",
            "g1234567-89ab-7fff-bfff-ffffffffffff",
        ] {
            assert_eq!(JobId::parse(text), None, "{text}");
        }
    }
}
