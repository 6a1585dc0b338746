//! The broker's end: packets, departures, addresses, locks.

use super::*;

/// Every transport carries packets both ways, tells who is there, and tells when somebody went.
#[test]
fn packets_go_both_ways_and_departures_are_seen() {
    let scratch = Scratch::new();
    // SAFETY: cannot fail.
    let uid = format!("uid:{}", unsafe { libc::geteuid() });
    for (endpoint, owner, address) in [
        (bind_side("tcp://127.0.0.1:*"), None, "127.0.0.1"),
        (scratch.ipc(), Some(uid.clone()), ""),
        (bind_side("inproc://both-ways"), Some(uid), ""),
    ] {
        let mut broker = router(&endpoint);
        let mut peer = dealer(&broker.endpoints()[0].clone());
        connected(&mut peer);
        let mut request = one("first");
        request.push(Bytes::from_static(b""));
        request.push(Bytes::from(vec![9; 5000]));
        assert_eq!(peer.send(&request).unwrap(), Sent::Queued);
        let (id, frames, identity) = packet(&mut broker);
        assert_eq!(frames, request);
        assert_eq!(identity, Some(Identity { owner, address: address.to_owned() }));

        assert_eq!(broker.send(id, &frames).unwrap(), Sent::Queued);
        assert_eq!(next_from_broker(&mut peer), FromBroker::Packet(request));

        peer.send(&one("second")).unwrap();
        let (again, frames, identity) = packet(&mut broker);
        assert_eq!((again, frames, identity), (id, one("second"), None));

        drop(peer);
        assert_eq!(gone(&mut broker), id, "{endpoint}");
        assert_eq!(broker.send(id, &one("late")).unwrap(), Sent::Gone);
    }
}

#[test]
fn one_router_serves_several_addresses() {
    let scratch = Scratch::new();
    let endpoints = [bind_side("tcp://127.0.0.1:*"), scratch.ipc(), bind_side("inproc://several")];
    let mut broker = Router::bind(&endpoints, &RouterOptions::default()).unwrap();
    let mut peers: Vec<Dealer> = broker.endpoints().to_vec().iter().map(|text| dealer(text)).collect();
    assert!(broker.endpoints()[0].starts_with("tcp://127.0.0.1:"), "{:?}", broker.endpoints());
    assert!(!broker.endpoints()[0].ends_with(":0"));
    for peer in &mut peers {
        connected(peer);
        peer.send(&one("hello")).unwrap();
    }
    let ids: std::collections::HashSet<PeerId> = (0..3).map(|_| packet(&mut broker).0).collect();
    assert_eq!(ids.len(), 3);
}

#[test]
fn an_address_bound_for_ipv6_is_reached() {
    let Ok(mut broker) = Router::bind(&[bind_side("tcp://[::1]:*")], &RouterOptions::default()) else {
        assert!(std::net::TcpListener::bind("[::1]:0").is_err(), "this host has IPv6");
        return;
    };
    let mut peer = dealer(&broker.endpoints()[0].clone());
    connected(&mut peer);
    peer.send(&one("hello")).unwrap();
    assert_eq!(packet(&mut broker).2.unwrap().address, "::1");
}

#[test]
fn relative_ipc_paths_work() {
    // Relative to a working directory that no test changes.
    let name = format!("target-relative-{}.ipc", std::process::id());
    let mut broker = router(&bind_side(&format!("ipc://{name}")));
    let mut peer = dealer(&format!("ipc://{name}"));
    connected(&mut peer);
    peer.send(&one("hello")).unwrap();
    packet(&mut broker);
    drop(broker);
    assert!(!std::path::Path::new(&name).exists());
    assert!(!std::path::Path::new(&format!("{name}.lock")).exists());
}

