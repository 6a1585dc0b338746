//! Who sends what no peer should: random bytes, packets cut short, packets of others with one byte changed or unchanged.

use bytes::Bytes;

use crate::random::Random;

/// The name of peers whose packets are spoiled: whatever becomes of them is their own affair.
pub(crate) const NAME: &str = "hostile";

/// A packet to throw at the broker. `seen` is one that another peer has sent.
pub(crate) fn packet(random: &mut Random, seen: Option<&Vec<Bytes>>) -> Vec<Bytes> {
    match (random.below(6), seen) {
        (0, _) => Vec::new(),
        (1, _) | (_, None) => {
            let frames = random.between(1, 4);
            (0..frames).map(|_| noise(random, 200)).collect()
        }
        (2, Some(seen)) => {
            // A good header, and then anything.
            let mut head = seen[0][..seen[0].len().min(32)].to_vec();
            head.extend_from_slice(&noise(random, 100));
            vec![head.into()]
        }
        (3, Some(seen)) => seen.clone(),
        (_, Some(seen)) => spoil(random, seen.clone()),
    }
}

/// Changes a byte, or cuts the end off, or drops or adds a frame.
pub(crate) fn spoil(random: &mut Random, mut packet: Vec<Bytes>) -> Vec<Bytes> {
    if packet.is_empty() {
        return packet;
    }
    match random.below(8) {
        0 => {
            let frame = &mut packet[0];
            let len = random.below(frame.len() as u64 + 1) as usize;
            frame.truncate(len);
        }
        1 => {
            packet.pop();
        }
        2 => packet.push(noise(random, 50)),
        _ => {
            let at = random.below(packet.len() as u64) as usize;
            let mut bytes = packet[at].to_vec();
            if !bytes.is_empty() {
                let at = random.below(bytes.len() as u64) as usize;
                bytes[at] = random.next() as u8;
            }
            packet[at] = bytes.into();
        }
    }
    packet
}

fn noise(random: &mut Random, len_max: u64) -> Bytes {
    let len = random.below(len_max);
    (0..len).map(|_| random.next() as u8).collect::<Vec<u8>>().into()
}
