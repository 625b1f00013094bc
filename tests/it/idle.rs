//! `--until-idle`, with real connections. What the kernel says of each state is tested in `src/net/inet_diag.rs`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use drain_sleep::net::inet_diag::{Activity, Error};
use drain_sleep::os::sys::Errno;

use crate::support::{
    CLOSED, Run, Running, answer, answers, each, fill, hold, program, read_request, ready_for, run, serve, start, url,
};

fn until_idle(port: u16, duration: &str, idle_after: &str) -> Running {
    let (port, fast) = (port.to_string(), ["--period", "50ms", "--timeout", "60", "--min", "0"]);
    let arguments = [&[duration, "--until-idle", &port, "--idle-after", idle_after], &fast[..]].concat();
    start(&mut program(&arguments), Stdio::piped())
}

const IDLE_AFTER: Duration = Duration::from_millis(500);

/// A drain that is ended when what is idle would long have been so.
fn a_while(port: u16) -> Run {
    let mut running = until_idle(port, "infinity", "500ms");
    running.line();
    running.line();
    thread::sleep(2 * IDLE_AFTER);
    running.signal("TERM");
    running.finish()
}

/// It was still there then, and its first look has found why.
fn was_held(run: &Run, port: u16, why: &str) {
    assert!(run.lines()[1].starts_with(&format!("port {port} is busy ({why}")), "{run:?}");
    assert_eq!(run.status, 143, "{run:?}");
}

fn is_held(port: u16, why: &str) {
    was_held(&a_while(port), port, why);
}

/// It is held by what is done again and again, with so many milliseconds in between.
fn is_held_by(port: u16, why: &str, millis: u64, mut act: impl FnMut() + Send) {
    loop {
        let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
        act(); // before the first look
        let over = AtomicBool::new(false);
        let run = thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(millis));
                    let now = Instant::now();
                    act();
                    longest = longest.max(last.elapsed());
                    last = now;
                }
            });
            let run = a_while(port);
            over.store(true, Ordering::SeqCst);
            run
        });
        // A machine so busy that the port did fall silent says nothing.
        if longest.max(last.elapsed()) < IDLE_AFTER {
            return was_held(&run, port, why);
        }
    }
}

/// What its first look finds.
fn finds(port: u16, idle_after: &str) -> String {
    let mut running = until_idle(port, "infinity", idle_after);
    running.line();
    running.line().split_once(" is ").expect("a verdict").1.to_string()
}

/// It ends early, with that many connections open.
fn is_not_held(port: u16, open: usize) {
    let run = until_idle(port, "60", "500ms").finish();
    assert!(run.status == 0, "{run:?}");
    assert!(run.says(&format!("is idle ({open} open)")) && run.says("drained after "), "{run:?}");
}

/// An app's listener, and a router's pool of connections to it.
fn app(connections: usize) -> (TcpListener, u16, Vec<(TcpStream, TcpStream)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let connect = |_| (TcpStream::connect(("127.0.0.1", port)).unwrap(), listener.accept().unwrap().0);
    let pool = (0..connections).map(connect).collect();
    (listener, port, pool)
}

#[test]
fn no_connection() {
    let (_app, port, _) = app(0);
    is_not_held(port, 0);
}

/// A connection that was just made counts as one on which data has just moved.
#[test]
fn open_and_silent() {
    let began = Instant::now();
    let (_app, port, _pool) = app(3);
    let run = until_idle(port, "60", "2s").finish();
    assert!(began.elapsed() >= Duration::from_secs(2), "{run:?}");
    assert!(run.says("is idle (3 open)") && run.says("drained after "), "{run:?}");
    // However late it looks.
    let found = finds(port, "10m");
    assert!(found.starts_with("busy (3 of 3 connections: moving) "), "{found}");
}

#[test]
fn one_that_speaks_now_and_then() {
    for app_speaks in [false, true] {
        let (_app, port, mut pool) = app(2);
        let (client, server) = pool.pop().unwrap();
        let (mut talker, mut hearer) = if app_speaks { (server, client) } else { (client, server) };
        thread::sleep(IDLE_AFTER); // so that the other one is idle
        // The app answers all that it hears.
        thread::spawn(move || {
            while hearer.read(&mut [0]).is_ok_and(|count| count > 0) {
                let _ = hearer.write_all(if app_speaks { b"" } else { b"y" });
            }
        });
        // Moving, if no byte is on its way.
        is_held_by(port, "1 of 2 connections: ", 50, || talker.write_all(b"x").unwrap());
    }
}

