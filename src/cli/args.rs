//! The command line as it was typed: which options with which values, and how long. `plan` decides what they mean.

use std::fmt;
use std::str::SplitWhitespace;
use std::time::Duration;

use super::duration::{Sum, is_bare_number, unquoted};
use super::options::{Found, find};
pub use super::options::{Help, Opt};
use super::variables::{self, Environment, expand};
use crate::text::{Bytes, split_before};

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
    /// The value of an option, and what is wrong with it.
    Value(Opt, &'a [u8], &'static str),
    /// An argument, and what is wrong with it.
    Argument(&'a [u8], &'static str),
    /// What is wrong with the sum of the durations.
    Sum(&'static str),
    /// What is wrong with the command line as a whole.
    Whole(&'static str),
}

impl fmt::Display for Mistake<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Mistake::Unknown(name, None) => write!(f, "unknown option '{}': see drain-sleep --help", Bytes(name)),
            Mistake::Unknown(name, Some(near)) => write!(f, "unknown option '{}': did you mean {near}?", Bytes(name)),
            Mistake::NoValue(option) => write!(f, "{option} has no value: write {option}={}", option.known().value),
            Mistake::Flag(option) => write!(f, "{option} takes no value: write {option} alone"),
            Mistake::Twice(option) => write!(f, "{option} is given twice: write it once"),
            Mistake::Unset(argument, name) => {
                write!(f, "'{}': the variable {} is not set: set it, or write $$ for a $", Bytes(argument), Bytes(name))
            }
            Mistake::Value(option, value, why) => write!(f, "{option}: '{}' {why}", Bytes(value)),
            Mistake::Argument(argument, why) => write!(f, "'{}' {why}", Bytes(argument)),
            Mistake::Sum(why) => write!(f, "the sum of the durations {why}"),
            Mistake::Whole(why) => f.write_str(why),
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

/// How many bytes all variables together may add to a command line: as many as Linux usually allows for a whole
/// command line, execve(2).
const EXPANSION_MAX: usize = 2 << 20;

/// The arguments, with their variables expanded.
pub struct Words<'a> {
    arguments: &'a [&'a [u8]],
    /// The arguments that have a `$`, in order. Most command lines have none.
    expanded: Vec<Expanded<'a>>,
}

/// The index of an argument, and the argument with its variables expanded.
struct Expanded<'a> {
    index: usize,
    text: Result<Vec<u8>, variables::Error<'a>>,
}

/// Expands the variables in a command line.
pub fn words<'a>(arguments: &'a [&'a [u8]], environment: Environment) -> Words<'a> {
    let mut room = EXPANSION_MAX;
    let mut expanded = Vec::new();
    for (index, argument) in arguments.iter().enumerate() {
        if argument.contains(&b'$') {
            let text = expand(argument, environment, argument.len() + room);
            room -= text.as_ref().map_or(0, |text| text.len().saturating_sub(argument.len()));
            expanded.push(Expanded { index, text });
        }
    }
    Words { arguments, expanded }
}

/// One word of the command line: an argument, or a part of one that holds several.
#[derive(Clone, Copy)]
struct Word<'a> {
    text: &'a [u8],
    /// Why its variables cannot be expanded. Then `text` is as it was typed, and no value is taken from it.
    unexpanded: Option<&'a variables::Error<'a>>,
    /// It is a part of an argument.
    is_part: bool,
}

/// Reads the words one after another.
#[derive(Clone)]
struct Reader<'a> {
    words: &'a Words<'a>,
    next_argument: usize,
    next_expanded: usize,
    /// What is left of an argument that holds several words, and why its variables cannot be expanded.
    parts: SplitWhitespace<'a>,
    parts_unexpanded: Option<&'a variables::Error<'a>>,
}

