//! `--header`: headers that the user adds to every HTTP request.

use crate::text::{is_token_byte, is_value_byte, split_once};

/// A header that the user adds. An empty value removes the default header of this name.
#[derive(Debug, PartialEq)]
pub struct Header<'a> {
    pub name: &'a [u8],
    pub value: &'a [u8],
}

/// The one header that every request must have: RFC 9112 section 3.2.
pub const HOST: &str = "Host";
/// Headers that say where the message or the connection ends. The user cannot change them.
const OURS: [&str; 3] = ["Connection", "Content-Length", "Transfer-Encoding"];

impl Header<'_> {
    /// Returns true if the header has this name, in any case: RFC 9110 section 5.1.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// Reads `NAME: VALUE`.
///
/// # Errors
/// Why it is invalid, in words that follow `text`.
pub fn parse(text: &[u8]) -> Result<Header<'_>, &'static str> {
    let (name, value) = split_once(text, b':').ok_or("has no colon: write 'NAME: VALUE'")?;
    let value = value.trim_ascii();
    if name.is_empty() || !name.iter().all(|&b| is_token_byte(b)) {
        return Err("has an invalid header name: write 'NAME: VALUE'");
    }
    if !value.iter().all(is_value_byte) {
        return Err("has a control character, such as a line end, in its value");
    }
    let header = Header { name, value };
    if OURS.iter().any(|ours| header.is(ours)) {
        return Err("cannot be set: Connection, Content-Length and Transfer-Encoding are the program's own");
    }
    if header.is(HOST) && (value.is_empty() || !value.iter().all(u8::is_ascii_graphic)) {
        return Err("names no host, which HTTP/1.1 requires");
    }
    Ok(header)
}
