//! The rules of the drain, as a state machine that is told the time and what the checks found. It owns all that DURATION,
//! `--min`, `--period`, `--threshold` and `--assume-ready` mean, and knows neither clock nor socket.
//!
//! All times are since the start of the drain.

use std::time::Duration;

/// What a drain goes by.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// The most that it lasts.
    pub duration: Duration,
    /// What it lasts before it may end early.
    pub min: Duration,
    /// From the start of one round of checks to the start of the next.
    pub period: Duration,
    /// The most that one check or request takes.
    pub timeout: Duration,
    /// How many rounds in a row must agree.
    pub threshold: u32,
    /// Counts what is watched as having been ready before the first check.
    pub assume_ready: bool,
    /// How long to wait before the requests.
    pub delay: Duration,
}

/// What to do next.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Check this watch, by this time.
    Check(usize, Duration),
    /// Send this request, by this time.
    Request(usize, Duration),
    /// Sleep until this time.
    Sleep(Duration),
    /// The drain is over, and why.
    End(End),
}

/// Why a drain ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// DURATION has passed.
    Elapsed,
    /// All that is watched has held.
    Drained,
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// It is ready: it can stop being so later.
    pub ready: bool,
    /// It looks drained, if only it was ready before.
    pub drained: bool,
}

/// One drain.
pub struct Drain {
    rules: Rules,
    /// Of each watch, whether it was ever ready.
    seen_ready: Vec<bool>,
    /// The watch to be checked next; past the last one between rounds.
    next_watch: usize,
    /// No round has ended yet.
    baseline: bool,
    next_round: Duration,
    /// All has held in this round so far.
    holding: bool,
    /// Rounds in a row in which all has held.
    held: u32,
    requests: usize,
    requested: usize,
}

impl Drain {
    /// A drain with that many watches and requests, which starts at time zero.
    pub fn new(rules: Rules, watches: usize, requests: usize) -> Drain {
        Drain {
            seen_ready: std::iter::repeat_n(rules.assume_ready, watches).collect(),
            next_watch: watches,
            baseline: watches > 0,
            next_round: Duration::ZERO,
            holding: false,
            held: 0,
            requests,
            requested: 0,
            rules,
        }
    }

    /// What to do now. A check or request is followed by [`Drain::checked`] or [`Drain::requested`].
    pub fn next(&mut self, now: Duration) -> Step {
        if now >= self.rules.duration {
            return Step::End(End::Elapsed);
        }
        let by = now.saturating_add(self.rules.timeout).min(self.rules.duration);
        let watches = self.seen_ready.len();
        if self.next_watch == watches {
            if !self.baseline {
                if self.requested < self.requests {
                    return Step::Request(self.requested, by);
                }
                if watches == 0 {
                    return Step::Sleep(self.rules.duration);
                }
                let drained = self.held >= self.rules.threshold;
                if drained && now >= self.rules.min {
                    return Step::End(End::Drained);
                }
                if now < self.next_round {
                    let wake = if drained { self.next_round.min(self.rules.min) } else { self.next_round };
                    return Step::Sleep(wake.min(self.rules.duration));
                }
            }
            self.next_round = now.saturating_add(self.rules.period);
            self.next_watch = 0;
            self.holding = true;
        }
        Step::Check(self.next_watch, by)
    }

    /// Takes in what the check found that [`Drain::next`] asked for. `false`: DURATION has cut it off, so that it counts
    /// for nothing.
    pub fn checked(&mut self, now: Duration, finding: Finding) -> bool {
        if now >= self.rules.duration {
            return false;
        }
        let seen_ready = &mut self.seen_ready[self.next_watch];
        *seen_ready |= finding.ready;
        self.holding &= finding.drained && *seen_ready;
        self.next_watch += 1;
        if self.next_watch == self.seen_ready.len() {
            self.baseline = false;
            self.held = if self.holding { self.held.saturating_add(1) } else { 0 };
        }
        true
    }

    /// The request that [`Drain::next`] asked for has been sent, or has failed.
    pub fn requested(&mut self) {
        self.requested += 1;
    }

    /// How many requests had their turn.
    pub fn requests_sent(&self) -> usize {
        self.requested
    }