impl<'a> Reader<'a> {
    fn new(words: &'a Words<'a>) -> Reader<'a> {
        Reader { words, next_argument: 0, next_expanded: 0, parts: "".split_whitespace(), parts_unexpanded: None }
    }

    fn next(&mut self) -> Option<Word<'a>> {
        if let Some(part) = self.parts.next() {
            return Some(Word { text: unquoted(part.as_bytes()), unexpanded: self.parts_unexpanded, is_part: true });
        }
        let index = self.next_argument;
        let argument = self.words.arguments.get(index)?;
        self.next_argument += 1;
        let (text, unexpanded) = match self.words.expanded.get(self.next_expanded) {
            Some(expanded) if expanded.index == index => {
                self.next_expanded += 1;
                expanded.text.as_ref().map_or_else(|error| (*argument, Some(error)), |text| (text.as_slice(), None))
            }
            _ => (*argument, None),
        };
        Some(Word { text, unexpanded, is_part: false })
    }

    /// Reads the next word as the value of an option, unless it begins with `--`: an option whose value was forgotten must not
    /// take the next option for it.
    fn next_value(&mut self) -> Option<Word<'a>> {
        let mut ahead = self.clone();
        let word = ahead.next().filter(|word| !word.text.starts_with(b"--"))?;
        *self = ahead;
        Some(word)
    }

    /// Splits an argument that has white space in it and holds an option, so that its words come next, one by one. Returns false
    /// if the argument stays whole.
    fn split(&mut self, word: Word<'a>) -> bool {
        let Word { text, unexpanded, .. } = word;
        let parts = str::from_utf8(text).unwrap_or_default().split_whitespace();
        let first = parts.clone().next().unwrap_or_default();
        let holds_option = || parts.clone().any(|part| is_option(unquoted(part.as_bytes())));
        if first.len() == text.len() || !holds_option() {
            return false;
        }
        // Some values may have white space.
        let (name, _) = split_before(text, b'=');
        if text.starts_with(b"--")
            && let Found::Known(known) | Found::Near(known) = find(name)
            && first.len() > name.len()
            && !matches!(known.value, "PORT" | "URL" | "N")
        {
            return false;
        }
        self.parts = parts;
        self.parts_unexpanded = unexpanded;
        true
    }
}

/// What a command line consists of.
#[derive(Debug, Default)]
pub struct Args<'a> {
    /// The options and their values, in the order of the command line. The value of a flag is empty.
    pub options: Vec<(Opt, &'a [u8])>,
    /// The sum of the durations that can be read, at most 30 days unless it is infinite.
    pub duration: Option<Duration>,
    /// There is an argument that is neither an option nor the value of one.
    pub has_operand: bool,
    /// `--check` or `--install` was given, even with a bad value. Nothing is drained, so mistakes are fatal at once.
    pub at_once: bool,
    pub mistakes: Mistakes<'a>,
}

impl<'a> Args<'a> {
    /// Parses a command line, without the program's name. It reads on after a mistake, since it must find the durations.
    ///
    /// A bare number that follows a refused option may be that option's value, such as a port. It counts as a duration only if
    /// there is no other.
    pub fn parse(words: &'a Words<'a>) -> Args<'a> {
        read(words, false)
    }

    /// Returns true if the command line describes a drain. With `--install` it need not.
    pub fn mentions_drain(&self) -> bool {
        let about_drain = |(option, _): &(Opt, _)| !matches!(option, Opt::Install | Opt::Check | Opt::Quiet);
        !self.has(Opt::Install) || self.has_operand || self.options.iter().any(about_drain)
    }

    /// Returns true if the option is on the command line.
    pub fn has(&self, option: Opt) -> bool {
        self.value(option).is_some()
    }

    /// Returns the first value of an option that is on the command line.
    pub fn value(&self, wanted: Opt) -> Option<&'a [u8]> {
        self.options.iter().find(|(option, _)| *option == wanted).map(|(_, value)| *value)
    }
}

fn read<'a>(words: &'a Words<'a>, only_durations: bool) -> Args<'a> {
    let mut walk = Walk { reader: Reader::new(words), args: Args::default(), only_durations };
    walk.read_words();
    walk.args
}

/// Reads the words one after another, and collects what they say.
struct Walk<'a> {
    reader: Reader<'a>,
    args: Args<'a>,
    /// Neither options nor mistakes are kept, which would take memory.
    only_durations: bool,
}

impl<'a> Walk<'a> {
    fn read_words(&mut self) {
        let (mut sum, mut after_refused) = (Sum::default(), Sum::default());
        let mut options_ended = false;
        let mut option_refused = false;
        let mut durations_right = true;
        while let Some(word) = self.reader.next() {
            let text = word.text;
            let follows_refused = std::mem::take(&mut option_refused);
            let readable = self.accepts(word);
            if self.reader.split(word) {
                let why = "has spaces in or around it: make each argument an item of its own";
                self.add_mistake(Mistake::Argument(text, why));
            } else if !is_option(text) {
                self.args.has_operand = true;
                option_refused = is_option(unquoted(text));
                let sum = if follows_refused && is_bare_number(text) { &mut after_refused } else { &mut sum };
                if let Err(why) = sum.add(text) {
                    durations_right = false;
                    if readable {
                        self.add_mistake(Mistake::Argument(text, why));
                    }
                }
            } else if options_ended {
                (self.args.has_operand, option_refused) = (true, true);
                self.add_mistake(Mistake::Argument(text, "follows --, which ends the options: put it before"));
            } else if text == b"--" {
                options_ended = !word.is_part;
            } else {
                option_refused = !self.take_option(word, readable);
            }
        }
        if sum.0.is_none() {
            sum = after_refused;
        }
        if let Err(why) = sum.cap()
            && durations_right
        {
            self.add_mistake(Mistake::Sum(why));
        }
        self.args.duration = sum.0;
    }