/// Large frames are received and sent on without a copy.
#[test]
fn large_frames_are_not_copied() {
    let mut broker = router(&bind_side("inproc://uncopied"));
    let mut peer = dealer("inproc://uncopied");
    connected(&mut peer);
    let payload = Bytes::from(vec![5u8; 1 << 20]);
    peer.send(&Frames::one(payload.clone())).unwrap();
    let (id, frames, _) = packet(&mut broker);
    assert_eq!(frames.first().as_ptr(), payload.as_ptr());
    broker.send(id, &frames).unwrap();
    drop(frames);
    let FromBroker::Packet(back) = next_from_broker(&mut peer) else { panic!("no packet") };
    assert_eq!(back.first().as_ptr(), payload.as_ptr());
}

#[test]
fn every_frame_length_up_to_the_limit_passes() {
    let scratch = Scratch::new();
    let mut broker = router(&scratch.ipc());
    let mut peer = dealer(&broker.endpoints()[0].clone());
    connected(&mut peer);
    for len in [0, 1, 33, 34, 128, 129, 1024, 1025, 8192, 65_536, 1 << 20, (2 << 20) - 64] {
        let payload = Frames::one(Bytes::from_iter((0..len).map(|i| i as u8)));
        assert_eq!(peer.send(&payload).unwrap(), Sent::Queued);
        let (id, frames, _) = packet(&mut broker);
        assert!(frames == payload, "{len} bytes changed on their way there");
        broker.send(id, &frames).unwrap();
        let FromBroker::Packet(back) = next_from_broker(&mut peer) else { panic!("no packet") };
        assert!(back == payload, "{len} bytes changed on their way back");
    }
}

/// A frame over the limit costs its sender the connection and nobody else anything.
#[test]
fn a_frame_over_the_limit_harms_only_its_sender() {
    let mut broker = router(&bind_side("tcp://127.0.0.1:*"));
    let address = broker.endpoints()[0].clone();
    let (mut bad, mut good) = (dealer(&address), dealer(&address));
    connected(&mut bad);
    connected(&mut good);
    bad.send(&one("bad")).unwrap();
    let (bad_id, ..) = packet(&mut broker);
    good.send(&one("good")).unwrap();
    let (good_id, ..) = packet(&mut broker);

    bad.send(&Frames::one(vec![0; FRAME_LEN_MAX as usize + 1])).unwrap();
    assert_eq!(gone(&mut broker), bad_id);
    assert_eq!(next_from_broker(&mut bad), FromBroker::Lost);
    connected(&mut bad);
    broker.send(good_id, &one("still here")).unwrap();
    assert_eq!(next_from_broker(&mut good), FromBroker::Packet(one("still here")));
}

#[test]
fn a_full_peer_is_told_apart_from_a_gone_one() {
    let options = RouterOptions { send_hwm: 2, ..RouterOptions::default() };
    let mut broker = Router::bind(&[bind_side("tcp://127.0.0.1:*")], &options).unwrap();
    let options = DealerOptions { receive_hwm: 2, ..DealerOptions::default() };
    let mut peer = Dealer::connect(&connect_side(&broker.endpoints()[0].clone()), &options).unwrap();
    connected(&mut peer);
    peer.send(&one("hello")).unwrap();
    let (id, ..) = packet(&mut broker);
    let large = Frames::one(vec![1; 1 << 20]);
    let sent = (0..100).find(|_| broker.send(id, &large).unwrap() == Sent::Full);
    assert!(sent.is_some(), "a hundred megabytes were queued for a peer that reads nothing");
    drop(peer);
    assert_eq!(gone(&mut broker), id);
    assert_eq!(broker.send(id, &large).unwrap(), Sent::Gone);
    assert_eq!(broker.send(PeerId::from_u64(7 << 40), &large).unwrap(), Sent::Gone);
}

