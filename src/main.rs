//! The `forebay` command. Everything it does is in `cli`, one file for each command.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
