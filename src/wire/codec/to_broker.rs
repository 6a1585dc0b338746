//! The numbered commands of clients and workers.

use std::sync::Arc;

use crate::model::{
    Body, Completion, Failure, InStage, JobId, JobOptions, Level, QueueName, ReplyMode, Status, Submission,
    limits,
};
use crate::wire::codec::Command;
use crate::wire::codec::reader::{Reader, Value};
use crate::wire::codec::writer::Writer;
use crate::wire::command::{Fault, GetMode, Presented, Retry, ToBroker};
use crate::wire::error::WireError;

const FLAG_RESENT: u64 = 1;
const FLAG_REPLY_SHIFT: u64 = 1;
const FLAG_OWN_ID: u64 = 1 << 3;
pub(crate) const FLAG_PROGRESS: u64 = 1 << 4;
pub(crate) const FLAG_PARTIAL: u64 = 1 << 5;
const FLAG_PATIENT: u64 = 1 << 6;
const FLAG_RUN: u64 = 1 << 7;

impl Command for ToBroker {
    fn encode(&self, w: &mut Writer<'_>) {
        match self {
            ToBroker::Submit(job) => write_submit(job, w),
            ToBroker::BadSubmit { id, .. } => {
                w.begin(16, 1);
                w.id(id);
            }
            ToBroker::Cancel { id, reason, own } => {
                w.begin(17, 3);
                w.id(id);
                w.text(reason, limits::TEXT_LEN_MAX);
                w.boolean(*own);
            }
            ToBroker::Get { id, mode } => {
                w.begin(18, 2);
                w.id(id);
                w.uint(u64::from(*mode == GetMode::Watch));
            }
            ToBroker::Forget(ids) => {
                w.begin(19, 1);
                w.array(ids.len() as u32);
                ids.iter().for_each(|id| w.id(id));
            }
            ToBroker::ResultCredit(results) => {
                w.begin(20, 1);
                w.uint(*results);
            }
            ToBroker::Admin { tag, command, arguments } => {
                w.begin(21, 3);
                w.uint(*tag);
                w.text(command, limits::TEXT_LEN_MAX);
                w.map(arguments.len() as u32);
                for (key, value) in arguments {
                    w.text(key, limits::TEXT_LEN_MAX);
                    w.text(value, limits::TEXT_LEN_MAX);
                }
            }
            ToBroker::Register { queue, slots, weight } => {
                w.begin(32, 3);
                w.text(queue, limits::TEXT_LEN_MAX);
                w.uint(u64::from(*slots));
                w.uint(u64::from(*weight));
            }
            ToBroker::Unregister { queue } => {
                w.begin(33, 1);
                w.text(queue, limits::TEXT_LEN_MAX);
            }
            ToBroker::Demand { jobs, bytes } => {
                w.begin(34, 2);
                w.uint(*jobs);
                w.uint(*bytes);
            }
            ToBroker::Unknown(code) => w.begin(*code, 0),
            answer => write_about_lease(answer, w),
        }
    }

    fn decode(code: u64, r: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(match code {
            16 => read_submit(r)?,
            17 => ToBroker::Cancel { id: r.id()?, reason: r.text(limits::TEXT_LEN_MAX)?, own: r.boolean()? },
            18 => {
                let id = r.id()?;
                ToBroker::Get { id, mode: if r.uint()? == 0 { GetMode::Peek } else { GetMode::Watch } }
            }
            19 => ToBroker::Forget(r.ids()?),
            20 => ToBroker::ResultCredit(r.uint()?),
            21 => {
                let tag = r.uint()?;
                let command = r.text(limits::TEXT_LEN_MAX)?;
                let len = r.map()?;
                if len > limits::ARGUMENTS_MAX {
                    return Err(WireError::TooMany("arguments"));
                }
                ToBroker::Admin { tag, command, arguments: r.texts(len)? }
            }
            // One byte over the limit is kept, so that a longer name is refused by name and not taken for a shorter.
            32 => ToBroker::Register {
                queue: r.text(limits::QUEUE_NAME_LEN_MAX + 1)?,
                slots: r.uint32()?,
                weight: r.uint32()?,
            },
            33 => ToBroker::Unregister { queue: r.text(limits::QUEUE_NAME_LEN_MAX + 1)? },
            34 => ToBroker::Demand { jobs: r.uint()?, bytes: r.uint()? },
            35 => ToBroker::Start(r.lease()?),
            36 => {
                let lease = r.lease()?;
                let completion = Completion { body: r.body()?, headers: r.headers()?, meta: r.meta()? };
                ToBroker::Done { lease, completion: Arc::new(completion) }
            }
            37 => ToBroker::Failed { lease: r.lease()?, fault: Arc::new(read_fault(r)?) },
            38 => ToBroker::Release { lease: r.lease()?, delay_ms: r.uint()? },
            39 => ToBroker::Unstarted(r.lease()?),
            40 => ToBroker::Progress {
                lease: r.lease()?,
                fraction: r.fraction()?,
                note: r.text(limits::TEXT_LEN_MAX)?,
            },
            41 => ToBroker::Partial { lease: r.lease()?, sequence: r.uint()?, body: r.body()? },
            42 => ToBroker::Present(Presented {
                id: r.id()?,
                queue: r.text(limits::QUEUE_NAME_LEN_MAX + 1)?,
                broker: r.bytes16()?,
                token: r.uint()?,
                attempt: r.uint32()?,
                answered: r.boolean()?,
            }),
            _ => ToBroker::Unknown(code),
        })
    }

