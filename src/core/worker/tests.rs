//! A worker against a scripted broker: each test plays the link by hand.

use super::*;
use crate::model::{Body, Headers, QueueName, Status, limits};
use crate::wire::command::{FromBroker, Presented};

struct Play {
    core: WorkerCore,
    now: Now,
    number: u64,
}

impl Play {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut WorkerConfig)) -> Self {
        let mut config = WorkerConfig { prefetch: Some(0), unacked_bytes: 1 << 20, broker_gone_ms: 0 };
        change(&mut config);
        let now = Now { us: 1_000_000, wall_ms: 1 };
        Play { core: WorkerCore::new(now, config), now, number: 0 }
    }

    /// Up, registered for "q" and receiving with so many slots; nothing left to say.
    fn ready(slots: u32) -> Self {
        let mut play = Self::new();
        play.up(true, 1);
        play.core.register("q", 0, 1);
        play.core.receiving(slots);
        play.commands();
        play
    }

    fn up(&mut self, fresh: bool, broker: u8) {
        if fresh {
            self.number = 0;
        }
        let terms = Terms {
            broker: [broker; 16],
            epoch: 1,
            wall_ms: 1,
            payload_max: 1 << 20,
            frames_max: 10,
            headers_max: 1 << 10,
            window_bytes: 1 << 20,
            beat_ms: limits::BEAT_MS,
            lease_ms: limits::LEASE_MS,
            reattach_ms: 500,
            submit_jobs: 3,
            durable: false,
            version: String::new(),
            features: Vec::new(),
        };
        self.core.handle(self.now, PeerEvent::Up { fresh, terms: Box::new(terms) });
    }

    fn say(&mut self, command: FromBroker) {
        self.core.handle(self.now, PeerEvent::Command(command));
    }

    fn grant(&mut self, n: u8) -> JobKey {
        self.grant_with(n, |_| {})
    }

    fn grant_with(&mut self, n: u8, change: impl FnOnce(&mut Grant)) -> JobKey {
        let mut grant = Grant {
            lease: lease(n),
            id: JobId([n; 16]),
            queue: QueueName::new("q").unwrap(),
            body: Body::one("job"),
            headers: Headers::default(),
            attempt: 1,
            attempts_max: 3,
            time_left_ms: None,
            run_ms: 0,
            soft_ms: 0,
            partial_bytes: 1 << 10,
            wants_progress: true,
            wants_partial: true,
        };
        change(&mut grant);
        self.say(FromBroker::Grant(Box::new(grant)));
        match self.events().pop() {
            Some(WorkerEvent::Granted { key, .. }) => key,
            other => panic!("{other:?} is no grant"),
        }
    }

    fn start(&mut self, n: u8) -> JobKey {
        let key = self.grant(n);
        self.begin(key);
        key
    }

    /// A thread receives it, and computes for a while.
    fn begin(&mut self, key: JobKey) {
        self.core.started(self.now, key);
        self.now.us += self.core.start_hold_us();
        self.core.tick(self.now);
    }

    fn finish(&mut self, key: JobKey) {
        self.core.answer(self.now, key, result(), 6, 5_000);
    }

    fn commands(&mut self) -> Vec<ToBroker> {
        let mut commands = Vec::new();
        while let Some(command) = self.core.poll_command() {
            self.number += 1;
            self.core.sent(self.number);
            commands.push(command);
        }
        commands
    }

    fn ack_all(&mut self) {
        self.core.handle(self.now, PeerEvent::Acknowledged(self.number));
    }

    fn events(&mut self) -> Vec<WorkerEvent> {
        std::iter::from_fn(|| self.core.poll_event()).collect()
    }

    fn pass_ms(&mut self, ms: u64) {
        self.now.us += ms * 1_000;
        self.core.tick(self.now);
    }
}

fn lease(n: u8) -> Lease {
    Lease { slot: n.into(), token: 100 + u64::from(n) }
}

fn result() -> Answer {
    Answer::Done(Arc::new(Body::one("answer").into()))
}

fn done(lease: Lease) -> ToBroker {
    ToBroker::Done { lease, completion: Arc::new(Body::one("answer").into()) }
}

