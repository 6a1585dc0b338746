//! A pipeline: a named directed graph of steps, each of them a job that waits for others.
//!
//! Invariant: a [`Pipeline`] is sound. It has a step, every name is there once, every step it names is there, and no step
//! waits for itself, however indirectly; so a run of it can always begin, and always end.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::model::index::Index;
use crate::model::job::{Body, Headers, JobOptions};
use crate::model::limits::{RUN_NEEDS_MAX, RUN_STEPS_MAX, STEP_NAME_LEN_MAX};
use crate::model::queue_name::QueueName;
use crate::model::status::{Failure, Status};

/// How many jobs a step is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StepKind {
    /// One.
    #[default]
    Job,
    /// An open stage: those that are added while the run goes on, until it is closed.
    Open,
    /// One for each frame of the results it takes.
    Each,
}

/// One step: a job, or a stage of jobs, that begins when the steps it needs are done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its name, once in the pipeline.
    pub name: String,
    /// Whether it is one job or a stage of them.
    pub kind: StepKind,
    /// Where its job waits, and those of an open stage that name no queue of their own.
    pub queue: QueueName,
    /// Its own payload; the results it takes come behind.
    pub body: Body,
    /// What travels beside it.
    pub headers: Headers,
    /// The rules of its job, as far as it says.
    pub options: JobOptions,
    /// What it needs, in the order in which its job is given their results.
    pub needs: Vec<Need>,
    /// Whether the run goes on when it fails.
    pub may_fail: bool,
    /// Of a stage: a collector takes its results one by one, and the run is not over before it has them all.
    pub is_collected: bool,
}

/// One step needs another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Which, by its place in the pipeline.
    pub step: u32,
    /// Its result is given to the step that needs it.
    pub is_input: bool,
}

/// A sound graph of steps. See the module's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    name: QueueName,
    steps: Vec<Step>,
    is_held: bool,
}

impl Pipeline {
    /// The pipeline of these steps, if they are sound.
    ///
    /// # Errors
    /// `ERR_ARGUMENT`, `ERR_NOT_FOUND` for a step that is not there, `ERR_CYCLE`, `ERR_TOO_LARGE`; each names the step.
    pub fn new(name: QueueName, steps: Vec<Step>) -> Result<Pipeline, Failure> {
        let pipeline = Pipeline { name, steps, is_held: false };
        pipeline.check_steps()?;
        pipeline.check_order()?;
        Ok(pipeline)
    }

    /// The same, of which no step begins before its run has a context; or of which they do.
    pub fn held(self, is_held: bool) -> Pipeline {
        Pipeline { is_held, ..self }
    }

    /// Whether a run of it waits for its context.
    pub fn is_held(&self) -> bool {
        self.is_held
    }

    /// Its name.
    pub fn name(&self) -> &QueueName {
        &self.name
    }

    /// Its steps, in the order in which they were declared.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Lets go of what only the jobs of its steps need.
    pub fn drop_payloads(&mut self) {
        for step in &mut self.steps {
            (step.body, step.headers) = Default::default();
        }
    }

    fn check_steps(&self) -> Result<(), Failure> {
        if self.steps.is_empty() {
            let message = format!("pipeline \"{}\" has no step; one at least is right", self.name);
            return Err(Failure::new(Status::Argument, message));
        }
        if self.steps.len() > RUN_STEPS_MAX {
            let message = format!("a pipeline of {} steps; it may have {RUN_STEPS_MAX}", self.steps.len());
            return Err(Failure::new(Status::TooLarge, message));
        }
        let needs: usize = self.steps.iter().map(|step| step.needs.len()).sum();
        if needs > RUN_NEEDS_MAX {
            let message = format!("a pipeline whose steps need {needs} others; {RUN_NEEDS_MAX} are allowed");
            return Err(Failure::new(Status::TooLarge, message));
        }
        let mut names = BTreeSet::new();
        for step in &self.steps {
            check_name(&step.name)?;
            if !names.insert(step.name.as_str()) {
                return Err(twice(&step.name));
            }
            self.check_needs(step)?;
            check_kind(step)?;
        }
        Ok(())
    }

