//! The limits of worker hosts, in one place. Those that users may want to change are the defaults of options.

use std::time::Duration;

/// The wait before the second restart in a row; it doubles with each.
pub(super) const BACKOFF: Duration = Duration::from_millis(100);
/// The longest such wait, and the life after which a process counts as sound.
pub(super) const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// So many ends in a row before a process was ready end the host.
pub(super) const UNREADY_MAX: u32 = 5;
/// How long the others wait for the first process to be ready, so that what is wrong with all is said once.
pub(super) const FIRST_ALONE: Duration = Duration::from_millis(300);
/// How often a process that begins is asked whether it is ready.
pub(super) const READY_ASK: Duration = Duration::from_millis(10);

/// Between the word that a job is to stop and SIGTERM, unless `--grace` says otherwise.
pub(super) const GRACE: &str = "5s";
/// Between SIGTERM and SIGKILL, unless `--kill-grace` says otherwise.
pub(super) const KILL_GRACE: &str = "5s";
/// How long running jobs may take when the host drains, unless `--drain` says otherwise.
pub(super) const DRAIN: &str = "30s";
/// How often it is looked what jobs were told: a part of the grace, within these bounds.
pub(super) const LOOK_MIN: Duration = Duration::from_millis(10);
pub(super) const LOOK_MAX: Duration = Duration::from_millis(250);
/// How long a process may take to write down where it stands.
pub(super) const STAND_PATIENCE: Duration = Duration::from_millis(200);
/// The most functions of a stack that go into a job's history; a crash's detail has all.
pub(super) const STAND_FRAMES_MAX: usize = 16;

/// How long the broker may take to hear of one thing that a host saw.
pub(super) const TELL_PATIENCE: Duration = Duration::from_secs(5);
/// How long a step waits for the broker to have heard why.
pub(super) const TELL_FIRST: Duration = Duration::from_millis(250);

/// How often a host tells the broker what its slots do, unless `--report-every` says otherwise.
pub(super) const REPORT_EVERY: Duration = Duration::from_secs(1);
/// And no more often than that, whatever the broker says.
pub(super) const REPORT_EVERY_MIN: Duration = Duration::from_millis(50);
/// How long a host waits for what it is handed before it begins without.
pub(super) const HANDED_PATIENCE: Duration = Duration::from_secs(1);
/// A host that does nothing tells that only each time so many reports were due.
pub(super) const QUIET_REPORTS: u32 = 5;
/// How long the broker may take to hear one; the next says more.
pub(super) const REPORT_PATIENCE: Duration = Duration::from_secs(1);
/// Bytes of one argument of a report, and how many slots it tells of: what travels in an operator's command.
pub(super) const REPORT_TEXT_LEN_MAX: usize = 4_096;
/// See [`REPORT_TEXT_LEN_MAX`].
pub(super) const REPORTED_SLOTS_MAX: usize = 500;

/// How often it is looked whether a command's job is to stop.
pub(super) const STOP_ASK: Duration = Duration::from_millis(50);
/// Bytes kept of the end of a process's standard error.
pub(super) const TAIL_LEN: usize = 8 << 10;