fn demand(jobs: u64) -> ToBroker {
    ToBroker::Demand { jobs, bytes: 0 }
}

#[test]
fn nothing_is_asked_for_before_somebody_receives() {
    let mut play = Play::new();
    play.core.register("q", 2, 1);
    play.up(true, 1);
    let register = ToBroker::Register { queue: "q".into(), slots: 2, weight: 1 };
    assert_eq!(play.commands(), [register], "said once, although it came before the broker");
    play.core.receiving(1);
    assert_eq!(play.commands(), [demand(1)]);
}

#[test]
fn a_slot_is_free_again_once_its_job_is_answered() {
    let mut play = Play::ready(1);
    let key = play.start(1);
    assert_eq!(play.commands(), [ToBroker::Start(lease(1))]);
    play.finish(key);
    assert_eq!(play.commands(), [done(lease(1)), demand(2)]);
    assert!(!play.core.is_idle(), "the answer is kept");
    play.ack_all();
    assert_eq!(play.events(), [WorkerEvent::Freed { key, answer_len: 6 }]);
    assert!(play.core.is_idle());
}

#[test]
fn a_revoked_job_keeps_its_slot_until_its_thread_is_done_with_it() {
    let mut play = Play::ready(1);
    let key = play.start(1);
    play.commands();
    play.say(FromBroker::Revoke { lease: lease(1), why: Stop::CANCELLED });
    assert_eq!(play.events(), [WorkerEvent::Stop { key, why: Stop::CANCELLED }]);
    assert_eq!(play.commands(), []);
    assert_eq!(play.core.leases(), []);
    play.finish(key);
    assert_eq!(play.commands(), [demand(2)], "no answer under a lease that is over");
    assert_eq!(play.events(), [WorkerEvent::Freed { key, answer_len: 6 }]);
}

#[test]
fn a_recalled_job_goes_back_unless_a_thread_has_it() {
    let mut play = Play::ready(2);
    let waiting = play.grant(1);
    let running = play.start(2);
    play.commands();
    play.say(FromBroker::Recall(lease(1)));
    play.say(FromBroker::Recall(lease(2)));
    assert_eq!(play.events(), [WorkerEvent::Withdraw(waiting)]);
    play.core.withdrawn(waiting);
    assert_eq!(play.commands(), [ToBroker::Unstarted(lease(1)), demand(3)]);
    assert_eq!(play.core.leases(), [lease(2)]);
    play.finish(running);
    // Another one is recalled just as a thread takes it.
    let raced = play.grant(3);
    play.say(FromBroker::Recall(lease(3)));
    play.begin(raced);
    play.core.withdrawn(raced);
    assert!(play.commands().contains(&ToBroker::Start(lease(3))));
}

#[test]
fn a_job_revoked_before_it_began_never_begins() {
    let mut play = Play::ready(1);
    let key = play.grant(1);
    play.say(FromBroker::Revoke { lease: lease(1), why: Stop::CANCELLED });
    assert_eq!(play.events(), [WorkerEvent::Withdraw(key)]);
    // A thread was faster than the withdrawal.
    play.core.started(play.now, key);
    assert_eq!(play.events(), [WorkerEvent::Stop { key, why: Stop::LEASE_LOST }]);
    assert_eq!(play.commands(), []);
    play.finish(key);
    assert_eq!(play.commands(), [demand(2)]);
}

#[test]
fn a_new_broker_is_told_of_what_runs_and_what_is_answered() {
    let mut play = Play::ready(3);
    let running = play.start(1);
    let answered = play.start(2);
    let waiting = play.grant(3);
    play.commands();
    play.finish(answered);
    play.commands();
    play.core.handle(play.now, PeerEvent::Down);
    play.up(true, 2);
    assert_eq!(play.events(), [WorkerEvent::Withdraw(waiting)]);
    play.core.withdrawn(waiting);
    let present = |n: u8, is_answered| {
        ToBroker::Present(Presented {
            id: JobId([n; 16]),
            queue: "q".into(),
            broker: [1; 16],
            token: lease(n).token,
            attempt: 1,
            answered: is_answered,
        })
    };
    let register = ToBroker::Register { queue: "q".into(), slots: 0, weight: 1 };
    assert_eq!(play.commands(), [register, present(1, false), present(2, true), demand(2)]);
    assert_eq!(play.core.leases(), []);
    let (new_1, new_2) = (Lease { slot: 7, token: 1 }, Lease { slot: 8, token: 2 });
    play.say(FromBroker::Adopt { id: JobId([1; 16]), lease: new_1 });
    play.say(FromBroker::Adopt { id: JobId([2; 16]), lease: new_2 });
    assert_eq!(play.commands(), [done(new_2)]);
    play.finish(running);
    assert_eq!(play.commands(), [done(new_1), demand(3)]);
    play.ack_all();
    assert!(play.core.is_idle());
    assert_eq!(play.core.counters().adopted, 2);
}

