//! Every command there and back, the examples of docs/PROTOCOL.md, and bytes nobody meant.

use std::fmt::Debug;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::model::{
    Body, Completion, Failure, Headers, InStage, JobId, JobOptions, Lease, Level, Meta, Outcome, QueueName,
    ReplyMode, Status, Stop, Submission, Verdict, limits,
};
use crate::wire::codec::{Chunk, Command, Numbered, Writer};
use crate::wire::command::{
    Control, Fault, FromBroker, GetMode, Grant, Hello, PeerKind, Presented, Retry, Secret, Terms, ToBroker,
    Welcome,
};
use crate::wire::{Header, Packet, WireError, control_packet};

const ID: JobId = JobId([1, 2, 3, 4, 5, 6, 0x77, 8, 0x89, 10, 11, 12, 13, 14, 15, 16]);
const LEASE: Lease = Lease { slot: 70_000, token: (1 << 40) | 7 };

/// A generator of test cases (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

fn body() -> Body {
    Body::from(vec![
        Bytes::from_static(b"small"),
        Bytes::new(),
        Bytes::from(vec![5; limits::INLINE_LEN_MAX + 1]),
        Bytes::from(vec![6; limits::INLINE_LEN_MAX]),
        Bytes::from(vec![7; limits::FRAME_LEN_MAX]),
    ])
}

fn headers() -> Headers {
    Headers(vec![("größe".into(), Bytes::from_static(&[0, 255])), (String::new(), Bytes::new())])
}

fn meta() -> Meta {
    Meta::from_iter([("worker", "w1"), ("host", "")])
}

fn queue() -> QueueName {
    QueueName::new("bilder/größe ändern").expect("a queue's name")
}

fn options() -> JobOptions {
    JobOptions {
        priority: Some(8),
        delay_ms: Some(0),
        queue_ms: Some(u64::MAX),
        run_ms: Some(4),
        soft_ms: Some(5),
        stall_ms: Some(6),
        deadline_ms: Some(7),
        attempts: Some(u32::MAX),
        backoff_ms: Some(9),
        backoff_ms_max: Some(10),
        releases: Some(11),
        level: Some(Level::Durable),
        result_ttl_ms: Some(13),
        partial_bytes: Some(14),
        refuse_unknown_queue: Some(true),
        serial_key: Some("größe".into()),
        serial_jobs: Some(17),
    }
}

fn submission() -> Submission {
    Submission::new(ID, queue(), Body::one("hi"))
}

fn to_broker() -> Vec<ToBroker> {
    let fault = |retry| Fault {
        retry,
        code: "oops".into(),
        message: "it went wrong".into(),
        detail: "line 1\nline 2".into(),
        meta: meta(),
    };
    vec![
        ToBroker::Submit(Arc::new(submission())),
        ToBroker::Submit(Arc::new(Submission {
            body: body(),
            headers: headers(),
            options: options(),
            resent: true,
            reply: ReplyMode::None,
            content: Some(vec![1; limits::CONTENT_LEN_MAX]),
            wants_progress: true,
            wants_partial: true,
            is_patient: true,
            is_run: false,
            stage: Some(Box::new(InStage { run: ID, step: "many".into(), place: 0, in_its_queue: true })),
            ..submission()
        })),
        ToBroker::Submit(Arc::new(Submission {
            body: Body::default(),
            options: JobOptions {
                level: Some(Level::Volatile),
                refuse_unknown_queue: Some(false),
                ..JobOptions::default()
            },
            reply: ReplyMode::Keep,
            content: Some(vec![]),
            ..submission()
        })),
        ToBroker::Cancel { id: ID, reason: "not needed".into(), own: true },
        ToBroker::Get { id: ID, mode: GetMode::Peek },
        ToBroker::Get { id: ID, mode: GetMode::Watch },
        ToBroker::Forget(vec![]),
        ToBroker::Forget(vec![ID; 20]),
        ToBroker::ResultCredit(u64::MAX),
        ToBroker::Admin { tag: 3, command: "status".into(), arguments: vec![("a".into(), "b".into())] },
        ToBroker::Register { queue: "q".into(), slots: 4, weight: 1 },
        ToBroker::Unregister { queue: "q".into() },
        ToBroker::Demand { jobs: 300, bytes: 1 << 33 },
        ToBroker::Start(LEASE),
        ToBroker::Done {
            lease: LEASE,
            completion: Arc::new(Completion { body: body(), headers: headers(), meta: meta() }),
        },
        ToBroker::Done { lease: LEASE, completion: Default::default() },
        ToBroker::Failed { lease: LEASE, fault: Arc::new(fault(Retry::Policy)) },
        ToBroker::Failed { lease: LEASE, fault: Arc::new(fault(Retry::Never)) },
        ToBroker::Failed { lease: LEASE, fault: Arc::new(fault(Retry::Crashed)) },
        ToBroker::Failed { lease: LEASE, fault: Arc::new(fault(Retry::AfterMs(5_000))) },
        ToBroker::Release { lease: LEASE, delay_ms: 100 },
        ToBroker::Unstarted(LEASE),
        ToBroker::Progress { lease: LEASE, fraction: 0.25, note: "a quarter".into() },
        ToBroker::Partial { lease: LEASE, sequence: 9, body: Body::one("part") },
        ToBroker::Present(Presented {
            id: ID,
            queue: "q".into(),
            broker: [8; 16],
            token: LEASE.token,
            attempt: 2,
            answered: true,
        }),
        ToBroker::Unknown(99),
        ToBroker::Unknown(200),
    ]
}

