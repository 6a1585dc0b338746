//! `forebay store` on stores made here: whole, damaged, in use, absent.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use forebay::core::record::Record;
use forebay::model::{Body, JobId, JobRules, Owner, QueueName, Submission};
use forebay::store::journal::JournalConfig;
use forebay::store::{self, Store};
use support::{Finished, Folder, SOON, binary, command, run};

fn forebay(arguments: &[&str]) -> Finished {
    run(command(binary!()).args(arguments), SOON)
}

/// A store with jobs in it.
fn fill(dir: &Path, jobs: u64) {
    let (mut journal, _) = store::open(dir, JournalConfig::default()).unwrap();
    let (owner, rules) = (Arc::new(Owner::default()), Arc::new(JobRules::default()));
    for sequence in 1..=jobs {
        let job = Submission::new(
            JobId::new(1_750_000_000_000 + sequence, [sequence as u8; 10]),
            QueueName::new("resize").unwrap(),
            Body::one(vec![7; 1_000]),
        );
        let wall_ms = job.id.wall_ms();
        let (owner, rules) = (owner.clone(), rules.clone());
        journal
            .append(&[Record::Submitted { owner, job: job.into(), rules, wall_ms, sequence, stored_len: 0 }])
            .unwrap();
    }
}

#[test]
fn a_whole_store_is_shown_and_made_small() {
    let folder = Folder::new();
    let dir = folder.path().join("store");
    fill(&dir, 25);
    let dir = dir.to_str().unwrap();
    let check = forebay(&["store", "check", dir]).success().text();
    assert!(check.starts_with("whole: 25 jobs in 26 records"), "{check}");
    let stats = forebay(&["store", "stats", dir]).success().text();
    assert!(stats.contains("resize") && stats.contains("00000001.log"), "{stats}");
    let json = forebay(&["store", "stats", dir, "--json"]).success().text();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["queues"][0]["waiting"], 25);
    assert_eq!(json["queues"][0]["bytes"], 25_000);
    let compact = forebay(&["store", "compact", dir]).success().text();
    assert!(compact.contains("bytes on disk"), "{compact}");
    let check = forebay(&["store", "check", dir]).success().text();
    assert!(check.starts_with("whole: 25 jobs in 25 records"), "{check}");
}

#[test]
fn a_damaged_store_is_named_with_its_place_and_left_as_it_is() {
    let folder = Folder::new();
    let dir = folder.path().join("store");
    fill(&dir, 25);
    let log = dir.join("00000001.log");
    let file = OpenOptions::new().read(true).write(true).open(&log).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 12_000).unwrap();
    file.write_all_at(&[byte[0] ^ 4], 12_000).unwrap();
    let before = std::fs::read(&log).unwrap();
    let check = forebay(&["store", "check", dir.to_str().unwrap()]).code(1);
    let said = check.error_text();
    assert!(said.contains("00000001.log is damaged at byte 1"), "{said}");
    forebay(&["store", "compact", dir.to_str().unwrap()]).code(6);
    assert!(before == std::fs::read(&log).unwrap());
}

#[test]
fn a_store_in_use_and_one_that_is_not_there_are_refused() {
    let folder = Folder::new();
    let dir = folder.path().join("store");
    let none = forebay(&["store", "check", dir.to_str().unwrap()]).code(5);
    assert!(none.error_text().contains("there is no store in"), "{}", none.error_text());
    assert!(!dir.exists(), "looking must not make one");
    let _journal = store::open(&dir, JournalConfig::default()).unwrap();
    let used = forebay(&["store", "check", dir.to_str().unwrap()]).code(4);
    assert!(used.error_text().contains("in use"), "{}", used.error_text());
    assert!(File::open(dir.join("00000001.log")).is_ok());
}
