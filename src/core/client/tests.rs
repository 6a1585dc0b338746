//! A client against a scripted broker: each test plays the link by hand.

use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::model::{Body, Level, Outcome, QueueName, ReplyMode, Status, limits};
use crate::wire::command::{FromBroker, GetMode};

const BIG: ClientConfig = ClientConfig { window_jobs: 100, window_bytes: 1 << 20, is_ack_auto: true };

struct Play {
    core: ClientCore,
    now: Now,
    number: u64,
}

/// What is about to be submitted.
fn job(order: &mut Order) -> &mut Submission {
    Arc::make_mut(&mut order.submission)
}

impl Play {
    fn new(config: ClientConfig) -> Self {
        Play { core: ClientCore::new(config), now: Now { us: 1_000_000, wall_ms: 1 }, number: 0 }
    }

    fn up(&mut self, fresh: bool, durable: bool) {
        if fresh {
            self.number = 0;
        }
        let terms = Terms {
            broker: [1; 16],
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
            durable,
            version: String::new(),
            features: Vec::new(),
        };
        self.core.handle(self.now, PeerEvent::Up { fresh, terms: Box::new(terms) });
    }

    fn say(&mut self, command: FromBroker) {
        self.core.handle(self.now, PeerEvent::Command(command));
    }

    /// What the core tells the link, numbered.
    fn commands(&mut self) -> Vec<ToBroker> {
        let mut commands = Vec::new();
        while let Some(command) = self.core.poll_command(self.now) {
            self.number += 1;
            self.core.sent(self.number);
            commands.push(command);
        }
        commands
    }

    fn ack_all(&mut self) {
        self.core.handle(self.now, PeerEvent::Acknowledged(self.number));
    }

    fn events(&mut self) -> Vec<ClientEvent> {
        std::iter::from_fn(|| self.core.poll_event()).collect()
    }

    fn pass_ms(&mut self, ms: u64) {
        self.now.us += ms * 1_000;
        self.core.tick(self.now);
    }

    fn submit(&mut self, n: u8, change: impl FnOnce(&mut Order)) {
        let submission =
            Submission::new(id(n), QueueName::new("q").unwrap(), Body::one(Bytes::from_static(b"four")));
        let mut order = Order {
            submission: Arc::new(submission),
            tag: n.into(),
            want: Want::NONE,
            is_volatile: false,
            charge: 4,
            confirm: None,
            wait: None,
        };
        change(&mut order);
        self.core.submit(self.now, order);
    }
}

fn id(n: u8) -> JobId {
    JobId([n; 16])
}

fn done(n: u8) -> FromBroker {
    let mut verdict = session::local_verdict(Outcome::Done, "", "");
    Arc::make_mut(&mut verdict).body = Body::one(vec![n; 8]);
    FromBroker::Result { id: id(n), verdict }
}

fn submitted(commands: &[ToBroker]) -> Vec<(JobId, bool)> {
    commands
        .iter()
        .filter_map(|command| match command {
            ToBroker::Submit(submission) => Some((submission.id, submission.resent)),
            _ => None,
        })
        .collect()
}

fn verdict_of(event: &ClientEvent) -> (Ticket, Outcome) {
    match event {
        ClientEvent::Ended { ticket, result: Ok(verdict), .. } => (*ticket, verdict.outcome),
        other => panic!("{other:?} is no end"),
    }
}

#[test]
fn nothing_is_said_before_the_broker_answers_and_no_more_than_its_credit_after() {
    let mut play = Play::new(BIG);
    for n in 1..=5 {
        play.submit(n, |_| {});
    }
    assert_eq!(play.commands(), []);
    play.up(true, false);
    let commands = play.commands();
    assert_eq!(submitted(&commands), [(id(1), false), (id(2), false), (id(3), false)]);
    assert!(commands.contains(&ToBroker::ResultCredit(100)), "{commands:?}");
    play.say(FromBroker::SubmitCredit(4));
    assert_eq!(submitted(&play.commands()), [(id(4), false)]);
}

