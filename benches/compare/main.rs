//! Forebay beside a bare libzmq proxy: `cargo bench --bench compare [ROUNDS [SECONDS]]`.
//!
//! Runs `forebay bench --bare` over ipc and tcp, which starts a broker, a proxy and an echo worker for each, sends
//! the same payloads through both in turn, compares every answer byte by byte, and stops everything. Prints versions,
//! commands, and the medians of the paired ratios with their spread as the tables of docs/BENCHMARKS.md.

mod pairs;

use std::process::{Command, Stdio};

use pairs::{Middle, Pairs};

const IN_FLIGHT: &str = "1,100,1000";
const SIZE: &str = "1k";

fn main() {
    // Cargo adds a flag of its own.
    let mut numbers = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let rounds = numbers.next().unwrap_or_else(|| "11".to_owned());
    let seconds = numbers.next().unwrap_or_else(|| "2".to_owned());
    println!("{}", output(Command::new(env!("CARGO_BIN_EXE_forebay")).arg("version")).trim_end());
    println!("{}", output(Command::new("uname").arg("-srm")).trim_end());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{}, {cores} cores", processor());
    for transport in ["ipc", "tcp"] {
        let time = format!("{seconds}s");
        let arguments = [
            "bench",
            "--bare",
            "--json",
            "--transport",
            transport,
            "--size",
            SIZE,
            "--in-flight",
            IN_FLIGHT,
            "--rounds",
            &rounds,
            "--time",
            &time,
        ];
        println!("\n### {transport}\n`forebay {}`\n", arguments.join(" "));
        print_table(&Pairs::read(&output(Command::new(env!("CARGO_BIN_EXE_forebay")).args(arguments))));
    }
}

fn print_table(pairs: &[Pairs]) {
    println!(
        "| in flight | forebay, jobs/s | bare proxy, messages/s | ratio | lowest to highest | p50, us | bare p50, us |"
    );
    println!("|---:|---:|---:|---:|---|---:|---:|");
    for pairs in pairs {
        let Middle { median, min, max } = pairs.middle("ratio");
        let middle = |field: &str| pairs.middle(field).median;
        println!(
            "| {} | {:.0} | {:.0} | {median:.2} | {min:.2} to {max:.2} | {:.0} | {:.0} |",
            pairs.in_flight,
            middle("jobs_per_s"),
            middle("bare_per_s"),
            middle("p50_us"),
            middle("bare_p50_us"),
        );
    }
}

/// The processor's name, as far as the system tells.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.to_owned())
}

/// Standard output of a command that has to succeed.
fn output(command: &mut Command) -> String {
    let done =
        command.stderr(Stdio::inherit()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(done.status.success(), "{command:?} ended with {}", done.status);
    String::from_utf8(done.stdout).expect("text")
}
