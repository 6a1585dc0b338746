//! When a peer says HELLO, when it beats, and when it stops.

use super::rig::*;
use super::world::{CONN, at, terms};
use crate::core::session::{Output, PeerEvent};
use crate::link::{Hub, HubLimits};
use crate::model::{Lease, Status, limits};
use crate::wire::command::{Control, FromBroker, PeerKind, ToBroker, Welcome};
use crate::wire::{Header, Packet, control_packet};

#[test]
fn a_refusal_is_final_for_the_peer() {
    let mut hub = Hub::new(terms(), HubLimits { sessions: 0, ..HubLimits::default() });
    let mut peer = peer(PeerKind::Client);
    peer.connected(at(0));
    to_hub(&mut hub, at(0), CONN, &mut peer);
    let events = to_peer(&mut hub, at(0), &mut peer);
    assert!(matches!(&events[..], [PeerEvent::Refused(failure)] if failure.status == Status::Busy));
    peer.connected(at(9));
    assert_eq!((peer.poll_packet(at(9_000_000)), peer.next_timeout()), (None, None));
    assert!(peer.is_over());
}

/// A broker that says it has executed what was never sent cannot be followed. The peer asks for a new session.
#[test]
fn a_broker_that_claims_what_cannot_be_is_asked_for_a_new_session() {
    let (mut hub, mut peer) = pair(PeerKind::Worker);
    peer.connected(at(1_000_000));
    to_hub(&mut hub, at(1_000_000), CONN, &mut peer);
    let (_, packet) = hub.poll_packet(at(1_000_000)).expect("WELCOME");
    let Some(Control::Welcome(welcome)) = controls(&packet).pop() else { panic!("WELCOME") };
    let wrong = Control::Welcome(Welcome { received: 9, ..welcome });
    peer.receive(at(1_000_000), control_packet(Header::default(), &wrong));
    let now = at(1_100_000);
    to_hub(&mut hub, now, CONN, &mut peer);
    assert_eq!(names(&mut hub), ["closed", "opened"]);
    let events = to_peer(&mut hub, now, &mut peer);
    assert!(matches!(&events[..], [PeerEvent::Down, PeerEvent::Up { fresh: true, .. }]), "{events:?}");
}

#[test]
fn a_quiet_client_beats_and_a_busy_one_need_not() {
    let (mut hub, mut peer) = pair(PeerKind::Client);
    let beat_us = limits::BEAT_MS * 1_000;
    assert_eq!(peer.next_timeout(), Some(beat_us));
    peer.send(ToBroker::ResultCredit(1));
    to_hub(&mut hub, at(beat_us / 2), CONN, &mut peer);
    peer.tick(at(beat_us));
    assert_eq!(peer.poll_event(), None, "it spoke half a beat ago");
    assert_eq!(peer.next_timeout(), Some(beat_us + beat_us / 2));
    peer.tick(at(beat_us * 2));
    assert_eq!(peer.poll_event(), Some(PeerEvent::BeatDue));
    names(&mut hub);
    peer.beat(at(beat_us * 2), &[]);
    to_hub(&mut hub, at(beat_us * 2), CONN, &mut peer);
    assert_eq!(names(&mut hub), ["beat"]);
    let dropped = vec![Lease { slot: 1, token: 2 }];
    hub.handle(at(beat_us * 2), Output::BeatReply { session: ONE, dropped: dropped.clone() });
    assert_eq!(to_peer(&mut hub, at(beat_us * 2), &mut peer), [PeerEvent::LeasesDropped(dropped)]);
}

#[test]
fn a_worker_beats_however_busy_it_is() {
    let (mut hub, mut peer) = pair(PeerKind::Worker);
    peer.tick(at(0));
    assert_eq!(peer.poll_event(), Some(PeerEvent::BeatDue), "its leases have waited while it was away");
    peer.beat(at(0), &[]);
    let beat_us = limits::BEAT_MS * 1_000;
    peer.send(ToBroker::Demand { jobs: 1, bytes: 0 });
    to_hub(&mut hub, at(beat_us - 1), CONN, &mut peer);
    peer.tick(at(beat_us));
    assert_eq!(peer.poll_event(), Some(PeerEvent::BeatDue));
}

#[test]
fn a_silent_broker_is_said_hello() {
    let (_, mut peer) = pair(PeerKind::Client);
    let lease_us = limits::LEASE_MS * 1_000;
    peer.tick(at(lease_us - 1));
    while let Some(event) = peer.poll_event() {
        assert_eq!(event, PeerEvent::BeatDue);
    }
    peer.tick(at(lease_us));
    assert_eq!(peer.poll_event(), Some(PeerEvent::Down));
    let hello = peer.poll_packet(at(lease_us)).expect("HELLO");
    assert!(matches!(controls(&hello)[..], [Control::Hello(_)]));
    assert_eq!(peer.poll_packet(at(lease_us)), None);
    assert_eq!(peer.next_timeout(), Some(lease_us + limits::HELLO_RETRY_MS * 1_000));
    assert_eq!(peer.counters().silences, 1);
}

/// Every packet seems to follow a lost one: HELLOs must not storm.
#[test]
fn gaps_one_after_the_other_are_answered_slowly() {
    let (mut hub, mut peer) = pair(PeerKind::Client);
    let mut hellos = 0;
    for ms in 0..1_000 {
        let now = at(ms * 1_000);
        hub.handle(now, Output::Send { session: ONE, command: FromBroker::SubmitCredit(ms) });
        let before = peer.counters().hellos;
        for (conn, packet) in packets(&mut hub, now) {
            assert_eq!(conn, CONN);
            // Everything numbered but the last is lost.
            if Packet::open(&packet).expect("a packet").header.control || ms % 3 == 0 {
                peer.receive(now, packet);
            }
        }
        to_hub(&mut hub, now, CONN, &mut peer);
        inputs(&mut hub);
        hellos += peer.counters().hellos - before;
    }
    assert!((2..=12).contains(&hellos), "{hellos} HELLOs in a second");
}
