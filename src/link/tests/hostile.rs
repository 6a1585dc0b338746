//! Packets nobody should send, given to both ends: they never panic, they keep nothing without bound, and the next peer is
//! served.

use bytes::Bytes;

use super::world::{CONN, Random, at, config, job_id, terms};
use crate::core::session::{Input, Output};
use crate::link::{ConnId, Hub, HubLimits, Peer, PeerConfig};
use crate::model::Lease;
use crate::wire::command::{FromBroker, PeerKind, Secret, ToBroker};

/// One bit, byte, length or frame of `packet` other than it was.
fn change(random: &mut Random, mut packet: Vec<Bytes>) -> Vec<Bytes> {
    let mut bytes = packet[0].to_vec();
    match random.below(6) {
        0 => {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.below(8);
        }
        1 => {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] = random.next() as u8;
        }
        2 => bytes.truncate(random.below(bytes.len() as u64) as usize),
        3 => packet.push(Bytes::from(vec![0; random.below(40) as usize])),
        4 => bytes.extend((0..random.below(40)).map(|_| random.0 as u8)),
        _ => bytes = (0..random.below(200)).map(|_| random.next() as u8).collect(),
    }
    packet[0] = Bytes::from(bytes);
    packet
}

fn answer_everything(hub: &mut Hub, us: u64) -> Vec<(ConnId, Vec<Bytes>)> {
    while let Some(input) = hub.poll_input() {
        match input {
            Input::Command { session, number, .. } => {
                hub.handle(at(us), Output::Send { session, command: FromBroker::SubmitCredit(number) });
                hub.handle(at(us), Output::Done { session, number });
            }
            Input::Beat { session, held } => {
                hub.handle(at(us), Output::BeatReply { session, dropped: held });
            }
            _ => {}
        }
    }
    std::iter::from_fn(|| hub.poll_packet(at(us))).collect()
}

#[test]
fn a_hub_serves_the_next_peer_after_100_000_packets_half_of_them_bad() {
    let mut random = Random(77);
    let mut hub = Hub::new(terms(), HubLimits::default());
    let mut peer = Peer::new(config(PeerKind::Worker));
    peer.connected(at(0));
    let mut us = 0;
    let mut bad = 0;
    for n in 0..100_000 {
        us += 20_000;
        peer.send(ToBroker::Start(Lease { slot: n, token: u64::from(n) }));
        if n % 100 == 0 {
            peer.beat(at(us), &[Lease { slot: n, token: 1 }]);
        }
        while let Some(packet) = peer.poll_packet(at(us)) {
            if random.chance(50) {
                bad += 1;
                hub.receive(at(us), CONN, "uid:1", change(&mut random, packet.clone()));
                answer_everything(&mut hub, us);
            }
            hub.receive(at(us), CONN, "uid:1", packet);
        }
        for (conn, packet) in answer_everything(&mut hub, us) {
            if conn == CONN {
                peer.receive(at(us), packet);
            }
        }
        while peer.poll_event().is_some() {}
        peer.tick(at(us));
        hub.tick(at(us));
    }
    assert!(bad > 10_000, "{bad}");
    assert!(hub.counters().bad_packets > 5_000, "{:?}", hub.counters());
    assert!(hub.counters().commands_received > 50_000, "{:?}", hub.counters());

    let mut next = Peer::new(PeerConfig { secret: Secret([1; 16]), ..config(PeerKind::Client) });
    next.connected(at(us));
    hub.receive(at(us), ConnId(2), "uid:1", next.poll_packet(at(us)).expect("HELLO"));
    for (conn, packet) in answer_everything(&mut hub, us) {
        if conn == ConnId(2) {
            next.receive(at(us), packet);
        }
    }
    assert!(next.is_up());
    assert!(hub.sessions() < 200, "{} sessions", hub.sessions());
}

#[test]
fn a_peer_survives_a_broker_that_sends_nonsense() {
    let mut random = Random(78);
    let mut hub = Hub::new(terms(), HubLimits::default());
    let mut peer = Peer::new(config(PeerKind::Client));
    peer.connected(at(0));
    let mut us = 0;
    let mut served = 0;
    for n in 0..50_000 {
        us += 20_000;
        peer.send(ToBroker::Get { id: job_id(n), mode: crate::wire::command::GetMode::Peek });
        while let Some(packet) = peer.poll_packet(at(us)) {
            hub.receive(at(us), CONN, "uid:1", packet);
        }
        for (_, packet) in answer_everything(&mut hub, us) {
            if random.chance(30) {
                peer.receive(at(us), change(&mut random, packet.clone()));
            }
            peer.receive(at(us), packet);
        }
        while peer.poll_event().is_some() {
            served += 1;
        }
        peer.tick(at(us));
        hub.tick(at(us));
        if peer.is_over() {
            // A changed bit can make a refusal; that one is final.
            peer = Peer::new(config(PeerKind::Client));
            peer.connected(at(us));
        }
    }
    assert!(served > 10_000, "{served} events, {:?}", peer.counters());
}
