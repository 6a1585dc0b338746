//! Bytes to records.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use rmp::{Marker, decode};

use crate::core::record::{
    Attempt, AttemptError, Buried, Collected, Handed, QueueKept, RUNNING, Record, Standing,
};
use crate::model::{
    Body, Headers, InStage, JobId, JobOptions, JobRules, Level, Meta, Outcome, Owner, QueueName, ReplyMode,
    Submission, Verdict,
};
use crate::store::codec::{CodecError, Kind};

/// Submitters remembered so that their jobs share them.
const SHARED_MAX: usize = 10_000;

/// How attempts end, so that reading one allocates nothing.
const HOWS: [&str; 12] = [
    "",
    "done",
    "failed",
    "released",
    "lost",
    "crashed",
    "lapsed",
    "run timeout",
    "stalled",
    "cancelled",
    "expired",
    RUNNING,
];

/// What jobs of one submitter in one queue have in common.
#[derive(Clone, Debug)]
struct Shared {
    owner: Arc<Owner>,
    queue: QueueName,
    rules: Arc<JobRules>,
}

/// Reads records. Jobs that have owner, queue and rules in common share one copy of them.
#[derive(Debug, Default)]
pub struct Decoder {
    shared: HashMap<Vec<u8>, Shared>,
    last: Option<(Vec<u8>, Shared)>,
}

impl Decoder {
    /// The record in `bytes`.
    ///
    /// # Errors
    /// Why it is none.
    pub fn decode(&mut self, kind: Kind, version: u8, bytes: &[u8]) -> Result<Record, CodecError> {
        if version == 0 || version > kind.version() {
            return Err(CodecError::Version(version));
        }
        let mut from = Reader(bytes);
        let record = match kind {
            Kind::Booted => Record::Booted { epoch: from.uint()?, broker: from.bytes16("the broker's id")? },
            Kind::Submitted => self.submitted(&mut from, version)?,
            Kind::Leased => Record::Leased { id: from.id()?, token: from.uint()? },
            Kind::Started => Record::Started {
                id: from.id()?,
                token: from.uint()?,
                attempt: from.uint32()?,
                worker: from.text()?.into(),
                wall_ms: from.uint()?,
            },
            Kind::Requeued => Record::Requeued {
                id: from.id()?,
                token: from.uint()?,
                attempts: from.uint32()?,
                losses: from.uint32()?,
                releases: from.uint32()?,
                suspect: from.boolean()?,
                not_before_wall_ms: from.uint()?,
                wall_ms: from.uint()?,
                how: from.how()?,
                error: from.error()?,
            },
            Kind::Ended => {
                let (id, wall_ms) = (from.id()?, from.uint()?);
                Record::Ended { id, verdict: from.verdict()?.into(), wall_ms }
            }
            Kind::Forgotten => Record::Forgotten { id: from.id()? },
            Kind::Buried => Record::Buried(
                Buried {
                    id: from.id()?,
                    owner: Owner { user: from.text()?.to_owned(), name: from.text()?.to_owned() }.into(),
                    content: from.bytes()?.to_vec(),
                    outcome: from.outcome()?,
                    attempt: from.uint32()?,
                }
                .into(),
            ),
            Kind::QueueSet => Record::QueueSet(from.queue_kept(version)?.into()),
            Kind::Child => Record::Child { id: from.id()?, parent: from.id()? },
            Kind::StageClosed => Record::StageClosed { id: from.id()?, step: from.uint32()? },
            Kind::Seen => {
                Record::Seen { id: from.id()?, attempt: from.uint32()?, text: from.text()?.to_owned() }
            }
            Kind::Context => {
                Record::Context { id: from.id()?, context: Bytes::copy_from_slice(from.bytes()?) }
            }
            Kind::Collected => Record::Collected { id: from.id()?, collected: from.collected()?.into() },
            Kind::Stands => Record::Stands { id: from.id()?, standing: from.standing(version)?.into() },
        };
        if from.0.is_empty() { Ok(record) } else { Err(CodecError::Trailing) }
    }

