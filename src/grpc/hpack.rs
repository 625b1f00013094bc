//! HPACK (RFC 7541) without a dynamic table. The client announces a table of size 0, so every index is a row of the static
//! table, and a header block cannot unpack to much more than its size.

use crate::net::failure::Failure;
use crate::net::failure::Why::{SaysNothing, Unready};
use crate::text::is_token_byte;

/// A header block is malformed.
pub(super) const BAD_HEADERS: Failure = Failure::new(&Unready("malformed HTTP/2 headers"));

/// A function that gets each name and value.
type Field<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<(), Failure>;

/// Calls `field` with each name and value of a header block.
///
/// # Errors
/// [`BAD_HEADERS`], a use of the dynamic table, or an error that `field` returns.
pub fn decode(mut block: &[u8], field: Field) -> Result<(), Failure> {
    let mut fields_begun = false;
    while let &[first, ..] = block {
        // The first bits say how the field is written: RFC 7541 section 6.
        match first {
            0x80.. => {
                let (name, value) = static_row(integer(&mut block, 7)?)?;
                field(name, value)?;
            }
            0x40.. => literal(&mut block, 6, field)?,
            0x20.. => {
                let size = integer(&mut block, 5)?;
                if size > DEFAULT_TABLE_SIZE {
                    return Err(BAD_HEADERS);
                }
                if fields_begun {
                    // RFC 7541 section 4.2 forbids it, but grpc-go accepts it while its table is empty.
                    return Err(Failure::new(&SaysNothing("HPACK table size after a field")));
                }
                continue;
            }
            _ => literal(&mut block, 4, field)?,
        }
        fields_begun = true;
    }
    Ok(())
}

/// The size of the table before SETTINGS change it, in bytes: RFC 9113 section 6.5.2.
const DEFAULT_TABLE_SIZE: usize = 4096;

/// Returns a row of the static table, RFC 7541 appendix A. Rows that do not matter in a response have a placeholder for a name.
fn static_row(index: usize) -> Result<(&'static [u8], &'static [u8]), Failure> {
    Ok(match index {
        1..=7 => (b":request", b""),
        8 => (b":status", b"200"),
        9 => (b":status", b"204"),
        10 => (b":status", b"206"),
        11 => (b":status", b"304"),
        12 => (b":status", b"400"),
        13 => (b":status", b"404"),
        14 => (b":status", b"500"),
        31 => (b"content-type", b""),
        15..=61 => (b"other", b""),
        0 => return Err(BAD_HEADERS),
        // A row of the table that we have switched off. A client that keeps a table, as grpc-go does, may be able to read it.
        _ => return Err(Failure::new(&SaysNothing("HPACK dynamic table, which was switched off"))),
    })
}

/// Reads a name, by its index or as a string, and a value: RFC 7541 section 6.2.
fn literal(block: &mut &[u8], prefix: u32, field: Field) -> Result<(), Failure> {
    let name_string;
    let name = match integer(block, prefix)? {
        0 => {
            name_string = string(block)?;
            &name_string
        }
        index => static_row(index)?.0,
    };
    // Lower case, and no control characters or spaces: RFC 9113 section 8.2.1.
    let letters = name.strip_prefix(b":").unwrap_or(name);
    if letters.is_empty() || !letters.iter().all(|&b| is_token_byte(b) && !b.is_ascii_uppercase()) {
        return Err(BAD_HEADERS);
    }
    field(name, &string(block)?)
}

/// Reads an integer: RFC 7541 section 5.1. It may have as many bytes as Go takes, zeros at its end included.
/// An integer too large for a `usize` counts as the largest, because no index or length is that large.
fn integer(block: &mut &[u8], prefix: u32) -> Result<usize, Failure> {
    let limit = (1 << prefix) - 1;
    let mut value = u64::from(next(block)?) & limit;
    if value == limit {
        let mut shift = 0;
        loop {
            let byte = next(block)?;
            value += u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
            if shift >= 63 {
                return Err(BAD_HEADERS);
            }
        }
    }
    Ok(value.try_into().unwrap_or(usize::MAX))
}

fn next(block: &mut &[u8]) -> Result<u8, Failure> {
    let (&byte, rest) = block.split_first().ok_or(BAD_HEADERS)?;
    *block = rest;
    Ok(byte)
}

/// Reads a string: RFC 7541 section 5.2.
fn string(block: &mut &[u8]) -> Result<Vec<u8>, Failure> {
    let huffman = block.first().is_some_and(|first| first & 0x80 != 0);
    let length = integer(block, 7)?;
    let (text, rest) = block.split_at_checked(length).ok_or(BAD_HEADERS)?;
    *block = rest;
    if huffman { huffman_decode(text) } else { Ok(text.to_vec()) }
}

/// The length in bits of each symbol's code: RFC 7541 appendix B. The last symbol is the end of a string. The code is canonical:
/// codes rise with their length and then with their symbol, and follow from the lengths alone.
#[rustfmt::skip]
static CODE_LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];
const LONGEST_CODE: usize = 30;

