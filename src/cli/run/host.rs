//! One worker host as it is asked for.

use std::ffi::OsString;

/// A host: the flags of `forebay worker`, but for its slots, which change while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    /// Its name among the hosts.
    pub(super) name: String,
    pub(super) flags: Vec<OsString>,
    pub(super) slots: Option<u32>,
    /// The command that does its jobs; empty for plugins.
    pub(super) command: Vec<OsString>,
}

impl Spec {
    /// Whether this flag is said.
    pub(super) fn says(&self, flag: &str) -> bool {
        self.flags.iter().any(|said| said == flag)
    }

    /// The arguments of `forebay`, with so many slots.
    pub(super) fn arguments(&self, slots: Option<u32>) -> Vec<OsString> {
        let mut all = vec![OsString::from("worker")];
        all.extend(self.flags.iter().cloned());
        if let Some(slots) = slots {
            all.extend(["--slots".into(), slots.to_string().into()]);
        }
        if !self.command.is_empty() {
            all.push("--".into());
            all.extend(self.command.iter().cloned());
        }
        all
    }
}
