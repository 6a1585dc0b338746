//! The semantics of volatile jobs, one file a noun, on the real sessions and jobs sides: commands in, commands out,
//! time as a parameter. Every step also checks all invariants of the job table.

mod admin_page;
mod admission;
mod cancel;
mod collect;
mod context;
mod found;
mod hosts;
mod keys;
mod leases;
mod operators;
mod order;
mod quarantine;
mod queues;
mod recovery;
mod results;
mod retries;
mod rig;
mod runs;
mod stages;
mod stored;
mod wide;
