//! Room and the lack of it, faults, recycling, large records, tombstones, the lock.

use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::core::record::{Buried, KeptJob};
use crate::model::limits::DEDUPE_WINDOW_MS;
use crate::model::{
    Body, Headers, JobId, JobRules, Meta, Outcome, Owner, QueueName, ReplyMode, Submission, Verdict,
};
use crate::store::sim_disk::{Crash, SimDisk};

const SEGMENT: u64 = 64 << 10;
const WALL_MS: u64 = 1_750_000_000_000;

fn config(segments: u64) -> JournalConfig {
    JournalConfig { segment_len: SEGMENT, len_max: segments * SEGMENT, random: [5; 32], bodies_max: u64::MAX }
}

fn open(disk: &SimDisk, segments: u64) -> (Journal<SimDisk>, Recovered) {
    Journal::open(disk.clone(), config(segments)).unwrap()
}

fn id(n: u64) -> JobId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&n.to_be_bytes());
    JobId::new(WALL_MS + n, random)
}

fn submitted(n: u64, len: usize) -> Record {
    let job = Submission {
        reply: ReplyMode::Keep,
        is_patient: true,
        ..Submission::new(id(n), QueueName::new("q").unwrap(), Body::one(vec![n as u8; len]))
    };
    let (owner, rules) = (Arc::new(Owner::default()), Arc::new(JobRules::default()));
    Record::Submitted { owner, job: job.into(), rules, wall_ms: WALL_MS + n, sequence: n, stored_len: 0 }
}

fn ended(n: u64, outcome: Outcome, len: usize) -> Record {
    let verdict = Verdict {
        outcome,
        attempt: 1,
        body: Body::from(vec![Bytes::from(vec![1; len])]),
        headers: Headers::default(),
        code: String::new(),
        message: String::new(),
        detail: String::new(),
        meta: Meta::default(),
    };
    Record::Ended { id: id(n), verdict: verdict.into(), wall_ms: WALL_MS + n }
}

fn jobs(recovered: &Recovered) -> Vec<u64> {
    recovered.kept.jobs.iter().map(|job| job.sequence).collect()
}

#[test]
fn a_store_that_is_opened_again_has_what_it_had_and_a_higher_epoch() {
    let disk = SimDisk::new();
    let (mut journal, first) = open(&disk, 8);
    assert_eq!((first.kept.epoch, first.kept.jobs.len()), (1, 0));
    journal.append(&[submitted(1, 10), submitted(2, 0)]).unwrap();
    let started =
        Record::Started { id: id(2), token: 9, attempt: 1, worker: "w".into(), wall_ms: WALL_MS + 3 };
    journal.append(&[Record::Leased { id: id(2), token: 9 }, started]).unwrap();
    disk.crash(Crash::Drop, 0);
    let (_, second) = open(&disk, 8);
    assert_eq!((second.kept.epoch, second.kept.broker), (2, first.kept.broker));
    assert_eq!(jobs(&second), [1, 2]);
    let KeptJob { standing, ended, .. } = &second.kept.jobs[1];
    assert!(standing.held && standing.begun && ended.is_none());
    assert_eq!((standing.token, standing.attempts, &*standing.history[0].worker), (9, 1, "w"));
    let records: Vec<Record> = second.into_records().collect();
    assert_eq!(records.len(), 4, "booted, two jobs, and how the second stands: {records:?}");
}

#[test]
fn without_room_jobs_are_refused_and_outcomes_kept_until_there_is_room_again() {
    let disk = SimDisk::new();
    let (mut journal, _) = open(&disk, 64);
    disk.set_capacity(Some(disk.used_bytes() + SEGMENT));
    let mut n = 0;
    while journal.has_room_for(6_000) {
        n += 1;
        journal.append(&[submitted(n, 5_000)]).unwrap();
    }
    // A segment was kept for this.
    for done in 1..=5 {
        journal.append(&[ended(done, Outcome::Done, 2_000)]).unwrap();
    }
    assert!(!journal.has_room_for(6_000));
    // What is brought all the same is taken as long as there is a place for it.
    n += 1;
    assert_eq!(journal.append(&[submitted(n, 3 * SEGMENT as usize)]), Err(StoreError::Full));
    assert_eq!(journal.stats().refused, 1);
    disk.set_capacity(None);
    assert!(journal.has_room_for(6_000));
    journal.append(&[submitted(n, 5_000)]).unwrap();
    let (_, recovered) = open(&disk, 64);
    assert_eq!(jobs(&recovered), (1..=n).collect::<Vec<_>>());
    assert_eq!(recovered.kept.jobs.iter().filter(|job| job.ended.is_some()).count(), 5);
}

