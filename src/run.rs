//! Carries a plan out with the real clock.

use crate::clock::{elapsed, sleep_until};
use crate::drain::{Drain, End, Step};
use crate::duration::Seconds;
use crate::failsafe::EXIT_USAGE;
use crate::log;
use crate::plan::{Plan, Refused, Watch};
use crate::request;
use crate::watch::{self, Outcome};

/// Exit status when all went well.
pub const EXIT_OK: i32 = 0;
/// Exit status when it slept but a request failed, or when it could not install or print.
pub const EXIT_FAILURE: i32 = 1;

/// Changes of a verdict that are logged; a watch that changes more often would fill the log.
const CHANGES_LOGGED: u32 = 20;

/// Drains, and gives the exit status.
pub fn drain(plan: &Plan) -> i32 {
    log::info(format_args!("{plan}"));
    let mut drain = Drain::new(plan.rules.clone(), plan.watches.len(), plan.requests.len());
    let mut status = EXIT_OK;
    let mut verdicts: Vec<Verdict> = plan.watches.iter().map(Verdict::new).collect();
    let end = loop {
        match drain.next(elapsed()) {
            Step::Check(index, deadline) => {
                let outcome = watch::check(&plan.watches[index].target, plan, deadline);
                if drain.checked(elapsed(), outcome.finding) {
                    verdicts[index].update(&outcome);
                }
            }
            Step::Request(index, deadline) => {
                let request = &plan.requests[index];
                match request::send(request, &plan.headers, deadline) {
                    Ok(answer) => log::info(format_args!("{request}: {answer}")),
                    Err(why) => {
                        log::error(format_args!("error: {request} failed: {why}"));
                        status = EXIT_FAILURE;
                    }
                }
                drain.requested();
            }
            Step::Sleep(until) => sleep_until(until),
            Step::End(end) => break end,
        }
    };
    for request in &plan.requests[drain.requests_sent()..] {
        log::error(format_args!("error: {request} failed: no time was left to send it"));
        status = EXIT_FAILURE;
    }
    for Verdict { watch, changes, .. } in verdicts {
        if changes > CHANGES_LOGGED {
            log::info(format_args!("{watch} changed {changes} times"));
        }
    }
    let took = Seconds(elapsed());
    let never_ready = plan.watches.iter().enumerate().find(|(index, _)| !drain.was_ready(*index));
    match (end, never_ready) {
        (End::Drained, _) => log::info(format_args!("drained after {took}")),
        (End::Elapsed, Some((_, watch))) => {
            log::info(format_args!("slept {took} in full: {watch} was never ready, so it could not stop being ready"));
        }
        (End::Elapsed, None) if plan.watches.is_empty() => log::info(format_args!("slept {took}")),
        (End::Elapsed, None) => log::info(format_args!("slept {took} in full: not all that is watched had drained")),
    }
    status
}

/// Says what is wrong on the line.
pub fn mistakes(refused: &Refused) -> i32 {
    for mistake in &refused.mistakes.first {
        log::error(format_args!("error: {mistake}"));
    }
    if refused.mistakes.others > 0 {
        log::error(format_args!("error: mistakes that are not shown: {}", refused.mistakes.others));
    }
    EXIT_USAGE
}

/// Says what is wrong on the line, and sleeps all the same: a mistake must not cost the drain.
pub fn refused(refused: &Refused) -> i32 {
    let status = mistakes(refused);
    log::error(format_args!("sleeping {} all the same, watching nothing", Seconds(refused.sleep)));
    sleep_until(refused.sleep);
    log::info(format_args!("slept {}", Seconds(elapsed())));
    status
}

/// The verdicts on a watch, as far as they are logged.
struct Verdict<'a> {
    watch: &'a Watch<'a>,
    last: &'static str,
    changes: u32,
}

impl<'a> Verdict<'a> {
    fn new(watch: &'a Watch<'a>) -> Verdict<'a> {
        Verdict { watch, last: "", changes: 0 }
    }

    fn update(&mut self, outcome: &Outcome) {
        if outcome.verdict == self.last {
            return;
        }
        self.changes += u32::from(!self.last.is_empty());
        self.last = outcome.verdict;
        let watch = self.watch;
        if self.changes <= CHANGES_LOGGED {
            log::info(format_args!("{watch} is {outcome} at {}", Seconds(elapsed())));
        } else if self.changes == CHANGES_LOGGED + 1 {
            log::info(format_args!("{watch} changes often: from now on its changes are only counted"));
        }
    }
}
