//! One gRPC health check over cleartext HTTP/2, written for just this exchange: bytes in, answer out; no socket. What
//! counts as healthy is what the kubelet's client, grpc-go, makes of it (`internal/transport/http2_client.go` there).
//!
//! HTTP/2 is RFC 9113; gRPC over it is `doc/PROTOCOL-HTTP2.md` in the grpc repository; the service is `grpc.health.v1`.

use crate::hpack::{self, MALFORMED};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const USER_AGENT: &str = concat!("drain-sleep/", env!("CARGO_PKG_VERSION"));

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

const FRAME_HEAD: usize = 9;
/// The largest payload a peer may send: SETTINGS_MAX_FRAME_SIZE, which we leave as it is.
const FRAME_MAX: usize = 16 * 1024;
/// The largest header block that is read, as sent.
const BLOCK_MAX: usize = 16 * 1024;
/// The stream of the one call.
const CALL: u32 = 1;

/// SETTINGS_HEADER_TABLE_SIZE 0 and SETTINGS_ENABLE_PUSH 0.
const OUR_SETTINGS: [u8; 12] = [0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0];

/// The longest SERVICE, which keeps the request within one frame and the peer's first window.
pub const SERVICE_MAX: usize = 8 * 1024;

/// All that the client says of itself: the preface, and the call `Check(service)`.
pub fn request(authority: &str, service: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/grpc.health.v1.Health/Check"),
        (":authority", authority),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("user-agent", USER_AGENT),
    ] {
        hpack::encode(&mut block, name, value.as_bytes());
    }
    let mut out = PREFACE.to_vec();
    frame(&mut out, SETTINGS, 0, 0, &OUR_SETTINGS);
    frame(&mut out, HEADERS, END_HEADERS, CALL, &block);
    frame(&mut out, DATA, END_STREAM, CALL, &message(service));
    out
}

