//! Payloads that are in the store alone: left there when memory holds enough of them, and read back for a grant.
//!
//! Invariants: `stored_bytes` is the sum of `stored_len` over all jobs; only a job that waits has its payload in the
//! store alone, and its record was synced; a grant is told of with its payload, in the order of grants, because
//! nothing is appended, and so nothing behind it told, before the payload is there.

use crate::core::job_table::JobTable;
use crate::core::job_table::entry::State;
use crate::core::jobs::{Event, Io};
use crate::model::limits::STORED_LEN_MIN;
use crate::model::{Body, JobId, Lease};

impl JobTable {
    /// A durable job was accepted: if memory holds enough payloads, its own will not stay.
    pub(super) fn consider_leaving(&mut self, slot: u32) {
        let job = self.job(slot);
        let is_worth_it = job.durable && job.body.len() as u64 >= STORED_LEN_MIN && !job.is_run();
        if is_worth_it && self.bytes - self.stored_bytes > self.config.cache_max {
            self.leavable.push_back((self.records_written, job.id));
        }
    }

    /// A job came back whose payload was left in the store.
    pub(super) fn recall_stored(&mut self, slot: u32, stored_len: u64) {
        let job = self.job_mut(slot);
        job.stored_len = stored_len;
        let queue = job.queue.clone();
        self.stored_bytes += stored_len;
        self.account(stored_len, 0);
        self.queue(&queue).bytes += stored_len;
    }

    /// Drops the payloads that may go now that their records are synced.
    pub(super) fn leave_bodies(&mut self) {
        while let Some(&(number, id)) = self.leavable.front() {
            if number > self.records_synced {
                return;
            }
            self.leavable.pop_front();
            let Some(&slot) = self.ids.get(&id) else { continue };
            let job = self.job_mut(slot);
            let waits =
                matches!(job.state, State::Delayed { .. } | State::Held | State::Behind | State::Queued);
            if waits && job.stored_len == 0 {
                job.stored_len = std::mem::take(&mut job.body).len() as u64;
                self.stored_bytes += self.job(slot).stored_len;
            }
        }
    }

    /// The job needs its payload no more, wherever it is.
    pub(super) fn drop_body(&mut self, slot: u32) {
        let job = self.job_mut(slot);
        job.body = Body::default();
        let stored_len = std::mem::take(&mut job.stored_len);
        self.stored_bytes -= stored_len;
    }

    /// The payload of the job that is granted, or none yet: then it is asked for.
    pub(super) fn body_for(&mut self, lease: Lease) -> Body {
        let job = self.job(lease.slot);
        if job.stored_len > 0 {
            self.reads.push_back((lease, job.id));
        }
        self.job(lease.slot).body.clone()
    }

    /// The next payload to be read.
    pub(super) fn next_read(&mut self) -> Option<Io> {
        let (lease, id) = self.reads.pop_front()?;
        self.reading += 1;
        Some(Io::Read { lease, id })
    }

    /// A payload was read: into the job, unless that is gone, and into the grant that waits for it.
    pub(super) fn body_read(&mut self, lease: Lease, id: JobId, body: Body) {
        self.reading -= 1;
        if let Some(job) = self.slots[lease.slot as usize].as_mut().filter(|job| job.id == id)
            && job.stored_len > 0
        {
            self.stored_bytes -= std::mem::take(&mut job.stored_len);
            job.body = body.clone();
        }
        let waiting = self.unsynced.iter_mut().rev().find_map(|(_, event)| match event {
            Event::Grant { grant, .. } if grant.lease == lease && grant.id == id => Some(grant),
            _ => None,
        });
        if let Some(grant) = waiting {
            grant.body = body;
        }
    }
}
