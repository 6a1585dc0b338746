//! Records to bytes.

use bytes::Bytes;
use rmp::encode::{self, ByteBuf};

use crate::core::record::{Attempt, AttemptError, Buried, Collected, QueueKept, Record, Standing};
use crate::model::{Body, Headers, JobId, JobOptions, JobRules, Level, Owner, Submission, Verdict};
use crate::store::codec::is_serial;

/// Appends the record's bytes to `out`. Its kind and version stand in the frame around it.
pub fn encode(record: &Record, out: &mut Vec<u8>) {
    // The buffer type of `rmp` whose writes cannot fail; it is handed back below.
    let mut bytes = ByteBuf::from_vec(std::mem::take(out));
    let to = &mut bytes;
    match record {
        Record::Booted { epoch, broker } => {
            uint(to, *epoch);
            bin(to, broker);
        }
        Record::Submitted { owner, job, rules, wall_ms, sequence, .. } => {
            id(to, &job.id);
            uint(to, *sequence);
            uint(to, *wall_ms);
            submitter(to, owner, job, rules);
            submission(to, job, rules);
        }
        Record::Leased { id: job, token } => {
            id(to, job);
            uint(to, *token);
        }
        Record::Started { id: job, token, attempt, worker, wall_ms } => {
            id(to, job);
            uint(to, *token);
            uint(to, u64::from(*attempt));
            text(to, worker);
            uint(to, *wall_ms);
        }
        Record::Requeued {
            id: job,
            token,
            attempts,
            losses,
            releases,
            suspect,
            not_before_wall_ms,
            wall_ms,
            how,
            error,
        } => {
            id(to, job);
            uint(to, *token);
            for count in [*attempts, *losses, *releases] {
                uint(to, u64::from(count));
            }
            boolean(to, *suspect);
            uint(to, *not_before_wall_ms);
            uint(to, *wall_ms);
            text(to, how);
            failed(to, error.as_deref());
        }
        Record::Ended { id: job, verdict: end, wall_ms } => {
            id(to, job);
            uint(to, *wall_ms);
            verdict(to, end);
        }
        Record::Forgotten { id: job } => id(to, job),
        Record::Buried(buried) => bury(to, buried),
        Record::QueueSet(kept) => queue(to, kept),
        Record::Child { id: job, parent } => {
            id(to, job);
            id(to, parent);
        }
        Record::StageClosed { id: job, step } => {
            id(to, job);
            uint(to, u64::from(*step));
        }
        Record::Seen { id: job, attempt, text: seen } => {
            id(to, job);
            uint(to, u64::from(*attempt));
            text(to, seen);
        }
        Record::Context { id: job, context } => {
            id(to, job);
            bin(to, context);
        }
        Record::Collected { id: job, collected: said } => {
            id(to, job);
            collected(to, said);
        }
        Record::Stands { id: job, standing } => {
            id(to, job);
            stands(to, standing);
        }
    }
    *out = bytes.into_vec();
}

/// No fewer bytes than the record takes, found without encoding it.
pub fn encoded_len_max(record: &Record) -> usize {
    // Numbers take up to 9 bytes each, and every text and every part of a body up to 5 beside its own bytes.
    const FIXED: usize = 512;
    let body_len = |body: &Body| body.len() + 5 * body.0.len();
    let headers_len = |headers: &Headers| headers.len() + 10 * headers.0.len();
    FIXED
        + match record {
            Record::Submitted { owner, job, rules, .. } => {
                let named = owner.user.len() + owner.name.len() + job.queue.as_str().len();
                named
                    + job.content.as_ref().map_or(0, Vec::len)
                    + job.stage.as_ref().map_or(0, |stage| stage.step.len())
                    + rules.serial_key.as_ref().map_or(0, |key| key.len())
                    + headers_len(&job.headers)
                    + body_len(&job.body)
            }
            Record::Started { worker, .. } => worker.len(),
            Record::Requeued { how, error, .. } => how.len() + failed_len(error.as_deref()),
            Record::Ended { verdict, .. } => {
                let texts = verdict.code.len() + verdict.message.len() + verdict.detail.len();
                let facts = verdict.meta.iter().map(|(name, value)| name.len() + value.len() + 10);
                texts + facts.sum::<usize>() + headers_len(&verdict.headers) + body_len(&verdict.body)
            }
            Record::Buried(buried) => {
                buried.owner.user.len() + buried.owner.name.len() + buried.content.len()
            }
            Record::QueueSet(kept) => {
                let key_len = kept.options.serial_key.as_ref().map_or(0, |key| key.len() + 15);
                let params = kept.handed.params.iter().map(|(name, value)| name.len() + value.len() + 10);
                kept.queue.as_str().len() + 15 + key_len + params.sum::<usize>()
            }
            Record::Collected { collected, .. } => collected_len(collected),
            Record::Context { context, .. } => context.len(),
            Record::Stands { standing, .. } => {
                let attempts = &standing.history;
                let texts = |attempt: &Attempt| {
                    let evidence = attempt.evidence.as_ref().map_or(0, |text| text.len()) + 5;
                    attempt.worker.len() + attempt.how.len() + failed_len(attempt.error.as_deref()) + evidence
                };
                5 * standing.closed.len()
                    + standing.collected.as_deref().map_or(0, collected_len)
                    + standing.context.as_ref().map_or(0, Bytes::len)
                    + attempts.iter().map(|attempt| texts(attempt) + 48).sum::<usize>()
            }
            Record::Seen { text, .. } => text.len(),
            Record::Booted { .. }
            | Record::Leased { .. }
            | Record::Forgotten { .. }
            | Record::StageClosed { .. }
            | Record::Child { .. } => 0,
        }
}