    fn add_mistake(&mut self, mistake: Mistake<'a>) {
        if !self.only_durations {
            self.args.mistakes.push(mistake);
        }
    }

    fn add_option(&mut self, option: Opt, value: &'a [u8]) {
        if !self.only_durations {
            self.args.options.push((option, value));
        }
    }

    /// Takes in an option and its value. Returns false if the option was refused and no value was taken after it.
    fn take_option(&mut self, word: Word<'a>, readable: bool) -> bool {
        let text = word.text;
        let equals = text.iter().position(|&b| b == b'=').filter(|_| text.starts_with(b"--"));
        let name = &text[..equals.unwrap_or(text.len())];
        let (known, is_near) = match find(name) {
            Found::Known(known) => (known, false),
            Found::Near(known) => (known, true),
            Found::Unknown => {
                if readable {
                    self.add_mistake(Mistake::Unknown(name, None));
                }
                return false;
            }
        };
        let option = known.option;
        let is_flag = known.value.is_empty();
        let following = if is_flag || equals.is_some() { None } else { self.reader.next_value() };
        let readable = following.map_or(readable, |value| self.accepts(value));
        if is_near {
            self.add_mistake(Mistake::Unknown(name, Some(option)));
            return following.is_some(); // the value is skipped, so that it is not taken for a duration
        }
        self.args.at_once |= matches!(option, Opt::Check | Opt::Install);
        match (is_flag, equals, following) {
            (true, Some(_), _) => self.add_mistake(Mistake::Flag(option)),
            (false, None, None) => self.add_mistake(Mistake::NoValue(option)),
            _ if !known.repeatable && self.args.has(option) => self.add_mistake(Mistake::Twice(option)),
            _ if !readable => {}
            (_, _, Some(value)) => self.add_option(option, value.text),
            (_, equals, None) => {
                let value = equals.map_or(&b""[..], |at| &text[at + 1..]);
                self.add_option(option, value);
                // A value that `Plan` will refuse counts as none. What follows may be the right one: `--until-idle= 8080`.
                return match known.value {
                    "" | "PATH" => true,
                    "PORT" | "N" => is_bare_number(value),
                    _ => !value.is_empty(),
                };
            }
        }
        following.is_some()
    }

    /// Returns true if the variables of a word could be expanded, and adds a mistake if not. For a part of an argument that
    /// mistake was added with the whole.
    fn accepts(&mut self, word: Word<'a>) -> bool {
        if !word.is_part {
            match word.unexpanded {
                None => {}
                Some(variables::Error::Unset(variable)) => self.add_mistake(Mistake::Unset(word.text, variable)),
                Some(variables::Error::TooLong) => {
                    let why = "becomes longer than 2 MiB with its variables: shorten it";
                    self.add_mistake(Mistake::Argument(word.text, why));
                }
            }
        }
        word.unexpanded.is_none()
    }
}

/// Returns the sum of the durations that can be read, for a drain whose command line cannot be read to its end. A lack of memory
/// may be the reason, so it takes none unless a duration is refused, and expands no variables.
pub fn durations(arguments: &[&[u8]]) -> Option<Duration> {
    let words = Words { arguments, expanded: Vec::new() };
    read(&words, true).duration
}

/// Returns true if a word looks like an option, also with the other dashes that word processors make. `-5` does not: it is a
/// duration with a sign, which is refused as one.
fn is_option(word: &[u8]) -> bool {
    match word {
        [b'-', second, ..] => !second.is_ascii_digit() && !second.is_ascii_whitespace() && *second != b'.',
        // U+2010 to U+2015, and the minus sign, U+2212, in UTF-8.
        [0xe2, 0x80, 0x90..=0x95, ..] | [0xe2, 0x88, 0x92, ..] => true,
        _ => false,
    }
}
