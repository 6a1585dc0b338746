//! How sessions begin, move, go on and end.

use bytes::Bytes;

use super::rig::*;
use super::world::{CONN, at, config, job_id, terms};
use crate::core::session::{Input, Output, PeerEvent};
use crate::link::{ConnId, Hub, HubLimits, Peer, PeerConfig};
use crate::model::{Failure, Lease, Status, limits};
use crate::wire::command::{Control, FromBroker, PeerKind, Secret, Terms, ToBroker, Welcome};
use crate::wire::{Header, control_packet};

#[test]
fn a_strange_connection_is_asked_once_a_second() {
    let mut hub = hub();
    let mut bytes = bytes::BytesMut::new();
    Header { incarnation: 5, first: 1, ..Header::default() }.encode(&mut bytes);
    let strange = vec![bytes.freeze()];
    for ms in 0..10 {
        hub.receive(at(ms * 1_000), CONN, "", strange.clone());
    }
    hub.receive(at(9_000), OTHER, "", vec![Bytes::from_static(b"not a packet")]);
    assert_eq!(said(&mut hub, at(9_000)), [(CONN, Control::Who), (OTHER, Control::Who)]);
    assert_eq!(hub.next_timeout(), Some(1_000_000), "what was held back is said then");
    hub.tick(at(1_000_000));
    assert_eq!(said(&mut hub, at(1_000_000)), [(CONN, Control::Who)]);
    assert_eq!(inputs(&mut hub), []);
    assert_eq!((hub.counters().strange_packets, hub.counters().bad_packets), (10, 1));
    assert_eq!(hub.counters().who_sent, 3);
}

#[test]
fn connections_without_a_session_are_forgotten() {
    let mut hub = Hub::new(terms(), HubLimits { connections: 2, ..HubLimits::default() });
    for n in 0..5 {
        hub.receive(at(0), ConnId(n), "", vec![]);
    }
    assert_eq!(said(&mut hub, at(0)).len(), 2, "of more connections than it may, it keeps nothing");
    assert_eq!(hub.next_timeout(), Some(limits::CONNECTION_TTL_MS * 1_000));
    hub.tick(at(limits::CONNECTION_TTL_MS * 1_000));
    assert_eq!(hub.next_timeout(), None);
}

#[test]
fn who_cannot_be_served_is_refused() {
    let refused =
        |hub: &mut Hub, identity: &str, hello: &dyn Fn(&mut Peer) -> Vec<Bytes>, config: PeerConfig| {
            let mut peer = Peer::new(config);
            peer.connected(at(0));
            let packet = hello(&mut peer);
            hub.receive(at(0), OTHER, identity, packet);
            match said(hub, at(0)).pop() {
                Some((OTHER, Control::Refuse(failure))) => Some(failure.status),
                _ => None,
            }
        };
    let plain = |peer: &mut Peer| peer.poll_packet(at(0)).expect("HELLO");
    let later = |peer: &mut Peer| {
        let packet = peer.poll_packet(at(0)).expect("HELLO");
        let Some(Control::Hello(mut hello)) = controls(&packet).pop() else { panic!("HELLO") };
        (hello.min, hello.max) = (2, 4);
        control_packet(Header::default(), &Control::Hello(hello))
    };
    let mut hub = Hub::new(terms(), HubLimits { sessions: 1, ..HubLimits::default() });
    let client = config(PeerKind::Client);
    assert_eq!(refused(&mut hub, "uid:1", &later, client.clone()), Some(Status::Protocol));
    assert_eq!(names(&mut hub), Vec::<&str>::new());
    assert_eq!(refused(&mut hub, "uid:1", &plain, client.clone()), None);
    assert_eq!(refused(&mut hub, "uid:2", &plain, client.clone()), Some(Status::Denied));
    let another = PeerConfig { secret: Secret([1; 16]), ..client };
    assert_eq!(refused(&mut hub, "uid:1", &plain, another), Some(Status::Busy));
    assert_eq!(names(&mut hub), ["opened"]);
    assert_eq!(hub.sessions(), 1);
}