#[test]
fn a_job_answered_while_presented_waits_for_its_new_lease() {
    let mut play = Play::ready(1);
    let key = play.start(1);
    play.commands();
    play.up(true, 2);
    play.commands();
    play.finish(key);
    assert_eq!(play.commands(), [demand(1)], "the slot is free, the answer has no lease yet");
    play.say(FromBroker::Adopt { id: JobId([1; 16]), lease: lease(9) });
    assert_eq!(play.commands(), [done(lease(9))]);
}

#[test]
fn what_a_new_broker_does_not_leave_to_us_is_stopped_or_forgotten() {
    let mut play = Play::ready(2);
    let running = play.start(1);
    let answered = play.start(2);
    play.finish(answered);
    play.commands();
    play.up(true, 2);
    play.commands();
    play.say(FromBroker::Drop(JobId([1; 16])));
    play.say(FromBroker::Drop(JobId([2; 16])));
    assert_eq!(
        play.events(),
        [
            WorkerEvent::Stop { key: running, why: Stop::LEASE_LOST },
            WorkerEvent::Freed { key: answered, answer_len: 6 }
        ]
    );
}

#[test]
fn an_unbroken_session_says_nothing_twice() {
    let mut play = Play::ready(1);
    let key = play.start(1);
    play.finish(key);
    play.commands();
    play.core.handle(play.now, PeerEvent::Down);
    play.up(false, 1);
    assert_eq!(play.commands(), []);
    play.ack_all();
    assert!(play.core.is_idle());
}

#[test]
fn a_dropped_lease_stops_what_runs_but_not_an_answer_under_way() {
    let mut play = Play::ready(2);
    let running = play.start(1);
    let answered = play.start(2);
    play.finish(answered);
    play.commands();
    play.core.handle(play.now, PeerEvent::LeasesDropped(vec![lease(1), lease(2)]));
    assert_eq!(play.events(), [WorkerEvent::Stop { key: running, why: Stop::LEASE_LOST }]);
}

#[test]
fn limits_are_told_by_the_local_clock() {
    let mut play = Play::ready(2);
    let key = play.grant_with(1, |grant| {
        grant.soft_ms = 100;
        grant.run_ms = 200;
    });
    play.core.started(play.now, key);
    let dying = play.grant_with(2, |grant| grant.time_left_ms = Some(150));
    play.core.started(play.now, dying);
    play.pass_ms(99);
    assert_eq!(play.events(), []);
    play.pass_ms(1);
    assert_eq!(play.events(), [WorkerEvent::Hint { key, hint: Hints::SOFT_LIMIT }]);
    play.pass_ms(50);
    assert_eq!(play.events(), [WorkerEvent::Stop { key: dying, why: Stop::TIME_OVER }]);
    assert_eq!(play.core.next_timeout(), Some(play.now.us + 50_000));
    play.pass_ms(50);
    assert_eq!(play.events(), [WorkerEvent::Stop { key, why: Stop::TIME_OVER }]);
    assert_eq!(play.core.next_timeout(), None);
}

#[test]
fn jobs_nobody_receives_go_back_and_no_more_come_until_somebody_does() {
    let mut play = Play::ready(1);
    let key = play.grant(1);
    play.pass_ms(UNRECEIVED_MS);
    assert_eq!(play.events(), [WorkerEvent::Withdraw(key)]);
    play.core.withdrawn(key);
    assert_eq!(play.commands(), [ToBroker::Unstarted(lease(1))]);
    play.core.receiving(1);
    assert_eq!(play.commands(), [demand(2)]);
}

