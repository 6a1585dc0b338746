//! The `forebay` command. Everything it does is in `cli`, one file for each command; `slot` is what a process of a worker
//! host does.

/// A broker frees in another order than it allocates, which costs glibc's allocator a third of the broker's time. The
/// library leaves the choice to its host.
// The race detector has to see what is allocated and freed, and knows the system's allocator.
#[cfg(not(forebay_race))]
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod cli;
mod slot;

fn main() -> std::process::ExitCode {
    cli::main()
}
