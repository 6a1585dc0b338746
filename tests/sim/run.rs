//! One run from its beginning to its end.

use std::panic::{AssertUnwindSafe, catch_unwind};

use forebay::core::job_table::JobTable;

use crate::delayed::{DelayedJobs, SimJobs};
use crate::plan::{ACTIVE_US, MS, Plan, RESULT_TTL_MS, SECOND, Side};
use crate::trace::Tally;
use crate::world::{Act, Event, World};

/// Faults are over; by then everything must have come to its end.
const QUIET_WITHIN_US: u64 = 400 * SECOND;
/// More steps than any run takes.
const STEPS_MAX: u64 = 400_000;

/// What is left of a run.
pub(crate) struct Outcome {
    pub(crate) hash: u64,
    pub(crate) story: u64,
    pub(crate) steps: u64,
    pub(crate) tally: Tally,
}

/// Runs it; the rule it breaks, if it breaks one.
pub(crate) fn run(plan: Plan, printed: bool) -> Result<Outcome, String> {
    match plan.side {
        Side::Delayed => run_on::<DelayedJobs<JobTable>>(plan, printed),
        _ => run_on::<JobTable>(plan, printed),
    }
}

fn run_on<J: SimJobs>(plan: Plan, printed: bool) -> Result<Outcome, String> {
    let mut world = World::<J>::new(plan, printed);
    let ran = catch_unwind(AssertUnwindSafe(|| play(&mut world)));
    if let Err(panic) = ran {
        let why = panic.downcast_ref::<String>().cloned();
        let why = why.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        return Err(format!(
            "{}\nbefore it:\n{}",
            why.unwrap_or_else(|| "a panic".into()),
            world.trace.last_lines()
        ));
    }
    world.finish_count();
    Ok(Outcome {
        hash: world.trace.hash(),
        story: world.trace.story(),
        steps: world.steps,
        tally: std::mem::take(&mut world.tally),
    })
}

/// The run: faults, then calm until nobody waits for anything, then until nothing is kept for anybody.
fn play<J: SimJobs>(world: &mut World<J>) {
    // Whoever stood still may have put off what it was to do until then.
    let stalled_us = 3 * world.plan.lease_ms * MS + 10 * SECOND;
    let active_end_us = world.now_us + ACTIVE_US + stalled_us;
    rest(world, active_end_us);
    // Whatever nobody has asked for yet is asked for, and everything once more, now that nothing changes.
    for act in [Act::FetchKept, Act::PeekAll] {
        for peer in 0..world.nodes.len() {
            world.at(world.now_us + SECOND, Event::Act { peer, act: act.clone() });
        }
        rest(world, world.now_us + 2 * SECOND);
    }
    world.told.check(&world.judge.written);
    // Nobody fetches some results; they go when their time is over, and with them everything else.
    for peer in 0..world.nodes.len() {
        // Again and again: some have a window of two, and a result may come once more after it was acknowledged.
        for after_us in 1..20 {
            world.at(world.now_us + 2 * after_us * SECOND, Event::Act { peer, act: Act::AckAll });
        }
    }
    let gone_us = world.now_us + (RESULT_TTL_MS + 40_000) * 1_000;
    world.at(gone_us, Event::Act { peer: 0, act: Act::Status });
    while world.now_us < gone_us + SECOND && world.step() {}
    world.check_empty();
}

/// Goes on until `until_us` and then until nobody waits for anything.
fn rest<J: SimJobs>(world: &mut World<J>, until_us: u64) {
    while world.now_us < until_us || world.is_unsettled().is_some() {
        assert!(world.step(), "broken: nothing happens any more, and {:?}", world.is_unsettled());
        let late_us = world.now_us.saturating_sub(until_us);
        assert!(late_us < QUIET_WITHIN_US, "broken: it does not come to rest: {:?}", world.is_unsettled());
        assert!(world.steps < STEPS_MAX, "broken: it does not stop stepping");
    }
}