#[test]
fn a_session_outlives_its_connection() {
    let (mut hub, mut peer) = pair(PeerKind::Worker);
    hub.gone(at(1_000), CONN);
    assert_eq!(inputs(&mut hub), [Input::Dropped { session: ONE }]);
    // What is said meanwhile waits, on both sides.
    hub.handle(at(1_000), Output::Send { session: ONE, command: FromBroker::Drain { stops: true } });
    assert_eq!(hub.poll_packet(at(1_000)), None);
    peer.send(ToBroker::Start(Lease { slot: 1, token: 1 }));
    reconnect(&mut hub, at(2_000), OTHER, &mut peer);
    assert_eq!(inputs(&mut hub), [Input::Returned { session: ONE }]);
    let events = to_peer(&mut hub, at(2_000), &mut peer);
    assert!(
        matches!(
            &events[..],
            [
                PeerEvent::Down,
                PeerEvent::Up { fresh: false, .. },
                PeerEvent::Command(FromBroker::Drain { .. })
            ]
        ),
        "{events:?}"
    );
    to_hub(&mut hub, at(2_000), OTHER, &mut peer);
    assert_eq!(names(&mut hub), ["command"]);
}

#[test]
fn a_session_moves_and_its_old_connection_is_forgotten() {
    let (mut hub, mut peer) = pair(PeerKind::Worker);
    reconnect(&mut hub, at(1_000), OTHER, &mut peer);
    assert_eq!(inputs(&mut hub), [], "nothing was lost, so the core need not know");
    to_peer(&mut hub, at(1_000), &mut peer);
    hub.gone(at(2_000), CONN);
    assert_eq!(inputs(&mut hub), [], "the old connection has no session any more");
    peer.send(ToBroker::Demand { jobs: 1, bytes: 0 });
    let packet = peer.poll_packet(at(2_000)).expect("DEMAND");
    hub.receive(at(2_000), CONN, "uid:1", packet.clone());
    assert_eq!(said(&mut hub, at(2_000)), [(CONN, Control::Who)]);
    hub.receive(at(2_000), OTHER, "uid:1", packet);
    assert_eq!(names(&mut hub), ["command"]);
}

#[test]
fn a_connection_speaks_for_one_session() {
    let (mut hub, _) = pair(PeerKind::Worker);
    let mut second = Peer::new(PeerConfig { secret: Secret([1; 16]), ..config(PeerKind::Client) });
    second.connected(at(0));
    to_hub(&mut hub, at(0), CONN, &mut second);
    assert_eq!(names(&mut hub), ["opened", "closed"]);
    assert_eq!(hub.sessions(), 1);
    assert!(matches!(to_peer(&mut hub, at(0), &mut second)[..], [PeerEvent::Up { fresh: true, .. }]));
}

#[test]
fn a_session_without_a_connection_expires() {
    let (mut hub, mut peer) = pair(PeerKind::Worker);
    hub.gone(at(0), CONN);
    names(&mut hub);
    let end_us = limits::SESSION_TTL_MS * 1_000;
    while let Some(us) = hub.next_timeout().filter(|us| *us < end_us) {
        hub.tick(at(us));
    }
    assert_eq!(inputs(&mut hub), []);
    assert_eq!(hub.next_timeout(), Some(end_us));
    hub.tick(at(end_us));
    assert_eq!(inputs(&mut hub), [Input::Closed { session: ONE, on_purpose: false }]);
    assert_eq!((hub.sessions(), hub.next_timeout()), (0, None));
    reconnect(&mut hub, at(end_us), OTHER, &mut peer);
    assert!(matches!(inputs(&mut hub)[..], [Input::Opened { session: TWO, .. }]));
    assert!(matches!(
        to_peer(&mut hub, at(end_us), &mut peer)[..],
        [PeerEvent::Down, PeerEvent::Up { fresh: true, .. }]
    ));
}