/// `HealthCheckRequest { string service = 1; }`, with the gRPC prefix: not compressed, and a length.
fn message(service: &[u8]) -> Vec<u8> {
    let mut protobuf = Vec::new();
    if !service.is_empty() {
        protobuf.push(1 << 3 | 2); // field 1, length-delimited
        let mut length = service.len();
        while length > 0x7f {
            protobuf.push(length as u8 | 0x80);
            length >>= 7;
        }
        protobuf.push(length as u8);
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

/// The status that a server gave: `HealthCheckResponse.ServingStatus`, or one of its number.
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

/// One call, from the bytes that come back.
#[derive(Default)]
pub struct Call {
    /// What has come and is no whole frame yet.
    pending: Vec<u8>,
    settled: bool,
    /// A header block that goes on, and the flags of its HEADERS frame.
    block: Option<(Vec<u8>, u8)>,
    answered: bool,
    message: Vec<u8>,
}

/// What the fields of one header block say that matters here.
#[derive(Default)]
struct Fields {
    status: Option<u32>,
    is_grpc: bool,
    grpc_status: Option<i32>,
}

impl Call {
    /// Takes in bytes, and puts into `replies` what must be sent back. The status is there once the call has ended well.
    ///
    /// # Errors
    /// In words, why the call has failed.
    pub fn receive(&mut self, bytes: &[u8], replies: &mut Vec<u8>) -> Result<Option<i32>, String> {
        self.pending.extend_from_slice(bytes);
        let pending = std::mem::take(&mut self.pending);
        let mut rest = pending.as_slice();
        while let Some((&[l0, l1, l2, kind, flags, s0, s1, s2, s3], after)) = rest.split_first_chunk::<FRAME_HEAD>() {
            let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
            // What is no HTTP/2 at all, such as an HTTP/1 answer, is told by its first bytes.
            if !self.settled && kind != SETTINGS {
                return Err("no HTTP/2: the first frame is not SETTINGS".to_string());
            }
            if length > FRAME_MAX {
                return Err("HTTP/2 frame over 16 KiB".to_string());
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
    ) -> Result<Option<i32>, String> {
        const BAD_FRAME: &str = "malformed HTTP/2 frame";
        if self.block.is_some() && (kind != CONTINUATION || stream != CALL) {
            return Err("HTTP/2 headers interrupted".to_string());
        }
        match kind {
            SETTINGS if stream != 0 || !payload.len().is_multiple_of(6) || flags & ACK != 0 && !payload.is_empty() => {
                return Err(BAD_FRAME.to_string());
            }
            SETTINGS => {
                self.settled = true;
                if flags & ACK == 0 {
                    frame(replies, SETTINGS, ACK, 0, &[]);
                }
            }
            PING if stream != 0 || payload.len() != 8 => return Err(BAD_FRAME.to_string()),
            PING if flags & ACK == 0 => frame(replies, PING, ACK, 0, payload),
            GOAWAY if stream != 0 || payload.len() < 8 => return Err(BAD_FRAME.to_string()),
            // A server that is shutting down still answers the streams up to the one that it names.
            GOAWAY if u32::from_be_bytes([payload[0] & 0x7f, payload[1], payload[2], payload[3]]) < CALL => {
                return Err("server is going away".to_string());
            }
            RST_STREAM if stream == 0 || payload.len() != 4 => return Err(BAD_FRAME.to_string()),
            RST_STREAM if stream == CALL => return Err("stream reset".to_string()),
            WINDOW_UPDATE if payload.len() != 4 || payload.iter().all(|&b| b == 0) => return Err(BAD_FRAME.to_string()),
            PUSH_PROMISE => return Err("server push, which was switched off".to_string()),
            DATA | HEADERS | CONTINUATION if stream == 0 => return Err(BAD_FRAME.to_string()),
            DATA if stream == CALL => {
                if !self.answered {
                    return Err("gRPC data before its headers".to_string());
                }
                self.message.extend_from_slice(unpadded(flags, payload).ok_or(BAD_FRAME)?);
                if flags & END_STREAM != 0 {
                    return Err("gRPC call ended without trailers".to_string());
                }
            }
            HEADERS if stream == CALL => {
                let payload = unpadded(flags, payload).ok_or(BAD_FRAME)?;
                let skipped = if flags & PRIORITY != 0 { 5 } else { 0 };
                self.block = Some((payload.get(skipped..).ok_or(BAD_FRAME)?.to_vec(), flags));
                return self.block_goes_on(flags);
            }
            CONTINUATION => {
                let (block, _) = self.block.as_mut().ok_or(BAD_FRAME)?;
                block.extend_from_slice(payload);
                return self.block_goes_on(flags);
            }
            _ => {} // RFC 9113 section 5.5: what is not known is ignored, and so are streams of no concern here
        }
        Ok(None)
    }

    fn block_goes_on(&mut self, flags: u8) -> Result<Option<i32>, String> {
        if self.block.as_ref().is_some_and(|(block, _)| block.len() > BLOCK_MAX) {
            return Err("HTTP/2 headers over 16 KiB".to_string());
        }
        if flags & END_HEADERS == 0 {
            return Ok(None);
        }
        let Some((block, first_flags)) = self.block.take() else { return Ok(None) };
        let ends = first_flags & END_STREAM != 0;
        let fields = fields(&block)?;
        // Informational headers come before the answer's.
        if fields.status.is_some_and(|status| (100..200).contains(&status)) {
            return if ends { Err(MALFORMED.to_string()) } else { Ok(None) };
        }
        if !self.answered && !fields.is_grpc {
            let status = fields.status.map_or("no status".to_string(), |status| format!("HTTP status {status}"));
            return Err(format!("not gRPC, {status}"));
        }
        match (self.answered, ends) {
            (false, false) => self.answered = true,
            (true, false) => return Err("gRPC headers in mid-stream".to_string()),
            (_, true) => {
                // grpc-go takes a status that is missing for 2, UNKNOWN.
                let grpc_status = fields.grpc_status.unwrap_or(2);
                if grpc_status != 0 {
                    return Err(format!("gRPC status {grpc_status}"));
                }
                return response(&self.message).map(Some).ok_or_else(|| "malformed gRPC message".to_string());
            }
        }
        Ok(None)
    }
}

/// Without the padding: RFC 9113 section 6.1.
fn unpadded(flags: u8, payload: &[u8]) -> Option<&[u8]> {
    if flags & PADDED == 0 {
        return Some(payload);
    }
    let (&padding, rest) = payload.split_first()?;
    rest.get(..rest.len().checked_sub(padding.into())?)
}

fn fields(block: &[u8]) -> Result<Fields, &'static str> {
    let mut fields = Fields::default();
    let mut regular = false;
    hpack::decode(block, |name, value| {
        let pseudo = name.starts_with(b":");
        if pseudo && (regular || name != b":status" || fields.status.is_some()) {
            return Err(MALFORMED);
        }
        regular |= !pseudo;
        if !value.iter().all(crate::http1::is_value_byte) {
            return Err(MALFORMED);
        }
        let text = str::from_utf8(value).unwrap_or_default();
        match name {
            b":status" => fields.status = Some(text.parse().map_err(|_| MALFORMED)?),
            b"grpc-status" => fields.grpc_status = Some(text.parse().map_err(|_| MALFORMED)?),
            b"content-type" => {
                let rest = text.strip_prefix("application/grpc");
                fields.is_grpc |= rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']));
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(fields)
}

/// The status in the one message of a call: `HealthCheckResponse { ServingStatus status = 1; }`.
fn response(message: &[u8]) -> Option<i32> {
    let (prefix, mut rest) = message.split_first_chunk::<5>()?;
    let [compressed, length @ ..] = *prefix;
    if compressed != 0 || u32::from_be_bytes(length) as usize != rest.len() {
        return None;
    }
    let mut status = 0;
    while !rest.is_empty() {
        // Protocol Buffers' encoding: a key of field number and wire type, then the value. Unknown fields are skipped.
        let key = varint(&mut rest)?;
        if !(1..1 << 29).contains(&(key >> 3)) {
            return None;
        }
        let skipped = match key & 7 {
            0 => {
                let value = varint(&mut rest)?;
                if key >> 3 == 1 {
                    status = value as i32;
                }
                0
            }
            1 => 8,
            2 => varint(&mut rest)?,
            5 => 4,
            _ => return None,
        };
        rest = rest.get(usize::try_from(skipped).ok()?..)?;
    }
    Some(status)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        // The tenth byte holds the 64th bit, and no more.
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