/// A broker that is up loses nothing when somebody tries its address.
#[test]
fn a_second_broker_is_refused_and_the_first_undisturbed() {
    let scratch = Scratch::new();
    for endpoint in [scratch.ipc(), bind_side("tcp://127.0.0.1:*"), bind_side("inproc://taken")] {
        let mut first = router(&endpoint);
        let address = first.endpoints()[0].clone();
        let mut peer = dealer(&address);
        connected(&mut peer);

        let error = Router::bind(&[bind_side(&address)], &RouterOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InUse, "{error}");
        assert!(error.text().contains(&address), "{error}");

        peer.send(&one("hello")).unwrap();
        let (id, ..) = packet(&mut first);
        first.send(id, &one("welcome")).unwrap();
        assert_eq!(next_from_broker(&mut peer), FromBroker::Packet(one("welcome")));
        let mut late = dealer(&address);
        connected(&mut late);

        drop(first);
        let mut second = rebound(&address);
        if !address.starts_with("inproc") {
            assert_eq!(next_from_broker(&mut peer), FromBroker::Lost);
            connected(&mut peer);
            peer.send(&one("again")).unwrap();
            assert_eq!(packet(&mut second).1, one("again"));
        }
    }
}

/// All addresses or none: a failure leaves nothing bound and nothing behind.
#[test]
fn a_failed_bind_leaves_nothing_behind() {
    let scratch = Scratch::new();
    let taken = router(&bind_side("tcp://127.0.0.1:*"));
    let endpoints = [scratch.ipc(), bind_side(&taken.endpoints()[0])];
    assert_eq!(Router::bind(&endpoints, &RouterOptions::default()).unwrap_err().kind(), ErrorKind::InUse);
    assert_eq!(std::fs::read_dir(&scratch.0).unwrap().count(), 0);
    router(&scratch.ipc());
}

#[test]
fn the_socket_file_is_private_and_goes_with_the_broker() {
    use std::os::unix::fs::MetadataExt;
    let scratch = Scratch::new();
    let broker = router(&scratch.ipc());
    assert_eq!(std::fs::metadata(scratch.0.join("broker.ipc")).unwrap().mode() & 0o777, 0o600);
    drop(broker);
    assert_eq!(std::fs::read_dir(&scratch.0).unwrap().count(), 0);
}

#[test]
fn a_dead_socket_is_no_obstacle_and_other_files_are_not_touched() {
    let scratch = Scratch::new();
    let path = scratch.0.join("broker.ipc");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    drop(router(&scratch.ipc()));

    // Alive, but without our lock.
    let other = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let error = Router::bind(&[scratch.ipc()], &RouterOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InUse);
    assert!(path.exists());
    drop(other);
    std::fs::remove_file(&path).unwrap();

    std::fs::write(&path, "precious").unwrap();
    let error = Router::bind(&[scratch.ipc()], &RouterOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Address);
    assert!(error.text().contains("no socket"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn places_where_nobody_can_listen_are_named() {
    for (text, kind, word) in [
        ("ipc:///nowhere/at/all/broker.ipc", ErrorKind::Io, "/nowhere/at/all/broker.ipc"),
        ("ipc:///dev/null/broker.ipc", ErrorKind::Io, "not a directory"),
        ("tcp://192.0.2.1:5555", ErrorKind::Address, "no address of this host"),
        ("tcp://not-an-interface:5555", ErrorKind::Address, "no address of this host"),
    ] {
        let error = Router::bind(&[bind_side(text)], &RouterOptions::default()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.text().contains(word), "{error}");
    }
    assert_eq!(Router::bind(&[], &RouterOptions::default()).unwrap_err().kind(), ErrorKind::Address);
}

/// Other ZeroMQ libraries let a peer choose its routing id. It is a peer like any other.
#[test]
fn a_peer_with_a_routing_id_of_its_own_is_served() {
    let mut broker = router(&bind_side("tcp://127.0.0.1:*"));
    let context = zmq::Context::new();
    let peer = context.socket(zmq::DEALER).unwrap();
    peer.set_identity(b"my-own-name").unwrap();
    peer.set_linger(0).unwrap();
    peer.connect(&broker.endpoints()[0]).unwrap();
    peer.send("hello", 0).unwrap();
    let (id, frames, _) = packet(&mut broker);
    assert_eq!(frames, one("hello"));
    assert_eq!(broker.send(id, &one("welcome")).unwrap(), Sent::Queued);
    assert_eq!(peer.recv_bytes(0).unwrap(), b"welcome");
    drop(peer);
    assert_eq!(gone(&mut broker), id);
    assert_eq!(broker.send(id, &one("late")).unwrap(), Sent::Gone);
}
