//! What the contract of HTTP checks says of each kind of answer: a table, a row a case, each played by a real server.

use std::io::Write;
use std::net::{Shutdown, TcpListener};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use crate::support::{CLOSED, fresh_path, read_request, run, serve, serve_unix};

/// What the log says of the first check of a URL.
fn first_verdict(url: &str, arguments: &[&str]) -> String {
    let run = run(&[&["0.4", "--until-unready", url, "--timeout", "0.3"], arguments].concat());
    assert_eq!(run.status, 0, "{run:?}");
    let line = run.lines()[1].strip_prefix(url).expect("it names the URL").to_string();
    line.strip_prefix(" is ").and_then(|line| line.split_once(" at ")).expect("a verdict and a time").0.to_string()
}

/// Plays `responses`, one a connection and the last one again and again; in them, HERE stands for the server's address.
/// The verdict must be the same over TCP and over a Unix socket.
fn check(name: &'static str, responses: Vec<Vec<u8>>, verdict: &'static str) -> thread::JoinHandle<()> {
    fn play(stream: &mut (impl std::io::Read + Write), number: usize, responses: &[Vec<u8>], here: &str) {
        read_request(stream);
        let response = &responses[number.min(responses.len() - 1)];
        let parts: Vec<&[u8]> = response.split_inclusive(|&b| b == PAUSE).collect();
        for part in parts {
            let text = part.strip_suffix(&[PAUSE]).unwrap_or(part);
            let text: Vec<u8> =
                String::from_utf8(text.to_vec()).map_or(text.to_vec(), |t| t.replace("HERE", here).into_bytes());
            let _ = stream.write_all(&text);
            if part.ends_with(&[PAUSE]) {
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
    thread::spawn(move || {
        let over_unix = responses.clone();
        let address = serve(move |number, mut stream| {
            let here = stream.local_addr().unwrap().to_string();
            play(&mut stream, number, &responses, &here);
        });
        let got = first_verdict(&format!("http://{address}/"), &[]);
        assert_eq!(got, verdict, "{name}");
        let socket = serve_unix(move |number, mut stream| play(&mut stream, number, &over_unix, "localhost"));
        let got = first_verdict(&format!("http://unix:{}:/", socket.display()), &[]);
        let _ = std::fs::remove_file(socket);
        assert_eq!(got, verdict, "{name}, over a Unix socket");
    })
}

fn ok(rest: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{rest}").into_bytes()
}

fn redirect(location: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

/// In a script, so that what follows comes in a read of its own.
const PAUSE: u8 = b'~';

const MALFORMED: &str = "unready (malformed status line)";
const BAD_HEADER: &str = "unready (malformed header)";
const BAD_CHUNK: &str = "unready (malformed chunk)";
const BROKEN_OFF: &str = "unready (body broken off)";
const READY: &str = "ready (200)";
const FOLLOWED: &str = "unready (418)"; // by the answer to the second request

#[test]
fn answers() {
    let kib = |n: usize| "x".repeat(n * 1024);
    let chunk = |n: usize| format!("{:x}\r\n{}\r\n", n * 1024, kib(n));
    let chunked = |body: &str| ok(&format!("Transfer-Encoding: chunked\r\n\r\n{body}"));
    let status = |line: &str| format!("{line}\r\nContent-Length: 0\r\n\r\n").into_bytes();
    let rows: Vec<(&str, Vec<u8>, &str)> = vec![
        ("200", ok("Content-Length: 2\r\n\r\nok"), READY),
        ("200 to the end of the stream", ok("\r\nok"), READY),
        ("bare LF", b"HTTP/1.1 200 OK\nA: b\n\nok".to_vec(), READY),
        ("HTTP/1.0", b"HTTP/1.0 200\r\n\r\nok".to_vec(), READY),
        ("no reason phrase", status("HTTP/1.1 204"), "ready (204)"),
        ("in pieces", b"HT~TP/1.1 2~00 OK\r~\nContent-Le~ngth: 2\r\n\r~\no~k".to_vec(), READY),
        ("399", status("HTTP/1.1 399 X"), "ready (399)"),
        ("304", status("HTTP/1.1 304 Not Modified"), "ready (304)"),
        ("400", status("HTTP/1.1 400 X"), "unready (400)"),
        ("503", status("HTTP/1.1 503 X"), "unready (503)"),
        (
            "503 whose body stalls",
            b"HTTP/1.1 503 X\r\nContent-Length: 5\r\n\r\n~~~~~~~~~~~~~~~~~~~~~~~~~".to_vec(),
            "unready (timed out)",
        ),
        ("199", b"HTTP/1.1 199 X\r\n\r\nHTTP/1.1 200 OK\r\n\r\n".to_vec(), READY),
        ("100, then 200", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n".to_vec(), READY),
        (
            "103 twice, then 503",
            b"HTTP/1.1 103 X\r\n\r\nHTTP/1.1 103 X\r\nA: b\r\n\r\nHTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n".to_vec(),
            "unready (503)",
        ),
        ("101", b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec(), "unready (101)"),
        ("1xx without end", b"HTTP/1.1 100 C\r\n\r\n".repeat(5000), "unready (more than 64 KiB without an end)"),
        ("nothing", b"".to_vec(), "unready (connection closed)"),
        ("half a head", b"HTTP/1.1 200 OK\r\nA: b\r\n".to_vec(), "unready (connection closed)"),
        ("HTTP/0.9", b"<html>hello</html>\r\n\r\n".to_vec(), MALFORMED),
        ("HTTP/0.9 by name", status("HTTP/0.9 200 OK"), MALFORMED),
        ("HTTP/2 frames", b"\0\0\0\x04\0\0\0\0\0".to_vec(), MALFORMED),
        ("no digits", status("HTTP/1.1 2x0 OK"), MALFORMED),
        ("two digits", status("HTTP/1.1 20 OK"), MALFORMED),
        ("four digits", status("HTTP/1.1 2000 OK"), MALFORMED),
        ("no blank", status("HTTP/1.1200 OK"), MALFORMED),
        ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), MALFORMED),
        ("a head over 16 KiB", ok(&format!("A: {}\r\n\r\n", kib(16))), "unready (head over 16 KiB)"),
        ("headers without end", ok(&"A: b\r\n".repeat(5000)), "unready (head over 16 KiB)"),
        ("no colon", ok("A\r\n\r\n"), BAD_HEADER),
        ("no name", ok(": b\r\n\r\n"), BAD_HEADER),
        ("a fold at first", ok(" A: b\r\n\r\n"), BAD_HEADER),
        ("a fold", ok("A: b\r\n c\r\nContent-Length: 0\r\n\r\n"), READY),
        ("a control character", ok("A: \x01\r\n\r\n"), BAD_HEADER),
        ("lengths that agree", ok("Content-Length: 2\r\nContent-Length: 2\r\n\r\nok"), READY),
        (
            "lengths that do not",
            ok("Content-Length: 2\r\nContent-Length: 3\r\n\r\nok"),
            "unready (conflicting Content-Length)",
        ),
        ("no length", ok("Content-Length: x\r\n\r\nok"), "unready (malformed Content-Length)"),
        ("another encoding", ok("Transfer-Encoding: gzip\r\n\r\nok"), "unready (unsupported Transfer-Encoding)"),
        ("a body broken off", ok("Content-Length: 3\r\n\r\nok"), BROKEN_OFF),
        ("a long body broken off past 10 KiB", ok(&format!("Content-Length: 99999\r\n\r\n{}", kib(10))), READY),
        ("a long body broken off before", ok(&format!("Content-Length: 99999\r\n\r\n{}", kib(9))), BROKEN_OFF),
        ("a body of 100 KiB", ok(&format!("\r\n{}", kib(100))), READY),
        ("chunks", chunked("2\r\nok\r\n0\r\n\r\n"), READY),
        ("chunks in pieces", chunked("2~\r\no~k\r~\n0\r~\n\r~\n"), READY),
        ("chunks with extensions and trailers", chunked("2;a=b\r\nok\r\n0\r\nA: b\r\n\r\n"), READY),
        ("chunks broken off", chunked("2\r\nok\r\n"), BROKEN_OFF),
        ("a malformed size", chunked("x\r\nok\r\n0\r\n\r\n"), BAD_CHUNK),
        ("a malformed end", chunked("1\r\nok\r\n0\r\n\r\n"), BAD_CHUNK),
        ("malformed past 10 KiB", chunked(&format!("{}x\r\n", chunk(11))), READY),
        ("malformed before 10 KiB", chunked(&format!("{}x\r\n", chunk(9))), BAD_CHUNK),
        ("a redirect without a Location", status("HTTP/1.1 302 Found"), "ready (302)"),
        ("a redirect with an empty Location", redirect(""), "ready (302)"),
        ("a redirect to another host", redirect("http://example.com/"), "ready (302)"),
        ("a redirect to no host", redirect("mailto:a@b"), "ready (302)"),
        (
            "a redirect to https",
            redirect("https://HERE/"),
            "ready (302, a redirect to https, which cannot be followed)",
        ),
        ("a redirect to ftp", redirect("ftp://HERE/"), "unready (redirect to a scheme that is not http)"),
        ("a Location that does not parse", redirect("http://%zz/"), "unready (malformed Location)"),
        ("a Location with a port that is none", redirect("http://HERE:x/"), "unready (malformed Location)"),
        ("a loop", redirect("/"), "unready (more than 9 redirects)"),
        ("300 is not followed", b"HTTP/1.1 300 X\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n".to_vec(), "ready (300)"),
        (
            "another host, whose body stalls",
            b"HTTP/1.1 302 X\r\nLocation: http://example.com/\r\nContent-Length: 1\r\n\r\n~~~~~~~~~~~~~~~~~~~~~~~~~"
                .to_vec(),
            "unready (timed out)",
        ),
    ];
    let running: Vec<_> =
        rows.into_iter().map(|(name, response, verdict)| check(name, vec![response], verdict)).collect();
    let failed = running.into_iter().filter_map(|row| row.join().err()).count();
    assert_eq!(failed, 0, "rows failed, see above");
}

#[test]
fn redirects_are_followed() {
    let teapot = b"HTTP/1.1 418 X\r\nContent-Length: 0\r\n\r\n".to_vec();
    let mut running = Vec::new();
    for location in [
        "/x",
        "x",
        "../x",
        "?x",
        "#x",
        "http://HERE/x",
        "HTTP://HERE/x",
        "//HERE/x",
        "http://HERE",
        "http://user:pass@HERE/",
    ] {
        running.push(check(location, vec![redirect(location), teapot.clone()], FOLLOWED));
    }
    for status in [301, 302, 303, 307, 308] {
        let moved = format!("HTTP/1.1 {status} X\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n").into_bytes();
        running.push(check("a status", vec![moved, teapot.clone()], FOLLOWED));
    }
    running.push(check("nine", [vec![redirect("/x"); 9], vec![teapot.clone()]].concat(), FOLLOWED));
    running.push(check("ten", [vec![redirect("/x"); 10], vec![teapot]].concat(), "unready (more than 9 redirects)"));
    let failed = running.into_iter().filter_map(|row| row.join().err()).count();
    assert_eq!(failed, 0, "rows failed, see above");
}

#[test]
fn another_port_of_the_same_host() {
    let target = serve(|_, mut stream| {
        read_request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 418 X\r\nContent-Length: 0\r\n\r\n");
    });
    let from = serve(move |_, mut stream| {
        read_request(&mut stream);
        let _ = stream.write_all(&redirect(&format!("http://{target}/x")));
    });
    assert_eq!(first_verdict(&format!("http://{from}/"), &[]), FOLLOWED);
    // As written: localhost is another host than its address.
    assert_eq!(first_verdict(&format!("http://localhost:{}/", from.port()), &[]), "ready (302)");
}

#[test]
fn what_is_sent() {
    let (send, requests) = std::sync::mpsc::channel();
    let address = serve(move |number, mut stream| {
        let _ = send.send(read_request(&mut stream));
        let _ = stream.write_all(&if number == 0 { redirect("/next?a=b") } else { ok("Content-Length: 0\r\n\r\n") });
    });
    let url = format!("http://{address}/readyz?q");
    let headers = ["--header", "Host: app.local", "--header", "Accept:", "--header", "X-A: 1", "--header", "X-A: 2"];
    assert_eq!(first_verdict(&url, &headers), READY);
    let version = env!("CARGO_PKG_VERSION");
    let rest = format!(
        "Host: app.local\r\nConnection: close\r\nUser-Agent: drain-sleep/{version}\r\nX-A: 1\r\nX-A: 2\r\n\r\n"
    );
    assert_eq!(requests.recv().unwrap(), format!("GET /readyz?q HTTP/1.1\r\n{rest}"));
    assert_eq!(requests.recv().unwrap(), format!("GET /next?a=b HTTP/1.1\r\n{rest}"));
}

#[test]
fn connections() {
    assert_eq!(first_verdict(&format!("http://{CLOSED}/"), &[]), "unready (connection refused)");
    assert_eq!(first_verdict(&format!("tcp://{CLOSED}"), &[]), "unready (connection refused)");
    assert_eq!(first_verdict(&format!("http://localhost:{}/", CLOSED.port()), &[]), "unready (connection refused)");
    assert_eq!(first_verdict("unix:/no/such/socket", &[]), "unready (no such socket)");

    let silent = serve(|_, stream| {
        thread::sleep(Duration::from_secs(2));
        drop(stream);
    });
    assert_eq!(first_verdict(&format!("http://{silent}/"), &[]), "unready (timed out)");
    assert_eq!(first_verdict(&format!("grpc://{silent}"), &[]), "unready (timed out)");
    assert_eq!(first_verdict(&format!("tcp://{silent}"), &[]), "ready (accepts connections)");

    let hangs_up = serve(|_, stream| {
        let _ = stream.shutdown(Shutdown::Both);
    });
    let verdict = first_verdict(&format!("grpc://{hangs_up}"), &[]);
    assert!(["unready (connection closed)", "unready (connection reset)"].contains(&verdict.as_str()), "{verdict}");
}

#[test]
fn ipv6_and_localhost() {
    let listener = TcpListener::bind("[::1]:0").expect("IPv6 on the loopback device");
    let port = listener.local_addr().unwrap().port();
    assert_eq!(first_verdict(&format!("tcp://[::1]:{port}"), &[]), "ready (accepts connections)");
    // Where 127.0.0.1 refuses, localhost is ::1.
    assert_eq!(first_verdict(&format!("tcp://localhost:{port}"), &[]), "ready (accepts connections)");
    assert_eq!(first_verdict(&format!("tcp://127.0.0.1:{port}"), &[]), "unready (connection refused)");
}

/// std's connect would hang on it.
#[test]
fn a_unix_socket_with_a_full_queue() {
    let path = fresh_path("full");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    // std asks for a queue as long as the system allows; listen(2) once more shortens it.
    unsafe extern "C" {
        safe fn listen(fd: i32, backlog: i32) -> i32;
    }
    assert_eq!(listen(listener.as_raw_fd(), 0), 0);
    let _queued = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let url = format!("unix:{}", path.display());
    assert_eq!(first_verdict(&url, &[]), "unready (listen queue full)");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn not_http2() {
    let http1 = serve(|_, mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        read_request(&mut stream);
    });
    assert_eq!(first_verdict(&format!("grpc://{http1}"), &[]), "unready (no HTTP/2: the first frame is not SETTINGS)");
}
