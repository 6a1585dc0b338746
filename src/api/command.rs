//! The operators' commands that [`crate::api::Client::admin`] sends, for help texts.

/// One command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// Its arguments, optional ones in brackets.
    pub arguments: &'static str,
    /// One sentence that says what it does.
    pub text: &'static str,
}

/// Every command a broker of this version knows.
pub fn commands() -> &'static [Command] {
    const COMMANDS: &[Command] = &[
        Command {
            name: "status",
            arguments: "",
            text: "The broker, its counters, its queues and their depths.",
        },
        Command { name: "job.get", arguments: "id", text: "One job with its rules and attempts." },
        Command {
            name: "jobs.list",
            arguments: "[queue] [state] [since] [limit]",
            text: "Jobs, those waiting, running and ended.",
        },
        Command { name: "queue.list", arguments: "", text: "Every queue with its depths and rules." },
        Command {
            name: "queue.set",
            arguments: "queue job.*",
            text: "New defaults for the jobs of a queue.",
        },
        Command { name: "queue.pause", arguments: "queue", text: "Hands out no more jobs of a queue." },
        Command {
            name: "queue.resume",
            arguments: "queue",
            text: "Hands out the jobs of a paused queue again.",
        },
        Command {
            name: "workers.list",
            arguments: "",
            text: "Every worker with its queues, slots and jobs.",
        },
        Command {
            name: "workers.wait",
            arguments: "queue n [timeout_ms]",
            text: "Answers when so many workers have registered a queue.",
        },
        Command {
            name: "worker.drain",
            arguments: "name",
            text: "Lets a worker finish what it has and take no more.",
        },
        Command { name: "clients.list", arguments: "", text: "Every client that is connected." },
        Command {
            name: "events",
            arguments: "[since] [limit] [queue] [wait_ms]",
            text: "What happened, from a number on; waits for the next when there is none.",
        },
    ];
    COMMANDS
}
