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
    const fn command(name: &'static str, arguments: &'static str, text: &'static str) -> Command {
        Command { name, arguments, text }
    }
    const COMMANDS: &[Command] = &[
        command("status", "", "The broker, its counters, its queues and their depths."),
        command("job.get", "id", "One job with its rules and its whole history."),
        command(
            "jobs.list",
            "[queue] [state] [since] [limit]",
            "Jobs in the order of their ids, page by page.",
        ),
        command(
            "run.get",
            "id",
            "One run with its steps, their times and the path that decided how long it took.",
        ),
        command(
            "run.resume",
            "id",
            "Goes on with a run that did not end DONE, as a new run in which what went well is done.",
        ),
        command(
            "run.context",
            "id [data]",
            "Gives a run its context, which each worker gets with a job of it; a run that is held for it begins.",
        ),
        command(
            "stage.close",
            "id step [count]",
            "Adds nothing more to an open stage of a run, which has so many jobs.",
        ),
        command(
            "stage.results",
            "id step name [order] [since] [limit] [wait_ms]",
            "Results of a stage that its collector has not acknowledged; waits for the next when there is none.",
        ),
        command("stage.ack", "id step name job [data]", "Says that the collector has a result of a stage."),
        command(
            "stage.acked",
            "id step [since] [limit] [wait_ms]",
            "What the collector of a stage said with its acknowledgements, from a number on.",
        ),
        command("runs.list", "[state] [since] [limit]", "Runs in the order of their ids, page by page."),
        command("queue.list", "[queue]", "Queues with their depths, what is set for them and their rules."),
        command(
            "queue.set",
            "queue [job.*] [param.*] [report_ms] [unset]",
            "Defaults for jobs submitted to a queue from now on, and what its hosts are handed; what is not named stays.",
        ),
        command("queue.pause", "queue", "Hands out no more jobs of a queue; it goes on taking them."),
        command("queue.drain", "queue", "Takes no more jobs for a queue; those it has are done."),
        command("queue.resume", "queue", "Has a paused or draining queue take and hand out jobs again."),
        command(
            "queue.purge",
            "queue [before] [limit]",
            "Cancels the jobs that wait in a queue; those that run go on.",
        ),
        command(
            "quarantine.list",
            "[queue] [since] [limit]",
            "Jobs that took workers down and wait for a person.",
        ),
        command("quarantine.show", "id [bytes]", "A quarantined job with its headers and its payload."),
        command("quarantine.requeue", "id", "Makes a new job of a quarantined one, which is its parent."),
        command("quarantine.drop", "id", "Forgets a quarantined job and its payload."),
        command("workers.list", "", "Every worker with its queues and the jobs it holds."),
        command(
            "workers.wait",
            "queue [n] [timeout_ms]",
            "Answers when so many workers have registered a queue.",
        ),
        command(
            "host.report",
            "host [slots.*]",
            "Says what a worker host's slots do and use; the broker keeps the last word of each host.",
        ),
        command(
            "hosts.list",
            "",
            "Every worker host with what its slots do, and the workers that are of none.",
        ),
        command("worker.drain", "name", "Lets a worker finish what it has and take no more."),
        command(
            "worker.crashed",
            "pid code message [detail] [jobs]",
            "Says that a worker's process has ended, and how: what it held is lost at once.",
        ),
        command(
            "worker.seen",
            "pid id attempt text",
            "Adds what was seen of an attempt from outside its process, such as where it stood, to the job's history.",
        ),
        command("clients.list", "", "Every client with what it submitted and was sent."),
        command(
            "events",
            "[since] [limit] [queue] [wait_ms]",
            "What happened, from a number on; waits for the next when there is none.",
        ),
    ];
    COMMANDS
}
