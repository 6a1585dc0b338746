//! Every kind of record to bytes and back; bytes that are no record.

use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::core::record::{Attempt, AttemptError, Buried, Collected, Handed, QueueKept, RUNNING, Standing};
use crate::model::{
    Body, Headers, InStage, JobOptions, JobRules, Level, Meta, Outcome, Owner, QueueName, ReplyMode,
    Submission, Verdict,
};

fn id(n: u8) -> JobId {
    JobId::new(1_700_000_000_000 + u64::from(n), [n; 10])
}

/// One record of every kind, full of values that are not the usual ones.
fn every() -> Vec<Record> {
    let owner = Arc::new(Owner { user: "uid:1000".into(), name: "böx".into() });
    let submission = Submission {
        headers: Headers(vec![("a".into(), Bytes::from_static(b"\xff\0"))]),
        resent: true,
        reply: ReplyMode::Keep,
        content: Some(vec![9; 32]),
        wants_progress: true,
        is_patient: true,
        ..Submission::new(
            id(1),
            QueueName::new("resize").unwrap(),
            Body::from(vec![Bytes::from(vec![7; 300]), Bytes::new(), Bytes::from_static(b"x")]),
        )
    };
    let rules =
        JobRules { priority: 8, level: Level::Durable, refuse_unknown_queue: true, ..JobRules::default() };
    let verdict = Verdict {
        outcome: Outcome::Failed,
        attempt: 3,
        body: Body::one(vec![1; 70_000]),
        headers: Headers::default(),
        code: "no".into(),
        message: "it failed".into(),
        detail: "at line 3".repeat(10_000),
        meta: Meta::from_iter([("worker", "w1")]),
    };
    let attempt = Attempt {
        number: 2,
        worker: "w1".into(),
        started_wall_ms: 5,
        ended_wall_ms: 0,
        how: RUNNING.into(),
        error: None,
        evidence: None,
    };
    let error = AttemptError::new("bad", &"it went wrong ".repeat(30));
    let standing = Standing {
        token: u64::MAX,
        held: true,
        begun: true,
        attempts: 2,
        losses: 1,
        releases: u32::MAX,
        suspect: true,
        not_before_wall_ms: 77,
        parent: Some(id(3)),
        closed: Vec::new(),
        collected: None,
        context: None,
        history: vec![attempt.clone(), Attempt { how: "of its own".into(), error: error.clone(), ..attempt }],
    };
    let options =
        JobOptions { priority: Some(1), refuse_unknown_queue: Some(false), ..JobOptions::default() };
    vec![
        Record::Booted { epoch: 3, broker: [4; 16] },
        Record::Submitted {
            owner: owner.clone(),
            job: submission.into(),
            rules: rules.into(),
            wall_ms: 1 << 41,
            sequence: 99,
            stored_len: 0,
        },
        Record::Leased { id: id(1), token: 1 << 40 | 5 },
        Record::Started { id: id(1), token: 1 << 40 | 5, attempt: 1, worker: "w".into(), wall_ms: 6 },
        Record::Requeued {
            id: id(1),
            token: 0,
            attempts: 1,
            losses: 2,
            releases: 3,
            suspect: true,
            not_before_wall_ms: 4,
            wall_ms: 5,
            how: "lost".into(),
            error,
        },
        Record::Ended { id: id(1), verdict: verdict.into(), wall_ms: 8 },
        Record::Forgotten { id: id(1) },
        Record::Buried(
            Buried { id: id(2), owner, content: vec![1], outcome: Outcome::Done, attempt: 1 }.into(),
        ),
        Record::QueueSet(
            QueueKept {
                queue: QueueName::new("q").unwrap(),
                options,
                paused: true,
                draining: false,
                handed: Handed::default(),
            }
            .into(),
        ),
        Record::Stands { id: id(1), standing: standing.into() },
        Record::Child { id: id(1), parent: id(3) },
        Record::StageClosed { id: id(1), step: 70_000 },
        Record::Seen { id: id(1), attempt: 2, text: "it stood there".into() },
        Record::Collected { id: id(1), collected: collected().into() },
        Record::Context { id: id(1), context: Bytes::from_static(b"\xff\0") },
    ]
}

