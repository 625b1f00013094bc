//! What the command line means. All values are checked here, and nowhere again.

use std::fmt;
use std::time::Duration;

use super::args::{Args, Opt};
use super::duration;
use super::mistake::{Mistake, Mistakes};
use super::options::Kind;
use crate::drain::{DEFAULT_MIN, Rules};
use crate::http::client::Method;
use crate::http::header::{self, HOST, Header};
use crate::http::request::Request;
use crate::net::url::port_number;
use crate::text::{FOREVER, Seconds, decimal, trim};
use crate::watch::{Target, Watch};

/// The shortest `--period`, `--timeout` and `--idle-after`.
const SHORTEST: Duration = Duration::from_millis(10);
const DEFAULT_PERIOD: Duration = Duration::from_secs(1);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
const DEFAULT_IDLE_AFTER: Duration = Duration::from_secs(3);
const DEFAULT_THRESHOLD: u32 = 3;
const THRESHOLD_MAX: u64 = 1000;
/// The grace period of a pod that does not set `terminationGracePeriodSeconds`: `DefaultTerminationGracePeriodSeconds` in
/// k8s.io/api/core/v1/types.go.
const DEFAULT_GRACE_PERIOD: Duration = Duration::from_secs(30);

/// What to do, complete and valid.
#[derive(Debug)]
pub struct Plan<'a> {
    pub rules: Rules,
    /// How long a connection must have been silent to be idle.
    pub idle_after: Duration,
    pub watches: Vec<Watch<'a>>,
    pub requests: Vec<Request<'a>>,
    pub headers: Vec<Header<'a>>,
    /// One of the durations is a number that is probably meant as a port.
    may_mean_port: bool,
    /// One of the headers is Host.
    has_host: bool,
}

impl<'a> Plan<'a> {
    /// Works out what a command line means.
    ///
    /// # Errors
    /// All mistakes, those in [`Args`] included.
    pub fn new(args: &Args<'a>) -> Result<Plan<'a>, Mistakes<'a>> {
        let mut mistakes = args.mistakes.clone();
        let has_read_all = mistakes.is_empty();
        if !args.has_operand {
            mistakes.push(Mistake::CommandLine("no DURATION: say how long to sleep, such as 20s"));
        }
        let mut plan = Plan {
            rules: Rules {
                duration: args.duration.unwrap_or_default(),
                min: args.duration.unwrap_or(DEFAULT_MIN).min(DEFAULT_MIN),
                period: DEFAULT_PERIOD,
                timeout: DEFAULT_TIMEOUT,
                threshold: DEFAULT_THRESHOLD,
                assume_ready: false,
                delay: Duration::ZERO,
            },
            idle_after: DEFAULT_IDLE_AFTER,
            watches: Vec::new(),
            requests: Vec::new(),
            headers: Vec::new(),
            may_mean_port: args.may_mean_port,
            has_host: false,
        };
        for &(option, value) in &args.options {
            if let Err(why) = plan.apply(option, value) {
                mistakes.push(Mistake::Value(option, value, why));
            }
        }
        if has_read_all {
            plan.check_together(args, &mut mistakes);
        }
        if mistakes.is_empty() { Ok(plan) } else { Err(mistakes) }
    }

    /// Finds mistakes in how the options go together. Every word must have been read, since an option that was misspelt would
    /// seem to be missing.
    fn check_together(&self, args: &Args<'a>, mistakes: &mut Mistakes<'a>) {
        let Rules { duration, delay, .. } = self.rules;
        let has_requests = args.has(Opt::Get) || args.has(Opt::Post);
        if has_requests && args.duration == Some(Duration::ZERO) {
            mistakes.push(Mistake::CommandLine("a DURATION of 0 leaves no time for --get and --post: sleep longer"));
        } else if let Some(value) = args.value(Opt::Delay) {
            if !has_requests {
                mistakes.push(Mistake::CommandLine(
                    "--delay has no --get or --post to wait before: add one, or leave it out",
                ));
            } else if args.duration.is_some() && delay >= duration {
                let why = "leaves no time for --get and --post: write less than DURATION";
                mistakes.push(Mistake::Value(Opt::Delay, value, why));
            }
        }
        let may_speak_http = |(option, value): &(Opt, &[u8])| match option {
            Opt::Get | Opt::Post => true,
            Opt::UntilUnready => matches!(Target::parse(trim(value)), Ok(Target::Http(_)) | Err(_)),
            _ => false,
        };
        if !self.headers.is_empty() && !args.options.iter().any(may_speak_http) {
            let why = "--header has no HTTP request to go with: it needs --get, --post or --until-unready http://...";
            mistakes.push(Mistake::CommandLine(why));
        }
    }

