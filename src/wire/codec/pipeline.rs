//! A pipeline as the body of the run that executes it: one part, in msgpack. docs/PROTOCOL.md, "Runs".
//!
//! Total: any bytes are a sound pipeline or a named failure.

use bytes::{Bytes, BytesMut};

use crate::model::pipeline::{Need, Step};
use crate::model::{Body, Failure, Pipeline, QueueName, Status, StepKind, limits};
use crate::wire::codec::reader::Reader;
use crate::wire::codec::to_broker::{read_options, write_options};
use crate::wire::codec::writer::Writer;
use crate::wire::error::WireError;

/// The step is an open stage.
const FLAG_OPEN: u64 = 1;
/// The step is one job for each frame of the results it takes.
const FLAG_EACH: u64 = 1 << 1;
/// A collector takes the results of the step.
const FLAG_COLLECTED: u64 = 1 << 2;
/// The run goes on when the step fails.
const FLAG_MAY_FAIL: u64 = 1 << 3;
/// A run of the pipeline waits for its context.
const FLAG_HELD: u64 = 1;
/// Elements of a step.
const STEP_LEN: u32 = 7;

/// The pipeline as a run's body.
pub fn encode(pipeline: &Pipeline) -> Body {
    let (mut bytes, mut frames) = (BytesMut::new(), Vec::new());
    let mut w = Writer::new(&mut bytes, &mut frames);
    w.array(if pipeline.is_held() { 2 } else { 1 });
    w.array(pipeline.steps().len() as u32);
    for step in pipeline.steps() {
        w.array(STEP_LEN);
        w.text(&step.name, usize::MAX);
        w.text(step.queue.as_str(), usize::MAX);
        w.array(step.body.0.len() as u32);
        step.body.0.iter().for_each(|part| w.bytes(part));
        w.headers(&step.headers);
        write_options(&step.options, &mut w);
        w.uint(flags_of(step));
        w.array(step.needs.len() as u32);
        for need in &step.needs {
            w.uint(u64::from(need.step) << 1 | u64::from(need.is_input));
        }
    }
    if pipeline.is_held() {
        w.uint(FLAG_HELD);
    }
    Body::one(bytes.freeze())
}

/// The pipeline that a run's body says, under the run's name. Payloads share the body's bytes.
///
/// # Errors
/// `ERR_ARGUMENT` for what is no pipeline, else as for [`Pipeline::new`].
pub fn decode(name: &QueueName, body: &Body) -> Result<Pipeline, Failure> {
    let [bytes] = body.0.as_slice() else {
        let message = format!("a run's body has {} parts; one, with its pipeline, is right", body.0.len());
        return Err(Failure::new(Status::Argument, message));
    };
    let (steps, flags) = read(bytes).map_err(|wrong| {
        Failure::new(Status::Argument, format!("the run's body is no pipeline: it {wrong}"))
    })??;
    Ok(Pipeline::new(name.clone(), steps)?.held(flags & FLAG_HELD != 0))
}

fn read(bytes: &Bytes) -> Result<Result<(Vec<Step>, u64), Failure>, WireError> {
    let mut r = Reader::new(bytes, &[]);
    // Elements behind those known here are left to later versions.
    let elements = r.array_value(1)?.unwrap_or(0);
    if elements == 0 {
        return Err(WireError::Type("the steps"));
    }
    // No step takes fewer bytes than it has elements.
    let len = r.array_value(STEP_LEN as usize)?.unwrap_or(0);
    if len > limits::RUN_STEPS_MAX {
        return Err(WireError::TooMany("steps"));
    }
    let mut steps = Vec::with_capacity(len);
    for _ in 0..len {
        r.open()?;
        match read_step(&mut r, bytes)? {
            Ok(step) => steps.push(step),
            Err(failure) => return Ok(Err(failure)),
        }
        r.end()?;
    }
    let flags = if elements > 1 { r.uint_value()?.unwrap_or(0) } else { 0 };
    r.skip(elements.saturating_sub(2))?;
    r.finish()?;
    Ok(Ok((steps, flags)))
}

