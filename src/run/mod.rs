//! Drivers: one thread and one loop for each handle, which wait, feed the link and the core, and send. All time,
//! randomness and I/O of the library enter here.

pub mod broker;
pub mod clock;
mod failure;
pub mod settings;
