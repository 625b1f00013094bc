//! One gRPC health check over cleartext HTTP/2, and no more of either protocol than this call needs. An answer counts as the
//! kubelet's client counts it: grpc-go, `internal/transport/http2_client.go`.
//!
//! HTTP/2 is RFC 9113; gRPC over it is `doc/PROTOCOL-HTTP2.md` in the grpc repository; the service is `grpc.health.v1`.

use super::hpack::{self, BAD_HEADERS};
use crate::net::failure::Why::{Busy, SaysNothing, Status, Unready};
use crate::net::failure::{BUSY, Failure};
use crate::text::{USER_AGENT, is_value_byte, signed};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Frame types and flags: RFC 9113 section 6.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

// Statuses of a call: `doc/statuscodes.md` in the grpc repository. A missing one counts as UNKNOWN, as in grpc-go.
const OK: u32 = 0;
const UNKNOWN: u32 = 2;
const DEADLINE_EXCEEDED: u32 = 4;
const RESOURCE_EXHAUSTED: u32 = 8;

const FRAME_HEAD: usize = 9;
/// Bytes before a gRPC message: one says whether it is compressed, four give its length.
const PREFIX: usize = 5;
/// The longest payload that a server may send: the default of SETTINGS_MAX_FRAME_SIZE, RFC 9113 section 6.5.2.
const FRAME_MAX: usize = 16 * 1024;
/// The longest header block that is read, in bytes as sent.
const BLOCK_MAX: usize = 16 * 1024;
/// The stream of the one call.
const CALL: u32 = 1;

const BAD_FRAME: Failure = Failure::new(&Unready("malformed HTTP/2 frame"));

/// SETTINGS_HEADER_TABLE_SIZE 0 and SETTINGS_ENABLE_PUSH 0.
const OUR_SETTINGS: [u8; 12] = [0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0];

/// The fields of the request, `:authority` aside.
static FIELDS: [(&str, &str); 6] = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/grpc.health.v1.Health/Check"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
    ("user-agent", USER_AGENT),
];

/// Returns all that the client sends unasked: the preface, and the call `Check(service)`.
pub fn request(authority: &[u8], service: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    hpack::encode(&mut block, ":authority", authority);
    for (name, value) in &FIELDS {
        hpack::encode(&mut block, name, value.as_bytes());
    }
    let mut out = PREFACE.to_vec();
    frame(&mut out, SETTINGS, 0, 0, &OUR_SETTINGS);
    frame(&mut out, HEADERS, END_HEADERS, CALL, &block);
    frame(&mut out, DATA, END_STREAM, CALL, &message(service));
    out
}

/// Encodes `HealthCheckRequest { string service = 1; }`, not compressed, with the gRPC prefix.
fn message(service: &[u8]) -> Vec<u8> {
    let mut protobuf = Vec::new();
    if !service.is_empty() {
        protobuf.push(1 << 3 | 2); // field 1, length-delimited
        hpack::varint(&mut protobuf, service.len());
        protobuf.extend_from_slice(service);
    }
    [&[0], &(protobuf.len() as u32).to_be_bytes()[..], &protobuf].concat()
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Returns the name of a `HealthCheckResponse.ServingStatus`.
pub fn serving_status(status: i32) -> &'static str {
    match status {
        0 => "UNKNOWN",
        SERVING => "SERVING",
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "an unknown status",
    }
}
pub const SERVING: i32 = 1;

/// The state of the one call, as far as the bytes so far tell.
#[derive(Default)]
pub struct Call {
    /// Bytes that are not a whole frame yet.
    pending: Vec<u8>,
    /// The server has sent SETTINGS, which must come first.
    settled: bool,
    /// A header block that is not complete, and the flags of its HEADERS frame.
    block: Option<(Vec<u8>, u8)>,
    /// The headers of the answer have come.
    answered: bool,
    message: Vec<u8>,
}

/// The fields of one header block that matter here.
#[derive(Default)]
struct Fields {
    status: Option<u32>,
    is_grpc: bool,
    grpc_status: Option<u32>,
}

