//! Drivers: one thread and one loop for each handle, which wait, feed the link and the core, and send. All time,
//! randomness and I/O of the library enter here.

pub mod broker;
mod call;
pub mod client;
pub mod clock;
mod failure;
mod gate;
pub mod ids;
mod line;
mod mailbox;
pub mod settings;
pub mod worker;
