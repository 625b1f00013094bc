//! A small HTTP app, such as a distroless image holds: what the tests drain, and what the manifests beside it run.
//!
//! It answers `/` and `/readyz`, is unready from `POST /drain` or SIGTERM on, and goes on serving for a while after
//! SIGTERM. Environment: `PORT` (8080), and `SHUTDOWN_SECONDS` (0) from SIGTERM to its exit.

use std::env;
use std::ffi::c_int;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

const SIGTERM: c_int = 15; // signal(7)

unsafe extern "C" {
    fn signal(number: c_int, handler: extern "C" fn(c_int)) -> usize;
}

static DRAINING: AtomicBool = AtomicBool::new(false);
static TERMINATED: AtomicBool = AtomicBool::new(false);

fn main() -> io::Result<()> {
    let port = number("PORT", 8080);
    let shutdown = Duration::from_secs(number("SHUTDOWN_SECONDS", 0).into());
    // SAFETY: the handler does nothing but store to atomics.
    unsafe { signal(SIGTERM, on_sigterm) };
    thread::spawn(move || exit_after_sigterm(shutdown));
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    println!("app: serving on port {port}");
    for connection in listener.incoming().flatten() {
        // A client that goes away is no concern of the app's.
        thread::spawn(move || serve(&connection));
    }
    Ok(())
}

fn number(variable: &str, default: u16) -> u16 {
    env::var(variable)
        .map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{variable}={value}: no number")))
}

extern "C" fn on_sigterm(_: c_int) {
    DRAINING.store(true, Relaxed);
    TERMINATED.store(true, Relaxed);
}

fn exit_after_sigterm(shutdown: Duration) {
    while !TERMINATED.load(Relaxed) {
        thread::sleep(Duration::from_millis(20));
    }
    println!("app: SIGTERM");
    thread::sleep(shutdown);
    process::exit(0);
}

/// Answers the requests of one connection until the client closes it. They have no body.
fn serve(mut connection: &TcpStream) -> io::Result<()> {
    let mut lines = BufReader::new(connection).lines();
    while let Some(request) = lines.next().transpose()? {
        let mut close = false;
        for header in lines.by_ref() {
            let header = header?;
            close |= header.eq_ignore_ascii_case("connection: close");
            if header.is_empty() {
                break;
            }
        }
        let answer = format!("HTTP/1.1 {}\r\nContent-Length: 0\r\n\r\n", status(&request));
        connection.write_all(answer.as_bytes())?;
        if close {
            break;
        }
    }
    Ok(())
}

fn status(request: &str) -> &'static str {
    let mut words = request.split(' ');
    match (words.next(), words.next()) {
        (Some("GET"), Some("/readyz")) if DRAINING.load(Relaxed) => "503 Service Unavailable",
        (Some("GET"), Some("/" | "/readyz")) => "200 OK",
        (Some("POST"), Some("/drain")) => {
            DRAINING.store(true, Relaxed);
            println!("app: draining");
            "200 OK"
        }
        _ => "404 Not Found",
    }
}
