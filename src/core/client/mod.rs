//! A client's own machine: what it knows of its jobs and what it still has to tell the broker.

mod delivery;

pub use delivery::{Delivery, Kind, News, Want};
