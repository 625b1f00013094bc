//! `$(VAR)` in an argument. Kubernetes expands it in a container's `command` but not in a hook's, so the program does it, by
//! the same rules (`third_party/forked/golang/expansion/expand.go` in the Kubernetes source) with one difference: a variable
//! that is not set is an error, since it is most likely a typo.

/// Returns the value of an environment variable, or `None` if it is not set.
pub type Environment<'a> = &'a dyn Fn(&[u8]) -> Option<&'a [u8]>;

/// Why an argument cannot be expanded.
#[derive(Debug, PartialEq)]
pub enum Error<'a> {
    /// The first variable that is not set.
    Unset(&'a [u8]),
    /// The result would be longer than the limit.
    TooLong,
}

/// Replaces each `$(VAR)` by the variable's value and each `$$` by `$`. All else stays, `$(` without a `)` included. A result
/// with a variable in it may have `limit` bytes.
///
/// # Errors
/// [`Error`].
pub fn expand<'a>(argument: &'a [u8], environment: Environment, limit: usize) -> Result<Vec<u8>, Error<'a>> {
    let mut out = Vec::new();
    let mut rest = argument;
    while let Some(at) = rest.iter().position(|&b| b == b'$') {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        match rest {
            [b'$', after @ ..] => {
                out.push(b'$');
                rest = after;
            }
            [b'(', after @ ..] => {
                let Some(end) = after.iter().position(|&b| b == b')') else {
                    out.push(b'$');
                    continue;
                };
                let name = &after[..end];
                let value = environment(name).ok_or(Error::Unset(name))?;
                rest = &after[end + 1..];
                if out.len() + value.len() + rest.len() > limit {
                    return Err(Error::TooLong);
                }
                out.extend_from_slice(value);
            }
            _ => out.push(b'$'),
        }
    }
    out.extend_from_slice(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_kubernetes_does() {
        let environment = |name: &[u8]| -> Option<&[u8]> {
            match name {
                b"A" => Some(b"one"),
                b"B" => Some(b"$(A)"),
                b"EMPTY" => Some(b""),
                b"BYTES" => Some(b"\xff"),
                _ => None,
            }
        };
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
            (b"$", Ok(b"$")),
            (b"20$", Ok(b"20$")),
            (b"$(A", Ok(b"$(A")),
            (b"$($(A)", Err(b"$(A")),
            (b"$(A)$(UNSET)", Err(b"UNSET")),
            (b"$()", Err(b"")),
        ];
        for (text, expected) in cases {
            let got = expand(text, &environment, 12);
            let expected = expected.map(<[u8]>::to_vec).map_err(Error::Unset);
            assert_eq!(got, expected, "{}", text.escape_ascii());
        }
        assert_eq!(expand(b"$(A)$(A)$(A)$(A)$(A)", &environment, 12), Err(Error::TooLong));
    }
}
