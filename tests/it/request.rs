//! `--get` and `--post`: what fails costs the exit status, and not the drain.

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};

use crate::support::{
    CLOSED, answer, each, fresh_path, hold, program, read_request, run, serve, serve_unix, start, url,
};

/// `/N` answers N; the other paths are as their names say.
fn app(stream: &mut (impl std::io::Read + Write)) {
    let request = read_request(stream);
    let (method, rest) = request.split_once(' ').unwrap_or_default();
    let path = rest.split(' ').next().unwrap_or_default();
    let port = request.split("Host: localhost:").nth(1).and_then(|rest| rest.split("\r\n").next());
    let here = port.map_or("localhost".to_string(), |port| format!("localhost:{port}"));
    let response = match path {
        // What has moved is there for the method that it was asked by first.
        "/get" => format!("{} X", if method == "GET" { 204 } else { 405 }),
        "/post" => format!("{} X", if method == "POST" { 204 } else { 405 }),
        "/moved-to-404" => "302 X\r\nLocation: /404".to_string(),
        "/elsewhere" => "302 X\r\nLocation: http://example.com/".to_string(),
        "/elsewhere-by-307" => "307 X\r\nLocation: http://example.com/".to_string(),
        "/https" => format!("302 X\r\nLocation: https://{here}/x"),
        "/https-by-308" => format!("308 X\r\nLocation: https://{here}/x"),
        "/ftp" => format!("303 X\r\nLocation: ftp://{here}/x"),
        "/loop" => "307 X\r\nLocation: /loop".to_string(),
        "/to-absolute" => format!("303 X\r\nLocation: http://{here}/seen/~%C3%A9\u{e9}"),
        "/stalls" => "200 X\r\nContent-Length: 9".to_string(),
        "/stalls-by-307" => "307 X\r\nLocation: /post\r\nContent-Length: 9".to_string(),
        "/informs" => "103 X\r\n\r\nHTTP/1.1 404 X".to_string(),
        path => match path[1..].split_once("-to-") {
            Some((status, to)) => format!("{status} X\r\nLocation: {to}"),
            None => format!("{} X", &path[1..]),
        },
    };
    if path != "/silent" {
        let _ = stream.write_all(format!("HTTP/1.1 {response}\r\n\r\n").as_bytes());
    }
    if path == "/silent" || path.starts_with("/stalls") {
        hold(stream); // a body is not waited for
    }
}

/// In what the log says, HERE stands for the URL without its path.
#[test]
fn outcomes() {
    let address = serve(|_, mut stream| app(&mut stream));
    let socket = serve_unix(|_, mut stream| app(&mut stream));
    let unreachable = "http://255.255.255.255/".to_string(); // a broadcast address: TCP has no route to it
    let rows = [
        ("--get", "/200", 0, ": 200"),
        ("--get", "/299", 0, ": 299"),
        ("--get", "/300", 1, "failed: 300"),
        ("--get", "/301-to-/get", 0, ": 204"),
        ("--get", "/303-to-/get", 0, ": 204"),
        ("--get", "/308-to-/get", 0, ": 204"),
        ("--get", "/302", 1, "failed: 302, a redirect without a Location"),
        (
            "--get",
            "/elsewhere",
            1,
            "failed: 302, a redirect to another host, which is not followed: http://example.com/",
        ),
        ("--get", "/https", 1, "failed: 302, a redirect to https, which cannot be followed: https://HOST/x"),
        ("--get", "/stalls", 0, ": 200"),
        ("--get", "/moved-to-404", 1, "failed: 404"),
        ("--get", "/loop", 1, "failed: more than 9 redirects"),
        ("--get", "/404", 1, "failed: 404"),
        ("--get", "/informs", 1, "failed: 404"),
        ("--get", "/silent", 1, "failed: timed out"),
        ("--post", "/202", 0, ": 202"),
        ("--post", "/301-to-/drain/", 1, "failed: 301, a redirect that a POST does not follow: write HERE/drain/"),
        ("--post", "/302-to-/seen", 0, ": 302, Location: /seen"),
        ("--post", "/303-to-/seen", 0, ": 303, Location: /seen"),
        ("--post", "/to-absolute", 0, ": 303, Location: http://HOST/seen/~%C3%A9\\xc3\\xa9"),
        ("--post", "/307-to-/post", 0, ": 204"),
        ("--post", "/308-to-/post", 0, ": 204"),
        ("--post", "/307-to-/303-to-/seen", 0, ": 303, Location: /seen"),
        ("--post", "/307-to-/301-to-/x", 1, "failed: 301, a redirect that a POST does not follow: write HERE/x"),
        ("--post", "/stalls-by-307", 0, ": 204"),
        ("--post", "/302", 1, "failed: 302, a redirect without a Location"),
        (
            "--post",
            "/elsewhere",
            1,
            "failed: 302, a redirect to another host, which is not followed: http://example.com/",
        ),
        (
            "--post",
            "/elsewhere-by-307",
            1,
            "failed: 307, a redirect to another host, which is not followed: http://example.com/",
        ),
        ("--post", "/https-by-308", 1, "failed: 308, a redirect to https, which cannot be followed: https://HOST/x"),
        ("--post", "/ftp", 1, "failed: redirect to a scheme that is not http"),
        ("--post", "/stalls", 0, ": 200"),
        ("--post", "/silent", 1, "failed: timed out"),
    ];
    let both = rows.into_iter().flat_map(|(option, path, status, says)| {
        let host = format!("localhost:{}", address.port());
        [(format!("http://{host}"), host), (format!("http://unix:{}:", socket.display()), "localhost".to_string())].map(
            |(here, host)| {
                (option, format!("{here}{path}"), status, says.replace("HERE", &here).replace("HOST", &host))
            },
        )
    });
    let nobody = [
        ("--get", format!("http://{CLOSED}/"), 1, "failed: connection refused".to_string()),
        ("--post", format!("http://localhost:{}/", CLOSED.port()), 1, "failed: connection refused".to_string()),
        ("--post", unreachable, 1, "failed: unreachable".to_string()),
        ("--post", "http://unix:/no/socket:/".to_string(), 1, "failed: no such socket".to_string()),
    ];
    each(both.chain(nobody), |(option, url, status, says)| {
        // What must not be cut off is ended by hand once its line is there, so that it has all the time it needs.
        let (duration, timeout) = if says.contains("timed out") { ("0.6", "0.2") } else { ("infinity", "60") };
        let mut running = start(&mut program(&[duration, option, &url, "--timeout", timeout]), Stdio::piped());
        running.line();
        let line = running.line();
        assert!(line.contains(&format!("{} {url}", &option[2..].to_uppercase())) && line.ends_with(&says), "{line}");
        if duration == "infinity" {
            assert_eq!(line.starts_with("error: "), status == 1, "{line}");
        } else {
            let run = running.finish();
            assert!(run.status == status && run.slept(600), "{option} {url}: {run:?}");
        }
    });
}

