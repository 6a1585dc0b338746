//! One lane talking to another: windows, chunks, gaps, repetitions, and acknowledgements that wait for answers.

use std::sync::Arc;

use bytes::Bytes;

use crate::link::lane::{Done, Heard, Lane};
use crate::model::{Body, JobId, Lease, QueueName, Submission, limits};
use crate::wire::codec::{Chunk, Numbered, Writer};
use crate::wire::command::{Control, FromBroker, ToBroker};
use crate::wire::{Header, Packet, WireError};

const WINDOW_LEN: u64 = limits::WINDOW_LEN as u64;
const PAYLOAD_LEN_MAX: u64 = limits::PAYLOAD_LEN_MAX as u64;
const DELAY_US: u64 = limits::ACK_DELAY_MS * 1_000;

fn lane() -> Lane {
    Lane::new(WINDOW_LEN, PAYLOAD_LEN_MAX)
}

fn partial(sequence: u64, body: Body) -> ToBroker {
    ToBroker::Partial { lease: Lease { slot: 1, token: 2 }, sequence, body }
}

fn done(parts: Vec<Bytes>) -> ToBroker {
    let lease = Lease { slot: 1, token: 2 };
    ToBroker::Done { lease, completion: Arc::new(Body::from(parts).into()) }
}

fn submit_like(n: u64) -> ToBroker {
    partial(n, Body::one(vec![n as u8; 100]))
}

/// What `lane` makes of a packet: the commands it executed.
fn hear(
    lane: &mut Lane,
    now_us: u64,
    frames: &[Bytes],
    when: Done,
) -> Result<(Heard, Vec<(u64, ToBroker)>), WireError> {
    let mut heard = Vec::new();
    let packet = Packet::open(frames)?;
    let result = lane.receive(now_us, &packet, when, &mut Vec::new(), |n, c| heard.push((n, c)))?;
    Ok((result, heard))
}

fn packets(lane: &mut Lane, now_us: u64) -> Vec<Vec<Bytes>> {
    std::iter::from_fn(|| lane.poll_packet(now_us, 1)).collect()
}

fn header(frames: &[Bytes]) -> Header {
    Packet::open(frames).expect("a packet").header
}

/// `lane` learns that everything up to `number` has been acknowledged.
fn acknowledge(lane: &mut Lane, number: u64) -> Result<Heard, WireError> {
    let mut bytes = bytes::BytesMut::new();
    Header { acknowledged: number, first: 1, ..Header::default() }.encode(&mut bytes);
    hear(lane, 0, &[bytes.freeze()], Done::AtOnce).map(|heard| heard.0)
}

#[test]
fn what_is_ready_travels_together() {
    let (mut a, mut b) = (lane(), lane());
    for n in 0..250 {
        assert_eq!(a.push(&submit_like(n)), n + 1);
        assert!(!a.has_full_packet(), "250 commands of 100 bytes are about 28 KiB");
    }
    let sent = packets(&mut a, 0);
    assert_eq!(sent.len(), 1);
    let (heard, commands) = hear(&mut b, 0, &sent[0], Done::AtOnce).expect("good");
    assert_eq!(heard, Heard::Executed { commands: 250, duplicates: 0 });
    assert_eq!(commands[249], (250, submit_like(249)));
    for n in 0..5_000 {
        a.push(&submit_like(n));
    }
    for packet in packets(&mut a, 0) {
        assert!(packet.iter().map(Bytes::len).sum::<usize>() <= limits::PACKET_LEN_MAX);
        hear(&mut b, 0, &packet, Done::AtOnce).expect("good");
    }
    assert_eq!(b.received(), 5_250);
}

