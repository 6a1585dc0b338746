//! News of a job, as the application reads it: a result, or what `next`, `peek` and `admin` hand over.

use std::fmt::{self, Write};

use bytes::Bytes;

use crate::core::client::{Delivery, Kind, News};
use crate::model::{Body, BodyFrames, Failure, Headers, JobId, Meta, Outcome};

/// One piece of news about a job. Cheap to clone; what its getters lend lives as long as the value.
#[derive(Clone)]
pub struct JobResult(Delivery);

static NO_BODY: Body = Body(BodyFrames::new_const());
static NO_HEADERS: Headers = Headers(Vec::new());
static NO_META: Meta = Meta::new();

impl JobResult {
    pub(crate) fn new(delivery: Delivery) -> Self {
        JobResult(delivery)
    }

    /// JSON text that answers an operator's command or a question about the handle.
    pub(crate) fn text_of(text: impl Into<Bytes>) -> Self {
        Self::new(Delivery { id: JobId::default(), tag: 0, news: News::Text(Body::one(text)) })
    }

    /// The job; zero in answers that are not about one.
    pub fn id(&self) -> JobId {
        self.0.id
    }

    /// What it is about.
    pub fn kind(&self) -> Kind {
        self.0.news.kind()
    }

    /// How the job ended, or stands as far as this piece of news tells.
    pub fn outcome(&self) -> Outcome {
        match &self.0.news {
            News::Ended(verdict) => verdict.outcome,
            News::State { state, .. } => *state,
            News::Refused(_) => Outcome::Rejected,
            News::Progress { .. } | News::Partial { .. } => Outcome::Running,
            News::Accepted => Outcome::Waiting,
            News::Text(_) => Outcome::Done,
        }
    }

    /// How often the job had been started.
    pub fn attempt(&self) -> u32 {
        match &self.0.news {
            News::Ended(verdict) => verdict.attempt,
            News::State { attempt, .. } | News::Progress { attempt, .. } | News::Partial { attempt, .. } => {
                *attempt
            }
            News::Accepted | News::Refused(_) | News::Text(_) => 0,
        }
    }

    /// What the application gave with the job.
    pub fn tag(&self) -> u64 {
        self.0.tag
    }

    /// The number of a partial result, from 0 in each attempt.
    pub fn sequence(&self) -> u64 {
        match self.0.news {
            News::Partial { sequence, .. } => sequence,
            _ => 0,
        }
    }

    /// How far the job is, 0 to 1.
    pub fn progress(&self) -> f64 {
        match &self.0.news {
            News::Progress { fraction, .. } | News::State { fraction, .. } => *fraction,
            News::Ended(verdict) if verdict.outcome == Outcome::Done => 1.0,
            _ => 0.0,
        }
    }

    /// The frames of the result.
    pub fn body(&self) -> &Body {
        match &self.0.news {
            News::Ended(verdict) => &verdict.body,
            News::Partial { body, .. } | News::Text(body) => body,
            _ => &NO_BODY,
        }
    }

    /// The first frame; empty when there is none.
    pub fn data(&self) -> &[u8] {
        self.frame(0).map_or(&[], |frame| frame)
    }

    /// How many frames there are.
    pub fn frames(&self) -> usize {
        self.body().0.len()
    }

    /// One frame.
    pub fn frame(&self, i: usize) -> Option<&Bytes> {
        self.body().0.get(i)
    }

    /// The first frame as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.data()).into_owned()
    }

    /// The result's headers.
    pub fn headers(&self) -> &Headers {
        match &self.0.news {
            News::Ended(verdict) => &verdict.headers,
            _ => &NO_HEADERS,
        }
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_ref())
    }

    /// A short word for programs that says why the job failed, such as "abandoned"; empty when there is none.
    pub fn code(&self) -> &str {
        match &self.0.news {
            News::Ended(verdict) => &verdict.code,
            News::Refused(failure) => failure.status.name(),
            _ => "",
        }
    }

    /// The same as one sentence for people; of progress, its note.
    pub fn message(&self) -> &str {
        match &self.0.news {
            News::Ended(verdict) => &verdict.message,
            News::Refused(failure) => &failure.message,
            News::Progress { note, .. } => note,
            _ => "",
        }
    }

    /// More, such as a traceback.
    pub fn detail(&self) -> &str {
        match &self.0.news {
            News::Ended(verdict) => &verdict.detail,
            _ => "",
        }
    }

    /// Why the broker did not take the job, when that is the news.
    pub fn failure(&self) -> Option<Failure> {
        match &self.0.news {
            News::Refused(failure) => Some(failure.clone()),
            _ => None,
        }
    }

    /// What the broker and the worker know of the job: attempts, worker, times.
    pub fn meta(&self) -> &Meta {
        match &self.0.news {
            News::Ended(verdict) => &verdict.meta,
            _ => &NO_META,
        }
    }

    /// The same as a JSON object of strings.
    pub fn meta_json(&self) -> String {
        let mut json = String::from("{");
        for (i, (name, value)) in self.meta().iter().enumerate() {
            if i > 0 {
                json.push(',');
            }
            push_json_text(&mut json, name);
            json.push(':');
            push_json_text(&mut json, &value);
        }
        json.push('}');
        json
    }
}

/// Appends `text` as a JSON string (RFC 8259, section 7).
fn push_json_text(json: &mut String, text: &str) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            c if c < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(json, "\\u{:04x}", c as u32);
            }
            c => json.push(c),
        }
    }
    json.push('"');
}

impl fmt::Debug for JobResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobResult")
            .field("id", &self.id())
            .field("kind", &self.kind())
            .field("outcome", &self.outcome())
            .field("len", &self.body().len())
            .field("message", &self.message())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::Verdict;

    #[test]
    fn meta_is_json_whatever_it_holds() {
        let verdict = Verdict {
            outcome: Outcome::Failed,
            attempt: 2,
            body: Body::default(),
            headers: Headers::default(),
            code: "x".into(),
            message: "m".into(),
            detail: "d".into(),
            meta: Meta::from_iter([("a\"b", "line\nbreak \\"), ("worker", "größe")]),
        };
        let delivery = Delivery { id: JobId([7; 16]), tag: 3, news: News::Ended(Arc::new(verdict)) };
        let result = JobResult::new(delivery);
        assert_eq!(result.meta_json(), r#"{"worker":"größe","a\"b":"line\u000abreak \\"}"#);
        assert_eq!((result.data(), result.frames(), result.attempt(), result.tag()), (&[][..], 0, 2, 3));
        assert_eq!((result.code(), result.message(), result.detail()), ("x", "m", "d"));
    }
}