    fn submitted(&mut self, from: &mut Reader, version: u8) -> Result<Record, CodecError> {
        let (id, sequence, wall_ms) = (from.id()?, from.uint()?, from.uint()?);
        let Shared { owner, queue, rules } = self.submitter(from)?;
        let job = Submission {
            id,
            queue,
            options: JobOptions::default(),
            reply: from.reply()?,
            resent: from.boolean()?,
            wants_progress: from.boolean()?,
            wants_partial: from.boolean()?,
            is_patient: from.boolean()?,
            content: from.bytes_or_nil()?.map(<[u8]>::to_vec),
            headers: from.headers()?,
            body: from.body()?,
            is_run: version >= 2 && from.boolean()?,
            stage: if version == 3 || version >= 4 && !from.nil() {
                Some(from.in_stage()?.into())
            } else {
                None
            },
        };
        Ok(Record::Submitted { owner, job: job.into(), rules, wall_ms, sequence, stored_len: 0 })
    }

    fn submitter(&mut self, from: &mut Reader) -> Result<Shared, CodecError> {
        let start = from.0;
        if let Some((bytes, shared)) = &self.last
            && let Some(rest) = start.strip_prefix(bytes.as_slice())
        {
            from.0 = rest;
            return Ok(shared.clone());
        }
        let (user, name, queue) = (from.text()?, from.text()?, from.text()?);
        let rules = from.rules()?;
        let bytes = &start[..start.len() - from.0.len()];
        let shared = match self.shared.get(bytes) {
            Some(shared) => shared.clone(),
            None => {
                let owner = Owner { user: user.to_owned(), name: name.to_owned() }.into();
                let queue = QueueName::new(queue).map_err(|_| CodecError::Wrong("a queue's name"))?;
                let shared = Shared { owner, queue, rules: rules.into() };
                if self.shared.len() >= SHARED_MAX {
                    self.shared.clear();
                }
                self.shared.insert(bytes.to_vec(), shared.clone());
                shared
            }
        };
        self.last = Some((bytes.to_vec(), shared.clone()));
        Ok(shared)
    }
}

/// The id at the head of the bytes of any record about a job.
pub(in crate::store) fn decode_id(bytes: &[u8]) -> Result<JobId, CodecError> {
    Reader(bytes).id()
}

