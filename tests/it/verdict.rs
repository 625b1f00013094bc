//! What a check over a real socket says of each kind of answer, and of connections. `response.rs` judges the bytes alone.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use crate::support::{
    CLOSED, answer, each, fresh_path, full_tcp_queue, full_unix_queue, hold, program, read_request, run, serve,
    serve_unix, start, told,
};

/// What the log says of the first check of a URL. The drain itself is not waited for.
pub fn first_verdict(url: &str, arguments: &[&str]) -> String {
    let mut running = start(&mut program(&[&["infinity", "--until-unready", url], arguments].concat()), Stdio::piped());
    running.line();
    let line = running.line();
    let verdict = line.strip_prefix(&format!("{url} is ")).and_then(|rest| rest.split_once(" at "));
    verdict.unwrap_or_else(|| panic!("a verdict and a time: {line}")).0.to_string()
}

/// As long as the busiest machine needs, unless the row is about the time-out.
pub fn timeout_for(verdict: &str) -> [&'static str; 2] {
    ["--timeout", if verdict == TIMED_OUT { "0.3" } else { "60" }]
}

/// Plays `responses`, one a connection and the last one again and again; in them, HERE stands for the server's address.
/// The verdict must be the same over TCP and over a Unix socket.
fn check(name: &str, responses: &[Vec<u8>], verdict: &str) {
    fn play(stream: &mut (impl Read + Write), response: &[u8], here: &str) {
        read_request(stream);
        for part in response.split_inclusive(|&b| b == PAUSE || b == HOLD) {
            let text = part.strip_suffix(&[PAUSE]).or(part.strip_suffix(&[HOLD])).unwrap_or(part);
            let here = String::from_utf8(text.to_vec()).map(|text| text.replace("HERE", here).into_bytes());
            let _ = stream.write_all(&here.unwrap_or(text.to_vec()));
            match part.last() {
                Some(&PAUSE) => thread::sleep(Duration::from_millis(20)),
                Some(&HOLD) => hold(stream),
                _ => {}
            }
        }
    }
    let (over_tcp, over_unix) = (responses.to_vec(), responses.to_vec());
    let address = serve(move |number, mut stream| {
        let here = stream.local_addr().unwrap().to_string();
        play(&mut stream, &over_tcp[number.min(over_tcp.len() - 1)], &here);
    });
    let got = first_verdict(&format!("http://{address}/a/b"), &timeout_for(verdict));
    assert!(is_verdict(&got, verdict), "{name}: {got}, not {verdict}");
    let socket = serve_unix(move |number, mut stream| {
        play(&mut stream, &over_unix[number.min(over_unix.len() - 1)], "localhost");
    });
    let got = first_verdict(&format!("http://unix:{}:/a/b", socket.display()), &timeout_for(verdict));
    assert!(is_verdict(&got, verdict), "{name}, over a Unix socket: {got}, not {verdict}");
}

/// In a verdict that is expected, `…` stands for any text.
fn is_verdict(got: &str, verdict: &str) -> bool {
    let (start, end) = verdict.split_once('…').unwrap_or((verdict, ""));
    got == verdict || verdict.contains('…') && got.starts_with(start) && got.ends_with(end)
}

fn ok(rest: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{rest}").into_bytes()
}

