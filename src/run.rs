//! Drives the drain with the real clock: does each step that `drain` asks for, and writes the log.

use std::fmt;
use std::time::Duration;

use crate::cli::mistake::Mistakes;
use crate::cli::plan::Plan;
use crate::drain::{Drain, End, HeldBy, Reply, Rules, Step};
use crate::exit;
use crate::http::request::{self, Sender};
use crate::os::clock::{elapsed, poll_until, sleep_until};
use crate::os::log;
use crate::os::sys::{self, PollFd};
use crate::text::Seconds;
use crate::watch::{Checker, Verdict, Watch};

/// How many changes of a watch's verdict are logged. One that changes more often would fill the log.
const CHANGES_LOGGED: u32 = 20;

/// Carries out a plan, and ends the program.
pub fn drain(plan: &Plan) -> ! {
    log::info(format_args!("{plan}"));
    let mut drain = Drain::new(&plan.rules, plan.watches.len(), plan.requests.len());
    let mut checker = Checker::new(&plan.headers, plan.idle_after);
    let mut is_cut_off = false;
    let not_checked = |watch| History { watch, last: None, changes: 0 };
    let mut histories: Vec<History> = plan.watches.iter().map(not_checked).collect();
    let not_sent = |request| Asked { sender: Sender::new(request, &plan.headers), status: Status::NotSent };
    let mut asked: Vec<Asked> = plan.requests.iter().map(not_sent).collect();
    let end = loop {
        for (request, asked) in asked.iter_mut().enumerate() {
            if let Some(reply) = asked.advance(&plan.rules) {
                drain.replied(elapsed(), request, reply);
            }
        }
        match drain.next(elapsed()) {
            Step::Check { watch, deadline } => {
                let verdict = checker.check(&plan.watches[watch].target, deadline);
                is_cut_off = !drain.checked(elapsed(), verdict.finding);
                if !is_cut_off {
                    histories[watch].update(verdict);
                }
            }
            Step::Request { request } => asked[request].send(),
            Step::Late { request } => log::info(format_args!("{}: no answer yet", asked[request].sender.request)),
            Step::Sleep { until } => {
                let mut polled: Vec<PollFd> = Vec::new();
                polled.extend(asked.iter().filter_map(|asked| asked.sender.polled()));
                // If poll(2) fails, it spins rather than end early.
                let _ = poll_until(&mut polled, until);
            }
            Step::End(end) => break end,
        }
    };
    let heard = asked.iter().filter(|asked| asked.was_heard()).count();
    for History { watch, changes, .. } in &histories {
        if *changes > CHANGES_LOGGED {
            log::info(format_args!("{watch} changed {changes} times"));
        }
    }
    let took = Seconds(elapsed());
    match end {
        End::Drained => log::info(format_args!("drained after {took}")),
        End::Elapsed(HeldBy::Nothing) => log::info(format_args!("slept {took}")),
        End::Elapsed(held) => {
            let cut_off = if is_cut_off { "; DURATION cut one more check off" } else { "" };
            let why = fmt::from_fn(|f| write_held(f, held, &plan.rules, &histories));
            log::info(format_args!("slept {took} in full: {why}{cut_off}"));
        }
    }
    sys::exit(if heard == asked.len() { exit::OK } else { exit::FAILURE })
}

/// Says in the last log line what held the drain.
fn write_held(f: &mut fmt::Formatter, held: HeldBy, rules: &Rules, histories: &[History]) -> fmt::Result {
    let Rules { min, threshold, .. } = *rules;
    match held {
        HeldBy::Nothing => Ok(()),
        HeldBy::NeverKnown { watch } => {
            let History { watch, last, .. } = &histories[watch];
            match last {
                Some(Verdict { reason, .. }) => {
                    write!(f, "{reason}: no check of {watch} could tell whether it had drained")
                }
                None => write!(f, "no check of {watch} was finished"),
            }
        }
        HeldBy::NeverReady { watch } => {
            let History { watch, last, .. } = &histories[watch];
            write!(f, "{watch} was never ready, so it could not stop being ready")?;
            last.as_ref().map_or(Ok(()), |verdict| write!(f, "; at the last check it was {verdict}"))
        }
        HeldBy::NotDrained { watch } => {
            let History { watch, last, .. } = &histories[watch];
            last.as_ref().map_or(Ok(()), |verdict| write!(f, "{watch} was {verdict} at the last check"))
        }
        HeldBy::Threshold { agreed } => {
            write!(f, "all that is watched had drained, but only at {agreed} of {threshold} checks in a row")
        }
        HeldBy::Requests => f.write_str("there was no time left to send a request"),
        HeldBy::Min => write!(f, "all that is watched had drained, but --min is {}", Seconds(min)),
    }
}

