//! The table of options: names, values, help. `--help`, `args` and `salvage` read it.
//!
//! A new option is a variant of [`Opt`], a row at the same place in [`OPTIONS`], and an arm in `Plan::apply`, which gives it a
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

/// What kind of value an option takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// None.
    Flag,
    Duration,
    Port,
    Url,
    Number,
    Path,
    Header,
}

impl Kind {
    /// What `--help` calls the value.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Flag => "",
            Kind::Duration => "DURATION",
            Kind::Port => "PORT",
            Kind::Url => "URL",
            Kind::Number => "N",
            Kind::Path => "PATH",
            Kind::Header => "'NAME: VALUE'",
        }
    }
}

/// An option's row in the table [`OPTIONS`].
#[derive(Debug)]
pub struct Spec {
    pub option: Opt,
    name: &'static str,
    pub kind: Kind,
    /// It may be given more than once, as every flag may.
    pub repeatable: bool,
    help: &'static str,
}

const fn single(option: Opt, name: &'static str, kind: Kind, help: &'static str) -> Spec {
    Spec { option, name, kind, repeatable: false, help }
}

const fn repeatable(option: Opt, name: &'static str, kind: Kind, help: &'static str) -> Spec {
    Spec { option, name, kind, repeatable: true, help }
}

const fn flag(option: Opt, name: &'static str, help: &'static str) -> Spec {
    Spec { option, name, kind: Kind::Flag, repeatable: true, help }
}

/// All options, in the order of [`Opt`].
static OPTIONS: [Spec; 18] = [
    repeatable(
        Opt::UntilUnready,
        "--until-unready",
        Kind::Url,
        "end early once URL is no longer ready; if repeated, all must agree",
    ),
    repeatable(
        Opt::UntilIdle,
        "--until-idle",
        Kind::Port,
        "end early once TCP connections to PORT are silent; if repeated, all must agree",
    ),
    single(Opt::IdleAfter, "--idle-after", Kind::Duration, "silence after which a connection is idle [3s]"),
    single(Opt::Min, "--min", Kind::Duration, "never end before this [5s, or DURATION if shorter]"),
    single(Opt::Period, "--period", Kind::Duration, "time from one check to the next [1s]"),
    single(Opt::Timeout, "--timeout", Kind::Duration, "how long one check or request may take [1s]"),
    single(Opt::Threshold, "--threshold", Kind::Number, "how many checks in a row must agree [3]"),
    flag(Opt::AssumeReady, "--assume-ready", "assume that what is watched was ready before"),
    repeatable(Opt::Get, "--get", Kind::Url, "tell the app to drain: send this request until it is heard"),
    repeatable(Opt::Post, "--post", Kind::Url, "the same with POST"),
    single(Opt::Delay, "--delay", Kind::Duration, "how long to wait before --get and --post [0]"),
    repeatable(Opt::Header, "--header", Kind::Header, "add a header to every HTTP request"),
    single(Opt::LogFile, "--log-file", Kind::Path, "also append the log to PATH, such as /proc/1/fd/2"),
    flag(Opt::Quiet, "--quiet", "log only errors on stderr (also -q)"),
    flag(Opt::Check, "--check", "print what would be done, do nothing"),
    single(Opt::Install, "--install", Kind::Path, "copy this program to PATH, and check what follows"),
    flag(Opt::Help, "--help", "show this (also -h)"),
    flag(Opt::Version, "--version", "show the version (also -V)"),
];

impl Opt {
    /// Returns its row.
    pub fn spec(self) -> &'static Spec {
        &OPTIONS[self as usize]
    }

    /// Returns true if nothing is drained with it. A mistake then ends the program at once.
    pub fn fails_fast(self) -> bool {
        matches!(self, Opt::Check | Opt::Install)
    }

    /// Returns its name with the dashes.
    pub fn name(self) -> &'static str {
        self.spec().name
    }
}

impl fmt::Display for Opt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What was found under an option's name.
pub enum Found {
    Known(&'static Spec),
    /// There is no such option, but this one has a similar name.
    Near(&'static Spec),
    Unknown,
}

/// Returns true if a word looks like an option, also with the other dashes that word processors make. `-5` does not: it is a
/// duration with a sign, which is refused as one.
pub fn is_option(word: &[u8]) -> bool {
    match word {
        [b'-', second, ..] => !second.is_ascii_digit() && !second.is_ascii_whitespace() && *second != b'.',
        // U+2010 to U+2015, and the minus sign, U+2212, in UTF-8.
        [0xe2, 0x80, 0x90..=0x95, ..] | [0xe2, 0x88, 0x92, ..] => true,
        _ => false,
    }
}

/// Finds the option of this name, or one of a similar name: at most two edits away, and fewer than half its letters.
pub fn find(name: &[u8]) -> Found {
    match name {
        b"-q" => return Found::Known(Opt::Quiet.spec()),
        b"-h" => return Found::Known(Opt::Help.spec()),
        b"-V" => return Found::Known(Opt::Version.spec()),
        _ => {}
    }
    for limit in 0..=2 {
        for spec in &OPTIONS {
            if limit * 2 < spec.name.len() - "--".len() && is_within(limit, name, spec.name.as_bytes()) {
                return if limit == 0 { Found::Known(spec) } else { Found::Near(spec) };
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
             DURATION is a number of seconds (20, 0.5) or has units (1m30s, 500ms); several add up.\n\
             URL is http://HOST[:PORT][/PATH], http://unix:/SOCKET:/PATH, tcp://HOST:PORT, unix:/SOCKET or grpc://HOST:PORT[/SERVICE].\n\n",
        )?;
        for Spec { name, kind, help, .. } in &OPTIONS {
            let (value, width) = (kind.word(), 23 - name.len());
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
        for (index, spec) in OPTIONS.iter().enumerate() {
            assert_eq!(spec.option as usize, index, "{}", spec.name);
        }
    }
}
