//! A hub and a peer with nothing between them, and names for what they say.

use bytes::Bytes;

use super::world::{CONN, at, config, terms};
use crate::core::jobs::SessionId;
use crate::core::session::{Input, PeerEvent};
use crate::link::{ConnId, Hub, HubLimits, Peer};
use crate::model::Now;
use crate::wire::Packet;
use crate::wire::command::{Control, PeerKind};

pub(crate) const OTHER: ConnId = ConnId(2);
pub(crate) const ONE: SessionId = SessionId(1);
pub(crate) const TWO: SessionId = SessionId(2);

pub(crate) fn hub() -> Hub {
    Hub::new(terms(), HubLimits::default())
}

pub(crate) fn peer(kind: PeerKind) -> Peer {
    Peer::new(config(kind))
}

pub(crate) fn inputs(hub: &mut Hub) -> Vec<Input> {
    std::iter::from_fn(|| hub.poll_input()).collect()
}

/// The inputs without what they carry.
pub(crate) fn names(hub: &mut Hub) -> Vec<&'static str> {
    let name = |input: &Input| match input {
        Input::Opened { .. } => "opened",
        Input::Command { .. } => "command",
        Input::Beat { .. } => "beat",
        Input::Dropped { .. } => "dropped",
        Input::Returned { .. } => "returned",
        Input::Congested { .. } => "congested",
        Input::Closed { on_purpose: true, .. } => "left",
        Input::Closed { on_purpose: false, .. } => "closed",
    };
    inputs(hub).iter().map(name).collect()
}

pub(crate) fn packets(hub: &mut Hub, now: Now) -> Vec<(ConnId, Vec<Bytes>)> {
    std::iter::from_fn(|| hub.poll_packet(now)).collect()
}

pub(crate) fn controls(frames: &[Bytes]) -> Vec<Control> {
    let packet = Packet::open(frames).expect("a packet");
    if packet.header.control { packet.controls().expect("controls") } else { vec![] }
}

/// What the hub says to connections by packets without numbers.
pub(crate) fn said(hub: &mut Hub, now: Now) -> Vec<(ConnId, Control)> {
    let all = packets(hub, now);
    all.iter().flat_map(|(conn, frames)| controls(frames).into_iter().map(|c| (*conn, c))).collect()
}

pub(crate) fn to_hub(hub: &mut Hub, now: Now, conn: ConnId, peer: &mut Peer) {
    while let Some(packet) = peer.poll_packet(now) {
        hub.receive(now, conn, "uid:1", packet);
    }
}

pub(crate) fn to_peer(hub: &mut Hub, now: Now, peer: &mut Peer) -> Vec<PeerEvent> {
    for (_, packet) in packets(hub, now) {
        peer.receive(now, packet);
    }
    std::iter::from_fn(|| peer.poll_event()).collect()
}

/// A hub and a peer that is up on `CONN`.
pub(crate) fn pair(kind: PeerKind) -> (Hub, Peer) {
    let (mut hub, mut peer) = (hub(), peer(kind));
    peer.connected(at(0));
    to_hub(&mut hub, at(0), CONN, &mut peer);
    assert_eq!(names(&mut hub), ["opened"]);
    assert!(matches!(to_peer(&mut hub, at(0), &mut peer)[..], [PeerEvent::Up { fresh: true, .. }]));
    (hub, peer)
}

/// Says HELLO again on `conn`.
pub(crate) fn reconnect(hub: &mut Hub, now: Now, conn: ConnId, peer: &mut Peer) {
    peer.connected(now);
    to_hub(hub, now, conn, peer);
}
