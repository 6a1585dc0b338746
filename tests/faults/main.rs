//! Bad input and faults over real processes: what a broker, a client and a worker do when bytes, programs or the other side
//! are not as they should be. What is about one layer is tested there (addresses in `net`, options in `api`, the C ABI in
//! tests/ffi); here are whole processes.
//!
//! Invariant: after every fault the broker serves the next client.

mod addresses;
mod chaos;
mod clients;
mod flood;
mod payloads;
mod workers;