impl Call {
    /// Takes in bytes, and appends to `replies` what must be sent back. Returns the status once the call has ended well.
    ///
    /// # Errors
    /// Why the call has failed.
    pub fn receive(&mut self, bytes: &[u8], replies: &mut Vec<u8>) -> Result<Option<i32>, Failure> {
        self.pending.extend_from_slice(bytes);
        let pending = std::mem::take(&mut self.pending);
        let mut rest = pending.as_slice();
        while let Some((&[l0, l1, l2, kind, flags, s0, s1, s2, s3], after)) = rest.split_first_chunk::<FRAME_HEAD>() {
            let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
            // The first frame tells HTTP/2 from other protocols, such as an HTTP/1 answer.
            if !self.settled && kind != SETTINGS {
                return Err(Failure::new(&Unready("not HTTP/2: the first frame is not SETTINGS")));
            }
            if length > FRAME_MAX {
                return Err(Failure::new(&Unready("HTTP/2 frame over 16 KiB")));
            }
            let Some((payload, after)) = after.split_at_checked(length) else { break };
            rest = after;
            let stream = u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]);
            if let Some(status) = self.frame(kind, flags, stream, payload, replies)? {
                return Ok(Some(status));
            }
        }
        self.pending = rest.to_vec();
        Ok(None)
    }

    fn frame(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
        replies: &mut Vec<u8>,
    ) -> Result<Option<i32>, Failure> {
        if self.block.is_some() && (kind != CONTINUATION || stream != CALL) {
            return Err(Failure::new(&Unready("HTTP/2 headers interrupted")));
        }
        match kind {
            SETTINGS if stream != 0 || !payload.len().is_multiple_of(6) || flags & ACK != 0 && !payload.is_empty() => {
                return Err(BAD_FRAME);
            }
            SETTINGS => {
                self.settled = true;
                if flags & ACK == 0 {
                    frame(replies, SETTINGS, ACK, 0, &[]);
                }
            }
            PING if stream != 0 || payload.len() != 8 => return Err(BAD_FRAME),
            PING if flags & ACK == 0 => frame(replies, PING, ACK, 0, payload),
            GOAWAY if stream != 0 || payload.len() < 8 => return Err(BAD_FRAME),
            // A server that shuts down still answers the streams up to the one that it names: RFC 9113 section 6.8.
            GOAWAY if u32::from_be_bytes([payload[0] & 0x7f, payload[1], payload[2], payload[3]]) < CALL => {
                return Err(Failure::new(&Unready("server is going away")));
            }
            RST_STREAM if stream == 0 || payload.len() != 4 => return Err(BAD_FRAME),
            RST_STREAM if stream == CALL => return Err(Failure::new(&Unready("stream reset"))),
            WINDOW_UPDATE if payload.len() != 4 || payload.iter().all(|&b| b == 0) => return Err(BAD_FRAME),
            // RFC 9113 section 8.4 forbids it, but grpc-go ignores it.
            PUSH_PROMISE => return Err(Failure::new(&SaysNothing("server push, which was switched off"))),
            DATA | HEADERS | CONTINUATION if stream == 0 => return Err(BAD_FRAME),
            DATA if stream == CALL => {
                if !self.answered {
                    return Err(Failure::new(&Unready("gRPC data before its headers")));
                }
                self.message.extend_from_slice(unpadded(flags, payload).ok_or(BAD_FRAME)?);
                if flags & END_STREAM != 0 {
                    return Err(Failure::new(&Unready("gRPC call ended without trailers")));
                }
            }
            HEADERS if stream == CALL => {
                let payload = unpadded(flags, payload).ok_or(BAD_FRAME)?;
                let skipped = if flags & PRIORITY != 0 { 5 } else { 0 };
                self.block = Some((payload.get(skipped..).ok_or(BAD_FRAME)?.to_vec(), flags));
                return self.block_part(flags);
            }
            CONTINUATION => {
                let (block, _) = self.block.as_mut().ok_or(BAD_FRAME)?;
                block.extend_from_slice(payload);
                return self.block_part(flags);
            }
            _ => {} // unknown frames are ignored, RFC 9113 section 5.5, and so are frames of other streams
        }
        Ok(None)
    }

    /// Takes in that a part of a header block has come. `flags` are those of its frame.
    fn block_part(&mut self, flags: u8) -> Result<Option<i32>, Failure> {
        if self.block.as_ref().is_some_and(|(block, _)| block.len() > BLOCK_MAX) {
            return Err(Failure::new(&SaysNothing("HTTP/2 headers over 16 KiB")));
        }
        if flags & END_HEADERS == 0 {
            return Ok(None);
        }
        let Some((block, first_flags)) = self.block.take() else { return Ok(None) };
        let ends = first_flags & END_STREAM != 0;
        let fields = fields(&block)?;
        // Informational headers may come before those of the answer: RFC 9113 section 8.1.
        if fields.status.is_some_and(|status| (100..200).contains(&status)) {
            return if ends { Err(BAD_HEADERS) } else { Ok(None) };
        }
        if !self.answered && !fields.is_grpc {
            return Err(match fields.status {
                Some(status) if BUSY.contains(&status) => Failure::status(&Busy("not gRPC, HTTP status"), status),
                Some(status) => Failure::status(&Status("not gRPC, HTTP status"), status),
                None => Failure::new(&Unready("not gRPC, no status")),
            });
        }
        if !ends && self.answered {
            return Err(Failure::new(&Unready("gRPC headers in mid-stream")));
        }
        if !ends {
            self.answered = true;
            return Ok(None);
        }
        match fields.grpc_status.unwrap_or(UNKNOWN) {
            OK => response(&self.message).map(Some).ok_or(Failure::new(&Unready("malformed gRPC message"))),
            status @ (DEADLINE_EXCEEDED | RESOURCE_EXHAUSTED) => Err(Failure::status(&Busy("gRPC status"), status)),
            status => Err(Failure::status(&Status("gRPC status"), status)),
        }
    }
}