#[test]
fn packets_grow_with_what_is_under_way() {
    let mut a = lane();
    (0..10_000).for_each(|n| _ = a.push(&submit_like(n)));
    assert!(a.has_full_packet());
    let lens: Vec<usize> =
        packets(&mut a, 0).iter().map(|packet| packet.iter().map(Bytes::len).sum()).collect();
    assert!(lens[0] <= limits::PACKET_LEN_MIN && lens[0] > limits::PACKET_LEN_MIN - 256, "{lens:?}");
    let full = lens[lens.len() - 2];
    assert!(full <= limits::PACKET_LEN_MAX && full > limits::PACKET_LEN_MAX - 256, "{lens:?}");
}

#[test]
fn what_was_sent_before_a_resynchronisation_may_be_acknowledged_after_it() {
    let (mut a, mut b) = (lane(), lane());
    (1..=9).for_each(|n| _ = a.push(&submit_like(n)));
    let lost = packets(&mut a, 0).remove(0);
    a.resync(0, 2);
    // The other side had received more than it said it had.
    hear(&mut b, 0, &lost, Done::AtOnce).expect("good");
    let answer = b.poll_packet(DELAY_US, 1).expect("an acknowledgement");
    hear(&mut a, 0, &answer, Done::AtOnce).expect("good");
    assert_eq!((a.acknowledged(), a.kept()), (9, 0));
    assert_eq!(a.push(&submit_like(10)), 10);
    let next = packets(&mut a, 0);
    assert_eq!(header(&next[0]), Header { count: 1, incarnation: 1, first: 10, ..Header::default() });
}

#[test]
fn packets_have_limits_of_frames_and_commands() {
    let mut a = lane();
    for n in 0..20_000 {
        a.push(&ToBroker::ResultCredit(n % 100));
    }
    let sent = packets(&mut a, 0);
    assert_eq!(sent.iter().map(|packet| u64::from(header(packet).count)).sum::<u64>(), 20_000);
    let mut a = lane();
    let frames = vec![Bytes::from(vec![0; limits::INLINE_LEN_MAX + 1]); 1_024];
    for _ in 0..5 {
        a.push(&done(frames.clone()));
    }
    for packet in packets(&mut a, 0) {
        assert!(packet.len() <= limits::PACKET_FRAMES_MAX);
    }
}

#[test]
fn the_byte_window_holds_back_and_opens_again() {
    let (mut a, mut b) = (lane(), lane());
    for n in 0..64 {
        a.push(&partial(n, Body::one(vec![1; 512 << 10])));
    }
    let sent = packets(&mut a, 0);
    assert_eq!(sent.len(), 15, "16 would have 8 MiB and their headers");
    assert_eq!(a.poll_packet(0, 1), None);
    for packet in &sent {
        hear(&mut b, 0, packet, Done::AtOnce).expect("good");
    }
    let answer = b.poll_packet(0, 1).expect("an acknowledgement: a quarter of the window was heard");
    assert_eq!((header(&answer).count, header(&answer).acknowledged), (0, 15));
    hear(&mut a, 0, &answer, Done::AtOnce).expect("good");
    assert_eq!(a.acknowledged(), 15);
    assert_eq!(packets(&mut a, 0).len(), 15);
}

#[test]
fn the_command_window_holds_back() {
    let mut a = lane();
    for n in 0..limits::WINDOW_COMMANDS as u64 + 5 {
        a.push(&ToBroker::ResultCredit(n));
    }
    let sent = packets(&mut a, 0);
    let under_way: u64 = sent.iter().map(|packet| u64::from(header(packet).count)).sum();
    assert_eq!(under_way, limits::WINDOW_COMMANDS as u64);
    acknowledge(&mut a, 3).expect("was sent");
    assert_eq!(header(&a.poll_packet(0, 1).expect("three more")).count, 3);
    assert_eq!(a.unacknowledged(), limits::WINDOW_COMMANDS + 2);
}

