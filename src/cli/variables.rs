//! Variables in an argument.
//!
//! Kubernetes expands `$(VAR)` in a container's `command` but not in a hook's, so the program does it, by the same rules
//! (`third_party/forked/golang/expansion/expand.go` in the Kubernetes source) with one difference: a variable that is not set is
//! an error, since it is most likely a typo. `$VAR` and `${VAR}`, which only a shell expands, are a mistake.

use super::mistake::Mistake;
use crate::text::{split_before, split_once};

/// Returns the value of an environment variable, or `None` if it is not set.
pub type Environment<'a> = &'a dyn Fn(&[u8]) -> Option<&'a [u8]>;

/// Replaces each `$(VAR)` by the variable's value and each `$$` by `$`. All else stays, `$(` without a `)` included.
///
/// # Errors
/// A variable that is not set, or a result of more than `limit` bytes.
pub fn expand<'a>(argument: &'a [u8], environment: Environment<'a>, limit: usize) -> Result<Vec<u8>, Mistake<'a>> {
    let mut out = Vec::new();
    for part in (Parts { rest: argument, unclosed: false, environment, shell: false }) {
        let text = part.map_err(|name| Mistake::Unset(argument, name))?;
        if out.len() + text.len() > limit {
            return Err(Mistake::Argument(argument, "becomes longer than 2 MiB with its variables: shorten it"));
        }
        out.extend_from_slice(text);
    }
    Ok(out)
}

/// Expands an argument into `room`, for a command line that is wrong: a shell's variables count too. A variable that is not
/// set becomes a `$`, and what has no room is cut off. It takes no memory.
pub fn expand_into<'a: 'b, 'b>(room: &'b mut [u8], argument: &'a [u8], environment: Environment<'a>) -> &'b [u8] {
    if !argument.contains(&b'$') {
        return argument;
    }
    let mut len = 0;
    for part in (Parts { rest: argument, unclosed: false, environment, shell: true }) {
        let text = part.unwrap_or(b"$");
        let text = &text[..text.len().min(room.len() - len)];
        room[len..len + text.len()].copy_from_slice(text);
        len += text.len();
    }
    &room[..len]
}

/// Returns the name of the first variable in a text if it is written as for a shell.
pub fn shell_variable(text: &[u8]) -> Option<&[u8]> {
    let mut dollars = (0..text.len()).filter(|&at| text[at] == b'$');
    dollars.find_map(|at| Shell::read(&text[at + 1..])).map(|shell| shell.name)
}

/// The parts of an argument, expanded one after another. An error is the name of a variable that is not set.
struct Parts<'a> {
    rest: &'a [u8],
    /// There is no `)` in the rest, so that no `$(` needs to look for one.
    unclosed: bool,
    environment: Environment<'a>,
    /// Expand what a shell would expand as well.
    shell: bool,
}

impl<'a> Iterator for Parts<'a> {
    type Item = Result<&'a [u8], &'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let (part, rest) = match self.rest {
            [] => return None,
            [b'$', b'$', rest @ ..] => (Ok(&b"$"[..]), rest),
            [b'$', b'(', rest @ ..] if !self.unclosed => match split_once(rest, b')') {
                Some((name, rest)) => ((self.environment)(name).ok_or(name), rest),
                None => {
                    self.unclosed = true;
                    return self.next();
                }
            },
            [b'$', rest @ ..]
                if self.shell
                    && let Some(variable) = Shell::read(rest) =>
            {
                let value = (self.environment)(variable.name).filter(|value| !value.is_empty());
                (value.or(variable.default).ok_or(variable.name), variable.after)
            }
            [b'$', rest @ ..] => (Ok(&b"$"[..]), rest),
            text => {
                let (text, rest) = split_before(text, b'$');
                (Ok(text), rest)
            }
        };
        self.rest = rest;
        Some(part)
    }
}

/// A variable as a shell expands it, behind its `$`: `NAME`, `{NAME}` or `{NAME:-DEFAULT}`.
struct Shell<'a> {
    name: &'a [u8],
    default: Option<&'a [u8]>,
    after: &'a [u8],
}

