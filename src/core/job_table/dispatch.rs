//! Who gets which job: workers with room meet jobs in line.
//!
//! A worker takes from its queues in turn, weight by weight; a job goes to the worker whose last grant is longest ago.
//! Invariant: a worker stands in the `idle` set of each of its queues exactly when it could take a job of that queue
//! now, and then that queue's line is empty or paused, or holds only suspects.

use std::sync::Arc;

use crate::core::job_table::entry::State;
use crate::core::job_table::queue::Queue;
use crate::core::job_table::ready::Place;
use crate::core::job_table::{JobTable, SlotSet};
use crate::core::jobs::{Allowance, Class, Event, WorkerId};
use crate::core::record::Record;
use crate::model::limits::RECALL_AFTER_US;
use crate::model::{Lease, Now, QueueName, Stop};
use crate::model::{Planted, planted};
use crate::wire::command::Grant;

/// One queue of one worker.
#[derive(Clone, Debug)]
struct Taken {
    class: Class,
    /// Jobs of the queue it holds.
    held: u32,
}

/// The order of idle workers: those with a slot that is surely free before those that would have the job wait behind
/// others; then the one whose last grant is longest ago.
pub(super) type IdleKey = (bool, u64);

/// A worker as the table knows it.
#[derive(Clone, Debug)]
pub(super) struct Worker {
    pub(super) name: Arc<str>,
    takes: Vec<Taken>,
    /// What it allowed, and the grants it got.
    allowed: Allowance,
    granted: u64,
    /// The jobs it holds.
    pub(super) held: SlotSet,
    /// Bytes of their payloads.
    held_bytes: u64,
    /// A lease of it lapsed and it has not been heard of since: nothing more is handed to it.
    pub(super) silent: bool,
    /// The suspect that runs there, and must run alone.
    alone: Option<u32>,
    /// A suspect of this queue waits for it to be empty.
    reserved: Option<QueueName>,
    /// Which queue is next, and how many jobs it has had in this turn.
    turn: usize,
    turn_jobs: u32,
    /// The number of its last grant, under which it stands in `idle` sets.
    last_grant: u64,
    /// Jobs it has begun, and how many it had begun at once at most: so many slots it surely has.
    pub(super) started: usize,
    started_max: usize,
    /// What its last jobs took on the average, once one has ended, and when it began or ended one.
    pace_us: Option<u64>,
    moved_us: u64,
    /// It is looked at again whether there is a job to ask back for it.
    has_look_due: bool,
    /// How it stands in the `idle` sets, if it does.
    listed: Option<IdleKey>,
}

impl Worker {
    fn new(name: &str) -> Self {
        Worker {
            name: name.into(),
            takes: Vec::new(),
            allowed: Allowance::default(),
            granted: 0,
            held: SlotSet::new(),
            held_bytes: 0,
            silent: false,
            alone: None,
            reserved: None,
            turn: 0,
            turn_jobs: 0,
            last_grant: 0,
            started: 0,
            started_max: 0,
            pace_us: None,
            moved_us: 0,
            has_look_due: false,
            listed: None,
        }
    }

    /// Whether it can take any job at all.
    pub(super) fn has_room(&self) -> bool {
        let has_bytes =
            self.allowed.bytes == 0 || self.held.is_empty() || self.held_bytes < self.allowed.bytes;
        let may_take = !self.silent && self.alone.is_none() && self.reserved.is_none();
        self.allowed.jobs > self.granted && has_bytes && may_take
    }

    /// Whether one more job may have to wait there until another has ended. A worker fetches ahead of its slots and
    /// does not say how many it has.
    fn is_busy(&self) -> bool {
        self.held.len() >= self.started_max.max(1)
    }

    /// A job ran there for so long.
    fn note_run(&mut self, now: Now, run_us: u64) {
        self.pace_us = Some(self.pace_us.map_or(run_us, |pace_us| (pace_us * 7 + run_us) / 8));
        self.moved_us = now.us;
    }

    /// Whether what waits there will begin sooner than it could elsewhere: its jobs are short, and the one that runs has not
    /// run for long.
    fn is_brisk(&self, now: Now) -> bool {
        self.pace_us.is_some_and(|pace_us| pace_us < RECALL_AFTER_US / 2)
            && now.us < self.moved_us + RECALL_AFTER_US
    }

    fn idle_key(&self) -> IdleKey {
        (self.is_busy(), self.last_grant)
    }

    fn takes(&self, queue: &QueueName) -> Option<&Taken> {
        self.takes.iter().find(|taken| taken.class.queue == *queue)
    }

    fn takes_mut(&mut self, queue: &QueueName) -> Option<&mut Taken> {
        self.takes.iter_mut().find(|taken| taken.class.queue == *queue)
    }

    /// Whether it can take a job of this queue now, as far as the queue's own limit goes.
    pub(super) fn has_room_of(&self, queue: &QueueName) -> bool {
        self.takes(queue).is_some_and(|taken| taken.class.slots == 0 || taken.held < taken.class.slots)
    }
}