#[test]
fn a_command_larger_than_the_window_goes_alone() {
    let mut a = Lane::new(10_000, PAYLOAD_LEN_MAX);
    a.push(&partial(0, Body::one(vec![1; 50_000])));
    a.push(&partial(1, Body::one("x")));
    assert_eq!(header(&a.poll_packet(0, 1).expect("the large one")).count, 1);
    assert_eq!(a.poll_packet(0, 1), None);
    acknowledge(&mut a, 1).expect("was sent");
    assert_eq!(header(&a.poll_packet(0, 1).expect("the small one")).first, 2);
}

#[test]
fn sixty_four_mebibytes_arrive_as_they_were() {
    let (mut a, mut b) = (lane(), lane());
    let bytes: Vec<u8> = (0..limits::PAYLOAD_LEN_MAX as u32).map(|n| (n ^ (n >> 13)) as u8).collect();
    let large = Bytes::from(bytes);
    let sent = done(vec![Bytes::from_static(b"first"), large.clone(), Bytes::new()]);
    let number = a.push(&sent);
    assert_eq!(number, 257, "256 chunks go before it");
    let mut heard = Vec::new();
    while heard.is_empty() {
        for packet in packets(&mut a, 0) {
            assert!(packet.iter().all(|frame| frame.len() <= limits::ZMQ_FRAME_LEN_MAX));
            heard.extend(hear(&mut b, 0, &packet, Done::WhenSaid).expect("good").1);
        }
        for packet in packets(&mut b, 0) {
            assert!(header(&packet).acknowledged > 0, "chunks are acknowledged when received");
            hear(&mut a, 0, &packet, Done::AtOnce).expect("good");
        }
    }
    assert_eq!(heard, vec![(257, sent)]);
}

#[test]
fn repetitions_are_skipped_and_gaps_are_seen() {
    let (mut a, mut b) = (lane(), lane());
    a.push(&submit_like(1));
    let first = packets(&mut a, 0).remove(0);
    a.push(&submit_like(2));
    let second = packets(&mut a, 0).remove(0);
    assert_eq!(hear(&mut b, 0, &second, Done::AtOnce), Ok((Heard::Gap, vec![])));
    assert_eq!(b.received(), 0);
    hear(&mut b, 0, &first, Done::AtOnce).expect("good");
    let again = hear(&mut b, 0, &first, Done::AtOnce);
    assert_eq!(again, Ok((Heard::Executed { commands: 0, duplicates: 1 }, vec![])));
    assert_eq!(hear(&mut b, 0, &second, Done::AtOnce).expect("good").1, vec![(2, submit_like(2))]);
}

#[test]
fn a_lost_tail_is_seen_from_any_later_packet() {
    let (mut a, mut b) = (lane(), lane());
    a.push(&submit_like(1));
    packets(&mut a, 0);
    let beat = a.control(1, &Control::Beat(vec![]));
    assert_eq!(b.observe(&Packet::open(&beat).expect("a packet")), Ok(Heard::Gap));
    assert!(a.can_resync(0) && a.can_resync(1) && !a.can_resync(2));
    a.resync(0, 0);
    let again = packets(&mut a, 0).remove(0);
    assert_eq!(hear(&mut b, 0, &again, Done::AtOnce).expect("good").1, vec![(1, submit_like(1))]);
    assert_eq!(a.resent(), 1);
}

#[test]
fn a_resynchronisation_repacks_and_skips_what_came() {
    let (mut a, mut b) = (lane(), lane());
    for n in 1..=10 {
        a.push(&submit_like(n));
        let packet = packets(&mut a, 0).remove(0);
        if n <= 4 {
            hear(&mut b, 0, &packet, Done::AtOnce).expect("good");
        }
    }
    // What the other side had received is known only roughly: here two fewer.
    a.resync(0, 2);
    let again = packets(&mut a, 0);
    assert_eq!(again.len(), 1);
    assert_eq!(header(&again[0]), Header { count: 8, incarnation: 1, first: 3, ..Header::default() });
    let (heard, commands) = hear(&mut b, 0, &again[0], Done::AtOnce).expect("good");
    assert_eq!(heard, Heard::Executed { commands: 6, duplicates: 2 });
    assert_eq!(commands.first(), Some(&(5, submit_like(5))));
    assert!(!a.can_resync(1), "what was dropped cannot be sent again");
}