/// Removes the padding of a DATA or HEADERS frame: RFC 9113 section 6.1. Returns `None` if it is longer than the frame.
fn unpadded(flags: u8, payload: &[u8]) -> Option<&[u8]> {
    if flags & PADDED == 0 {
        return Some(payload);
    }
    let (&padding, rest) = payload.split_first()?;
    rest.get(..rest.len().checked_sub(padding.into())?)
}

fn fields(block: &[u8]) -> Result<Fields, Failure> {
    let mut fields = Fields::default();
    let mut regular = false;
    hpack::decode(block, &mut |name, value| {
        let pseudo = name.starts_with(b":");
        if pseudo && (regular || name != b":status" || fields.status.is_some()) {
            return Err(BAD_HEADERS);
        }
        regular |= !pseudo;
        if !value.iter().all(is_value_byte) {
            return Err(BAD_HEADERS);
        }
        if name == b":status" {
            fields.status = Some(signed(value).unwrap_or_default() as u32);
        } else if name == b"grpc-status" {
            fields.grpc_status = Some(signed(value).ok_or(BAD_HEADERS)? as u32);
        } else if name == b"content-type" {
            let rest = value.strip_prefix(b"application/grpc");
            fields.is_grpc |= matches!(rest, Some([] | [b'+' | b';', ..]));
        }
        Ok(())
    })?;
    Ok(fields)
}

/// Reads the status in the one message of a call: `HealthCheckResponse { ServingStatus status = 1; }`.
fn response(message: &[u8]) -> Option<i32> {
    let (prefix, rest) = message.split_first_chunk::<PREFIX>()?;
    let [compressed, length @ ..] = *prefix;
    let (mut message, after) = rest.split_at_checked(u32::from_be_bytes(length) as usize)?;
    // grpc-go does not notice bytes after the message that are too few to begin another one.
    if compressed != 0 || after.len() >= PREFIX {
        return None;
    }
    let mut status = 0;
    let mut groups = Vec::new();
    while !message.is_empty() {
        // A key of field number and wire type, then the value: protobuf.dev/programming-guides/encoding. Skips other fields.
        let key = varint(&mut message)?;
        let field = key >> 3;
        if !(1..1 << 29).contains(&field) {
            return None;
        }
        let skipped = match key & 7 {
            0 => {
                let value = varint(&mut message)?;
                if field == 1 && groups.is_empty() {
                    status = value as i32;
                }
                0
            }
            1 => 8,
            2 => varint(&mut message)?,
            3 => {
                groups.push(field);
                0
            }
            4 if groups.pop() == Some(field) => 0,
            5 => 4,
            _ => return None,
        };
        message = message.get(usize::try_from(skipped).ok()?..)?;
    }
    groups.is_empty().then_some(status)
}

/// Reads seven bits from each byte, the lowest first.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        // The tenth byte holds only the 64th bit.
        if shift == 63 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::url::SERVICE_MAX;

    fn framed(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        frame(&mut out, kind, flags, stream, payload);
        out
    }

    #[test]
    fn replies() {
        let mut replies = Vec::new();
        let ping = framed(PING, 0, 0, b"12345678");
        let acks = [framed(SETTINGS, ACK, 0, &[]), framed(PING, ACK, 0, b"12345678")].concat();
        let quiet = [framed(SETTINGS, ACK, 0, &[]), framed(PING, ACK, 0, b"12345678")].concat();
        Call::default().receive(&[framed(SETTINGS, 0, 0, &[]), ping, quiet].concat(), &mut replies).unwrap();
        assert_eq!(replies, acks);
    }

    #[test]
    fn requests() {
        assert_eq!(message(b""), b"\0\0\0\0\0");
        assert_eq!(message(b"a.B"), b"\0\0\0\0\x05\x0a\x03a.B");
        let long = message(&[b'x'; 300]);
        assert_eq!(long[..8], *b"\0\0\0\x01\x2f\x0a\xac\x02");
        assert!(request(b"localhost:9", &[b'x'; SERVICE_MAX]).len() < FRAME_MAX);
    }
}
