//! Tests of the links: lanes alone, and a hub and a peer over a network that loses, repeats and reorders.

mod conversation;
mod hostile;
mod hub;
mod lane;
mod peer;
mod rig;
mod world;
