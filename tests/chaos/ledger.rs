//! What clients and workers wrote down, read as it grows, and what is wrong with it.
//!
//! Invariant: each line is read once, and only when it is whole. What a rule does not allow is kept in `wrong`, in words.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A job, by client and number: what clients call it before it has an id.
pub(crate) type Name = (usize, u64);

/// What is known of one job.
#[derive(Clone, Debug, Default)]
pub(crate) struct Job {
    /// Bytes of its payload; `None` for a number no client has used.
    pub(crate) len: Option<u64>,
    /// Its id, once somebody has said it.
    pub(crate) id: Option<String>,
    /// Its client has an OK for it.
    pub(crate) is_acknowledged: bool,
    /// Outcome and result, as they were told first.
    pub(crate) outcome: Option<String>,
    /// How often they were told.
    pub(crate) told: u32,
    /// How often a worker began it.
    pub(crate) starts: u32,
}

/// Everything that was written down.
pub(crate) struct Ledger {
    dir: PathBuf,
    /// The jobs of each client by their numbers.
    pub(crate) jobs: Vec<Vec<Job>>,
    names: HashMap<String, Name>,
    logs: HashMap<PathBuf, u64>,
    /// What is not as it must be.
    pub(crate) wrong: Vec<String>,
    /// Acknowledged jobs of each client.
    pub(crate) acknowledged: Vec<u64>,
    /// Jobs of each client whose outcome it was told.
    pub(crate) told: Vec<u64>,
    /// Outcomes told again after a restart of the client.
    pub(crate) told_again: u64,
    /// Jobs that are quarantined.
    pub(crate) quarantined: u64,
    /// Jobs a client got an OK for and the broker did not know later.
    pub(crate) lost: u64,
    /// Jobs with two outcomes.
    pub(crate) double: u64,
    /// Ids of the library that a client named when it submitted again.
    pub(crate) named_later: u64,
    /// Executions that began.
    pub(crate) starts: u64,
    /// Answers of workers that came too late.
    pub(crate) late: u64,
    /// Submissions refused or not confirmed, by status.
    pub(crate) refused: HashMap<String, u64>,
}

impl Ledger {
    /// An empty one of so many clients, whose logs and the workers' are in `dir`.
    pub(crate) fn new(dir: &Path, clients: usize) -> Ledger {
        Ledger {
            dir: dir.to_owned(),
            jobs: vec![Vec::new(); clients],
            names: HashMap::new(),
            logs: HashMap::new(),
            wrong: Vec::new(),
            acknowledged: vec![0; clients],
            told: vec![0; clients],
            told_again: 0,
            quarantined: 0,
            lost: 0,
            double: 0,
            named_later: 0,
            starts: 0,
            late: 0,
            refused: HashMap::new(),
        }
    }

    /// Reads what is new. Intents are read last and taken first: whatever follows from one is read with it.
    pub(crate) fn read(&mut self) {
        let clients = self.jobs.len();
        let told: Vec<String> = (0..clients).map(|client| self.news(&format!("c{client}.told"))).collect();
        let workers: Vec<String> = self.worker_logs().iter().map(|name| self.news(name)).collect();
        let sent: Vec<String> = (0..clients).map(|client| self.news(&format!("c{client}.sent"))).collect();
        for (client, text) in sent.iter().enumerate() {
            text.lines().for_each(|line| self.take(line, |ledger, words| ledger.sent(client, words)));
        }
        for text in &workers {
            text.lines().for_each(|line| self.take(line, Ledger::worked));
        }
        for (client, text) in told.iter().enumerate() {
            text.lines().for_each(|line| self.take(line, |ledger, words| ledger.was_told(client, words)));
        }
    }

