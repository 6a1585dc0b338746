//! The jobs a client knows: those the broker has not taken, those whose end somebody here may want to hear of, and
//! those that have ended and wait to be asked about.
//!
//! Invariant: each id has at most one entry; a key names the same entry until it is removed.

use std::sync::Arc;

use crate::core::client::Ticket;
use crate::core::client::delivery::Want;
use crate::model::{Failure, Index, JobId, Now, Submission, Verdict};

/// Names an entry.
pub(super) type Key = u32;

/// How far a job is, seen from here.
#[derive(Debug)]
pub(super) enum Stage {
    /// To be said in this session. `again`: it was said before, perhaps to another broker.
    Queued { again: bool },
    /// Said, not acknowledged.
    Sent,
    /// The broker holds it, or it is not ours and we asked about it.
    Held,
    /// It has ended and nobody was told.
    Over(Over),
}

/// How it ended.
#[derive(Clone, Debug)]
pub(super) enum Over {
    Ended(Arc<Verdict>),
    Refused(Failure),
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: JobId,
    pub(super) tag: u64,
    pub(super) want: Want,
    pub(super) stage: Stage,
    /// What to say again after a broker's restart.
    pub(super) submission: Option<Arc<Submission>>,
    /// What the application's id stands for, kept after the submission has gone.
    pub(super) content: Option<Vec<u8>>,
    /// The broker held it once, so a refusal of its repetition is not the first word about it.
    pub(super) is_confirmed: bool,
    /// A broker said that it is cancelled for ever: it is not said again, whatever becomes of that broker.
    pub(super) is_cancelled: bool,
    /// The number of the SUBMIT that said it last.
    pub(super) sent_number: u64,
    /// The broker will tell its end in this session, by itself or because it was asked.
    pub(super) is_expected: bool,
    /// Bytes it takes of the window; `None` once it was given back.
    pub(super) charge: Option<u64>,
    /// The submitter keeps the payload until the outcome is known.
    pub(super) is_volatile: bool,
    pub(super) submitted_us: u64,
    /// Its place among all submissions of this client.
    pub(super) order: u64,
    /// Whom to tell that the broker took it, and which of that call's jobs it is.
    pub(super) confirm: Option<(Ticket, u32)>,
    /// Whom to tell how it ended.
    pub(super) waits: Vec<Ticket>,
}

impl Entry {
    /// A job that was not submitted here.
    pub(super) fn unknown(now: Now, id: JobId) -> Self {
        Entry {
            id,
            tag: 0,
            want: Want::NONE,
            stage: Stage::Held,
            submission: None,
            content: None,
            is_confirmed: true,
            is_cancelled: false,
            sent_number: 0,
            is_expected: false,
            charge: None,
            is_volatile: false,
            submitted_us: now.us,
            order: 0,
            confirm: None,
            waits: Vec::new(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Table {
    entries: Vec<Option<Entry>>,
    free: Vec<Key>,
    keys: Index<JobId, Key>,
}

impl Table {
    pub(super) fn insert(&mut self, entry: Entry) -> Key {
        let id = entry.id;
        let key = match self.free.pop() {
            Some(key) => {
                self.entries[key as usize] = Some(entry);
                key
            }
            None => {
                self.entries.push(Some(entry));
                (self.entries.len() - 1) as Key
            }
        };
        let before = self.keys.insert(id, key);
        debug_assert!(before.is_none(), "two entries for {id}");
        key
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<Entry> {
        let entry = self.entries.get_mut(key as usize)?.take()?;
        self.keys.remove(&entry.id);
        self.free.push(key);
        Some(entry)
    }

    pub(super) fn key(&self, id: JobId) -> Option<Key> {
        self.keys.get(&id).copied()
    }

    pub(super) fn get(&self, key: Key) -> Option<&Entry> {
        self.entries.get(key as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Entry> {
        self.entries.get_mut(key as usize)?.as_mut()
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Every entry, by key.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut Entry)> {
        self.entries.iter_mut().enumerate().filter_map(|(key, entry)| Some((key as Key, entry.as_mut()?)))
    }
}
