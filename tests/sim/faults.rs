//! How each fault strikes.

use forebay::store::sim_disk::Crash;

use crate::delayed::SimJobs;
use crate::plan::{Fault, MS, PAUSE_US_MAX, SECOND, SLOW_US_MAX};
use crate::world::{Event, Role, World};

/// What a disk may do to what was not synced.
pub(crate) const CRASHES: [Crash; 6] = [
    Crash::Keep,
    Crash::Drop,
    Crash::Torn { sector: 512 },
    Crash::Torn { sector: 4_096 },
    Crash::Reorder { sector: 512 },
    Crash::Reorder { sector: 4_096 },
];

impl<J: SimJobs> World<J> {
    pub(crate) fn strike(&mut self, fault: Fault) {
        if self.is_calm {
            return;
        }
        let peer = self.random.below(self.nodes.len() as u64) as usize;
        let worker = self.plan.clients + self.random.below(self.plan.workers as u64) as usize;
        let client = self.random.below(self.plan.clients as u64) as usize;
        let down_us = self.random.between(50 * MS, self.plan.down_us_max);
        self.note(format_args!(
            "fault {fault:?}: peer {peer}, worker {worker}, client {client}, {down_us} us"
        ));
        self.tally.one(&format!("fault {fault:?}"));
        match fault {
            Fault::ConnDrop | Fault::ConnVanish => {
                if let Some(conn) = self.conn(peer) {
                    self.drop_conn(conn, fault == Fault::ConnVanish);
                }
            }
            Fault::Partition | Fault::BlackHole => {
                let until_us =
                    self.now_us + self.random.below(self.plan.reconnect_us_max + 2 * self.plan.lease_ms * MS);
                let Some(conn) = self.conn(peer) else { return };
                match fault {
                    Fault::Partition => self.network.hold(conn, until_us),
                    _ => self.network.lose(conn, until_us),
                }
            }
            Fault::BrokerKill => self.kill_broker(Crash::Keep, down_us),
            Fault::BrokerPause => {
                let until_us = self.now_us + self.random.below(PAUSE_US_MAX);
                self.pause_broker(until_us);
            }
            Fault::WorkerKill => self.end_peer(worker, false, down_us),
            Fault::WorkerVanish => self.end_peer(worker, true, down_us),
            Fault::WorkerDrain => {
                if let Some(Role::Worker(worker)) = &mut self.nodes[worker].role {
                    worker.leave();
                }
                self.settle_peer(worker);
            }
            Fault::Stall => {
                let until_us = self.now_us + self.random.below(3 * self.plan.lease_ms * MS);
                self.stall(peer, until_us);
            }
            Fault::ClientKill => self.end_peer(client, false, down_us),
            Fault::ClockJump => {
                let most_ms = self.plan.jump_ms_max as i64;
                let jump_ms = self.random.below(2 * self.plan.jump_ms_max) as i64 - most_ms;
                self.jump(jump_ms);
            }
            Fault::BadFrames => self.throw_bad_frames(),
            Fault::PowerLoss => {
                let crash = self.random.pick(&CRASHES);
                self.tally.one(&format!("disk {crash:?}"));
                self.kill_broker(crash, down_us);
            }
            Fault::SlowDisk => {
                self.store.slow_until_us = self.now_us + self.random.below(20 * SECOND);
                self.store.slow_us_max = self.random.between(100 * MS, SLOW_US_MAX);
            }
            Fault::DiskFull => {
                self.store.set_full(true);
                let freed_us = self.now_us + self.random.between(SECOND, 30 * SECOND);
                self.at(freed_us, Event::DiskFreed);
            }
            Fault::DiskError => self.store.fail(&mut self.random),
        }
    }
}