#[test]
fn draining_gives_back_what_has_not_begun_and_asks_for_nothing() {
    let mut play = Play::ready(3);
    let running = play.start(1);
    let waiting = play.grant(2);
    play.commands();
    play.say(FromBroker::Drain { stops: false });
    assert_eq!(
        play.events(),
        [
            WorkerEvent::Withdraw(waiting),
            WorkerEvent::Hint { key: running, hint: Hints::DRAINING },
            WorkerEvent::Draining
        ]
    );
    play.core.withdrawn(waiting);
    assert_eq!(play.commands(), [ToBroker::Unstarted(lease(2)), demand(2)]);
    assert_eq!(play.events(), [WorkerEvent::Freed { key: waiting, answer_len: 0 }]);
    // One more was under way.
    let command = FromBroker::Grant(Box::new(Grant {
        lease: lease(3),
        id: JobId([3; 16]),
        queue: QueueName::new("q").unwrap(),
        body: Body::default(),
        headers: Headers::default(),
        attempt: 1,
        attempts_max: 1,
        time_left_ms: None,
        run_ms: 0,
        soft_ms: 0,
        partial_bytes: 0,
        wants_progress: false,
        wants_partial: false,
    }));
    play.say(command);
    assert_eq!(play.events(), []);
    assert_eq!(play.commands(), [ToBroker::Unstarted(lease(3)), demand(3)]);
    play.finish(running);
    play.commands();
    play.ack_all();
    assert!(play.core.is_idle());
}

#[test]
fn unacknowledged_answers_hold_back_demand() {
    let mut play = Play::with(|config| config.unacked_bytes = 5);
    play.up(true, 1);
    play.core.register("q", 0, 1);
    play.core.receiving(1);
    play.commands();
    let key = play.start(1);
    play.finish(key);
    assert_eq!(play.commands(), [ToBroker::Start(lease(1)), done(lease(1))]);
    play.ack_all();
    assert_eq!(play.commands(), [demand(2)]);
}

#[test]
fn partial_results_are_numbered_and_their_room_comes_back() {
    let mut play = Play::ready(1);
    let key = play.start(1);
    play.core.partial(key, Body::one("ab"));
    play.core.partial(key, Body::one("cde"));
    let commands = play.commands();
    assert_eq!(commands[1], ToBroker::Partial { lease: lease(1), sequence: 0, body: Body::one("ab") });
    assert_eq!(commands[2], ToBroker::Partial { lease: lease(1), sequence: 1, body: Body::one("cde") });
    play.core.handle(play.now, PeerEvent::Acknowledged(4));
    assert_eq!(play.events(), [WorkerEvent::PartialTaken { key, len: 2 }]);
    // The rest is lost with its session; its room is not.
    play.up(true, 2);
    assert_eq!(play.events(), [WorkerEvent::PartialTaken { key, len: 3 }]);
    play.core.partial(key, Body::one("f"));
    assert_eq!(play.events(), [WorkerEvent::PartialTaken { key, len: 1 }]);
}

#[test]
fn a_worker_without_a_broker_gives_up_when_it_should() {
    let mut play = Play::with(|config| config.broker_gone_ms = 1_000);
    play.pass_ms(999);
    assert_eq!(play.events(), []);
    play.up(true, 1);
    play.pass_ms(10_000);
    play.core.handle(play.now, PeerEvent::Down);
    play.pass_ms(1_000);
    assert_eq!(play.events(), [WorkerEvent::BrokerGone]);
    play.pass_ms(1_000);
    assert_eq!(play.events(), []);
}

#[test]
fn unregistering_gives_back_what_has_not_begun() {
    let mut play = Play::ready(2);
    let key = play.grant(1);
    play.core.unregister("q");
    assert_eq!(play.events(), [WorkerEvent::Withdraw(key)]);
    play.core.withdrawn(key);
    let commands = play.commands();
    assert_eq!(commands[..2], [ToBroker::Unregister { queue: "q".into() }, ToBroker::Unstarted(lease(1))]);
    assert_eq!(play.events(), [WorkerEvent::Freed { key, answer_len: 0 }]);
    let failure = Failure::new(Status::Denied, "not yours");
    play.say(FromBroker::RegisterRefused { queue: "r".into(), failure: failure.clone() });
    assert_eq!(play.events(), [WorkerEvent::RegisterRefused { queue: "r".into(), failure }]);
}

