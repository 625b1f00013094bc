//! What the command line means, validated: after this nobody asks again whether a value is sane.

use std::fmt;
use std::time::Duration;

use crate::args::{self, Args};
use crate::drain::Rules;
use crate::duration::{self, Error, LONGEST, Seconds};
use crate::failsafe::DEFAULT_MIN;
use crate::http::Method;
use crate::http1::{is_token_byte, is_value_byte};
use crate::log::Bytes;
use crate::request::Request;
use crate::text::decimal;
use crate::url::{self, Endpoint, GrpcUrl, HttpUrl};

/// The shortest `--period`, `--timeout` and `--idle-after`.
const SHORTEST: Duration = Duration::from_millis(10);
const DEFAULT_SECOND: Duration = Duration::from_secs(1);
const DEFAULT_IDLE_AFTER: Duration = Duration::from_secs(3);
const DEFAULT_THRESHOLD: u32 = 3;
const MOST_THRESHOLD: u32 = 1000;

/// A whole plan.
#[derive(Debug)]
pub struct Plan {
    pub rules: Rules,
    pub watches: Vec<Watch>,
    pub requests: Vec<Request>,
    pub headers: Vec<Header>,
}

/// One thing to watch.
#[derive(Debug)]
pub struct Watch {
    /// As it was typed, for the log.
    pub name: String,
    pub target: Target,
}

/// What can be watched.
#[derive(Debug, PartialEq)]
pub enum Target {
    Http(HttpUrl),
    /// Whether it accepts connections.
    Accept(Endpoint),
    Grpc(GrpcUrl),
    /// The silence of a port's connections, and after how long a connection is silent.
    Idle {
        port: u16,
        idle_after: Duration,
    },
}

/// A header that the user adds to HTTP requests. An empty value drops the default one.
#[derive(Debug, PartialEq)]
pub struct Header {
    pub name: Vec<u8>,
    pub value: Vec<u8>,
}

/// What is wrong on the line, and how long to sleep all the same.
#[derive(Debug)]
pub struct Refused {
    pub mistakes: Vec<String>,
    pub sleep: Duration,
}

impl Plan {
    /// Makes sense of a command line.
    ///
    /// # Errors
    /// All mistakes, those of [`Args`] included.
    pub fn new(args: &Args) -> Result<Plan, Refused> {
        let mut reader = Reader { args, mistakes: args.mistakes.clone() };
        let sum = reader.sum();
        let duration = sum.unwrap_or_default();
        let rules = Rules {
            duration,
            min: reader.duration(args::MIN, Duration::ZERO, sum.map_or(DEFAULT_MIN, |sum| sum.min(DEFAULT_MIN))),
            period: reader.duration(args::PERIOD, SHORTEST, DEFAULT_SECOND),
            timeout: reader.duration(args::TIMEOUT, SHORTEST, DEFAULT_SECOND),
            threshold: reader.threshold(),
            assume_ready: args.has(args::ASSUME_READY),
        };
        let plan = Plan { watches: reader.watches(), requests: reader.requests(), headers: reader.headers(), rules };
        if reader.mistakes.is_empty() {
            return Ok(plan);
        }
        Err(Refused { mistakes: reader.mistakes, sleep: sum.unwrap_or(plan.rules.min) })
    }
}

/// The plan in one line.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rules { duration, min, period, timeout, threshold, assume_ready } = &self.rules;
        for request in &self.requests {
            write!(f, "{request}, ")?;
        }
        if self.watches.is_empty() {
            write!(f, "sleeping {}", Seconds(*duration))?;
        } else {
            write!(f, "draining for {} to {}, until ", Seconds(*min.min(duration)), Seconds(*duration))?;
            for (index, watch) in self.watches.iter().enumerate() {
                write!(f, "{}{} is {}", if index > 0 { " and " } else { "" }, watch.name, watch.target.drained())?;
            }
            write!(
                f,
                " at {threshold} checks in a row, one every {} of at most {}",
                Seconds(*period),
                Seconds(*timeout)
            )?;
            if *assume_ready {
                f.write_str(", assumed to have been ready")?;
            }
        }
        Ok(())
    }
}

impl Target {
    /// What it is once it has drained.
    fn drained(&self) -> &'static str {
        match self {
            Target::Http(_) | Target::Accept(_) | Target::Grpc(_) => "unready",
            Target::Idle { .. } => "idle",
        }
    }
}

/// Reads the values, and puts down what is wrong with them. Where one is wrong, something takes its place that only a
/// refused plan will hold.
struct Reader<'a> {
    args: &'a Args,
    mistakes: Vec<String>,
}

