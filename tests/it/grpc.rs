//! The gRPC health check, over real sockets. A table judges the bytes of an answer; real gRPC servers answer in `tests/peers`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::channel;

use drain_sleep::grpc::health::{Call, serving_status};

use crate::support::{each, hold, serve, told};
use crate::table;
use crate::verdict::{TIMED_OUT, first_verdict, timeout_for};

/// A frame as it comes: its kind, its flags, its payload.
type Frame = (u8, u8, Vec<u8>);

fn read_frame(stream: &mut impl Read) -> Frame {
    let mut head = [0; 9];
    stream.read_exact(&mut head).expect("a frame");
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    stream.read_exact(&mut payload).expect("a whole frame");
    (head[3], head[4], payload)
}

/// Reads all that a call says, and gives its frames: SETTINGS, HEADERS, DATA.
fn read_call(stream: &mut impl Read) -> [Frame; 3] {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).expect("a preface");
    assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    [(); 3].map(|()| read_frame(stream))
}

/// What a server may answer, in the words of `tests/verdicts/grpc`.
#[test]
fn answers() {
    let rows = [
        ("HELLO ANSWER", "ready (SERVING)"),
        ("HELLO HEAD SAYS(\\x08\\x02) TRAILERS", "unready (NOT_SERVING)"),
        ("HELLO HEAD SERVING END([grpc-status=13])", "unready (gRPC status 13)"),
        ("HELLO HEAD END([grpc-status=4])", "not known (gRPC status 4)"),
        ("HELLO HEAD END([grpc-status=8])", "not known (gRPC status 8)"),
        ("HELLO HEADERS([:status=429])", "not known (not gRPC, HTTP status 429)"),
        ("HELLO PUSH_PROMISE(\\0\\0\\0\\x02)", "not known (server push, which was switched off)"),
        ("HELLO HEADERS:0() CONTINUATION:0({16380*x}) CONTINUATION:0(xxxxx)", "not known (HTTP/2 headers over 16 KiB)"),
        ("HELLO RST_STREAM(\\0\\0\\0\\x02)", "unready (stream reset)"),
        ("HELLO", TIMED_OUT),
        (
            "HELLO 99({16000*x}) 99({16000*x}) 99({16000*x}) 99({16000*x}) 99({16000*x})",
            "not known (more than 64 KiB without an answer)",
        ),
    ];
    each(rows, |(frames, verdict)| {
        let bytes = table::frames(frames);
        let address = serve(move |_, mut stream| {
            read_call(&mut stream);
            let _ = stream.write_all(&bytes);
            hold(&mut stream);
        });
        assert_eq!(first_verdict(&format!("grpc://{address}"), &timeout_for(verdict)), verdict, "{frames}");
    });
}

/// What the frames of an answer mean, without a socket, whether they come at once or byte by byte.
#[test]
fn frames() {
    for (expected, text) in table::rows(include_str!("../verdicts/grpc")) {
        let frames = table::frames(text);
        let whole = Call::default().receive(&frames, &mut Vec::new());
        let mut call = Call::default();
        let by_bytes = frames.chunks(1).map(|byte| call.receive(byte, &mut Vec::new())).find(|got| *got != Ok(None));
        assert_eq!(by_bytes.unwrap_or(Ok(None)), whole, "{text}");
        let got = match whole {
            Ok(Some(status)) => serving_status(status).to_string(),
            Ok(None) if text.ends_with("CLOSE") => "connection closed".to_string(),
            Ok(None) => "more must come".to_string(),
            Err(why) => why.to_string(),
        };
        assert_eq!(got, expected, "{text}");
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
        let _ = stream.write_all(&table::frames("HELLO ANSWER"));
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
        let [settings, headers, data] = told(&calls);
        assert_eq!((settings.0, headers.0), (4, 1), "SETTINGS, HEADERS");
        assert_eq!((data.0, data.1, data.2.as_slice()), (0, 1, message), "DATA that ends the stream: {url}");
        let block = String::from_utf8_lossy(&headers.2);
        let address = address.to_string();
        for text in ["POST", "/grpc.health.v1.Health/Check", &address, "application/grpc", "trailers", "drain-sleep/"] {
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
        let _ = stream.write_all(&table::frames("HELLO PING(pingpong)"));
        let replies = [(); 2].map(|()| read_frame(&mut stream));
        if replies == [(4, 1, b"".to_vec()), (6, 1, b"pingpong".to_vec())] {
            let _ = stream.write_all(&table::frames("ANSWER"));
        }
        hold(&mut stream);
    });
    assert_eq!(first_verdict(&format!("grpc://{address}"), &["--timeout", "60"]), "ready (SERVING)");
}