#[test]
fn a_broker_that_stops_is_asked_for_nothing_and_the_next_one_is() {
    let mut play = Play::ready(3);
    let running = play.start(1);
    let waiting = play.grant(2);
    play.commands();
    play.say(FromBroker::Drain { stops: true });
    let hint = WorkerEvent::Hint { key: running, hint: Hints::DRAINING };
    assert_eq!(play.events(), [WorkerEvent::Withdraw(waiting), hint]);
    play.core.withdrawn(waiting);
    assert_eq!(play.commands(), [ToBroker::Unstarted(lease(2)), demand(2)]);
    play.finish(running);
    play.commands();
    play.ack_all();
    play.up(true, 2);
    let register = ToBroker::Register { queue: "q".into(), slots: 0, weight: 1 };
    assert_eq!(play.commands(), [register, demand(3)]);
}

#[test]
fn short_jobs_are_fetched_ahead_and_go_back_when_one_is_long() {
    let mut play = Play::with(|config| config.prefetch = None);
    play.up(true, 1);
    play.core.register("q", 0, 1);
    play.core.receiving(1);
    for n in 1..=16 {
        let key = play.start(n);
        assert!(play.commands().contains(&demand(n.into())) || n > 1);
        play.core.answer(play.now, key, result(), 6, 500);
    }
    // One slot, and 8 ms of work ahead.
    assert_eq!(play.commands().last(), Some(&demand(16 + 1 + 16)));
    play.ack_all();
    play.events();
    play.start(17);
    let ahead = play.grant(18);
    play.commands();
    play.pass_ms(11);
    assert_eq!(play.events(), []);
    play.pass_ms(1);
    assert_eq!(play.events(), [WorkerEvent::Withdraw(ahead)]);
    play.core.withdrawn(ahead);
    assert_eq!(
        play.commands(),
        [ToBroker::Unstarted(lease(18)), demand(18)],
        "nothing more behind the long one"
    );
}

#[test]
fn the_start_of_a_short_job_travels_with_its_answer() {
    let mut play = Play::ready(2);
    let hold_us = play.core.start_hold_us();
    let (short, long) = (play.grant(1), play.grant(2));
    play.core.started(play.now, long);
    play.now.us += 100;
    play.core.started(play.now, short);
    assert_eq!(play.commands(), []);
    play.core.answer(play.now, short, result(), 6, 100);
    assert_eq!(play.commands(), [ToBroker::Start(lease(1)), done(lease(1)), demand(3)]);
    assert_eq!(play.core.next_timeout(), Some(play.now.us - 100 + hold_us));
    play.now.us += hold_us - 100;
    play.core.tick(play.now);
    assert_eq!(play.commands(), [ToBroker::Start(lease(2))]);
    // What a job says while it runs comes after its start.
    let talking = play.grant(3);
    play.core.started(play.now, talking);
    play.core.progress(talking, 0.5, String::new());
    assert_eq!(play.commands()[0], ToBroker::Start(lease(3)));
}

#[test]
fn more_is_asked_for_when_half_of_what_waits_here_is_used_up() {
    let mut play = Play::with(|config| config.prefetch = Some(8));
    play.up(true, 1);
    play.core.register("q", 0, 1);
    play.core.receiving(2);
    assert_eq!(play.commands().last(), Some(&demand(10)));
    let mut keys: VecDeque<JobKey> = (1..=10).map(|n| play.grant(n)).collect();
    let mut answer_one = |play: &mut Play| {
        let key = keys.pop_front().unwrap();
        play.core.started(play.now, key);
        play.core.answer(play.now, key, result(), 6, 1_000);
        play.commands().into_iter().find(|command| matches!(command, ToBroker::Demand { .. }))
    };
    for _ in 0..3 {
        assert_eq!(answer_one(&mut play), None);
    }
    assert_eq!(answer_one(&mut play), Some(demand(14)));
    // Less is said at once.
    play.core.drain();
    let withdrawn = play.commands();
    assert!(withdrawn.contains(&demand(10)), "{withdrawn:?}");
}
