//! A command line as it should be taken apart, by a method of its own.

use drain_sleep::args::Opt;

/// What is on a line.
#[derive(Default)]
pub struct Line {
    pub options: Vec<(Opt, Vec<u8>)>,
    pub operands: Vec<Vec<u8>>,
    pub mistaken: bool,
    pub at_once: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Flag,
    Once,
    Often,
}

type Known = (&'static str, Opt, Kind);

const OPTIONS: [Known; 17] = [
    ("until-unready", Opt::UntilUnready, Kind::Often),
    ("until-idle", Opt::UntilIdle, Kind::Often),
    ("idle-after", Opt::IdleAfter, Kind::Once),
    ("min", Opt::Min, Kind::Once),
    ("period", Opt::Period, Kind::Once),
    ("timeout", Opt::Timeout, Kind::Once),
    ("threshold", Opt::Threshold, Kind::Once),
    ("assume-ready", Opt::AssumeReady, Kind::Flag),
    ("get", Opt::Get, Kind::Often),
    ("post", Opt::Post, Kind::Often),
    ("header", Opt::Header, Kind::Often),
    ("log-file", Opt::LogFile, Kind::Once),
    ("quiet", Opt::Quiet, Kind::Flag),
    ("check", Opt::Check, Kind::Flag),
    ("install", Opt::Install, Kind::Once),
    ("help", Opt::Help, Kind::Flag),
    ("version", Opt::Version, Kind::Flag),
];

const SHORT: [(&[u8], Opt); 3] = [(b"-q", Opt::Quiet), (b"-h", Opt::Help), (b"-V", Opt::Version)];

impl Line {
    pub fn read(arguments: &[&[u8]], variable: &[u8]) -> Line {
        let words: Vec<_> = arguments.iter().map(|argument| expanded(argument, variable)).collect();
        let mut line = Line::default();
        let mut at = 0;
        while at < words.len() {
            let (text, readable) = &words[at];
            at += 1;
            if text == b"--" {
                for (operand, readable) in &words[at..] {
                    line.operand(operand, *readable);
                }
                break;
            }
            if text.len() < 2 || text[0] != b'-' || text[1] == b'.' || text[1].is_ascii_digit() {
                line.operand(text, *readable);
                continue;
            }
            let long = text[1] == b'-';
            let mut parts = text.splitn(if long { 2 } else { 1 }, |&b| b == b'=');
            let (name, attached) = (parts.next().unwrap(), parts.next());
            let exact = find(name, |_, edits| edits == 0);
            let near = || {
                find(name, |known, edits| edits == 1 && known > 2)
                    .or_else(|| find(name, |known, edits| edits == 2 && known > 4))
            };
            let Some((_, option, kind)) = exact.or_else(near) else {
                line.mistaken = true;
                continue;
            };
            let mut value = attached.map(|value| (value, *readable));
            if kind != Kind::Flag && value.is_none() && words.get(at).is_some_and(|(next, _)| !next.starts_with(b"--"))
            {
                value = Some((&words[at].0, words[at].1));
                at += 1;
            }
            if exact.is_none() {
                line.mistaken = true;
                continue;
            }
            line.at_once |= option == Opt::Check || option == Opt::Install;
            let is_second = kind == Kind::Once && line.options.iter().any(|(earlier, _)| *earlier == option);
            match (kind, value) {
                (Kind::Flag, None) if *readable => line.options.push((option, Vec::new())),
                (Kind::Once | Kind::Often, Some((value, true))) if !is_second => {
                    line.options.push((option, value.to_vec()))
                }
                _ => line.mistaken = true,
            }
        }
        line
    }

    fn operand(&mut self, text: &[u8], readable: bool) {
        if readable {
            self.operands.push(text.to_vec());
        } else {
            self.mistaken = true;
        }
    }
}

/// The first known option for which this holds of the letters that its name has, and the edits that make it of what was typed.
fn find(typed: &[u8], holds: impl Fn(usize, usize) -> bool) -> Option<Known> {
    if let Some((_, short)) = SHORT.iter().find(|(name, _)| *name == typed) {
        return OPTIONS.into_iter().find(|(_, option, _)| option == short);
    }
    OPTIONS.into_iter().find(|(name, ..)| holds(name.len(), edits(typed, format!("--{name}").as_bytes())))
}

/// The Levenshtein distance, by the table of Wagner and Fischer.
fn edits(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// With its variables replaced, or as it stands where one is not set.
fn expanded(argument: &[u8], variable: &[u8]) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    let mut at = 0;
    while at < argument.len() {
        let rest = &argument[at..];
        let end = rest.iter().position(|&b| b == b')');
        at += match (rest, end) {
            ([b'$', b'$', ..], _) => {
                out.push(b'$');
                2
            }
            ([b'$', b'(', ..], Some(end)) => {
                match &rest[2..end] {
                    b"A" => out.extend(variable),
                    b"N" => out.push(b'\n'),
                    _ => return (argument.to_vec(), false),
                }
                end + 1
            }
            _ => {
                out.push(rest[0]);
                1
            }
        };
    }
    (out, true)
}