#[test]
fn a_store_as_large_as_allowed_makes_room_by_itself_when_jobs_are_forgotten() {
    let disk = SimDisk::new();
    let (mut journal, _) = open(&disk, 8);
    let mut n = 0;
    while journal.has_room_for(4_000) {
        n += 1;
        journal.append(&[submitted(n, 3_000)]).unwrap();
    }
    assert!(disk.used_bytes() <= 8 * SEGMENT);
    // All but each tenth, so that none of the segments is all dead.
    for gone in (1..=n).filter(|gone| gone % 10 != 0) {
        journal.append(&[Record::Forgotten { id: id(gone) }]).unwrap();
    }
    for _ in 0..10 {
        journal.has_room_for(0);
    }
    assert!(journal.has_room_for(0), "{:?}", journal.stats());
    for more in 1..=20 {
        journal.append(&[submitted(n + more, 3_000)]).unwrap();
    }
    assert!(disk.used_bytes() <= 8 * SEGMENT);
    let (_, recovered) = open(&disk, 8);
    let expected: Vec<u64> = (1..=n).filter(|n| n % 10 == 0).chain(n + 1..=n + 20).collect();
    assert_eq!(jobs(&recovered), expected);
}

/// Beyond `bodies_max` payloads stay where they are, until they are asked for; those that people may ask for do not.
#[test]
fn payloads_beyond_the_limit_are_left_in_the_store() {
    let disk = SimDisk::new();
    let (mut journal, _) = open(&disk, 64);
    for n in 1..=4 {
        journal.append(&[submitted(n, 1_000)]).unwrap();
    }
    journal.append(&[ended(3, Outcome::Quarantined, 10)]).unwrap();
    journal.append(&[ended(1, Outcome::Done, 10), Record::Forgotten { id: id(1) }]).unwrap();
    let whole = open(&disk, 64).1.kept.jobs;
    let (mut journal, recovered) =
        Journal::open(disk.clone(), JournalConfig { bodies_max: 1_500, ..config(64) }).unwrap();
    let left: Vec<u64> = recovered.kept.jobs.iter().map(|job| job.stored_len).collect();
    assert_eq!(left, [1_000, 0, 1_000], "room for the first, which is gone since; the third is a person's");
    for (job, whole) in recovered.kept.jobs.iter().zip(&whole) {
        assert_eq!(journal.body(job.job.id).unwrap(), whole.job.body);
        let here = if job.stored_len > 0 { 0 } else { 1_000 };
        assert_eq!((job.job.body.len(), whole.job.body.len()), (here, 1_000));
    }
    assert!(journal.body(id(1)).is_err());
}

#[test]
fn a_store_that_is_used_for_long_stays_small() {
    let disk = SimDisk::new();
    let (mut journal, _) = open(&disk, 1_000);
    journal.append(&[submitted(1, 500)]).unwrap();
    for n in 2..3_000 {
        journal.append(&[submitted(n, 1_000), ended(n, Outcome::Done, 100)]).unwrap();
        journal.append(&[Record::Forgotten { id: id(n) }]).unwrap();
    }
    let stats = journal.stats();
    assert!(stats.segments <= 6 && disk.used_bytes() <= 8 * SEGMENT, "{stats:?}");
    assert!(stats.copied_bytes < stats.written_bytes / 100, "{stats:?}");
    let (_, recovered) = open(&disk, 1_000);
    assert_eq!(jobs(&recovered), [1]);
}

#[test]
fn a_failed_sync_or_write_is_the_end() {
    for fail in [SimDisk::fail_syncs, SimDisk::fail_writes] {
        let disk = SimDisk::new();
        let (mut journal, _) = open(&disk, 8);
        journal.append(&[submitted(1, 10)]).unwrap();
        fail(&disk, true);
        let error = journal.append(&[submitted(2, 10)]).unwrap_err();
        assert!(matches!(&error, StoreError::Fatal(why) if why.contains("00000001.log")), "{error:?}");
        fail(&disk, false);
        assert_eq!(journal.append(&[submitted(3, 10)]), Err(error), "it is never tried again");
        assert!(!journal.has_room_for(0));
        disk.crash(Crash::Drop, 1);
        assert_eq!(jobs(&open(&disk, 8).1), [1]);
    }
}

#[test]
fn a_record_larger_than_a_segment_gets_one_of_its_own() {
    let disk = SimDisk::new();
    let (mut journal, _) = open(&disk, 1_000);
    journal.append(&[submitted(1, 10), submitted(2, 300_000), submitted(3, 10)]).unwrap();
    assert_eq!(jobs(&open(&disk, 1_000).1), [1, 2, 3]);
    // It is moved like any other when what is around it is gone, and goes when it is forgotten.
    let (mut journal, _) = open(&disk, 1_000);
    for n in 10..2_000 {
        journal.append(&[submitted(n, 1_000), Record::Forgotten { id: id(n) }]).unwrap();
    }
    assert!(disk.used_bytes() < 30 * SEGMENT, "{:?}", journal.stats());
    let (mut journal, recovered) = open(&disk, 1_000);
    assert_eq!(jobs(&recovered), [1, 2, 3]);
    assert_eq!(recovered.kept.jobs[1].job.body.len(), 300_000);
    journal.append(&[Record::Forgotten { id: id(2) }]).unwrap();
    for n in 2_000..3_000 {
        journal.append(&[submitted(n, 1_000), Record::Forgotten { id: id(n) }]).unwrap();
    }
    assert!(disk.used_bytes() <= 8 * SEGMENT, "{:?}", journal.stats());
    assert_eq!(jobs(&open(&disk, 1_000).1), [1, 3]);
}