fn redirect(location: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

/// In a response: what follows comes in a read of its own.
const PAUSE: u8 = b'~';
/// In a response: nothing follows, nor the end.
const HOLD: u8 = b'^';

pub const TIMED_OUT: &str = "not known (timed out)";

const BROKEN_OFF: &str = "unready (body broken off)";
const READY: &str = "ready (200)";
const FOLLOWED: &str = "unready (418)"; // by the answer to the second request
const NO_LOCATION: &str = "ready (302, a redirect without a Location)";
// What follows the colon is the Location.
const ELSEWHERE: &str = "ready (302, a redirect to another host, which is not followed: …)";
const TO_HTTPS: &str = "ready (302, a redirect to https, which cannot be followed: …)";

#[test]
fn answers() {
    let status = |line: &str| format!("{line}\r\nContent-Length: 0\r\n\r\n").into_bytes();
    let rows: Vec<(&str, Vec<u8>, &str)> = vec![
        ("in pieces", b"HT~TP/1.1 2~00 OK\r~\nContent-Le~ngth: 2\r\n\r~\no~k".to_vec(), READY),
        ("399", status("HTTP/1.1 399 X"), "ready (399)"),
        ("400", status("HTTP/1.1 400 X"), "unready (400)"),
        ("408", status("HTTP/1.1 408 X"), "not known (408)"),
        ("429", status("HTTP/1.1 429 X"), "not known (429)"),
        ("504", status("HTTP/1.1 504 X"), "not known (504)"),
        ("nothing", b"".to_vec(), "unready (connection closed)"),
        ("a head over 16 KiB", ok(&format!("A: {}\r\n\r\n", "x".repeat(16_384))), "not known (head over 16 KiB)"),
        ("a body broken off", ok("Content-Length: 3\r\n\r\nok"), BROKEN_OFF),
        ("a head that stalls", ok("A: b\r\n^"), TIMED_OUT),
        ("a body that stalls", ok("Content-Length: 3\r\n\r\nok^"), TIMED_OUT),
        ("one that stalls past 10 KiB", ok(&format!("\r\n{}^", "x".repeat(10_240))), READY),
        ("a redirect without a Location", status("HTTP/1.1 302 Found"), NO_LOCATION),
        ("a redirect with an empty Location", redirect(""), NO_LOCATION),
        (
            "a redirect to no host",
            redirect("mailto:a@b\u{e9}"),
            "ready (302, a redirect to another host, which is not followed: mailto:a@b\\xc3\\xa9)",
        ),
        ("a redirect to https", redirect("https://HERE/"), TO_HTTPS),
        ("a redirect to ftp", redirect("ftp://HERE/"), "unready (redirect to a scheme that is not http)"),
        ("a Location with a bad escape", redirect("/%zz"), "unready (malformed Location)"),
    ];
    each(rows, |(name, response, verdict)| check(name, &[response], verdict));
}

/// Which kinds are followed, request.rs shows.
#[test]
fn redirects_are_followed() {
    let teapot = b"HTTP/1.1 418 X\r\nContent-Length: 0\r\n\r\n".to_vec();
    let chain = |length: usize| [vec![redirect("/x"); length], vec![teapot.clone()]].concat();
    let stalls = |length: &str, body: usize| {
        format!("HTTP/1.1 302 X\r\nLocation: /x\r\n{length}\r\n{}^", "x".repeat(body)).into_bytes()
    };
    let rows = [
        ("whose body is over 2 KiB, and stalls", vec![stalls("", 2048), teapot.clone()], FOLLOWED),
        ("and says so beforehand", vec![stalls("Content-Length: 2049\r\n", 0), teapot.clone()], FOLLOWED),
        (
            "whose body stalls",
            vec![b"HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 9\r\n\r\nx^".to_vec()],
            TIMED_OUT,
        ),
        ("nine", chain(9), FOLLOWED),
        ("ten", chain(10), "unready (more than 9 redirects)"),
    ];
    each(rows, |(name, responses, verdict)| check(name, &responses, verdict));
}

/// The same host is the one as written, and over a Unix socket the one that was sent.
#[test]
fn whose_host_is_the_same() {
    let rows = [
        (&[][..], "http://localhost/x", FOLLOWED),
        (&["--header=Host: app.local"], "http://app.local:99/x", FOLLOWED),
        (&["--header=Host: app.local"], "/x", FOLLOWED),
        (&["--header=Host: app.local"], "http://localhost/x", ELSEWHERE),
        (&[], "http://127.0.0.1/x", ELSEWHERE),
    ];
    each(rows, |(arguments, location, verdict)| {
        let socket = serve_unix(move |number, mut stream| {
            read_request(&mut stream);
            if number > 0 {
                return answer(&mut stream, 418);
            }
            let _ = stream.write_all(&redirect(location));
        });
        let url = format!("http://unix:{}:/", socket.display());
        let got = first_verdict(&url, &[&timeout_for(verdict), arguments].concat());
        assert!(is_verdict(&got, verdict), "{arguments:?} {location}: {got}");
    });
}

/// A Host of the user's own is for this host by any relative name, and not for a URL that names another.
#[test]
fn what_is_sent() {
    let (send, requests) = channel();
    let address = serve(move |number, mut stream| {
        let _ = send.send(read_request(&mut stream));
        let here = stream.local_addr().unwrap();
        match number {
            0 => drop(stream.write_all(&redirect("/next?a=b"))),
            1 => drop(stream.write_all(&redirect(&format!("http://{here}/last/a b")))),
            _ => answer(&mut stream, 200),
        }
    });
    let url = format!("http://{address}/readyz?q");
    let headers = ["--header=Host: app.local", "--header=Accept:", "--header=X-A: 1", "--header=X-A: 2"];
    assert_eq!(first_verdict(&url, &[&timeout_for(READY), &headers[..]].concat()), READY);
    let version = env!("CARGO_PKG_VERSION");
    for (target, host) in
        [("/readyz?q", "app.local"), ("/next?a=b", "app.local"), ("/last/a%20b", &address.to_string())]
    {
        let expected = format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nUser-Agent: drain-sleep/{version}\r\nX-A: 1\r\n\
             X-A: 2\r\n\r\n"
        );
        assert_eq!(told(&requests), expected);
    }
}

