//! What the tests share: runs of the binary, and servers that play a script.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The binary that is shipped, built by the same `cargo test --release`.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_drain-sleep");

/// Where nobody listens: a free port of the system's choice could be another test's server a moment later.
pub const CLOSED: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

/// How a run went.
#[derive(Debug)]
pub struct Run {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Run {
    /// The log's lines, without their prefix.
    pub fn lines(&self) -> Vec<&str> {
        self.stderr.lines().map(|line| line.strip_prefix("drain-sleep: ").expect("every line has the prefix")).collect()
    }

    pub fn says(&self, text: &str) -> bool {
        self.stderr.contains(text)
    }
}

pub fn run(arguments: &[&str]) -> Run {
    run_command(Command::new(PROGRAM).args(arguments))
}

/// Runs the binary by a shell script, in which it is `$0`.
pub fn run_shell(script: &str) -> Run {
    run_command(Command::new("sh").args(["-c", script, PROGRAM]))
}

pub fn run_command(command: &mut Command) -> Run {
    let began = Instant::now();
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    Run {
        status: output.status.code().expect("it exits by itself"),
        stdout: String::from_utf8(output.stdout).expect("ASCII"),
        stderr: String::from_utf8(output.stderr).expect("ASCII"),
        took: began.elapsed(),
    }
}

/// A path for one test's file or socket, which does not exist yet.
pub fn fresh_path(name: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let unique = format!("drain-sleep-{}-{}-{name}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    std::env::temp_dir().join(unique)
}

/// A TCP server on a port of its own, which hands each connection's number, counted from 0, and its stream to `serve`, in a
/// thread of its own.
pub fn serve<F>(serve: F) -> SocketAddr
where
    F: Fn(usize, std::net::TcpStream) + Clone + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let serve = serve.clone();
            thread::spawn(move || serve(number, stream));
        }
    });
    address
}

/// The same over a Unix socket.
pub fn serve_unix<F>(serve: F) -> PathBuf
where
    F: Fn(usize, std::os::unix::net::UnixStream) + Clone + Send + 'static,
{
    let path = fresh_path("socket");
    let listener = UnixListener::bind(&path).expect("a free path");
    thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let serve = serve.clone();
            thread::spawn(move || serve(number, stream));
        }
    });
    path
}

/// Reads a request's head, and gives it.
pub fn read_request(stream: &mut impl Read) -> String {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        request.push(byte[0]);
    }
    String::from_utf8_lossy(&request).into_owned()
}

/// An app that answers `/readyz` with 200 until that much time has passed since the first request, then with 503.
pub fn ready_for(time: Duration) -> SocketAddr {
    let first = std::sync::Arc::new(std::sync::OnceLock::new());
    serve(move |_, mut stream| {
        read_request(&mut stream);
        let ready = first.get_or_init(Instant::now).elapsed() < time;
        let status = if ready { "200 OK" } else { "503 Service Unavailable" };
        let _ = stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes());
    })
}
