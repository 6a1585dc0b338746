//! The limits of `forebay run`, in one place.

use std::time::Duration;

/// How long running jobs may take when it drains, unless `--drain` says otherwise.
pub(super) const DRAIN: Duration = Duration::from_secs(30);
/// So much longer a process may take to end before it is killed.
pub(super) const DRAIN_MORE: Duration = Duration::from_secs(10);
/// The wait before the second restart in a row; it doubles with each.
pub(super) const BACKOFF: Duration = Duration::from_millis(100);
/// The longest such wait, and the life after which a process counts as sound.
pub(super) const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// So many ends in a row before a process was ready end all.
pub(super) const UNREADY_MAX: u32 = 5;
/// So many ends within a while end all, ready or not.
pub(super) const ENDS_MAX: usize = 10;
pub(super) const ENDS_WITHIN: Duration = Duration::from_secs(60);
/// The most slots of a host.
pub(super) const SLOTS_MAX: u32 = 10_000;
/// How long the broker may take to hear the rules of one queue.
pub(super) const RULES_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of one request or answer over the control socket.
pub(super) const WORD_LEN_MAX: u64 = 64 << 10;
/// How long whoever connects to the control socket may take to say what it wants.
pub(super) const WORD_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a file like forebay.toml.
pub(super) const FILE_LEN_MAX: u64 = 1 << 20;