#[test]
fn an_acknowledgement_waits_for_every_command_before_it() {
    let (mut a, mut b) = (lane(), lane());
    (1..=5).for_each(|n| _ = a.push(&submit_like(n)));
    let packet = packets(&mut a, 0).remove(0);
    hear(&mut b, 0, &packet, Done::WhenSaid).expect("good");
    b.done(0, 2);
    b.done(0, 3);
    b.done(0, 5);
    assert_eq!(b.poll_packet(DELAY_US, 1), None, "number 1 is still open");
    b.done(0, 1);
    let answer = b.poll_packet(DELAY_US, 1).expect("an acknowledgement");
    assert_eq!(header(&answer).acknowledged, 3);
    b.done(0, 4);
    b.done(0, 4);
    let answer = b.poll_packet(DELAY_US * 2, 1).expect("an acknowledgement");
    assert_eq!(header(&answer).acknowledged, 5);
    b.done(0, 5);
    b.done(0, 77);
    assert_eq!(b.poll_packet(DELAY_US * 9, 1), None, "a number done twice, or never heard, changes nothing");
}

/// The answers were larger than the window, so that an empty packet with the acknowledgement would have overtaken
/// them.
#[test]
fn an_acknowledgement_never_overtakes_its_answers() {
    let mut a = lane();
    let mut b = Lane::new(10_000, PAYLOAD_LEN_MAX);
    (1..=3).for_each(|n| _ = a.push(&submit_like(n)));
    let packet = packets(&mut a, 0).remove(0);
    hear(&mut b, 0, &packet, Done::WhenSaid).expect("good");
    let answer = |n| FromBroker::PartialOf {
        id: crate::model::JobId::default(),
        attempt: 1,
        sequence: n,
        body: Body::one(vec![1; 6_000]),
    };
    b.done(0, 1);
    b.push(&answer(1));
    b.push(&answer(2));
    b.done(0, 2);
    b.push(&answer(3));
    b.done(0, 3);
    let sent = packets(&mut b, DELAY_US);
    assert_eq!(sent.len(), 1, "the window lets one pass");
    assert_eq!((header(&sent[0]).count, header(&sent[0]).acknowledged), (1, 1));
    assert_eq!(packets(&mut b, DELAY_US * 2), Vec::<Vec<Bytes>>::new());
    assert_eq!(header(&b.control(1, &Control::BeatReply(vec![]))).acknowledged, 1);
    acknowledge(&mut b, 1).expect("was sent");
    assert_eq!(header(&packets(&mut b, DELAY_US * 3)[0]).acknowledged, 2);
    // That packet was lost, and so its acknowledgement must not be said before its answer was sent again.
    b.resync(DELAY_US * 4, 1);
    assert_eq!(header(&b.control(1, &Control::BeatReply(vec![]))).acknowledged, 1);
    let again = packets(&mut b, DELAY_US * 4);
    assert_eq!((again.len(), header(&again[0]).first, header(&again[0]).acknowledged), (1, 2, 2));
    acknowledge(&mut b, 2).expect("was sent");
    assert_eq!(header(&packets(&mut b, DELAY_US * 5)[0]).acknowledged, 3);
}