#[test]
fn every_kind_survives_the_round_trip_within_its_bound() {
    let mut decoder = Decoder::default();
    let records = every();
    assert_eq!(records.len(), Kind::ALL.len());
    for record in records {
        let mut bytes = Vec::new();
        encode(&record, &mut bytes);
        assert!(bytes.len() <= encoded_len_max(&record), "{record:?}");
        let kind = Kind::of(&record);
        assert_eq!(Kind::from_number(kind as u8), Some(kind));
        assert_eq!(decoder.decode(kind, version_of(&record), &bytes), Ok(record));
    }
}

#[test]
fn what_is_cut_or_followed_by_more_is_no_record() {
    let mut decoder = Decoder::default();
    for record in every() {
        let kind = Kind::of(&record);
        let mut bytes = Vec::new();
        encode(&record, &mut bytes);
        for cut in (0..bytes.len()).rev().step_by(bytes.len() / 500 + 1) {
            assert!(decoder.decode(kind, 1, &bytes[..cut]).is_err(), "{kind:?} cut at {cut}");
        }
        bytes.push(0);
        let later = kind.version() + 1;
        assert_eq!(decoder.decode(kind, 1, &bytes), Err(CodecError::Trailing));
        assert_eq!(decoder.decode(kind, later, &bytes), Err(CodecError::Version(later)));
    }
}

#[test]
fn only_a_run_is_written_in_a_version_that_older_brokers_refuse() {
    let mut decoder = Decoder::default();
    let Record::Submitted { owner, job, rules, wall_ms, sequence, stored_len } = every().swap_remove(1)
    else {
        panic!("the second is a submission")
    };
    let job = Submission { is_run: true, ..Arc::unwrap_or_clone(job) }.into();
    let run = Record::Submitted { owner, job, rules, wall_ms, sequence, stored_len };
    let mut bytes = Vec::new();
    encode(&run, &mut bytes);
    assert_eq!(version_of(&run), 2);
    assert_eq!(decoder.decode(Kind::Submitted, 1, &bytes), Err(CodecError::Trailing));
    assert_eq!(decoder.decode(Kind::Submitted, 2, &bytes), Ok(run));
    assert!(every().iter().all(|record| version_of(record) == 1));
}

fn collected() -> Collected {
    Collected { name: "cöllector".into(), number: 1 << 40, data: vec![9; 2_000] }
}

#[test]
fn a_job_of_a_stage_and_a_closed_stage_are_written_in_versions_of_their_own() {
    let mut decoder = Decoder::default();
    let mut records = every();
    let Some(Record::Stands { standing, .. }) = records.get_mut(9) else { panic!("the tenth is a sum") };
    standing.closed = vec![3, 70_000];
    let Some(Record::Submitted { job, .. }) = records.get_mut(1) else {
        panic!("the second is a submission")
    };
    let stage = InStage { run: id(7), step: "mäny".into(), place: 1 << 40, in_its_queue: false };
    Arc::make_mut(job).stage = Some(stage.into());
    let mut taken = records[9].clone();
    if let Record::Stands { standing, .. } = &mut taken {
        standing.collected = Some(collected().into());
    }
    let mut given = records[9].clone();
    if let Record::Stands { standing, .. } = &mut given {
        standing.context = Some(Bytes::from_static(b""));
    }
    for (record, version) in [(records[1].clone(), 3), (records[9].clone(), 2), (taken, 4), (given, 5)] {
        let mut bytes = Vec::new();
        encode(&record, &mut bytes);
        assert!(bytes.len() <= encoded_len_max(&record));
        assert_eq!(version_of(&record), version);
        let kind = Kind::of(&record);
        assert_eq!(decoder.decode(kind, version - 1, &bytes), Err(CodecError::Trailing));
        assert_eq!(decoder.decode(kind, version, &bytes), Ok(record));
    }
}

