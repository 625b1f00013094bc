//! The gRPC health check, over real sockets. What the bytes of an answer mean is tested in `src/grpc/`, and against real
//! gRPC servers in `tests/peers`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;

use drain_sleep::grpc::health::{Call, SERVING};

use crate::support::{each, hold, run, serve};
use crate::verdict::{TIMED_OUT, first_verdict, timeout_for};

// RFC 9113 section 6.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    payload: Vec<u8>,
}

fn read_frame(stream: &mut impl Read) -> Frame {
    let mut head = [0; 9];
    stream.read_exact(&mut head).expect("a frame");
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    stream.read_exact(&mut payload).expect("a whole frame");
    Frame { kind: head[3], flags: head[4], payload }
}

/// Reads all that a call says, and gives the blocks of its frames: SETTINGS, HEADERS, DATA.
fn read_call(stream: &mut impl Read) -> [Frame; 3] {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).expect("a preface");
    assert_eq!(preface, PREFACE);
    [(); 3].map(|()| read_frame(stream))
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags, 0, 0, 0, stream]);
    frame.extend(payload);
    frame
}

/// Each field a literal without indexing and without Huffman's code: RFC 7541 section 6.2.2.
fn headers(flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    let string = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let fields = fields.iter().map(|(name, value)| [vec![0], string(name), string(value)].concat());
    frame(HEADERS, flags | END_HEADERS, 1, &fields.collect::<Vec<_>>().concat())
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");

fn settings() -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[])
}

/// A whole answer: the status of the service, of the call.
fn answer(serving: u8, grpc_status: &str) -> Vec<u8> {
    let message = [0, 0, 0, 0, 2, 8, serving];
    let opening = headers(0, &[(":status", "200"), GRPC]);
    [settings(), opening, frame(DATA, 0, 1, &message), headers(END_STREAM, &[("grpc-status", grpc_status)])].concat()
}

#[test]
fn answers() {
    let trailers_only = |fields: &[(&str, &str)]| [settings(), headers(END_STREAM, fields)].concat();
    let rows = [
        ("SERVING", answer(1, "0"), "ready (SERVING)"),
        ("NOT_SERVING", answer(2, "0"), "unready (NOT_SERVING)"),
        ("UNKNOWN", answer(0, "0"), "unready (UNKNOWN)"),
        ("SERVICE_UNKNOWN", answer(3, "0"), "unready (SERVICE_UNKNOWN)"),
        ("a number without a name", answer(9, "0"), "unready (an unknown status)"),
        ("SERVING, but the call failed", answer(1, "13"), "unready (gRPC status 13)"),
        (
            "no such service",
            trailers_only(&[(":status", "200"), GRPC, ("grpc-status", "5")]),
            "unready (gRPC status 5)",
        ),
        (
            "HTTP/2, not gRPC",
            trailers_only(&[(":status", "404"), ("content-type", "text/html")]),
            "unready (not gRPC, HTTP status 404)",
        ),
        ("a farewell", [settings(), frame(GOAWAY, 0, 0, &[0; 8])].concat(), "unready (server is going away)"),
        ("a reset", [settings(), frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])].concat(), "unready (stream reset)"),
        (
            "HTTP/1",
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            "unready (not HTTP/2: the first frame is not SETTINGS)",
        ),
        ("nothing more", settings(), TIMED_OUT),
        ("no end", settings().repeat(8000), "not known (more than 64 KiB without an answer)"),
        (
            "a push",
            [settings(), frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])].concat(),
            "not known (server push, which was switched off)",
        ),
        (
            "headers over 16 KiB",
            [settings(), frame(HEADERS, 0, 1, &[0x88; 16_384]), frame(CONTINUATION, END_HEADERS, 1, &[0x88])].concat(),
            "not known (HTTP/2 headers over 16 KiB)",
        ),
        (
            "a late HPACK table size",
            [settings(), frame(HEADERS, END_HEADERS, 1, b"\x88\x20")].concat(),
            "not known (HPACK table size after a field)",
        ),
        (
            "a row of an HPACK table that was switched off",
            [settings(), frame(HEADERS, END_HEADERS, 1, b"\x88\xbe")].concat(),
            "not known (HPACK dynamic table, which was switched off)",
        ),
    ];
    each(rows, |(name, bytes, verdict)| {
        let address = serve(move |_, mut stream| {
            read_call(&mut stream);
            let _ = stream.write_all(&bytes);
            hold(&mut stream);
        });
        assert_eq!(first_verdict(&format!("grpc://{address}"), &timeout_for(verdict)), verdict, "{name}");
    });
}

