//! The numbered commands of the broker.

use std::sync::Arc;

use crate::model::{Body, Failure, Outcome, QueueName, Stop, Verdict, limits};
use crate::wire::codec::Command;
use crate::wire::codec::control::read_status;
use crate::wire::codec::reader::Reader;
use crate::wire::codec::to_broker::{FLAG_PARTIAL, FLAG_PROGRESS};
use crate::wire::codec::writer::Writer;
use crate::wire::command::{FromBroker, Grant};
use crate::wire::error::WireError;

impl Command for FromBroker {
    fn encode(&self, w: &mut Writer<'_>) {
        match self {
            FromBroker::Refused { id, failure } => {
                w.begin(64, 4);
                w.id(id);
                w.int(failure.status as i64);
                w.text(&failure.message, limits::TEXT_LEN_MAX);
                w.uint_or_nil(failure.retry_after_ms);
            }
            FromBroker::Result { id, verdict } => {
                w.begin(65, 9);
                w.id(id);
                write_verdict(verdict, w);
            }
            FromBroker::ProgressOf { id, attempt, fraction, note } => {
                w.begin(66, 4);
                w.id(id);
                w.uint(u64::from(*attempt));
                w.float(*fraction);
                w.text(note, limits::TEXT_LEN_MAX);
            }
            FromBroker::PartialOf { id, attempt, sequence, body } => {
                w.begin(67, 4);
                w.id(id);
                w.uint(u64::from(*attempt));
                w.uint(*sequence);
                w.body(body);
            }
            FromBroker::State { id, status, state, attempt, fraction } => {
                w.begin(68, 5);
                w.id(id);
                w.int(*status as i64);
                w.uint(*state as u64);
                w.uint(u64::from(*attempt));
                w.float(*fraction);
            }
            FromBroker::CancelReply { id, status, message } => {
                w.begin(69, 3);
                w.id(id);
                w.int(*status as i64);
                w.text(message, limits::TEXT_LEN_MAX);
            }
            FromBroker::SubmitCredit(jobs) => {
                w.begin(70, 1);
                w.uint(*jobs);
            }
            FromBroker::Reply { tag, status, body, message } => {
                w.begin(71, 4);
                w.uint(*tag);
                w.int(*status as i64);
                w.body(body);
                w.text(message, limits::TEXT_LEN_MAX);
            }
            FromBroker::Unsupported { number, code } => {
                w.begin(127, 2);
                w.uint(*number);
                w.uint(*code);
            }
            FromBroker::Unknown(code) => w.begin(*code, 0),
            to_worker => write_to_worker(to_worker, w),
        }
    }

    fn decode(code: u64, r: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(match code {
            64 => {
                let id = r.id()?;
                let mut failure = read_failure(r)?;
                failure.retry_after_ms = r.uint_or_nil()?;
                FromBroker::Refused { id, failure }
            }
            65 => FromBroker::Result { id: r.id()?, verdict: Arc::new(read_verdict(r)?) },
            66 => FromBroker::ProgressOf {
                id: r.id()?,
                attempt: r.uint32()?,
                fraction: r.fraction()?,
                note: r.text(limits::TEXT_LEN_MAX)?,
            },
            67 => FromBroker::PartialOf {
                id: r.id()?,
                attempt: r.uint32()?,
                sequence: r.uint()?,
                body: r.body()?,
            },
            68 => FromBroker::State {
                id: r.id()?,
                status: read_status(r)?,
                state: read_outcome(r)?,
                attempt: r.uint32()?,
                fraction: r.fraction()?,
            },
            69 => FromBroker::CancelReply {
                id: r.id()?,
                status: read_status(r)?,
                message: r.text(limits::TEXT_LEN_MAX)?,
            },
            70 => FromBroker::SubmitCredit(r.uint()?),
            71 => FromBroker::Reply {
                tag: r.uint()?,
                status: read_status(r)?,
                body: r.body()?,
                message: r.text(limits::TEXT_LEN_MAX)?,
            },
            80 => FromBroker::Grant(Box::new(read_grant(r)?)),
            81 => FromBroker::Revoke { lease: r.lease()?, why: Stop(r.uint32()?) },
            82 => FromBroker::Recall(r.lease()?),
            83 => FromBroker::Adopt { id: r.id()?, lease: r.lease()? },
            84 => FromBroker::Drop(r.id()?),
            85 => FromBroker::RegisterRefused {
                queue: r.text(limits::QUEUE_NAME_LEN_MAX + 1)?,
                failure: read_failure(r)?,
            },
            86 => FromBroker::Drain { stops: r.boolean()? },
            87 => FromBroker::Stale(r.lease()?),
            127 => FromBroker::Unsupported { number: r.uint()?, code: r.uint()? },
            _ => FromBroker::Unknown(code),
        })
    }

    fn body(&self) -> Option<&Body> {
        match self {
            FromBroker::Result { verdict, .. } => Some(&verdict.body),
            FromBroker::PartialOf { body, .. } | FromBroker::Reply { body, .. } => Some(body),
            FromBroker::Grant(grant) => Some(&grant.body),
            _ => None,
        }
    }