    fn check_needs(&self, step: &Step) -> Result<(), Failure> {
        let mut needed = BTreeSet::new();
        for need in &step.needs {
            let Some(other) = self.steps.get(need.step as usize) else {
                let message = format!(
                    "step \"{}\" needs step number {}, and the pipeline has {}",
                    step.name,
                    need.step,
                    self.steps.len()
                );
                return Err(Failure::new(Status::NotFound, message));
            };
            if other.name == step.name {
                return Err(needs_itself(&step.name));
            }
            if !needed.insert(need.step) {
                let message = format!("step \"{}\" needs \"{}\" twice; once is right", step.name, other.name);
                return Err(Failure::new(Status::Argument, message));
            }
        }
        Ok(())
    }

    /// Takes away what can be done, step after step; what is left then waits for itself.
    fn check_order(&self) -> Result<(), Failure> {
        let mut missing: Vec<usize> = self.steps.iter().map(|step| step.needs.len()).collect();
        let mut dependents: Vec<Vec<u32>> = vec![Vec::new(); self.steps.len()];
        for (at, step) in self.steps.iter().enumerate() {
            for need in &step.needs {
                dependents[need.step as usize].push(at as u32);
            }
        }
        let mut ready: Vec<usize> = (0..missing.len()).filter(|&at| missing[at] == 0).collect();
        let has_starter = !ready.is_empty();
        while let Some(done) = ready.pop() {
            for &at in &dependents[done] {
                let left = &mut missing[at as usize];
                *left -= 1;
                if *left == 0 {
                    ready.push(at as usize);
                }
            }
        }
        let Some(stuck) = missing.iter().position(|&left| left > 0) else { return Ok(()) };
        let cycle = self.cycle_from(stuck, &missing);
        let message = if has_starter {
            format!("the steps wait for each other in a circle: {cycle}")
        } else {
            format!("no step can begin, since every one needs another; one circle is {cycle}")
        };
        Err(Failure::new(Status::Cycle, message))
    }

    /// A circle that step `from` runs into when it follows what it waits for, in words.
    fn cycle_from(&self, from: usize, missing: &[usize]) -> String {
        const NAMED: usize = 8;
        let next = |at: usize| {
            let needs = self.steps[at].needs.iter().map(|need| need.step as usize);
            needs.into_iter().find(|&need| missing[need] > 0).unwrap_or(at)
        };
        let mut at = from;
        for _ in 0..self.steps.len() {
            at = next(at);
        }
        let first = at;
        let mut text = format!("\"{}\"", self.steps[first].name);
        for named in 1.. {
            at = next(at);
            if named == NAMED && at != first {
                text.push_str(" needs ...");
                break;
            }
            let _ = write!(text, " needs \"{}\"", self.steps[at].name);
            if at == first {
                break;
            }
        }
        text
    }
}

/// Builds a pipeline step by step.
#[derive(Clone, Debug)]
pub struct Draft {
    name: QueueName,
    steps: Vec<Step>,
    is_held: bool,
    places: Index<String, u32>,
}

impl Draft {
    /// A pipeline without steps. `name` is what people know its runs by.
    ///
    /// # Errors
    /// `ERR_ARGUMENT`: the name is none a queue could have.
    pub fn new(name: &str) -> Result<Draft, Failure> {
        Ok(Draft { name: QueueName::new(name)?, steps: Vec::new(), is_held: false, places: Index::default() })
    }

    /// Adds a step. What it needs is said by [`Draft::after`]; what `step` itself says of that is not looked at.
    ///
    /// # Errors
    /// `ERR_ARGUMENT`: the name cannot be, or is taken. `ERR_TOO_LARGE`.
    pub fn step(&mut self, step: Step) -> Result<(), Failure> {
        check_name(&step.name)?;
        if self.places.contains(&step.name) {
            return Err(twice(&step.name));
        }
        if self.steps.len() >= RUN_STEPS_MAX {
            let message = format!(
                "step \"{}\" would be one more than the {RUN_STEPS_MAX} a pipeline may have",
                step.name
            );
            return Err(Failure::new(Status::TooLarge, message));
        }
        self.places.insert(step.name.clone(), self.steps.len() as u32);
        self.steps.push(Step { needs: Vec::new(), ..step });
        Ok(())
    }