/// A check goes to the pod itself.
#[test]
fn no_proxy_variable_counts() {
    let address = serve(|_, mut stream| {
        read_request(&mut stream);
        answer(&mut stream, 200);
    });
    let url = format!("http://{address}/");
    let proxy = format!("http://{CLOSED}");
    let names = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
    let mut command = program(&["infinity", "--until-unready", &url, "--timeout", "60"]);
    let mut running = start(command.envs(names.map(|name| (name, &proxy))), Stdio::piped());
    running.line();
    assert!(running.line().contains("is ready (200)"));
}

/// An early end needs evidence: what is slow, busy or too much for the program's own limits ends no drain. Here any unready
/// check would end it at once.
#[test]
fn what_says_nothing_ends_no_drain() {
    let slow = serve(|_, mut stream| hold(&mut stream));
    let long_head = serve(|_, mut stream| {
        read_request(&mut stream);
        let _ = stream.write_all(&ok(&format!("A: {}\r\n\r\n", "x".repeat(17 * 1024))));
    });
    let path = fresh_path("full");
    let _full_unix = full_unix_queue(&path);
    let rows = [
        (format!("http://{slow}/"), "timed out", "0.1"),
        (format!("grpc://{slow}"), "timed out", "0.1"),
        (format!("http://{long_head}/"), "head over 16 KiB", "60"),
        (format!("unix:{}", path.display()), "listen queue full", "60"),
        ("tcp://255.255.255.255:80".to_string(), "unreachable", "60"),
    ];
    each(&rows, |(url, why, timeout)| {
        let eager = ["--assume-ready", "--min=0", "--threshold=1", "--period=50ms", "--timeout", timeout];
        let run = run(&[&["3", "--until-unready", url], &eager[..]].concat());
        assert!(run.status == 0 && run.slept(3000), "{url}: {run:?}");
        assert!(run.says(&format!("{url} is not known ({why})")), "{url}: {run:?}");
    });
    // The same drain, and evidence.
    let run = run(&["60", "--until-unready", &format!("tcp://{CLOSED}"), "--assume-ready", "--min=0", "--threshold=1"]);
    assert!(run.status == 0 && run.says("drained after "), "{run:?}");
}

