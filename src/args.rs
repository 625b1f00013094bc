//! The command line as it was typed: which options, which values, which operands. What they mean is for [`crate::plan`].

use crate::expand::{self, Environment, expand};
use crate::log::Bytes;

/// An option that there is.
#[derive(Debug)]
pub struct Known {
    /// With its dashes.
    pub name: &'static str,
    /// What its value is called; a flag has none.
    value: Option<&'static str>,
    /// May stand on the line more than once.
    repeatable: bool,
    help: &'static str,
}

const fn option(name: &'static str, value: &'static str, help: &'static str) -> Known {
    Known { name, value: Some(value), repeatable: false, help }
}

const fn repeatable(name: &'static str, value: &'static str, help: &'static str) -> Known {
    Known { name, value: Some(value), repeatable: true, help }
}

const fn flag(name: &'static str, help: &'static str) -> Known {
    Known { name, value: None, repeatable: true, help }
}

pub const UNTIL_UNREADY: &str = "--until-unready";
pub const UNTIL_IDLE: &str = "--until-idle";
pub const IDLE_AFTER: &str = "--idle-after";
pub const MIN: &str = "--min";
pub const PERIOD: &str = "--period";
pub const TIMEOUT: &str = "--timeout";
pub const THRESHOLD: &str = "--threshold";
pub const ASSUME_READY: &str = "--assume-ready";
pub const GET: &str = "--get";
pub const POST: &str = "--post";
pub const HEADER: &str = "--header";
pub const LOG_FILE: &str = "--log-file";
pub const QUIET: &str = "--quiet";
pub const CHECK: &str = "--check";
pub const INSTALL: &str = "--install";
pub const HELP: &str = "--help";
pub const VERSION: &str = "--version";

/// All options, in the order in which `--help` shows them.
const OPTIONS: &[Known] = &[
    repeatable(UNTIL_UNREADY, "URL", "end early once URL has stopped being ready; all given must hold"),
    repeatable(UNTIL_IDLE, "PORT", "end early once TCP connections to PORT are silent; all given must hold"),
    option(IDLE_AFTER, "DURATION", "silence after which a connection is idle [3s]"),
    option(MIN, "DURATION", "never end before this [5s, or DURATION if shorter]"),
    option(PERIOD, "DURATION", "time from one check to the next [1s]"),
    option(TIMEOUT, "DURATION", "the most that one check may take [1s]"),
    option(THRESHOLD, "N", "how many checks in a row must agree [3]"),
    flag(ASSUME_READY, "count what is watched as having been ready before"),
    repeatable(GET, "URL", "request this once, before the sleep"),
    repeatable(POST, "URL", "the same by POST: start the app's own drain"),
    repeatable(HEADER, "'NAME: VALUE'", "add a header to every HTTP request"),
    option(LOG_FILE, "PATH", "also append the log to PATH, such as /proc/1/fd/2"),
    flag(QUIET, "no log on stderr, errors aside (also -q)"),
    flag(CHECK, "say what would be done, do nothing"),
    option(INSTALL, "PATH", "copy this program to PATH, and check what follows"),
    flag(HELP, "show this (also -h)"),
    flag(VERSION, "show the version (also -V)"),
];