/// Who submitted it, where to, and what it lives by: the part that many jobs have in common, and which is read once
/// for all of them.
fn submitter(to: &mut ByteBuf, owner: &Owner, job: &Submission, rules: &JobRules) {
    text(to, &owner.user);
    text(to, &owner.name);
    text(to, job.queue.as_str());
    let is_serial = is_serial(rules);
    array(to, if is_serial { 17 } else { 15 });
    uint(to, u64::from(rules.priority));
    for ms in [rules.delay_ms, rules.queue_ms, rules.run_ms, rules.soft_ms, rules.stall_ms, rules.deadline_ms]
    {
        uint(to, ms);
    }
    uint(to, u64::from(rules.attempts));
    uint(to, rules.backoff_ms);
    uint(to, rules.backoff_ms_max);
    uint(to, u64::from(rules.releases));
    uint(to, rules.level as u64);
    uint(to, rules.result_ttl_ms);
    uint(to, rules.partial_bytes);
    boolean(to, rules.refuse_unknown_queue);
    if is_serial {
        text_or_nil(to, rules.serial_key.as_deref());
        uint(to, u64::from(rules.serial_jobs));
    }
}

fn submission(to: &mut ByteBuf, job: &Submission, rules: &JobRules) {
    uint(to, job.reply as u64);
    boolean(to, job.resent);
    boolean(to, job.wants_progress);
    boolean(to, job.wants_partial);
    boolean(to, job.is_patient);
    match &job.content {
        Some(content) => bin(to, content),
        None => nil(to),
    }
    headers(to, &job.headers);
    body(to, &job.body);
    // Version 4 has all that version 3 has.
    let is_serial = is_serial(rules);
    if job.is_run || job.stage.is_some() || is_serial {
        boolean(to, job.is_run);
    }
    match &job.stage {
        Some(stage) => {
            id(to, &stage.run);
            text(to, &stage.step);
            uint(to, stage.place);
        }
        None if is_serial => nil(to),
        None => {}
    }
}

fn verdict(to: &mut ByteBuf, verdict: &Verdict) {
    uint(to, verdict.outcome as u64);
    uint(to, u64::from(verdict.attempt));
    text(to, &verdict.code);
    text(to, &verdict.message);
    text(to, &verdict.detail);
    array(to, verdict.meta.len() * 2);
    for (name, value) in verdict.meta.iter() {
        text(to, name);
        text(to, &value);
    }
    headers(to, &verdict.headers);
    body(to, &verdict.body);
}

fn bury(to: &mut ByteBuf, buried: &Buried) {
    id(to, &buried.id);
    text(to, &buried.owner.user);
    text(to, &buried.owner.name);
    bin(to, &buried.content);
    uint(to, buried.outcome as u64);
    uint(to, u64::from(buried.attempt));
}