#[test]
fn a_call_hears_acceptance_and_end_once_and_the_broker_may_forget() {
    let mut play = Play::new(BIG);
    play.up(true, false);
    play.submit(1, |order| {
        order.confirm = Some((7, 0));
        order.wait = Some(8);
    });
    play.commands();
    // The result overtakes the acknowledgement: it accepts too.
    play.say(done(1));
    play.ack_all();
    let events = play.events();
    assert_eq!(events[0], ClientEvent::Confirmed { ticket: 7, index: 0, result: Ok(()) });
    assert_eq!(verdict_of(&events[1]), (8, Outcome::Done));
    assert_eq!(events.len(), 2);
    assert_eq!(play.core.take_released(), (1, 4));
    assert_eq!(play.core.jobs(), 0);
    play.core.handed(play.now, id(1));
    // Alone, the acknowledgement waits a little for company.
    assert_eq!(play.commands(), []);
    assert!(play.core.next_timeout().is_some());
    play.pass_ms(FORGET_DELAY_MS);
    assert_eq!(play.commands(), [ToBroker::Forget(vec![id(1)])]);
    play.say(done(1));
    assert_eq!(play.events(), []);
}

#[test]
fn what_could_not_be_handed_over_waits_to_be_asked_about() {
    let mut play = Play::new(BIG);
    play.up(true, false);
    play.submit(1, |order| order.wait = Some(8));
    play.commands();
    play.say(done(1));
    let Some(ClientEvent::Ended { result: Ok(verdict), .. }) = play.events().pop() else { panic!("no end") };
    play.core.untold(play.now, id(1), verdict);
    play.core.wait(play.now, 9, id(1));
    assert_eq!(verdict_of(&play.events()[0]), (9, Outcome::Done));
}

#[test]
fn what_the_broker_would_not_take_is_refused_here() {
    let mut play = Play::new(BIG);
    play.submit(1, |order| {
        job(order).body = Body::one(vec![0; (1 << 20) + 1]);
        order.confirm = Some((3, 0));
    });
    play.submit(2, |order| job(order).body = Body::one(vec![0; 1 << 20]));
    play.up(true, false);
    assert_eq!(submitted(&play.commands()), [(id(2), false)]);
    assert!(
        matches!(&play.events()[..], [ClientEvent::Confirmed { result: Err(why), .. }] if why.status == Status::TooLarge)
    );
}

#[test]
fn forgetting_travels_with_the_next_submission() {
    let mut play = Play::new(BIG);
    play.up(true, false);
    play.submit(1, |order| order.wait = Some(8));
    play.commands();
    play.say(done(1));
    play.core.handed(play.now, id(1));
    play.submit(2, |_| {});
    let commands = play.commands();
    assert_eq!(submitted(&commands), [(id(2), false)]);
    assert_eq!(commands.last(), Some(&ToBroker::Forget(vec![id(1)])));
}

#[test]
fn volatile_jobs_are_said_again_to_a_new_broker_and_durable_ones_asked_about() {
    let mut play = Play::new(BIG);
    play.up(true, true);
    play.submit(1, |order| order.is_volatile = true);
    play.submit(2, |order| order.wait = Some(5));
    play.submit(3, |order| job(order).options.level = Some(Level::Durable));
    play.commands();
    play.ack_all();
    assert_eq!(play.core.take_released(), (2, 8), "the durable ones are the broker's");
    play.submit(4, |_| {});
    play.core.handle(play.now, PeerEvent::Down);
    assert_eq!(play.commands(), []);
    play.up(true, true);
    let commands = play.commands();
    assert_eq!(submitted(&commands), [(id(1), true), (id(4), false)]);
    assert!(commands.contains(&ToBroker::Get { id: id(2), mode: GetMode::Watch }));
    assert!(
        !commands.contains(&ToBroker::Get { id: id(3), mode: GetMode::Watch }),
        "nobody waits for it yet"
    );
    play.core.wait(play.now, 6, id(3));
    assert_eq!(play.commands(), [ToBroker::Get { id: id(3), mode: GetMode::Watch }]);
    play.say(done(2));
    assert_eq!(verdict_of(&play.events()[0]).0, 5);
}

