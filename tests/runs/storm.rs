//! What happens in a storm, drawn from its seed, and how it ends.

use std::sync::Arc;

use forebay::core::jobs::{Admin, Answer, End, Event, Jobs};
use forebay::model::{Body, Outcome};
use forebay::wire::command::{Fault, Retry};

use crate::account::World;
use crate::random::Random;

/// Things that happen before everything is put right.
const STEPS: u64 = 400;
const RUNS: usize = 10;
const WORKERS: usize = 4;
/// After so many rounds of calm a run that has not ended never will.
const CALM_ROUNDS: usize = 3_000;

/// How often what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) begun: u64,
    pub(crate) done: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    pub(crate) crashes: u64,
    pub(crate) adopted: u64,
    pub(crate) revoked: u64,
    pub(crate) passed_over: u64,
    pub(crate) added: u64,
    pub(crate) closed: u64,
    pub(crate) fanned: u64,
    pub(crate) collected: u64,
    pub(crate) killed: u64,
    pub(crate) contexts: u64,
}

/// Goes through one seed.
///
/// # Errors
/// The first rule that was broken.
pub(crate) fn storm(seed: u64) -> Result<Tally, String> {
    let mut random = Random::of(seed, 1);
    let mut world = World::new(seed, random.chance(700));
    for _ in 0..STEPS {
        act(&mut world, &mut random)?;
        world.settle()?;
    }
    calm(&mut world)?;
    end(&mut world)?;
    Ok(world.tally)
}

fn act(world: &mut World, random: &mut Random) -> Result<(), String> {
    match random.below(128) {
        0..=7 if world.runs.len() < RUNS => world.submit(random),
        8..=9 => world.submit_again(random),
        10..=15 if world.workers.len() < WORKERS => world.hire(random),
        16..=39 => world.begin_one(random),
        40..=66 => {
            let end = draw_end(random);
            world.end_one(random, end);
        }
        67..=69 => world.lose_worker(random),
        70..=85 => world.sync(),
        86 => world.cancel(random),
        87..=88 => world.forget_a_step(random),
        89..=96 => world.pass_ms(random.pick(&[1, 20, 300, 2_000])),
        97 if random.chance(600) => return world.crash(random),
        98..=108 => world.add(random),
        109 => world.close_one(random),
        110 => world.add_late(random),
        112..=123 => world.collect(random),
        124..=126 => world.set_context(random),
        _ => {}
    }
    Ok(())
}

fn draw_end(random: &mut Random) -> End {
    let fault = |retry| {
        Arc::new(Fault { retry, code: "whim".into(), message: "it felt so".into(), ..Fault::default() })
    };
    match random.below(20) {
        0 => End::Failed(fault(Retry::Never)),
        1..=2 => End::Failed(fault(Retry::AfterMs(10))),
        3 => End::Released { delay_ms: 5 },
        _ => well(random.below(3)),
    }
}

/// A result of so many frames.
fn well(frames: u64) -> End {
    let body = Body((0..frames).map(|i| vec![i as u8; 3].into()).collect());
    End::Done(Arc::new(body.into()))
}

/// Nothing goes wrong any more: every run must end.
fn calm(world: &mut World) -> Result<(), String> {
    let mut random = Random::of(0, 2);
    for _ in 0..CALM_ROUNDS {
        world.sync_all()?;
        if world.runs.values().all(|run| run.end.is_some()) {
            return Ok(());
        }
        if world.workers.is_empty() {
            world.hire(&mut random);
        }
        world.submit_what_is_not_accepted();
        world.close_all();
        world.collect_all();
        world.set_contexts();
        world.begin_one(&mut random);
        world.end_one(&mut random, well(1));
        world.pass_ms(200);
        world.settle()?;
    }
    let open = world.runs.values().filter(|run| run.end.is_none()).count();
    Err(format!("{open} runs have not ended though nothing goes wrong any more"))
}

/// Everybody lets go of what there is, and nothing is left.
fn end(world: &mut World) -> Result<(), String> {
    let held = world.workers.values().map(|worker| worker.held.len()).sum::<usize>();
    if held > 0 {
        return Err(format!("workers hold {held} jobs of runs that have all ended"));
    }
    let ids: Vec<_> = world.runs.keys().copied().collect();
    for id in ids {
        world.forget(id);
    }
    world.sync_all()?;
    let tag = world.tag();
    world.table.admin(world.now, tag, &Admin::Status);
    let mut status = None;
    while let Some(event) = world.table.poll() {
        if let Event::Reply { tag: of, answer: Answer::Json(json) } = event
            && of == tag
        {
            status = Some(json);
        }
    }
    let status = status.ok_or("no answer to status")?;
    for field in ["jobs", "leases", "results_kept", "quarantined", "memory_bytes"] {
        if status[field] != 0 {
            return Err(format!("{field} is {} when every run was forgotten", status[field]));
        }
    }
    Ok(())
}

/// Whether what needs a step with this end may begin.
pub(crate) fn is_well(outcome: Outcome, may_fail: bool) -> bool {
    outcome == Outcome::Done || may_fail
}
