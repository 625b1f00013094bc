//! What the tests share: runs of the binary, and servers that play a script.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Deref;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// The binary that is shipped, built by the same `cargo test --release`.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_drain-sleep");

/// Where nobody listens: a free port of the system's choice could be another test's server a moment later.
pub const CLOSED: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// How late a busy machine may wake a sleeper, by the sleeper's own clock.
const LATE: Duration = Duration::from_secs(2);

/// No run comes near it unless it hangs.
const HANGS: Duration = Duration::from_secs(60);

/// Checks all rows, many at once, and fails when all have been checked.
pub fn each<T, I>(rows: I, check: impl Fn(T) + Sync)
where
    I: IntoIterator<Item = T, IntoIter: Send>,
{
    const AT_ONCE: usize = 24; // few enough for the 1024 descriptors that a process usually may have
    let rows = Mutex::new(rows.into_iter());
    let next = || rows.lock().expect("no panic in an iterator").next();
    let failed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(row) = next() {
                    let failure = catch_unwind(AssertUnwindSafe(|| check(row))).is_err();
                    failed.fetch_add(failure.into(), Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(failed.into_inner(), 0, "rows failed, see above");
}

/// How a run went.
#[derive(Debug)]
pub struct Run {
    /// The exit status, as a shell would give it: 128+n if signal n ended it.
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Run {
    /// The log's lines, without their prefix.
    pub fn lines(&self) -> Vec<&str> {
        self.stderr.lines().map(without_prefix).collect()
    }

    pub fn says(&self, text: &str) -> bool {
        self.stderr.contains(text)
    }

    /// It took that long or longer; what hangs is ended.
    pub fn lasted(&self, millis: u64) -> bool {
        self.took >= Duration::from_millis(millis)
    }

    /// It took that long, and was not held any longer: so says the last line of its log.
    pub fn slept(&self, millis: u64) -> bool {
        let last = *self.lines().last().expect("a last line");
        let seconds = last.strip_prefix("slept ").and_then(|rest| rest.split('s').next()?.parse().ok());
        let says =
            Duration::from_secs_f64(seconds.unwrap_or_else(|| panic!("it does not say how long it slept: {self:?}")));
        let least = Duration::from_millis(millis);
        self.took >= least && says >= least && says < least + LATE
    }
}

fn without_prefix(line: &str) -> &str {
    line.strip_prefix("drain-sleep: ").unwrap_or_else(|| panic!("no prefix: {line}"))
}

pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments);
    command
}

pub fn run(arguments: &[&str]) -> Run {
    run_command(&mut program(arguments))
}

/// Runs the binary by a shell script, in which it is `$0`.
pub fn run_shell(script: &str) -> Run {
    start_shell(script).finish()
}

/// The same, and it goes on.
pub fn start_shell(script: &str) -> Running {
    start(Command::new("sh").args(["-c", script, PROGRAM]), Stdio::piped())
}

pub fn run_command(command: &mut Command) -> Run {
    start(command, Stdio::piped()).finish()
}

/// A run that goes on. When it is dropped, it is ended.
pub struct Running {
    child: Child,
    stderr: Option<BufReader<ChildStderr>>,
    log: String,
    began: Instant,
    _watched: Sender<()>,
}

pub fn start(command: &mut Command, stderr: impl Into<Stdio>) -> Running {
    let began = Instant::now();
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).process_group(0);
    let mut child = command.spawn().expect("it starts");
    let stderr = child.stderr.take().map(BufReader::new);
    let _watched = end_if_it_hangs(child.id());
    Running { child, stderr, log: String::new(), began, _watched }
}

/// Ends a process group that hangs, lest its test hang as well. What is given back must be kept until it has ended.
fn end_if_it_hangs(group: u32) -> Sender<()> {
    let (watched, ended) = channel();
    thread::spawn(move || {
        if ended.recv_timeout(HANGS) == Err(RecvTimeoutError::Timeout) {
            let _ = Command::new("sh").args(["-c", &format!("kill -KILL -{group}")]).status();
        }
    });
    watched
}

impl Running {
    /// Waits for the next line of the log, and gives it without its prefix.
    pub fn line(&mut self) -> String {
        let at = self.log.len();
        self.stderr.as_mut().expect("stderr is a pipe").read_line(&mut self.log).expect("ASCII");
        without_prefix(&self.log[at..]).trim_end().to_string()
    }

