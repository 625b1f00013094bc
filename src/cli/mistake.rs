//! What can be wrong with a command line, and how the log says it.

use std::fmt;

use super::options::Opt;
use crate::text::Bytes;

/// One thing that is wrong with a command line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mistake<'a> {
    /// An option that does not exist, and the one that was probably meant.
    Unknown(&'a [u8], Option<Opt>),
    /// An option without its value.
    NoValue(Opt),
    /// A flag with a value.
    Flag(Opt),
    /// An option that is given twice and may be given once.
    Twice(Opt),
    /// An argument, and the variable in it that is not set.
    Unset(&'a [u8], &'a [u8]),
    /// A word with a variable as only a shell expands it, and the variable's name.
    Shell(&'a [u8], &'a [u8]),
    /// A bare number behind the port of `--until-idle`, and there is another DURATION.
    SecondPort(&'a [u8]),
    /// The value of an option, and why it is refused.
    Value(Opt, &'a [u8], &'static str),
    /// An argument, and why it is refused.
    Argument(&'a [u8], &'static str),
    /// Why the sum of the durations is refused.
    Sum(&'static str),
    /// A mistake of the command line as a whole.
    CommandLine(&'static str),
}

impl fmt::Display for Mistake<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Mistake::Unknown(name, None) => write!(f, "unknown option '{}': see drain-sleep --help", Bytes(name)),
            Mistake::Unknown(name, Some(near)) => write!(f, "unknown option '{}': did you mean {near}?", Bytes(name)),
            Mistake::NoValue(option) => {
                write!(f, "{option} has no value: write {option}={}", option.spec().kind.word())
            }
            Mistake::Flag(option) => write!(f, "{option} takes no value: write {option} alone"),
            Mistake::Twice(option) => write!(f, "{option} is given twice: write it once"),
            Mistake::Unset(argument, name) => {
                write!(f, "'{}': the variable {} is not set: set it, or write $$ for a $", Bytes(argument), Bytes(name))
            }
            Mistake::Shell(word, name) => {
                write!(f, "'{}': no shell runs here to expand {}: write $({1})", Bytes(word), Bytes(name))
            }
            Mistake::SecondPort(port) => {
                let port = Bytes(port);
                write!(f, "'{port}' follows a port: to watch it too, write {} {port}", Opt::UntilIdle)
            }
            Mistake::Value(option, value, why) => write!(f, "{option}: '{}' {why}", Bytes(value)),
            Mistake::Argument(argument, why) => write!(f, "'{}' {why}", Bytes(argument)),
            Mistake::Sum(why) => write!(f, "the sum of the durations {why}"),
            Mistake::CommandLine(why) => f.write_str(why),
        }
    }
}

/// The mistakes on a command line. It may have 100,000, so only the first few are kept.
#[derive(Clone, Debug, Default)]
pub struct Mistakes<'a> {
    pub first: Vec<Mistake<'a>>,
    /// How many more there are.
    pub others: usize,
}

impl<'a> Mistakes<'a> {
    const KEPT: usize = 8;

    pub fn push(&mut self, mistake: Mistake<'a>) {
        if self.first.len() < Self::KEPT {
            self.first.push(mistake);
        } else {
            self.others += 1;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }
}