    /// Warns of arguments that are allowed but probably not meant.
    pub fn warnings(&self) -> impl Iterator<Item = &'static str> {
        let Rules { duration, min, .. } = self.rules;
        let has_watches = !self.watches.is_empty();
        let warnings = [
            (
                self.may_mean_port,
                "a number over 1000 without a unit counts as seconds: to watch a port, write --until-idle PORT",
            ),
            (
                has_watches && min >= duration,
                "--min (5s unless given) leaves no room before DURATION, so nothing can end the drain early",
            ),
            (
                has_watches && self.earliest_end() >= duration,
                "--threshold checks at --period leave no room before DURATION, so nothing can end the drain early",
            ),
            (
                duration >= DEFAULT_GRACE_PERIOD,
                "DURATION takes up all of the default grace period, 30s: set terminationGracePeriodSeconds to more than DURATION",
            ),
        ];
        warnings.into_iter().filter_map(|(holds, warning)| holds.then_some(warning))
    }

    /// Returns the time from the first check to the one that ends the drain, if every check goes as hoped.
    fn earliest_end(&self) -> Duration {
        let Rules { period, threshold, assume_ready, .. } = self.rules;
        // A port can be both ready and idle at the first check. Anything else must be ready first.
        let is_ready_first = !assume_ready && self.watches.iter().any(|watch| !matches!(watch.target, Target::Idle(_)));
        period.saturating_mul(if is_ready_first { threshold } else { threshold - 1 })
    }

    /// Applies one option. An error says why its value is refused, in words that follow the value.
    fn apply(&mut self, option: Opt, value: &'a [u8]) -> Result<(), &'static str> {
        let value = match option.spec().kind {
            Kind::Port | Kind::Url | Kind::Number => trim(value),
            _ => value,
        };
        match option {
            Opt::UntilUnready => self.watches.push(Watch { text: value, target: Target::parse(value)? }),
            Opt::UntilIdle => {
                let port = port_number(value).ok_or("is not a port: write a number from 1 to 65535")?;
                self.watches.push(Watch { text: value, target: Target::Idle(port) });
            }
            Opt::Get | Opt::Post => {
                let Target::Http(url) = Target::parse(value)? else { return Err("is not an http:// URL") };
                let method = if option == Opt::Get { Method::Get } else { Method::Post };
                self.requests.push(Request { method, text: value, url });
            }
            Opt::Header => {
                let header = header::parse(value)?;
                if header.is(HOST) && std::mem::replace(&mut self.has_host, true) {
                    return Err("is a second Host");
                }
                self.headers.push(header);
            }
            Opt::Min => return read_duration(value, Duration::ZERO, &mut self.rules.min),
            Opt::Period => return read_duration(value, SHORTEST, &mut self.rules.period),
            Opt::Timeout => return read_duration(value, SHORTEST, &mut self.rules.timeout),
            Opt::IdleAfter => return read_duration(value, SHORTEST, &mut self.idle_after),
            Opt::Threshold => {
                let number = decimal(value).filter(|number| (1..=THRESHOLD_MAX).contains(number));
                self.rules.threshold = number.ok_or("is not a number from 1 to 1000")? as u32;
            }
            Opt::Delay => return read_duration(value, Duration::ZERO, &mut self.rules.delay),
            Opt::AssumeReady => self.rules.assume_ready = true,
            Opt::LogFile | Opt::Quiet | Opt::Check | Opt::Install | Opt::Help | Opt::Version => {}
        }
        Ok(())
    }
}

/// Reads a duration of at least `min`.
fn read_duration(value: &[u8], min: Duration, into: &mut Duration) -> Result<(), &'static str> {
    *into = duration::read(value)?;
    if *into < min { Err("is less than 10ms") } else { Ok(()) }
}

/// Says in one line what will be done.
impl fmt::Display for Plan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rules { duration, min, period, timeout, threshold, assume_ready, delay } = self.rules;
        for request in &self.requests {
            write!(f, "{request}")?;
            if !delay.is_zero() {
                write!(f, " after {}", Seconds(delay))?;
            }
            f.write_str(", ")?;
        }
        if self.watches.is_empty() {
            write!(f, "sleeping {}", Seconds(duration))?;
        } else {
            write!(f, "draining for {} to {}, until ", Seconds(min.min(duration)), Seconds(duration))?;
            for (index, watch) in self.watches.iter().enumerate() {
                write!(f, "{}{watch} is {}", if index > 0 { " and " } else { "" }, watch.target.drained())?;
            }
            write!(f, " at {threshold} checks in a row, {} apart", Seconds(period))?;
            if timeout != DEFAULT_TIMEOUT {
                write!(f, ", of at most {}", Seconds(timeout))?;
            }
            if self.watches.iter().any(|watch| matches!(watch.target, Target::Idle(_))) {
                match self.idle_after {
                    FOREVER => f.write_str(" (no connection)")?,
                    silence => write!(f, " ({} silent, answered)", Seconds(silence))?,
                }
            }
            if assume_ready {
                f.write_str(", assumed to have been ready")?;
            }
        }
        Ok(())
    }
}
