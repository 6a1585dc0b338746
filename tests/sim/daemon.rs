//! The broker's process in a run: made, killed, fed, and its packets sent.

use forebay::core::broker::{Broker, BrokerConfig};
use forebay::core::job_table::TableConfig;
use forebay::core::jobs::{Io, IoDone};
use forebay::link::{Hub, HubLimits};
use forebay::model::{JobRules, limits};
use forebay::wire::command::Terms;

use crate::delayed::SimJobs;
use crate::judge::rule;
use crate::network::Way;
use crate::plan::{BEAT_MS, LEASE_MS, PAYLOAD_MAX, REATTACH_MS, SESSION_TTL_MS, SYNC_US_MAX, Side};
use crate::world::{Event, World};

impl<J: SimJobs> World<J> {
    pub(crate) fn start_broker(&mut self) {
        let id: [u8; 16] = self.random.bytes();
        self.judge.broker_starts(id);
        self.trace.note(self.now_us, format_args!("broker starts, life {}", self.judge.lives));
        let durable = self.plan.side == Side::Durable;
        let terms = Terms {
            broker: id,
            epoch: 1,
            wall_ms: 0,
            payload_max: PAYLOAD_MAX,
            frames_max: limits::BODY_FRAMES_MAX as u64,
            headers_max: limits::HEADERS_LEN_MAX as u64,
            window_bytes: limits::WINDOW_LEN as u64,
            beat_ms: BEAT_MS,
            lease_ms: LEASE_MS,
            reattach_ms: REATTACH_MS,
            submit_jobs: 12,
            durable,
            version: String::new(),
            features: Vec::new(),
        };
        let table = TableConfig {
            rules: JobRules::default(),
            lease_ms: LEASE_MS,
            reattach_ms: REATTACH_MS,
            payload_max: PAYLOAD_MAX,
            queue_jobs_max: self.plan.queue_jobs_max,
            broker: id,
            durable,
            // Their time is over with that of their results.
            quarantine_ms: 0,
            seed: self.plan.seed,
            ..TableConfig::default()
        };
        let config = BrokerConfig { reattach_ms: REATTACH_MS, submit_jobs: 12, version: String::new() };
        let hub_limits = HubLimits { session_ttl_ms: SESSION_TTL_MS, ..HubLimits::default() };
        let jobs = J::make(table, self.plan.seed ^ self.judge.lives);
        self.broker = Some((Hub::new(terms, hub_limits), Broker::new(config, jobs)));
        self.broker_paused_until_us = 0;
    }

    /// The broker's process ends. Its connections drop, and whoever had one looks for another.
    pub(crate) fn kill_broker(&mut self, down_us: u64) {
        let Some((hub, broker)) = self.broker.take() else { return };
        self.count_life(&hub, &broker);
        self.broker_paused_until_us = 0;
        if let Some(key) = self.broker_ticks_at.take() {
            self.events.remove(&key);
        }
        self.hostile = None;
        for conn in self.network.open() {
            self.drop_conn(conn, false);
        }
        self.at(self.now_us + down_us, Event::BrokerStart);
    }

    pub(crate) fn pause_broker(&mut self, until_us: u64) {
        self.broker_paused_until_us = until_us;
    }

    pub(crate) fn synced(&mut self, life: u64, upto: u64) {
        if life != self.judge.lives {
            return;
        }
        let now = self.now();
        self.judge.synced(upto);
        if let Some((_, broker)) = &mut self.broker {
            broker.io_done(now, IoDone::Synced { upto });
        }
        self.settle_broker();
    }

    /// Everything that is ready passes between link and core; then packets leave.
    pub(crate) fn settle_broker(&mut self) {
        let now = self.now();
        let Some((mut hub, mut broker)) = self.broker.take() else { return };
        loop {
            let mut is_quiet = true;
            while let Some(output) = broker.poll() {
                is_quiet = false;
                self.detail("<-", &output);
                self.judge.output(now, &output);
                hub.handle(now, output);
            }
            if let Some(input) = hub.poll_input() {
                self.detail("->", &input);
                self.judge.input(now, &input);
                broker.handle(now, input);
                // What follows from it comes before the next input, so that the judge sees the order of the core.
                continue;
            }
            while let Some(io) = broker.poll_io() {
                is_quiet = false;
                let Io::Append { upto, records } = io else {
                    unreachable!("every payload is in memory, so none is read back")
                };
                self.judge.records(&records);
                rule!(
                    upto == self.judge.recorded(),
                    "records up to {upto} are said to be {}",
                    self.judge.recorded()
                );
                let life = self.judge.lives;
                let at_us = self.now_us + self.random.between(100, SYNC_US_MAX);
                self.at(at_us, Event::Synced { life, upto });
            }
            if is_quiet {
                break;
            }
        }
        while let Some((conn, packet)) = hub.poll_packet(now) {
            self.send(conn, Way::ToPeer, packet);
        }
        if let Some(key) = self.broker_ticks_at.take() {
            self.events.remove(&key);
        }
        let due_us = hub.next_timeout().into_iter().chain(broker.next_timeout()).min();
        self.broker_ticks_at = due_us.map(|due_us| self.at(due_us, Event::BrokerTick));
        self.broker = Some((hub, broker));
    }
}