fn read_step(r: &mut Reader<'_>, all: &Bytes) -> Result<Result<Step, Failure>, WireError> {
    // One byte over the limit is kept, so that a longer name is refused by name and not taken for a shorter.
    let name = r.text(limits::STEP_NAME_LEN_MAX + 1)?;
    let queue = QueueName::new(&r.text(limits::QUEUE_NAME_LEN_MAX + 1)?);
    let mut body = Body::default();
    for _ in 0..r.array(1)? {
        body.0.push(all.slice_ref(r.bytes_value()?.unwrap_or_default()));
    }
    let headers = r.headers()?;
    let options = read_options(r)?;
    let flags = r.uint()?;
    let len = r.array(1)?;
    let mut needs = Vec::with_capacity(len);
    for _ in 0..len {
        let need = r.uint_value()?.unwrap_or(0);
        let step = u32::try_from(need >> 1).map_err(|_| WireError::Value("need"))?;
        needs.push(Need { step, is_input: need & 1 == 1 });
    }
    let kind = match (flags & FLAG_OPEN != 0, flags & FLAG_EACH != 0) {
        (false, false) => StepKind::Job,
        (true, false) => StepKind::Open,
        (false, true) => StepKind::Each,
        (true, true) => return Err(WireError::Value("flags of a step")),
    };
    let (may_fail, is_collected) = (flags & FLAG_MAY_FAIL != 0, flags & FLAG_COLLECTED != 0);
    let step = || {
        Ok(Step {
            name,
            kind,
            queue: queue?,
            body,
            headers,
            options: options?,
            needs,
            may_fail,
            is_collected,
        })
    };
    Ok(step())
}

fn flags_of(step: &Step) -> u64 {
    let kind = match step.kind {
        StepKind::Job => 0,
        StepKind::Open => FLAG_OPEN,
        StepKind::Each => FLAG_EACH,
    };
    let may_fail = if step.may_fail { FLAG_MAY_FAIL } else { 0 };
    kind | may_fail | if step.is_collected { FLAG_COLLECTED } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Headers, JobOptions};

    fn step(name: &str, needs: Vec<Need>) -> Step {
        Step {
            name: name.into(),
            kind: StepKind::Job,
            queue: QueueName::new("q").unwrap(),
            body: Body::from(vec![Bytes::from_static(b"one"), Bytes::new(), vec![7; 70_000].into()]),
            headers: Headers(vec![("unit".into(), Bytes::from_static(b"mm"))]),
            options: JobOptions { attempts: Some(5), delay_ms: Some(7), ..JobOptions::default() },
            needs,
            may_fail: name == "b",
            is_collected: false,
        }
    }

    fn pipeline() -> Pipeline {
        let needs = vec![Need { step: 0, is_input: true }, Need { step: 1, is_input: false }];
        let stage =
            Step { kind: StepKind::Open, body: Body::default(), is_collected: true, ..step("d", vec![]) };
        let each = Step { kind: StepKind::Each, ..step("e", vec![Need { step: 3, is_input: true }]) };
        let steps = vec![step("a", vec![]), step("b", vec![]), step("c", needs), stage, each];
        Pipeline::new(QueueName::new("p").unwrap(), steps).unwrap().held(true)
    }

    #[test]
    fn a_pipeline_survives_the_way() {
        let pipeline = pipeline();
        assert_eq!(decode(pipeline.name(), &encode(&pipeline)), Ok(pipeline));
    }

    #[test]
    fn every_prefix_and_every_flipped_byte_is_a_pipeline_or_a_named_failure() {
        let pipeline = Pipeline::new(
            QueueName::new("p").unwrap(),
            vec![Step { body: Body::one(&b"x"[..]), ..step("a", vec![]) }],
        )
        .unwrap();
        let whole = encode(&pipeline).0.remove(0);
        for len in 0..whole.len() {
            let failure = decode(pipeline.name(), &Body::one(whole.slice(..len))).unwrap_err();
            assert!(failure.message.contains("no pipeline"), "{failure}");
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.to_vec();
                bytes[at] ^= 1 << bit;
                // Whatever it is now, it is read to an end.
                drop(decode(pipeline.name(), &Body::one(bytes)));
            }
        }
        assert!(decode(pipeline.name(), &Body::default()).is_err());
    }
}
