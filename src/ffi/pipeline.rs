//! Pipelines.
//!
//! A pipeline is a named directed graph of steps. Each step is a job; it begins when the steps it needs are done, and may be
//! given their results as frames behind its own payload. forebay_client_run hands a pipeline to the broker, which executes
//! it as one run and keeps its state: the client may go and come back, and so may the broker, if it has a store.
//!
//! A run is a job too, with an id: forebay_client_wait, forebay_client_next, forebay_client_cancel and the other calls are
//! for it as for any job. It is DONE when all its steps are, and its result has the results of the steps that no other needs,
//! as frames in the order of the steps. When a step does not end DONE the run is FAILED, with the step's name and cause in
//! its message; steps under way are cancelled, those behind it do not begin. The command "run.get" of forebay_client_admin
//! shows a run with its steps and their times.
//!
//! A pipeline may be run any number of times, and changed between. Any thread may use it, also while another does.

use std::ffi::c_char;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::api::pipeline::{Draft, Pipeline, Step, StepKind};
use crate::api::{self, Body, Submit, Want};
use crate::ffi::arg;
use crate::ffi::error::forebay_error_t;
use crate::ffi::options::PreparedJob;
use crate::ffi::status::forebay_status_t;
use crate::ffi::submit::{self, forebay_submit_t};
use crate::model::{Failure, Status};

/// Of forebay_pipeline_step: the step is an open stage, to which jobs are added by forebay_stage_add while the run goes on. Its
/// `job` says the queue, rules and headers of those that name none; it has no payload and takes no results.
pub const FOREBAY_STEP_OPEN: u32 = 1;
/// Of forebay_pipeline_step: the step is one job for each frame of the results it takes, of which it takes at least one. Each
/// is given the step's payload and behind it one frame. What needs the step begins when all of them are done, and may be given their
/// results, in the order of the frames.
pub const FOREBAY_STEP_EACH: u32 = 2;
/// Of forebay_pipeline_step, for a stage: its results are collected, see forebay_collector_open, and the run is not DONE before each of
/// them is acknowledged. They are no part of the run's result.
pub const FOREBAY_STEP_COLLECT: u32 = 4;
/// Of forebay_pipeline_step: when the step does not end DONE the run goes on all the same, and steps that take its result are
/// given an empty frame.
pub const FOREBAY_STEP_CONTINUE: u32 = 8;
/// Of forebay_pipeline_after: the step is given the result of the one it needs.
pub const FOREBAY_NEED_RESULT: u32 = 1;

/// A named graph of steps.
pub struct forebay_pipeline_t {
    draft: Mutex<Draft>,
    /// The options of steps that name none: what the environment says.
    job: PreparedJob,
}

impl forebay_pipeline_t {
    /// What a change that panicked left is a pipeline all the same.
    fn draft(&self) -> MutexGuard<'_, Draft> {
        self.draft.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pipeline as it stands, if it is sound.
    pub(super) fn build(&self) -> Result<Pipeline, Failure> {
        self.draft().build()
    }
}

/// Makes a pipeline without steps. `name` is what people know its runs by: 1 to 255 bytes of UTF-8 without control
/// characters. The caller frees the pipeline by forebay_pipeline_free.
///
/// FOREBAY_ERR_ARGUMENT for a name that cannot be, FOREBAY_ERR_OPTION when an option of the environment is wrong. Any
/// thread. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_pipeline_new(
    name: *const c_char,
    pipeline: *mut *mut forebay_pipeline_t,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        let place = arg::out(pipeline, "pipeline")?;
        // SAFETY: NULL, or what the contract says.
        unsafe {
            let draft = Draft::new(arg::text(name, "name")?)?;
            let job = api::Options::new().prepared_job()?;
            place.write(arg::give(forebay_pipeline_t { draft: Mutex::new(draft), job }));
        }
        Ok(())
    })
}

