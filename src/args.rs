//! The command line as it was typed: which options, which values, which operands. What they mean is for [`crate::plan`].

use std::borrow::Cow;
use std::fmt;

use crate::expand::{self, Environment, expand};
use crate::log::Bytes;

/// The options, in the order in which `--help` shows them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Opt {
    UntilUnready,
    UntilIdle,
    IdleAfter,
    Min,
    Period,
    Timeout,
    Threshold,
    AssumeReady,
    Get,
    Post,
    Header,
    LogFile,
    Quiet,
    Check,
    Install,
    Help,
    Version,
}

/// What there is to know of an option.
#[derive(Debug)]
struct Known {
    option: Opt,
    name: &'static str,
    /// What its value is called; a flag has none.
    value: &'static str,
    /// May stand on the line more than once.
    repeatable: bool,
    help: &'static str,
}

const fn single(option: Opt, name: &'static str, value: &'static str, help: &'static str) -> Known {
    Known { option, name, value, repeatable: false, help }
}

const fn repeatable(option: Opt, name: &'static str, value: &'static str, help: &'static str) -> Known {
    Known { option, name, value, repeatable: true, help }
}

const fn flag(option: Opt, name: &'static str, help: &'static str) -> Known {
    Known { option, name, value: "", repeatable: true, help }
}

/// All options, in the order of [`Opt`].
static OPTIONS: [Known; 17] = [
    repeatable(
        Opt::UntilUnready,
        "--until-unready",
        "URL",
        "end early once URL has stopped being ready; all given must hold",
    ),
    repeatable(
        Opt::UntilIdle,
        "--until-idle",
        "PORT",
        "end early once TCP connections to PORT are silent; all given must hold",
    ),
    single(Opt::IdleAfter, "--idle-after", "DURATION", "silence after which a connection is idle [3s]"),
    single(Opt::Min, "--min", "DURATION", "never end before this [5s, or DURATION if shorter]"),
    single(Opt::Period, "--period", "DURATION", "time from one check to the next [1s]"),
    single(Opt::Timeout, "--timeout", "DURATION", "the most that one check may take [1s]"),
    single(Opt::Threshold, "--threshold", "N", "how many checks in a row must agree [3]"),
    flag(Opt::AssumeReady, "--assume-ready", "count what is watched as having been ready before"),
    repeatable(Opt::Get, "--get", "URL", "request this once, before the sleep"),
    repeatable(Opt::Post, "--post", "URL", "the same by POST: start the app's own drain"),
    repeatable(Opt::Header, "--header", "'NAME: VALUE'", "add a header to every HTTP request"),
    single(Opt::LogFile, "--log-file", "PATH", "also append the log to PATH, such as /proc/1/fd/2"),
    flag(Opt::Quiet, "--quiet", "no log on stderr, errors aside (also -q)"),
    flag(Opt::Check, "--check", "say what would be done, do nothing"),
    single(Opt::Install, "--install", "PATH", "copy this program to PATH, and check what follows"),
    flag(Opt::Help, "--help", "show this (also -h)"),
    flag(Opt::Version, "--version", "show the version (also -V)"),
];

impl Opt {
    /// With its dashes.
    pub fn name(self) -> &'static str {
        OPTIONS[self as usize].name
    }
}

impl fmt::Display for Opt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mistake<'a> {
    /// An option that there is not, and the nearest one if it is near.
    Unknown(&'a [u8], Option<Opt>),
    /// An option without its value, or a flag with one.
    Takes(Opt, &'static str),
    Twice(Opt),
    /// An argument, and the variable in it that is not set.
    Unset(&'a [u8], &'a [u8]),
    /// The value of an option, and why it is none.
    Value(Opt, &'a [u8], &'static str),
    /// An argument, and why it is no duration.
    Operand(&'a [u8], &'static str),
    /// Of the line as a whole.
    Line(&'static str),
}

impl fmt::Display for Mistake<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Mistake::Unknown(name, None) => write!(f, "unknown option '{}': see drain-sleep --help", Bytes(name)),
            Mistake::Unknown(name, Some(near)) => write!(f, "unknown option '{}': did you mean {near}?", Bytes(name)),
            Mistake::Takes(option, what) => write!(f, "{option} takes {what}"),
            Mistake::Twice(option) => write!(f, "{option} is given twice"),
            Mistake::Unset(argument, name) => {
                write!(f, "'{}': the variable {} is not set", Bytes(argument), Bytes(name))
            }
            Mistake::Value(option, value, why) => write!(f, "{option}: '{}' {why}", Bytes(value)),
            Mistake::Operand(operand, why) => write!(f, "'{}' {why}", Bytes(operand)),
            Mistake::Line(why) => f.write_str(why),
        }
    }
}