impl JobTable {
    pub(super) fn add_worker(&mut self, worker: WorkerId, name: &str) {
        self.workers.entry(worker).or_insert_with(|| Worker::new(name));
    }

    pub(super) fn set_demand(&mut self, now: Now, id: WorkerId, classes: &[Class], allowed: Allowance) {
        self.unlist(id);
        self.replace_classes(id, classes);
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.allowed = allowed;
        worker.silent = false;
        self.fill(now, id);
    }

    /// Takes the worker's queues as given; most often nothing has changed.
    fn replace_classes(&mut self, id: WorkerId, classes: &[Class]) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if worker.takes.iter().map(|taken| &taken.class).eq(classes) {
            return;
        }
        let gone: Vec<QueueName> = worker
            .takes
            .iter()
            .map(|taken| taken.class.queue.clone())
            .filter(|queue| !classes.iter().any(|class| class.queue == *queue))
            .collect();
        // Counted anew: a queue that was given up and comes back may still have jobs there.
        let slots = &self.slots;
        let is_of = |slot: &u32, queue: &QueueName| {
            slots[*slot as usize].as_ref().is_some_and(|job| job.queue == *queue)
        };
        let held = |queue: &QueueName| worker.held.iter().filter(|slot| is_of(slot, queue)).count() as u32;
        worker.takes =
            classes.iter().map(|class| Taken { class: class.clone(), held: held(&class.queue) }).collect();
        (worker.turn, worker.turn_jobs) = (0, 0);
        if worker.reserved.as_ref().is_some_and(|queue| gone.contains(queue)) {
            worker.reserved = None;
        }
        for class in classes {
            let queue = self.queue(&class.queue);
            queue.known = true;
            queue.workers.insert(id);
        }
        for queue in gone {
            self.queue(&queue).workers.remove(&id);
            self.reserve_for_suspect(&queue);
            self.drop_queue_if_unused(&queue);
        }
    }

    pub(super) fn remove_worker(&mut self, now: Now, id: WorkerId) {
        self.unlist(id);
        self.replace_classes(id, &[]);
        let held: Vec<u32> =
            self.workers.get(&id).map_or_else(Vec::new, |worker| worker.held.iter().copied().collect());
        for slot in held {
            self.lose(now, slot, false, false, None);
        }
        self.workers.remove(&id);
        self.orphans.retain(|_, orphan| orphan.worker != id);
    }

    /// The queue's own copy of its name: what is kept of a job for long shares it.
    pub(super) fn shared_name(&self, name: QueueName) -> QueueName {
        self.queues.get_key_value(&name).map_or(name, |(known, _)| known.clone())
    }

    /// The queue of this name, made when there is none.
    pub(super) fn queue(&mut self, name: &QueueName) -> &mut Queue {
        if !self.queues.contains_key(name) {
            self.queues.insert(name.clone(), Queue::new(self.default_rules.clone()));
        }
        self.queues.get_mut(name).expect("it was just made")
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
        for taken in &worker.takes {
            if let Some(queue) = self.queues.get_mut(&taken.class.queue) {
                queue.idle.remove(&(key, id));
            }
        }
    }

    /// Puts the worker into the `idle` sets it belongs to.
    fn list(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id).filter(|worker| worker.has_room()) else { return };
        let key = worker.idle_key();
        worker.listed = Some(key);
        for taken in &worker.takes {
            if let Some(queue) = self
                .queues
                .get_mut(&taken.class.queue)
                .filter(|_| taken.class.slots == 0 || taken.held < taken.class.slots)
            {
                queue.idle.insert((key, id));
            }
        }
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
        let count = worker.takes.len();
        for step in 0..count {
            let at = (worker.turn + step) % count;
            let taken = &worker.takes[at];
            let room = taken.class.slots == 0 || taken.held < taken.class.slots;
            let Some(queue) = self.queues.get(&taken.class.queue).filter(|queue| room && !queue.paused)
            else {
                continue;
            };
            let suspect = queue.ready.peek_alone().filter(|_| worker.held.is_empty());
            if let Some(slot) = suspect.or_else(|| queue.ready.peek(now.us)) {
                if step > 0 {
                    (worker.turn, worker.turn_jobs) = (at, 0);
                }
                worker.turn_jobs += 1;
                if worker.turn_jobs >= taken.class.weight.max(1) {
                    (worker.turn, worker.turn_jobs) = ((at + 1) % count, 0);
                }
                return Some(slot);
            }
        }
        None
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
        let place = Place {
            priority: job.rules.priority,
            owner: &job.asker.owner,
            sequence: job.sequence,
            first: job.first,
            alone: job.suspect,
        };
        let name = job.queue.clone();
        let suspect = job.suspect;
        let queue = self.queues.get_mut(&name).expect("a job's queue is there");
        queue.ready.push(now.us, place, slot);
        self.offer(now, &name);
        if suspect {
            self.reserve_for_suspect(&name);
        }
    }

    /// The worker that would be handed the job at once if it were put into its queue's line, which is empty.
    fn taker_at_once(&self, now: Now, slot: u32) -> Option<WorkerId> {
        let job = self.job(slot);
        let queue = self.queues.get(&job.queue).filter(|queue| !queue.paused && queue.ready.len() == 0)?;
        let (_, id) = queue.idle.first().filter(|_| !job.suspect && job.overdue(now).is_none())?;
        Some(*id)
    }

    /// Takes a queued job out of its line.
    pub(super) fn leave_line(&mut self, slot: u32) {
        let job = self.slots[slot as usize].as_ref().expect("a slot in use holds a job");
        let place = Place {
            priority: job.rules.priority,
            owner: &job.asker.owner,
            sequence: job.sequence,
            first: job.first,
            alone: job.suspect,
        };
        self.queues.get_mut(&job.queue).expect("a job's queue is there").ready.remove(place);
    }

    /// Hands out what is in line to workers that are idle.
    pub(super) fn offer(&mut self, now: Now, name: &QueueName) {
        while let Some(queue) = self.queues.get(name).filter(|queue| !queue.paused && queue.ready.len() > 0) {
            if let Some(slot) = queue.ready.peek_alone() {
                let empty = queue.idle.iter().map(|&(_, id)| id).find(|id| self.workers[id].held.is_empty());
                if let Some(id) = empty {
                    self.unlist(id);
                    self.grant(now, slot, id);
                    self.list(id);
                    continue;
                }
            }
            let (Some(slot), Some(&(_, id))) = (queue.ready.peek(now.us), queue.idle.first()) else { return };
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
        let names: Vec<QueueName> = worker.takes.iter().map(|taken| taken.class.queue.clone()).collect();
        for name in names {
            let Some(queue) =
                self.queues.get_mut(&name).filter(|queue| !queue.idle.is_empty() && !queue.paused)
            else {
                continue;
            };
            let Some(&(token, slot)) =
                queue.unstarted.iter().find(|(_, slot)| !self.workers[&id].held.contains(slot))
            else {
                continue;
            };
            let holder = self.slots[slot as usize].as_ref().map(|job| &job.state);
            if let Some(State::Leased { worker, .. }) = holder
                && self.workers.get(worker).is_some_and(|worker| worker.is_brisk(now))
            {
                self.look_again(now, id);
                continue;
            }
            queue.unstarted.remove(&(token, slot));
            if let State::Leased { worker, .. } = self.job(slot).state {
                self.counters.recalled += 1;
                self.tell_holder(slot, Event::Recall { worker, lease: Lease { slot, token } });
                return;
            }
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
        let (suspect, bytes) = {
            let job = self.job_mut(slot);
            job.state = State::Leased { worker: id, until_us };
            (job.suspect, job.payload_len())
        };
        self.leases += 1;
        if let Some(queue) = self.queues.get_mut(name) {
            queue.leased += 1;
        }
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.held.insert(slot);
            worker.held_bytes += bytes;
            if suspect {
                worker.alone = Some(slot);
            }
            if let Some(taken) = worker.takes_mut(name) {
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
        let (name, token, bytes) = (job.queue.clone(), job.token, job.payload_len());
        self.leases -= 1;
        if let Some(queue) = self.queues.get_mut(&name) {
            queue.leased -= 1;
            queue.unstarted.remove(&(token, slot));
        }
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.held.remove(&slot);
        worker.held_bytes -= bytes;
        if let Some(ran_us) = ran_us {
            worker.started -= 1;
            worker.note_run(now, ran_us);
        }
        let was_alone = worker.alone == Some(slot);
        if was_alone {
            worker.alone = None;
        }
        if let Some(taken) = worker.takes_mut(&name) {
            taken.held -= 1;
        }
        // The job itself is still in the old state; whoever called puts it into the next before anything is offered.
        let has_changed = was_alone
            || worker.listed.is_some_and(|key| key != worker.idle_key())
            || worker.allowed.bytes != 0
            || worker.reserved.is_some()
            || worker.takes(&name).is_some_and(|taken| taken.class.slots != 0);
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
        let place = Place {
            priority: job.rules.priority,
            owner: &job.asker.owner,
            sequence: job.sequence,
            first: job.first,
            alone: job.suspect,
        };
        self.queues.get_mut(&job.queue).expect("a job's queue is there").ready.take(now.us, place);
        self.hand_out(now, slot, id);
    }

    /// Makes the worker the holder of a job that stands in no line, and tells it.
    fn hand_out(&mut self, now: Now, slot: u32, id: WorkerId) {
        let name = self.job(slot).queue.clone();
        let token = self.hold(now, slot, id);
        let worker = self.workers.get_mut(&id).expect("a worker that is granted a job is there");
        worker.granted += u64::from(!planted(Planted::ExceedDemand));
        worker.last_grant = token;
        if worker.held.len() > worker.started_max.max(1) {
            self.queues.get_mut(&name).expect("a job's queue is there").unstarted.insert((token, slot));
        }
        self.rearm(slot);
        let lease = Lease { slot, token };
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
