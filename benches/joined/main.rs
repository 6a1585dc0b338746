//! A client, a broker and a worker joined in memory: the machines without sockets, threads and time.
//!
//! `cargo bench --bench joined [JOBS [IN_FLIGHT [BYTES]]]` echoes so many jobs and prints the nanoseconds each took. The same
//! workload takes the same instructions each time, so a profiler that counts them says what a change costs; see
//! docs/BENCHMARKS.md.

mod joined;

use std::time::Instant;

use joined::Joined;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let number = |at: usize, default: usize| numbers.get(at).copied().unwrap_or(default);
    let (jobs, in_flight, len) = (number(0, 200_000), number(1, 1_000), number(2, 1_024));
    let mut joined = Joined::new(in_flight, len);
    joined.echo(jobs / 10);
    let begin = Instant::now();
    joined.echo(jobs);
    let took = begin.elapsed();
    println!(
        "{jobs} jobs of {len} bytes, {in_flight} in flight: {:.0} ns a job in client, broker and worker together",
        took.as_nanos() as f64 / jobs as f64
    );
}
