//! The command line as it was typed: which options with which values, and how long. `plan` decides what they mean.

use std::borrow::Cow;
use std::iter::Peekable;
use std::time::Duration;

use super::duration::{self, SECONDS_MAX, add, is_bare_number, unquoted};
use super::mistake::{Mistake, Mistakes};
use super::options::{Found, Kind, find, is_option};
pub use super::options::{Help, Opt};
use super::variables::{Environment, expand, shell_variable};
use crate::text::{self, split_before, split_once, trim};

/// How many bytes all variables together may add to a command line: as many as Linux usually allows for a whole
/// command line, execve(2).
const EXPANSION_MAX: usize = 2 << 20;

/// The arguments with their variables expanded, or as they were typed and why that cannot be done.
pub struct Words<'a>(Vec<(Cow<'a, [u8]>, Option<Mistake<'a>>)>);

/// Expands the variables in a command line.
pub fn words<'a>(arguments: &[&'a [u8]], environment: Environment<'a>) -> Words<'a> {
    let mut room = EXPANSION_MAX;
    let expand = |&argument: &&'a [u8]| {
        if !argument.contains(&b'$') {
            return (Cow::Borrowed(argument), None);
        }
        match expand(argument, environment, argument.len() + room) {
            Ok(text) => {
                room -= text.len().saturating_sub(argument.len());
                (Cow::Owned(text), None)
            }
            Err(mistake) => (Cow::Borrowed(argument), Some(mistake)),
        }
    };
    Words(arguments.iter().map(expand).collect())
}

/// What a command line consists of.
#[derive(Debug, Default)]
pub struct Args<'a> {
    /// The options and their values, in the order of the command line. The value of a flag is empty.
    pub options: Vec<(Opt, &'a [u8])>,
    /// The sum of the durations.
    pub duration: Option<Duration>,
    /// There is an argument that is neither an option nor the value of one.
    pub has_operand: bool,
    /// One of the durations is a number that is probably meant as a port.
    pub may_mean_port: bool,
    /// `--check` or `--install` was given, even with a bad value. Nothing is drained, so mistakes are fatal at once.
    pub fails_fast: bool,
    pub mistakes: Mistakes<'a>,
}

impl<'a> Args<'a> {
    /// Parses a command line, without the program's name.
    pub fn parse(words: &'a Words<'a>) -> Args<'a> {
        let mut parser = Parser::default();
        parser.read(&mut words.0.iter().map(|(text, mistake)| (&**text, *mistake)));
        parser.finish()
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

/// Reads the words one after another, and collects what they say.
#[derive(Default)]
struct Parser<'a> {
    args: Args<'a>,
    options_ended: bool,
    /// The options so far, a bit each.
    seen: u32,
    /// The word before was the value of `--until-idle`.
    behind_port: bool,
    /// The first bare number behind the value of `--until-idle`, and the sum of all of these.
    second_port: Option<&'a [u8]>,
    behind_ports: Option<Duration>,
    has_unit: bool,
    /// There is a bare number over [`SECONDS_MAX`].
    has_many_seconds: bool,
}

/// The arguments, or the parts of one that has spaces in it, each with the mistake in its variables.
type Texts<'t, 'a> = &'t mut dyn Iterator<Item = (&'a [u8], Option<Mistake<'a>>)>;

impl<'a> Parser<'a> {
    fn read(&mut self, words: Texts<'_, 'a>) {
        let mut words = words.peekable();
        while let Some((text, mistake)) = words.next() {
            let behind_port = std::mem::take(&mut self.behind_port);
            let read = match text {
                _ if let Some(mistake) = mistake => {
                    let (name, _) = split_before(text, b'=');
                    self.args.fails_fast |= matches!(find(name), Found::Known(spec) if spec.option.fails_fast());
                    self.args.has_operand = true;
                    Err(mistake)
                }
                b"--" if !self.options_ended => {
                    self.options_ended = true;
                    Ok(())
                }
                _ if holds_option(text) => {
                    let why = "has spaces in or around it: make each argument an item of its own";
                    self.args.mistakes.push(Mistake::Argument(text, why));
                    self.read(&mut text::words(text).map(|part| (unquoted(part), None)));
                    Ok(())
                }
                _ if is_option(text) && !self.options_ended => self.read_option(text, &mut words),
                _ => self.read_operand(text, behind_port),
            };
            if let Err(mistake) = read {
                self.args.mistakes.push(mistake);
            }
        }
    }

