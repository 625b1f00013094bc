//! `--get` and `--post`: what fails costs the exit status, and not the drain.

use std::io::Write;
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::support::{CLOSED, Run, answer, each, hold, read_request, run, serve, serve_unix, url};

/// `/N` answers N; the other paths are as their names say.
fn app(stream: &mut (impl std::io::Read + Write)) {
    let request = read_request(stream);
    let path = request.split(' ').nth(1).unwrap_or_default();
    let response = match path {
        "/moved" => "302 X\r\nLocation: /204",
        "/moved-to-404" => "302 X\r\nLocation: /404",
        "/elsewhere" => "302 X\r\nLocation: http://example.com/",
        "/loop" => "302 X\r\nLocation: /loop",
        "/broken" => "200 X\r\nno colon",
        "/stalls" => "200 X\r\nContent-Length: 9",
        "/informs" => "103 X\r\n\r\nHTTP/1.1 404 X",
        number => &format!("{} X", &number[1..]),
    };
    if path != "/silent" {
        let _ = stream.write_all(format!("HTTP/1.1 {response}\r\n\r\n").as_bytes());
    }
    if path == "/silent" || path == "/stalls" {
        hold(stream); // a body is not waited for
    }
}

/// The drain ends once the requests have been sent, however long that takes, and not before 0.7 s.
fn run_requests(options: &[&str]) -> Run {
    let gone = format!("--until-unready=tcp://{CLOSED}");
    run(&[&["60", &gone, "--assume-ready", "--min=0.7", "--threshold=1", "--period=10ms"], options].concat())
}

#[test]
fn outcomes() {
    let address = serve(|_, mut stream| app(&mut stream));
    let socket = serve_unix(|_, mut stream| app(&mut stream));
    let unreachable = "http://255.255.255.255/".to_string(); // a broadcast address: TCP has no route to it
    let rows = [
        ("--get", "/200", 0, ": 200"),
        ("--get", "/399", 0, ": 399"),
        ("--get", "/moved", 0, ": 204"),
        ("--get", "/elsewhere", 0, ": 302"),
        ("--get", "/stalls", 0, ": 200"),
        ("--get", "/moved-to-404", 1, "failed: 404"),
        ("--get", "/loop", 1, "failed: more than 9 redirects"),
        ("--get", "/404", 1, "failed: 404"),
        ("--get", "/500", 1, "failed: 500"),
        ("--get", "/informs", 1, "failed: 404"),
        ("--get", "/broken", 1, "failed: malformed header"),
        ("--get", "/silent", 1, "failed: timed out"),
        ("--post", "/202", 0, ": 202"),
        ("--post", "/moved", 0, ": 302"),
        ("--post", "/stalls", 0, ": 200"),
        ("--post", "/loop", 0, ": 302"),
        ("--post", "/500", 1, "failed: 500"),
        ("--post", "/silent", 1, "failed: timed out"),
    ];
    let over_tcp = rows.map(|(option, path, status, says)| (option, format!("http://{address}{path}"), status, says));
    let over_unix = rows
        .map(|(option, path, status, says)| (option, format!("http://unix:{}:{path}", socket.display()), status, says));
    let nobody = [
        ("--get", format!("http://{CLOSED}/"), 1, "failed: connection refused"),
        ("--post", format!("http://localhost:{}/", CLOSED.port()), 1, "failed: connection refused"),
        ("--post", unreachable, 1, "failed: unreachable"),
        ("--post", "http://unix:/no/socket:/".to_string(), 1, "failed: no such socket"),
    ];
    each(over_tcp.into_iter().chain(over_unix).chain(nobody), |(option, url, status, says)| {
        let timeout = if says.contains("timed out") { "0.2" } else { "60" };
        let run = run_requests(&[option, &url, "--timeout", timeout]);
        assert_eq!(run.status, status, "{option} {url}: {run:?}");
        assert!(run.took >= Duration::from_millis(700) && run.says("drained after "), "{option} {url}: {run:?}");
        let request = format!("{} {url}", &option[2..].to_uppercase());
        let told = |line: &&str| line.contains(&request) && line.ends_with(says);
        assert_eq!(run.lines()[1..].iter().filter(|line| told(line)).count(), 1, "{run:?}");
    });
}

/// One failure is enough for the exit status, and none keeps the others from being sent: once, in the order of the line.
#[test]
fn in_order() {
    let (send, requests) = channel();
    let address = serve(move |_, mut stream| {
        let request = read_request(&mut stream);
        let status = if request.starts_with("GET /b ") { 500 } else { 200 };
        let _ = send.send(request);
        answer(&mut stream, status);
    });
    let paths = ["/a", "/b", "/c"].map(|path| format!("http://{address}{path}"));
    let run = run_requests(&[
        "--post",
        &paths[0],
        "--get",
        &paths[1],
        "--header=X-A: 1",
        "--post",
        &paths[2],
        "--timeout=60",
    ]);
    assert!(run.status == 1 && run.took >= Duration::from_millis(700), "{run:?}");
    let version = env!("CARGO_PKG_VERSION");
    for (method, path, length) in
        [("POST", "/a", "Content-Length: 0\r\n"), ("GET", "/b", ""), ("POST", "/c", "Content-Length: 0\r\n")]
    {
        let expected = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{length}User-Agent: drain-sleep/{version}\r\n\
             Accept: */*\r\nX-A: 1\r\n\r\n"
        );
        assert_eq!(requests.try_recv().as_ref(), Ok(&expected));
    }
    assert!(requests.try_recv().is_err(), "none is sent twice");
}

#[test]
fn a_post_starts_the_drain() {
    let drained = Arc::new(OnceLock::new());
    let address = serve(move |_, mut stream| {
        let request = read_request(&mut stream);
        if request.starts_with("POST /drain ") {
            let _ = drained.set(());
            return answer(&mut stream, 202);
        }
        answer(&mut stream, if drained.get().is_some() { 503 } else { 200 });
    });
    let post = format!("http://{address}/drain");
    let run =
        run(&["60", "--until-unready", &url(address), "--post", &post, "--period=50ms", "--min=0.3", "--timeout=60"]);
    assert!(run.status == 0 && run.lasted(300), "{run:?}");
    let lines = run.lines();
    assert!(lines[1].contains("is ready (200)"), "the baseline comes first: {lines:?}");
    assert_eq!(lines[2], format!("POST {post}: 202"));
    assert!(lines[3].contains("is unready (503)") && lines[4].starts_with("drained after"), "{lines:?}");
}

/// A request that fails does not stop the checks.
#[test]
fn a_failure_does_not_stop_the_checks() {
    let (address, _) = crate::support::answers(&[200, 503]);
    let post = format!("http://{CLOSED}/");
    let run =
        run(&["60", "--until-unready", &url(address), "--post", &post, "--period=10ms", "--min=0", "--timeout=60"]);
    assert!(run.status == 1 && run.says("drained after "), "{run:?}");
}

#[test]
fn a_failure_does_not_shorten_the_sleep() {
    let run = run(&["0.7", "--get", &url(CLOSED)]);
    assert!(run.status == 1 && run.lasted(700) && run.says("failed: connection refused"), "{run:?}");
}

#[test]
fn no_time_is_left() {
    let (address, _) = crate::support::answers(&[200]);
    let run = run(&["0", "--get", &url(address)]);
    assert!(run.status == 1 && run.says("no time was left"), "{run:?}");
}