fn verdict() -> Verdict {
    Verdict {
        outcome: Outcome::Failed,
        attempt: 3,
        body: body(),
        headers: headers(),
        code: "oops".into(),
        message: "it went wrong".into(),
        detail: "line 1".into(),
        meta: meta(),
    }
}

fn from_broker() -> Vec<FromBroker> {
    let grant = Grant {
        lease: LEASE,
        id: ID,
        queue: queue(),
        body: body(),
        headers: headers(),
        attempt: 1,
        attempts_max: 3,
        time_left_ms: Some(12_345),
        run_ms: 1_800_000,
        soft_ms: 60_000,
        partial_bytes: 16 << 20,
        wants_progress: true,
        wants_partial: false,
    };
    vec![
        FromBroker::Refused { id: ID, failure: Failure::busy("full", 100) },
        FromBroker::Refused { id: ID, failure: Failure::new(Status::Conflict, "other content") },
        FromBroker::Result { id: ID, verdict: Arc::new(verdict()) },
        FromBroker::Result { id: ID, verdict: Arc::new(Verdict { code: String::new(), ..verdict() }) },
        FromBroker::ProgressOf { id: ID, attempt: 1, fraction: 1.0, note: String::new() },
        FromBroker::PartialOf { id: ID, attempt: 1, sequence: 0, body: body() },
        FromBroker::State {
            id: ID,
            status: Status::NotFound,
            state: Outcome::Waiting,
            attempt: 0,
            fraction: 0.0,
        },
        FromBroker::CancelReply { id: ID, status: Status::State, message: "it had ended".into() },
        FromBroker::SubmitCredit(20_000),
        FromBroker::Reply { tag: 3, status: Status::Ok, body: Body::one("{}"), message: String::new() },
        FromBroker::Grant(Box::new(Grant { time_left_ms: None, wants_partial: true, ..grant.clone() })),
        FromBroker::Grant(Box::new(grant)),
        FromBroker::Revoke { lease: LEASE, why: Stop(5) },
        FromBroker::Recall(LEASE),
        FromBroker::Adopt { id: ID, lease: LEASE },
        FromBroker::Drop(ID),
        FromBroker::RegisterRefused { queue: "q".into(), failure: Failure::new(Status::Denied, "no") },
        FromBroker::Drain { stops: false },
        FromBroker::Drain { stops: true },
        FromBroker::Stale(LEASE),
        FromBroker::Unsupported { number: 5, code: 99 },
        FromBroker::Unknown(126),
        FromBroker::Unknown(1 << 40),
    ]
}