#[test]
fn what_names_a_serial_key_is_written_in_a_version_of_its_own() {
    let mut decoder = Decoder::default();
    let serial = |key: Option<&str>, jobs| JobRules {
        serial_key: key.map(Into::into),
        serial_jobs: jobs,
        ..JobRules::default()
    };
    for rules in [serial(Some("größe"), 1), serial(Some("k"), 70_000), serial(None, 2)] {
        for (stage, is_run) in [(true, false), (false, true), (false, false)] {
            let mut record = every().swap_remove(1);
            let Record::Submitted { job, rules: known, .. } = &mut record else { panic!("a submission") };
            *known = rules.clone().into();
            let stage =
                stage.then(|| InStage { run: id(7), step: "mäny".into(), place: 1, in_its_queue: false });
            (Arc::make_mut(job).stage, Arc::make_mut(job).is_run) = (stage.map(Into::into), is_run);
            let mut bytes = Vec::new();
            encode(&record, &mut bytes);
            assert!(bytes.len() <= encoded_len_max(&record));
            assert_eq!(version_of(&record), 4);
            assert_eq!(decoder.decode(Kind::Submitted, 4, &bytes), Ok(record));
        }
    }
    for options in [
        JobOptions { serial_key: Some("".into()), ..JobOptions::default() },
        JobOptions { serial_jobs: Some(9), ..JobOptions::default() },
    ] {
        let queue = QueueName::new("q").unwrap();
        let record = Record::QueueSet(
            QueueKept { queue, options, paused: true, draining: false, handed: Handed::default() }.into(),
        );
        let mut bytes = Vec::new();
        encode(&record, &mut bytes);
        assert_eq!(version_of(&record), 3);
        assert_eq!(decoder.decode(Kind::QueueSet, 3, &bytes), Ok(record));
    }
}

#[test]
fn only_what_was_seen_of_an_attempt_is_written_in_a_version_that_older_brokers_refuse() {
    let mut decoder = Decoder::default();
    let stands = every().into_iter().find(|record| matches!(record, Record::Stands { .. }));
    let Some(Record::Stands { id, mut standing }) = stands else { panic!("there is one") };
    standing.history[1].see("it stood there");
    standing.history[1].see("and there");
    assert_eq!(standing.history[1].evidence.as_deref(), Some("it stood there\nand there"));
    let record = Record::Stands { id, standing };
    let mut bytes = Vec::new();
    encode(&record, &mut bytes);
    assert!(bytes.len() <= encoded_len_max(&record));
    assert_eq!(version_of(&record), 3);
    assert!(decoder.decode(Kind::Stands, 2, &bytes).is_err());
    assert_eq!(decoder.decode(Kind::Stands, 3, &bytes), Ok(record));
}

#[test]
fn only_what_hosts_are_handed_is_written_in_a_version_that_older_brokers_refuse() {
    let mut decoder = Decoder::default();
    let set = every().into_iter().find(|record| matches!(record, Record::QueueSet(_)));
    let Some(Record::QueueSet(kept)) = set else { panic!("there is one") };
    let params = [("quality", "90"), ("path", "")].map(|(name, value)| (name.into(), value.into()));
    let full = Handed { params: params.into(), report_ms: Some(5_000) };
    for handed in [full, Handed { report_ms: Some(1), ..Handed::default() }] {
        let record = Record::QueueSet(QueueKept { handed, ..(*kept).clone() }.into());
        let mut bytes = Vec::new();
        encode(&record, &mut bytes);
        assert!(bytes.len() <= encoded_len_max(&record));
        assert_eq!(version_of(&record), 2);
        assert_eq!(decoder.decode(Kind::QueueSet, 1, &bytes), Err(CodecError::Trailing));
        assert_eq!(decoder.decode(Kind::QueueSet, 2, &bytes), Ok(record));
    }
}

#[test]
fn jobs_of_one_submitter_share_what_they_have_in_common() {
    let mut decoder = Decoder::default();
    let mut bytes = Vec::new();
    encode(&every()[1], &mut bytes);
    let both: Vec<Record> = (0..2).map(|_| decoder.decode(Kind::Submitted, 1, &bytes).unwrap()).collect();
    let [Record::Submitted { rules: one, owner: a, .. }, Record::Submitted { rules: two, owner: b, .. }] =
        &both[..]
    else {
        panic!("{both:?}")
    };
    assert!(Arc::ptr_eq(one, two) && Arc::ptr_eq(a, b));
}