fn huffman_decode(text: &[u8]) -> Result<Vec<u8>, Failure> {
    // For each length, how many codes have it.
    let mut counts = [0; LONGEST_CODE + 1];
    for length in &CODE_LENGTHS {
        counts[usize::from(*length)] += 1;
    }
    let mut out = Vec::new();
    // The code so far, and the first code of its length. In a canonical code the n-th code of a length is the first plus n.
    let (mut code, mut first, mut length) = (0_u32, 0, 0);
    for at in 0..text.len() * 8 {
        let bit = text[at / 8] >> (7 - at % 8) & 1;
        length += 1;
        code = code << 1 | u32::from(bit);
        first <<= 1;
        let count = *counts.get(length).ok_or(BAD_HEADERS)?;
        if code < first + count {
            let same_length = |symbol: &usize| usize::from(CODE_LENGTHS[*symbol]) == length;
            let symbol = (0..CODE_LENGTHS.len()).filter(same_length).nth((code - first) as usize);
            out.push(symbol.and_then(|symbol| symbol.try_into().ok()).ok_or(BAD_HEADERS)?);
            (code, first, length) = (0, 0, 0);
        } else {
            first += count;
        }
    }
    // The rest is padding: fewer than eight bits, all of them ones.
    if length < 8 && code == (1 << length) - 1 { Ok(out) } else { Err(BAD_HEADERS) }
}

/// Appends a field as two strings, which are not Huffman-coded and enter no table.
pub fn encode(block: &mut Vec<u8>, name: &str, value: &[u8]) {
    block.push(0);
    for text in [name.as_bytes(), value] {
        encode_length(block, text.len());
        block.extend_from_slice(text);
    }
}

fn encode_length(block: &mut Vec<u8>, length: usize) {
    const PREFIX_MAX: usize = 0x7f;
    if length < PREFIX_MAX {
        block.push(length as u8);
        return;
    }
    block.push(PREFIX_MAX as u8);
    varint(block, length - PREFIX_MAX);
}

/// Appends an integer, seven bits a byte, the lowest first: RFC 7541 section 5.1, and also Protocol Buffers.
pub fn varint(out: &mut Vec<u8>, mut value: usize) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(block: &[u8]) -> Result<Vec<(String, String)>, Failure> {
        let mut fields = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        decode(block, &mut |name, value| {
            fields.push((text(name), text(value)));
            Ok(())
        })?;
        Ok(fields)
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn strings() {
        // RFC 7541 appendix C: examples of Huffman-coded strings.
        for (hex, text) in [
            ("f1e3c2e5f23a6ba0ab90f4ff", "www.example.com"),
            ("a8eb10649cbf", "no-cache"),
            ("25a849e95bb8e8b4bf", "custom-value"),
            ("d07abe941054d444a8200595040b8166e082a62d1bff", "Mon, 21 Oct 2013 20:13:21 GMT"),
            ("640eff", "307"),
            ("6402", "302"),
            ("", ""),
        ] {
            assert_eq!(
                huffman_decode(&bytes(hex)).map(|t| String::from_utf8(t).unwrap()),
                Ok(text.to_string()),
                "{hex}"
            );
        }
        for hex in ["ff", "a8eb10649cbfff", "00", "fffffffc", "3fffffff", "ffffffff", "a8eb10649cbe"] {
            assert_eq!(huffman_decode(&bytes(hex)), Err(BAD_HEADERS), "{hex}");
        }
    }

    #[test]
    fn representations() {
        let pair = |name: &str, value: &str| (name.to_string(), value.to_string());
        // Indexed; literals with, without and never an index; table sizes; a name by index.
        assert_eq!(fields(b"\x88"), Ok(vec![pair(":status", "200")]));
        assert_eq!(
            fields(b"\x40\x01a\x01b\x00\x01c\x01d\x10\x01e\x00"),
            Ok(vec![pair("a", "b"), pair("c", "d"), pair("e", "")])
        );
        assert_eq!(fields(b"\x20\x3f\xe1\x1f\x5f\x01x"), Ok(vec![pair("content-type", "x")]));
        let mut own = Vec::new();
        let long = "x".repeat(300);
        encode(&mut own, "name", long.as_bytes());
        assert_eq!(fields(&own), Ok(vec![pair("name", &long)]));
        for block in [
            &b"\x80"[..],
            b"\xff",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x40",
            b"\x40\x01",
            b"\x40\x01A\x00",
            b"\x40\x00\x00",
            b"\x40\x01 \x00",
            b"\x40\x02a",
            b"\x3f\xe2\x1f",
            b"\x40\x01a\x7f\xff\xff\xff\xff\xff",
        ] {
            assert_eq!(fields(block), Err(BAD_HEADERS), "{}", block.escape_ascii());
        }
        assert_eq!(fields(b"\x88\x20"), Err(Failure::new(&SaysNothing("HPACK table size after a field"))));
        for block in [&b"\xbe"[..], b"\x7f\x00\x00", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"] {
            assert_eq!(
                fields(block),
                Err(Failure::new(&SaysNothing("HPACK dynamic table, which was switched off"))),
                "{}",
                block.escape_ascii()
            );
        }
    }
}