    fn body(&self) -> Option<&Body> {
        match self {
            ToBroker::Submit(job) => Some(&job.body),
            ToBroker::Done { completion, .. } => Some(&completion.body),
            ToBroker::Partial { body, .. } => Some(body),
            _ => None,
        }
    }

    fn body_mut(&mut self) -> Option<&mut Body> {
        match self {
            ToBroker::Submit(job) => Some(&mut Arc::make_mut(job).body),
            ToBroker::Done { completion, .. } => Some(&mut Arc::make_mut(completion).body),
            ToBroker::Partial { body, .. } => Some(body),
            _ => None,
        }
    }

    fn is_ignored(&self) -> bool {
        matches!(self, ToBroker::Unknown(code) if *code >= 128)
    }

    fn is_urgent(&self) -> bool {
        matches!(self, ToBroker::Submit(job) if !job.is_patient)
    }
}

/// The commands of a worker about a job it holds.
fn write_about_lease(answer: &ToBroker, w: &mut Writer<'_>) {
    match answer {
        ToBroker::Start(lease) => {
            w.begin(35, 2);
            w.lease(*lease);
        }
        ToBroker::Done { lease, completion } => {
            w.begin(36, 5);
            w.lease(*lease);
            w.body(&completion.body);
            w.headers(&completion.headers);
            w.meta(&completion.meta);
        }
        ToBroker::Failed { lease, fault } => {
            w.begin(37, 7);
            w.lease(*lease);
            write_fault(fault, w);
        }
        ToBroker::Release { lease, delay_ms } => {
            w.begin(38, 3);
            w.lease(*lease);
            w.uint(*delay_ms);
        }
        ToBroker::Unstarted(lease) => {
            w.begin(39, 2);
            w.lease(*lease);
        }
        ToBroker::Progress { lease, fraction, note } => {
            w.begin(40, 4);
            w.lease(*lease);
            w.float(*fraction);
            w.text(note, limits::TEXT_LEN_MAX);
        }
        ToBroker::Partial { lease, sequence, body } => {
            w.begin(41, 4);
            w.lease(*lease);
            w.uint(*sequence);
            w.body(body);
        }
        ToBroker::Present(held) => {
            w.begin(42, 6);
            w.id(&held.id);
            w.text(&held.queue, limits::TEXT_LEN_MAX);
            w.bytes(&held.broker);
            w.uint(held.token);
            w.uint(u64::from(held.attempt));
            w.boolean(held.answered);
        }
        other => unreachable!("{other:?} is written by encode"),
    }
}

fn write_fault(fault: &Fault, w: &mut Writer<'_>) {
    w.int(match fault.retry {
        Retry::Policy => -1,
        Retry::Never => -2,
        Retry::Crashed => -3,
        Retry::AfterMs(ms) => i64::try_from(ms).unwrap_or(i64::MAX),
    });
    w.text(&fault.code, limits::TEXT_LEN_MAX);
    w.text(&fault.message, limits::TEXT_LEN_MAX);
    w.text(&fault.detail, limits::DETAIL_LEN_MAX);
    w.meta(&fault.meta);
}

