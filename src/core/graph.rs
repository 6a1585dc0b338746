//! How far a run is: which of its steps are done, and which may begin now.
//!
//! It owns nothing but that. Invariants: a step is handed out by [`Graph::take_ready`] once, and only when every step it
//! needs has gone well; after a step that ends the run none is handed out any more. Each word costs as much as the step it
//! is about has dependents.

use crate::model::Pipeline;
use crate::model::{Planted, planted};

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// Not begun.
    Waiting,
    /// Begun, and not ended.
    Going,
    /// Ended so that what needs it may begin.
    Well,
    /// Ended so that the run is over.
    Badly,
}

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Graph {
    stands: Vec<Stand>,
    /// Of what each step needs, how much has not gone well yet.
    missing: Vec<u32>,
    /// Who needs step `i`: `dependents[from[i]..from[i + 1]]`.
    dependents: Vec<u32>,
    from: Vec<u32>,
    ready: Vec<u32>,
    /// Steps that have not gone well.
    left: usize,
    /// The first step that ended the run.
    failed: Option<u32>,
}

impl Graph {
    /// Of a run that has not begun.
    pub fn new(pipeline: &Pipeline) -> Graph {
        let steps = pipeline.steps();
        let mut from = vec![0; steps.len() + 1];
        for need in steps.iter().flat_map(|step| &step.needs) {
            from[need.step as usize + 1] += 1;
        }
        for at in 1..from.len() {
            from[at] += from[at - 1];
        }
        let mut dependents = vec![0; from[steps.len()] as usize];
        let mut places = from.clone();
        for (at, step) in steps.iter().enumerate() {
            for need in &step.needs {
                let place = &mut places[need.step as usize];
                dependents[*place as usize] = at as u32;
                *place += 1;
            }
        }
        let missing: Vec<u32> = steps.iter().map(|step| step.needs.len() as u32).collect();
        let ready = (0..steps.len() as u32).filter(|&at| missing[at as usize] == 0).collect();
        let stands = vec![Stand::Waiting; steps.len()];
        Graph { stands, missing, dependents, from, ready, left: steps.len(), failed: None }
    }

    /// The steps that may begin now, in the order of their declaration. They count as begun.
    pub fn take_ready(&mut self) -> Vec<u32> {
        let mut ready = std::mem::take(&mut self.ready);
        if self.failed.is_some() {
            return Vec::new();
        }
        ready.sort_unstable();
        ready.retain(|&step| {
            let stand = &mut self.stands[step as usize];
            std::mem::replace(stand, if *stand == Stand::Waiting { Stand::Going } else { *stand })
                == Stand::Waiting
        });
        ready
    }

    /// Those of the steps that may begin now which had before a restart, in a run that has ended since; they count as begun.
    pub fn restore_ready(&mut self, had_begun: impl Fn(u32) -> bool) -> Vec<u32> {
        let stands = &mut self.stands;
        let (begun, ready) = std::mem::take(&mut self.ready)
            .into_iter()
            .partition(|&step| had_begun(step) && stands[step as usize] == Stand::Waiting);
        self.ready = ready;
        let begun: Vec<u32> = begun;
        begun.iter().for_each(|&step| stands[step as usize] = Stand::Going);
        begun
    }

    /// A step had begun before a restart.
    pub fn restore(&mut self, step: u32) {
        self.stands[step as usize] = Stand::Going;
    }

    /// A step that was begun has ended: well, or so that the run is over.
    pub fn end(&mut self, step: u32, well: bool) {
        if self.stands[step as usize] != Stand::Going {
            return;
        }
        if !well {
            self.stands[step as usize] = Stand::Badly;
            self.failed.get_or_insert(step);
            return;
        }
        self.stands[step as usize] = Stand::Well;
        self.left -= 1;
        let (from, to) = (self.from[step as usize] as usize, self.from[step as usize + 1] as usize);
        for at in from..to {
            let dependent = self.dependents[at];
            let missing = &mut self.missing[dependent as usize];
            *missing -= 1;
            if *missing == 0 || planted(Planted::StartStepEarly) {
                self.ready.push(dependent);
            }
        }
    }

    /// Where a step stands.
    pub fn stand(&self, step: u32) -> Stand {
        self.stands[step as usize]
    }

    /// Every step, where it stands.
    pub fn stands(&self) -> &[Stand] {
        &self.stands
    }

    /// How many steps have gone well.
    pub fn done(&self) -> usize {
        self.stands.len() - self.left
    }

    /// Every step has gone well.
    pub fn is_done(&self) -> bool {
        self.left == 0
    }

    /// The step that ended the run.
    pub fn failed(&self) -> Option<u32> {
        self.failed
    }

    /// Whether no step needs this one.
    pub fn is_last(&self, step: u32) -> bool {
        self.from[step as usize] == self.from[step as usize + 1]
    }
}
