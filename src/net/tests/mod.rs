//! Tests of the two ends together, over real sockets on this host. They wait for conditions with a deadline.

mod curve;
mod dealer;
mod fork;
mod router;

use super::*;
use bytes::Bytes;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Longer than anything here should take, shorter than a test runner's patience.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder of its own for each caller, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("forebay-net-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn ipc(&self) -> Endpoint {
        bind_side(&format!("ipc://{}", self.0.join("broker.ipc").display()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn bind_side(text: &str) -> Endpoint {
    Endpoint::parse(text, Side::Bind).unwrap()
}

fn connect_side(text: &str) -> Endpoint {
    Endpoint::parse(text, Side::Connect).unwrap()
}

fn router(endpoint: &Endpoint) -> Router {
    Router::bind(std::slice::from_ref(endpoint), &RouterOptions::default()).unwrap()
}

/// Binds an address that was in use until just now. A program being started elsewhere in this process holds copies
/// of all descriptors for a moment, and with them the port.
fn rebound(text: &str) -> Router {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Router::bind(&[bind_side(text)], &RouterOptions::default()) {
            Ok(router) => return router,
            Err(error) if error.kind() == ErrorKind::InUse && Instant::now() < deadline => {
                std::thread::yield_now()
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn dealer(text: &str) -> Dealer {
    Dealer::connect(&connect_side(text), &DealerOptions::default()).unwrap()
}

fn one(text: &'static str) -> Frames {
    Frames::one(Bytes::from_static(text.as_bytes()))
}

/// Takes from `take` until it gives something, sleeping on `source` in between.
fn until<S: Source, T>(source: &mut S, what: &str, mut take: impl FnMut(&mut S) -> Option<T>) -> T {
    let mut poller = Poller::new();
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = take(source) {
            return found;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "waited for {what} in vain");
        poller.wait(&[source], Some(left)).unwrap();
    }
}

fn next_from_peer(router: &mut Router) -> FromPeer {
    until(router, "a peer", |router| router.recv().unwrap())
}

fn packet(router: &mut Router) -> (PeerId, Frames, Option<Identity>) {
    match next_from_peer(router) {
        FromPeer::Packet { peer, frames, identity } => (peer, frames, identity),
        FromPeer::Gone { peer } => panic!("{peer} went"),
    }
}

fn gone(router: &mut Router) -> PeerId {
    match next_from_peer(router) {
        FromPeer::Gone { peer } => peer,
        FromPeer::Packet { frames, .. } => panic!("got {frames:?}"),
    }
}

fn next_from_broker(dealer: &mut Dealer) -> FromBroker {
    until(dealer, "the broker", |dealer| dealer.recv().unwrap())
}

fn connected(dealer: &mut Dealer) {
    assert_eq!(next_from_broker(dealer), FromBroker::Connected);
}

/// Waits until the dealer knows why it is not connected in the words of `word`.
fn failure(dealer: &mut Dealer, word: &str) -> Failure {
    until(dealer, word, |dealer| {
        let event = dealer.recv().unwrap();
        assert_eq!(event, None);
        dealer.failure().filter(|failure| failure.text.contains(word)).cloned()
    })
}