/// Logs the mistakes on the command line, and returns the exit status.
pub fn mistakes(mistakes: &Mistakes) -> i32 {
    for mistake in &mistakes.first {
        log::error(format_args!("error: {mistake}"));
    }
    if mistakes.others > 0 {
        log::error(format_args!("error: mistakes that are not shown: {}", mistakes.others));
    }
    exit::USAGE
}

/// Logs the mistakes on the command line, and sleeps all the same: a mistake must not cost the drain. Returns the exit
/// status.
pub fn fall_back(wrong: &Mistakes, sleep: Duration) -> i32 {
    let status = mistakes(wrong);
    log::error(format_args!("sleeping {} all the same, watching nothing", Seconds(sleep)));
    sleep_until(sleep);
    log::info(format_args!("slept {}", Seconds(elapsed())));
    status
}

/// What the checks of a watch have found, as far as the log needs it.
struct History<'a> {
    watch: &'a Watch<'a>,
    last: Option<Verdict>,
    changes: u32,
}

impl History<'_> {
    fn update(&mut self, verdict: Verdict) {
        let changed = self.last.as_ref().is_none_or(|last| last.word != verdict.word);
        self.changes += u32::from(changed && self.last.is_some());
        let watch = self.watch;
        if changed && self.changes <= CHANGES_LOGGED {
            log::info(format_args!("{watch} is {verdict} at {}", Seconds(elapsed())));
        } else if changed && self.changes == CHANGES_LOGGED + 1 {
            log::info(format_args!("{watch} changes often: from now on its changes are only counted"));
        }
        self.last = Some(verdict);
    }
}

/// A request, and what has become of it as far as the log needs it.
struct Asked<'a> {
    sender: Sender<'a>,
    status: Status,
}

enum Status {
    NotSent,
    NotAnswered,
    /// It failed for this reason, and is sent again.
    Failing(request::Error),
    /// It failed for good, and the log says so.
    Failed,
    Heard,
}

impl Asked<'_> {
    fn send(&mut self) {
        self.sender.send();
        if let Status::NotSent = self.status {
            self.status = Status::NotAnswered;
        }
    }

    /// Does what can be done without waiting, and returns what has come of the request if that is new.
    fn advance(&mut self, rules: &Rules) -> Option<Reply> {
        let answer = self.sender.advance()?;
        let request = self.sender.request;
        let reply = match &answer {
            Ok(_) => Reply::Final,
            Err(error) => error.reply(),
        };
        self.status = match answer {
            Ok(answer) => {
                log::info(format_args!("{request}: {answer} at {}", Seconds(elapsed())));
                Status::Heard
            }
            Err(error) if reply == Reply::Final => {
                log::error(format_args!("error: {request} failed: {error}"));
                Status::Failed
            }
            Err(error) => {
                if !matches!(self.status, Status::Failing(_)) {
                    let period = Seconds(rules.period);
                    log::error(format_args!("error: {request} failed: {error}; it is sent again every {period}"));
                }
                Status::Failing(error)
            }
        };
        Some(reply)
    }

    /// Returns true if the request has succeeded by the end of the drain. Logs why not, unless the log says so already.
    fn was_heard(&self) -> bool {
        let request = self.sender.request;
        match &self.status {
            Status::Heard => return true,
            Status::Failed => {}
            Status::NotSent => log::error(format_args!("error: {request} failed: no time was left to send it")),
            Status::NotAnswered => log::error(format_args!("error: {request} was never heard: no answer")),
            Status::Failing(error) => log::error(format_args!("error: {request} was never heard: {error}")),
        }
        false
    }
}
