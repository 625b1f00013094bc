//! The rules of the drain, as a state machine that is told the time and what the checks found. What DURATION, `--min`,
//! `--period`, `--timeout`, `--threshold`, `--assume-ready` and `--delay` mean is decided here. It has no clock and no socket.
//!
//! All times are since the start of the drain.

use std::time::Duration;

/// The default of `--min`. A drain lasts at least this long if the command line does not say otherwise.
pub const DEFAULT_MIN: Duration = Duration::from_secs(5);

/// The rules of one drain.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// How long the drain lasts at most.
    pub duration: Duration,
    /// How long the drain lasts before it may end early.
    pub min: Duration,
    /// From the start of one round of checks to the start of the next, and from one attempt of a request to the next.
    pub period: Duration,
    /// How long one check takes at most, and how long a request is given before the log says that there is no answer yet.
    pub timeout: Duration,
    /// How many rounds in a row must find that all has drained.
    pub threshold: u32,
    /// All watches count as having been ready before the first check.
    pub assume_ready: bool,
    /// How long to wait before the requests.
    pub delay: Duration,
}

/// What to do next. A watch or request is given by its index.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Check a watch, by this deadline.
    Check {
        watch: usize,
        deadline: Duration,
    },
    /// Send a request, for the first time or again, and do not wait for the answer.
    Request {
        request: usize,
    },
    /// Say that a request has not been answered within `--timeout`. This comes once for each request.
    Late {
        request: usize,
    },
    /// Sleep, or until the answer to a request comes.
    Sleep {
        until: Duration,
    },
    End(End),
}

/// Why a drain ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// All that is watched has drained.
    Drained,
    /// DURATION has passed, and this kept the drain from ending before.
    Elapsed(HeldBy),
}

/// What kept a drain from ending early. If several hold, the first variant wins. `run` writes it into the last log line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HeldBy {
    /// Nothing is watched.
    Nothing,
    /// No check of this watch said anything: it cannot be watched here, or is too slow.
    NeverKnown { watch: usize },
    /// This watch was never ready, so it could not stop being ready.
    NeverReady { watch: usize },
    /// There was no time left to send a request of `--get` or `--post`.
    Requests,
    /// This watch had not drained at its last check: it was still ready or busy, or the check said nothing.
    NotDrained { watch: usize },
    /// All had drained, but in fewer rounds in a row than the threshold.
    Threshold { agreed: u32 },
    /// All had drained, and `--min` had not passed.
    Min,
}

/// What a check found. If neither holds, it said nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Finding {
    /// It is ready, and can stop being ready later.
    pub ready: bool,
    /// It looks drained. This counts only if it was ready before.
    pub drained: bool,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reply {
    /// It succeeded, or the answer is final. The request is not sent again.
    Final,
    /// The answer asks to try again.
    Again,
    /// No server took the request.
    NotTaken,
}

/// One drain.
pub struct Drain<'a> {
    rules: &'a Rules,
    watches: Vec<Watched>,
    /// The watch to be checked next; past the last one between rounds.
    next_watch: usize,
    /// Every watch has been checked once: the first round is over.
    has_baseline: bool,
    next_round: Duration,
    /// Rounds in a row that have found that all has drained.
    agreed: u32,
    /// Those that were sent so far, in order.
    requests: Vec<Asked>,
    unsent: usize,
    /// When the last request that was sent leaves the way free for the next one.
    next_request: Duration,
}

/// The state of one watch.
#[derive(Clone)]
struct Watched {
    /// A check has said something.
    was_known: bool,
    was_ready: bool,
    /// It had drained at its last check.
    drained: bool,
}

impl Watched {
    fn has_drained(&self) -> bool {
        self.was_ready && self.drained
    }
}

/// The state of a request that was sent.
struct Asked {
    /// When it was sent last.
    sent: Duration,
    state: State,
    /// The log says that there was no answer in time.
    told_late: bool,
}

#[derive(PartialEq)]
enum State {
    /// It was sent, and there is no answer yet.
    Pending,
    /// It is to be sent again.
    Again,
    Final,
}