    fn body_mut(&mut self) -> Option<&mut Body> {
        match self {
            FromBroker::Result { verdict, .. } => Some(&mut Arc::make_mut(verdict).body),
            FromBroker::PartialOf { body, .. } | FromBroker::Reply { body, .. } => Some(body),
            FromBroker::Grant(grant) => Some(&mut grant.body),
            _ => None,
        }
    }

    fn is_ignored(&self) -> bool {
        matches!(self, FromBroker::Unknown(_))
    }

    fn is_urgent(&self) -> bool {
        false
    }
}

fn write_to_worker(command: &FromBroker, w: &mut Writer<'_>) {
    match command {
        FromBroker::Grant(grant) => write_grant(grant, w),
        FromBroker::Revoke { lease, why } => {
            w.begin(81, 3);
            w.lease(*lease);
            w.uint(u64::from(why.0));
        }
        FromBroker::Recall(lease) => {
            w.begin(82, 2);
            w.lease(*lease);
        }
        FromBroker::Adopt { id, lease } => {
            w.begin(83, 3);
            w.id(id);
            w.lease(*lease);
        }
        FromBroker::Drop(id) => {
            w.begin(84, 1);
            w.id(id);
        }
        FromBroker::RegisterRefused { queue, failure } => {
            w.begin(85, 3);
            w.text(queue, limits::TEXT_LEN_MAX);
            w.int(failure.status as i64);
            w.text(&failure.message, limits::TEXT_LEN_MAX);
        }
        FromBroker::Drain { stops } => {
            w.begin(86, 1);
            w.boolean(*stops);
        }
        FromBroker::Stale(lease) => {
            w.begin(87, 2);
            w.lease(*lease);
        }
        other => unreachable!("{other:?} is written by encode"),
    }
}

fn write_grant(grant: &Grant, w: &mut Writer<'_>) {
    w.begin(80, 13);
    w.lease(grant.lease);
    w.id(&grant.id);
    w.text(grant.queue.as_str(), limits::QUEUE_NAME_LEN_MAX);
    w.body(&grant.body);
    w.headers(&grant.headers);
    w.uint(u64::from(grant.attempt));
    w.uint(u64::from(grant.attempts_max));
    w.int(grant.time_left_ms.map_or(-1, |ms| i64::try_from(ms).unwrap_or(i64::MAX)));
    w.uint(grant.run_ms);
    w.uint(grant.soft_ms);
    w.uint(grant.partial_bytes);
    let progress = if grant.wants_progress { FLAG_PROGRESS } else { 0 };
    let partial = if grant.wants_partial { FLAG_PARTIAL } else { 0 };
    w.uint(progress | partial);
}

fn read_grant(r: &mut Reader<'_>) -> Result<Grant, WireError> {
    let lease = r.lease()?;
    let id = r.id()?;
    let queue = std::str::from_utf8(r.bytes()?.unwrap_or_default())
        .ok()
        .and_then(|name| QueueName::new(name).ok())
        .ok_or(WireError::Value("queue's name"))?;
    let body = r.body()?;
    let headers = r.headers()?;
    let attempt = r.uint32()?;
    let attempts_max = r.uint32()?;
    let time_left_ms = r.int_or_nil()?.and_then(|ms| u64::try_from(ms).ok());
    let run_ms = r.uint()?;
    let soft_ms = r.uint()?;
    let partial_bytes = r.uint()?;
    let flags = r.uint()?;
    Ok(Grant {
        lease,
        id,
        queue,
        body,
        headers,
        attempt,
        attempts_max,
        time_left_ms,
        run_ms,
        soft_ms,
        partial_bytes,
        wants_progress: flags & FLAG_PROGRESS != 0,
        wants_partial: flags & FLAG_PARTIAL != 0,
    })
}

fn write_verdict(verdict: &Verdict, w: &mut Writer<'_>) {
    w.uint(verdict.outcome as u64);
    w.uint(u64::from(verdict.attempt));
    w.body(&verdict.body);
    w.headers(&verdict.headers);
    if verdict.code.is_empty() {
        w.nil();
    } else {
        w.text(&verdict.code, limits::TEXT_LEN_MAX);
    }
    w.text(&verdict.message, limits::TEXT_LEN_MAX);
    w.text(&verdict.detail, limits::DETAIL_LEN_MAX);
    w.meta(&verdict.meta);
}

fn read_verdict(r: &mut Reader<'_>) -> Result<Verdict, WireError> {
    Ok(Verdict {
        outcome: read_outcome(r)?,
        attempt: r.uint32()?,
        body: r.body()?,
        headers: r.headers()?,
        code: r.text(limits::TEXT_LEN_MAX)?,
        message: r.text(limits::TEXT_LEN_MAX)?,
        detail: r.text(limits::DETAIL_LEN_MAX)?,
        meta: r.meta()?,
    })
}

fn read_outcome(r: &mut Reader<'_>) -> Result<Outcome, WireError> {
    Outcome::from_number(r.uint()?).ok_or(WireError::Value("outcome"))
}

fn read_failure(r: &mut Reader<'_>) -> Result<Failure, WireError> {
    Ok(Failure::new(read_status(r)?, r.text(limits::TEXT_LEN_MAX)?))
}