    /// Whether this watch was ever ready, or assumed to be.
    pub fn was_ready(&self, watch: usize) -> bool {
        self.seen_ready[watch]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: Finding = Finding { ready: true, drained: false };
    const UNREADY: Finding = Finding { ready: false, drained: true };
    const UNKNOWN: Finding = Finding { ready: false, drained: false };
    const IDLE: Finding = Finding { ready: true, drained: true };

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn rules() -> Rules {
        Rules {
            duration: secs(20.0),
            min: secs(5.0),
            period: secs(1.0),
            timeout: secs(1.0),
            threshold: 3,
            assume_ready: false,
            delay: Duration::ZERO,
        }
    }

    /// Runs a drain in virtual time. `check` is told the watch and the time, and says how long the check takes and what it
    /// finds. Gives back when the drain ended, why, and when each check began.
    fn run(
        rules: &Rules,
        watches: usize,
        mut check: impl FnMut(usize, Duration) -> (f64, Finding),
    ) -> (Duration, End, Vec<(usize, Duration)>) {
        let mut drain = Drain::new(rules.clone(), watches, 0);
        let mut now = Duration::ZERO;
        let mut checks = Vec::new();
        loop {
            match drain.next(now) {
                Step::Check(watch, by) => {
                    assert!(by <= rules.duration && by <= now + rules.timeout);
                    checks.push((watch, now));
                    let (takes, finding) = check(watch, now);
                    now = (now + secs(takes)).min(by);
                    drain.checked(now, finding);
                }
                Step::Sleep(until) => {
                    assert!(until > now && until <= rules.duration, "{until:?}");
                    now = until;
                }
                Step::End(end) => return (now, end, checks),
                Step::Request(..) => panic!("no request was given"),
            }
        }
    }

    fn ends(rules: &Rules, check: impl Fn(f64) -> Finding) -> (f64, End) {
        let (at, end, _) = run(rules, 1, |_, now| (0.0, check(now.as_secs_f64())));
        (at.as_secs_f64(), end)
    }

    #[test]
    fn plain_sleep() {
        let (at, end, checks) = run(&rules(), 0, |_, _| panic!("nothing is watched"));
        assert_eq!((at, end, checks.len()), (secs(20.0), End::Elapsed, 0));
        let zero = Rules { duration: Duration::ZERO, ..rules() };
        let (at, end, checks) = run(&zero, 1, |_, _| panic!("no time is left"));
        assert_eq!((at, end, checks.len()), (Duration::ZERO, End::Elapsed, 0));
    }

    #[test]
    fn a_day_in_a_moment() {
        let day = Rules { duration: secs(86_400.0), ..rules() };
        let (at, end, checks) = run(&day, 1, |_, _| (0.001, READY));
        assert_eq!((at, end, checks.len()), (secs(86_400.0), End::Elapsed, 86_400));
    }

    #[test]
    fn forever() {
        let forever = Rules { duration: Duration::MAX, min: Duration::MAX, period: Duration::MAX, ..rules() };
        assert_eq!(run(&forever, 0, |_, _| panic!()).0, Duration::MAX);
        assert_eq!(run(&forever, 1, |_, _| (1.0, UNREADY)).0, Duration::MAX);
    }

    #[test]
    fn ends_at_the_third_unready_check_in_a_row() {
        // Ready at 0 to 6, unready from 7 on: the checks at 7, 8 and 9 agree.
        assert_eq!(ends(&rules(), |now| if now < 7.0 { READY } else { UNREADY }), (9.0, End::Drained));
        let once = Rules { threshold: 1, ..rules() };
        assert_eq!(ends(&once, |now| if now < 7.0 { READY } else { UNREADY }), (7.0, End::Drained));
        // The baseline counts: an idle port needs no check that says otherwise.
        assert_eq!(ends(&Rules { min: Duration::ZERO, ..rules() }, |_| IDLE), (2.0, End::Drained));
    }

    #[test]
    fn one_that_does_not_hold_starts_the_count_again() {
        for breaks in [READY, UNKNOWN] {
            let check = |now| {
                if now < 4.0 {
                    READY
                } else if now == 6.0 {
                    breaks
                } else {
                    UNREADY
                }
            };
            assert_eq!(ends(&rules(), check), (9.0, End::Drained), "{breaks:?}");
        }
        assert_eq!(ends(&rules(), |now| if now % 3.0 == 0.0 { READY } else { UNREADY }), (20.0, End::Elapsed));
    }

    #[test]
    fn never_before_min() {
        let unready_at_once = |now| if now == 0.0 { READY } else { UNREADY };
        assert_eq!(ends(&rules(), unready_at_once), (5.0, End::Drained));
        // The end comes at --min itself, not at the check after it.
        let min = Rules { min: secs(5.5), ..rules() };
        assert_eq!(ends(&min, unready_at_once), (5.5, End::Drained));
        // Checks go on meanwhile: one that turns ready again just before --min keeps the drain going.
        let back = |now| if now == 0.0 || now == 5.0 { READY } else { UNREADY };
        assert_eq!(ends(&min, back), (8.0, End::Drained));
        // A --min of DURATION or more rules an early end out.
        for min in [20.0, 30.0] {
            assert_eq!(ends(&Rules { min: secs(min), ..rules() }, unready_at_once), (20.0, End::Elapsed));
        }
    }

    #[test]
    fn never_ready_means_mistaken() {
        for never in [UNREADY, UNKNOWN] {
            assert_eq!(ends(&rules(), |_| never), (20.0, End::Elapsed), "{never:?}");
        }
        let assumed = Rules { assume_ready: true, ..rules() };
        assert_eq!(ends(&assumed, |_| UNREADY), (5.0, End::Drained));
        assert_eq!(ends(&assumed, |_| UNKNOWN), (20.0, End::Elapsed));
        // Unready checks from before it was ever ready do not count.
        assert_eq!(ends(&rules(), |now| if now == 6.0 { READY } else { UNREADY }), (9.0, End::Drained));
        // One of two that was never ready holds the drain, however ready the other was.
        let (at, end, _) =
            run(&rules(), 2, |watch, now| (0.0, if watch == 0 && now < secs(3.0) { READY } else { UNREADY }));
        assert_eq!((at, end), (secs(20.0), End::Elapsed));
    }

    #[test]
    fn all_that_is_watched_must_hold() {
        let gone = [8.0, 11.0];
        let check = |watch: usize, now: Duration| (0.0, if now.as_secs_f64() < gone[watch] { READY } else { UNREADY });
        let (at, end, checks) = run(&rules(), 2, check);
        assert_eq!((at, end), (secs(13.0), End::Drained));
        assert_eq!(checks[..4], [(0, secs(0.0)), (1, secs(0.0)), (0, secs(1.0)), (1, secs(1.0))]);
    }

    #[test]
    fn a_slow_round_is_followed_by_the_next_at_once() {
        // Two checks of 0.75 s each overrun the period of 1 s.
        let (_, _, checks) = run(&rules(), 2, |_, _| (0.75, READY));
        assert_eq!(checks[..3], [(0, secs(0.0)), (1, secs(0.75)), (0, secs(1.5))]);
        // A check of 0.4 s does not delay the next one.
        let (_, _, checks) = run(&rules(), 1, |_, _| (0.4, READY));
        assert_eq!(checks[..3], [(0, secs(0.0)), (0, secs(1.0)), (0, secs(2.0))]);
    }

    #[test]
    fn a_check_never_outlives_the_drain_nor_counts_when_cut() {
        let rules = Rules { duration: secs(2.5), min: Duration::ZERO, threshold: 1, timeout: secs(10.0), ..rules() };
        // Unready only in the check that DURATION cuts off.
        let (at, end, checks) = run(&rules, 1, |_, now| if now < secs(2.0) { (0.0, READY) } else { (9.0, UNREADY) });
        assert_eq!((at, end, checks.len()), (secs(2.5), End::Elapsed, 3));
        let mut drain = Drain::new(rules, 1, 0);
        drain.next(secs(0.0));
        assert!(drain.checked(secs(2.4), READY));
        drain.next(secs(2.4));
        assert!(!drain.checked(secs(2.5), UNREADY));
    }

    #[test]
    fn requests_follow_the_baseline() {
        let mut drain = Drain::new(rules(), 1, 2);
        assert_eq!(drain.next(secs(0.0)), Step::Check(0, secs(1.0)));
        drain.checked(secs(0.5), READY);
        assert_eq!(drain.next(secs(0.5)), Step::Request(0, secs(1.5)));
        drain.requested();
        assert_eq!(drain.next(secs(0.75)), Step::Request(1, secs(1.75)));
        drain.requested();
        assert_eq!(drain.next(secs(0.8)), Step::Sleep(secs(1.0)));
        let mut drain = Drain::new(Rules { duration: secs(0.5), ..rules() }, 0, 1);
        assert_eq!(drain.next(secs(0.1)), Step::Request(0, secs(0.5)));
        drain.requested();
        assert_eq!(drain.next(secs(0.2)), Step::Sleep(secs(0.5)));
    }
}