fn hello() -> Hello {
    Hello {
        min: 1,
        max: 3,
        kind: PeerKind::Worker,
        session: Secret([9; 16]),
        hello: 2,
        welcomed: 1,
        received: 77,
        name: "name".into(),
        host: "host".into(),
        pid: 4_242,
        version: "0.1.0".into(),
        features: vec!["a".into(), "b".into()],
    }
}

fn welcome() -> Welcome {
    Welcome {
        major: 1,
        incarnation: u32::MAX,
        hello: 2,
        fresh: true,
        received: 5,
        terms: Terms {
            broker: [4; 16],
            epoch: 3,
            wall_ms: 1_700_000_000_000,
            payload_max: 64 << 20,
            frames_max: 1_024,
            headers_max: 65_536,
            window_bytes: 8 << 20,
            beat_ms: 5_000,
            lease_ms: 30_000,
            reattach_ms: 500,
            submit_jobs: 10_000,
            durable: true,
            version: "0.1.0".into(),
            features: vec![],
        },
    }
}

fn controls() -> Vec<Control> {
    vec![
        Control::Hello(hello()),
        Control::Welcome(welcome()),
        Control::Who,
        Control::Goodbye("bye".into()),
        Control::Refuse(Failure::new(Status::Protocol, "too new")),
        Control::Beat(vec![]),
        Control::Beat(vec![LEASE, Lease { slot: 0, token: 1 }]),
        Control::BeatReply(vec![LEASE]),
    ]
}

/// One packet of these commands; parts that are transfers are not sent.
fn packet<C: Command>(commands: &[C]) -> Vec<Bytes> {
    let mut bytes = BytesMut::new();
    let mut frames = vec![Bytes::new()];
    Header { count: commands.len() as u16, incarnation: 5, first: 1, ..Header::default() }.encode(&mut bytes);
    for command in commands {
        command.encode(&mut Writer::new(&mut bytes, &mut frames));
    }
    frames[0] = bytes.freeze();
    frames
}

fn read<C: Command>(frames: &[Bytes]) -> Result<Vec<Numbered<C>>, WireError> {
    let mut out = Vec::new();
    Packet::open(frames)?.commands(&mut out)?;
    Ok(out)
}

fn plain<C>(command: C) -> Numbered<C> {
    Numbered::Command { command, transfers: vec![] }
}

fn round_trip<C: Command + Clone + PartialEq + Debug>(commands: Vec<C>) {
    for command in &commands {
        let frames = packet(std::slice::from_ref(command));
        assert_eq!(read(&frames), Ok(vec![plain(command.clone())]));
    }
    let all: Vec<_> = commands.iter().cloned().map(plain).collect();
    assert_eq!(read(&packet(&commands)), Ok(all), "back to back in one packet");
}

#[test]
fn every_command_survives_the_round_trip() {
    round_trip(to_broker());
    round_trip(from_broker());
    for control in controls() {
        let frames = control_packet(Header::default(), &control);
        assert_eq!(Packet::open(&frames).and_then(|packet| packet.controls()), Ok(vec![control]));
    }
}

#[test]
fn frames_are_shared_and_small_parts_are_copied() {
    let frames = packet(&[ToBroker::Partial { lease: LEASE, sequence: 0, body: body() }]);
    let read = read::<ToBroker>(&frames).expect("readable");
    let [Numbered::Command { command, .. }] = &read[..] else { panic!("one command") };
    let parts = &command.body().expect("a body").0;
    assert_eq!(parts[2].as_ptr(), frames[1].as_ptr());
    assert_eq!(parts[4].as_ptr(), frames[2].as_ptr());
    assert!(!frames[0].as_ptr_range().contains(&parts[0].as_ptr()), "a small part does not hold its packet");
}

