//! HTTP/1 responses, read from bytes as the kubelet's prober reads them: `ReadResponse` of Go's `net/http`, and what it calls.

use crate::net::failure::Failure;
use crate::net::failure::Why::{SaysNothing, Unready};
use crate::text::{decimal, hex, is_token_byte, is_value_byte};

/// How many bytes a response's head may have. The kubelet takes more.
pub const HEAD_MAX: usize = 16 * 1024;
/// How many bytes of a body are read before the status alone decides: `maxRespBodyLength` in `pkg/probe/http/http.go`.
pub const BODY_MAX: u64 = 10 * 1024;
/// How many bytes of a redirect's body are read before it is followed. A longer body is not read: `maxBodySlurpSize` in Go's
/// `net/http/client.go`.
pub const REDIRECT_BODY_MAX: u64 = 2 * 1024;
/// How many bytes the trailers after a chunked body may have: the size of Go's read buffer.
const TRAILER_MAX: usize = 4096;
/// How many bytes a chunk's first line may have, with its line end: the size of Go's read buffer.
const CHUNK_LINE_MAX: usize = 4096;
/// How many bytes of chunked encoding may be more than sixteen for each chunk and two for each byte of data: `chunkedReader` in Go's
/// `net/http/internal/chunked.go`.
const CHUNK_EXCESS_MAX: u64 = 16 * 1024;

const BAD_STATUS_LINE: Failure = Failure::new(&Unready("malformed status line"));
const BAD_HEADER: Failure = Failure::new(&Unready("malformed header"));
const BAD_CHUNK: Failure = Failure::new(&Unready("malformed chunk"));
const LONG_HEAD: Failure = Failure::new(&SaysNothing("head over 16 KiB"));

/// A response's head.
#[derive(Debug, PartialEq)]
pub struct Head {
    pub status: u32,
    pub location: Option<Vec<u8>>,
    framing: Framing,
    /// Where the body begins in the bytes that were read.
    body_at: usize,
}

/// What ends the body: RFC 9112 section 6.3.
#[derive(Debug, PartialEq)]
enum Framing {
    Length(u64),
    Chunked,
    Close,
}

/// Reads the head of the final response from all bytes so far. Returns `None` if more must come.
///
/// # Errors
/// Why this is not a response, or that its head is too long.
pub fn head(bytes: &[u8]) -> Result<Option<Head>, Failure> {
    let mut at = 0;
    loop {
        let Some((status, minor, fields_at)) = status_line(&bytes[at..])? else { return Ok(None) };
        let Some((fields, end)) = fields(&bytes[at + fields_at..], HEAD_MAX - fields_at)? else { return Ok(None) };
        at += fields_at + end;
        let framing = fields.framing(status, minor)?;
        // After an informational response comes the final one. Only 101 is final itself: RFC 9110 section 15.2.
        if !(100..200).contains(&status) || status == 101 {
            return Ok(Some(Head { status, location: fields.location, framing, body_at: at }));
        }
    }
}

impl Head {
    /// Returns true if Content-Length says that the body is longer than this.
    pub fn announces_more_than(&self, limit: u64) -> bool {
        matches!(self.framing, Framing::Length(length) if length > limit)
    }
}

/// Returns true if the body is complete or has `limit` bytes. `bytes` are all that have come; if `ended`, no more will.
///
/// # Errors
/// How the body is broken.
pub fn body(bytes: &[u8], head: &Head, limit: u64, ended: bool) -> Result<bool, Failure> {
    let body = &bytes[head.body_at..];
    let complete = match head.framing {
        Framing::Length(length) => body.len() as u64 >= length.min(limit),
        Framing::Close => ended || body.len() as u64 >= limit,
        Framing::Chunked => chunked(body, limit)?,
    };
    if ended && !complete { Err(Failure::new(&Unready("body broken off"))) } else { Ok(complete) }
}

/// Returns the first line without its LF or CRLF, and its length with it.
fn line(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = bytes.iter().position(|&b| b == b'\n')?;
    let line = &bytes[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), end + 1))
}

/// Removes the spaces and tabs around a text: OWS in RFC 9110 section 5.6.3.
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Reads the status and the minor version, and returns with them where the fields begin.
fn status_line(bytes: &[u8]) -> Result<Option<(u32, u8, usize)>, Failure> {
    const VERSION: &[u8] = b"HTTP/1.";
    let known = bytes.len().min(VERSION.len());
    if bytes[..known] != VERSION[..known] {
        return Err(BAD_STATUS_LINE); // without waiting for a line end, which an HTTP/2 server may never send
    }
    let Some((line, len)) = line(bytes).filter(|&(_, len)| len <= HEAD_MAX) else {
        return if bytes.len() > HEAD_MAX { Err(LONG_HEAD) } else { Ok(None) };
    };
    let Some([minor, b' ', rest @ ..]) = line.strip_prefix(VERSION) else { return Err(BAD_STATUS_LINE) };
    let blanks = rest.iter().take_while(|&&b| b == b' ').count();
    let ([a, b, c] | [a, b, c, b' ', ..]) = &rest[blanks..] else { return Err(BAD_STATUS_LINE) };
    if ![minor, a, b, c].iter().all(|digit| digit.is_ascii_digit()) {
        return Err(BAD_STATUS_LINE);
    }
    let status = [a, b, c].iter().fold(0, |n, &&digit| n * 10 + u32::from(digit - b'0'));
    Ok(Some((status, *minor - b'0', len)))
}

/// The header fields that matter here.
#[derive(Default)]
struct Fields {
    location: Option<Vec<u8>>,
    content_length: Option<Vec<u8>>,
    /// Whether there is exactly one Transfer-Encoding and it is `chunked`; `None` if there is none at all.
    chunked: Option<bool>,
}