    /// Acknowledged jobs of all clients.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.iter().sum()
    }

    /// How often submissions were refused with this status.
    pub(crate) fn refused(&self, status: &str) -> u64 {
        self.refused.get(status).copied().unwrap_or(0)
    }

    /// Which job has this id.
    pub(crate) fn name_of(&self, id: &str) -> Option<Name> {
        self.names.get(id).copied()
    }

    /// One job.
    pub(crate) fn job(&self, (client, seq): Name) -> &Job {
        &self.jobs[client][seq as usize]
    }

    /// Every job that was meant to be submitted.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Name, &Job)> {
        let of_client = |(client, jobs): (usize, &'_ Vec<Job>)| (client, jobs.len());
        self.jobs
            .iter()
            .enumerate()
            .map(of_client)
            .flat_map(|(client, len)| (0..len as u64).map(move |seq| (client, seq)))
            .map(|name| (name, self.job(name)))
            .filter(|(_, job)| job.len.is_some())
    }

    fn worker_logs(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.dir).expect("the folder of logs");
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter(|name| name.starts_with('w')).collect()
    }

    /// The whole lines that were added to a log since it was read last.
    fn news(&mut self, name: &str) -> String {
        let path = self.dir.join(name);
        let Ok(mut file) = fs::File::open(&path) else { return String::new() };
        let read = self.logs.entry(path).or_default();
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(*read)).and_then(|_| file.read_to_end(&mut bytes)).expect("a log to read");
        bytes.truncate(bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1));
        *read += bytes.len() as u64;
        String::from_utf8(bytes).expect("a log is text")
    }

    fn take(&mut self, line: &str, take: impl FnOnce(&mut Ledger, &[&str]) -> Option<()>) {
        let words: Vec<&str> = line.split(' ').collect();
        if take(self, &words).is_none() {
            self.wrong.push(format!("a line of a log that means nothing: {line:?}"));
        }
    }

    fn sent(&mut self, client: usize, words: &[&str]) -> Option<()> {
        match *words {
            ["I", seq, len, id] => {
                let name = (client, seq.parse().ok()?);
                let at = name.1 as usize;
                if self.jobs[client].len() <= at {
                    self.jobs[client].resize(at + 1, Job::default());
                }
                if self.jobs[client][at].len.replace(len.parse().ok()?).is_some() {
                    self.wrong.push(format!("c{client} used number {at} twice"));
                }
                if id != "-" {
                    self.identify(name, id);
                }
            }
            ["A", seq, id] => {
                let name = (client, seq.parse().ok()?);
                if let Some(job) = self.identify(name, id) {
                    let is_news = !std::mem::replace(&mut job.is_acknowledged, true);
                    self.acknowledged[client] += u64::from(is_news);
                }
            }
            ["N", _] => self.named_later += 1,
            ["R", status] => *self.refused.entry(status.to_owned()).or_default() += 1,
            _ => return None,
        }
        Some(())
    }

    fn worked(&mut self, words: &[&str]) -> Option<()> {
        match *words {
            ["S", id, client, seq, _attempt] => {
                let client: usize = client.strip_prefix('c')?.parse().ok()?;
                if let Some(job) = self.identify((client, seq.parse().ok()?), id) {
                    job.starts += 1;
                }
                self.starts += 1;
            }
            ["C", _, status] => self.late += u64::from(status == "ERR_LEASE_LOST"),
            _ => return None,
        }
        Some(())
    }

    fn was_told(&mut self, client: usize, words: &[&str]) -> Option<()> {
        match *words {
            ["O", seq, id, ref outcome @ ..] => {
                let name = (client, seq.parse().ok()?);
                self.ended(name, id, outcome.join(" "));
            }
            ["F", seq, id, outcome] => {
                let name = (client, seq.parse().ok()?);
                let known = self.identify(name, id).and_then(|job| job.outcome.clone()).unwrap_or_default();
                if known.split(' ').next() != Some(outcome) {
                    self.double += 1;
                    self.wrong.push(format!(
                        "c{client} was told of {id}: {known:?}; and then, without result: {outcome}"
                    ));
                }
            }
            ["K", _] => {}
            ["L", seq, id, status] => {
                self.lost += 1;
                self.wrong.push(format!("c{client} had an OK for job {seq} ({id}), and then: {status}"));
            }
            _ => return None,
        }
        Some(())
    }

    fn ended(&mut self, name: Name, id: &str, outcome: String) {
        let (client, seq) = name;
        if self.identify(name, id).is_none() {
            return;
        }
        let job = &mut self.jobs[client][seq as usize];
        job.told += 1;
        let len = job.len.unwrap_or(0);
        match &job.outcome {
            Some(first) if *first == outcome => self.told_again += 1,
            Some(first) => {
                let line = format!("c{client} was told of job {seq} ({id}): {first}; and then: {outcome}");
                self.double += 1;
                self.wrong.push(line);
            }
            None => {
                let is_quarantined = outcome.starts_with("QUARANTINED");
                if !is_quarantined && outcome != format!("DONE {}", crate::work::result(client, seq, len)) {
                    self.wrong.push(format!("job {seq} of c{client} ({id}) ended {outcome}"));
                }
                job.outcome = Some(outcome);
                self.told[client] += 1;
                self.quarantined += u64::from(is_quarantined);
            }
        }
    }

    /// The job of this name, which has this id and no other.
    fn identify(&mut self, name: Name, id: &str) -> Option<&mut Job> {
        let (client, seq) = name;
        let known = self.jobs.get_mut(client).and_then(|jobs| jobs.get_mut(usize::try_from(seq).ok()?));
        let Some(job) = known.filter(|job| job.len.is_some()) else {
            self.wrong.push(format!("{id} is job {seq} of c{client}, which never submitted it"));
            return None;
        };
        match &job.id {
            Some(known) if known == id => {}
            Some(known) => self.wrong.push(format!("job {seq} of c{client} is {known} and {id}")),
            None => {
                job.id = Some(id.to_owned());
                if let Some(other) = self.names.insert(id.to_owned(), name) {
                    self.wrong.push(format!("{id} is job {seq} of c{client} and {other:?}"));
                }
            }
        }
        Some(job)
    }
}