/// What was not read yet.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn uint(&mut self) -> Result<u64, CodecError> {
        decode::read_int(&mut self.0).map_err(|_| CodecError::Wrong("a number"))
    }

    fn uint32(&mut self) -> Result<u32, CodecError> {
        decode::read_int(&mut self.0).map_err(|_| CodecError::Wrong("a number of 32 bits"))
    }

    /// Takes a nil, if one is next.
    fn nil(&mut self) -> bool {
        let nil = self.0.first().is_some_and(|byte| Marker::from_u8(*byte) == Marker::Null);
        if nil {
            self.0 = &self.0[1..];
        }
        nil
    }

    fn uint_or_nil(&mut self) -> Result<Option<u64>, CodecError> {
        if self.nil() { Ok(None) } else { self.uint().map(Some) }
    }

    fn uint32_or_nil(&mut self) -> Result<Option<u32>, CodecError> {
        if self.nil() { Ok(None) } else { self.uint32().map(Some) }
    }

    fn boolean(&mut self) -> Result<bool, CodecError> {
        decode::read_bool(&mut self.0).map_err(|_| CodecError::Wrong("a boolean"))
    }

    fn take(&mut self, len: u32) -> Result<&'a [u8], CodecError> {
        let (taken, rest) = self.0.split_at_checked(len as usize).ok_or(CodecError::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn text(&mut self) -> Result<&'a str, CodecError> {
        let len = decode::read_str_len(&mut self.0).map_err(|_| CodecError::Wrong("a text"))?;
        std::str::from_utf8(self.take(len)?).map_err(|_| CodecError::Wrong("a text in UTF-8"))
    }

    fn how(&mut self) -> Result<Cow<'static, str>, CodecError> {
        let how = self.text()?;
        let known = HOWS.into_iter().find(|known| *known == how);
        Ok(known.map_or_else(|| Cow::Owned(how.to_owned()), Cow::Borrowed))
    }

    fn bytes(&mut self) -> Result<&'a [u8], CodecError> {
        let len = decode::read_bin_len(&mut self.0).map_err(|_| CodecError::Wrong("bytes"))?;
        self.take(len)
    }

    fn bytes_or_nil(&mut self) -> Result<Option<&'a [u8]>, CodecError> {
        if self.nil() { Ok(None) } else { self.bytes().map(Some) }
    }

    fn bytes16(&mut self, what: &'static str) -> Result<[u8; 16], CodecError> {
        self.bytes()?.try_into().map_err(|_| CodecError::Wrong(what))
    }

    fn id(&mut self) -> Result<JobId, CodecError> {
        self.bytes16("a job's id").map(JobId)
    }

    /// How many items follow, each of at least one byte.
    fn array(&mut self) -> Result<usize, CodecError> {
        let len = decode::read_array_len(&mut self.0).map_err(|_| CodecError::Wrong("an array"))?;
        if len as usize > self.0.len() { Err(CodecError::Short) } else { Ok(len as usize) }
    }

    /// How many groups of `of` items follow.
    fn groups(&mut self, of: usize) -> Result<usize, CodecError> {
        let len = self.array()?;
        if len % of == 0 { Ok(len / of) } else { Err(CodecError::Wrong("an array of whole groups")) }
    }

    /// Begins the rules of a job: whether those about its serial key are among them.
    fn begin_rules(&mut self) -> Result<bool, CodecError> {
        match self.array()? {
            15 => Ok(false),
            17 => Ok(true),
            _ => Err(CodecError::Wrong("an array of the right length")),
        }
    }

    fn key_or_nil(&mut self) -> Result<Option<Arc<str>>, CodecError> {
        if self.nil() { Ok(None) } else { self.text().map(|key| Some(key.into())) }
    }

    fn outcome(&mut self) -> Result<Outcome, CodecError> {
        Outcome::from_number(self.uint()?).ok_or(CodecError::Wrong("an outcome"))
    }

    fn level(number: u64) -> Result<Level, CodecError> {
        let levels = [Level::Auto, Level::Volatile, Level::Durable];
        levels.into_iter().find(|level| *level as u64 == number).ok_or(CodecError::Wrong("a level"))
    }

    fn reply(&mut self) -> Result<ReplyMode, CodecError> {
        let number = self.uint()?;
        let modes = [ReplyMode::Push, ReplyMode::Keep, ReplyMode::None];
        modes.into_iter().find(|mode| *mode as u64 == number).ok_or(CodecError::Wrong("a reply mode"))
    }

    fn rules(&mut self) -> Result<JobRules, CodecError> {
        let is_serial = self.begin_rules()?;
        Ok(JobRules {
            priority: self.uint32()?,
            delay_ms: self.uint()?,
            queue_ms: self.uint()?,
            run_ms: self.uint()?,
            soft_ms: self.uint()?,
            stall_ms: self.uint()?,
            deadline_ms: self.uint()?,
            attempts: self.uint32()?,
            backoff_ms: self.uint()?,
            backoff_ms_max: self.uint()?,
            releases: self.uint32()?,
            level: Self::level(self.uint()?)?,
            result_ttl_ms: self.uint()?,
            partial_bytes: self.uint()?,
            refuse_unknown_queue: self.boolean()?,
            serial_key: if is_serial { self.key_or_nil()? } else { None },
            serial_jobs: if is_serial { self.uint32()? } else { JobRules::SERIAL_JOBS },
        })
    }

    fn queue_kept(&mut self, version: u8) -> Result<QueueKept, CodecError> {
        let queue = QueueName::new(self.text()?).map_err(|_| CodecError::Wrong("a queue's name"))?;
        let (paused, draining) = (self.boolean()?, self.boolean()?);
        let is_serial = self.begin_rules()?;
        let options = JobOptions {
            priority: self.uint32_or_nil()?,
            delay_ms: self.uint_or_nil()?,
            queue_ms: self.uint_or_nil()?,
            run_ms: self.uint_or_nil()?,
            soft_ms: self.uint_or_nil()?,
            stall_ms: self.uint_or_nil()?,
            deadline_ms: self.uint_or_nil()?,
            attempts: self.uint32_or_nil()?,
            backoff_ms: self.uint_or_nil()?,
            backoff_ms_max: self.uint_or_nil()?,
            releases: self.uint32_or_nil()?,
            level: self.uint_or_nil()?.map(Self::level).transpose()?,
            result_ttl_ms: self.uint_or_nil()?,
            partial_bytes: self.uint_or_nil()?,
            refuse_unknown_queue: if self.nil() { None } else { Some(self.boolean()?) },
            serial_key: if is_serial { self.key_or_nil()? } else { None },
            serial_jobs: if is_serial { self.uint32_or_nil()? } else { None },
        };
        let handed = if version >= 2 { self.handed()? } else { Handed::default() };
        Ok(QueueKept { queue, options, paused, draining, handed })
    }

    fn handed(&mut self) -> Result<Handed, CodecError> {
        let report_ms = self.uint_or_nil()?;
        let params = (0..self.groups(2)?)
            .map(|_| Ok((self.text()?.to_owned(), self.text()?.to_owned())))
            .collect::<Result<_, CodecError>>()?;
        Ok(Handed { params, report_ms })
    }

    /// Two empty texts stand for none.
    fn error(&mut self) -> Result<Option<Box<AttemptError>>, CodecError> {
        let (code, message) = (self.text()?.to_owned(), self.text()?.to_owned());
        let is_said = !code.is_empty() || !message.is_empty();
        Ok(is_said.then(|| Box::new(AttemptError { code, message })))
    }

    /// An empty text stands for none.
    fn evidence(&mut self) -> Result<Option<Box<str>>, CodecError> {
        Ok(Some(self.text()?).filter(|text| !text.is_empty()).map(Into::into))
    }

    fn verdict(&mut self) -> Result<Verdict, CodecError> {
        Ok(Verdict {
            outcome: self.outcome()?,
            attempt: self.uint32()?,
            code: self.text()?.to_owned(),
            message: self.text()?.to_owned(),
            detail: self.text()?.to_owned(),
            meta: self.meta()?,
            headers: self.headers()?,
            body: self.body()?,
        })
    }

    fn meta(&mut self) -> Result<Meta, CodecError> {
        let facts = self.groups(2)?;
        (0..facts).map(|_| Ok((self.text()?, self.text()?))).collect()
    }

    fn headers(&mut self) -> Result<Headers, CodecError> {
        let headers = self.groups(2)?;
        let header = |_| Ok((self.text()?.to_owned(), Bytes::copy_from_slice(self.bytes()?)));
        (0..headers).map(header).collect::<Result<_, _>>().map(Headers)
    }

    /// Copied: one small part would pin the whole buffer it was read into.
    fn body(&mut self) -> Result<Body, CodecError> {
        let parts = self.array()?;
        let part = |_| Ok(Bytes::copy_from_slice(self.bytes()?));
        (0..parts).map(part).collect::<Result<_, _>>().map(Body)
    }

    fn in_stage(&mut self) -> Result<InStage, CodecError> {
        let (run, step, place) = (self.id()?, self.text()?.to_owned(), self.uint()?);
        Ok(InStage { run, step, place, in_its_queue: false })
    }

    fn collected(&mut self) -> Result<Collected, CodecError> {
        Ok(Collected { name: self.text()?.to_owned(), number: self.uint()?, data: self.bytes()?.to_vec() })
    }

    fn standing(&mut self, version: u8) -> Result<Standing, CodecError> {
        let (token, held, begun, suspect) = (self.uint()?, self.boolean()?, self.boolean()?, self.boolean()?);
        let (attempts, losses, releases) = (self.uint32()?, self.uint32()?, self.uint32()?);
        let not_before_wall_ms = self.uint()?;
        let parent = if self.nil() { None } else { Some(self.id()?) };
        let has_evidence = version >= 3;
        let len = self.groups(if has_evidence { 8 } else { 7 })?;
        let attempt = |_| {
            Ok(Attempt {
                number: self.uint32()?,
                worker: self.text()?.into(),
                started_wall_ms: self.uint()?,
                ended_wall_ms: self.uint()?,
                how: self.how()?,
                error: self.error()?,
                evidence: if has_evidence { self.evidence()? } else { None },
            })
        };
        let history = (0..len).map(attempt).collect::<Result<_, _>>()?;
        let closed = if version >= 2 { self.array()? } else { 0 };
        let closed = (0..closed).map(|_| self.uint32()).collect::<Result<_, _>>()?;
        let is_collected = version >= 4 && !self.nil();
        let collected = if is_collected { Some(Arc::new(self.collected()?)) } else { None };
        let context = if version >= 5 { Some(Bytes::copy_from_slice(self.bytes()?)) } else { None };
        Ok(Standing {
            token,
            held,
            begun,
            attempts,
            losses,
            releases,
            suspect,
            not_before_wall_ms,
            parent,
            history,
            closed,
            collected,
            context,
        })
    }
}
