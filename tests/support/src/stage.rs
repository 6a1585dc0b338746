//! A broker with what tests ask it, and the programs of `tests/c` that act on it.

use std::process::Command;

use serde_json::Value;

use crate::actors::{Client, Worker};
use crate::{Broker, Prefix, Process, SOON, eventually, run};

/// A lease that is soon over, for brokers whose workers are to lose it: 1 s.
pub const SHORT_LEASE: [&str; 4] = ["--lease-ms", "1000", "--beat-ms", "200"];

/// A broker and the prefix its clients and workers are built against. Use the macro `stage!()`.
pub struct Stage {
    /// The broker.
    pub broker: Broker,
    prefix: &'static Prefix,
}

impl Stage {
    /// Sets one up.
    pub fn new(prefix: &'static Prefix, broker: Broker) -> Stage {
        Stage { broker, prefix }
    }

    /// A program of `tests/c`, such as "claims_worker", that finds the broker by itself.
    #[track_caller]
    pub fn program(&self, name: &str) -> Command {
        self.broker.program(self.prefix.program(name))
    }

    /// The same of another folder of the project.
    #[track_caller]
    pub fn program_of(&self, sources: &str, name: &str) -> Command {
        self.broker.program(self.prefix.program_of(sources, name))
    }

    /// An example, such as "examples-c/hello_worker", that finds the broker by itself.
    #[track_caller]
    pub fn example(&self, name: &str) -> Command {
        self.prefix.example_at(&self.broker, name)
    }

    /// Starts a `claims_worker` on `queue` and waits until there are `of` workers, itself included.
    #[track_caller]
    pub fn worker(&self, queue: &str, of: usize) -> Worker {
        let worker = self.worker_unawaited(queue);
        self.wait_for_workers(queue, of);
        worker
    }

    /// Starts a `claims_worker` that may be gone before anybody has counted it.
    #[track_caller]
    pub fn worker_unawaited(&self, queue: &str) -> Worker {
        Worker::new(Process::start(self.program("claims_worker").arg(queue)))
    }

    /// Starts a `claims_client` and waits until the broker has welcomed it.
    #[track_caller]
    pub fn client(&self) -> Client {
        self.client_with(&[])
    }

    /// The same with options from the environment.
    #[track_caller]
    pub fn client_with(&self, options: &[(&str, &str)]) -> Client {
        let mut client = Client::start(self.program("claims_client").envs(options.iter().copied()));
        assert_eq!(client.ready(-1), "OK -");
        client
    }

    /// The standard output of a command of the binary that has to succeed.
    #[track_caller]
    pub fn cli(&self, arguments: &[&str]) -> String {
        run(&mut self.broker.cli(arguments), SOON).success().text()
    }

    /// The broker's status as JSON.
    #[track_caller]
    pub fn status(&self) -> Value {
        run(&mut self.broker.cli(&["status", "--json"]), SOON).success().json()
    }

    /// One of the broker's counters.
    #[track_caller]
    pub fn counter(&self, name: &str) -> u64 {
        let status = self.status();
        status["counters"][name].as_u64().unwrap_or_else(|| panic!("no counter {name:?} in {status}"))
    }

    /// Waits until `count` workers serve `queue`.
    #[track_caller]
    pub fn wait_for_workers(&self, queue: &str, count: usize) {
        eventually(&format!("{count} workers on queue {queue}"), SOON, || {
            let status = self.status();
            let found = status["queues"].as_array()?.iter().find(|entry| entry["name"] == queue)?;
            (found["workers"] == count).then_some(())
        });
    }

    /// Everything that happened on a queue so far, oldest first.
    #[track_caller]
    pub fn events(&self, queue: &str) -> Vec<Value> {
        json_lines(&self.cli(&["events", "--queue", queue, "--no-follow", "--json"]))
    }

    /// How often the broker saw a job begin.
    #[track_caller]
    pub fn starts_of(&self, queue: &str, id: &str) -> usize {
        let is_start = |event: &&Value| event["job"] == id && event["event"] == "started";
        self.events(queue).iter().filter(is_start).count()
    }
}

/// The JSON values in a text, one a line.
#[track_caller]
pub fn json_lines(text: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().map(parse).collect()
}