/// A command that needs no answer came after one whose answer still waited: its acknowledgement covers both.
#[test]
fn a_later_acknowledgement_does_not_overtake_them_either() {
    let mut a = lane();
    let mut b = Lane::new(10_000, PAYLOAD_LEN_MAX);
    a.push(&submit_like(1));
    a.push(&ToBroker::Unknown(200));
    let sent = packets(&mut a, 0).remove(0);
    b.push(&partial(1, Body::one(vec![1; 9_000])));
    packets(&mut b, 0);
    let mut later = lane();
    later.push(&submit_like(1));
    hear(&mut b, 0, &packets(&mut later, 0)[0], Done::WhenSaid).expect("good");
    b.push(&partial(2, Body::one(vec![1; 9_000])));
    b.done(0, 1);
    let (heard, _) = hear(&mut b, 0, &sent, Done::WhenSaid).expect("good");
    assert_eq!(heard, Heard::Executed { commands: 1, duplicates: 1 });
    assert_eq!(packets(&mut b, DELAY_US), Vec::<Vec<Bytes>>::new(), "the answer has not left");
    acknowledge(&mut b, 1).expect("was sent");
    let answer = packets(&mut b, DELAY_US).remove(0);
    assert_eq!((header(&answer).count, header(&answer).acknowledged), (1, 2));
}

#[test]
fn acknowledgements_leave_when_somebody_waits_or_enough_have_gathered() {
    let (mut a, mut b) = (lane(), lane());
    a.push(&ToBroker::ResultCredit(1));
    let packet = packets(&mut a, 0).remove(0);
    hear(&mut b, 0, &packet, Done::AtOnce).expect("good");
    assert_eq!(b.poll_packet(DELAY_US - 1, 1), None, "nobody waits for it");
    assert_eq!(b.due_us(), Some(DELAY_US));
    let answer = b.poll_packet(DELAY_US, 1).expect("an acknowledgement");
    assert_eq!(header(&answer).acknowledged, 1);
    assert_eq!(b.due_us(), None);

    (0..limits::ACK_COMMANDS).for_each(|n| _ = a.push(&ToBroker::ResultCredit(n)));
    let packet = packets(&mut a, 0).remove(0);
    hear(&mut b, 0, &packet, Done::AtOnce).expect("good");
    assert!(b.poll_packet(0, 1).is_some(), "enough have gathered");

    let queue = QueueName::new("q").expect("a queue's name");
    let job = Submission::new(JobId::default(), queue, Body::default());
    let number = a.push(&ToBroker::Submit(Arc::new(job)));
    let packet = packets(&mut a, 0).remove(0);
    hear(&mut b, 0, &packet, Done::WhenSaid).expect("good");
    assert_eq!(b.poll_packet(0, 1), None);
    b.done(0, number);
    assert_eq!(header(&b.poll_packet(0, 1).expect("at once")).acknowledged, number);
    assert_eq!(b.poll_packet(DELAY_US * 9, 1), None);
}

/// A packet of these numbered commands.
fn packet_of(first: u64, commands: &[Numbered<ToBroker>]) -> Vec<Bytes> {
    use crate::wire::codec::Command;
    let mut bytes = bytes::BytesMut::new();
    let mut frames = vec![Bytes::new()];
    Header { count: commands.len() as u16, first, ..Header::default() }.encode(&mut bytes);
    for command in commands {
        let mut w = Writer::new(&mut bytes, &mut frames);
        match command {
            Numbered::Chunk(chunk) => chunk.encode(&mut w),
            Numbered::Command { command, .. } => command.encode(&mut w),
        }
    }
    frames[0] = bytes.freeze();
    frames
}

fn chunk(total: u64, offset: u64, len: usize) -> Numbered<ToBroker> {
    Numbered::Chunk(Chunk { total, offset, piece: Bytes::from(vec![7; len]) })
}

fn uses(len: usize) -> Numbered<ToBroker> {
    Numbered::Command { command: done(vec![Bytes::from(vec![7; len])]), transfers: vec![(0, len as u64)] }
}