fn read_fault(r: &mut Reader<'_>) -> Result<Fault, WireError> {
    let retry = match r.int_or_nil()? {
        None | Some(-1) => Retry::Policy,
        Some(-2) => Retry::Never,
        Some(-3) => Retry::Crashed,
        Some(ms) => Retry::AfterMs(u64::try_from(ms).map_err(|_| WireError::Value("retry_ms"))?),
    };
    Ok(Fault {
        retry,
        code: r.text(limits::TEXT_LEN_MAX)?,
        message: r.text(limits::TEXT_LEN_MAX)?,
        detail: r.text(limits::DETAIL_LEN_MAX)?,
        meta: r.meta()?,
    })
}

fn write_submit(job: &Submission, w: &mut Writer<'_>) {
    w.begin(16, if job.stage.is_some() { 10 } else { 7 });
    w.id(&job.id);
    w.text(job.queue.as_str(), limits::QUEUE_NAME_LEN_MAX);
    w.body(&job.body);
    w.headers(&job.headers);
    write_options(&job.options, w);
    let mut flags = (job.reply as u64) << FLAG_REPLY_SHIFT;
    flags |= if job.resent { FLAG_RESENT } else { 0 };
    flags |= if job.content.is_some() { FLAG_OWN_ID } else { 0 };
    flags |= if job.wants_progress { FLAG_PROGRESS } else { 0 };
    flags |= if job.wants_partial { FLAG_PARTIAL } else { 0 };
    flags |= if job.is_patient { FLAG_PATIENT } else { 0 };
    flags |= if job.is_run { FLAG_RUN } else { 0 };
    w.uint(flags);
    match &job.content {
        Some(content) => w.bytes(content),
        None => w.nil(),
    }
    if let Some(stage) = &job.stage {
        w.id(&stage.run);
        w.text(&stage.step, limits::STEP_NAME_LEN_MAX + 1);
        w.boolean(stage.in_its_queue);
    }
}

/// The stage a SUBMIT is for, if it is for one.
fn read_stage(r: &mut Reader<'_>) -> Result<Option<Box<InStage>>, WireError> {
    let Some(run) = r.bytes()? else { return Ok(None) };
    let run = JobId(run.try_into().map_err(|_| WireError::Type("a run's id"))?);
    let step = r.text(limits::STEP_NAME_LEN_MAX + 1)?;
    Ok(Some(Box::new(InStage { run, step, place: 0, in_its_queue: r.boolean()? })))
}

/// A SUBMIT. What msgpack can say and a job cannot have is a [`ToBroker::BadSubmit`], to be refused by name.
fn read_submit(r: &mut Reader<'_>) -> Result<ToBroker, WireError> {
    let id = r.id()?;
    let queue = r.bytes()?.unwrap_or_default();
    let queue = std::str::from_utf8(queue)
        .map_err(|_| Failure::new(Status::Argument, "the queue's name is not valid UTF-8"))
        .and_then(QueueName::new);
    let body = r.body()?;
    let headers = r.headers()?;
    let options = read_options(r)?;
    let flags = r.uint()?;
    let content = r.bytes()?.unwrap_or_default();
    let stage = read_stage(r)?;
    let reply = match flags >> FLAG_REPLY_SHIFT & 3 {
        0 => Ok(ReplyMode::Push),
        1 => Ok(ReplyMode::Keep),
        2 => Ok(ReplyMode::None),
        _ => {
            Err(Failure::new(Status::Argument, "reply mode 3 in the flags; there are 0 push, 1 keep, 2 none"))
        }
    };
    let content = if content.len() <= limits::CONTENT_LEN_MAX {
        Ok((flags & FLAG_OWN_ID != 0).then(|| content.to_vec()))
    } else {
        let message =
            format!("content of {} bytes; it has at most {}", content.len(), limits::CONTENT_LEN_MAX);
        Err(Failure::new(Status::TooLarge, message))
    };
    let submission = || {
        Ok(Submission {
            id,
            queue: queue?,
            body,
            headers,
            options: options?,
            resent: flags & FLAG_RESENT != 0,
            reply: reply?,
            content: content?,
            wants_progress: flags & FLAG_PROGRESS != 0,
            wants_partial: flags & FLAG_PARTIAL != 0,
            is_patient: flags & FLAG_PATIENT != 0,
            is_run: flags & FLAG_RUN != 0,
            stage,
        })
    };
    Ok(match submission() {
        Ok(job) => ToBroker::Submit(Arc::new(job)),
        Err(failure) => ToBroker::BadSubmit { id, failure },
    })
}

/// The one option that is a text.
const SERIAL_KEY: u64 = 16;