#[test]
fn an_unbroken_session_says_nothing_twice() {
    let mut play = Play::new(BIG);
    play.up(true, false);
    play.submit(1, |_| {});
    play.commands();
    play.core.handle(play.now, PeerEvent::Down);
    play.up(false, false);
    assert_eq!(play.commands(), [], "the link re-sends, not the core");
    play.ack_all();
    assert_eq!(play.core.counters().accepted, 1);
}

#[test]
fn refusals_reach_whoever_cares() {
    let busy = Failure::busy("full", 50);
    let mut play = Play::new(BIG);
    play.up(true, false);
    play.submit(1, |order| order.confirm = Some((7, 3)));
    play.submit(2, |order| order.want = Want::RESULT);
    play.submit(3, |_| {});
    play.commands();
    for n in 1..=3 {
        play.say(FromBroker::Refused { id: id(n), failure: busy.clone() });
    }
    let events = play.events();
    assert_eq!(events[0], ClientEvent::Confirmed { ticket: 7, index: 3, result: Err(busy.clone()) });
    let news = News::Refused(busy.clone());
    assert_eq!(events[1], ClientEvent::Deliver(Delivery { id: id(2), tag: 2, news }));
    assert_eq!(events.len(), 2);
    play.core.wait(play.now, 9, id(3));
    assert_eq!(play.events(), [ClientEvent::Ended { ticket: 9, id: id(3), result: Err(busy.clone()) }]);
    play.core.flush(10);
    assert_eq!(play.events(), [ClientEvent::Answered { ticket: 10, result: Err(busy) }]);
    assert_eq!(play.core.take_released(), (3, 12));
}

#[test]
fn a_full_broker_after_a_restart_is_asked_again() {
    let mut play = Play::new(BIG);
    play.up(true, false);
    play.submit(1, |order| order.wait = Some(5));
    play.commands();
    play.ack_all();
    play.up(true, false);
    assert_eq!(submitted(&play.commands()), [(id(1), true)]);
    play.say(FromBroker::Refused { id: id(1), failure: Failure::busy("full", 50) });
    play.ack_all();
    assert_eq!(submitted(&play.commands()), []);
    play.pass_ms(50);
    assert_eq!(submitted(&play.commands()), [(id(1), true)]);
    play.say(done(1));
    assert_eq!(verdict_of(&play.events()[0]), (5, Outcome::Done));
}

#[test]
fn flush_waits_for_what_came_before_it_only() {
    let mut play = Play::new(BIG);
    play.up(true, false);
    play.submit(1, |_| {});
    play.submit(2, |_| {});
    play.core.flush(9);
    play.commands();
    play.submit(3, |_| {});
    play.core.handle(play.now, PeerEvent::Acknowledged(1));
    assert_eq!(play.events(), []);
    play.core.handle(play.now, PeerEvent::Acknowledged(2));
    assert_eq!(play.events(), [ClientEvent::Answered { ticket: 9, result: Ok(News::Accepted) }]);
}

#[test]
fn a_deadline_counts_from_the_call_whether_or_not_a_broker_is_there() {
    let mut play = Play::new(BIG);
    play.submit(1, |order| {
        job(order).options.deadline_ms = Some(1_000);
        order.wait = Some(4);
    });
    play.submit(2, |order| job(order).options.deadline_ms = Some(5_000));
    play.pass_ms(600);
    assert_eq!(play.events(), []);
    play.pass_ms(600);
    assert_eq!(verdict_of(&play.events()[0]), (4, Outcome::Expired));
    play.up(true, false);
    let commands = play.commands();
    let ToBroker::Submit(second) = &commands[0] else { panic!("{commands:?}") };
    assert_eq!((second.id, second.options.deadline_ms), (id(2), Some(3_800)));
}

