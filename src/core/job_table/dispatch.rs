//! Who gets which job: workers with room meet jobs in line.
//!
//! A worker takes from its queues in turn, weight by weight; a job goes to the worker whose last grant is longest ago.
//! Invariant: a worker stands in the `idle` set of each of its queues exactly when it could take a job of that queue
//! now, and then that queue's line is empty or paused, or holds only suspects. A wide worker stands in `wide_idle` instead.

use crate::core::job_table::JobTable;
use crate::core::job_table::entry::State;
use crate::core::job_table::queue::Queue;
use crate::core::job_table::worker::{IdleKey, Taken, Worker};
use crate::core::jobs::{Allowance, Class, Event, WorkerId};
use crate::core::record::Record;
use crate::model::limits::RECALL_AFTER_US;
use crate::model::{Lease, Now, QueueName, Stop};
use crate::model::{Planted, planted};
use crate::wire::command::Grant;

impl JobTable {
    pub(super) fn add_worker(&mut self, worker: WorkerId, name: &str) {
        self.workers.entry(worker).or_insert_with(|| Worker::new(name));
    }

    pub(super) fn set_demand(&mut self, now: Now, id: WorkerId, allowed: Allowance) {
        self.unlist(id);
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.allowed = allowed;
        worker.silent = false;
        self.fill(now, id);
    }

    /// The worker takes jobs of a queue from now on.
    pub(super) fn take_queue(&mut self, now: Now, id: WorkerId, class: &Class) {
        self.unlist(id);
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let queue = self.queues.get_or_make(&class.queue, &self.default_rules);
        queue.known = true;
        queue.workers.insert(id);
        // Counted anew: a queue that was given up and comes back may still have jobs there.
        let is_of = |lease: &Lease| {
            self.slots[lease.slot as usize].as_ref().is_some_and(|job| job.queue == class.queue)
        };
        let held = worker.held.keys().filter(is_of).count() as u32;
        worker.takes.insert(queue.number, Taken { slots: class.slots, weight: class.weight, held });
        self.fill(now, id);
    }

    /// It takes none of them any more.
    pub(super) fn give_up_queue(&mut self, now: Now, id: WorkerId, name: &QueueName) {
        self.unlist(id);
        if let Some(queue) = self.queues.get(name) {
            self.part(id, queue.number);
        }
        self.fill(now, id);
    }