#[test]
fn chunks_and_transfers_are_read() {
    let chunk = Chunk { total: 3_000_000, offset: 262_144, piece: Bytes::from(vec![1; 262_144]) };
    let mut bytes = BytesMut::new();
    let mut frames = vec![Bytes::new()];
    Header { count: 2, first: 9, ..Header::default() }.encode(&mut bytes);
    chunk.encode(&mut Writer::new(&mut bytes, &mut frames));
    let large = Body::from(vec![Bytes::from_static(b"a"), Bytes::from(vec![0; 3_000_000])]);
    let partial = ToBroker::Partial { lease: LEASE, sequence: 0, body: large };
    partial.encode(&mut Writer::new(&mut bytes, &mut frames));
    frames[0] = bytes.freeze();
    assert_eq!(frames.len(), 2, "a transfer is no frame of its command");
    let body = Body::from(vec![Bytes::from_static(b"a"), Bytes::new()]);
    let command = ToBroker::Partial { lease: LEASE, sequence: 0, body };
    let expected =
        vec![Numbered::Chunk(chunk), Numbered::Command { command, transfers: vec![(1, 3_000_000)] }];
    assert_eq!(read(&frames), Ok(expected));
}

/// Frame 0 with these commands.
fn raw(count: u16, commands: &[u8]) -> Vec<Bytes> {
    let mut bytes = BytesMut::new();
    Header { count, first: 1, ..Header::default() }.encode(&mut bytes);
    bytes.extend_from_slice(commands);
    vec![bytes.freeze()]
}