    /// Has `step` begin only after `needs`; with `is_input` it is given the result of `needs`, behind those said before.
    ///
    /// # Errors
    /// `ERR_NOT_FOUND` for a step that was not added, `ERR_CYCLE` for a step that needs itself, `ERR_ARGUMENT` when that was
    /// said before.
    pub fn after(&mut self, step: &str, needs: &str, is_input: bool) -> Result<(), Failure> {
        let (at, need) = (self.place(step)?, self.place(needs)?);
        if at == need {
            return Err(needs_itself(step));
        }
        let known = &mut self.steps[at as usize].needs;
        if known.iter().any(|known| known.step == need) {
            let message = format!("step \"{step}\" needs \"{needs}\" twice; once is right");
            return Err(Failure::new(Status::Argument, message));
        }
        known.push(Need { step: need, is_input });
        Ok(())
    }

    /// Has runs wait for their context before any step begins.
    pub fn hold(&mut self) {
        self.is_held = true;
    }

    /// The pipeline as it stands, if it is sound.
    ///
    /// # Errors
    /// As for [`Pipeline::new`].
    pub fn build(&self) -> Result<Pipeline, Failure> {
        Ok(Pipeline::new(self.name.clone(), self.steps.clone())?.held(self.is_held))
    }

    /// The graph in the language of Graphviz, whether or not it is sound.
    pub fn dot(&self) -> String {
        let name_of = |need: &Need| self.steps[need.step as usize].name.clone();
        let drawn = |step: &Step| Drawn {
            name: step.name.clone(),
            label: format!("{}\n{}", step.name, step.queue),
            fill: "white",
            needs: step.needs.iter().map(|need| (name_of(need), need.is_input)).collect(),
        };
        dot(self.name.as_str(), &self.steps.iter().map(drawn).collect::<Vec<_>>())
    }

    fn place(&self, name: &str) -> Result<u32, Failure> {
        self.places.get(name).copied().ok_or_else(|| {
            let message = format!("pipeline \"{}\" has no step \"{}\"", self.name, shown(name));
            Failure::new(Status::NotFound, message)
        })
    }
}

/// A step as it is drawn.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// What other steps know it by.
    pub name: String,
    /// What stands in its box; may have several lines.
    pub label: String,
    /// The colour of its box.
    pub fill: &'static str,
    /// What it needs, and whether it takes the result.
    pub needs: Vec<(String, bool)>,
}

/// A graph of steps in the language of Graphviz. An arrow is dashed where no result goes along.
pub fn dot(name: &str, steps: &[Drawn]) -> String {
    let mut text = format!(
        "digraph {} {{\n  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\"];\n",
        quoted(name)
    );
    for step in steps {
        let (name, label) = (quoted(&step.name), quoted(&step.label));
        let _ = writeln!(text, "  {name} [label={label}, fillcolor=\"{}\"];", step.fill);
    }
    for step in steps {
        for (needs, is_input) in &step.needs {
            let style = if *is_input { "" } else { " [style=dashed]" };
            let _ = writeln!(text, "  {} -> {}{style};", quoted(needs), quoted(&step.name));
        }
    }
    text.push_str("}\n");
    text
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}

fn check_name(name: &str) -> Result<(), Failure> {
    let wrong = if name.is_empty() {
        "is empty".to_owned()
    } else if name.len() > STEP_NAME_LEN_MAX {
        format!("has {} bytes", name.len())
    } else if name.chars().any(char::is_control) {
        "has a control character".to_owned()
    } else {
        return Ok(());
    };
    let message = format!(
        "step name \"{}\" {wrong}; a name has 1 to {STEP_NAME_LEN_MAX} bytes of UTF-8 without control characters",
        shown(name)
    );
    Err(Failure::new(Status::Argument, message))
}

