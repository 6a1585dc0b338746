//! What a forked child does to its parent's connections: nothing.

use super::*;
use std::process::{Command, Stdio};

const ROLE: &str = "FOREBAY_NET_TEST_ROLE";
const ADDRESS: &str = "FOREBAY_NET_TEST_ADDRESS";

/// Runs this very test program with only the named test, in a role.
fn play(test: &str, role: &str, address: &str) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("net::tests::fork::{test}"), "--nocapture"])
        .env(ROLE, role)
        .env(ADDRESS, address)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn role(name: &str) -> Option<String> {
    (std::env::var(ROLE).as_deref() == Ok(name)).then(|| std::env::var(ADDRESS).unwrap())
}

/// Forks a child that sleeps for as long as a test may take. Only async-signal-safe calls in it.
fn fork_a_sleeper() -> libc::pid_t {
    // SAFETY: the child only sleeps and ends.
    unsafe {
        let pid = libc::fork();
        if pid == 0 {
            libc::sleep(60);
            libc::_exit(0);
        }
        assert!(pid > 0);
        pid
    }
}

fn end(pid: libc::pid_t) {
    // SAFETY: a process this test made.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

/// A worker had forked a sleeper and was killed: its connection stayed open in the child, and its job with it.
#[test]
fn a_killed_parent_is_gone_although_its_child_lives() {
    if let Some(address) = role("peer") {
        let mut peer = dealer(&address);
        connected(&mut peer);
        let sleeper = fork_a_sleeper();
        peer.send(&Frames::one(sleeper.to_string().into_bytes())).unwrap();
        std::thread::sleep(PATIENCE);
        return;
    }
    let scratch = Scratch::new();
    for endpoint in [bind_side("tcp://127.0.0.1:*"), scratch.ipc()] {
        let mut broker = router(&endpoint);
        let test = "a_killed_parent_is_gone_although_its_child_lives";
        let mut parent = play(test, "peer", &broker.endpoints()[0].clone());
        let (id, frames, _) = packet(&mut broker);
        let sleeper: libc::pid_t = std::str::from_utf8(frames.first()).unwrap().parse().unwrap();
        parent.kill().unwrap();
        let killed = Instant::now();
        parent.wait().unwrap();
        assert_eq!(gone(&mut broker), id);
        let took = killed.elapsed();
        end(sleeper);
        assert!(took < Duration::from_secs(1), "seen after {took:?}");
    }
}

/// The same for a broker: its child must not keep the address, neither the lock nor the listening socket.
#[test]
fn a_killed_brokers_address_is_free_although_its_child_lives() {
    if let Some(address) = role("broker") {
        let mut broker = router(&bind_side(&address));
        let sleeper = fork_a_sleeper();
        let (id, ..) = packet(&mut broker);
        broker.send(id, &Frames::one(sleeper.to_string().into_bytes())).unwrap();
        std::thread::sleep(PATIENCE);
        return;
    }
    let scratch = Scratch::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for address in [scratch.ipc().to_string(), format!("tcp://127.0.0.1:{port}")] {
        let mut killed =
            play("a_killed_brokers_address_is_free_although_its_child_lives", "broker", &address);
        let mut peer = dealer(&address);
        connected(&mut peer);
        peer.send(&one("hello")).unwrap();
        let FromBroker::Packet(frames) = next_from_broker(&mut peer) else { panic!("no packet") };
        let sleeper: libc::pid_t = std::str::from_utf8(frames.first()).unwrap().parse().unwrap();
        killed.kill().unwrap();
        killed.wait().unwrap();
        assert_eq!(next_from_broker(&mut peer), FromBroker::Lost);
        let _next = rebound(&address);
        end(sleeper);
        connected(&mut peer);
    }
}

/// A child may drop what it inherited, which leaves the parent's connection alone, and open its own.
#[test]
fn a_child_drops_inherited_handles_and_opens_its_own() {
    let Some(address) = role("family") else {
        let mut broker = router(&bind_side("tcp://127.0.0.1:*"));
        let test = "a_child_drops_inherited_handles_and_opens_its_own";
        let mut family = play(test, "family", &broker.endpoints()[0].clone());
        // Two connections, so the order between them is open; the parent's goes on after the child's is gone.
        let (mut said, mut went) = (Vec::new(), Vec::new());
        while went.len() < 2 {
            match next_from_peer(&mut broker) {
                FromPeer::Packet { peer, frames, .. } => said.push((frames, peer)),
                FromPeer::Gone { peer } => went.push(peer),
            }
        }
        let by = |text| said.iter().find(|(frames, _)| *frames == one(text)).map(|(_, peer)| *peer).unwrap();
        assert_eq!(said.len(), 3);
        assert_ne!(by("parent"), by("child"));
        assert_eq!(by("parent"), by("parent again"));
        assert_eq!(went, [by("child"), by("parent")]);
        assert!(family.wait().unwrap().success());
        return;
    };
    let mut peer = dealer(&address);
    connected(&mut peer);
    peer.send(&one("parent")).unwrap();
    let before = generation();
    // SAFETY: this program runs one test with no other thread in it but ours; the child ends by itself.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let has_new_generation = generation() == before + 1;
        drop(peer);
        let mut own = dealer(&address);
        connected(&mut own);
        own.send(&one("child")).unwrap();
        drop(own);
        std::process::exit(if has_new_generation { 0 } else { 1 });
    }
    let mut status = 0;
    // SAFETY: waits for that child.
    unsafe { libc::waitpid(pid, &mut status, 0) };
    assert_eq!(status, 0);
    assert_eq!(generation(), before);
    peer.send(&one("parent again")).unwrap();
}
