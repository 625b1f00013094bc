//! The few things that std cannot do, and all of the `unsafe` code they need.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_ulong, c_void};
use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

// Numbers of the kernel's that x86_64 and aarch64 share: include/uapi/asm-generic/{errno,poll,signal,fcntl}.h and
// include/linux/socket.h.
pub const EPERM: i32 = 1;
pub const ENOENT: i32 = 2;
pub const EBADF: i32 = 9;
pub const EAGAIN: i32 = 11;
pub const EACCES: i32 = 13;
pub const ENOTDIR: i32 = 20;
pub const EPIPE: i32 = 32;
pub const ELOOP: i32 = 40;
pub const EPROTOTYPE: i32 = 91;
pub const ENETUNREACH: i32 = 101;
pub const ECONNABORTED: i32 = 103;
pub const ECONNRESET: i32 = 104;
pub const EISCONN: i32 = 106;
pub const ENOTCONN: i32 = 107;
pub const ETIMEDOUT: i32 = 110;
pub const ECONNREFUSED: i32 = 111;
pub const EHOSTUNREACH: i32 = 113;
pub const EALREADY: i32 = 114;
pub const EINPROGRESS: i32 = 115;

pub const POLLIN: i16 = 0x1;
pub const POLLOUT: i16 = 0x4;
pub const POLLNVAL: i16 = 0x20;

pub const SIGINT: i32 = 2;
pub const SIGABRT: i32 = 6;
pub const SIGPIPE: i32 = 13;
pub const SIGTERM: i32 = 15;
pub const SIGXFSZ: i32 = 25;

pub const STDIN: RawFd = 0;
pub const STDOUT: RawFd = 1;
pub const STDERR: RawFd = 2;

pub const O_NONBLOCK: i32 = 0o4000;
pub const O_PATH: i32 = 0o10_000_000;

pub const AF_UNIX: u16 = 1;
pub const AF_INET: u16 = 2;
pub const AF_INET6: u16 = 10;
pub const AF_NETLINK: u16 = 16;
pub const SOCK_STREAM: i32 = 1;
pub const SOCK_RAW: i32 = 3;
const SOCK_NONBLOCK: i32 = 0o4000;
const SOCK_CLOEXEC: i32 = 0o2_000_000;

/// `struct pollfd`: a descriptor, what is asked of it, and what poll(2) says of it.
#[repr(C)]
pub struct PollFd {
    pub fd: RawFd,
    pub events: i16,
    pub revents: i16,
}

/// `struct timespec` of 64-bit Linux.
#[repr(C)]
struct Timespec {
    seconds: i64,
    nanos: i64,
}

// POSIX functions that std links but does not offer; the types are those of musl on 64-bit Linux.
unsafe extern "C" {

    fn poll(fds: *mut PollFd, count: c_ulong, timeout: c_int) -> c_int;
    fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int;
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int;
    fn connect(fd: c_int, address: *const c_void, length: c_uint) -> c_int;
    fn signal(number: c_int, handler: usize) -> usize;
    fn posix_spawn(
        pid: *mut c_int,
        path: *const c_char,
        actions: *const c_void,
        attributes: *const c_void,
        argv: *const *const c_char,
        envp: *const *const c_char,
    ) -> c_int;
    fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn _exit(status: c_int) -> !;
    static environ: *const *const c_char;
}

/// The arguments that a C `main` was given, without the program's name.
///
/// # Safety
/// `argc` and `argv` must be those of `main`, which last as long as the process.
pub unsafe fn arguments(argc: c_int, argv: *const *const c_char) -> Vec<&'static [u8]> {
    let count = usize::try_from(argc).unwrap_or_default();
    // SAFETY: C's `main` gets `argc` pointers to strings that end in NUL.
    (1..count).map(|n| unsafe { CStr::from_ptr(*argv.add(n)) }.to_bytes()).collect()
}