/// What the frames of an answer mean, without a socket. `tests/peers` has the kubelet judge such frames, too.
#[test]
fn frames() {
    let headers_on = |stream: u8, flags: u8| frame(HEADERS, flags, stream, &headers(0, &[GRPC])[9..]);
    let serving = || answer(1, "0")[9..].to_vec();
    let said = |protobuf: &[u8]| {
        let message = [&[0, 0, 0, 0, protobuf.len() as u8], protobuf].concat();
        [headers(0, &[GRPC]), frame(DATA, 0, 1, &message), headers(END_STREAM, &[("grpc-status", "0")])].concat()
    };
    let with_fields = |fields: &[(&str, &str)]| {
        [headers(0, fields), serving()[headers(0, &[(":status", "200"), GRPC]).len()..].to_vec()].concat()
    };
    let block = |length: usize| {
        let mut block = headers(0, &[GRPC])[9..].to_vec();
        while block.len() < length {
            let value = (length - block.len() - 4).min(120);
            block.extend([&[0, 1, b'x', value as u8], &vec![b'y'; value][..]].concat());
        }
        let (first, rest) = block.split_at(block.len().min(16_000));
        let opening = [frame(HEADERS, 0, 1, first), frame(CONTINUATION, END_HEADERS, 1, rest)].concat();
        [opening, said(b"\x08\x01")[headers(0, &[GRPC]).len()..].to_vec()].concat()
    };
    let before = |first: Vec<u8>| [first, serving()].concat();
    for (name, frames, is_serving) in [
        ("a frame of 16 KiB", before(frame(99, 0, 0, &[0; 16_384])), true),
        ("a frame over 16 KiB", before(frame(99, 0, 0, &[0; 16_385])), false),
        ("a call beside it", before(headers_on(3, END_HEADERS)), true),
        ("data of a call beside it", before(frame(DATA, END_STREAM, 3, b"x")), true),
        ("headers of no call", before(headers_on(0, END_HEADERS)), false),
        ("data of no call", before(frame(DATA, 0, 0, b"")), false),
        ("headers interrupted", before([headers_on(1, 0), frame(PING, 0, 0, b"pingpong")].concat()), false),
        (
            "headers continued elsewhere",
            before([headers_on(1, 0), frame(CONTINUATION, END_HEADERS, 3, b"")].concat()),
            false,
        ),
        ("SETTINGS acknowledged", before(frame(SETTINGS, ACK, 0, b"")), true),
        ("SETTINGS acknowledged with a payload", before(frame(SETTINGS, ACK, 0, &[0; 6])), false),
        ("SETTINGS of two", before(frame(SETTINGS, 0, 0, &[0, 9, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0])), true),
        ("SETTINGS of 5 bytes", before(frame(SETTINGS, 0, 0, &[0; 5])), false),
        ("PING on a stream", before(frame(PING, 0, 1, b"pingpong")), false),
        ("a farewell after the call", before(frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0])), true),
        ("a farewell with its first bit set", before(frame(GOAWAY, 0, 0, &[0x80, 0, 0, 1, 0, 0, 0, 0])), true),
        (
            "a farewell before it, with its first bit set",
            before(frame(GOAWAY, 0, 0, &[0x80, 0, 0, 0, 0, 0, 0, 0])),
            false,
        ),
        ("a farewell on a stream", before(frame(GOAWAY, 0, 1, &[0, 0, 0, 1, 0, 0, 0, 0])), false),
        ("a reset of another call", before(frame(RST_STREAM, 0, 3, &[0; 4])), true),
        ("a reset of 3 bytes", before(frame(RST_STREAM, 0, 3, &[0; 3])), false),
        ("a window of 3 bytes", before(frame(8, 0, 0, &[0, 0, 1])), false),
        ("headers of 16 KiB", block(16_384), true),
        ("headers over 16 KiB", block(16_385), false),
        ("status 100", before(headers(0, &[(":status", "100")])), true),
        ("status 199", before(headers(0, &[(":status", "199")])), true),
        ("status 200 twice", before(headers(0, &[(":status", "200"), GRPC])), false),
        ("another pseudo-header", with_fields(&[(":status", "200"), (":path", "/"), GRPC]), false),
        ("a control character", with_fields(&[GRPC, ("x", "a\nb")]), false),
        ("another type, and then the right one", with_fields(&[("content-type", "text/html"), GRPC]), true),
        ("the right type in another field", with_fields(&[("x", "application/grpc")]), false),
        ("unknown fields of all kinds", said(b"\x10\x05\x1a\x03abc\x21\0\0\0\0\0\0\0\0\x2d\0\0\0\0\x08\x01"), true),
        ("a status in a group", said(b"\x13\x08\x01\x14"), false),
        ("another field of the status's kind", said(b"\x08\x01\x10\x02"), true),
        ("a status in more bytes than needed", said(b"\x08\x81\x80\0"), true),
        ("a status in ten bytes", said(b"\x08\x81\x80\x80\x80\x80\x80\x80\x80\x80\x01"), true),
        ("a status over 64 bits", said(b"\x08\x81\x80\x80\x80\x80\x80\x80\x80\x80\x02"), false),
        ("a status in eleven bytes", said(b"\x08\x81\x80\x80\x80\x80\x80\x80\x80\x80\x80\0"), false),
        ("a string longer than the rest", said(b"\x08\x01\x12\x09abc"), false),
    ] {
        let verdict = Call::default().receive(&[settings(), frames].concat(), &mut Vec::new());
        assert_eq!(verdict == Ok(Some(SERVING)), is_serving, "{name}: {verdict:?}");
        assert_ne!(verdict, Ok(None), "{name}");
    }
}