#[test]
fn a_silent_peer_loses_its_connection() {
    let (mut hub, mut peer) = pair(PeerKind::Worker);
    let silence_us = (limits::LEASE_MS + 2 * limits::BEAT_MS) * 1_000;
    peer.beat(at(1_000_000), &[Lease { slot: 3, token: 4 }]);
    to_hub(&mut hub, at(1_000_000), CONN, &mut peer);
    assert_eq!(inputs(&mut hub), [Input::Beat { session: ONE, held: vec![Lease { slot: 3, token: 4 }] }]);
    hub.tick(at(silence_us));
    assert_eq!(inputs(&mut hub), [], "it was heard a second after it began");
    hub.tick(at(silence_us + 1_000_000));
    assert_eq!(inputs(&mut hub), [Input::Dropped { session: ONE }]);
    // It was only slow: it is asked who it is, and nothing is lost.
    peer.send(ToBroker::Demand { jobs: 1, bytes: 0 });
    let now = at(silence_us + 2_000_000);
    to_hub(&mut hub, now, CONN, &mut peer);
    assert!(matches!(to_peer(&mut hub, now, &mut peer)[..], [PeerEvent::Down]));
    to_hub(&mut hub, now, CONN, &mut peer);
    assert_eq!(inputs(&mut hub), [Input::Returned { session: ONE }]);
    to_peer(&mut hub, now, &mut peer);
    to_hub(&mut hub, now, CONN, &mut peer);
    assert_eq!(names(&mut hub), ["command"]);
}

/// The broker was stopped for an hour. Nobody was silent: it did not listen.
#[test]
fn a_pause_of_the_broker_is_not_a_silence_of_its_peers() {
    let (mut hub, _peer) = pair(PeerKind::Worker);
    let hour_us = 3_600_000_000;
    hub.tick(at(hour_us));
    assert_eq!(inputs(&mut hub), []);
    hub.tick(at(hour_us + (limits::LEASE_MS + 2 * limits::BEAT_MS) * 1_000));
    assert_eq!(inputs(&mut hub), [Input::Dropped { session: ONE }]);
}

#[test]
fn a_peer_that_leaves_says_what_it_has_to_say_first() {
    let (mut hub, mut peer) = pair(PeerKind::Worker);
    peer.send(ToBroker::Unstarted(Lease { slot: 1, token: 1 }));
    peer.goodbye(at(10), "done for today");
    to_hub(&mut hub, at(10), CONN, &mut peer);
    assert_eq!(names(&mut hub), ["command", "left"]);
    assert!(peer.is_over());
    assert_eq!(hub.sessions(), 0);
    hub.gone(at(20), CONN);
    assert_eq!((inputs(&mut hub), hub.next_timeout()), (vec![], None));
}

#[test]
fn a_broker_that_closes_says_so_to_everybody() {
    let (mut hub, mut peer) = pair(PeerKind::Client);
    hub.handle(at(10), Output::Send { session: ONE, command: FromBroker::SubmitCredit(5) });
    hub.farewell(at(10));
    let events = to_peer(&mut hub, at(10), &mut peer);
    assert!(
        matches!(&events[..], [PeerEvent::Command(FromBroker::SubmitCredit(5)), PeerEvent::Down]),
        "{events:?}"
    );
    assert_eq!(hub.sessions(), 0);
    assert!(!peer.is_over(), "it waits for the broker to come back");
    assert_eq!(peer.next_timeout(), Some(10 + limits::HELLO_INTERVAL_MS * 1_000));
}

#[test]
fn a_session_the_core_closes_is_not_welcomed_first() {
    let (mut hub, mut peer) = (hub(), peer(PeerKind::Client));
    peer.connected(at(0));
    to_hub(&mut hub, at(0), CONN, &mut peer);
    hub.handle(at(0), Output::Close { session: ONE, why: Failure::new(Status::Denied, "not here") });
    let events = to_peer(&mut hub, at(0), &mut peer);
    assert!(
        matches!(&events[..], [PeerEvent::Refused(failure)] if failure.message == "not here"),
        "{events:?}"
    );
    assert_eq!(names(&mut hub), ["opened"], "the core knows that it closed");
    // Whatever it says of that session later is passed over.
    hub.handle(at(0), Output::Send { session: ONE, command: FromBroker::Drain { stops: true } });
    hub.handle(at(0), Output::Done { session: ONE, number: 1 });
    assert_eq!(hub.poll_packet(at(0)), None);
}

