//! The table of options: names, values, help. `--help` and the parser in `args` both read it.
//!
//! A new option is a variant of [`Opt`], a row at the same place in [`OPTIONS`], and an arm in `Plan::take`, which gives it a
//! meaning.

use std::fmt;

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
    Delay,
    Header,
    LogFile,
    Quiet,
    Check,
    Install,
    Help,
    Version,
}

/// An option's row in the table [`OPTIONS`].
#[derive(Debug)]
pub struct Known {
    pub option: Opt,
    name: &'static str,
    /// What its value is called. Empty for a flag, which has no value.
    pub value: &'static str,
    /// It may be given more than once, as every flag may.
    pub repeatable: bool,
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
static OPTIONS: [Known; 18] = [
    repeatable(
        Opt::UntilUnready,
        "--until-unready",
        "URL",
        "end early once URL is no longer ready; if repeated, all must agree",
    ),
    repeatable(
        Opt::UntilIdle,
        "--until-idle",
        "PORT",
        "end early once TCP connections to PORT are silent; if repeated, all must agree",
    ),
    single(Opt::IdleAfter, "--idle-after", "DURATION", "silence after which a connection is idle [3s]"),
    single(Opt::Min, "--min", "DURATION", "never end before this [5s, or DURATION if shorter]"),
    single(Opt::Period, "--period", "DURATION", "time from one check to the next [1s]"),
    single(Opt::Timeout, "--timeout", "DURATION", "how long one check or request may take [1s]"),
    single(Opt::Threshold, "--threshold", "N", "how many checks in a row must agree [3]"),
    flag(Opt::AssumeReady, "--assume-ready", "assume that what is watched was ready before"),
    repeatable(Opt::Get, "--get", "URL", "request this once: start the app's own drain"),
    repeatable(Opt::Post, "--post", "URL", "the same with POST"),
    single(Opt::Delay, "--delay", "DURATION", "how long to wait before --get and --post [0]"),
    repeatable(Opt::Header, "--header", "'NAME: VALUE'", "add a header to every HTTP request"),
    single(Opt::LogFile, "--log-file", "PATH", "also append the log to PATH, such as /proc/1/fd/2"),
    flag(Opt::Quiet, "--quiet", "log only errors on stderr (also -q)"),
    flag(Opt::Check, "--check", "print what would be done, do nothing"),
    single(Opt::Install, "--install", "PATH", "copy this program to PATH, and check what follows"),
    flag(Opt::Help, "--help", "show this (also -h)"),
    flag(Opt::Version, "--version", "show the version (also -V)"),
];

impl Opt {
    /// Returns its row.
    pub fn known(self) -> &'static Known {
        &OPTIONS[self as usize]
    }

    /// Returns its name with the dashes.
    pub fn name(self) -> &'static str {
        self.known().name
    }
}

impl fmt::Display for Opt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What was found under an option's name.
pub enum Found {
    Known(&'static Known),
    /// There is no such option, but this one has a similar name.
    Near(&'static Known),
    Unknown,
}

/// Finds the option of this name, or one of a similar name: at most two edits away, and fewer than half its letters.
pub fn find(name: &[u8]) -> Found {
    let short = match name {
        b"-q" => Some(Opt::Quiet),
        b"-h" => Some(Opt::Help),
        b"-V" => Some(Opt::Version),
        _ => None,
    };
    if let Some(option) = short {
        return Found::Known(option.known());
    }
    for limit in 0..=2 {
        for known in &OPTIONS {
            if limit * 2 < known.name.len() - "--".len() && is_within(limit, name, known.name.as_bytes()) {
                return if limit == 0 { Found::Known(known) } else { Found::Near(known) };
            }
        }
    }
    Found::Unknown
}

/// Returns true if at most `limit` edits (a letter added, removed or changed) turn one into the other: the Levenshtein distance.
fn is_within(limit: usize, a: &[u8], b: &[u8]) -> bool {
    match (a, b) {
        ([x, a @ ..], [y, b @ ..]) if x == y => is_within(limit, a, b),
        ([], []) => true,
        _ if limit == 0 => false,
        _ => {
            let (less_a, less_b) = (a.get(1..), b.get(1..));
            let (less_a, less_b) = (less_a.unwrap_or_default(), less_b.unwrap_or_default());
            is_within(limit - 1, less_a, less_b) || is_within(limit - 1, less_a, b) || is_within(limit - 1, a, less_b)
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
            "\nExit status: 0 slept, 1 slept but a request failed, 2 a mistake on the command line (after the sleep), 128+n signal n.\n",
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
