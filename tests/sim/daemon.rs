//! The broker's process in a run: made, killed, fed, and its packets sent.

use forebay::core::broker::{Broker, BrokerConfig};
use forebay::core::job_table::TableConfig;
use forebay::core::jobs::Io;
use forebay::core::session::Input;
use forebay::link::{Hub, HubLimits};
use forebay::model::{JobRules, limits};
use forebay::store::sim_disk::Crash;
use forebay::wire::command::{Terms, ToBroker};

use crate::delayed::SimJobs;
use crate::faults::CRASHES;
use crate::judge::rule;
use crate::network::Way;
use crate::plan::{MS, PAYLOAD_MAX, REATTACH_MS};
use crate::world::{Event, World};

impl<J: SimJobs> World<J> {
    pub(crate) fn start_broker(&mut self) {
        let durable = self.plan.durable;
        let recovered = durable.then(|| self.open_store());
        let (id, epoch) = match &recovered {
            Some(recovered) => (recovered.kept.broker, recovered.kept.epoch),
            None => (self.random.bytes(), 1),
        };
        self.judge.broker_starts(id, recovered.as_ref().map(|recovered| &recovered.kept));
        self.trace.note(self.now_us, format_args!("broker starts, life {}, epoch {epoch}", self.judge.lives));
        let terms = Terms {
            broker: id,
            epoch,
            wall_ms: 0,
            payload_max: PAYLOAD_MAX,
            frames_max: limits::BODY_FRAMES_MAX as u64,
            headers_max: limits::HEADERS_LEN_MAX as u64,
            window_bytes: limits::WINDOW_LEN as u64,
            beat_ms: self.plan.beat_ms(),
            lease_ms: self.plan.lease_ms,
            reattach_ms: REATTACH_MS,
            submit_jobs: 12,
            durable,
            version: String::new(),
            features: Vec::new(),
        };
        let table = TableConfig {
            rules: JobRules::default(),
            lease_ms: self.plan.lease_ms,
            reattach_ms: REATTACH_MS,
            payload_max: PAYLOAD_MAX,
            queue_jobs_max: self.plan.queue_jobs_max,
            cache_max: self.plan.cache_max,
            broker: id,
            epoch,
            durable,
            // Their time is over with that of their results.
            quarantine_ms: 0,
            seed: self.plan.seed,
            ..TableConfig::default()
        };
        let config = BrokerConfig { reattach_ms: REATTACH_MS, submit_jobs: 12, version: String::new() };
        let hub_limits = HubLimits { session_ttl_ms: self.plan.session_ttl_ms(), ..HubLimits::default() };
        let mut jobs = J::make(table, self.plan.seed ^ self.judge.lives);
        if let Some(recovered) = recovered {
            jobs.recover(self.now(), recovered);
        }
        self.broker = Some((Hub::new(terms, hub_limits), Broker::new(config, jobs)));
        self.broker_paused_until_us = 0;
        self.broker_ticks_at = Some(self.at(self.now_us, Event::BrokerTick));
    }

    /// The broker's process ends. Its connections drop, and whoever had one looks for another.
    pub(crate) fn kill_broker(&mut self, crash: Crash, down_us: u64) {
        let Some((hub, broker)) = self.broker.take() else { return };
        self.store.crash(crash, &mut self.random);
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
                if let Input::Command { command: ToBroker::Submit(job), .. } = &input
                    && let Some(room) = self.store.look_ahead(job)
                {
                    broker.io_done(now, room);
                }
                broker.handle(now, input);
                // What follows from it comes before the next input, so that the judge sees the order of the core.
                continue;
            }
            while self.store.takes()
                && let Some(io) = broker.poll_io()
            {
                is_quiet = false;
                match io {
                    Io::Append { upto, records } => {
                        for record in &records {
                            self.detail("disk", record);
                        }
                        self.hand_over(&mut broker, upto, records);
                        let handed = self.judge.written.handed();
                        rule!(upto == handed, "records up to {upto} are said to be {handed}");
                    }
                    Io::Read { lease, id } => self.read_back(&mut broker, lease, id),
                }
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
        self.is_touched = true;
        if std::mem::take(&mut self.store_failed) {
            let down_us = self.random.between(50 * MS, self.plan.down_us_max);
            let crash = self.random.pick(&CRASHES);
            self.kill_broker(crash, down_us);
        }
    }
}