#[test]
fn transfers_out_of_order_change_nothing() {
    let len = (1 << 20) + 1;
    let total = len as u64;
    let begin = || {
        let mut lane = lane();
        for n in 0..4 {
            let packet = packet_of(n + 1, &[chunk(total, n * 262_144, 262_144)]);
            hear(&mut lane, 0, &packet, Done::WhenSaid).expect("good");
        }
        lane
    };
    let cases = [
        (vec![chunk(total, 4 * 262_144 + 1, 1)], WireError::Transfer),
        (vec![chunk(total + 1, 4 * 262_144, 1)], WireError::Transfer),
        (vec![chunk(total, 4 * 262_144, 2)], WireError::Transfer),
        (vec![chunk(total, 4 * 262_144, 0)], WireError::Transfer),
        (vec![chunk(total, 0, 1)], WireError::Transfer),
        (vec![uses(len)], WireError::Transfer),
        (vec![chunk(total, 4 * 262_144, 1), uses(len + 1)], WireError::Length),
        (vec![chunk(total, 4 * 262_144, 1), uses(len), uses(len)], WireError::Transfer),
        (
            vec![chunk(total, 4 * 262_144, 1), chunk(PAYLOAD_LEN_MAX, 0, 1)],
            WireError::TooLarge { len: total + PAYLOAD_LEN_MAX, len_max: PAYLOAD_LEN_MAX },
        ),
    ];
    for (commands, error) in cases {
        let mut lane = begin();
        assert_eq!(hear(&mut lane, 0, &packet_of(5, &commands), Done::WhenSaid), Err(error));
        assert_eq!(lane.received(), 4);
        let good = packet_of(5, &[chunk(total, 4 * 262_144, 1), uses(len)]);
        let (_, heard) =
            hear(&mut lane, 0, &good, Done::WhenSaid).expect("the transfer goes on where it was");
        assert_eq!(heard, vec![(6, done(vec![Bytes::from(vec![7; len])]))]);
    }
    let large = packet_of(1, &[chunk(PAYLOAD_LEN_MAX + 1, 0, 1)]);
    assert!(matches!(hear(&mut lane(), 0, &large, Done::WhenSaid), Err(WireError::TooLarge { .. })));
    let endless = packet_of(1, &[chunk(u64::MAX, 0, 1)]);
    assert!(matches!(hear(&mut lane(), 0, &endless, Done::WhenSaid), Err(WireError::TooLarge { .. })));
}

#[test]
fn impossible_numbers_change_nothing() {
    let mut a = lane();
    a.push(&submit_like(1));
    packets(&mut a, 0);
    assert_eq!(acknowledge(&mut a, 2), Err(WireError::Number));
    assert_eq!(a.unacknowledged(), 1);
    let zero = packet_of(0, &[Numbered::Command { command: submit_like(1), transfers: vec![] }]);
    assert_eq!(hear(&mut a, 0, &zero, Done::AtOnce), Err(WireError::Number));
    let last = packet_of(u64::MAX, &[Numbered::Command { command: submit_like(1), transfers: vec![] }]);
    assert_eq!(hear(&mut a, 0, &last, Done::AtOnce), Err(WireError::Number));
    assert_eq!(a.received(), 0);
}

#[test]
fn commands_of_later_versions_pass_and_count() {
    let mut a = lane();
    let unknown = |code| Numbered::Command { command: ToBroker::Unknown(code), transfers: vec![] };
    let packet = packet_of(1, &[unknown(128), unknown(60), unknown(4_000)]);
    let (heard, commands) = hear(&mut a, 0, &packet, Done::WhenSaid).expect("good");
    assert_eq!(heard, Heard::Executed { commands: 3, duplicates: 0 });
    assert_eq!(commands, vec![(2, ToBroker::Unknown(60))]);
    a.done(0, 2);
    assert_eq!(header(&a.poll_packet(DELAY_US, 1).expect("an acknowledgement")).acknowledged, 3);
}

#[test]
fn what_was_acknowledged_is_not_kept() {
    let mut a = lane();
    for round in 0..50 {
        for n in 0..1_000 {
            a.push(&submit_like(n));
        }
        packets(&mut a, 0);
        acknowledge(&mut a, (round + 1) * 1_000).expect("was sent");
    }
    assert_eq!((a.kept(), a.unacknowledged()), (0, 0));
}
