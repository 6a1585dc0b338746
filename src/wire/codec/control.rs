//! The commands without a number: HELLO, WELCOME, WHO, GOODBYE, REFUSE, BEAT and BEAT_REPLY.

use crate::model::{Failure, Status, limits};
use crate::wire::codec::reader::Reader;
use crate::wire::codec::writer::Writer;
use crate::wire::command::{Control, Hello, PeerKind, Secret, Terms, Welcome};
use crate::wire::error::WireError;

/// The keys of HELLO's and WELCOME's maps are short; a longer one is not known.
const KEY_LEN_MAX: usize = 32;

impl Control {
    /// Writes the command.
    pub fn encode(&self, w: &mut Writer<'_>) {
        match self {
            Control::Hello(hello) => {
                w.begin(1, 1);
                write_hello(hello, w);
            }
            Control::Welcome(welcome) => {
                w.begin(2, 1);
                write_welcome(welcome, w);
            }
            Control::Who => w.begin(3, 0),
            Control::Goodbye(reason) => {
                w.begin(4, 1);
                w.text(reason, limits::TEXT_LEN_MAX);
            }
            Control::Refuse(failure) => {
                w.begin(5, 2);
                w.int(failure.status as i64);
                w.text(&failure.message, limits::TEXT_LEN_MAX);
            }
            Control::Beat(leases) => {
                w.begin(6, 1);
                w.leases(leases);
            }
            Control::BeatReply(leases) => {
                w.begin(7, 1);
                w.leases(leases);
            }
        }
    }

    /// Reads the elements of the command with this code; `None` when this version does not know it.
    ///
    /// # Errors
    /// What cannot be read, by name.
    pub fn decode(code: u64, r: &mut Reader<'_>) -> Result<Option<Self>, WireError> {
        Ok(Some(match code {
            1 => Control::Hello(read_hello(r)?),
            2 => Control::Welcome(read_welcome(r)?),
            3 => Control::Who,
            4 => Control::Goodbye(r.text(limits::TEXT_LEN_MAX)?),
            5 => {
                let status = read_status(r)?;
                Control::Refuse(Failure::new(status, r.text(limits::TEXT_LEN_MAX)?))
            }
            6 => Control::Beat(r.leases()?),
            7 => Control::BeatReply(r.leases()?),
            _ => return Ok(None),
        }))
    }
}

/// A status; one this version does not know means that the other side speaks another one.
pub(crate) fn read_status(r: &mut Reader<'_>) -> Result<Status, WireError> {
    Ok(Status::from_number(r.int_or_nil()?.unwrap_or(0)).unwrap_or(Status::Protocol))
}

fn write_hello(hello: &Hello, w: &mut Writer<'_>) {
    w.map(12);
    key_uint(w, "min", u64::from(hello.min));
    key_uint(w, "max", u64::from(hello.max));
    key_text(w, "kind", hello.kind.name());
    key(w, "session");
    w.bytes(&hello.session.0);
    key_uint(w, "hello", hello.hello);
    key_uint(w, "welcomed", hello.welcomed);
    key_uint(w, "received", hello.received);
    key_text(w, "name", &hello.name);
    key_text(w, "host", &hello.host);
    key_uint(w, "pid", u64::from(hello.pid));
    key_text(w, "version", &hello.version);
    write_features(&hello.features, w);
}

fn read_hello(r: &mut Reader<'_>) -> Result<Hello, WireError> {
    let mut kind = None;
    let mut session = None;
    let mut hello = Hello {
        min: 0,
        max: 0,
        kind: PeerKind::Client,
        session: Secret([0; 16]),
        hello: 0,
        welcomed: 0,
        received: 0,
        name: String::new(),
        host: String::new(),
        pid: 0,
        version: String::new(),
        features: Vec::new(),
    };
    for _ in 0..r.map()? {
        match r.key(KEY_LEN_MAX)?.as_str() {
            "min" => hello.min = clamped(r)?,
            "max" => hello.max = clamped(r)?,
            "kind" => kind = PeerKind::from_name(&r.text_value(KEY_LEN_MAX)?),
            "session" => session = Some(Secret(bytes16(r)?)),
            "hello" => hello.hello = uint(r)?,
            "welcomed" => hello.welcomed = uint(r)?,
            "received" => hello.received = uint(r)?,
            "name" => hello.name = r.text_value(limits::NAME_LEN_MAX)?,
            "host" => hello.host = r.text_value(limits::NAME_LEN_MAX)?,
            "pid" => hello.pid = u32::try_from(uint(r)?).unwrap_or(0),
            "version" => hello.version = r.text_value(limits::NAME_LEN_MAX)?,
            "features" => hello.features = read_features(r)?,
            _ => r.skip(1)?,
        }
    }
    hello.kind = kind.ok_or(WireError::Value("kind"))?;
    hello.session = session.ok_or(WireError::Value("session"))?;
    Ok(hello)
}

