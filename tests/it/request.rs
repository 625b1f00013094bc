//! `--get` and `--post`: a request is sent until it is heard, and what fails costs the exit status, and not the drain.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use crate::support::{
    CLOSED, answer, answers, each, fresh_path, hold, program, read_request, run, serve, serve_unix, start, start_shell,
    told, url,
};

/// `/N` answers N, and `/N-to-LOCATION` leads there; the other paths are as their names say.
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
        "/loop" => "307 X\r\nLocation: /loop".to_string(),
        "/to-absolute" => format!("303 X\r\nLocation: http://{here}/seen/~%C3%A9\u{e9}"),
        "/stalls" => "200 X\r\nContent-Length: 9".to_string(),
        "/stalls-by-307" => "307 X\r\nLocation: /post\r\nContent-Length: 9".to_string(),
        "/informs" => "103 X\r\n\r\nHTTP/1.1 404 X".to_string(),
        path => match path[1..].split_once("-to-") {
            Some((status, to)) => format!("{status} X\r\nLocation: {}", to.replace("HERE", &here)),
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

/// In what the log says, HERE stands for the URL without its path, and HOST for its host.
#[test]
fn outcomes() {
    const AWAY: &str = "a redirect to another host, which is not followed: http://example.com/";
    const AGAIN: &str = "; it is sent again every 1s";
    let address = serve(|_, mut stream| app(&mut stream));
    let socket = serve_unix(|_, mut stream| app(&mut stream));
    let rows = [
        ("--get", "/200", 0, ": 200"),
        ("--get", "/299", 0, ": 299"),
        ("--get", "/300", 1, "failed: 300"),
        ("--get", "/301-to-/get", 0, ": 204"),
        ("--get", "/303-to-/get", 0, ": 204"),
        ("--get", "/308-to-/get", 0, ": 204"),
        ("--get", "/302", 1, "failed: 302, a redirect without a Location"),
        ("--get", "/302-to-http://example.com/", 1, "failed: 302, AWAY"),
        (
            "--get",
            "/302-to-https://HERE/x",
            1,
            "failed: 302, a redirect to https, which cannot be followed: https://HOST/x",
        ),
        ("--get", "/stalls", 0, ": 200"),
        ("--get", "/302-to-/404", 1, "failed: 404"),
        ("--get", "/loop", 1, "failed: more than 9 redirects"),
        ("--get", "/404", 1, "failed: 404"),
        ("--get", "/500", 1, "failed: 500 AGAIN"),
        ("--get", "/599", 1, "failed: 599 AGAIN"),
        ("--get", "/307-to-/503", 1, "failed: 503 AGAIN"),
        ("--get", "/informs", 1, "failed: 404"),
        ("--get", "/silent", 0, ": no answer yet"),
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
        ("--post", "/302-to-http://example.com/", 1, "failed: 302, AWAY"),
        ("--post", "/307-to-http://example.com/", 1, "failed: 307, AWAY"),
        (
            "--post",
            "/308-to-https://HERE/x",
            1,
            "failed: 308, a redirect to https, which cannot be followed: https://HOST/x",
        ),
        ("--post", "/303-to-ftp://HERE/x", 1, "failed: redirect to a scheme that is not http"),
        ("--post", "/stalls", 0, ": 200"),
        ("--post", "/silent", 0, ": no answer yet"),
    ];
    let both = rows.into_iter().flat_map(|(option, path, status, says)| {
        let host = format!("localhost:{}", address.port());
        let says = says.replace("AWAY", AWAY).replace(" AGAIN", AGAIN);
        [(format!("http://{host}"), host), (format!("http://unix:{}:", socket.display()), "localhost".to_string())].map(
            |(here, host)| {
                (option, format!("{here}{path}"), status, says.replace("HERE", &here).replace("HOST", &host))
            },
        )
    });
    let nobody = [
        ("--get", format!("http://{CLOSED}/"), "connection refused"),
        ("--post", "http://255.255.255.255/".to_string(), "unreachable"), // TCP has no route to a broadcast address
        ("--post", "http://unix:/no/socket:/".to_string(), "no such socket"),
    ];
    let nobody = nobody.map(|(option, url, why)| (option, url, 1, format!("failed: {why}{AGAIN}")));
    each(both.chain(nobody), |(option, url, status, says)| {
        // The run is ended once its line is there, and has all the time that it needs.
        let timeout = if says.contains("no answer yet") { "0.2" } else { "60" };
        let mut running = start(&mut program(&["infinity", option, &url, "--timeout", timeout]), Stdio::piped());
        running.line();
        let line = running.line();
        let said = line.rsplit_once(" at ").map_or(line.as_str(), |(said, _)| said);
        assert!(said.contains(&format!("{} {url}", &option[2..].to_uppercase())) && said.ends_with(&says), "{line}");
        assert_eq!(line.starts_with("error: "), status == 1, "{line}");
    });
}

/// A drain that lasts for `--min`, and until its last request has been answered: what is watched has gone before.
const ANSWERED: [&str; 6] =
    ["60", "--until-unready=tcp://127.0.0.1:1", "--assume-ready", "--threshold=1", "--min=0.5", "--timeout=60"];

/// What a request came to costs the exit status, and not the drain.
#[test]
fn exit_status() {
    let address = serve(|_, mut stream| app(&mut stream));
    each([("/200", 0), ("/303-to-/x", 0), ("/301-to-/x", 1), ("/500", 1)], |(path, status)| {
        let (post, get) = (format!("http://{address}{path}"), format!("http://{address}/200"));
        let run = run(&[&ANSWERED[..], &["--post", &post, "--get", &get]].concat());
        assert!(run.status == status && run.lasted(500) && run.says("drained after "), "{path}: {run:?}");
    });
}

/// An app that is ready until one is told to be `over`.
fn ready_until(over: &Arc<AtomicBool>) -> String {
    let over = over.clone();
    url(serve(move |_, mut stream| {
        read_request(&mut stream);
        answer(&mut stream, if over.load(Ordering::SeqCst) { 503 } else { 200 });
    }))
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
    for (socket, timeout, says) in [(&reads, "60", ": 200 at "), (&path, "0.1", ": no answer yet")] {
        let get = format!("http://unix:{}:/", socket.display());
        let arguments = ["infinity", "--get", &get, "--timeout", timeout, &header, &header, &header, &header];
        let mut running = start(&mut program(&arguments), Stdio::piped());
        running.line();
        assert!(running.line().starts_with(&format!("GET {get}{says}")));
    }
}

/// The first takes all the time that there is.
#[test]
fn no_time_is_left() {
    let silent = format!("http://{}/", serve(|_, mut stream| hold(&mut stream)));
    let run = run(&["2", "--get", &silent, "--post", &silent, "--timeout=60"]);
    assert!(run.status == 1 && run.slept(2000), "{run:?}");
    assert!(run.says(&format!("error: GET {silent} was never heard: no answer")), "{run:?}");
    assert!(run.says(&format!("error: POST {silent} failed: no time was left to send it")), "{run:?}");
}

/// One failure is enough for the exit status, and none keeps the others from being sent: once, in the order of the line.
#[test]
fn in_order() {
    let (send, requests) = channel();
    let address = serve(move |_, mut stream| {
        let request = read_request(&mut stream);
        let status = if request.starts_with("GET /b ") { 404 } else { 200 };
        let _ = send.send(request);
        answer(&mut stream, status);
    });
    let paths = ["/a", "/b", "/c"].map(|path| format!("http://{address}{path}"));
    let arguments =
        ["infinity", "--post", &paths[0], "--get", &paths[1], "--header=X-A: 1", "--post", &paths[2], "--timeout=60"];
    let mut running = start(&mut program(&arguments), Stdio::piped());
    let log = [(); 4].map(|()| running.line());
    assert!(
        log[1].contains("/a: 200 at ") && log[2].ends_with("/b failed: 404") && log[3].contains("/c: 200 at "),
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
        assert_eq!(told(&requests), expected);
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
    assert!(run.says(&format!("POST {post}: 202 at ")) && run.says("is unready (503)"), "{lines:?}");
    assert!(lines[4].starts_with("drained after"), "{lines:?}");
}

/// Whatever becomes of a request, checks go on, and what they find ends the drain, once the request has had its `--timeout`.
#[test]
fn checks_go_on() {
    let silent = format!("http://{}/", serve(|_, mut stream| hold(&mut stream)));
    let nobody = format!("http://{CLOSED}/");
    for (post, why) in [(&silent, "no answer"), (&nobody, "connection refused")] {
        let (address, _) = answers(&[200, 503]);
        // A check has no more time than the request: a busy machine may lose the first one's answer.
        let arguments = ["60", "--until-unready", &url(address), "--assume-ready", "--post", post];
        let run = run(&[&arguments[..], &["--period=10ms", "--min=0", "--timeout=2"]].concat());
        assert!(run.status == 1 && run.says("drained after "), "{run:?}");
        assert!(run.says(&format!("error: POST {post} was never heard: {why}")), "{run:?}");
    }
}

/// What a server does with the first request, in the log's words; the second one is then heard.
#[test]
fn sent_again() {
    let rows: [(&str, &str); 8] = [
        ("408", "HTTP/1.1 408 X\r\n\r\n"),
        ("429", "HTTP/1.1 429 X\r\n\r\n"),
        ("500", "HTTP/1.1 500 X\r\n\r\n"),
        ("503", "HTTP/1.1 503 X\r\n\r\n"),
        ("504", "HTTP/1.1 504 X\r\n\r\n"),
        ("connection closed", ""),
        ("connection closed", "HTTP/1.1 200 X\r\n"),
        ("connection reset", "unread"),
    ];
    each(rows, |(why, first)| {
        let over = Arc::new(AtomicBool::new(false));
        let ready = ready_until(&over);
        let address = serve(move |number, mut stream| {
            if first == "unread" && number == 0 {
                let _ = stream.read(&mut [0]);
                return;
            }
            read_request(&mut stream);
            let _ = stream.write_all(if number == 0 { first.as_bytes() } else { b"HTTP/1.1 202 X\r\n\r\n" });
            if number > 0 {
                over.store(true, Ordering::SeqCst);
            }
        });
        let post = format!("http://{address}/");
        let options = ["--threshold=1", "--min=0", "--period=0.1", "--timeout=60"];
        let run = run(&[&["60", "--until-unready", &ready, "--post", &post], &options[..]].concat());
        let lines = run.lines();
        assert!(run.status == 0 && run.says("drained after ") && lines.len() == 6, "{why}: {run:?}");
        assert_eq!(lines[2], format!("error: POST {post} failed: {why}; it is sent again every 0.1s"));
        assert!(run.says(&format!("drain-sleep: POST {post}: 202 at ")), "{why}: {run:?}");
    });
}

/// An app that begins to listen late is told.
#[test]
fn until_somebody_listens() {
    // No other test has this address. Its ports stay free.
    let address = TcpListener::bind("127.0.19.1:0").unwrap().local_addr().unwrap();
    let path = fresh_path("late");
    for url in [format!("http://{address}/"), format!("http://unix:{}:/", path.display())] {
        let mut running =
            start(&mut program(&["infinity", "--post", &url, "--period=0.1", "--timeout=60"]), Stdio::piped());
        running.line();
        assert!(running.line().ends_with("; it is sent again every 0.1s"));
        if url.contains("unix:") {
            let (mut stream, _) = UnixListener::bind(&*path).unwrap().accept().unwrap();
            read_request(&mut stream);
            answer(&mut stream, 202);
        } else {
            let (mut stream, _) = TcpListener::bind(address).unwrap().accept().unwrap();
            read_request(&mut stream);
            answer(&mut stream, 202);
        }
        assert!(running.line().starts_with(&format!("POST {url}: 202 at ")));
    }
}

/// An answer that is final is asked for once, a malformed one too.
#[test]
fn sent_once() {
    for (response, status) in [
        ("HTTP/1.1 202 X\r\n\r\n", 0),
        ("HTTP/1.1 404 X\r\n\r\n", 1),
        ("HTTP/1.1 301 X\r\nLocation: /x\r\n\r\n", 1),
        ("HTTP/1.1 2x0 X\r\n\r\n", 1),
        ("HTTP/1.1 302 X\r\nLocation: /%zz\r\n\r\n", 1),
    ] {
        let (send, requests) = channel();
        let address = serve(move |_, mut stream| {
            let _ = send.send(read_request(&mut stream));
            let _ = stream.write_all(response.as_bytes());
        });
        let run = run(&[&ANSWERED[..], &["--post", &format!("http://{address}/"), "--period=10ms"]].concat());
        assert!(run.status == status && run.says("drained after "), "{response}: {run:?}");
        assert_eq!(requests.try_iter().count(), 1, "{response}: {run:?}");
    }
}

/// A request that is not answered in time holds up the next one no longer than that. Its answer counts whenever it comes.
#[test]
fn a_late_answer_counts() {
    let (tell, told) = channel();
    let told = Arc::new(Mutex::new(told));
    let over = Arc::new(AtomicBool::new(false));
    let ready = ready_until(&over);
    let slow = serve(move |_, mut stream| {
        read_request(&mut stream);
        let _ = told.lock().unwrap().recv();
        answer(&mut stream, 200);
        over.store(true, Ordering::SeqCst);
    });
    let quick = serve(move |_, mut stream| {
        read_request(&mut stream);
        answer(&mut stream, 200);
        let _ = tell.send(());
    });
    let [slow, quick] = [slow, quick].map(|address| format!("http://{address}/"));
    let options = ["--until-unready", &ready, "--assume-ready", "--threshold=1", "--min=0", "--timeout=0.2"];
    let run = run(&[&["60", "--post", &slow, "--get", &quick], &options[..]].concat());
    assert!(run.status == 0 && run.says("drained after "), "{run:?}");
    assert!(run.says(&format!("POST {slow}: no answer yet")), "{run:?}");
    assert!(run.says(&format!("GET {quick}: 200 at ")) && run.says(&format!("POST {slow}: 200 at ")), "{run:?}");
}

/// Many frameworks cancel a handler whose client has gone: the connection stays open until the drain ends, whatever the server
/// does with it.
#[test]
fn never_hung_up_on() {
    /// Streams, or waits for the client's end if `says` is empty.
    fn lasts(stream: &mut TcpStream, says: &[u8]) {
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        loop {
            let is_gone = match stream.read(&mut [0]) {
                Ok(count) => count == 0,
                Err(error) => error.kind() != ErrorKind::WouldBlock,
            };
            if is_gone || stream.write_all(says).is_err() {
                return;
            }
        }
    }
    let rows: [(&str, &[u8], &[u8]); 4] = [
        ("it streams", b"HTTP/1.1 200 X\r\n\r\n", &[b'x'; 10_000]),
        ("it works on after the head", b"HTTP/1.1 200 X\r\n\r\n", b""),
        ("it has said all, but works on", b"HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n", b""),
        ("it has not answered", b"", b""),
    ];
    each(rows, |(name, head, then)| {
        let (send, hung_up) = channel();
        let address = serve(move |_, mut stream| {
            read_request(&mut stream);
            let _ = stream.write_all(head);
            if name == "it has said all, but works on" {
                stream.shutdown(Shutdown::Write).unwrap();
            }
            lasts(&mut stream, then);
            let _ = send.send(());
        });
        let over = Arc::new(AtomicBool::new(false));
        let (ready, post) = (ready_until(&over), format!("http://{address}/"));
        let options = ["--until-unready", &ready, "--assume-ready", "--threshold=1", "--min=0", "--timeout=0.5"];
        let mut running = start(&mut program(&[&["60", "--post", &post], &options[..]].concat()), Stdio::piped());
        while !running
            .line()
            .starts_with(&format!("POST {post}: {}", if head.is_empty() { "no answer yet" } else { "200" }))
        {}
        thread::sleep(Duration::from_millis(1500));
        assert!(hung_up.try_recv().is_err(), "{name}");
        over.store(true, Ordering::SeqCst);
        let run = running.finish();
        assert!(run.status == i32::from(head.is_empty()) && run.says("drained after "), "{name}: {run:?}");
        told(&hung_up);
    });
}

/// A request's own connection is no traffic, however long its answer is.
#[test]
fn a_request_keeps_no_port_busy() {
    let address = serve(|_, mut stream| {
        read_request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 X\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(10));
        }
    });
    let (port, post) = (address.port().to_string(), format!("http://{address}/"));
    let run = run(&["60", "--until-idle", &port, "--post", &post, "--min=0", "--period=0.1", "--timeout=60"]);
    assert!(run.status == 0 && run.says("drained after "), "{run:?}");
}

/// A connection that stays open takes a descriptor. Where there is none left, checks say nothing, and requests are sent again.
#[test]
fn no_descriptor_left() {
    let app = format!("http://{}/", answers(&[200]).0);
    for (limit, says) in [
        (4, &["is ready (200)", ": 200 at ", "is not known (too many open files"][..]),
        (3, &["is not known (too many open files", "failed: too many open files"]),
    ] {
        let options = "--period 10ms --min 0 --threshold 1 --timeout 60";
        let script = format!("ulimit -n {limit}; exec \"$0\" infinity --until-unready {app} --post {app} {options}");
        let mut running = start_shell(&script);
        running.line();
        let log: Vec<_> = says.iter().map(|_| running.line()).collect();
        assert!(says.iter().all(|text| log.iter().any(|line| line.contains(text))), "{log:?}");
        thread::sleep(Duration::from_millis(300));
        running.signal("TERM");
        assert_eq!(running.finish().status, 143, "{log:?}");
    }
}