/// Reads header fields of at most `limit` bytes, up to the empty line that ends them, and returns with them where that line ends.
fn fields(bytes: &[u8], limit: usize) -> Result<Option<(Fields, usize)>, Failure> {
    let mut fields = Fields::default();
    let mut field: Vec<u8> = Vec::new(); // with its continuation lines
    let mut at = 0;
    loop {
        let Some((text, len)) = line(&bytes[at..]).filter(|&(_, len)| at + len <= limit) else {
            return if bytes.len() > limit { Err(LONG_HEAD) } else { Ok(None) };
        };
        at += len;
        if let [b' ' | b'\t', ..] = text {
            if field.is_empty() {
                return Err(BAD_HEADER);
            }
            field.push(b' ');
        } else {
            if !field.is_empty() {
                fields.apply(&field)?;
                field.clear();
            }
            if text.is_empty() {
                return Ok(Some((fields, at)));
            }
            if !text.contains(&b':') {
                return Err(BAD_HEADER);
            }
        }
        field.extend_from_slice(trim(text));
    }
}

impl Fields {
    fn apply(&mut self, field: &[u8]) -> Result<(), Failure> {
        let colon = field.iter().position(|&b| b == b':').ok_or(BAD_HEADER)?;
        let (name, value) = (&field[..colon], trim(&field[colon + 1..]));
        // Go accepts a name with spaces in it. It is then a field that does not matter here.
        if name.is_empty() || !name.iter().all(|&b| is_token_byte(b) || b == b' ') || !value.iter().all(is_value_byte) {
            return Err(BAD_HEADER);
        }
        if name.eq_ignore_ascii_case(b"location") && self.location.is_none() {
            self.location = Some(value.to_vec());
        } else if name.eq_ignore_ascii_case(b"content-length") {
            if self.content_length.get_or_insert_with(|| value.to_vec()) != value {
                return Err(Failure::new(&Unready("conflicting Content-Length")));
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = Some(self.chunked.is_none() && value.eq_ignore_ascii_case(b"chunked"));
        }
        Ok(())
    }

    /// Returns what ends the body: `readTransfer` in Go's `net/http/transfer.go`.
    fn framing(&self, status: u32, minor: u8) -> Result<Framing, Failure> {
        if self.chunked == Some(false) && minor > 0 {
            return Err(Failure::new(&Unready("unsupported Transfer-Encoding")));
        }
        let length = self.content_length.as_deref().map(|digits| {
            let length = decimal(digits).filter(|&length| i64::try_from(length).is_ok());
            length.ok_or(Failure::new(&Unready("malformed Content-Length")))
        });
        Ok(match length.transpose()? {
            _ if status < 200 || status == 204 || status == 304 => Framing::Length(0),
            _ if self.chunked.is_some() && minor > 0 => Framing::Chunked,
            Some(length) => Framing::Length(length),
            None => Framing::Close,
        })
    }
}

/// Returns true if a chunked body is complete or has `limit` bytes of data: `chunkedReader` in Go's
/// `net/http/internal/chunked.go`.
fn chunked(body: &[u8], limit: u64) -> Result<bool, Failure> {
    let mut rest = body;
    let mut data: u64 = 0;
    let mut excess: u64 = 0;
    loop {
        let Some(end) = rest.iter().take(CHUNK_LINE_MAX).position(|&b| b == b'\n') else {
            return if rest.len() >= CHUNK_LINE_MAX { Err(BAD_CHUNK) } else { Ok(false) };
        };
        let line = rest[..end].strip_suffix(b"\r").filter(|line| !line.contains(&b'\r')).ok_or(BAD_CHUNK)?;
        rest = &rest[end + 1..];
        let size = chunk_size(line)?;
        excess = (excess + line.len() as u64 + 2).saturating_sub(size.saturating_mul(2).saturating_add(16));
        if excess > CHUNK_EXCESS_MAX {
            return Err(Failure::new(&Unready("too much chunked encoding for its data")));
        }
        if size == 0 {
            return trailers(rest);
        }
        data = data.saturating_add(size.min(rest.len() as u64));
        if data >= limit {
            return Ok(true);
        }
        match usize::try_from(size).ok().and_then(|size| rest.split_at_checked(size)) {
            None | Some((_, [] | [b'\r'])) => return Ok(false),
            Some((_, [b'\r', b'\n', after @ ..])) => rest = after,
            Some(_) => return Err(BAD_CHUNK),
        }
    }
}

/// Reads the size of a chunk: at most 16 hexadecimal digits, perhaps followed by extensions. The line may end in spaces and tabs.
fn chunk_size(mut line: &[u8]) -> Result<u64, Failure> {
    while let [rest @ .., b' ' | b'\t'] = line {
        line = rest;
    }
    let digits = line.split(|&b| b == b';').next().unwrap_or_default();
    if digits.is_empty() || digits.len() > 16 {
        return Err(BAD_CHUNK);
    }
    digits.iter().try_fold(0, |size, &digit| Ok(size << 4 | u64::from(hex(digit).ok_or(BAD_CHUNK)?)))
}

/// Returns true if the trailers after the last chunk are complete.
fn trailers(rest: &[u8]) -> Result<bool, Failure> {
    if rest.starts_with(b"\r\n") {
        return Ok(true);
    }
    let window = &rest[..rest.len().min(TRAILER_MAX)];
    if rest.len() < 2 || !window.windows(4).any(|w| w == b"\r\n\r\n") {
        return if rest.len() > TRAILER_MAX { Err(Failure::new(&Unready("trailers over 4 KiB"))) } else { Ok(false) };
    }
    fields(rest, TRAILER_MAX).map(|trailers| trailers.is_some())
}