impl<'a> Shell<'a> {
    fn read(rest: &'a [u8]) -> Option<Shell<'a>> {
        let inner = rest.strip_prefix(b"{");
        let text = inner.unwrap_or(rest);
        let (name, after) = text.split_at(text.iter().position(|b| !is_name_byte(b)).unwrap_or(text.len()));
        if name.first().is_none_or(u8::is_ascii_digit) {
            return None;
        }
        if inner.is_none() {
            return Some(Shell { name, default: None, after });
        }
        /// How far to look for the `}`.
        const DEFAULT_MAX: usize = 256;
        let end = after.iter().take(DEFAULT_MAX).position(|&b| b == b'}')?;
        Some(Shell { name, default: after[..end].strip_prefix(b":-"), after: &after[end + 1..] })
    }
}

fn is_name_byte(b: &u8) -> bool {
    b.is_ascii_alphanumeric() || *b == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &[u8]) -> Option<&'static [u8]> {
        match name {
            b"A" => Some(b"one"),
            b"B" => Some(b"$(A)"),
            b"EMPTY" => Some(b""),
            b"BYTES" => Some(b"\xff"),
            _ => None,
        }
    }

    #[test]
    fn as_kubernetes_does() {
        type Expected = Result<&'static [u8], &'static [u8]>;
        let cases: &[(&[u8], Expected)] = &[
            (b"", Ok(b"")),
            (b"plain", Ok(b"plain")),
            (b"$(A)", Ok(b"one")),
            (b"x$(A)y$(A)z", Ok(b"xoneyonez")),
            (b"$(B)", Ok(b"$(A)")), // a value is not expanded again
            (b"$(EMPTY)", Ok(b"")),
            (b"$(BYTES)", Ok(b"\xff")),
            (b"$$", Ok(b"$")),
            (b"$$(A)", Ok(b"$(A)")),
            (b"$$$(A)", Ok(b"$one")),
            (b"$A", Ok(b"$A")),
            (b"${A}", Ok(b"${A}")),
            (b"${$(A)}", Ok(b"${one}")),
            (b"$", Ok(b"$")),
            (b"20$", Ok(b"20$")),
            (b"$(A", Ok(b"$(A")),
            (b"$(A)$(A$$", Ok(b"one$(A$")),
            (b"$($(A)", Err(b"$(A")),
            (b"$(A)$(UNSET)", Err(b"UNSET")),
            (b"$()", Err(b"")),
        ];
        for (text, expected) in cases {
            let got = expand(text, &environment, 12);
            let expected = expected.map(<[u8]>::to_vec).map_err(|name| Mistake::Unset(text, name));
            assert_eq!(got, expected, "{}", text.escape_ascii());
        }
        assert!(expand(b"$(A)$(A)$(A)$(A)$(A)", &environment, 12).is_err());
    }

    #[test]
    fn as_a_shell_does() {
        let cases: &[(&str, &str, Option<&str>)] = &[
            ("$A", "one", Some("A")),
            ("x${A}y$A", "xoneyone", Some("A")),
            ("$(A)$B", "one$(A)", Some("B")),
            ("${UNSET:-20s}s", "20ss", Some("UNSET")),
            ("${EMPTY:-20s}", "20s", Some("EMPTY")),
            ("$UNSET_1.", "$.", Some("UNSET_1")),
            ("${UNSET}$(UNSET)", "$$", Some("UNSET")),
            ("$$A", "$A", Some("A")),
            ("$1 ${} ${A $(A", "$1 ${} ${A $(A", None),
            ("$(A)$(A)$(A)$(A)$(A)$(A)", "oneoneoneoneoneo", None),
        ];
        for (text, expected, name) in cases {
            let got = expand_into(&mut [0; 16], text.as_bytes(), &environment).to_vec();
            assert_eq!(got, expected.as_bytes(), "{text}");
            assert_eq!(shell_variable(text.as_bytes()), name.map(str::as_bytes), "{text}");
        }
    }
}
