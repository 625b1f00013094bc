//! Whole drains against real servers. Their rules are tested in virtual time, in `src/drain.rs`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::support::{CLOSED, fresh_path, read_request, ready_for, run, serve};

const FAST: [&str; 4] = ["--period", "50ms", "--min", "200ms"];

fn url(address: SocketAddr) -> String {
    format!("http://{address}/readyz")
}

#[test]
fn a_plain_sleep() {
    let run = run(&["0.2", "300ms"]);
    assert_eq!((run.status, run.lines()), (0, vec!["sleeping 0.5s", run.lines()[1]]));
    assert!(run.took >= Duration::from_millis(500));
}

#[test]
fn ends_early_once_unready() {
    let address = ready_for(Duration::from_millis(400));
    let run = run(&[&["20", "--until-unready", &url(address)], &FAST[..]].concat());
    assert_eq!(run.status, 0);
    assert!(run.took >= Duration::from_millis(400) && run.took < Duration::from_secs(10), "{:?}", run.took);
    let lines = run.lines();
    assert!(lines[1].contains("is ready (200)") && lines[2].contains("is unready (503)"), "{lines:?}");
    assert!(lines[3].starts_with("drained after "), "{lines:?}");
}

#[test]
fn not_before_min() {
    let address = ready_for(Duration::from_millis(50));
    let run = run(&["20", "--until-unready", &url(address), "--period", "50ms", "--min", "1"]);
    assert!(run.took >= Duration::from_secs(1) && run.took < Duration::from_secs(10), "{:?}", run.took);
}

#[test]
fn never_ready_sleeps_in_full() {
    let arguments = |url: &str| [&["0.8", "--until-unready", url], &FAST[..]].concat().join(" ");
    let full = run(&arguments(&url(CLOSED)).split(' ').collect::<Vec<_>>());
    assert!(full.status == 0 && full.took >= Duration::from_millis(800), "{full:?}");
    assert!(full.lines().last().unwrap().contains("was never ready"), "{full:?}");
    let assumed =
        run(&[&arguments(&url(CLOSED)).split(' ').collect::<Vec<_>>()[..], &["--assume-ready", "20"]].concat());
    assert!(assumed.took >= Duration::from_millis(200) && assumed.took < Duration::from_secs(10), "{assumed:?}");
    assert!(assumed.lines().last().unwrap().starts_with("drained after"), "{assumed:?}");
}

#[test]
fn all_that_is_watched_must_hold() {
    let urls = [url(ready_for(Duration::from_millis(100))), url(ready_for(Duration::from_millis(700)))];
    let run = run(&[&["20", "--until-unready", &urls[0], "--until-unready", &urls[1]], &FAST[..]].concat());
    assert!(run.took >= Duration::from_millis(700) && run.took < Duration::from_secs(10), "{:?}", run.took);
}

#[test]
fn a_post_starts_the_drain() {
    let drained = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let address = serve(move |_, mut stream| {
        let request = read_request(&mut stream);
        if request.starts_with("POST /drain HTTP/1.1\r\n") && request.contains("\r\nContent-Length: 0\r\n") {
            drained.store(true, std::sync::atomic::Ordering::SeqCst);
        }
        let status = if drained.load(std::sync::atomic::Ordering::SeqCst) { "503 X" } else { "200 OK" };
        let status = if request.starts_with("POST") { "202 Accepted" } else { status };
        let _ = stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes());
    });
    let post = format!("http://{address}/drain");
    let run = run(&[&["20", "--until-unready", &url(address), "--post", &post], &FAST[..]].concat());
    assert!(run.status == 0 && run.took < Duration::from_secs(10), "{run:?}");
    let lines = run.lines();
    assert!(lines[1].contains("is ready (200)"), "the baseline comes first: {lines:?}");
    assert_eq!(lines[2], format!("POST {post}: 202"));
    assert!(lines[4].starts_with("drained after"), "{lines:?}");
}

/// A request that fails costs the exit status, and not the drain.
#[test]
fn requests() {
    let address = serve(|number, mut stream| {
        let request = read_request(&mut stream);
        let path = request.split(' ').nth(1).unwrap_or_default().to_string();
        let response = match (path.as_str(), number) {
            ("/moved", _) => "302 X\r\nLocation: /ok".to_string(),
            ("/stalls", _) => "200 X\r\nContent-Length: 9".to_string(),
            (path, _) => format!("{} X", path.trim_start_matches('/').replace("ok", "200")),
        };
        let _ = stream.write_all(format!("HTTP/1.1 {response}\r\n\r\n").as_bytes());
        let _ = stream.read(&mut [0]);
    });
    for (option, url, status, says) in [
        ("--get", format!("http://{address}/ok"), 0, ": 200"),
        ("--get", format!("http://{address}/399"), 0, ": 399"),
        ("--get", format!("http://{address}/moved"), 0, ": 200"),
        ("--get", format!("http://{address}/stalls"), 0, ": 200"),
        ("--get", format!("http://{address}/404"), 1, "failed: 404"),
        ("--post", format!("http://{address}/moved"), 0, ": 302"),
        ("--post", format!("http://{address}/500"), 1, "failed: 500"),
        ("--post", format!("http://{CLOSED}/"), 1, "failed: connection refused"),
        ("--post", "http://unix:/no/socket:/".to_string(), 1, "failed: no such socket"),
    ] {
        let run = run(&["0.3", option, &url]);
        assert_eq!(run.status, status, "{option} {url}: {run:?}");
        assert!(run.says(says) && run.took >= Duration::from_millis(300), "{option} {url}: {run:?}");
    }
    let none = run(&["0", "--get", &format!("http://{address}/ok")]);
    assert!(none.status == 1 && none.says("no time was left"), "{none:?}");
}

