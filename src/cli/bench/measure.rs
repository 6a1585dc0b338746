//! The measuring itself, apart from what is measured: whatever takes numbered messages and gives their numbers back.

use std::time::{Duration, Instant};

use crate::cli::exit::{Exit, Failed};

/// How long nothing may come back before a round fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is measured: messages go in with a tag, and come back.
pub(super) trait Echo {
    /// Sends one message for each tag.
    fn send(&mut self, tags: &[u64]) -> Result<(), Failed>;
    /// Waits for at least one message and adds the tags of those that came.
    fn receive(&mut self, tags: &mut Vec<u64>, wait: Duration) -> Result<(), Failed>;
}

/// One round's result.
pub(super) struct Round {
    /// Messages that came back.
    pub(super) jobs: u64,
    /// From the first sent to the last that came back.
    pub(super) took: Duration,
    /// Half of them took no longer.
    pub(super) p50: Duration,
    /// 99 of 100 took no longer.
    pub(super) p99: Duration,
    /// None took longer.
    pub(super) max: Duration,
}

impl Round {
    pub(super) fn jobs_per_s(&self) -> f64 {
        self.jobs as f64 / self.took.as_secs_f64().max(1e-9)
    }
}

/// Keeps `in_flight` messages under way for `time`, then waits for the last of them.
pub(super) fn round(echo: &mut dyn Echo, in_flight: usize, time: Duration) -> Result<Round, Failed> {
    let begin = Instant::now();
    // A tag is a place in this table; one that came back is sent again.
    let mut sent_at = vec![begin; in_flight];
    let mut tags: Vec<u64> = (0..in_flight as u64).collect();
    let mut took_us = Vec::<u32>::new();
    let mut open = in_flight;
    echo.send(&tags)?;
    while open > 0 {
        tags.clear();
        echo.receive(&mut tags, PATIENCE)?;
        if tags.is_empty() {
            let message = format!("{open} messages did not come back within {} s", PATIENCE.as_secs());
            return Err(Failed::new(Exit::NotDone, message));
        }
        let now = Instant::now();
        for tag in &tags {
            let at = usize::try_from(*tag).ok().and_then(|tag| sent_at.get_mut(tag));
            let at = at.ok_or_else(|| Failed::new(Exit::NotDone, format!("tag {tag} was never sent")))?;
            took_us.push(u32::try_from((now - *at).as_micros()).unwrap_or(u32::MAX));
            *at = now;
        }
        if now - begin < time {
            echo.send(&tags)?;
        } else {
            open -= tags.len();
        }
    }
    let took = begin.elapsed();
    took_us.sort_unstable();
    let part = |of_1000: usize| {
        let at = (took_us.len() * of_1000 / 1_000).min(took_us.len() - 1);
        Duration::from_micros(u64::from(took_us[at]))
    };
    Ok(Round { jobs: took_us.len() as u64, took, p50: part(500), p99: part(990), max: part(1_000) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Gives back what it got, two at a time.
    struct Two(VecDeque<u64>, usize);

    impl Echo for Two {
        fn send(&mut self, tags: &[u64]) -> Result<(), Failed> {
            self.0.extend(tags);
            self.1 = self.1.max(self.0.len());
            Ok(())
        }

        fn receive(&mut self, tags: &mut Vec<u64>, _: Duration) -> Result<(), Failed> {
            tags.extend(self.0.drain(..self.0.len().min(2)));
            Ok(())
        }
    }

    #[test]
    fn keeps_so_many_in_flight_and_waits_for_all() {
        let mut echo = Two(VecDeque::new(), 0);
        let round = round(&mut echo, 7, Duration::from_millis(5)).expect("nothing is lost");
        assert!(round.jobs >= 7 && echo.0.is_empty());
        assert_eq!(echo.1, 7);
        assert!(round.p50 <= round.p99 && round.p99 <= round.max && round.max <= round.took);
    }

    #[test]
    fn lost_messages_fail_the_round() {
        struct Hole;
        impl Echo for Hole {
            fn send(&mut self, _: &[u64]) -> Result<(), Failed> {
                Ok(())
            }
            fn receive(&mut self, _: &mut Vec<u64>, _: Duration) -> Result<(), Failed> {
                Ok(())
            }
        }
        assert!(round(&mut Hole, 1, Duration::ZERO).is_err());
    }
}