#[test]
fn a_job_no_broker_heard_of_is_cancelled_here() {
    let mut play = Play::new(BIG);
    play.submit(1, |order| order.wait = Some(4));
    play.core.cancel(5, id(1), "changed my mind");
    let events = play.events();
    assert_eq!(verdict_of(&events[0]), (4, Outcome::Cancelled));
    assert_eq!(events[1], ClientEvent::Answered { ticket: 5, result: Ok(News::Accepted) });
    play.up(true, false);
    assert_eq!(submitted(&play.commands()), []);
}

#[test]
fn cancelling_is_repeated_until_answered() {
    let mut play = Play::new(BIG);
    play.up(true, false);
    play.core.cancel(5, id(1), "why");
    play.core.cancel(6, id(1), "why");
    let cancel = ToBroker::Cancel { id: id(1), reason: "why".into(), own: false };
    assert!(play.commands().contains(&cancel));
    play.up(true, false);
    assert!(play.commands().contains(&cancel));
    play.say(FromBroker::CancelReply { id: id(1), status: Status::State, message: "it is DONE".into() });
    let failed = Failure::new(Status::State, "it is DONE");
    assert_eq!(
        play.events(),
        [5, 6].map(|ticket| ClientEvent::Answered { ticket, result: Err(failed.clone()) })
    );
}

#[test]
fn results_nobody_asked_for_are_kept_within_the_window() {
    let mut play = Play::new(ClientConfig { window_jobs: 2, ..BIG });
    play.up(true, false);
    for n in 1..=3 {
        play.submit(n, |_| {});
    }
    play.commands();
    for n in 1..=3 {
        play.say(done(n));
    }
    assert_eq!(play.core.counters().evicted, 1);
    play.core.wait(play.now, 4, id(3));
    assert_eq!(verdict_of(&play.events()[0]), (4, Outcome::Done));
    // The first one is still with the broker.
    play.core.wait(play.now, 5, id(1));
    assert!(play.commands().contains(&ToBroker::Get { id: id(1), mode: GetMode::Watch }));
    play.say(done(1));
    assert_eq!(verdict_of(&play.events()[0]), (5, Outcome::Done));
}

#[test]
fn untaken_results_hold_back_credit() {
    let mut play = Play::new(ClientConfig { window_jobs: 4, ..BIG });
    play.up(true, false);
    play.say(FromBroker::SubmitCredit(100));
    for n in 1..=4 {
        play.submit(n, |order| order.want = Want::RESULT);
    }
    assert!(play.commands().contains(&ToBroker::ResultCredit(4)));
    for n in 1..=4 {
        play.say(done(n));
    }
    assert_eq!(play.events().len(), 4);
    assert_eq!(play.commands(), []);
    play.core.taken(play.now, id(1), 8);
    play.core.taken(play.now, id(2), 8);
    let commands = play.commands();
    assert_eq!(commands, [ToBroker::ResultCredit(6), ToBroker::Forget(vec![id(1), id(2)])]);
}