/// Adds a step. `step` is its name, 1 to 255 bytes of UTF-8 without control characters and once in the pipeline. `job` says its
/// queue, payload (an empty one is none), headers and rules; its id, tag and want are not a step's and are 0. `flags` is 0 or an OR of
/// FOREBAY_STEP_CONTINUE and one of FOREBAY_STEP_OPEN and FOREBAY_STEP_EACH, and with one of these FOREBAY_STEP_COLLECT. Delay, queue timeout and deadline count from when the step may begin; its level is the run's. Everything is copied.
///
/// FOREBAY_ERR_ARGUMENT for a name that is taken or cannot be, or a job that has what a step has not; FOREBAY_ERR_TOO_LARGE for a step
/// more than 100,000. Any thread. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_pipeline_step(
    pipeline: *mut forebay_pipeline_t,
    step: *const c_char,
    job: *const forebay_submit_t,
    flags: u32,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (pipeline, step, job) = unsafe {
            let pipeline = arg::object(pipeline, "pipeline")?;
            (pipeline, arg::text(step, "step")?, submit::read_one(job, &pipeline.job)?)
        };
        let known = FOREBAY_STEP_OPEN | FOREBAY_STEP_EACH | FOREBAY_STEP_COLLECT | FOREBAY_STEP_CONTINUE;
        check_flags(flags, known)?;
        let kind = match (flags & FOREBAY_STEP_OPEN != 0, flags & FOREBAY_STEP_EACH != 0) {
            (false, false) => StepKind::Job,
            (true, false) => StepKind::Open,
            (false, true) => StepKind::Each,
            (true, true) => {
                let message = format!(
                    "step \"{step}\" is an open stage and one job for each frame; right would be one of them"
                );
                return Err(Failure::new(Status::Argument, message));
            }
        };
        if job.id.is_some() || job.tag != 0 || job.want != Want::default() {
            let message = format!("step \"{step}\" has an id, a tag or a want; those are its run's");
            return Err(Failure::new(Status::Argument, message));
        }
        let Submit { queue, body, headers, options, .. } = job;
        // Nothing said is no frame, so that the results it takes are all it gets.
        let body = if body.is_empty() && body.0.len() == 1 { Body::default() } else { body };
        pipeline.draft().step(Step {
            name: step.to_owned(),
            kind,
            queue: api::QueueName::new(&queue)?,
            body,
            headers,
            options,
            needs: Vec::new(),
            may_fail: flags & FOREBAY_STEP_CONTINUE != 0,
            is_collected: flags & FOREBAY_STEP_COLLECT != 0,
        })
    })
}

/// Has `step` begin only when `needs` is done. `flags` is 0, or FOREBAY_NEED_RESULT: `step` is then given the frames of its
/// result, one empty frame for a result without any, behind its own payload and those of what it was said to need before. Both
/// were added before.
///
/// FOREBAY_ERR_NOT_FOUND for a step that was not, FOREBAY_ERR_CYCLE for a step that needs itself, FOREBAY_ERR_ARGUMENT for what
/// was said before. A longer circle is found by forebay_client_run. Any thread. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_pipeline_after(
    pipeline: *mut forebay_pipeline_t,
    step: *const c_char,
    needs: *const c_char,
    flags: u32,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL, or what the contract says.
        let (pipeline, step, needs) = unsafe {
            (arg::object(pipeline, "pipeline")?, arg::text(step, "step")?, arg::text(needs, "needs")?)
        };
        check_flags(flags, FOREBAY_NEED_RESULT)?;
        pipeline.draft().after(step, needs, flags & FOREBAY_NEED_RESULT != 0)
    })
}

/// Has each run of the pipeline wait for its context, see forebay_run_context, before any step begins.
///
/// Any thread. `err` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_pipeline_hold(
    pipeline: *mut forebay_pipeline_t,
    err: *mut *mut forebay_error_t,
) -> forebay_status_t {
    guard!(err, {
        // SAFETY: NULL or a pipeline that lives, as the contract says.
        let pipeline = unsafe { arg::object(pipeline, "pipeline") }?;
        pipeline.draft().hold();
        Ok(())
    })
}

/// Writes the graph in the language of Graphviz: up to `cap` bytes, the last of them 0. Returns how long the text is without that
/// 0; when that is not below `cap`, the text was cut. `buf` may be NULL when `cap` is 0.
///
/// Any thread; 0 for a `pipeline` of NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_pipeline_dot(
    pipeline: *const forebay_pipeline_t,
    buf: *mut c_char,
    cap: usize,
) -> usize {
    guard!(get 0, {
        // SAFETY: NULL or a pipeline that lives, as the contract says.
        let Some(pipeline) = (unsafe { pipeline.as_ref() }) else { return 0 };
        let text = pipeline.draft().dot();
        // SAFETY: `buf` has `cap` bytes, as the contract says.
        unsafe { arg::fill_text(buf, cap, &text) };
        text.len()
    })
}

/// Frees a pipeline; its runs go on. A `pipeline` of NULL is nothing.
///
/// Any thread; nobody else may use the object any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forebay_pipeline_free(pipeline: *mut forebay_pipeline_t) {
    // SAFETY: NULL or a pipeline that was handed out and not freed, as the contract says.
    guard!(get(), { unsafe { arg::take_back(pipeline) } })
}

fn check_flags(flags: u32, known: u32) -> Result<(), Failure> {
    match flags & !known {
        0 => Ok(()),
        _ => {
            let message = format!("flags is {flags:#x}; this version knows {known:#x}");
            Err(Failure::new(Status::Argument, message))
        }
    }
}