#[test]
fn compacting_leaves_what_lives_and_gives_back_the_rest() {
    let disk = SimDisk::new();
    let (mut journal, _) = open(&disk, 100);
    for n in 1..=200 {
        journal.append(&[submitted(n, 4_000)]).unwrap();
    }
    for n in 1..=200 {
        let record = match n % 4 {
            0 => ended(n, Outcome::Done, 50),
            1 => ended(n, Outcome::Quarantined, 0),
            _ => Record::Forgotten { id: id(n) },
        };
        journal.append(&[record]).unwrap();
    }
    journal.compact().unwrap();
    let stats = journal.stats();
    assert!(disk.used_bytes() < 8 * SEGMENT, "{stats:?}");
    assert!(stats.used_bytes < stats.live_bytes + 10_000, "{stats:?}");
    let (_, recovered) = open(&disk, 100);
    assert_eq!(jobs(&recovered), (1..=200).filter(|n| n % 4 < 2).collect::<Vec<_>>());
    let body_of = |n: u64| recovered.kept.jobs.iter().find(|job| job.sequence == n).unwrap().job.body.len();
    assert_eq!((body_of(4), body_of(5)), (0, 4_000), "a person may look into a quarantined job");
}

#[test]
fn ids_that_must_not_run_again_are_kept_until_they_are_too_old() {
    let disk = SimDisk::new();
    let (mut journal, _) = open(&disk, 100);
    let bury = |n| {
        let (owner, content) = (Arc::new(Owner::default()), vec![n as u8]);
        Record::Buried(Buried { id: id(n), owner, content, outcome: Outcome::Done, attempt: 1 }.into())
    };
    journal.append(&[submitted(1, 10), bury(1), submitted(2, 10)]).unwrap();
    journal.compact().unwrap();
    let buried = |recovered: &Recovered| recovered.kept.buried.len();
    let (mut journal, recovered) = open(&disk, 100);
    assert_eq!((jobs(&recovered), buried(&recovered)), (vec![2], 1));
    let Record::Submitted { owner, job, rules, .. } = submitted(3, 10) else { unreachable!() };
    let later = Record::Submitted {
        owner,
        job,
        rules,
        wall_ms: WALL_MS + DEDUPE_WINDOW_MS + 10,
        sequence: 3,
        stored_len: 0,
    };
    journal.append(&[later]).unwrap();
    let (mut journal, recovered) = open(&disk, 100);
    assert_eq!((jobs(&recovered), buried(&recovered)), (vec![2, 3], 0));
    journal.compact().unwrap();
    assert_eq!(inspect(&mut disk.clone()).unwrap().unwrap().report.records, 2, "two jobs");
}

#[test]
fn a_torn_batch_is_cut_off_and_reported_once_and_a_missing_segment_is_refused() {
    let disk = SimDisk::new();
    let (mut journal, _) = open(&disk, 100);
    journal.append(&[submitted(1, 10)]).unwrap();
    // The write gets through, the sync does not; of the write the first sectors survive.
    disk.halt_after(1);
    assert!(journal.append(&[submitted(2, 100), submitted(3, 3_000)]).is_err());
    let torn = (0..100).map(|seed| {
        let copy = disk.copy();
        copy.crash(Crash::Torn { sector: 512 }, seed);
        open(&copy, 100).1
    });
    let recovered = torn.into_iter().find(|recovered| recovered.report.cut.records == 1).unwrap();
    assert_eq!(jobs(&recovered), [1]);
    assert_eq!(recovered.report.cut.file, "00000001.log");
    assert!(recovered.report.cut.bytes > 100, "{:?}", recovered.report);

    let disk = SimDisk::new();
    let (mut journal, _) = open(&disk, 100);
    for n in 1..=30 {
        journal.append(&[submitted(n, 5_000)]).unwrap();
    }
    disk.clone().remove("00000002.log").unwrap();
    let refused = Journal::open(disk.clone(), config(100)).unwrap_err();
    assert_eq!(refused.status, Status::Store);
    assert!(refused.message.contains("00000002.log is missing"), "{refused}");
}

#[test]
fn a_folder_is_one_brokers_at_a_time_and_keeps_what_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/store");
    let (mut journal, recovered) = crate::store::open(&path, config(8)).unwrap();
    assert_eq!(recovered.kept.epoch, 1);
    journal.append(&[submitted(1, 100)]).unwrap();
    let refused = crate::store::open(&path, config(8)).unwrap_err();
    assert_eq!(refused.status, Status::InUse);
    assert!(refused.message.contains("--store DIR") && refused.message.contains("--memory"), "{refused}");
    assert!(refused.message.contains(&std::process::id().to_string()), "{refused}");
    journal.append(&[submitted(2, 100)]).unwrap();
    for n in 10..1_000 {
        journal.append(&[submitted(n, 1_000), Record::Forgotten { id: id(n) }]).unwrap();
    }
    drop(journal);
    let (_, recovered) = crate::store::open(&path, config(8)).unwrap();
    assert_eq!(jobs(&recovered), [1, 2]);
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
}