/// Bytes that all variables may add to a line: as many as Linux takes for a whole line as a rule, execve(2).
const EXPANSION_MAX: usize = 2 << 20;

/// An argument with its variables expanded, or as it stands where it has none, or they cannot be.
#[derive(Debug)]
pub struct Word<'a> {
    text: Cow<'a, [u8]>,
    mistake: Option<expand::Error<'a>>,
}

/// Expands the variables in a command line.
pub fn words<'a>(arguments: &[&'a [u8]], environment: Environment) -> Vec<Word<'a>> {
    let mut room = EXPANSION_MAX;
    let mut words = Vec::with_capacity(arguments.len());
    for argument in arguments {
        words.push(match expand(argument, environment, argument.len() + room) {
            Ok(text) => {
                room -= text.len().saturating_sub(argument.len());
                Word { text, mistake: None }
            }
            Err(mistake) => Word { text: Cow::Borrowed(argument), mistake: Some(mistake) },
        });
    }
    words
}

/// A command line, taken apart.
#[derive(Debug, Default)]
pub struct Args<'a> {
    /// The options that are known, each with its value, in the order of the line.
    pub options: Vec<(Opt, &'a [u8])>,
    /// What is left: the durations.
    pub operands: Vec<&'a [u8]>,
    /// `--check` or `--install` is on the line, be it with a mistake: there is no drain to keep, so that it fails at once.
    pub at_once: bool,
    /// What is wrong. What it is about is in neither of the fields above.
    pub mistakes: Vec<Mistake<'a>>,
}

impl<'a> Args<'a> {
    /// Takes a command line apart, without the program's name. It reads on after a mistake: the durations must be found.
    pub fn parse(words: &'a [Word<'a>]) -> Args<'a> {
        let mut args = Args { operands: Vec::with_capacity(words.len()), ..Args::default() };
        let mut words = words.iter().peekable();
        let mut options_ended = false;
        while let Some(word) = words.next() {
            let text = &*word.text;
            if options_ended || !is_option(text) {
                if args.accepts(word) {
                    args.operands.push(text);
                }
                continue;
            }
            if text == b"--" {
                options_ended = true;
                continue;
            }
            let equals = text.iter().position(|&b| b == b'=').filter(|_| text.starts_with(b"--"));
            let name = &text[..equals.unwrap_or(text.len())];
            let found = find(name);
            let (Ok(known) | Err(Some(known))) = found else {
                args.mistakes.push(Mistake::Unknown(name, None));
                continue;
            };
            let value = match (known.value, equals) {
                ("", None) => Some((word, &b""[..])),
                ("", Some(_)) => None,
                (_, Some(at)) => Some((word, &text[at + 1..])),
                // An option whose value was forgotten must not swallow the next one.
                (_, None) => words.next_if(|next| !next.text.starts_with(b"--")).map(|next| (next, &*next.text)),
            };
            let option = known.option;
            if found.is_err() {
                args.mistakes.push(Mistake::Unknown(name, Some(option)));
                continue; // its value has been passed over, lest it be taken for a duration
            }
            args.at_once |= matches!(option, Opt::Check | Opt::Install);
            let Some((word, value)) = value else {
                let what = if known.value.is_empty() { "no value" } else { known.value };
                args.mistakes.push(Mistake::Takes(option, what));
                continue;
            };
            if !known.repeatable && args.has(option) {
                args.mistakes.push(Mistake::Twice(option));
            } else if args.accepts(word) {
                args.options.push((option, value));
            }
        }
        args
    }

    /// Whether all variables of a word could be expanded; a mistake where not.
    fn accepts(&mut self, word: &'a Word<'a>) -> bool {
        let text = &*word.text;
        self.mistakes.push(match &word.mistake {
            None => return true,
            Some(expand::Error::Unset(variable)) => Mistake::Unset(text, variable),
            Some(expand::Error::TooLong) => Mistake::Operand(text, "becomes too long by its variables"),
        });
        false
    }

    /// Whether there is anything on the line that a drain needs, or that a drain is about.
    pub fn mentions_drain(&self) -> bool {
        let about_drain = |(option, _): &(Opt, _)| !matches!(option, Opt::Install | Opt::Check | Opt::Quiet);
        !self.has(Opt::Install) || !self.operands.is_empty() || self.options.iter().any(about_drain)
    }

    /// Whether the option is on the line.
    pub fn has(&self, option: Opt) -> bool {
        self.value(option).is_some()
    }

    /// The value of an option that is on the line; the first one's.
    pub fn value(&self, wanted: Opt) -> Option<&'a [u8]> {
        self.options.iter().find(|(option, _)| *option == wanted).map(|(_, value)| *value)
    }
}

