//! Why an exchange with a server failed, and what that says about the app.

use std::fmt;

use crate::os::sys::{self, Errno};

/// Why there is no good answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Failure {
    /// There is nobody, or there is a bad answer. This is evidence.
    Unready(Fault),
    /// The app is slow or busy, or answers with more than our limits allow. A healthy app may do that, so it says nothing.
    SaysNothing(Doubt),
    /// A failure on our side: no descriptor, port, memory or permission. It says nothing about the app.
    Local(Errno),
}

/// What is wrong with an answer, or shows that there is nobody. In words only where it is shown, so that a result stays small.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    Refused,
    Reset,
    Closed,
    NoSocket,
    NoStreamSocket,
    // HTTP.
    StatusLine,
    Header,
    Length,
    Lengths,
    TransferEncoding,
    Chunk,
    ChunkExcess,
    Trailers,
    Body,
    Location,
    LocationPort,
    LocationScheme,
    Redirects,
    // gRPC, over HTTP/2.
    NotHttp2,
    Frame,
    FrameLength,
    HeaderBlock,
    HeaderBlockInterrupted,
    GoingAway,
    StreamReset,
    DataBeforeHeaders,
    HeadersInStream,
    NoTrailers,
    Message,
    NoStatus,
    /// The HTTP status of an answer that is not gRPC.
    NotGrpc(u32),
    GrpcStatus(u32),
}

/// Why an exchange says nothing about the app.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Doubt {
    Unreachable,
    TimedOut,
    ListenQueue,
    HeadLength,
    ResponseLength,
    CallLength,
    HeaderBlockLength,
    /// RFC 9113 section 8.4 forbids a server to push where we have switched it off, but grpc-go ignores it.
    Push,
    /// RFC 7541 section 4.2 forbids it, but grpc-go accepts it while its table is empty.
    LateTableSize,
    /// A row of the table that we have switched off. A client that keeps a table, as grpc-go does, may be able to read it.
    DynamicRow,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Unready(fault) => fault.fmt(f),
            Failure::SaysNothing(doubt) => doubt.fmt(f),
            Failure::Local(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Refused => "connection refused",
            Fault::Reset => "connection reset",
            Fault::Closed => "connection closed",
            Fault::NoSocket => "no such socket",
            Fault::NoStreamSocket => "not a stream socket",
            Fault::StatusLine => "malformed status line",
            Fault::Header => "malformed header",
            Fault::Length => "malformed Content-Length",
            Fault::Lengths => "conflicting Content-Length",
            Fault::TransferEncoding => "unsupported Transfer-Encoding",
            Fault::Chunk => "malformed chunk",
            Fault::ChunkExcess => "too much chunked encoding for its data",
            Fault::Trailers => "trailers over 4 KiB",
            Fault::Body => "body broken off",
            Fault::Location => "malformed Location",
            Fault::LocationPort => "Location with an invalid port",
            Fault::LocationScheme => "redirect to a scheme that is not http",
            Fault::Redirects => "more than 9 redirects",
            Fault::NotHttp2 => "not HTTP/2: the first frame is not SETTINGS",
            Fault::Frame => "malformed HTTP/2 frame",
            Fault::FrameLength => "HTTP/2 frame over 16 KiB",
            Fault::HeaderBlock => "malformed HTTP/2 headers",
            Fault::HeaderBlockInterrupted => "HTTP/2 headers interrupted",
            Fault::GoingAway => "server is going away",
            Fault::StreamReset => "stream reset",
            Fault::DataBeforeHeaders => "gRPC data before its headers",
            Fault::HeadersInStream => "gRPC headers in mid-stream",
            Fault::NoTrailers => "gRPC call ended without trailers",
            Fault::Message => "malformed gRPC message",
            Fault::NoStatus => "not gRPC, no status",
            Fault::NotGrpc(status) => return write!(f, "not gRPC, HTTP status {status}"),
            Fault::GrpcStatus(status) => return write!(f, "gRPC status {status}"),
        })
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Doubt::Unreachable => "unreachable",
            Doubt::TimedOut => "timed out",
            Doubt::ListenQueue => "listen queue full",
            Doubt::HeadLength => "head over 16 KiB",
            Doubt::ResponseLength => "more than 64 KiB without an end",
            Doubt::CallLength => "more than 64 KiB without an answer",
            Doubt::HeaderBlockLength => "HTTP/2 headers over 16 KiB",
            Doubt::Push => "server push, which was switched off",
            Doubt::LateTableSize => "HPACK table size after a field",
            Doubt::DynamicRow => "HPACK dynamic table, which was switched off",
        })
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Failure {
        Failure::Unready(fault)
    }
}

impl From<Doubt> for Failure {
    fn from(doubt: Doubt) -> Failure {
        Failure::SaysNothing(doubt)
    }
}

impl From<Errno> for Failure {
    /// Only errors that show that there is nobody are evidence. A host that cannot be reached may be well: only the route to it
    /// is missing.
    fn from(error: Errno) -> Failure {
        match error {
            sys::ECONNREFUSED => Fault::Refused.into(),
            sys::ECONNRESET | sys::EPIPE => Fault::Reset.into(),
            // The path leads to nothing, or to a socket of another kind.
            sys::ENOENT | sys::ENOTDIR | sys::ELOOP => Fault::NoSocket.into(),
            sys::EPROTOTYPE => Fault::NoStreamSocket.into(),
            sys::EHOSTUNREACH | sys::ENETUNREACH => Doubt::Unreachable.into(),
            sys::ETIMEDOUT => Doubt::TimedOut.into(),
            _ => Failure::Local(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Most of these no test can bring about.
    #[test]
    fn what_errors_say() {
        let evidence =
            [sys::ECONNREFUSED, sys::ECONNRESET, sys::EPIPE, sys::ENOENT, sys::ENOTDIR, sys::ELOOP, sys::EPROTOTYPE];
        assert!(evidence.iter().all(|&error| matches!(error.into(), Failure::Unready(_))));
        let slow = [sys::EHOSTUNREACH, sys::ENETUNREACH, sys::ETIMEDOUT];
        assert!(slow.iter().all(|&error| matches!(error.into(), Failure::SaysNothing(_))));
        let local =
            [Errno(1), Errno(12), Errno(13), Errno(23), Errno(24), Errno(105), sys::EADDRNOTAVAIL, sys::EAFNOSUPPORT];
        assert!(local.iter().all(|&error| Failure::from(error) == Failure::Local(error)));
    }
}