#[test]
fn bytes_that_the_app_has_not_read_or_not_answered() {
    let (_app, port, pool) = app(3);
    (&pool[0].0).write_all(b"x").unwrap();
    thread::sleep(Duration::from_millis(600));
    is_held(port, "1 of 3 connections: unread bytes");
    // It has read the request, and takes its time to answer.
    (&pool[0].1).read_exact(&mut [0]).unwrap();
    is_held(port, "1 of 3 connections: unanswered");
    (&pool[0].1).write_all(b"y").unwrap();
    is_not_held(port, 3);
    // The next request, on a connection that has had an answer before.
    (&pool[0].0).write_all(b"x").unwrap();
    (&pool[0].1).read_exact(&mut [0]).unwrap();
    thread::sleep(Duration::from_millis(600));
    is_held(port, "1 of 3 connections: unanswered");
}

/// Requests that come right behind an answer, in the same tick of the kernel's. All but the last are answered.
#[test]
fn a_request_right_behind_an_answer() {
    let (_app, port, pool) = app(16);
    let pass = |mut sender: &TcpStream, mut receiver: &TcpStream| {
        sender.write_all(b"x").unwrap();
        receiver.read_exact(&mut [0]).unwrap();
    };
    let exchange = |(client, server): &(TcpStream, TcpStream)| {
        pass(client, server);
        pass(server, client);
    };
    for connection in &pool {
        (0..50).for_each(|_| exchange(connection));
    }
    is_not_held(port, 16);
    for connection in &pool {
        exchange(connection);
        pass(&connection.0, &connection.1);
    }
    thread::sleep(Duration::from_millis(600));
    is_held(port, "16 of 16 connections: unanswered");
}

#[test]
fn bytes_that_the_client_has_not_taken() {
    let (_app, port, pool) = app(2);
    fill(pool[0].1.try_clone().unwrap());
    thread::sleep(Duration::from_millis(600));
    is_held(port, "1 of 2 connections: not taken by the client");
}

/// A client that the app has not accepted yet is a connection all the same.
#[test]
fn one_that_waits_to_be_accepted() {
    let (_app, port, _) = app(0);
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    thread::sleep(Duration::from_millis(600));
    is_held(port, "1 of 1 connections: unread bytes");
}

/// A side that was closed is no byte, though the kernel counts it as one.
#[test]
fn half_closed() {
    let (_app, port, mut pool) = app(3);
    pool[0].0.shutdown(Shutdown::Write).unwrap();
    is_not_held(port, 3);
    // Of a connection that the app has closed, nothing is left to wait for. Where it has shut its side alone, the client may still
    // send, as through a proxy's tunnel.
    let (_client, closed) = pool.pop().unwrap();
    drop(closed);
    let (mut client, mut server) = pool.pop().unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    thread::sleep(Duration::from_millis(200)); // until the clients' side has acknowledged it
    is_not_held(port, 2);
    thread::spawn(move || while server.read(&mut [0]).is_ok_and(|count| count > 0) {});
    // Moving, if no byte is still unread.
    is_held_by(port, "1 of 2 connections: ", 50, || client.write_all(b"x").unwrap());
}

/// An app that closes each connection after one answer, which has no length: 200 for that long, then 503.
fn one_answer_a_connection(good_answers: usize) -> u16 {
    let answer = move |n, mut stream: TcpStream| {
        read_request(&mut stream);
        let status = if n < good_answers { 200 } else { 503 };
        let _ = write!(stream, "HTTP/1.1 {status} X\r\n\r\n");
    };
    serve(answer).port()
}

/// A request on a connection of its own, which the app closes first.
fn request(port: u16) {
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    hold(&mut client);
}

fn requests_every(interval: Duration, port: u16) {
    thread::spawn(move || {
        loop {
            request(port);
            thread::sleep(interval);
        }
    });
}

/// At nearly every look no connection is open, but the kernel knows those that were closed.
#[test]
fn connections_that_last_one_request() {
    each([50, 100], |millis| {
        let port = one_answer_a_connection(usize::MAX);
        is_held_by(port, "", millis, || request(port));
    });
    each([1000, 2000], |millis| {
        let port = one_answer_a_connection(usize::MAX);
        requests_every(Duration::from_millis(millis), port);
        let run = until_idle(port, "60", "2s").finish();
        assert!(run.says("drained after "), "every {millis} ms: {run:?}");
    });
    let port = one_answer_a_connection(usize::MAX);
    (0..20).for_each(|_| request(port));
    thread::sleep(Duration::from_millis(200)); // until the last one is closed at both ends
    let found = finds(port, "60s");
    assert!(found.starts_with("busy (") && found.contains(" connections closed in 10s) "), "{found}");
    // With infinity, what is closed is closed.
    let found = finds(port, "infinity");
    assert!(found.starts_with("idle (0 open) "), "{found}");
    let run = until_idle(port, "60", "3s").finish();
    assert!(run.says("is idle (0 open)") && run.says("drained after "), "{run:?}");
}