    /// A worker that is not listed and one of its queues are no longer each other's.
    fn part(&mut self, id: WorkerId, number: u32) {
        let Some(queue) = self.queues.numbered_mut(number) else { return };
        queue.workers.remove(&id);
        let name = queue.name.clone();
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.takes.remove(number);
            worker.reserved.take_if(|queue| *queue == name);
        }
        self.reserve_for_suspect(&name);
        self.drop_queue_if_unused(&name);
    }

    pub(super) fn remove_worker(&mut self, now: Now, id: WorkerId) {
        self.unlist(id);
        let Some(worker) = self.workers.get(&id) else { return };
        let (numbers, held): (Vec<u32>, Vec<u32>) =
            (worker.takes.numbers().collect(), worker.held.keys().map(|lease| lease.slot).collect());
        for number in numbers {
            self.part(id, number);
        }
        for slot in held {
            self.lose(now, slot, false, false, None);
        }
        self.workers.remove(&id);
        self.orphans.retain(|_, orphan| orphan.worker != id);
    }

    /// The queue's own copy of its name: what is kept of a job for long shares it.
    pub(super) fn shared_name(&self, name: QueueName) -> QueueName {
        self.queues.get(&name).map_or(name, |queue| queue.name.clone())
    }

    /// The queue of this name, made when there is none.
    pub(super) fn queue(&mut self, name: &QueueName) -> &mut Queue {
        self.queues.get_or_make(name, &self.default_rules)
    }

    /// Forgets a queue that no job, worker or setting keeps.
    pub(super) fn drop_queue_if_unused(&mut self, name: &QueueName) {
        let unused = |queue: &Queue| {
            queue.jobs == 0
                && queue.workers.is_empty()
                && !queue.known
                && !queue.paused
                && !queue.draining
                && queue.options == Default::default()
                && queue.handed.is_empty()
        };
        if self.queues.get(name).is_some_and(unused) {
            self.queues.remove(name);
        }
    }

    pub(super) fn unlist(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let Some(key) = worker.listed.take() else { return };
        if worker.takes.is_wide() {
            self.wide_idle.remove(&(key, id));
            return;
        }
        for number in worker.takes.numbers() {
            if let Some(queue) = self.queues.numbered_mut(number) {
                queue.idle.remove(&(key, id));
            }
        }
    }

    /// Puts the worker into the sets of idle ones it belongs to.
    fn list(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id).filter(|worker| worker.has_room()) else { return };
        let key = worker.idle_key();
        worker.listed = Some(key);
        if worker.takes.is_wide() {
            self.wide_idle.insert((key, id));
            return;
        }
        for number in worker.takes.numbers().filter(|number| worker.takes.has_room_of(*number)) {
            if let Some(queue) = self.queues.numbered_mut(number) {
                queue.idle.insert((key, id));
            }
        }
    }

    /// The worker that should get a job of this queue, if one is idle.
    fn first_idle(&self, queue: &Queue) -> Option<WorkerId> {
        let narrow = queue.idle.first().copied();
        let wide = (!self.wide_idle.is_empty()).then(|| self.first_wide_idle(queue)).flatten();
        narrow.into_iter().chain(wide).min().map(|(_, id)| id)
    }

    fn first_wide_idle(&self, queue: &Queue) -> Option<(IdleKey, WorkerId)> {
        if self.wide_idle.len() <= queue.workers.len() {
            let has_room = |id: &WorkerId| self.workers[id].takes.has_room_of(queue.number);
            return self.wide_idle.iter().find(|(_, id)| has_room(id)).copied();
        }
        let able = queue.workers.iter().filter_map(|id| {
            let worker = &self.workers[id];
            let key = worker.listed.filter(|_| worker.takes.is_wide())?;
            worker.takes.has_room_of(queue.number).then_some((key, *id))
        });
        able.min()
    }

    /// Hands the worker jobs until it has no room or there are none, and lists it as idle if it has room left.
    pub(super) fn fill(&mut self, now: Now, id: WorkerId) {
        self.unlist(id);
        while let Some(slot) = self.next_for(now, id) {
            self.grant(now, slot, id);
        }
        self.list(id);
        self.recall_for(now, id);
    }

    /// The job this worker takes next.
    fn next_for(&mut self, now: Now, id: WorkerId) -> Option<u32> {
        let worker = self.workers.get_mut(&id)?;
        if let Some(queue) = worker.reserved.clone().filter(|_| worker.held.is_empty()) {
            worker.reserved = None;
            let suspect = self
                .queues
                .get(&queue)
                .filter(|queue| !queue.paused)
                .and_then(|queue| queue.ready.peek_alone());
            if suspect.is_some() && worker.has_room() {
                return suspect;
            }
        }
        if !worker.has_room() {
            return None;
        }
        let is_empty = worker.held.is_empty();
        let (number, slot) = worker.takes.find_in_turn(self.queues.with_line(), |number| {
            let queue = self.queues.numbered(number).filter(|queue| !queue.paused)?;
            queue.ready.peek_alone().filter(|_| is_empty).or_else(|| queue.ready.peek(now.us))
        })?;
        worker.takes.note_turn(number);
        Some(slot)
    }

    /// Puts a job into its queue's line, and hands it out if a worker has room.
    pub(super) fn enqueue(&mut self, now: Now, slot: u32) {
        if self.waits_for_key(now, slot) {
            self.job_mut(slot).state = State::Behind;
            return self.rearm(slot);
        }
        if let Some(id) = self.taker_at_once(now, slot) {
            self.unlist(id);
            self.hand_out(now, slot, id);
            return self.list(id);
        }
        self.job_mut(slot).state = State::Queued;
        self.rearm(slot);
        let job = self.slots[slot as usize].as_ref().expect("a slot in use holds a job");
        let name = job.queue.clone();
        let suspect = job.suspect;
        self.queues.stand_in_line(&name, now.us, job.place(), slot);
        self.offer(now, &name);
        if suspect {
            self.reserve_for_suspect(&name);
        }
    }

    /// The worker that would be handed the job at once if it were put into its queue's line, which is empty.
    fn taker_at_once(&self, now: Now, slot: u32) -> Option<WorkerId> {
        let job = self.job(slot);
        let queue = self.queues.get(&job.queue).filter(|queue| !queue.paused && queue.ready.len() == 0)?;
        self.first_idle(queue).filter(|_| !job.suspect && job.overdue(now).is_none())
    }

    /// Takes a queued job out of its line.
    pub(super) fn leave_line(&mut self, slot: u32) {
        let job = self.slots[slot as usize].as_ref().expect("a slot in use holds a job");
        self.queues.leave_line(&job.queue, job.place());
    }

    /// Hands out what is in line to workers that are idle.
    pub(super) fn offer(&mut self, now: Now, name: &QueueName) {
        while let Some(queue) = self.queues.get(name).filter(|queue| !queue.paused && queue.ready.len() > 0) {
            if let Some(slot) = queue.ready.peek_alone() {
                let empty = queue.workers.iter().filter(|id| {
                    let worker = &self.workers[id];
                    worker.held.is_empty() && worker.takes.has_room_of(queue.number)
                });
                let listed = empty.filter_map(|id| Some((self.workers[id].listed?, *id)));
                if let Some((_, id)) = listed.min() {
                    self.unlist(id);
                    self.grant(now, slot, id);
                    self.list(id);
                    continue;
                }
            }
            let (Some(slot), Some(id)) = (queue.ready.peek(now.us), self.first_idle(queue)) else { return };
            self.unlist(id);
            self.grant(now, slot, id);
            self.list(id);
        }
    }

    /// A suspect in line with nobody empty: the worker that holds least takes nothing more until it is.
    pub(super) fn reserve_for_suspect(&mut self, name: &QueueName) {
        let Some(queue) =
            self.queues.get(name).filter(|queue| !queue.paused && queue.ready.peek_alone().is_some())
        else {
            return;
        };
        let serves = |id: &&WorkerId| self.workers[id].reserved.as_ref() == Some(name);
        if queue.workers.iter().any(|id| serves(&id)) {
            return;
        }
        let able = queue.workers.iter().filter(|id| {
            let worker = &self.workers[id];
            worker.reserved.is_none() && worker.alone.is_none() && !worker.silent && !worker.held.is_empty()
        });
        if let Some(id) = able.min_by_key(|id| (self.workers[id].held.len(), **id)).copied() {
            self.unlist(id);
            self.workers.get_mut(&id).expect("it was just found").reserved = Some(name.clone());
        }
    }

    /// The worker has a free slot and found nothing: asks back one unstarted job that waits behind another elsewhere.
    /// One that could only queue the job as well does not ask, or two of them would pass it to and fro; and a job that is
    /// about to begin is left where it is.
    fn recall_for(&mut self, now: Now, id: WorkerId) {
        let can_begin = |worker: &&Worker| worker.listed.is_some() && !worker.is_busy();
        let Some(worker) = self.workers.get(&id).filter(can_begin) else { return };
        let mut is_due_later = false;
        let found = worker.takes.find_in_turn(self.queues.with_unstarted(), |number| {
            let queue = self.queues.numbered(number).filter(|queue| !queue.paused)?;
            let lease = queue.unstarted.keys().find(|lease| !worker.held.contains(*lease))?;
            let State::Leased { worker: holder, .. } = self.job(lease.slot).state else { return None };
            if self.workers.get(&holder).is_some_and(|holder| holder.is_brisk(now)) {
                is_due_later = true;
                return None;
            }
            Some((queue.name.clone(), holder, lease))
        });
        if is_due_later {
            self.look_again(now, id);
        }
        if let Some((_, (name, worker, lease))) = found {
            self.queues.remove_unstarted(&name, lease);
            self.counters.recalled += 1;
            self.tell_holder(lease.slot, Event::Recall { worker, lease });
        }
    }

    /// Sees to it that [`JobTable::recall_for`] is asked again when a brisk worker may have come to a long job.
    fn look_again(&mut self, now: Now, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id).filter(|worker| !worker.has_look_due) {
            worker.has_look_due = true;
            self.recall_looks.push_back((now.us + RECALL_AFTER_US, id));
        }
    }

    /// Asks back for workers that still have a free slot what did not begin in time.
    pub(super) fn recall_late(&mut self, now: Now) {
        while let Some((_, id)) = self.recall_looks.front().copied().filter(|(due_us, _)| *due_us <= now.us) {
            self.recall_looks.pop_front();
            self.workers.entry(id).and_modify(|worker| worker.has_look_due = false);
            self.recall_for(now, id);
        }
    }

    /// Makes the worker the job's holder, under a new token.
    pub(super) fn hold(&mut self, now: Now, slot: u32, id: WorkerId) -> u64 {
        let token = self.next_token;
        self.next_token += u64::from(!planted(Planted::ReuseToken) || !token.is_multiple_of(16));
        let (name, previous) = {
            let job = self.job_mut(slot);
            let previous = job.holder.filter(|_| job.token != 0).map(|holder| (holder, job.lease(slot)));
            (job.token, job.holder, job.begun) = (token, Some(id), false);
            (job.queue.clone(), previous)
        };
        if let Some((holder, lease)) = previous {
            self.tell_holder(slot, Event::Revoke { worker: holder, lease, why: Stop::LEASE_LOST });
        }
        self.retake(now, slot, id, &name);
        token
    }

    /// Puts the job into the worker's hands again under the token it has. The worker is not listed as idle any more
    /// until it is filled.
    pub(super) fn retake(&mut self, now: Now, slot: u32, id: WorkerId, name: &QueueName) {
        let until_us = now.after_ms(self.config.lease_ms);
        self.unlist(id);
        let (lease, suspect, bytes) = {
            let job = self.job_mut(slot);
            job.state = State::Leased { worker: id, until_us };
            (job.lease(slot), job.suspect, job.payload_len())
        };
        self.leases += 1;
        let number = self.queues.get_mut(name).map(|queue| {
            queue.leased += 1;
            queue.number
        });
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.held.insert(lease, ());
            worker.held_bytes += bytes;
            if suspect {
                worker.alone = Some(slot);
            }
            if let Some(taken) = number.and_then(|number| worker.takes.get_mut(number)) {
                taken.held += 1;
            }
        }
    }

    /// Takes the job out of its holder's hands; its token keeps counting until the caller says otherwise. The worker
    /// may take others.
    pub(super) fn unhold(&mut self, now: Now, slot: u32) {
        let job = self.job(slot);
        let id = match job.state {
            State::Leased { worker, .. } | State::Running { worker, .. } => worker,
            _ => return,
        };
        let ran_us = match job.state {
            State::Running { started_us, .. } => Some(now.us.saturating_sub(started_us)),
            _ => None,
        };
        let (name, lease, bytes) = (job.queue.clone(), job.lease(slot), job.payload_len());
        self.leases -= 1;
        let number = self.queues.get_mut(&name).map(|queue| {
            queue.leased -= 1;
            queue.number
        });
        self.queues.remove_unstarted(&name, lease);
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.held.remove(lease);
        worker.held_bytes -= bytes;
        if let Some(ran_us) = ran_us {
            worker.started -= 1;
            worker.note_run(now, ran_us);
        }
        let was_alone = worker.alone == Some(slot);
        if was_alone {
            worker.alone = None;
        }
        if let Some(taken) = number.and_then(|number| worker.takes.get_mut(number)) {
            taken.held -= 1;
        }
        // The job itself is still in the old state; whoever called puts it into the next before anything is offered.
        let has_changed = was_alone
            || worker.listed.is_some_and(|key| key != worker.idle_key())
            || worker.allowed.bytes != 0
            || worker.reserved.is_some()
            || number.is_some_and(|number| worker.takes.is_limited(number));
        if has_changed {
            self.refill.push((now, id));
        }
    }

    /// The job its holder was handed begins, or goes on.
    pub(super) fn set_running(&mut self, now: Now, slot: u32) {
        let job = self.job_mut(slot);
        let State::Leased { worker: id, until_us } = job.state else { return };
        job.state = State::Running { worker: id, until_us, started_us: now.us, said_us: now.us };
        job.begun = true;
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.started += 1;
        worker.moved_us = now.us;
        if worker.started > worker.started_max {
            worker.started_max = worker.started;
            if worker.listed.is_some() {
                self.unlist(id);
                self.list(id);
            }
        }
    }

    /// Offers jobs to workers that got room other than by demand, once the job that made it has its new state.
    pub(super) fn refill_workers(&mut self) {
        while let Some((now, id)) = self.refill.pop() {
            self.fill(now, id);
        }
    }

    /// Hands the first job in line to the worker, unless its time is over.
    fn grant(&mut self, now: Now, slot: u32, id: WorkerId) {
        if let Some(message) = self.job(slot).overdue(now) {
            // A loop that was away may be asked for jobs before it has looked at the clock.
            return self.expire_job(now, slot, message);
        }
        let job = self.slots[slot as usize].as_ref().expect("a slot in use holds a job");
        self.queues.take_from_line(&job.queue, now.us, job.place());
        self.hand_out(now, slot, id);
    }

    /// Makes the worker the holder of a job that stands in no line, and tells it.
    fn hand_out(&mut self, now: Now, slot: u32, id: WorkerId) {
        let name = self.job(slot).queue.clone();
        let token = self.hold(now, slot, id);
        let worker = self.workers.get_mut(&id).expect("a worker that is granted a job is there");
        worker.granted += u64::from(!planted(Planted::ExceedDemand));
        worker.last_grant = token;
        let lease = Lease { slot, token };
        if worker.held.len() > worker.started_max.max(1) {
            self.queues.add_unstarted(&name, lease);
        }
        self.rearm(slot);
        let body = self.body_for(lease);
        let headers = self.headers_of(slot);
        let job = self.job(slot);
        let (durable, id_of_job) = (job.durable, job.id);
        let grant = Box::new(Grant {
            lease,
            id: job.id,
            queue: name,
            body,
            headers,
            attempt: job.attempts + 1,
            attempts_max: job.rules.attempts,
            time_left_ms: job.deadline_us().map(|at| at.saturating_sub(now.us) / 1_000),
            run_ms: job.rules.run_ms,
            soft_ms: job.rules.soft_ms,
            partial_bytes: job.rules.partial_bytes,
            wants_progress: job.wants_progress,
            wants_partial: job.wants_partial,
        });
        self.record(durable, || Record::Leased { id: id_of_job, token });
        if durable {
            self.job_mut(slot).granted_at = self.records_written;
        }
        self.tell(durable && !planted(Planted::GrantEarly), Event::Grant { worker: id, grant });
    }
}