impl Asked {
    /// Returns when there is something to do about the request, unless an answer comes before.
    fn due(&self, rules: &Rules) -> Duration {
        match self.state {
            State::Again => self.sent.saturating_add(rules.period),
            State::Pending if !self.told_late => self.sent.saturating_add(rules.timeout),
            State::Pending | State::Final => Duration::MAX,
        }
    }
}

impl<'a> Drain<'a> {
    /// A drain with this many watches and requests, which starts at time zero.
    pub fn new(rules: &'a Rules, watches: usize, requests: usize) -> Drain<'a> {
        Drain {
            watches: vec![Watched { was_known: false, was_ready: rules.assume_ready, drained: false }; watches],
            next_watch: watches,
            has_baseline: watches == 0,
            next_round: Duration::ZERO,
            agreed: 0,
            requests: Vec::new(),
            unsent: requests,
            next_request: Duration::ZERO,
            rules,
        }
    }

    /// Returns what to do now. After a check the caller calls [`Drain::checked`], and [`Drain::replied`] once a request has been
    /// answered, or has failed.
    pub fn next(&mut self, now: Duration) -> Step {
        let Rules { duration, min, period, timeout, threshold, .. } = *self.rules;
        if now >= duration {
            let held = self.held_by();
            // All had drained, and --min passed, while the last check took until DURATION.
            return Step::End(if held == HeldBy::Min && min < duration { End::Drained } else { End::Elapsed(held) });
        }
        let is_between_rounds = self.next_watch == self.watches.len();
        // To end is to hang up: a request that has just been sent has its --timeout to be answered.
        let has_drained = self.agreed >= threshold && self.unsent == 0 && now >= self.next_request;
        if is_between_rounds && has_drained && now >= min {
            return Step::End(End::Drained);
        }
        if let Some(step) = self.next_request(now) {
            return step;
        }
        if is_between_rounds {
            let next_round = if self.watches.is_empty() { duration } else { self.next_round };
            if now < next_round {
                let mut until = if has_drained { next_round.min(min) } else { next_round }.min(duration);
                if self.unsent > 0 {
                    until = until.min(self.unsent_due());
                }
                return Step::Sleep {
                    until: self.requests.iter().map(|asked| asked.due(self.rules)).fold(until, Duration::min),
                };
            }
            self.next_round = now.saturating_add(period);
            self.next_watch = 0;
        }
        let mut deadline = now.saturating_add(timeout).min(duration);
        if self.unsent > 0 && !self.has_baseline {
            deadline = deadline.min(self.unsent_due());
        }
        Step::Check { watch: self.next_watch, deadline }
    }

    /// Returns what to do about the requests, if anything.
    fn next_request(&mut self, now: Duration) -> Option<Step> {
        if let Some(request) = self.requests.iter().position(|asked| now >= asked.due(self.rules)) {
            let asked = &mut self.requests[request];
            if asked.state == State::Pending {
                asked.told_late = true;
                return Some(Step::Late { request });
            }
            (asked.sent, asked.state) = (now, State::Pending);
            return Some(Step::Request { request });
        }
        if self.unsent == 0 || now < self.unsent_due() {
            return None;
        }
        self.unsent -= 1;
        self.next_request = now.saturating_add(self.rules.timeout);
        self.requests.push(Asked { sent: now, state: State::Pending, told_late: false });
        Some(Step::Request { request: self.requests.len() - 1 })
    }

    /// Returns when the next request may be sent for the first time. A first round that hangs delays the requests by one timeout
    /// at most, however many watches there are, and by half of DURATION at most.
    fn unsent_due(&self) -> Duration {
        let Rules { duration, timeout, delay, .. } = *self.rules;
        let baseline = if self.has_baseline { Duration::ZERO } else { timeout.min(duration / 2) };
        self.next_request.max(delay).max(baseline)
    }

    /// Takes in what a check found that [`Drain::next`] has asked for. Returns false if DURATION cut the check off: then it does
    /// not count.
    pub fn checked(&mut self, now: Duration, finding: Finding) -> bool {
        if now >= self.rules.duration {
            return false;
        }
        let watched = &mut self.watches[self.next_watch];
        watched.was_known |= finding != Finding::default();
        watched.was_ready |= finding.ready;
        watched.drained = finding.drained;
        self.next_watch += 1;
        if self.next_watch == self.watches.len() {
            self.has_baseline = true;
            self.agreed = if self.watches.iter().all(Watched::has_drained) { self.agreed.saturating_add(1) } else { 0 };
        }
        true
    }

    /// Takes in what became of a request that was sent.
    pub fn replied(&mut self, now: Duration, request: usize, reply: Reply) {
        self.requests[request].state = if reply == Reply::Final { State::Final } else { State::Again };
        if reply != Reply::NotTaken && request + 1 == self.requests.len() {
            self.next_request = self.next_request.min(now);
        }
    }

    fn held_by(&self) -> HeldBy {
        let first = |is_held: fn(&Watched) -> bool| self.watches.iter().position(is_held);
        if self.watches.is_empty() {
            HeldBy::Nothing
        } else if let Some(watch) = first(|watched| !watched.was_known) {
            HeldBy::NeverKnown { watch }
        } else if let Some(watch) = first(|watched| !watched.was_ready) {
            HeldBy::NeverReady { watch }
        } else if self.unsent > 0 {
            HeldBy::Requests
        } else if let Some(watch) = first(|watched| !watched.drained) {
            HeldBy::NotDrained { watch }
        } else if self.agreed < self.rules.threshold {
            HeldBy::Threshold { agreed: self.agreed }
        } else {
            HeldBy::Min
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: Finding = Finding { ready: true, drained: false };
    const UNREADY: Finding = Finding { ready: false, drained: true };
    const UNKNOWN: Finding = Finding { ready: false, drained: false };
    const IDLE: Finding = Finding { ready: true, drained: true };
    const NEVER_KNOWN: End = End::Elapsed(HeldBy::NeverKnown { watch: 0 });
    const NEVER_READY: End = End::Elapsed(HeldBy::NeverReady { watch: 0 });
    const NOT_DRAINED: End = End::Elapsed(HeldBy::NotDrained { watch: 0 });

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
    /// finds. Returns when the drain ended, why, and when each check began.
    fn run(
        rules: &Rules,
        watches: usize,
        mut check: impl FnMut(usize, Duration) -> (f64, Finding),
    ) -> (Duration, End, Vec<(usize, Duration)>) {
        let mut drain = Drain::new(rules, watches, 0);
        let mut now = Duration::ZERO;
        let mut checks = Vec::new();
        loop {
            match drain.next(now) {
                Step::Check { watch, deadline: by } => {
                    assert!(by <= rules.duration && by <= now + rules.timeout);
                    checks.push((watch, now));
                    let (takes, finding) = check(watch, now);
                    now = (now + secs(takes)).min(by);
                    drain.checked(now, finding);
                }
                Step::Sleep { until } => {
                    assert!(until > now && until <= rules.duration, "{until:?}");
                    now = until;
                }
                Step::End(end) => return (now, end, checks),
                Step::Request { .. } | Step::Late { .. } => panic!("no request was given"),
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
        assert_eq!((at, end, checks.len()), (secs(20.0), End::Elapsed(HeldBy::Nothing), 0));
        let zero = Rules { duration: Duration::ZERO, ..rules() };
        let (at, end, checks) = run(&zero, 1, |_, _| panic!("no time is left"));
        assert_eq!((at, end, checks.len()), (Duration::ZERO, NEVER_KNOWN, 0));
    }

    #[test]
    fn a_day_in_a_moment() {
        let day = Rules { duration: secs(86_400.0), ..rules() };
        let (at, end, checks) = run(&day, 1, |_, _| (0.001, READY));
        assert_eq!((at, end, checks.len()), (secs(86_400.0), NOT_DRAINED, 86_400));
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
    fn a_check_that_does_not_agree_starts_the_count_again() {
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
        assert_eq!(
            ends(&rules(), |now| if now % 3.0 == 0.0 { READY } else { UNREADY }),
            (20.0, End::Elapsed(HeldBy::Threshold { agreed: 1 }))
        );
    }

    #[test]
    fn a_last_check_that_agrees_drains_even_if_it_takes_until_duration() {
        let rules = Rules { duration: secs(2.0), min: Duration::ZERO, threshold: 1, ..rules() };
        let mut drain = Drain::new(&rules, 1, 0);
        assert!(matches!(drain.next(secs(1.0)), Step::Check { .. }));
        assert!(drain.checked(secs(1.9), IDLE));
        assert_eq!(drain.next(secs(2.0)), Step::End(End::Drained));
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
        // A --min of DURATION or more rules out an early end.
        for min in [20.0, 30.0] {
            assert_eq!(ends(&Rules { min: secs(min), ..rules() }, unready_at_once), (20.0, End::Elapsed(HeldBy::Min)));
            let rare = Rules { min: secs(min), period: secs(60.0), threshold: 1, ..rules() };
            assert_eq!(ends(&rare, |_| IDLE), (20.0, End::Elapsed(HeldBy::Min)));
        }
    }

    #[test]
    fn never_ready_means_mistaken() {
        assert_eq!(ends(&rules(), |_| UNREADY), (20.0, NEVER_READY));
        assert_eq!(ends(&rules(), |_| UNKNOWN), (20.0, NEVER_KNOWN));
        let assumed = Rules { assume_ready: true, ..rules() };
        assert_eq!(ends(&assumed, |_| UNREADY), (5.0, End::Drained));
        assert_eq!(ends(&assumed, |_| UNKNOWN), (20.0, NEVER_KNOWN));
        // Unready checks from before it was ever ready do not count.
        assert_eq!(ends(&rules(), |now| if now == 6.0 { READY } else { UNREADY }), (9.0, End::Drained));
        // One of two that was never ready holds the drain, however ready the other was.
        let (at, end, _) =
            run(&rules(), 2, |watch, now| (0.0, if watch == 0 && now < secs(3.0) { READY } else { UNREADY }));
        assert_eq!((at, end), (secs(20.0), End::Elapsed(HeldBy::NeverReady { watch: 1 })));
    }

    #[test]
    fn all_that_is_watched_must_have_drained() {
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
        assert_eq!((at, end, checks.len()), (secs(2.5), NOT_DRAINED, 3));
        let mut drain = Drain::new(&rules, 1, 0);
        drain.next(secs(0.0));
        assert!(drain.checked(secs(2.4), READY));
        drain.next(secs(2.4));
        assert!(!drain.checked(secs(2.5), UNREADY));
    }

    /// Runs a drain with requests in virtual time. `check` is told the watch and the time, and says how long the check takes if its
    /// deadline lets it, and what it then finds; one that is cut off finds nothing. `reply` is told the request and when it was
    /// sent, and says how long the reply takes, and what it is. Returns when each request was sent, when it was told to be late,
    /// and how the drain ended.
    fn run_with_requests(
        rules: &Rules,
        watches: usize,
        requests: usize,
        check: impl Fn(usize, f64) -> (f64, Finding),
        reply: impl Fn(usize, f64) -> (f64, Reply),
    ) -> Requested {
        let mut drain = Drain::new(rules, watches, requests);
        let mut now = Duration::ZERO;
        let mut replies: Vec<(Duration, usize, Reply)> = Vec::new();
        let (mut sent, mut late) = (Vec::new(), Vec::new());
        loop {
            for (_, request, reply) in replies.extract_if(.., |(at, ..)| *at <= now) {
                drain.replied(now, request, reply);
            }
            match drain.next(now) {
                Step::Check { watch, deadline } => {
                    assert!(deadline > now && deadline <= rules.duration);
                    let (takes, finding) = check(watch, now.as_secs_f64());
                    let finding = if now + secs(takes) < deadline { finding } else { UNKNOWN };
                    now = (now + secs(takes)).min(deadline);
                    drain.checked(now, finding);
                }
                Step::Request { request } => {
                    sent.push((request, now.as_secs_f64()));
                    let (takes, reply) = reply(request, now.as_secs_f64());
                    replies.push((now + secs(takes), request, reply));
                }
                Step::Late { request } => late.push((request, now.as_secs_f64())),
                Step::Sleep { until } => {
                    assert!(until > now && until <= rules.duration, "{until:?}");
                    now = replies.iter().map(|(at, ..)| *at).fold(until, Duration::min);
                }
                Step::End(end) => return Requested { sent, late, end: (now.as_secs_f64(), end) },
            }
        }
    }

    #[derive(Debug, PartialEq)]
    struct Requested {
        sent: Vec<(usize, f64)>,
        late: Vec<(usize, f64)>,
        end: (f64, End),
    }

    const NOTHING: (f64, End) = (20.0, End::Elapsed(HeldBy::Nothing));

    fn unwatched(rules: &Rules, requests: usize, reply: impl Fn(usize, f64) -> (f64, Reply)) -> Requested {
        run_with_requests(rules, 0, requests, |_, _| panic!("nothing is watched"), reply)
    }

    /// The server takes every request and answers well.
    fn takes_all(_: usize, _: f64) -> (f64, Reply) {
        (0.125, Reply::Final)
    }

    #[test]
    fn requests_follow_the_baseline() {
        let check = |_, now| (0.5, if now < 1.0 { READY } else { UNREADY });
        let one = run_with_requests(&rules(), 1, 1, check, takes_all);
        assert_eq!(one, Requested { sent: vec![(0, 0.5)], late: vec![], end: (5.0, End::Drained) });
        // Nothing is watched: at once.
        assert_eq!(unwatched(&rules(), 1, takes_all), Requested { sent: vec![(0, 0.0)], late: vec![], end: NOTHING });
        // However many watches hang, for one timeout; a check that is still going on then is cut off.
        let hangs = |_, _| (60.0, READY);
        let three = run_with_requests(&rules(), 3, 1, hangs, takes_all);
        assert_eq!((three.sent, three.end), (vec![(0, 1.0)], (20.0, NEVER_KNOWN)));
        let slow = |watch, _| if watch == 0 { (0.875, READY) } else { (60.0, READY) };
        assert_eq!(run_with_requests(&rules(), 2, 1, slow, takes_all).sent, [(0, 1.0)]);
        // Nor do the requests wait until DURATION, when there would be no time left to send them.
        let patient = Rules { timeout: secs(60.0), ..rules() };
        assert_eq!(run_with_requests(&patient, 1, 1, hangs, takes_all).sent, [(0, 10.0)]);
    }

    #[test]
    fn requests_wait_for_the_delay() {
        let delayed = Rules { delay: secs(7.25), ..rules() };
        assert_eq!(unwatched(&delayed, 1, takes_all).sent, [(0, 7.25)]);
        // Checks go on meanwhile, and what has drained does not end the drain before the requests have been answered.
        let idle = |_, _| (0.0, IDLE);
        let two = run_with_requests(&delayed, 1, 2, idle, takes_all);
        assert_eq!((two.sent, two.end), (vec![(0, 7.25), (1, 7.375)], (7.5, End::Drained)));
        // A first round that hangs beyond the delay holds them up no longer than it would without a delay.
        let hangs = |_, _| (60.0, READY);
        let short = Rules { delay: secs(0.5), ..rules() };
        assert_eq!(run_with_requests(&short, 3, 1, hangs, takes_all).sent, [(0, 1.0)]);
        // After the first round a check that is under way is not cut off for them.
        assert_eq!(run_with_requests(&delayed, 3, 1, hangs, takes_all).sent, [(0, 8.0)]);
    }

    #[test]
    fn a_request_is_sent_until_it_is_heard() {
        let at = |sent: &[(usize, f64)]| sent.iter().map(|(_, at)| *at).collect::<Vec<_>>();
        for reply in [Reply::Again, Reply::NotTaken] {
            // Once a period, or at once if the reply took longer than that.
            let not_before = |seconds, takes| {
                unwatched(&rules(), 1, move |_, now| (takes, if now < seconds { reply } else { Reply::Final }))
            };
            assert_eq!(at(&not_before(2.0, 0.0).sent), [0.0, 1.0, 2.0]);
            assert_eq!(at(&not_before(2.0, 0.5).sent), [0.0, 1.0, 2.0]);
            assert_eq!(at(&not_before(2.0, 1.5).sent), [0.0, 1.5, 3.0]);
            let to_the_end = not_before(99.0, 0.0);
            assert_eq!((to_the_end.sent.len(), to_the_end.end), (20, NOTHING));
        }
        assert_eq!(at(&unwatched(&rules(), 1, takes_all).sent), [0.0]);
        // A request that no server takes holds no drain.
        let early = run_with_requests(&rules(), 1, 1, |_, _| (0.0, IDLE), |_, _| (0.0, Reply::NotTaken));
        assert_eq!((early.sent.len(), early.end), (5, (5.0, End::Drained)));
    }

    #[test]
    fn the_next_request_waits_for_an_answer_or_one_timeout() {
        // The first request is answered after 0.5 s, late, never, or not taken. Checks go on meanwhile.
        for (takes, reply, second, late) in [
            (0.5, Reply::Final, 0.5, vec![]),
            (0.5, Reply::Again, 0.5, vec![]),
            (3.5, Reply::Final, 1.0, vec![(0, 1.0)]),
            (99.0, Reply::Final, 1.0, vec![(0, 1.0)]),
            (0.0, Reply::NotTaken, 1.0, vec![]),
        ] {
            let replies = |request, now| if request == 0 && now == 0.0 { (takes, reply) } else { (0.0, Reply::Final) };
            let got = run_with_requests(&rules(), 1, 2, |_, _| (0.0, IDLE), replies);
            let first_of_second = got.sent.iter().find(|(request, _)| *request == 1);
            assert_eq!((first_of_second, &got.late), (Some(&(1, second)), &late), "{takes} {reply:?}");
            assert_eq!(got.end, (5.0, End::Drained));
        }
        // Late is told once, however often the request is sent.
        let late = unwatched(&rules(), 1, |_, _| (1.5, Reply::NotTaken)).late;
        assert_eq!(late, [(0, 1.0)]);
    }

    #[test]
    fn what_held_it() {
        let rules = Rules { duration: secs(4.5), min: Duration::ZERO, ..rules() };
        let held = |rules: &Rules, check: &dyn Fn(usize, f64) -> Finding| match run(rules, 2, |watch, now| {
            (0.0, check(watch, now.as_secs_f64()))
        })
        .1
        {
            End::Elapsed(held) => held,
            End::Drained => panic!("it drained"),
        };
        // Watch 0 has drained, watch 1 has not.
        assert_eq!(held(&rules, &|watch, _| [IDLE, READY][watch]), HeldBy::NotDrained { watch: 1 });
        assert_eq!(held(&rules, &|watch, _| [IDLE, UNREADY][watch]), HeldBy::NeverReady { watch: 1 });
        // No check of watch 1 said anything, which tells more than that watch 0 was never ready.
        assert_eq!(held(&rules, &|watch, _| [UNREADY, UNKNOWN][watch]), HeldBy::NeverKnown { watch: 1 });
        let slow_at_last = |_, now| if now < 4.0 { UNREADY } else { UNKNOWN };
        assert_eq!(held(&rules, &slow_at_last), HeldBy::NeverReady { watch: 0 });
        // It had not drained at the last check, though it had before.
        let back = |watch, now| if watch == 1 && now == 4.0 { READY } else { IDLE };
        assert_eq!(held(&Rules { threshold: 5, ..rules.clone() }, &back), HeldBy::NotDrained { watch: 1 });
        let late = |_, now| if now < 3.0 { READY } else { IDLE };
        assert_eq!(held(&rules, &late), HeldBy::Threshold { agreed: 2 });
        assert_eq!(held(&Rules { min: secs(4.5), ..rules.clone() }, &|_, _| IDLE), HeldBy::Min);
        // There was no time for the second request, though all had drained.
        let patient = Rules { timeout: secs(9.0), ..rules };
        let hangs = |_, _| (99.0, Reply::Final);
        let end = run_with_requests(&patient, 1, 2, |_, _| (0.0, IDLE), hangs).end;
        assert_eq!(end, (4.5, End::Elapsed(HeldBy::Requests)));
    }
}