impl Reader<'_> {
    fn mistake(&mut self, option: &str, value: &[u8], why: &dyn fmt::Display) {
        let colon = if option.is_empty() { "" } else { ": " };
        self.mistakes.push(format!("{option}{colon}'{}' {why}", Bytes(value)));
    }

    /// The sum of the durations that can be read; what is too long counts as the longest. `None` where none can.
    fn sum(&mut self) -> Option<Duration> {
        let mut sum = None;
        let mut mistaken = false;
        for operand in &self.args.operands {
            for part in duration::parse_all(operand) {
                let part = part.or_else(|error| {
                    mistaken = true;
                    self.mistake("", operand, &error);
                    if let Error::TooLong { .. } = error { Ok(LONGEST) } else { Err(error) }
                });
                sum = part.ok().map(|part| sum.unwrap_or(Duration::ZERO).saturating_add(part)).or(sum);
            }
        }
        if self.args.operands.is_empty() {
            self.mistakes.push("no DURATION: say how long to sleep, such as 20s".to_string());
        }
        sum.map(|sum| {
            duration::bounded(sum).unwrap_or_else(|error| {
                if !mistaken {
                    self.mistakes.push(format!("the sum of the durations {error}"));
                }
                LONGEST
            })
        })
    }

    fn duration(&mut self, option: &str, least: Duration, default: Duration) -> Duration {
        let Some(value) = self.args.value(option) else { return default };
        match duration::parse_sum(value) {
            Ok(duration) if duration >= least => duration,
            Ok(_) => {
                self.mistake(option, value, &format_args!("is less than {}", Seconds(least)));
                default
            }
            Err(error) => {
                self.mistake(option, value, &error);
                if let Error::TooLong { .. } = error { LONGEST } else { default }
            }
        }
    }

    fn threshold(&mut self) -> u32 {
        let Some(value) = self.args.value(args::THRESHOLD) else { return DEFAULT_THRESHOLD };
        let number = decimal(value).and_then(|n| n.try_into().ok()).filter(|n| (1..=MOST_THRESHOLD).contains(n));
        if number.is_none() {
            self.mistake(args::THRESHOLD, value, &"is no number from 1 to 1000");
        }
        number.unwrap_or(DEFAULT_THRESHOLD)
    }

    /// What to watch, in the order of the line.
    fn watches(&mut self) -> Vec<Watch> {
        let idle_after = self.duration(args::IDLE_AFTER, SHORTEST, DEFAULT_IDLE_AFTER);
        let mut watches = Vec::new();
        for (option, value) in &self.args.options {
            let watch = match *option {
                args::UNTIL_UNREADY => target(value).map(|target| Watch { name: Bytes(value).to_string(), target }),
                args::UNTIL_IDLE => url::port_number(value)
                    .map(|port| Watch { name: format!("port {port}"), target: Target::Idle { port, idle_after } })
                    .ok_or("is no port: write a number from 1 to 65535"),
                _ => continue,
            };
            match watch {
                Ok(watch) => watches.push(watch),
                Err(why) => self.mistake(option, value, &why),
            }
        }
        watches
    }

    /// What to request before the sleep, in the order of the line.
    fn requests(&mut self) -> Vec<Request> {
        let mut requests = Vec::new();
        for (option, value) in &self.args.options {
            let method = match *option {
                args::GET => Method::Get,
                args::POST => Method::Post,
                _ => continue,
            };
            match target(value) {
                Ok(Target::Http(url)) => {
                    requests.push(Request { method, name: Bytes(value).to_string(), url });
                }
                Ok(_) => self.mistake(option, value, &"is no http:// URL"),
                Err(why) => self.mistake(option, value, &why),
            }
        }
        requests
    }

    fn headers(&mut self) -> Vec<Header> {
        let mut headers: Vec<Header> = Vec::new();
        for value in self.args.values(args::HEADER) {
            match header(value) {
                Ok(header) if header.is(HOST) && headers.iter().any(|h| h.is(HOST)) => {
                    self.mistake(args::HEADER, value, &"is a second Host");
                }
                Ok(header) => headers.push(header),
                Err(why) => self.mistake(args::HEADER, value, &why),
            }
        }
        headers
    }
}

/// What `--until-unready` is to watch: an arm a scheme.
fn target(value: &[u8]) -> Result<Target, &'static str> {
    let (scheme, rest) = url::scheme(value)?;
    match scheme {
        b"http" => url::http(rest).map(Target::Http),
        b"tcp" => url::tcp(rest).map(Target::Accept),
        b"unix" => url::unix(rest).map(Target::Accept),
        b"grpc" => url::grpc(rest).map(Target::Grpc),
        b"https" => Err(
            "cannot be asked, there is no TLS in here: to see whether it accepts connections, write tcp://HOST:PORT",
        ),
        _ => Err("has an unknown scheme: write http://, http://unix:, tcp://, unix: or grpc://"),
    }
}

pub const HOST: &str = "Host";
/// Headers that frame the message, which is not for the user to say.
const OURS: [&str; 3] = ["Connection", "Content-Length", "Transfer-Encoding"];

impl Header {
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

fn header(text: &[u8]) -> Result<Header, &'static str> {
    let colon = text.iter().position(|&b| b == b':').ok_or("has no colon: write 'NAME: VALUE'")?;
    let (name, value) = (&text[..colon], text[colon + 1..].trim_ascii());
    if name.is_empty() || !name.iter().all(|&b| is_token_byte(b)) {
        return Err("has no name that a header may have: write 'NAME: VALUE'");
    }
    if !value.iter().all(is_value_byte) {
        return Err("has a control character, such as a line end, in its value");
    }
    let header = Header { name: name.to_vec(), value: value.to_vec() };
    if OURS.iter().any(|ours| header.is(ours)) {
        return Err("cannot be set: Connection, Content-Length and Transfer-Encoding are the program's own");
    }
    if header.is(HOST) && (value.is_empty() || !value.iter().all(u8::is_ascii_graphic)) {
        return Err("names no host, which HTTP/1.1 requires");
    }
    Ok(header)
}