    /// By kill(2) itself: until a busy machine has started a shell for it, the run may be over.
    pub fn signal(&self, name: &str) {
        unsafe extern "C" {
            safe fn kill(pid: i32, signal: i32) -> i32;
        }
        let number = match name {
            "HUP" => 1,
            "INT" => 2,
            "QUIT" => 3,
            "ABRT" => 6,
            "PIPE" => 13,
            "TERM" => 15,
            "CHLD" => 17,
            "CONT" => 18,
            "STOP" => 19,
            "TSTP" => 20,
            "TTOU" => 22,
            "URG" => 23,
            "XFSZ" => 25,
            "WINCH" => 28,
            _ => panic!("no number for SIG{name}"),
        };
        assert_eq!(kill(self.child.id() as i32, number), 0, "{name}");
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Run {
        if let Some(stderr) = &mut self.stderr {
            stderr.read_to_string(&mut self.log).expect("ASCII");
        }
        let mut stdout = String::new();
        self.child.stdout.take().expect("a pipe").read_to_string(&mut stdout).expect("ASCII");
        let status = self.child.wait().expect("it ends");
        let status = status.code().or(status.signal().map(|number| 128 + number)).expect("it has not stopped");
        Run { status, stdout, stderr: std::mem::take(&mut self.log), took: self.began.elapsed() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A path for one test's file, folder or socket, which does not exist yet, and no more when this is dropped.
pub struct Fresh(PathBuf);

pub fn fresh_path(name: &str) -> Fresh {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let unique = format!("drain-sleep-{}-{}-{name}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    Fresh(std::env::temp_dir().join(unique))
}

impl Deref for Fresh {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0).or_else(|_| fs::remove_dir_all(&self.0));
    }
}

/// Fills a pipe, a FIFO or a connection, so that the next write would wait for a reader.
pub fn fill(descriptor: impl Into<OwnedFd>) {
    // In std only sockets can be told not to wait, but any descriptor can be taken for one, and for a file.
    let socket = UnixStream::from(descriptor.into());
    socket.set_nonblocking(true).expect("it is open");
    let mut file = File::from(OwnedFd::from(socket));
    assert!(file.write(&[0; 4096]).is_ok(), "it has room at first");
    while file.write(&[0; 4096]).is_ok() {}
    UnixStream::from(OwnedFd::from(file)).set_nonblocking(false).expect("it is open");
}

/// A TCP server on a port of its own, which hands each connection's number, counted from 0, and its stream to `serve`, in a
/// thread of its own.
pub fn serve(serve: impl Fn(usize, TcpStream) + Clone + Send + 'static) -> SocketAddr {
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
pub fn serve_unix(serve: impl Fn(usize, UnixStream) + Clone + Send + 'static) -> Fresh {
    let path = fresh_path("socket");
    let listener = UnixListener::bind(&*path).expect("a free path");
    thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let serve = serve.clone();
            thread::spawn(move || serve(number, stream));
        }
    });
    path
}

/// What a server tells of a client. One that has failed tells nothing, and its test must not wait for ever.
pub fn told<T>(by_server: &Receiver<T>) -> T {
    by_server.recv_timeout(Duration::from_secs(60)).expect("the server tells what it has seen")
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

/// Keeps a connection open until the client has gone.
pub fn hold(stream: &mut impl Read) {
    while stream.read(&mut [0; 1024]).is_ok_and(|count| count > 0) {}
}

/// Answers a request with a status and no body.
pub fn answer(stream: &mut impl Write, status: u16) {
    let _ = stream.write_all(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").as_bytes());
}

/// An app that answers with 200 until that much time has passed since the first request, then with 503.
pub fn ready_for(time: Duration) -> SocketAddr {
    let first = Arc::new(OnceLock::new());
    serve(move |_, mut stream| {
        read_request(&mut stream);
        let now = Instant::now(); // so that the first is ready, however long a busy machine takes for this
        let ready = now - *first.get_or_init(|| now) < time;
        answer(&mut stream, if ready { 200 } else { 503 });
    })
}

/// An app that answers the first requests with these, and the others with the last of them. It counts them.
pub fn answers(statuses: &'static [u16]) -> (SocketAddr, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let requests = count.clone();
    let address = serve(move |_, mut stream| {
        read_request(&mut stream);
        let number = count.fetch_add(1, Ordering::SeqCst);
        answer(&mut stream, statuses[number.min(statuses.len() - 1)]);
    });
    (address, requests)
}

/// Takes the only place in a Unix socket's listen queue.
pub fn full_unix_queue(path: &Path) -> (UnixListener, UnixStream) {
    let listener = UnixListener::bind(path).expect("a free path");
    shorten_queue(&listener);
    let queued = UnixStream::connect(path).expect("one place");
    (listener, queued)
}

/// Takes the only place in a TCP port's listen queue.
pub fn full_tcp_queue() -> (TcpListener, TcpStream, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    shorten_queue(&listener);
    let address = listener.local_addr().expect("an address");
    let queued = TcpStream::connect(address).expect("one place");
    (listener, queued, address)
}

/// std asks for a queue as long as the system allows; listen(2) once more shortens it to one place.
fn shorten_queue(listener: &impl AsRawFd) {
    unsafe extern "C" {
        safe fn listen(fd: i32, backlog: i32) -> i32;
    }
    assert_eq!(listen(listener.as_raw_fd(), 0), 0);
}

pub fn url(address: SocketAddr) -> String {
    format!("http://{address}/readyz")
}