/// A WELCOME was lost. The peer says HELLO again, not knowing that its session exists; if the broker went on with it, the
/// peer would never hear that it is new.
#[test]
fn a_lost_welcome_is_said_again_as_it_was() {
    let (mut hub, mut peer) = (hub(), peer(PeerKind::Worker));
    peer.connected(at(0));
    to_hub(&mut hub, at(0), CONN, &mut peer);
    packets(&mut hub, at(0));
    let retry = at(limits::HELLO_RETRY_MS * 1_000);
    assert_eq!(peer.next_timeout(), Some(retry.us));
    to_hub(&mut hub, retry, CONN, &mut peer);
    assert_eq!(names(&mut hub), ["opened"], "it is the same session");
    let events = to_peer(&mut hub, retry, &mut peer);
    assert!(matches!(&events[..], [PeerEvent::Up { fresh: true, .. }]), "{events:?}");
}

/// A WELCOME was late, and a word after it. The peer had said HELLO again before they came. The session was welcomed as
/// fresh once more, and the peer heard the word twice.
#[test]
fn a_late_welcome_with_a_word_after_it_is_not_said_again() {
    let (mut hub, mut peer) = (hub(), peer(PeerKind::Client));
    peer.connected(at(0));
    to_hub(&mut hub, at(0), CONN, &mut peer);
    hub.handle(at(0), Output::Send { session: ONE, command: FromBroker::SubmitCredit(5) });
    let late = packets(&mut hub, at(0));
    let retry = at(limits::HELLO_RETRY_MS * 1_000);
    let hello = peer.poll_packet(retry).expect("HELLO");
    for (_, packet) in late {
        peer.receive(retry, packet);
    }
    hub.receive(retry, CONN, "uid:1", hello);
    assert_eq!(names(&mut hub), ["opened", "closed", "opened"], "what was said is of the session before");
    let events = to_peer(&mut hub, retry, &mut peer);
    let words = events.iter().filter(|event| matches!(event, PeerEvent::Command(_))).count();
    assert_eq!(words, 1, "{events:?}");
}

/// The same with a broker that was restarted: what the peer had sent to the one before must not be sent to it as it was.
#[test]
fn a_lost_welcome_of_a_restarted_broker_is_not_taken_for_the_old_one() {
    let (mut before, mut peer) = pair(PeerKind::Worker);
    peer.send(ToBroker::Demand { jobs: 1, bytes: 0 });
    to_hub(&mut before, at(0), CONN, &mut peer);
    let mut hub = Hub::new(Terms { epoch: 2, ..terms() }, HubLimits::default());
    reconnect(&mut hub, at(1_000_000), CONN, &mut peer);
    packets(&mut hub, at(1_000_000));
    to_hub(&mut hub, at(3_000_000), CONN, &mut peer);
    let events = to_peer(&mut hub, at(3_000_000), &mut peer);
    assert!(matches!(&events[..], [PeerEvent::Down, PeerEvent::Up { fresh: true, .. }]), "{events:?}");
    to_hub(&mut hub, at(3_000_000), CONN, &mut peer);
    assert_eq!(names(&mut hub), ["opened"]);
}

/// HELLOs gather while a broker is not there, and are answered all at once when it comes.
#[test]
fn many_hellos_at_once_open_one_session() {
    let (mut hub, mut peer) = (hub(), peer(PeerKind::Worker));
    peer.connected(at(0));
    for n in 0..5 {
        to_hub(&mut hub, at(n * limits::HELLO_RETRY_MS * 1_000), CONN, &mut peer);
    }
    assert_eq!(names(&mut hub), ["opened"]);
    assert!(matches!(to_peer(&mut hub, at(9_000_000), &mut peer)[..], [PeerEvent::Up { fresh: true, .. }]));
    assert_eq!(peer.counters().hellos, 5);
}