/// `-5` is no option but a duration with a sign, which is refused as such.
fn is_option(word: &[u8]) -> bool {
    matches!(word, [b'-', second, ..] if !second.is_ascii_digit() && *second != b'.')
}

/// The option of this name or, as an error, the nearest one if it is near: two edits away at most, and fewer than half its
/// letters.
fn find(name: &[u8]) -> Result<&'static Known, Option<&'static Known>> {
    let short = match name {
        b"-q" => Some(Opt::Quiet),
        b"-h" => Some(Opt::Help),
        b"-V" => Some(Opt::Version),
        _ => None,
    };
    if let Some(option) = short {
        return Ok(&OPTIONS[option as usize]);
    }
    for most in 0..=2 {
        for known in &OPTIONS {
            if most * 2 < known.name.len() - "--".len() && within(most, name, known.name.as_bytes()) {
                return if most == 0 { Ok(known) } else { Err(Some(known)) };
            }
        }
    }
    Err(None)
}

/// Whether `most` edits at most (a letter more, less or other) make one of the other: the Levenshtein distance.
fn within(most: usize, a: &[u8], b: &[u8]) -> bool {
    match (a, b) {
        ([x, a @ ..], [y, b @ ..]) if x == y => within(most, a, b),
        ([], []) => true,
        _ if most == 0 => false,
        _ => {
            let (less_a, less_b) = (a.get(1..), b.get(1..));
            let (less_a, less_b) = (less_a.unwrap_or_default(), less_b.unwrap_or_default());
            within(most - 1, less_a, less_b) || within(most - 1, less_a, b) || within(most - 1, a, less_b)
        }
    }
}

/// What `--help` prints.
pub struct Help;

impl fmt::Display for Help {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "Sleeps, and ends early once what is watched has stopped being ready: a preStop hook for containers without a shell.\n\n\
             drain-sleep [OPTIONS] DURATION...\n\
             drain-sleep --check [OPTIONS] DURATION...\n\
             drain-sleep --install PATH [[OPTIONS] DURATION...]\n\n\
             DURATION is a number of seconds (20, 0.5) or has units (1m30s, 500ms); several add up.\n\n",
        )?;
        for Known { name, value, help, .. } in &OPTIONS {
            let width = 23 - name.len();
            writeln!(f, "  {name} {value:width$}  {help}")?;
        }
        f.write_str(
            "\nExit status: 0 slept, 1 slept but a request failed, 2 a mistake on the line (after the sleep), 128+n signal n.\n",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_stand_in_their_order() {
        for (index, known) in OPTIONS.iter().enumerate() {
            assert_eq!(known.option as usize, index, "{}", known.name);
        }
    }
}