/// An array of one command's elements, written by `write`.
fn command(len: u32, code: u64, write: impl FnOnce(&mut Writer<'_>)) -> Vec<Bytes> {
    let mut bytes = BytesMut::new();
    let mut frames = Vec::new();
    let mut w = Writer::new(&mut bytes, &mut frames);
    w.begin(code, len - 1);
    write(&mut w);
    raw(1, &bytes)
}

#[test]
fn later_elements_are_ignored_and_missing_ones_are_nothing() {
    // START with two more elements, one of them nested.
    let more = raw(1, &[0x95, 35, 1, 2, 0x81, 0xa1, b'k', 0x92, 1, 2, 0xc0]);
    assert_eq!(read(&more), Ok(vec![plain(ToBroker::Start(Lease { slot: 1, token: 2 }))]));
    // DONE with slot and token only.
    let done = ToBroker::Done { lease: Lease { slot: 1, token: 2 }, completion: Default::default() };
    assert_eq!(read(&raw(1, &[0x93, 36, 1, 2])), Ok(vec![plain(done)]));
    let failed = ToBroker::Failed { lease: Lease { slot: 1, token: 2 }, fault: Default::default() };
    assert_eq!(read(&raw(1, &[0x93, 37, 1, 2])), Ok(vec![plain(failed)]));
    assert_eq!(read(&raw(1, &[0x91, 20])), Ok(vec![plain(ToBroker::ResultCredit(0))]));
    assert_eq!(read(&raw(1, &[0x92, 99, 0xc0])), Ok(vec![plain(ToBroker::Unknown(99))]));
}

#[test]
fn what_cannot_be_read_is_named() {
    let cases: &[(&[u8], WireError)] = &[
        (&[], WireError::Short),
        (&[0x90], WireError::Type("a command's code")),
        (&[0x05], WireError::Type("a command")),
        (&[0x92, 20, 0xa1, b'x'], WireError::Type("a number")),
        (&[0x92, 20, 0xff], WireError::Value("negative number")),
        (&[0x92, 20, 1, 0], WireError::Trailing),
        (&[0x92, 17, 0xc4, 2, 1, 2], WireError::Type("an id")),
        (&[0x92, 17, 0xc0], WireError::Type("an id")),
        (&[0x94, 36, 1, 2, 0x91, 0xc0], WireError::Type("a part of a body")),
        (&[0x94, 36, 1, 2, 0x91, 3], WireError::Frames),
        (&[0x94, 36, 1, 2, 0x91, 0x90], WireError::Type("a transfer")),
        (&[0x95, 36, 1, 2, 0x90, 0x91, 0xc0], WireError::Type("a header's value")),
        (&[0x93, 35, 0xcf, 0, 0, 0, 1, 0, 0, 0, 0, 1], WireError::Value("slot")),
        (&[0x94, 37, 1, 2, 0xfc], WireError::Value("retry_ms")),
        (&[0x94, 8, 1, 0, 0x90], WireError::Type("a chunk's one part")),
        (&[0x94, 8, 1, 0, 0x91, 0x91, 1], WireError::Transfer),
        (&[0x92, 99, 0xc1], WireError::Type("msgpack")),
    ];
    for (bytes, error) in cases {
        assert_eq!(read::<ToBroker>(&raw(1, bytes)), Err(*error), "{bytes:x?}");
    }
    let mut extra = raw(1, &[0x91, 86]);
    extra.push(Bytes::from_static(b"nobody refers to it"));
    assert_eq!(read::<FromBroker>(&extra), Err(WireError::Frames));
    let mut short = raw(1, &[0x94, 36, 1, 2, 0x91, 3]);
    short.push(Bytes::from_static(b"1234"));
    assert_eq!(read::<ToBroker>(&short), Err(WireError::Length));
    assert_eq!(Packet::open(&[]).err(), Some(WireError::Short));
    assert_eq!(Packet::open(&vec![Bytes::new(); 2]).err(), Some(WireError::Short));
}

#[test]
fn a_submission_no_job_can_be_is_refused_by_name() {
    let submit = |queue: &'static [u8], key: u64, value: i64, flags: u64, content: usize| {
        command(8, 16, move |w| {
            w.id(&ID);
            w.bytes(queue);
            w.array(0);
            w.nil();
            w.map(1);
            w.uint(key);
            w.int(value);
            w.uint(flags);
            w.bytes(&vec![0; content]);
        })
    };
    let status = |frames: Vec<Bytes>| match read::<ToBroker>(&frames).expect("readable").remove(0) {
        Numbered::Command { command: ToBroker::BadSubmit { id: ID, failure }, .. } => Some(failure.status),
        Numbered::Command { command: ToBroker::Submit(_), .. } => None,
        other => panic!("{other:?}"),
    };
    assert_eq!(status(submit(b"q", 1, 8, 0, 0)), None);
    assert_eq!(status(submit(b"q", 99, -5, 0, 0)), None, "unknown keys are ignored");
    assert_eq!(status(submit(b"q", 1, 1 << 40, 0, 0)), None, "the core says that it is too large");
    assert_eq!(status(submit(b"", 1, 8, 0, 0)), Some(Status::Argument));
    assert_eq!(status(submit(b"a\nb", 1, 8, 0, 0)), Some(Status::Argument));
    assert_eq!(status(submit(b"\xff", 1, 8, 0, 0)), Some(Status::Argument));
    assert_eq!(status(submit(b"q", 2, -1, 0, 0)), Some(Status::Option));
    assert_eq!(status(submit(b"q", 12, 3, 0, 0)), Some(Status::Option));
    assert_eq!(status(submit(b"q", 15, 2, 0, 0)), Some(Status::Option));
    assert_eq!(status(submit(b"q", 1, 8, 6, 0)), Some(Status::Argument));
    assert_eq!(status(submit(b"q", 1, 8, 8, 33)), Some(Status::TooLarge));
}

