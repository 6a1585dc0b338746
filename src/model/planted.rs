//! Bugs planted on purpose, to see that the tests find them: docs/RELIABILITY.md holds the list. Only with the feature
//! `planted-faults`, which no user wants; without it [`planted`] is a constant, and nothing of this is in the library.
//!
//! Invariant: a process has at most one of them, and has had it from its beginning.

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// One planted bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Planted { $($(#[doc = $doc])+ $name,)+ }

        /// Each of them by its name, and what it is.
        #[cfg(feature = "planted-faults")]
        pub const PLANTED: &[(&str, &str)] = &[$((stringify!($name), concat!($($doc),+)),)+];

        #[cfg(feature = "planted-faults")]
        const FAULTS: &[Planted] = &[$(Planted::$name),+];
    };
}

faults! {
    /// A batch is not synced.
    SkipSync,
    /// A segment's header is not synced before its batches.
    SkipHeaderSync,
    /// Names are not synced before a file's bytes change.
    SkipNameSync,
    /// A batch is taken without comparing its sums.
    SkipCrc,
    /// A frame of a recycled file's former life counts.
    ForgetSegmentInSeed,
    /// The last batch is cut off when its witness was lost.
    CutTooMuch,
    /// Damage passes for the torn end of the log.
    CallDamageTorn,
    /// A segment that is still needed is used again.
    RecycleLiveSegment,
    /// A job is copied forward without what had happened to it.
    CopyWithoutStanding,
    /// A job is copied forward without its end.
    CopyWithoutEnd,
    /// Copying stops where a witness was lost.
    StopAtLostWitness,
    /// A job that does not fit waits before the outcomes that would make room.
    WaitForRoomForEver,
    /// A start does not raise the epoch.
    KeepEpoch,
    /// A job is acknowledged before its record is synced.
    AcknowledgeEarly,
    /// A job is handed out before the record of that is synced.
    GrantEarly,
    /// A result is told before its record is synced.
    TellEndEarly,
    /// Two grants have one token.
    ReuseToken,
    /// Whoever names the slot is believed.
    ForgetTokenCheck,
    /// After a restart nothing is known of attempts.
    LoseAttempts,
    /// One attempt too many.
    ExceedAttempts,
    /// A last attempt is made again after a restart.
    AttemptAfterRestart,
    /// A job that failed waits for nothing.
    SkipBackoff,
    /// A job that was given back unstarted goes to the end of the line.
    LosePlace,
    /// Who waits for a result is forgotten when it comes.
    DropWaiter,
    /// A deadline passes by the wall clock.
    ExpireByWallClock,
    /// Whatever attempt a worker presents is adopted.
    AdoptAnyAttempt,
    /// An application's id is forgotten at a restart.
    ForgetTombstone,
    /// A result is pushed twice.
    DeliverTwice,
    /// After a restart a cancelled job is not.
    IgnoreCancelAtRestart,
    /// CANCELLED is said, and nothing done.
    CancelInWordsOnly,
    /// A worker is not told to stop.
    ForgetRevoke,
    /// A worker is told to stop before it is told to begin.
    RevokeBeforeGrant,
    /// A worker is handed more than it asked for.
    ExceedDemand,
    /// A result is dropped before anybody has acknowledged it.
    DropResultEarly,
    /// An acknowledgement accepts a later submission of the same id.
    AcceptOther,
    /// A client does not say its jobs again to a broker that has started anew.
    ForgetResend,
    /// A command that comes twice is executed twice.
    ExecuteTwice,
    /// What a torn connection swallowed is not sent again.
    LoseUnacknowledged,
    /// A step begins when one of those it needs is done.
    StartStepEarly,
    /// A step is not given the results it takes.
    DropStepInput,
    /// A run that has ended leaves its steps going.
    LeaveStepsGoing,
    /// After a restart a run does not know that a step has ended.
    ForgetStepEndAtRestart,
    /// The result of a step goes when somebody says he has it.
    ForgetStepResult,
    /// The jobs of a stage do not wait for what the stage needs.
    BeginStageEarly,
    /// A stage is over when its jobs are, closed or not.
    EndStageUnclosed,
    /// A stage that is closed takes jobs.
    AddAfterClose,
    /// After a restart a stage is not closed.
    ForgetClose,
    /// The results of a stage are gathered in another order.
    GatherOutOfOrder,
    /// After a restart nobody has acknowledged a result.
    ForgetCollected,
    /// A run is DONE before its results are collected.
    EndUncollected,
    /// A run that waits for its context does not.
    IgnoreHold,
    /// After a restart a run has no context.
    ForgetContext,
    /// One job of a serial key too many is under way.
    OneMoreOfAKey,
    /// Of the jobs of a serial key the last goes next.
    KeyOutOfOrder,
    /// A job that waits for another attempt lets others of its serial key go first.
    LeaveKeyToRetry,
}

/// The one this process has.
#[cfg(feature = "planted-faults")]
static PRESENT: std::sync::OnceLock<Planted> = std::sync::OnceLock::new();

/// Whether this process has this bug.
#[cfg(feature = "planted-faults")]
pub(crate) fn planted(fault: Planted) -> bool {
    PRESENT.get() == Some(&fault)
}

/// Whether this process has this bug: it has none.
#[cfg(not(feature = "planted-faults"))]
#[inline(always)]
pub(crate) const fn planted(_: Planted) -> bool {
    false
}

/// Gives this process the bug of that name for the rest of its life.
///
/// # Panics
/// When there is none of that name, or the process has one.
#[cfg(feature = "planted-faults")]
pub fn plant(name: &str) {
    let at = PLANTED.iter().position(|(known, _)| *known == name).expect("a bug of this name");
    PRESENT.set(FAULTS[at]).expect("one bug is enough");
}