/// poll(2) on some descriptors, for `timeout` at most (rounded up to 1 ms).
///
/// # Errors
/// Those of poll(2), EINTR among them.
pub fn poll_all(fds: &mut [PollFd], timeout: Duration) -> io::Result<()> {
    const ALMOST_A_MILLISECOND: Duration = Duration::from_nanos(999_999);
    let millis = timeout.saturating_add(ALMOST_A_MILLISECOND).as_millis().try_into().unwrap_or(c_int::MAX);
    // SAFETY: as many valid structs as the count says.
    match unsafe { poll(fds.as_mut_ptr(), fds.len() as c_ulong, millis) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// [`poll_all`] for one descriptor: which of `events` are there, errors included.
///
/// # Errors
/// Those of poll(2), EINTR among them.
pub fn poll_one(fd: RawFd, events: i16, timeout: Duration) -> io::Result<i16> {
    let mut fds = [PollFd { fd, events, revents: 0 }];
    poll_all(&mut fds, timeout)?;
    Ok(fds[0].revents)
}

/// Nanoseconds on the monotonic clock. std's `Instant::now` panics where the clock is refused, which a panic handler that
/// asks for the time must not, and takes 6 KB for that.
pub fn monotonic() -> u64 {
    const CLOCK_MONOTONIC: c_int = 1;
    let mut time = Timespec { seconds: 0, nanos: 0 };
    // SAFETY: one valid struct.
    unsafe { clock_gettime(CLOCK_MONOTONIC, &raw mut time) };
    time.seconds as u64 * 1_000_000_000 + time.nanos as u64
}

/// socket(2), non-blocking and closed on exec. std's `File` reads and writes it.
///
/// # Errors
/// Those of socket(2).
pub fn new_socket(family: u16, kind: i32, protocol: i32) -> io::Result<File> {
    // SAFETY: no pointers.
    match unsafe { socket(family.into(), kind | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: the kernel has just given us this descriptor.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }.into()),
    }
}

/// connect(2) to a `sockaddr` given by its bytes.
///
/// # Errors
/// Those of connect(2); EINPROGRESS is one.
pub fn connect_to(socket: &File, address: &[u8]) -> io::Result<()> {
    let length = address.len().try_into().unwrap_or_default();
    // SAFETY: the kernel reads `length` bytes and no more.
    match unsafe { connect(socket.as_raw_fd(), address.as_ptr().cast(), length) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Runs a program to its end, with no stdout, and gives its exit status, or 128+n where signal n ended it. std's `Command`
/// does the same and weighs half as much as the rest of this program.
///
/// # Errors
/// Those of posix_spawn(3), execve(2)'s among them, and of waitpid(2).
pub fn run_program(argv: &[CString]) -> io::Result<i32> {
    let mut pointers: Vec<*const c_char> = argv.iter().map(|argument| argument.as_ptr()).collect();
    pointers.push(std::ptr::null());
    let mut pid = 0;
    let mut status = 0;
    // SAFETY: closing stdout can at worst fail. The pointers are to strings that end in NUL, and end in a null pointer
    // themselves; null actions and attributes mean none. Nothing changes the environment, this being the only thread.
    unsafe {
        drop(File::from_raw_fd(STDOUT));
        let error =
            posix_spawn(&raw mut pid, pointers[0], std::ptr::null(), std::ptr::null(), pointers.as_ptr(), environ);
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        while waitpid(pid, &raw mut status, 0) == -1 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
    Ok(ExitStatus::from_raw(status).code().unwrap_or(128 + (status & 0x7f)))
}

/// One of the descriptors 0 to 2, which stays open when this goes.
pub fn standard(fd: RawFd) -> ManuallyDrop<File> {
    // SAFETY: the number may be closed, which a write answers with EBADF; it is never closed from here.
    ManuallyDrop::new(unsafe { File::from_raw_fd(fd) })
}

/// Ends the process at once, running nothing: safe in a signal handler.
pub fn exit(status: i32) -> ! {
    // SAFETY: no pointers, and it does not return.
    unsafe { _exit(status) }
}

/// Ignores a signal.
pub fn ignore(number: i32) {
    const SIG_IGN: usize = 1;
    // SAFETY: SIG_IGN is a valid handler. It fails for bad numbers only.
    unsafe { signal(number, SIG_IGN) };
}

/// Calls `handler` when the signal comes. It may do only what signal-safety(7) allows.
pub fn handle(number: i32, handler: extern "C" fn(c_int)) {
    // SAFETY: the handler is a function that lasts as long as the process.
    unsafe { signal(number, handler as usize) };
}