#[test]
fn ended_without_an_answer() {
    let address = serve(|_, mut stream| drop(read_call(&mut stream)));
    let verdict = "unready (connection closed)";
    assert_eq!(first_verdict(&format!("grpc://{address}"), &timeout_for(verdict)), verdict);
}

#[test]
fn what_is_sent() {
    let (send, calls) = channel();
    let address = serve(move |_, mut stream| {
        let _ = send.send(read_call(&mut stream));
        let _ = stream.write_all(&answer(1, "0"));
    });
    for (path, message) in [("", &b"\0\0\0\0\0"[..]), ("/", b"\0\0\0\0\0"), ("/a.B%2fc", b"\0\0\0\0\x07\x0a\x05a.B/c")]
    {
        let url = format!("grpc://{address}{path}");
        let verdict = first_verdict(
            &url,
            // One check only, or a late look at its verdict leaves a second call to be taken for the next row's.
            &[
                "--period=1h",
                "--timeout=60",
                "--header=X-Secret: 1",
                "--header=Host: elsewhere",
                "--get=http://127.0.0.1:1/",
            ],
        );
        assert_eq!(verdict, "ready (SERVING)", "{url}");
        let [settings, headers, data] = calls.recv().unwrap();
        assert_eq!((settings.kind, headers.kind, data.kind), (SETTINGS, HEADERS, DATA));
        assert_eq!((data.flags & END_STREAM, data.payload.as_slice()), (END_STREAM, message), "{url}");
        let block = String::from_utf8_lossy(&headers.payload);
        for text in ["POST", "/grpc.health.v1.Health/Check", &address.to_string(), GRPC.1, "trailers", "drain-sleep/"] {
            assert!(block.contains(text), "{text}: {block:?}");
        }
        assert!(!block.to_lowercase().contains("secret") && !block.contains("elsewhere"), "{block:?}");
    }
}

/// A server may wait for these before it answers.
#[test]
fn settings_and_ping_are_acknowledged() {
    let address = serve(|_, mut stream: TcpStream| {
        read_call(&mut stream);
        let _ = stream.write_all(&[settings(), frame(PING, 0, 0, b"pingpong")].concat());
        let replies = [(); 2].map(|()| read_frame(&mut stream));
        let expected = [(SETTINGS, &b""[..]), (PING, b"pingpong")];
        if replies
            .iter()
            .zip(expected)
            .all(|(r, (kind, payload))| r.kind == kind && r.flags == ACK && r.payload == payload)
        {
            let _ = stream.write_all(&answer(1, "0")[9..]);
        }
        hold(&mut stream);
    });
    assert_eq!(first_verdict(&format!("grpc://{address}"), &["--timeout", "60"]), "ready (SERVING)");
}

#[test]
fn ends_a_drain() {
    let checks = Arc::new(AtomicUsize::new(0));
    let count = checks.clone();
    let address = serve(move |number, mut stream| {
        read_call(&mut stream);
        count.fetch_add(1, Ordering::SeqCst);
        let _ = stream.write_all(&answer(if number == 0 { 1 } else { 2 }, "0"));
        hold(&mut stream);
    });
    let url = format!("grpc://localhost:{}/app", address.port());
    let run = run(&["60", "--until-unready", &url, "--period=10ms", "--min=0", "--timeout=60"]);
    assert!(run.status == 0 && run.says("drained after "), "{run:?}");
    assert!(run.says("is ready (SERVING)") && run.says("is unready (NOT_SERVING)"), "{run:?}");
    assert_eq!(checks.load(Ordering::SeqCst), 4, "{run:?}");
}