/// Those of our checks and requests, whatever the order in which they are given, neither while they are open nor once the app has
/// closed them.
#[test]
fn our_own_connections_do_not_count() {
    const FAST: [&str; 9] = ["60", "--idle-after", "500ms", "--period", "50ms", "--timeout", "60", "--min", "0"];
    each([(false, false), (false, true), (true, false), (true, true)], |(idle_first, app_closes_first)| {
        const GOOD_ANSWERS: usize = 12;
        // The end of this answer is known, so that the client closes first, and the app when the next look has come.
        let closes_late = |n, mut stream: TcpStream| {
            read_request(&mut stream);
            answer(&mut stream, if n < GOOD_ANSWERS { 200 } else { 503 });
            thread::sleep(Duration::from_millis(30));
        };
        let port = if app_closes_first { one_answer_a_connection(GOOD_ANSWERS) } else { serve(closes_late).port() };
        let port = port.to_string();
        let url = format!("http://localhost:{port}/");
        let mut watches = [["--until-unready", &url], ["--until-idle", &port]];
        if idle_first {
            watches.reverse();
        }
        let run = run(&[&FAST[..], &watches.concat(), &["--post", &url]].concat());
        assert!(
            run.says("drained after "),
            "idle first: {idle_first}, the app closes first: {app_closes_first}: {run:?}"
        );
    });
}

#[test]
fn another_port_does_not_count() {
    let (_app, port, _) = app(0);
    let (_other, other_port, pool) = app(1);
    (&pool[0].0).write_all(b"x").unwrap();
    // Nor does a connection from the port's own program to another port.
    let _outward = TcpStream::connect(("127.0.0.1", other_port)).unwrap();
    is_not_held(port, 0);
}

/// IPv4 clients of a dual-stack listener are among its IPv6 connections.
#[test]
fn dual_stack() {
    let listener = TcpListener::bind("[::]:0").expect("IPv6");
    let port = listener.local_addr().unwrap().port();
    let clients = ["127.0.0.1", "::1"].map(|host| TcpStream::connect((host, port)).unwrap());
    (&clients[0]).write_all(b"x").unwrap();
    thread::sleep(Duration::from_millis(600));
    is_held(port, "1 of 2 connections: unread bytes");
}

#[test]
fn a_port_that_nobody_listens_at() {
    let full = until_idle(CLOSED.port(), "2", "10ms").finish();
    assert!(full.status == 0 && full.slept(2000), "{full:?}");
    assert!(full.says("nothing listens") && full.says("port 1 was never ready"), "{full:?}");
    let assumed = run(&["60", "--until-idle", "1", "--assume-ready", "--period", "10ms", "--min", "0.2"]);
    assert!(assumed.lasted(200) && assumed.says("drained after "), "{assumed:?}");
}

/// An app that stops listening may still have connections.
#[test]
fn a_listener_that_goes_away() {
    let (app, port, pool) = app(1);
    (&pool[0].0).write_all(b"x").unwrap(); // unread, so that it is busy, however late the first look comes
    let mut running = until_idle(port, "60", "2s");
    running.line();
    assert!(running.line().starts_with(&format!("port {port} is busy (1 of 1 connections: unread bytes)")));
    drop(app); // before the connection can fall idle
    let last = Instant::now();
    (&pool[0].0).write_all(b"x").unwrap();
    (&pool[0].1).read_exact(&mut [0; 2]).unwrap();
    (&pool[0].1).write_all(b"y").unwrap();
    let run = running.finish();
    assert!(last.elapsed() >= Duration::from_secs(2) && run.says("is idle (1 open, nothing listens)"), "{run:?}");
    assert!(run.says("drained after "), "{run:?}");
}

#[test]
fn with_a_url_both_must_hold() {
    let (_app, port, _) = app(0);
    let port = port.to_string();
    let fast = ["60", "--until-idle", &port, "--period", "10ms", "--min", "0", "--timeout", "30", "--until-unready"];
    let later = url(ready_for(Duration::from_millis(700)));
    let both = run(&[&fast[..], &[&later]].concat());
    assert!(both.lasted(700) && both.says("drained after "), "{both:?}");
    let ready = url(answers(&[200]).0);
    let one = run(&[&["0.5"], &fast[1..], &[&ready]].concat());
    assert!(one.slept(500) && !one.says("drained after "), "{one:?}");
}

/// The messages of netlink(7), without connections: each is padded, may be of another kind, and the last one may have an error.
#[test]
fn messages() {
    let message = |kind: u16, body: &[u8]| {
        let head = [&(16 + body.len() as u32).to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10]].concat();
        [&head[..], body, &vec![0; body.len().next_multiple_of(4) - body.len()]].concat()
    };
    const DONE: u16 = 3;
    const OTHER: u16 = 99;
    let told = |messages: &[Vec<u8>]| Activity::new(80, Duration::ZERO).receive(&messages.concat());
    assert_eq!(told(&[message(OTHER, b"x"), message(DONE, &[0; 4])]), Ok(true));
    assert_eq!(told(&[message(OTHER, b"")]), Ok(false));
    assert_eq!(told(&[message(DONE, &(-2_i32).to_ne_bytes())]), Err(Error::Refused(Errno(2))));
}