/// What a request came to costs the exit status, and not the drain.
#[test]
fn exit_status() {
    let address = serve(|_, mut stream| app(&mut stream));
    for (path, status) in [("/200", 0), ("/303-to-/x", 0), ("/301-to-/x", 1), ("/500", 1)] {
        // Long enough for one exchange on the slowest machine.
        let (post, get) = (format!("http://{address}{path}"), format!("http://{address}/200"));
        let run = run(&["3", "--post", &post, "--get", &get, "--timeout=60"]);
        assert!(run.status == status && run.slept(3000), "{path}: {run:?}");
    }
}

/// A request that a socket does not take at once is sent by and by, until its time is up.
#[test]
fn longer_than_a_socket_is() {
    let path = fresh_path("nobody-reads");
    let _listener = UnixListener::bind(&*path).unwrap();
    let reads = serve_unix(|_, mut stream| {
        let all = read_request(&mut stream).len() > 480_000;
        answer(&mut stream, if all { 200 } else { 500 });
    });
    let header = format!("--header=A: {}", "x".repeat(120_000));
    for (socket, timeout, says) in [(&reads, "60", ": 200"), (&path, "0.1", " failed: timed out")] {
        let get = format!("http://unix:{}:/", socket.display());
        let arguments = ["infinity", "--get", &get, "--timeout", timeout, &header, &header, &header, &header];
        let mut running = start(&mut program(&arguments), Stdio::piped());
        running.line();
        assert!(running.line().ends_with(&format!("GET {get}{says}")));
    }
}

/// The first takes all the time that there is.
#[test]
fn no_time_is_left() {
    let silent = format!("http://{}/", serve(|_, mut stream| hold(&mut stream)));
    let run = run(&["0.5", "--get", &silent, "--post", &silent, "--timeout=60"]);
    assert!(run.status == 1 && run.slept(500), "{run:?}");
    assert!(run.says(&format!("error: POST {silent} failed: no time was left to send it")), "{run:?}");
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
    let arguments =
        ["infinity", "--post", &paths[0], "--get", &paths[1], "--header=X-A: 1", "--post", &paths[2], "--timeout=60"];
    let mut running = start(&mut program(&arguments), Stdio::piped());
    let log = [(); 4].map(|()| running.line());
    assert!(
        log[1].ends_with("/a: 200") && log[2].ends_with("/b failed: 500") && log[3].ends_with("/c: 200"),
        "{log:?}"
    );
    let version = env!("CARGO_PKG_VERSION");
    for (method, path, length) in
        [("POST", "/a", "Content-Length: 0\r\n"), ("GET", "/b", ""), ("POST", "/c", "Content-Length: 0\r\n")]
    {
        let expected = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{length}User-Agent: drain-sleep/{version}\r\n\
             Accept: */*\r\nX-A: 1\r\n\r\n"
        );
        assert_eq!(requests.recv().unwrap(), expected);
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