#[test]
fn a_job_that_wants_its_result_comes_by_next_only() {
    let mut play = Play::new(BIG);
    play.up(true, false);
    play.submit(1, |order| order.want = Want::ALL);
    play.core.wait(play.now, 4, id(1));
    assert!(
        matches!(&play.events()[..], [ClientEvent::Ended { result: Err(why), .. }] if why.status == Status::State)
    );
    play.commands();
    play.ack_all();
    play.say(FromBroker::ProgressOf { id: id(1), attempt: 1, fraction: 0.5, note: "half".into() });
    play.say(FromBroker::PartialOf { id: id(1), attempt: 1, sequence: 0, body: Body::one("x") });
    play.say(done(1));
    play.say(FromBroker::ProgressOf { id: id(1), attempt: 1, fraction: 0.6, note: "late".into() });
    let kinds: Vec<Kind> = play
        .events()
        .iter()
        .map(|event| match event {
            ClientEvent::Deliver(delivery) => delivery.news.kind(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, [Kind::Accepted, Kind::Progress, Kind::Partial, Kind::Result]);
}

#[test]
fn peeking_answers_with_the_state_or_the_end() {
    let mut play = Play::new(BIG);
    play.up(true, false);
    play.core.peek(1, id(9));
    assert!(play.commands().contains(&ToBroker::Get { id: id(9), mode: GetMode::Peek }));
    play.say(FromBroker::State {
        id: id(9),
        status: Status::Ok,
        state: Outcome::Running,
        attempt: 2,
        fraction: 0.25,
    });
    let news = News::State { state: Outcome::Running, attempt: 2, fraction: 0.25 };
    assert_eq!(play.events(), [ClientEvent::Answered { ticket: 1, result: Ok(news) }]);
    play.core.peek(2, id(9));
    play.say(FromBroker::State {
        id: id(9),
        status: Status::Ok,
        state: Outcome::Done,
        attempt: 2,
        fraction: 1.0,
    });
    assert_eq!(play.events(), []);
    play.say(done(9));
    assert!(matches!(&play.events()[..], [ClientEvent::Answered { ticket: 2, result: Ok(News::Ended(_)) }]));
    play.core.wait(play.now, 3, id(8));
    let unknown = FromBroker::State {
        id: id(8),
        status: Status::NotFound,
        state: Outcome::Waiting,
        attempt: 0,
        fraction: 0.0,
    };
    play.say(unknown);
    assert!(
        matches!(&play.events()[..], [ClientEvent::Ended { ticket: 3, result: Err(why), .. }] if why.status == Status::NotFound)
    );
}

#[test]
fn a_refused_client_tells_everybody_and_stays_refused() {
    let mut play = Play::new(BIG);
    play.submit(1, |order| order.wait = Some(1));
    play.core.admin(2, "status", &[]);
    let failure = Failure::new(Status::Denied, "unknown key");
    play.core.handle(play.now, PeerEvent::Refused(failure.clone()));
    assert_eq!(play.events().len(), 2);
    play.core.wait(play.now, 3, id(7));
    assert_eq!(play.events(), [ClientEvent::Ended { ticket: 3, id: id(7), result: Err(failure) }]);
}

#[test]
fn an_abandoned_wait_is_not_told() {
    let mut play = Play::new(BIG);
    play.up(true, false);
    play.submit(1, |order| order.wait = Some(1));
    play.commands();
    play.core.abandon(1, Some(id(1)));
    play.say(done(1));
    assert_eq!(play.events(), []);
    play.core.wait(play.now, 2, id(1));
    assert_eq!(verdict_of(&play.events()[0]), (2, Outcome::Done));
}

/// A job whose result is not pushed was waited for and its end never came: the client thought that a job it still had
/// the payload of would be told of unasked. Found by simulation.
#[test]
fn the_end_of_a_job_whose_result_is_not_pushed_is_asked_for() {
    let watch = ToBroker::Get { id: id(1), mode: GetMode::Watch };
    for waits_before in [true, false] {
        let mut play = Play::new(BIG);
        play.up(true, false);
        play.submit(1, |order| {
            job(order).reply = ReplyMode::Keep;
            job(order).options.level = Some(Level::Volatile);
        });
        play.commands();
        if waits_before {
            play.core.wait(play.now, 7, id(1));
            assert!(!play.commands().contains(&watch), "the broker may not know the job yet");
        }
        play.ack_all();
        if !waits_before {
            play.core.wait(play.now, 7, id(1));
        }
        assert!(play.commands().contains(&watch), "waits before {waits_before}");
        play.say(done(1));
        assert_eq!(verdict_of(&play.events()[0]), (7, Outcome::Done));
    }
}

/// An id was waited for before it was submitted here, as after a restart of the application: the submission was taken
/// for a repetition, was never said, and "not found", meant for the question, refused it. Found by simulation.
#[test]
fn a_job_that_was_only_asked_about_is_submitted_all_the_same() {
    let mut play = Play::new(BIG);
    play.up(true, false);
    play.core.wait(play.now, 1, id(1));
    play.submit(1, |order| order.want = Want::RESULT);
    assert!(
        play.commands().iter().any(|command| matches!(command, ToBroker::Submit(job) if job.id == id(1)))
    );
    play.say(FromBroker::State {
        id: id(1),
        status: Status::NotFound,
        state: Outcome::Waiting,
        attempt: 0,
        fraction: 0.0,
    });
    assert_eq!(play.events(), []);
    play.say(done(1));
    let events = play.events();
    let [waited, ClientEvent::Deliver(delivery)] = &events[..] else {
        panic!("it comes to who waited, and by next with its tag: {events:?}")
    };
    assert_eq!(verdict_of(waited), (1, Outcome::Done));
    assert_eq!((delivery.id, delivery.tag), (id(1), 1));
}

/// A submit that was not confirmed in time says: submit the same ids again. The client that did so was told CONFLICT by its own
/// library, which compared the sum of the content that comes with a named id to none. Found by killing processes.
#[test]
fn an_unconfirmed_job_may_be_submitted_again_under_the_librarys_id() {
    let mut play = Play::new(BIG);
    play.up(true, true);
    play.submit(1, |order| order.confirm = Some((1, 0)));
    assert_eq!(submitted(&play.commands()), [(id(1), false)]);
    play.core.abandon(1, Some(id(1)));
    play.submit(1, |order| {
        job(order).content = Some(vec![1; 32]);
        order.confirm = Some((2, 0));
    });
    assert_eq!(play.commands(), [], "it is on its way");
    play.ack_all();
    assert_eq!(play.events(), [ClientEvent::Confirmed { ticket: 2, index: 0, result: Ok(()) }]);
}

/// A cancellation was answered "for ever", the broker restarted before it had pushed the end, and the client submitted
/// the job to the next broker, where it ran. Found by simulation.
#[test]
fn a_cancelled_job_is_not_said_to_the_next_broker() {
    let mut play = Play::new(BIG);
    play.up(true, false);
    play.submit(1, |order| order.wait = Some(1));
    play.commands();
    play.ack_all();
    play.core.cancel(2, id(1), "no longer wanted");
    play.commands();
    play.say(FromBroker::CancelReply { id: id(1), status: Status::Ok, message: String::new() });
    assert_eq!(play.events(), [ClientEvent::Answered { ticket: 2, result: Ok(News::Accepted) }]);
    play.core.handle(play.now, PeerEvent::Down);
    play.up(true, false);
    assert!(!play.commands().iter().any(|command| matches!(command, ToBroker::Submit(_))));
    assert_eq!(verdict_of(&play.events()[0]), (1, Outcome::Cancelled));
}

/// A cancellation was on its way when the job's end came and the broker restarted: the next broker, which knew nothing,
/// said "cancelled for ever" of a job that was done. Found by simulation.
#[test]
fn a_cancellation_is_not_said_to_the_next_broker_once_the_job_has_ended() {
    let mut play = Play::new(BIG);
    play.up(true, false);
    play.submit(1, |order| order.want = Want::RESULT);
    play.commands();
    play.core.cancel(2, id(1), "no longer wanted");
    play.commands();
    play.say(done(1));
    play.events();
    play.core.handle(play.now, PeerEvent::Down);
    play.up(true, false);
    assert!(!play.commands().iter().any(|command| matches!(command, ToBroker::Cancel { .. })));
    let events = play.events();
    assert!(
        matches!(&events[..], [ClientEvent::Answered { ticket: 2, result: Err(why) }] if why.status == Status::State)
    );
}

/// A job's end by its cancellation was told, its id submitted again, and the broker restarted before it had answered the
/// cancellation: that was answered "for ever", and the job ran. Found by simulation.
#[test]
fn an_id_cancelled_for_ever_is_not_said_to_the_next_broker_though_it_was_submitted_again() {
    let mut play = Play::new(BIG);
    play.up(true, false);
    play.submit(1, |order| order.wait = Some(1));
    play.commands();
    play.core.cancel(2, id(1), "no longer wanted");
    play.commands();
    play.say(FromBroker::Result {
        id: id(1),
        verdict: session::local_verdict(Outcome::Cancelled, "cancelled", "no longer wanted"),
    });
    assert_eq!(verdict_of(&play.events()[0]), (1, Outcome::Cancelled));
    play.submit(1, |order| (order.wait, order.confirm) = (Some(3), Some((4, 0))));
    play.commands();
    play.core.handle(play.now, PeerEvent::Down);
    play.up(true, false);
    assert!(submitted(&play.commands()).is_empty());
    let events = play.events();
    assert_eq!(events[0], ClientEvent::Confirmed { ticket: 4, index: 0, result: Ok(()) });
    assert_eq!(verdict_of(&events[1]), (3, Outcome::Cancelled));
    assert_eq!(events[2..], [ClientEvent::Answered { ticket: 2, result: Ok(News::Accepted) }]);
}

/// Found by simulation: a job was refused, and submitted again under its id; the acknowledgement of the first SUBMIT,
/// held back by a slower command before it, then passed for the acceptance of the second, which was refused as well.
#[test]
fn an_acknowledgement_accepts_the_submission_it_is_for_and_no_later_one_of_that_id() {
    let mut play = Play::new(BIG);
    play.up(true, true);
    let busy = || FromBroker::Refused { id: id(1), failure: Failure::busy("full", 100) };
    play.submit(1, |order| order.confirm = Some((1, 0)));
    play.commands();
    let first = play.number;
    play.say(busy());
    play.submit(1, |order| order.confirm = Some((2, 0)));
    play.commands();
    play.events();
    play.core.handle(play.now, PeerEvent::Acknowledged(first));
    assert_eq!(play.events(), []);
    play.say(busy());
    assert!(matches!(&play.events()[..], [ClientEvent::Confirmed { ticket: 2, result: Err(_), .. }]));
}

/// Found by simulation: the deadline passed while the broker was away, and the client said EXPIRED of a job that the
/// broker had done before it went.
#[test]
fn a_job_that_a_broker_may_have_does_not_expire_here() {
    for was_sent in [true, false] {
        let mut play = Play::new(BIG);
        if was_sent {
            play.up(true, true);
        }
        play.submit(1, |order| {
            job(order).options.deadline_ms = Some(50);
            order.wait = Some(8);
        });
        play.commands();
        play.core.handle(play.now, PeerEvent::Down);
        play.pass_ms(2_000);
        play.up(true, true);
        let commands = play.commands();
        if was_sent {
            assert_eq!(submitted(&commands), [(id(1), true)]);
            assert_eq!(play.events(), []);
        } else {
            assert_eq!(submitted(&commands), []);
            assert_eq!(verdict_of(&play.events()[0]), (8, Outcome::Expired));
        }
    }
}

/// Found by simulation: who wanted only the progress of a durable job never heard of its end after the broker had
/// started again, and knew the job for ever.
#[test]
fn a_durable_job_whose_progress_is_wanted_is_asked_about_after_a_restart() {
    let mut play = Play::new(BIG);
    play.up(true, true);
    play.submit(1, |order| {
        job(order).reply = ReplyMode::None;
        order.want = Want::PROGRESS;
    });
    play.commands();
    play.ack_all();
    play.commands();
    play.core.handle(play.now, PeerEvent::Down);
    play.up(true, true);
    assert!(play.commands().contains(&ToBroker::Get { id: id(1), mode: GetMode::Watch }));
}