#[test]
fn text_of_peers_is_valid_and_short() {
    let note = |bytes: &'static [u8]| {
        let frames = command(5, 40, move |w| {
            w.lease(LEASE);
            w.float(f64::NAN);
            w.bytes(bytes);
        });
        match read::<ToBroker>(&frames).expect("readable").remove(0) {
            Numbered::Command { command: ToBroker::Progress { note, fraction, .. }, .. } => (note, fraction),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(note(b"a\xffb"), ("a\u{fffd}b".to_owned(), 0.0));
    assert_eq!(note(&[b'x'; 10_000]).0.len(), limits::TEXT_LEN_MAX);
    let many = (0..1_000).map(|n| (n.to_string(), "v")).collect::<Meta>();
    let frames = command(6, 36, |w| {
        w.lease(LEASE);
        w.nil();
        w.nil();
        w.map(1_000);
        for (key, value) in many.iter() {
            w.text(key, 10);
            w.text(&value, 10);
        }
    });
    match read::<ToBroker>(&frames).expect("readable").remove(0) {
        Numbered::Command { command: ToBroker::Done { completion, .. }, .. } => {
            assert_eq!(completion.meta, many.iter().take(limits::META_FACTS_MAX).collect());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn facts_come_under_numbers_or_names_and_unknown_numbers_are_passed_over() {
    let frames = command(6, 36, |w| {
        w.lease(LEASE);
        w.nil();
        w.nil();
        w.map(5);
        w.text("run_us", 10);
        w.text("12", 10);
        w.uint(0);
        w.uint(13);
        w.uint(77);
        w.array(1);
        w.uint(1);
        w.uint(4);
        w.text("w1", 10);
        w.text("host", 10);
        w.text("h", 10);
    });
    match read::<ToBroker>(&frames).expect("readable").remove(0) {
        Numbered::Command { command: ToBroker::Done { completion, .. }, .. } => {
            let facts = [("run_us", "13"), ("worker", "w1"), ("host", "h")];
            assert_eq!(completion.meta, facts.into_iter().collect());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn hello_and_welcome_ignore_what_they_do_not_know() {
    let mut bytes = BytesMut::new();
    let mut frames = Vec::new();
    let mut w = Writer::new(&mut bytes, &mut frames);
    w.begin(1, 2);
    w.map(5);
    w.text("later", 9);
    w.array(2);
    w.map(1);
    w.nil();
    w.nil();
    w.boolean(true);
    w.text("kind", 9);
    w.text("client", 9);
    w.uint(5);
    w.uint(6);
    w.text("session", 9);
    w.bytes(&[1; 16]);
    w.text("max", 9);
    w.uint(1_000);
    w.nil();
    let controls = Packet::open(&raw(1, &bytes)).and_then(|packet| packet.controls()).expect("readable");
    let Control::Hello(hello) = &controls[0] else { panic!("{controls:?}") };
    assert_eq!((hello.kind, hello.session, hello.hello), (PeerKind::Client, Secret([1; 16]), 0));
    assert_eq!(hello.max, u8::MAX);

    for missing in [&[0x92, 1, 0x80][..], &[0x92, 2, 0x80], &[0x92, 1, 0xc0]] {
        let error = Packet::open(&raw(1, missing)).and_then(|packet| packet.controls());
        assert!(matches!(error, Err(WireError::Value(_))), "{error:?}");
    }
    assert_eq!(Packet::open(&raw(1, &[0x92, 55, 1])).and_then(|packet| packet.controls()), Ok(vec![]));
}

/// The packets of the page's examples, in its order.
fn examples() -> Vec<(&'static str, Vec<Bytes>)> {
    let hello = Hello {
        min: 1,
        max: 1,
        kind: PeerKind::Client,
        session: Secret([0xaa; 16]),
        hello: 1,
        welcomed: 0,
        received: 0,
        name: "ada".into(),
        host: String::new(),
        pid: 0,
        version: String::new(),
        features: vec![],
    };
    let id = JobId::parse("01912d68-783e-7a03-8467-5661c1243ad4").expect("an id");
    let submit = ToBroker::Submit(Arc::new(Submission {
        id,
        queue: QueueName::new("square").expect("a queue's name"),
        body: Body::one("12"),
        headers: Headers(vec![("unit".into(), Bytes::from_static(b"mm"))]),
        options: JobOptions { priority: Some(8), run_ms: Some(60_000), ..JobOptions::default() },
        ..submission()
    }));
    let verdict = Verdict {
        outcome: Outcome::Done,
        attempt: 1,
        body: Body::from(vec![Bytes::from_static(b"144"), Bytes::from(vec![0; 5_000])]),
        headers: Headers::default(),
        code: String::new(),
        message: String::new(),
        detail: String::new(),
        meta: Meta::from_iter([("worker", "w1")]),
    };
    let result = FromBroker::Result { id, verdict: Arc::new(verdict) };
    let numbered = |command: &dyn Fn(&mut Writer<'_>), first, acknowledged| {
        let mut bytes = BytesMut::new();
        let mut frames = vec![Bytes::new()];
        Header { control: false, count: 1, incarnation: 7, first, acknowledged }.encode(&mut bytes);
        command(&mut Writer::new(&mut bytes, &mut frames));
        frames[0] = bytes.freeze();
        frames
    };
    vec![
        ("HELLO", control_packet(Header::default(), &Control::Hello(hello))),
        ("SUBMIT", numbered(&|w| submit.encode(w), 2, 0)),
        ("RESULT", numbered(&|w| result.encode(w), 1, 2)),
    ]
}

#[test]
fn the_examples_of_the_page_are_what_is_sent() {
    let page = include_str!("../../../docs/PROTOCOL.md");
    for (name, frames) in examples() {
        let begin = format!("```text\n# {name}");
        let block = page.split(&begin).nth(1).and_then(|rest| rest.split("```").next());
        let block = block.unwrap_or_else(|| panic!("docs/PROTOCOL.md has no example of {name}"));
        let hex: String = block
            .lines()
            .skip(1)
            .map(|line| line.split('#').next().unwrap_or_default())
            .flat_map(|line| line.chars().filter(|c| !c.is_whitespace()))
            .collect();
        let sent: String = frames[0].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, sent, "{name}: sent on the right");
    }
}

#[test]
fn random_bytes_and_changed_bytes_never_panic() {
    let mut random = Random(20_260_101);
    let mut packets: Vec<Vec<Bytes>> =
        controls().iter().map(|c| control_packet(Header::default(), c)).collect();
    let small = |body: Option<&Body>| body.is_none_or(|body| body.len() < 100);
    packets.extend(to_broker().iter().filter(|c| small(c.body())).map(|c| packet(std::slice::from_ref(c))));
    packets.extend(from_broker().iter().filter(|c| small(c.body())).map(|c| packet(std::slice::from_ref(c))));
    let mut readable = 0;
    for _ in 0..200_000 {
        let mut frames = packets[random.below(packets.len())].clone();
        let mut bytes = frames[0].to_vec();
        match random.below(4) {
            0 => {
                let at = random.below(bytes.len());
                bytes[at] = random.next() as u8;
            }
            1 => bytes.truncate(random.below(bytes.len())),
            2 => {
                let at = 32 + random.below(bytes.len() - 31).min(bytes.len() - 32);
                bytes.splice(at..at, (0..random.below(9)).map(|_| 0xc0).collect::<Vec<u8>>());
            }
            _ => {
                let len = random.below(64);
                bytes.truncate(32);
                bytes.extend((0..len).map(|_| random.next() as u8));
            }
        }
        frames[0] = Bytes::from(bytes);
        readable += usize::from(read::<ToBroker>(&frames).is_ok());
        readable += usize::from(read::<FromBroker>(&frames).is_ok());
        readable += usize::from(Packet::open(&frames).and_then(|packet| packet.controls()).is_ok());
    }
    assert!(readable > 10_000, "{readable} of 200,000 could be read, too few to have tested what follows");
}

#[test]
fn what_was_read_can_be_written_and_read_again() {
    let mut random = Random(42);
    let commands: Vec<ToBroker> =
        to_broker().into_iter().filter(|c| c.body().is_none_or(|b| b.len() < 100)).collect();
    for _ in 0..50_000 {
        let command = &commands[random.below(commands.len())];
        let mut bytes = packet(std::slice::from_ref(command))[0].to_vec();
        let at = 32 + random.below(bytes.len() - 32);
        bytes[at] = random.next() as u8;
        let Ok(mut once) = read::<ToBroker>(&[Bytes::from(bytes)]) else { continue };
        let Some(Numbered::Command { command, transfers }) = once.pop() else { continue };
        if transfers.is_empty() && !matches!(command, ToBroker::BadSubmit { .. }) {
            let again = packet(std::slice::from_ref(&command));
            assert_eq!(read(&again), Ok(vec![plain(command)]));
        }
    }
}