/// However a server behaves, DURATION is the end. The slack is for busy machines.
#[test]
fn a_hostile_server_cannot_hold_it() {
    fn forever(stream: &mut TcpStream, bytes: &[u8], pause: Duration) {
        while stream.write_all(bytes).is_ok() {
            thread::sleep(pause);
        }
    }
    let no_pause = Duration::ZERO;
    let drip = Duration::from_millis(100);
    type Behaviour = (&'static str, fn(&mut TcpStream, &[u8], Duration), &'static [u8], &'static [u8], Duration);
    let behaviours: [Behaviour; 6] = [
        ("says nothing", |_, _, _| thread::sleep(Duration::from_secs(3)), b"", b"", no_pause),
        ("drips", forever, b"HTTP/1.1 200 OK\r\nA: ", b"x", drip),
        ("drips a body", forever, b"HTTP/1.1 200 OK\r\n\r\n", b"x", drip),
        ("endless body", forever, b"HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 4096], no_pause),
        ("endless 1xx", forever, b"", b"HTTP/1.1 100 C\r\n\r\n", no_pause),
        ("endless headers", forever, b"HTTP/1.1 200 OK\r\n", b"A: b\r\n", no_pause),
    ];
    let running = behaviours.map(|(name, behave, head, rest, pause)| {
        let address = serve(move |_, mut stream| {
            read_request(&mut stream);
            let _ = stream.write_all(head);
            behave(&mut stream, rest, pause);
        });
        thread::spawn(move || {
            (name, run(&["0.7", "--until-unready", &url(address), "--period", "10ms", "--timeout", "20"]))
        })
    });
    for (name, run) in running.map(|row| row.join().unwrap()) {
        assert!(run.status == 0 && run.took >= Duration::from_millis(700), "{name}: {run:?}");
        assert!(run.took < Duration::from_secs(5), "{name}: {:?}", run.took);
    }
}

fn until_idle(port: u16, duration: &str) -> crate::support::Run {
    run(&[duration, "--until-idle", &port.to_string(), "--idle-after", "300ms", "--period", "50ms", "--min", "0"])
}

#[test]
fn silence() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    assert!(until_idle(port, "20").says("is idle (0 open)"));

    // Connections that stay open and silent do not hold it, and one that was just made does, for a while.
    let pool: Vec<_> =
        (0..3).map(|_| (TcpStream::connect(("127.0.0.1", port)).unwrap(), listener.accept().unwrap().0)).collect();
    let run = until_idle(port, "20");
    assert!(run.took >= Duration::from_millis(300) && run.took < Duration::from_secs(10), "{run:?}");
    assert!(run.says("is busy (3 of 3 connections)") && run.says("is idle (3 open)"), "{run:?}");

    // Bytes that the app has not read hold it to the end.
    (&pool[0].0).write_all(b"x").unwrap();
    thread::sleep(Duration::from_millis(400));
    let run = until_idle(port, "1");
    assert!(run.took >= Duration::from_secs(1) && run.says("is busy (1 of 3 connections)"), "{run:?}");
    (&pool[0].1).read_exact(&mut [0]).unwrap();

    // So does one that speaks now and then.
    let talker = pool[1].0.try_clone().unwrap();
    let mut hearer = pool[1].1.try_clone().unwrap();
    thread::spawn(move || while hearer.read(&mut [0]).is_ok_and(|count| count > 0) {});
    thread::spawn(move || {
        while (&talker).write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(100));
        }
    });
    let run = until_idle(port, "1");
    assert!(run.took >= Duration::from_secs(1) && run.says("is busy (1 of 3 connections)"), "{run:?}");
}

#[test]
fn a_port_that_nobody_listens_at() {
    let run = until_idle(CLOSED.port(), "0.6");
    assert!(
        run.took >= Duration::from_millis(600) && run.says("nothing listens") && run.says("was never ready"),
        "{run:?}"
    );
}

#[test]
fn a_unix_socket_that_goes_away() {
    let path = fresh_path("gone");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let url = format!("unix:{}", path.display());
    let removal = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        drop(listener);
        std::fs::remove_file(path).unwrap();
    });
    let run = run(&[&["20", "--until-unready", &url], &FAST[..]].concat());
    removal.join().unwrap();
    assert!(
        run.took >= Duration::from_millis(300) && run.says("is unready (no such socket)") && run.says("drained"),
        "{run:?}"
    );
}