pub(super) fn write_options(options: &JobOptions, w: &mut Writer<'_>) {
    let values = [
        (1, options.priority.map(u64::from)),
        (2, options.delay_ms),
        (3, options.queue_ms),
        (4, options.run_ms),
        (5, options.soft_ms),
        (6, options.stall_ms),
        (7, options.deadline_ms),
        (8, options.attempts.map(u64::from)),
        (9, options.backoff_ms),
        (10, options.backoff_ms_max),
        (11, options.releases.map(u64::from)),
        (12, options.level.map(|level| level as u64)),
        (13, options.result_ttl_ms),
        (14, options.partial_bytes),
        (15, options.refuse_unknown_queue.map(u64::from)),
        (17, options.serial_jobs.map(u64::from)),
    ];
    let said = values.iter().filter(|(_, value)| value.is_some()).count()
        + usize::from(options.serial_key.is_some());
    if said == 0 {
        return w.nil();
    }
    w.map(said as u32);
    for (key, value) in values {
        if let Some(value) = value {
            w.uint(key);
            w.uint(value);
        }
    }
    if let Some(key) = &options.serial_key {
        w.uint(SERIAL_KEY);
        w.text(key, limits::SERIAL_KEY_LEN_MAX + 1);
    }
}

/// Options; the inner failure says which value no option has. Whether a value is allowed is the core's to say.
pub(super) fn read_options(r: &mut Reader<'_>) -> Result<Result<JobOptions, Failure>, WireError> {
    let mut options = JobOptions::default();
    let mut failure = None;
    for _ in 0..r.map()? {
        let key = match r.any_value()? {
            Value::Uint(key) => key,
            Value::Nil | Value::Other => 0,
        };
        if key == SERIAL_KEY && r.is_text()? {
            // One that is too long is the core's to refuse.
            options.serial_key = Some(r.text_value(limits::SERIAL_KEY_LEN_MAX + 1)?.into());
            continue;
        }
        let outcome = match r.any_value()? {
            Value::Nil => Ok(()),
            Value::Uint(value) => set_option(&mut options, key, value),
            Value::Other if key == SERIAL_KEY => Err("is no text".to_owned()),
            Value::Other if (1..=17).contains(&key) => Err("is not a whole number from 0".to_owned()),
            Value::Other => Ok(()),
        };
        if let Err(wrong) = outcome {
            failure.get_or_insert_with(|| Failure::new(Status::Option, format!("job option {key} {wrong}")));
        }
    }
    Ok(failure.map_or(Ok(options), Err))
}

/// Unknown keys are ignored, as in every map.
fn set_option(options: &mut JobOptions, key: u64, value: u64) -> Result<(), String> {
    let narrow = Some(u32::try_from(value).unwrap_or(u32::MAX));
    let wide = Some(value);
    match key {
        1 => options.priority = narrow,
        2 => options.delay_ms = wide,
        3 => options.queue_ms = wide,
        4 => options.run_ms = wide,
        5 => options.soft_ms = wide,
        6 => options.stall_ms = wide,
        7 => options.deadline_ms = wide,
        8 => options.attempts = narrow,
        9 => options.backoff_ms = wide,
        10 => options.backoff_ms_max = wide,
        11 => options.releases = narrow,
        12 => {
            options.level = Some(match value {
                0 => Level::Auto,
                1 => Level::Volatile,
                2 => Level::Durable,
                _ => return Err(format!("(level) is {value}; there are 0 auto, 1 volatile, 2 durable")),
            });
        }
        13 => options.result_ttl_ms = wide,
        14 => options.partial_bytes = wide,
        15 if value > 1 => return Err(format!("(unknown_queue) is {value}; there are 0 wait, 1 refuse")),
        15 => options.refuse_unknown_queue = Some(value == 1),
        SERIAL_KEY => return Err(format!("(serial_key) is {value}, which is no text")),
        17 => options.serial_jobs = narrow,
        _ => {}
    }
    Ok(())
}

/// The id a command is about, for tests and logs.
impl ToBroker {
    /// The job this command names by its id.
    pub fn job_id(&self) -> Option<JobId> {
        match self {
            ToBroker::Submit(job) => Some(job.id),
            ToBroker::BadSubmit { id, .. } | ToBroker::Cancel { id, .. } | ToBroker::Get { id, .. } => {
                Some(*id)
            }
            ToBroker::Present(held) => Some(held.id),
            _ => None,
        }
    }
}
