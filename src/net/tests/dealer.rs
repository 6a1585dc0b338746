//! A peer's end: connecting, losing, knowing why.

use super::*;
use std::io::{Read, Write};

/// A broker that comes back is found again; the peer learns of both, in order.
#[test]
fn a_restarted_broker_is_found_again() {
    let scratch = Scratch::new();
    for endpoint in [scratch.ipc(), bind_side("tcp://127.0.0.1:*")] {
        let mut broker = router(&endpoint);
        let address = broker.endpoints()[0].clone();
        let mut peer = dealer(&address);
        connected(&mut peer);
        for _ in 0..3 {
            peer.send(&one("hello")).unwrap();
            let (id, ..) = packet(&mut broker);
            broker.send(id, &one("last words")).unwrap();
            drop(broker);
            assert_eq!(next_from_broker(&mut peer), FromBroker::Packet(one("last words")));
            assert_eq!(next_from_broker(&mut peer), FromBroker::Lost);
            assert!(!peer.is_connected());
            assert_eq!(peer.send(&one("to nobody")).unwrap(), Sent::Full);
            broker = rebound(&address);
            connected(&mut peer);
            assert_eq!(peer.failure(), None);
        }
        peer.send(&one("done")).unwrap();
        assert_eq!(packet(&mut broker).1, one("done"), "a message for an old connection came by a new one");
    }
}

#[test]
fn a_broker_that_comes_late_is_found() {
    let scratch = Scratch::new();
    let endpoint = scratch.ipc();
    let mut peer = dealer(&endpoint.to_string());
    let missing = failure(&mut peer, "no such file");
    assert!(!missing.is_permanent);
    assert!(missing.text.contains(&endpoint.to_string()), "{missing:?}");
    let _broker = router(&endpoint);
    connected(&mut peer);
}

#[test]
fn the_cause_of_a_failure_is_known() {
    let free_port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut peer = dealer(&format!("tcp://127.0.0.1:{free_port}"));
    assert!(failure(&mut peer, "connection refused").text.contains("is the broker running?"));

    let mut peer = dealer("tcp://no-such-host.invalid:5555");
    failure(&mut peer, "could not be resolved");
}

/// libzmq gives up on a port where something else speaks; we do not, for the right program may come there.
#[test]
fn a_port_that_spoke_another_protocol_is_tried_again() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", other.local_addr().unwrap());
    let talker = std::thread::spawn(move || {
        let (mut stream, _) = other.accept().unwrap();
        let _ = stream.read(&mut [0; 64]);
        // A ZMTP greeting up to a mechanism nobody has, then nothing.
        let mut greeting = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0];
        greeting.extend(*b"NONSENSE");
        greeting.resize(64, 0);
        let _ = stream.write_all(&greeting);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let mut peer = dealer(&address);
    until(&mut peer, "a failure", |peer| {
        assert_eq!(peer.recv().unwrap(), None);
        peer.failure().cloned()
    });
    talker.join().unwrap();
    if peer.failure().is_some_and(|failure| failure.is_permanent) {
        peer.reconnect().unwrap();
    }
    let _broker = rebound(&address);
    connected(&mut peer);
}

/// libzmq notices nothing when a broker in the same process goes; beginning anew finds the next one.
#[test]
fn an_inproc_peer_begins_anew_when_told() {
    let broker = router(&bind_side("inproc://anew"));
    let mut peer = dealer("inproc://anew");
    connected(&mut peer);
    drop(broker);
    let mut broker = router(&bind_side("inproc://anew"));
    peer.reconnect().unwrap();
    assert_eq!(next_from_broker(&mut peer), FromBroker::Lost);
    connected(&mut peer);
    peer.send(&one("hello")).unwrap();
    assert_eq!(packet(&mut broker).1, one("hello"));
}

/// Many packets through one wait loop: nothing is lost, nothing sleeps over what is there.
#[test]
fn a_busy_loop_loses_nothing() {
    const PACKETS: u32 = 20_000;
    let scratch = Scratch::new();
    let mut broker = router(&scratch.ipc());
    let address = broker.endpoints()[0].clone();
    let echo = std::thread::spawn(move || {
        let mut answered = 0;
        while answered < PACKETS {
            let (peer, frames, _) = packet(&mut broker);
            assert_eq!(broker.send(peer, &frames).unwrap(), Sent::Queued);
            answered += 1;
        }
        broker
    });
    let mut peer = dealer(&address);
    connected(&mut peer);
    let (mut sent, mut received) = (0u32, 0u32);
    while received < PACKETS {
        while sent < PACKETS && sent - received < 100 {
            assert_eq!(peer.send(&Frames::one(sent.to_be_bytes().to_vec())).unwrap(), Sent::Queued);
            sent += 1;
        }
        let FromBroker::Packet(frames) = next_from_broker(&mut peer) else { panic!("no packet") };
        assert_eq!(frames.first()[..], received.to_be_bytes());
        received += 1;
    }
    echo.join().unwrap();
}