/// The time-out is for the whole check: it does not start anew with each byte.
#[test]
fn one_timeout_a_check() {
    let late = serve(|_, mut stream: TcpStream| {
        read_request(&mut stream);
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" {
            thread::sleep(Duration::from_millis(20));
            let _ = stream.write_all(&[*byte]);
        }
    });
    let url = format!("http://{late}/");
    assert_eq!(first_verdict(&url, &["--timeout", "60"]), READY);
    assert_eq!(first_verdict(&url, &["--timeout", "0.4"]), TIMED_OUT);
}

/// A listener at a port of `::1` that is free at 127.0.0.1, and stays free because it is below those that the kernel gives out.
fn only_on_ipv6() -> (TcpListener, u16) {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let listener = |port| Some((TcpListener::bind(("::1", port)).ok()?, port));
    (20_000..30_000).filter(free).find_map(listener).expect("IPv6 on the loopback device")
}

#[test]
fn connections() {
    const REFUSED: &str = "unready (connection refused)";
    const RESET: &str = "unready (connection reset)";
    const ACCEPTS: &str = "ready (accepts connections)";
    const QUEUE_FULL: &str = "not known (listen queue full)";
    let silent = serve(|_, mut stream| hold(&mut stream));
    // Bytes that are unread when a connection is closed reset it.
    let resets = serve(|_, mut stream| drop(stream.read(&mut [0])));
    let socket_resets = serve_unix(|_, mut stream| drop(stream.read(&mut [0])));
    let (_v6, v6_port) = only_on_ipv6();
    let path = fresh_path("full");
    let _full_unix = full_unix_queue(&path);
    let (_full_tcp, _queued, full_tcp) = full_tcp_queue();
    let datagrams = fresh_path("datagrams");
    let _datagrams = std::os::unix::net::UnixDatagram::bind(&*datagrams).unwrap();
    let rows = [
        (format!("http://{CLOSED}/"), REFUSED),
        (format!("tcp://{CLOSED}"), REFUSED),
        (format!("grpc://{CLOSED}"), REFUSED),
        (format!("http://localhost:{}/", CLOSED.port()), REFUSED),
        (format!("http://[::1]:{}/", CLOSED.port()), REFUSED),
        ("tcp://255.255.255.255:80".to_string(), "not known (unreachable)"), // TCP has no route to a broadcast address
        (format!("http://{silent}/"), TIMED_OUT),
        (format!("grpc://{silent}"), TIMED_OUT),
        (format!("tcp://{silent}"), ACCEPTS),
        (format!("tcp://localhost:{}", silent.port()), ACCEPTS),
        (format!("http://{resets}/"), RESET),
        (format!("grpc://{resets}"), RESET),
        (format!("tcp://{resets}"), ACCEPTS),
        (format!("http://unix:{}:/", socket_resets.display()), RESET),
        (format!("unix:{}", socket_resets.display()), ACCEPTS),
        ("unix:/no/such/socket".to_string(), "unready (no such socket)"),
        ("http://unix:/no/such/socket:/".to_string(), "unready (no such socket)"),
        ("unix:/dev/null/socket".to_string(), "unready (no such socket)"),
        ("unix:/dev/null".to_string(), REFUSED),
        (format!("unix:{}", datagrams.display()), "unready (not a stream socket)"),
        // std's connect would hang on it.
        (format!("unix:{}", path.display()), QUEUE_FULL),
        (format!("http://unix:{}:/", path.display()), QUEUE_FULL),
        (format!("tcp://{full_tcp}"), TIMED_OUT),
        (format!("http://{full_tcp}/"), TIMED_OUT),
        (format!("grpc://{full_tcp}"), TIMED_OUT),
        (format!("tcp://[::1]:{v6_port}"), ACCEPTS),
        // Where 127.0.0.1 refuses, localhost is ::1.
        (format!("tcp://localhost:{v6_port}"), ACCEPTS),
        (format!("tcp://127.0.0.1:{v6_port}"), REFUSED),
    ];
    each(&rows, |(url, verdict)| assert_eq!(first_verdict(url, &timeout_for(verdict)), *verdict, "{url}"));
}
