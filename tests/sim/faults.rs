//! How each fault strikes.

use crate::delayed::SimJobs;
use crate::plan::{Fault, LEASE_MS, MS, PAUSE_US_MAX};
use crate::world::{Role, World};

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
                    self.now_us + self.random.below(self.plan.reconnect_us_max + 2 * LEASE_MS * MS);
                let Some(conn) = self.conn(peer) else { return };
                match fault {
                    Fault::Partition => self.network.hold(conn, until_us),
                    _ => self.network.lose(conn, until_us),
                }
            }
            Fault::BrokerKill => self.kill_broker(down_us),
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
                let until_us = self.now_us + self.random.below(3 * LEASE_MS * MS);
                self.stall(peer, until_us);
            }
            Fault::ClientKill => self.end_peer(client, false, down_us),
            Fault::ClockJump => {
                let most_ms = self.plan.jump_ms_max as i64;
                let jump_ms = self.random.below(2 * self.plan.jump_ms_max) as i64 - most_ms;
                self.jump(jump_ms);
            }
            Fault::BadFrames => self.throw_bad_frames(),
        }
    }
}