fn write_welcome(welcome: &Welcome, w: &mut Writer<'_>) {
    let terms = &welcome.terms;
    w.map(19);
    key_uint(w, "major", u64::from(welcome.major));
    key_uint(w, "incarnation", u64::from(welcome.incarnation));
    key_uint(w, "hello", welcome.hello);
    key(w, "fresh");
    w.boolean(welcome.fresh);
    key_uint(w, "received", welcome.received);
    key(w, "broker");
    w.bytes(&terms.broker);
    key_uint(w, "epoch", terms.epoch);
    key_uint(w, "wall_ms", terms.wall_ms);
    key_uint(w, "payload_max", terms.payload_max);
    key_uint(w, "frames_max", terms.frames_max);
    key_uint(w, "headers_max", terms.headers_max);
    key_uint(w, "window_bytes", terms.window_bytes);
    key_uint(w, "beat_ms", terms.beat_ms);
    key_uint(w, "lease_ms", terms.lease_ms);
    key_uint(w, "reattach_ms", terms.reattach_ms);
    key_uint(w, "submit_jobs", terms.submit_jobs);
    key(w, "durable");
    w.boolean(terms.durable);
    key_text(w, "version", &terms.version);
    write_features(&terms.features, w);
}

fn read_welcome(r: &mut Reader<'_>) -> Result<Welcome, WireError> {
    let mut welcome = Welcome {
        major: 0,
        incarnation: 0,
        hello: 0,
        fresh: false,
        received: 0,
        terms: Terms {
            broker: [0; 16],
            epoch: 0,
            wall_ms: 0,
            payload_max: 0,
            frames_max: 0,
            headers_max: 0,
            window_bytes: 0,
            beat_ms: 0,
            lease_ms: 0,
            reattach_ms: 0,
            submit_jobs: 0,
            durable: false,
            version: String::new(),
            features: Vec::new(),
        },
    };
    let terms = &mut welcome.terms;
    for _ in 0..r.map()? {
        match r.key(KEY_LEN_MAX)?.as_str() {
            "major" => welcome.major = clamped(r)?,
            "incarnation" => {
                welcome.incarnation = u32::try_from(uint(r)?).map_err(|_| WireError::Value("incarnation"))?;
            }
            "hello" => welcome.hello = uint(r)?,
            "fresh" => welcome.fresh = r.boolean_value()?,
            "received" => welcome.received = uint(r)?,
            "broker" => terms.broker = bytes16(r)?,
            "epoch" => terms.epoch = uint(r)?,
            "wall_ms" => terms.wall_ms = uint(r)?,
            "payload_max" => terms.payload_max = uint(r)?,
            "frames_max" => terms.frames_max = uint(r)?,
            "headers_max" => terms.headers_max = uint(r)?,
            "window_bytes" => terms.window_bytes = uint(r)?,
            "beat_ms" => terms.beat_ms = interval(r)?,
            "lease_ms" => terms.lease_ms = interval(r)?,
            "reattach_ms" => terms.reattach_ms = interval(r)?,
            "submit_jobs" => terms.submit_jobs = uint(r)?,
            "durable" => terms.durable = r.boolean_value()?,
            "version" => terms.version = r.text_value(limits::NAME_LEN_MAX)?,
            "features" => terms.features = read_features(r)?,
            _ => r.skip(1)?,
        }
    }
    if welcome.incarnation == 0 {
        return Err(WireError::Value("incarnation"));
    }
    Ok(welcome)
}

fn write_features(features: &[String], w: &mut Writer<'_>) {
    key(w, "features");
    w.array(features.len() as u32);
    for feature in features {
        w.text(feature, limits::NAME_LEN_MAX);
    }
}

/// Features; those beyond the limit are dropped.
fn read_features(r: &mut Reader<'_>) -> Result<Vec<String>, WireError> {
    let len = r.array_value(1)?.unwrap_or(0);
    let kept = len.min(limits::FEATURES_MAX);
    let mut features = Vec::with_capacity(kept);
    for _ in 0..kept {
        features.push(r.text_value(limits::NAME_LEN_MAX)?);
    }
    r.skip(len - kept)?;
    Ok(features)
}

fn key(w: &mut Writer<'_>, key: &str) {
    w.text(key, KEY_LEN_MAX);
}

fn key_uint(w: &mut Writer<'_>, name: &str, value: u64) {
    key(w, name);
    w.uint(value);
}

fn key_text(w: &mut Writer<'_>, name: &str, value: &str) {
    key(w, name);
    w.text(value, limits::NAME_LEN_MAX);
}

fn uint(r: &mut Reader<'_>) -> Result<u64, WireError> {
    Ok(r.uint_value()?.unwrap_or(0))
}

/// A major: what is larger than any is the largest.
fn clamped(r: &mut Reader<'_>) -> Result<u8, WireError> {
    Ok(u8::try_from(uint(r)?).unwrap_or(u8::MAX))
}

fn interval(r: &mut Reader<'_>) -> Result<u64, WireError> {
    Ok(uint(r)?.min(limits::INTERVAL_MS_MAX))
}

fn bytes16(r: &mut Reader<'_>) -> Result<[u8; 16], WireError> {
    r.bytes_value()?.unwrap_or_default().try_into().map_err(|_| WireError::Type("16 bytes"))
}