/// A HELLO was late, and came behind what its peer said under a WELCOME it had taken since. The session was opened anew,
/// for what the HELLO says to have received had been acknowledged by then.
#[test]
fn a_hello_from_before_the_welcome_changes_nothing() {
    let (mut hub, mut peer) = pair(PeerKind::Client);
    hub.handle(at(0), Output::Send { session: ONE, command: FromBroker::SubmitCredit(5) });
    reconnect(&mut hub, at(0), CONN, &mut peer);
    let retry = at(limits::HELLO_RETRY_MS * 1_000);
    let late = peer.poll_packet(retry).expect("HELLO");
    to_peer(&mut hub, retry, &mut peer);
    peer.send(ToBroker::ResultCredit(1));
    to_hub(&mut hub, retry, CONN, &mut peer);
    names(&mut hub);
    hub.receive(retry, CONN, "uid:1", late);
    assert_eq!((names(&mut hub), said(&mut hub, retry)), (vec![], vec![]));
}

#[test]
fn old_hellos_and_old_welcomes_change_nothing() {
    let (mut hub, mut peer) = (hub(), peer(PeerKind::Worker));
    peer.connected(at(0));
    let hello = peer.poll_packet(at(0)).expect("HELLO");
    hub.receive(at(0), CONN, "uid:1", hello.clone());
    let (_, welcome) = hub.poll_packet(at(0)).expect("WELCOME");
    peer.receive(at(0), welcome.clone());
    peer.send(ToBroker::Demand { jobs: 1, bytes: 0 });
    to_hub(&mut hub, at(0), CONN, &mut peer);
    names(&mut hub);
    hub.receive(at(1), CONN, "uid:1", hello);
    assert_eq!((names(&mut hub), said(&mut hub, at(1))), (vec![], vec![]));
    peer.receive(at(1), welcome);
    assert!(matches!(peer.poll_event(), Some(PeerEvent::Up { fresh: true, .. })));
    assert_eq!(peer.poll_event(), None, "the second WELCOME was not taken");
    assert_eq!(peer.unacknowledged(), 1);
}

#[test]
fn a_peer_that_claims_what_cannot_be_gets_a_new_session() {
    for change in [0, 1] {
        let (mut hub, mut peer) = pair(PeerKind::Worker);
        peer.send(ToBroker::Demand { jobs: 1, bytes: 0 });
        to_hub(&mut hub, at(0), CONN, &mut peer);
        names(&mut hub);
        peer.connected(at(1));
        let packet = peer.poll_packet(at(1)).expect("HELLO");
        let Some(Control::Hello(mut hello)) = controls(&packet).pop() else { panic!("HELLO") };
        if change == 0 {
            hello.received = 77;
        } else {
            hello.kind = PeerKind::Client;
        }
        let packet = control_packet(Header::default(), &Control::Hello(hello));
        hub.receive(at(1), CONN, "uid:1", packet);
        assert_eq!(names(&mut hub), ["closed", "opened"]);
        assert!(matches!(
            &said(&mut hub, at(1))[..],
            [(CONN, Control::Welcome(Welcome { fresh: true, .. }))]
        ));
    }
}

#[test]
fn a_bad_packet_harms_only_its_sender() {
    let (mut hub, mut peer) = pair(PeerKind::Worker);
    let mut other = Peer::new(PeerConfig { secret: Secret([1; 16]), ..config(PeerKind::Client) });
    other.connected(at(0));
    to_hub(&mut hub, at(0), OTHER, &mut other);
    to_peer(&mut hub, at(0), &mut other);
    names(&mut hub);
    peer.send(ToBroker::Demand { jobs: 1, bytes: 0 });
    let good = peer.poll_packet(at(0)).expect("DEMAND");
    let mut bad = good.clone();
    let mut bytes = bad[0].to_vec();
    bytes.truncate(bytes.len() - 1);
    bad[0] = Bytes::from(bytes);
    hub.receive(at(0), CONN, "uid:1", bad);
    assert_eq!(names(&mut hub), Vec::<&str>::new());
    assert_eq!(said(&mut hub, at(0)), [(CONN, Control::Who)]);
    hub.receive(at(0), CONN, "uid:1", good);
    other.send(ToBroker::ResultCredit(1));
    to_hub(&mut hub, at(0), OTHER, &mut other);
    assert_eq!(names(&mut hub), ["command", "command"]);
}