/// A command line, taken apart.
#[derive(Debug, Default)]
pub struct Args {
    /// The options that are known, each with its value, in the order of the line.
    pub options: Vec<(&'static str, Vec<u8>)>,
    /// What is left: the durations.
    pub operands: Vec<Vec<u8>>,
    /// `--check` or `--install` is on the line, be it with a mistake: there is no drain to keep, so that it fails at once.
    pub at_once: bool,
    /// What is wrong, a line each. What it is about is in neither of the fields above.
    pub mistakes: Vec<String>,
}

/// Bytes that all variables may add to a line: as many as Linux takes for a whole line as a rule, execve(2).
const EXPANSION_MAX: usize = 2 << 20;

/// An argument with its variables expanded, or as it stands where that cannot be.
struct Word {
    text: Vec<u8>,
    mistake: Option<expand::Error>,
}

impl Args {
    /// Takes a command line apart, without the program's name. It reads on after a mistake: the durations must be found.
    pub fn parse(arguments: &[&[u8]], environment: Environment) -> Args {
        let mut args = Args::default();
        let mut room = EXPANSION_MAX;
        let word = |argument: &&[u8]| match expand(argument, environment, room) {
            Ok(text) => {
                room = room.saturating_sub(text.len());
                Word { text, mistake: None }
            }
            Err(mistake) => Word { text: argument.to_vec(), mistake: Some(mistake) },
        };
        let mut words = arguments.iter().map(word).peekable();
        let mut options_ended = false;
        while let Some(word) = words.next() {
            if options_ended || !is_option(&word.text) {
                let operand = args.usable(word);
                args.operands.extend(operand);
                continue;
            }
            if word.text == b"--" {
                options_ended = true;
                continue;
            }
            let equals = word.text.iter().position(|&b| b == b'=').filter(|_| word.text.starts_with(b"--"));
            let name = &word.text[..equals.unwrap_or(word.text.len())];
            let found = find(name);
            let Some(known) = found.unwrap_or_else(|nearest| nearest) else {
                args.mistakes.push(format!("unknown option '{}': see drain-sleep --help", Bytes(name)));
                continue;
            };
            if found.is_err() {
                args.mistakes.push(format!("unknown option '{}': did you mean {}?", Bytes(name), known.name));
            }
            let value = match (known.value, equals) {
                (None, None) => Some(Word { text: Vec::new(), mistake: None }),
                (Some(_), Some(at)) => Some(Word { text: word.text[at + 1..].to_vec(), mistake: word.mistake }),
                // An option whose value was forgotten must not swallow the next one.
                (Some(_), None) => words.next_if(|next| !next.text.starts_with(b"--")),
                (None, Some(_)) => None,
            };
            args.at_once |= found.is_ok() && [CHECK, INSTALL].contains(&known.name);
            if found.is_err() {
                continue; // its value has been passed over, lest it be taken for a duration
            }
            let Some(value) = value else {
                let wants = known.value.unwrap_or("no value");
                args.mistakes.push(format!("{} takes {wants}", known.name));
                continue;
            };
            if !known.repeatable && args.has(known.name) {
                args.mistakes.push(format!("{} is given twice", known.name));
                continue;
            }
            let value = args.usable(value);
            args.options.extend(value.map(|value| (known.name, value)));
        }
        args
    }

    /// The text of a word that could be expanded.
    fn usable(&mut self, word: Word) -> Option<Vec<u8>> {
        let text = Bytes(&word.text);
        self.mistakes.push(match &word.mistake {
            None => return Some(word.text),
            Some(expand::Error::Unset(variable)) => format!("'{text}': the variable {} is not set", Bytes(variable)),
            Some(expand::Error::TooLong) => format!("'{text}' becomes too long by its variables"),
        });
        None
    }

    /// Whether there is anything on the line that a drain needs, or that a drain is about.
    pub fn mentions_drain(&self) -> bool {
        let about_drain = |&(name, _): &(&str, _)| ![INSTALL, CHECK, QUIET].contains(&name);
        !self.has(INSTALL) || !self.operands.is_empty() || self.options.iter().any(about_drain)
    }

    /// Whether the option is on the line.
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// The value of an option that is on the line; the first one's.
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        self.values(name).next()
    }

    /// The values of a repeatable option.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.options.iter().filter(move |(option, _)| *option == name).map(|(_, value)| value.as_slice())
    }
}

/// `-5` is no option but a duration with a sign, which is refused as such.
fn is_option(word: &[u8]) -> bool {
    matches!(word, [b'-', second, ..] if !second.is_ascii_digit() && *second != b'.')
}

/// The option of this name or, as an error, the nearest one if it is near: two edits away at most, and fewer than half its
/// letters.
fn find(name: &[u8]) -> Result<Option<&'static Known>, Option<&'static Known>> {
    let name = match name {
        b"-q" => QUIET.as_bytes(),
        b"-h" => HELP.as_bytes(),
        b"-V" => VERSION.as_bytes(),
        _ => name,
    };
    if let Some(known) = OPTIONS.iter().find(|known| known.name.as_bytes() == name) {
        return Ok(Some(known));
    }
    let near = (1..=2).find_map(|most| {
        let near =
            |known: &&Known| most * 2 < known.name.len() - "--".len() && within(most, name, known.name.as_bytes());
        OPTIONS.iter().find(near)
    });
    Err(near)
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

/// The text of `--help`.
pub fn help() -> String {
    let mut text = String::from(
        "Sleeps, and ends early once what is watched has stopped being ready: a preStop hook for containers without a shell.\n\n\
         drain-sleep [OPTIONS] DURATION...\n\
         drain-sleep --check [OPTIONS] DURATION...\n\
         drain-sleep --install PATH [[OPTIONS] DURATION...]\n\n\
         DURATION is a number of seconds (20, 0.5) or has units (1m30s, 500ms); several add up.\n\n",
    );
    for known in OPTIONS {
        let left = [known.name, known.value.map_or("", |_| " "), known.value.unwrap_or_default()].concat();
        text.push_str(&format!("  {left:24}  {}\n", known.help));
    }
    text.push_str(
        "\nExit status: 0 slept, 1 slept but a request failed, 2 a mistake on the line (after the sleep), 128+n signal n.\n",
    );
    text
}
