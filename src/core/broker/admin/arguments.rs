//! The arguments of one operator's command, which come as text.
//!
//! Invariant: an argument that a command does not take is refused by name, and so is a value that does not fit; the
//! refusal says what would be right.

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::core::jobs::{CollectOrder, Listed};
use crate::core::record::Handed;
use crate::model::limits::{INTERVAL_MS_MAX, LIST_MAX, PARAM_LEN_MAX};
use crate::model::{Failure, JobId, JobOptions, Level, Outcome, QueueName, Status};

/// The arguments of one command; every one must be used.
pub(in crate::core::broker) struct Arguments<'a> {
    command: &'a str,
    left: Vec<(&'a str, &'a str)>,
    /// What the command has asked for so far, for the refusal of what it does not take.
    taken: Vec<&'static str>,
}

impl<'a> Arguments<'a> {
    pub(super) fn new(command: &'a str, arguments: &'a [(String, String)]) -> Self {
        let left = arguments.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        Arguments { command, left, taken: Vec::new() }
    }

    pub(super) fn take(&mut self, key: &'static str) -> Option<&'a str> {
        self.taken.push(key);
        let at = self.left.iter().position(|(name, _)| *name == key)?;
        Some(self.left.swap_remove(at).1)
    }

    pub(in crate::core::broker) fn need(&mut self, key: &'static str) -> Result<&'a str, Failure> {
        let missing = || refuse(format!("{} needs the argument \"{key}\"", self.command));
        let value = self.left.iter().find(|(name, _)| *name == key).ok_or_else(missing)?.1;
        self.take(key);
        Ok(value)
    }

    /// The values of the keys that begin so and go on with a number, by that.
    pub(in crate::core::broker) fn numbered(&mut self, prefix: &'static str) -> Vec<&'a str> {
        self.taken.push(prefix);
        let number = |key: &str| key.strip_prefix(prefix)?.parse::<u32>().ok();
        let mut found: Vec<(u32, &str)> =
            self.left.iter().filter_map(|(key, value)| Some((number(key)?, *value))).collect();
        self.left.retain(|(key, _)| number(key).is_none());
        found.sort_by_key(|(number, _)| *number);
        found.into_iter().map(|(_, value)| value).collect()
    }

    pub(super) fn need_number(&mut self, key: &'static str) -> Result<u64, Failure> {
        let text = self.need(key)?;
        text.parse().map_err(|_| wrong(key, text, "a whole number from 0"))
    }

    pub(super) fn number_if_said(&mut self, key: &'static str) -> Result<Option<u64>, Failure> {
        let Some(text) = self.take(key) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| wrong(key, text, "a whole number from 0"))
    }

    pub(super) fn number(&mut self, key: &'static str, default: u64) -> Result<u64, Failure> {
        Ok(self.number_if_said(key)?.unwrap_or(default))
    }

    fn small_if_said(&mut self, key: &'static str) -> Result<Option<u32>, Failure> {
        let Some(number) = self.number_if_said(key)? else { return Ok(None) };
        let most = format!("at most {}", u32::MAX);
        u32::try_from(number).map(Some).map_err(|_| wrong(key, number, &most))
    }

    /// How many at most.
    pub(super) fn limit(&mut self, default: usize) -> Result<usize, Failure> {
        let limit = self.number("limit", default as u64)?;
        match usize::try_from(limit) {
            Ok(limit) if (1..=LIST_MAX).contains(&limit) => Ok(limit),
            _ => Err(wrong("limit", limit, &format!("1 to {LIST_MAX}"))),
        }
    }

    pub(super) fn queue(&mut self) -> Result<Option<QueueName>, Failure> {
        self.take("queue").map(QueueName::new).transpose()
    }

    pub(super) fn need_queue(&mut self) -> Result<QueueName, Failure> {
        QueueName::new(self.need("queue")?)
    }

    pub(super) fn id(&mut self, key: &'static str) -> Result<Option<JobId>, Failure> {
        self.take(key).map(|text| id_of(key, text)).transpose()
    }

    /// Ids with commas between them; none when nothing is said.
    pub(super) fn ids(&mut self, key: &'static str) -> Result<Vec<JobId>, Failure> {
        let text = self.take(key).unwrap_or_default();
        text.split(',').filter(|id| !id.is_empty()).map(|id| id_of(key, id)).collect()
    }

    pub(super) fn need_id(&mut self) -> Result<JobId, Failure> {
        id_of("id", self.need("id")?)
    }

    pub(super) fn need_job(&mut self) -> Result<JobId, Failure> {
        id_of("job", self.need("job")?)
    }

    /// In which order results are collected.
    pub(super) fn order(&mut self) -> Result<CollectOrder, Failure> {
        match self.take("order") {
            None | Some("completion") => Ok(CollectOrder::Completion),
            Some("submission") => Ok(CollectOrder::Submission),
            Some(other) => Err(wrong("order", other, "completion or submission")),
        }
    }

    /// Bytes, two digits for each.
    pub(super) fn bytes(&mut self, key: &'static str) -> Result<Vec<u8>, Failure> {
        let text = self.take(key).unwrap_or_default();
        let digits = text.as_bytes().chunks(2);
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = digits.map(|pair| byte(pair).filter(|_| pair.len() == 2)).collect();
        bytes.ok_or_else(|| wrong(key, text, "two hexadecimal digits for each byte"))
    }

    /// Which jobs a list is of.
    pub(super) fn listed(&mut self) -> Result<Listed, Failure> {
        let Some(name) = self.take("state") else { return Ok(Listed::Held) };
        let is = |word: &str| word.eq_ignore_ascii_case(name);
        if is("OPEN") {
            return Ok(Listed::Open);
        }
        if is("ENDED") {
            return Ok(Listed::Ended);
        }
        let known = Outcome::ALL.into_iter().find(|outcome| is(outcome.name()));
        let right = || {
            let names: Vec<&str> = Outcome::ALL.iter().map(|outcome| outcome.name()).collect();
            wrong("state", name, &format!("OPEN, ENDED, {}", names.join(", ")))
        };
        known.map(Listed::In).ok_or_else(right)
    }

    /// What the hosts of a queue are to be handed.
    pub(super) fn handed(&mut self) -> Result<Handed, Failure> {
        self.taken.push("param.*");
        let (said, left) = self.left.drain(..).partition(|(key, _)| key.starts_with("param."));
        self.left = left;
        let mut params = BTreeMap::new();
        for (key, value) in said {
            let name = &key["param.".len()..];
            if name.is_empty() || name.contains(',') || name.len().max(value.len()) > PARAM_LEN_MAX {
                let right = format!(
                    "param.NAME without a comma, and up to {PARAM_LEN_MAX} bytes of name and of value,"
                );
                return Err(wrong(key, value, &right));
            }
            params.insert(name.to_owned(), value.to_owned());
        }
        let report_ms = self.number_if_said("report_ms")?;
        if let Some(ms) = report_ms.filter(|ms| *ms > INTERVAL_MS_MAX) {
            return Err(wrong("report_ms", ms, &format!("up to {INTERVAL_MS_MAX}")));
        }
        Ok(Handed { params, report_ms })
    }

    /// Rules for the jobs of a queue: those said, and the names of those that are to be the broker's again.
    /// `sets`: something else was said.
    pub(super) fn rules(&mut self, sets: bool) -> Result<(JobOptions, Vec<String>), Failure> {
        let options = JobOptions {
            priority: self.small_if_said("priority")?,
            delay_ms: self.number_if_said("delay_ms")?,
            queue_ms: self.number_if_said("queue_ms")?,
            run_ms: self.number_if_said("run_ms")?,
            soft_ms: self.number_if_said("soft_ms")?,
            stall_ms: self.number_if_said("stall_ms")?,
            deadline_ms: self.number_if_said("deadline_ms")?,
            attempts: self.small_if_said("attempts")?,
            backoff_ms: self.number_if_said("backoff_ms")?,
            backoff_ms_max: self.number_if_said("backoff_ms_max")?,
            releases: self.small_if_said("releases")?,
            result_ttl_ms: self.number_if_said("result_ttl_ms")?,
            partial_bytes: self.number_if_said("partial_bytes")?,
            level: match self.take("level") {
                None => None,
                Some("auto") => Some(Level::Auto),
                Some("volatile") => Some(Level::Volatile),
                Some("durable") => Some(Level::Durable),
                Some(other) => return Err(wrong("level", other, "auto, volatile or durable")),
            },
            refuse_unknown_queue: match self.take("unknown_queue") {
                None => None,
                Some("wait") => Some(false),
                Some("refuse") => Some(true),
                Some(other) => return Err(wrong("unknown_queue", other, "wait or refuse")),
            },
            serial_key: self.take("serial_key").map(Into::into),
            serial_jobs: self.small_if_said("serial_jobs")?,
        };
        let unset: Vec<String> = self
            .take("unset")
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        if !sets && self.left.is_empty() && unset.is_empty() && options == JobOptions::default() {
            return Err(refuse(format!(
                "{} sets nothing; give it a rule for jobs such as attempts, or unset",
                self.command
            )));
        }
        Ok((options, unset))
    }

    /// Refuses what was not used.
    pub(in crate::core::broker) fn finish(self) -> Result<(), Failure> {
        let Some((key, _)) = self.left.first() else { return Ok(()) };
        let takes = match self.taken.as_slice() {
            [] => "it takes none".to_owned(),
            taken => format!("it takes {}", taken.join(", ")),
        };
        Err(refuse(format!("{} has no argument \"{key}\"; {takes}", self.command)))
    }
}

fn id_of(key: &str, text: &str) -> Result<JobId, Failure> {
    JobId::parse(text).ok_or_else(|| wrong(key, text, "a job's id, a UUID of 36 characters,"))
}

pub(in crate::core::broker) fn wrong(key: &str, value: impl Display, right: &str) -> Failure {
    let value = value.to_string();
    let shown: String = value.chars().take(60).flat_map(char::escape_debug).collect();
    refuse(format!("argument \"{key}\" is \"{shown}\"; {right} is right"))
}

fn refuse(message: String) -> Failure {
    Failure::new(Status::Argument, message)
}
