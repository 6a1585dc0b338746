//! The 32 bytes every packet begins with.

use bytes::BufMut;

use crate::wire::error::WireError;

/// "FBAY".
pub const MAGIC: u32 = 0x4642_4159;
/// The major version this side speaks.
pub const MAJOR: u8 = 1;
/// Bytes of a header.
pub const HEADER_LEN: usize = 32;
/// The flag of packets whose commands have no numbers.
const CONTROL: u8 = 1;

/// What a packet says before its commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Header {
    /// The commands of this packet are not numbered.
    pub control: bool,
    /// How many commands follow.
    pub count: u16,
    /// The number WELCOME gave; 0 before.
    pub incarnation: u32,
    /// Number of the first command; without numbered commands, the number the next one will get.
    pub first: u64,
    /// Every command of the receiver up to this number has reached its level.
    pub acknowledged: u64,
}

impl Header {
    /// Appends the 32 bytes.
    pub fn encode(&self, to: &mut impl BufMut) {
        to.put_u32(MAGIC);
        to.put_u8(MAJOR);
        to.put_u8(if self.control { CONTROL } else { 0 });
        to.put_u16(self.count);
        to.put_u32(self.incarnation);
        to.put_u32(0);
        to.put_u64(self.first);
        to.put_u64(self.acknowledged);
    }

    /// Reads the header of frame 0 and returns it with what follows.
    ///
    /// # Errors
    /// `Short`, `Magic` or `Major`.
    pub fn decode(frame: &[u8]) -> Result<(Header, &[u8]), WireError> {
        let (head, rest) = frame.split_first_chunk::<HEADER_LEN>().ok_or(WireError::Short)?;
        let magic = u32::from_be_bytes(part(head, 0));
        if magic != MAGIC {
            return Err(WireError::Magic(magic));
        }
        if head[4] != MAJOR {
            return Err(WireError::Major(head[4]));
        }
        let header = Header {
            control: head[5] & CONTROL != 0,
            count: u16::from_be_bytes(part(head, 6)),
            incarnation: u32::from_be_bytes(part(head, 8)),
            first: u64::from_be_bytes(part(head, 16)),
            acknowledged: u64::from_be_bytes(part(head, 24)),
        };
        Ok((header, rest))
    }
}

/// `N` bytes of the header from `at`; both are constants that lie within it.
fn part<const N: usize>(head: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&head[at..at + N]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;

    #[test]
    fn every_field_stands_at_its_offset() {
        let header = Header {
            control: true,
            count: 0x0102,
            incarnation: 0x0304_0506,
            first: 0x0708_090a_0b0c_0d0e,
            acknowledged: 0x0f10_1112_1314_1516,
        };
        let mut bytes = BytesMut::new();
        header.encode(&mut bytes);
        let expected: [u8; HEADER_LEN] = [
            0x46, 0x42, 0x41, 0x59, 1, 1, 1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
            17, 18, 19, 20, 21, 22,
        ];
        assert_eq!(&bytes[..], expected);
        bytes.put_u8(99);
        assert_eq!(Header::decode(&bytes), Ok((header, &[99u8][..])));
    }

    #[test]
    fn what_is_not_a_header_is_named() {
        let mut bytes = BytesMut::new();
        Header::default().encode(&mut bytes);
        assert_eq!(Header::decode(&bytes[..31]), Err(WireError::Short));
        let mut wrong = bytes.clone();
        wrong[0] = 0;
        assert_eq!(Header::decode(&wrong), Err(WireError::Magic(0x0042_4159)));
        wrong = bytes.clone();
        wrong[4] = 2;
        assert_eq!(Header::decode(&wrong), Err(WireError::Major(2)));
        wrong = bytes.clone();
        wrong[5] = 0xfe;
        wrong[12] = 7;
        assert_eq!(Header::decode(&wrong).map(|(header, _)| header), Ok(Header::default()));
    }
}