fn queue(to: &mut ByteBuf, kept: &QueueKept) {
    text(to, kept.queue.as_str());
    boolean(to, kept.paused);
    boolean(to, kept.draining);
    let JobOptions {
        priority,
        delay_ms,
        queue_ms,
        run_ms,
        soft_ms,
        stall_ms,
        deadline_ms,
        attempts,
        backoff_ms,
        backoff_ms_max,
        releases,
        level,
        result_ttl_ms,
        partial_bytes,
        refuse_unknown_queue,
        serial_key,
        serial_jobs,
    } = &kept.options;
    let is_serial = serial_key.is_some() || serial_jobs.is_some();
    array(to, if is_serial { 17 } else { 15 });
    uint_or_nil(to, priority.map(u64::from));
    for ms in [delay_ms, queue_ms, run_ms, soft_ms, stall_ms, deadline_ms] {
        uint_or_nil(to, *ms);
    }
    uint_or_nil(to, attempts.map(u64::from));
    uint_or_nil(to, *backoff_ms);
    uint_or_nil(to, *backoff_ms_max);
    uint_or_nil(to, releases.map(u64::from));
    uint_or_nil(to, level.map(|level: Level| level as u64));
    uint_or_nil(to, *result_ttl_ms);
    uint_or_nil(to, *partial_bytes);
    match refuse_unknown_queue {
        Some(refuse) => boolean(to, *refuse),
        None => nil(to),
    }
    // Version 3 has all that version 2 has; what it says of serial keys stands with the other options.
    if is_serial {
        text_or_nil(to, serial_key.as_deref());
        uint_or_nil(to, serial_jobs.map(u64::from));
    }
    if is_serial || !kept.handed.is_empty() {
        uint_or_nil(to, kept.handed.report_ms);
        array(to, kept.handed.params.len() * 2);
        for (name, value) in &kept.handed.params {
            text(to, name);
            text(to, value);
        }
    }
}

fn stands(to: &mut ByteBuf, standing: &Standing) {
    uint(to, standing.token);
    boolean(to, standing.held);
    boolean(to, standing.begun);
    boolean(to, standing.suspect);
    for count in [standing.attempts, standing.losses, standing.releases] {
        uint(to, u64::from(count));
    }
    uint(to, standing.not_before_wall_ms);
    match &standing.parent {
        Some(parent) => id(to, parent),
        None => nil(to),
    }
    // Versions 4 and 5 have all that version 3 has.
    let has_evidence = standing.has_evidence() || standing.collected.is_some() || standing.context.is_some();
    array(to, standing.history.len() * if has_evidence { 8 } else { 7 });
    for Attempt { number, worker, started_wall_ms, ended_wall_ms, how, error, evidence } in &standing.history
    {
        uint(to, u64::from(*number));
        text(to, worker);
        uint(to, *started_wall_ms);
        uint(to, *ended_wall_ms);
        text(to, how);
        failed(to, error.as_deref());
        if has_evidence {
            text(to, evidence.as_deref().unwrap_or_default());
        }
    }
    if has_evidence || !standing.closed.is_empty() {
        array(to, standing.closed.len());
        standing.closed.iter().for_each(|step| uint(to, u64::from(*step)));
    }
    match &standing.collected {
        Some(said) => collected(to, said),
        None if standing.context.is_some() => nil(to),
        None => {}
    }
    if let Some(context) = &standing.context {
        bin(to, context);
    }
}

fn collected(to: &mut ByteBuf, Collected { name, number, data }: &Collected) {
    text(to, name);
    uint(to, *number);
    bin(to, data);
}

fn collected_len(collected: &Collected) -> usize {
    collected.name.len() + collected.data.len()
}

/// Two texts, empty when there is nothing to say.
fn failed(to: &mut ByteBuf, error: Option<&AttemptError>) {
    text(to, error.map_or("", |error| &error.code));
    text(to, error.map_or("", |error| &error.message));
}

fn failed_len(error: Option<&AttemptError>) -> usize {
    error.map_or(0, |error| error.code.len() + error.message.len()) + 10
}

fn headers(to: &mut ByteBuf, Headers(headers): &Headers) {
    array(to, headers.len() * 2);
    for (name, value) in headers {
        text(to, name);
        bin(to, value);
    }
}

fn body(to: &mut ByteBuf, Body(parts): &Body) {
    array(to, parts.len());
    for part in parts {
        bin(to, part);
    }
}

// Writing into memory does not fail, so the results of `rmp` are dropped.

fn id(to: &mut ByteBuf, id: &JobId) {
    bin(to, &id.0);
}

fn uint(to: &mut ByteBuf, value: u64) {
    let _ = encode::write_uint(to, value);
}

fn uint_or_nil(to: &mut ByteBuf, value: Option<u64>) {
    match value {
        Some(value) => uint(to, value),
        None => nil(to),
    }
}

fn text_or_nil(to: &mut ByteBuf, value: Option<&str>) {
    match value {
        Some(value) => text(to, value),
        None => nil(to),
    }
}

fn boolean(to: &mut ByteBuf, value: bool) {
    let _ = encode::write_bool(to, value);
}

fn nil(to: &mut ByteBuf) {
    let _ = encode::write_nil(to);
}

fn text(to: &mut ByteBuf, text: &str) {
    let _ = encode::write_str(to, text);
}

fn bin(to: &mut ByteBuf, bytes: &[u8]) {
    let _ = encode::write_bin(to, bytes);
}

fn array(to: &mut ByteBuf, len: usize) {
    let _ = encode::write_array_len(to, len as u32);
}