    fn read_operand(&mut self, text: &'a [u8], behind_port: bool) -> Result<(), Mistake<'a>> {
        self.args.has_operand = true;
        if is_option(text) {
            return Err(Mistake::Argument(text, "follows --, which ends the options: put it before"));
        }
        if let Some(name) = shell_variable(text) {
            return Err(Mistake::Shell(text, name));
        }
        let duration = duration::read(text).map_err(|why| Mistake::Argument(text, why))?;
        if behind_port && is_bare_number(trim(text)) {
            self.second_port.get_or_insert(trim(text));
            self.behind_ports = add(self.behind_ports, duration);
        } else {
            self.args.duration = add(self.args.duration, duration);
        }
        for word in text::words(text) {
            let is_bare = is_bare_number(word);
            self.has_unit |= !is_bare;
            self.has_many_seconds |= is_bare && duration::lenient(word) > Some(SECONDS_MAX);
        }
        Ok(())
    }

    /// Reads an option and its value.
    fn read_option(&mut self, text: &'a [u8], words: &mut Peekable<Texts<'_, 'a>>) -> Result<(), Mistake<'a>> {
        let (name, value) = match split_once(text, b'=').filter(|_| text.starts_with(b"--")) {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        // An option whose value was forgotten must not take the next option for it.
        let mut next_value = || words.next_if(|(text, _)| !text.starts_with(b"--"));
        let spec = match find(name) {
            Found::Known(spec) => spec,
            Found::Near(spec) => {
                if spec.kind != Kind::Flag && value.is_none() {
                    next_value();
                }
                return Err(Mistake::Unknown(name, Some(spec.option)));
            }
            Found::Unknown => return Err(Mistake::Unknown(name, None)),
        };
        let option = spec.option;
        self.args.fails_fast |= option.fails_fast();
        let value = match (spec.kind, value) {
            (Kind::Flag, None) => b"",
            (Kind::Flag, Some(_)) => return Err(Mistake::Flag(option)),
            (_, Some(value)) => value,
            (_, None) => {
                let (text, mistake) = next_value().ok_or(Mistake::NoValue(option))?;
                mistake.map_or(Ok(text), Err)?
            }
        };
        self.behind_port = spec.kind == Kind::Port;
        let bit = 1 << option as u32;
        if !spec.repeatable && self.seen & bit != 0 {
            return Err(Mistake::Twice(option));
        }
        self.seen |= bit;
        if matches!(spec.kind, Kind::Duration | Kind::Port | Kind::Number)
            && let Some(name) = shell_variable(value)
        {
            return Err(Mistake::Shell(value, name));
        }
        self.args.options.push((option, value));
        Ok(())
    }

    fn finish(mut self) -> Args<'a> {
        self.args.may_mean_port = self.has_many_seconds && self.has_unit;
        match self.second_port {
            Some(port) if self.args.duration.is_some() => self.args.mistakes.push(Mistake::SecondPort(port)),
            Some(_) => {
                self.args.duration = self.behind_ports;
                self.args.may_mean_port = self.has_many_seconds;
            }
            None => {}
        }
        if let Some(Err(why)) = self.args.duration.map(duration::not_too_long) {
            self.args.mistakes.push(Mistake::Sum(why));
        }
        self.args
    }
}

/// Returns true if an argument has white space in it and holds an option, apart from options whose value may have white space.
fn holds_option(text: &[u8]) -> bool {
    if text::words(text).next() == Some(text) {
        return false;
    }
    if text.starts_with(b"--")
        && let Some((name, value)) = split_once(text, b'=')
        && let Found::Known(spec) | Found::Near(spec) = find(name)
    {
        match spec.kind {
            Kind::Duration | Kind::Header | Kind::Path => return false,
            Kind::Port | Kind::Url | Kind::Number if text::words(value).count() <= 1 => return false,
            _ => {}
        }
    }
    text::words(text).any(|word| is_option(unquoted(word)))
}