/// What an open stage is given comes with its jobs, and a step of one job for each frame is given some.
fn check_kind(step: &Step) -> Result<(), Failure> {
    let takes_results = step.needs.iter().any(|need| need.is_input);
    let wrong = match step.kind {
        StepKind::Open if takes_results => {
            "is an open stage and takes results; its jobs come with their own payloads, and right would be to come after"
        }
        StepKind::Open if !step.body.0.is_empty() => {
            "is an open stage and has a payload; its jobs come with their own, and right would be none"
        }
        StepKind::Each if !takes_results => {
            "is one job for each frame of the results it takes, and takes none; one at least is right"
        }
        StepKind::Job if step.is_collected => {
            "is one job and is collected; its result is waited for, and right would be a stage"
        }
        _ => return Ok(()),
    };
    Err(Failure::new(Status::Argument, format!("step \"{}\" {wrong}", step.name)))
}

fn shown(name: &str) -> String {
    name.chars().take(40).flat_map(char::escape_debug).collect()
}

fn twice(name: &str) -> Failure {
    Failure::new(Status::Argument, format!("there are two steps \"{name}\"; each name may be there once"))
}

fn needs_itself(name: &str) -> Failure {
    Failure::new(Status::Cycle, format!("step \"{name}\" needs itself"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str) -> Step {
        Step {
            name: name.into(),
            kind: StepKind::Job,
            queue: QueueName::new("q").unwrap(),
            body: Body::default(),
            headers: Headers::default(),
            options: JobOptions::default(),
            needs: Vec::new(),
            may_fail: false,
            is_collected: false,
        }
    }

    fn draft(names: &[&str], needs: &[(&str, &str)]) -> Result<Draft, Failure> {
        let mut draft = Draft::new("p")?;
        for name in names {
            draft.step(step(name))?;
        }
        for (at, need) in needs {
            draft.after(at, need, true)?;
        }
        Ok(draft)
    }

    fn refused(names: &[&str], needs: &[(&str, &str)]) -> Failure {
        draft(names, needs).and_then(|draft| draft.build()).unwrap_err()
    }

    #[test]
    fn what_is_not_sound_is_refused_and_names_the_step() {
        type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], Status, &'a str);
        let cases: &[Case<'_>] = &[
            (&[], &[], Status::Argument, "no step"),
            (&["a", "a"], &[], Status::Argument, "two steps \"a\""),
            (&[""], &[], Status::Argument, "is empty"),
            (&["a\n"], &[], Status::Argument, "control character"),
            (&["a"], &[("a", "b")], Status::NotFound, "no step \"b\""),
            (&["a"], &[("b", "a")], Status::NotFound, "no step \"b\""),
            (&["a"], &[("a", "a")], Status::Cycle, "\"a\" needs itself"),
            (&["a", "b"], &[("b", "a"), ("b", "a")], Status::Argument, "\"b\" needs \"a\" twice"),
            (&["a", "b"], &[("a", "b"), ("b", "a")], Status::Cycle, "no step can begin"),
            (
                &["s", "a", "b", "c"],
                &[("a", "s"), ("a", "c"), ("b", "a"), ("c", "b")],
                Status::Cycle,
                "in a circle: \"c\" needs \"b\" needs \"a\" needs \"c\"",
            ),
        ];
        for (names, needs, status, word) in cases {
            let failure = refused(names, needs);
            assert_eq!(failure.status, *status, "{failure}");
            assert!(failure.message.contains(word), "{failure} does not say {word}");
        }
    }

    #[test]
    fn a_long_circle_is_named_in_part() {
        let names: Vec<String> = (0..20).map(|i| format!("s{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut needs: Vec<(&str, &str)> = names.windows(2).map(|pair| (pair[1], pair[0])).collect();
        needs.push((names[0], names[19]));
        let failure = refused(&names, &needs);
        assert!(failure.message.ends_with("needs ..."), "{failure}");
    }

    #[test]
    fn a_graph_is_drawn_with_its_names_escaped() {
        let mut draft = draft(&["a \"1\"", "b"], &[]).unwrap();
        draft.after("b", "a \"1\"", false).unwrap();
        let text = draft.dot();
        assert!(text.contains("\"a \\\"1\\\"\" -> \"b\" [style=dashed];"), "{text}");
        assert!(text.contains("label=\"b\\nq\""), "{text}");
    }
}