#[test]
fn a_payload_beyond_the_limit_ends_the_session_by_name() {
    let mut small = terms();
    small.payload_max = 2 << 20;
    let mut hub = Hub::new(small, HubLimits::default());
    let mut peer = peer(PeerKind::Worker);
    peer.connected(at(0));
    to_hub(&mut hub, at(0), CONN, &mut peer);
    to_peer(&mut hub, at(0), &mut peer);
    names(&mut hub);
    let body = crate::model::Body::one(vec![0; (2 << 20) + 1]);
    peer.send(ToBroker::Partial { lease: Lease { slot: 1, token: 1 }, sequence: 0, body });
    let first = peer.poll_packet(at(0)).expect("a chunk");
    hub.receive(at(0), CONN, "uid:1", first);
    assert_eq!(names(&mut hub), ["closed"]);
    let events = to_peer(&mut hub, at(0), &mut peer);
    assert!(matches!(&events[..], [PeerEvent::Refused(failure)] if failure.status == Status::TooLarge));
}

#[test]
fn a_peer_that_takes_nothing_ends_its_session() {
    let mut hub = Hub::new(terms(), HubLimits { commands: 100, ..HubLimits::default() });
    let mut peer = peer(PeerKind::Client);
    peer.connected(at(0));
    to_hub(&mut hub, at(0), CONN, &mut peer);
    for _ in 0..101 {
        hub.handle(at(0), Output::Send { session: ONE, command: FromBroker::Drop(job_id(1)) });
    }
    assert_eq!(names(&mut hub), ["opened", "closed"]);
    assert!(matches!(&said(&mut hub, at(0))[..], [(CONN, Control::Refuse(f))] if f.status == Status::Busy));
}

#[test]
fn sessions_take_turns() {
    let (mut hub, _) = pair(PeerKind::Client);
    let mut other = Peer::new(PeerConfig { secret: Secret([1; 16]), ..config(PeerKind::Client) });
    other.connected(at(0));
    to_hub(&mut hub, at(0), OTHER, &mut other);
    packets(&mut hub, at(0));
    for session in [ONE, TWO] {
        for _ in 0..30_000 {
            let command = FromBroker::Drop(job_id(1));
            hub.handle(at(0), Output::Send { session, command });
        }
    }
    let order: Vec<ConnId> = packets(&mut hub, at(0)).into_iter().map(|(conn, _)| conn).collect();
    assert!(order.len() > 4, "{order:?}");
    assert!(order.windows(2).all(|two| two[0] != two[1]), "{order:?}");
}

/// An acknowledgement left early with another packet, and its timer then hid the time of the next one: a worker's last
/// answer was acknowledged with its next beat only, and closing it took as long.
#[test]
fn the_timer_of_an_acknowledgement_that_has_left_does_not_hide_the_next() {
    let (mut hub, mut peer) = pair(PeerKind::Worker);
    let delay_us = limits::ACK_DELAY_MS * 1_000;
    let mut done = |hub: &mut Hub, now_us: u64| {
        let number = peer.send(ToBroker::Unstarted(Lease { slot: 1, token: 1 }));
        to_hub(hub, at(now_us), CONN, &mut peer);
        hub.handle(at(now_us), Output::Done { session: ONE, number });
    };
    done(&mut hub, 0);
    assert_eq!(packets(&mut hub, at(0)), []);
    hub.handle(at(delay_us / 4), Output::Send { session: ONE, command: FromBroker::Drop(job_id(1)) });
    assert_eq!(packets(&mut hub, at(delay_us / 4)).len(), 1);
    let second_us = delay_us / 2;
    done(&mut hub, second_us);
    assert_eq!(packets(&mut hub, at(second_us)), []);
    while let Some(next_us) = hub.next_timeout().filter(|next_us| *next_us <= second_us + delay_us) {
        hub.tick(at(next_us));
        if !packets(&mut hub, at(next_us)).is_empty() {
            assert_eq!(next_us, second_us + delay_us);
            return;
        }
    }
    panic!("the second acknowledgement has no time of its own");
}
