//! System calls that std does not have, or has only in a form that makes the program much larger. The errors of a function are those
//! of the system call that it makes.

#![allow(unsafe_code)]

use std::ffi::{CStr, NulError, c_char, c_int, c_long, c_uint, c_ulong, c_void};
use std::fmt;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

// On the others, such as MIPS, the kernel's numbers differ. On 32 bits, the structures below are musl's.
#[cfg(not(any(
    all(target_pointer_width = "64", any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "powerpc64")),
    all(target_pointer_width = "64", any(target_arch = "riscv64", target_arch = "s390x", target_arch = "loongarch64")),
    all(target_env = "musl", any(target_arch = "x86", target_arch = "arm")),
)))]
compile_error!("the numbers and structures in this file may be wrong on this architecture");

// The kernel's numbers, which are the same on all these: include/uapi/asm-generic/{errno,poll,signal,fcntl}.h and
// include/linux/socket.h.
pub const EPERM: Errno = Errno(1);
pub const ENOENT: Errno = Errno(2);
pub const EINTR: Errno = Errno(4);
pub const EBADF: Errno = Errno(9);
pub const EAGAIN: Errno = Errno(11);
pub const EACCES: Errno = Errno(13);
pub const EEXIST: Errno = Errno(17);
pub const ENOTDIR: Errno = Errno(20);
pub const EINVAL: Errno = Errno(22);
pub const EPIPE: Errno = Errno(32);
pub const ELOOP: Errno = Errno(40);
pub const EPROTOTYPE: Errno = Errno(91);
pub const EPROTONOSUPPORT: Errno = Errno(93);
pub const EOPNOTSUPP: Errno = Errno(95);
pub const EAFNOSUPPORT: Errno = Errno(97);
pub const EADDRNOTAVAIL: Errno = Errno(99);
pub const ENETUNREACH: Errno = Errno(101);
pub const ECONNRESET: Errno = Errno(104);
pub const EISCONN: Errno = Errno(106);
pub const ETIMEDOUT: Errno = Errno(110);
pub const ECONNREFUSED: Errno = Errno(111);
pub const EHOSTUNREACH: Errno = Errno(113);
pub const EALREADY: Errno = Errno(114);
pub const EINPROGRESS: Errno = Errno(115);

pub const POLLIN: i16 = 0x1;
pub const POLLOUT: i16 = 0x4;
pub const POLLNVAL: i16 = 0x20;

pub const SIGHUP: i32 = 1;
pub const SIGINT: i32 = 2;
pub const SIGQUIT: i32 = 3;
pub const SIGABRT: i32 = 6;
pub const SIGPIPE: i32 = 13;
pub const SIGALRM: i32 = 14;
pub const SIGTERM: i32 = 15;
pub const SIGCHLD: i32 = 17;
pub const SIGTTOU: i32 = 22;
pub const SIGXFSZ: i32 = 25;

pub const STDIN: RawFd = 0;
pub const STDOUT: RawFd = 1;
pub const STDERR: RawFd = 2;

pub const O_RDONLY: i32 = 0;
pub const O_WRONLY: i32 = 1;
pub const O_CREAT: i32 = 0o100;
pub const O_EXCL: i32 = 0o200;
pub const O_APPEND: i32 = 0o2000;
pub const O_NONBLOCK: i32 = 0o4000;
/// Opens a path as no more than a place, which asks for no permission on what is there: open(2).
pub const O_PATH: i32 = 0o10_000_000;
const O_CLOEXEC: i32 = 0o2_000_000;

pub const AF_UNIX: u16 = 1;
pub const AF_INET: u16 = 2;
pub const AF_INET6: u16 = 10;
pub const AF_NETLINK: u16 = 16;
pub const SOCK_STREAM: i32 = 1;
pub const SOCK_DGRAM: i32 = 2;
pub const SOCK_RAW: i32 = 3;
const SOCK_NONBLOCK: i32 = 0o4000;
const SOCK_CLOEXEC: i32 = 0o2_000_000;

/// Why the kernel refused: errno(3). std's `io::Error` makes the program larger.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Errno(pub i32);

impl Errno {
    pub(super) fn last() -> Errno {
        // SAFETY: libc's own, which lasts as long as the thread.
        Errno(unsafe { *__errno_location() })
    }
}

impl From<NulError> for Errno {
    /// A path with a NUL in it.
    fn from(_: NulError) -> Errno {
        EINVAL
    }
}

impl fmt::Display for Errno {
    /// Writes libc's words, or better ones for an operator.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self.0 {
            1 => "operation not permitted",
            2 => "no such file or directory",
            5 => "i/o error",
            6 => "no process reads it",
            7 => "argument list too long",
            8 => "not an executable of this machine",
            11 => "too many processes",
            12 => "out of memory",
            13 => "permission denied",
            16 => "resource busy",
            17 => "file exists",
            20 => "not a directory",
            21 => "is a directory",
            22 => "invalid argument",
            23 | 24 => "too many open files",
            26 => "it is running",
            27 => "file too large",
            28 => "no space left on device",
            30 => "read-only file system",
            36 => "filename too long",
            38 => "not in this kernel",
            40 => "symbolic link loop",
            93 | 95 | 97 => "not supported",
            99 => "no free port or address",
            105 => "no buffer space available",
            110 => "operation timed out",
            122 => "quota exceeded",
            _ => "error",
        };
        write!(f, "{words} (errno {})", self.0.unsigned_abs())
    }
}

/// `struct pollfd`: a descriptor, what to wait for, and what poll(2) has found.
#[repr(C)]
pub struct PollFd {
    pub fd: RawFd,
    pub events: i16,
    pub revents: i16,
}

/// `struct timespec`. On 32 bits, the functions whose names musl has kept from before 2038 take this one, which is enough for times
/// since the start of the machine.
#[repr(C)]
struct Timespec {
    seconds: c_long,
    nanos: c_long,
}

/// `struct itimerval`. On 32 bits as for [`Timespec`].
#[repr(C)]
struct TimerValue {
    interval: [c_long; 2],
    seconds: c_long,
    micros: c_long,
}

/// `struct iovec`: some bytes.
#[repr(C)]
struct IoVec {
    base: *const c_void,
    length: usize,
}

/// `sigset_t`: 1024 bits.
#[repr(C)]
struct SignalSet([c_ulong; 1024 / c_ulong::BITS as usize]);

// Functions of musl, which std links anyway.
unsafe extern "C" {
    pub(super) static environ: *const *const c_char;
    fn poll(fds: *mut PollFd, count: c_ulong, timeout: c_int) -> c_int;
    fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int;
    fn read(fd: c_int, buffer: *mut c_void, length: usize) -> isize;
    fn write(fd: c_int, buffer: *const c_void, length: usize) -> isize;
    fn pwritev2(fd: c_int, parts: *const IoVec, count: c_int, offset: i64, flags: c_int) -> isize;
    fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int;
    fn connect(fd: c_int, address: *const c_void, length: c_uint) -> c_int;
    fn getsockname(fd: c_int, address: *mut c_void, length: *mut c_uint) -> c_int;
    fn getpeername(fd: c_int, address: *mut c_void, length: *mut c_uint) -> c_int;
    fn setitimer(which: c_int, new: *const TimerValue, before: *mut TimerValue) -> c_int;
    fn signal(number: c_int, handler: usize) -> usize;
    fn sigaddset(set: *mut SignalSet, number: c_int) -> c_int;
    fn sigprocmask(how: c_int, signals: *const SignalSet, before: *mut SignalSet) -> c_int;
    fn __errno_location() -> *const c_int;
    fn fchmod(fd: c_int, mode: c_uint) -> c_int;
    fn fsync(fd: c_int) -> c_int;
    #[link_name = "rename"]
    fn rename_path(from: *const c_char, to: *const c_char) -> c_int;
    #[link_name = "unlink"]
    fn remove(path: *const c_char) -> c_int;
    fn _exit(status: c_int) -> !;
}

/// Returns the arguments that a C `main` was given, without the program's name.
///
/// # Safety
/// `argc` and `argv` must be those of `main`, which last as long as the process.
pub unsafe fn arguments(argc: c_int, argv: *const *const c_char) -> impl Iterator<Item = &'static [u8]> + Clone {
    let count = usize::try_from(argc).unwrap_or_default();
    // SAFETY: C's `main` gets `argc` pointers to strings that end in NUL.
    (1..count).map(move |n| unsafe { CStr::from_ptr(*argv.add(n)) }.to_bytes())
}

/// Returns the value of an environment variable, or `None` if it is not set. It takes no memory; getenv(3) would want a NUL
/// behind the name.
pub fn variable(name: &[u8]) -> Option<&'static [u8]> {
    // SAFETY: environ(7) is an array of strings that end in NUL, and ends in null itself. Nothing changes the environment.
    let entries = (0..).map_while(|n| unsafe {
        let entry = *environ.add(n);
        (!entry.is_null()).then(|| CStr::from_ptr(entry).to_bytes())
    });
    entries.filter_map(|entry| entry.strip_prefix(name)?.strip_prefix(b"=")).next()
}

/// Calls poll(2) on some descriptors, for `timeout` at most, rounded up to 1 ms.
pub fn poll_all(fds: &mut [PollFd], timeout: Duration) -> Result<(), Errno> {
    const ALMOST_A_MILLISECOND: Duration = Duration::from_nanos(999_999);
    let millis = timeout.saturating_add(ALMOST_A_MILLISECOND).as_millis().try_into().unwrap_or(c_int::MAX);
    // SAFETY: as many valid structs as the count says.
    done(unsafe { poll(fds.as_mut_ptr(), fds.len() as c_ulong, millis) })
}

/// Returns the nanoseconds on the monotonic clock, or `None` if the kernel refuses. std's `Instant::now` would panic then, which
/// the panic hook must not, and makes the program 6 KB larger.
pub fn monotonic() -> Option<u64> {
    const CLOCK_MONOTONIC: c_int = 1;
    let mut time = Timespec { seconds: 0, nanos: 0 };
    // SAFETY: one valid struct.
    done(unsafe { clock_gettime(CLOCK_MONOTONIC, &raw mut time) }).ok()?;
    Some(time.seconds as u64 * 1_000_000_000 + time.nanos as u64)
}

/// Turns what most POSIX functions return into a result: -1 means that errno has the reason.
pub(super) fn done(result: c_int) -> Result<(), Errno> {
    if result == -1 { Err(Errno::last()) } else { Ok(()) }
}

/// Takes a descriptor that the kernel has just given us.
///
/// # Safety
/// No other owner may close it.
unsafe fn owned(result: c_int) -> Result<OwnedFd, Errno> {
    done(result)?;
    // SAFETY: it is not an error, and the caller promises that it is ours.
    Ok(unsafe { OwnedFd::from_raw_fd(result) })
}

/// Opens a file, closed on exec: open(2). `mode` counts if it is created. std's `File::open` and `rename` make the program
/// 4 KB larger.
pub fn open_file(path: &CStr, flags: i32, mode: u32) -> Result<OwnedFd, Errno> {
    // SAFETY: the path ends in NUL. The descriptor is new.
    unsafe { owned(open(path.as_ptr(), flags | O_CLOEXEC, mode)) }
}

/// Calls rename(2).
pub fn rename(from: &CStr, to: &CStr) -> Result<(), Errno> {
    // SAFETY: the paths end in NUL.
    done(unsafe { rename_path(from.as_ptr(), to.as_ptr()) })
}

/// Calls fchmod(2).
pub fn set_mode(file: &OwnedFd, mode: u32) -> Result<(), Errno> {
    // SAFETY: no pointers.
    done(unsafe { fchmod(file.as_raw_fd(), mode) })
}

/// Calls fsync(2).
pub fn sync(file: &OwnedFd) -> Result<(), Errno> {
    // SAFETY: no pointers.
    done(unsafe { fsync(file.as_raw_fd()) })
}

/// Calls socket(2): non-blocking, and closed on exec.
pub fn new_socket(family: u16, kind: i32, protocol: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: no pointers; the descriptor is new.
    unsafe { owned(socket(family.into(), kind | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol)) }
}

/// Calls connect(2) with the bytes of a `sockaddr`. EINPROGRESS is an error here.
pub fn connect_to(socket: &OwnedFd, address: &[u8]) -> Result<(), Errno> {
    // SAFETY: the kernel reads that many bytes and no more.
    done(unsafe { connect(socket.as_raw_fd(), address.as_ptr().cast(), address.len() as c_uint) })
}

/// Returns true if both ends of a TCP connection have the same address: getsockname(2), getpeername(2).
pub fn is_self_connected(socket: &OwnedFd) -> bool {
    let local = local_address(socket);
    local.is_some() && local == address(socket, getpeername)
}

/// Returns the IP address, as IPv4 if it is one in IPv6, and the port of our end of a TCP connection: getsockname(2).
pub fn local_address(socket: &OwnedFd) -> Option<(IpAddr, u16)> {
    address(socket, getsockname)
}

fn address(
    socket: &OwnedFd,
    get: unsafe extern "C" fn(c_int, *mut c_void, *mut c_uint) -> c_int,
) -> Option<(IpAddr, u16)> {
    const LONGEST: usize = 28; // sizeof(struct sockaddr_in6)
    let mut address = [0_u8; LONGEST];
    let mut length = LONGEST as c_uint;
    // SAFETY: it is one of these two, and the kernel writes at most as many bytes as the length says.
    done(unsafe { get(socket.as_raw_fd(), address.as_mut_ptr().cast(), &raw mut length) }).ok()?;
    let ip = match u16::from_ne_bytes([address[0], address[1]]) {
        AF_INET => IpAddr::from(*address[4..].first_chunk::<4>()?),
        AF_INET6 => IpAddr::from(*address[8..].first_chunk::<16>()?).to_canonical(),
        _ => return None,
    };
    Some((ip, u16::from_be_bytes([address[2], address[3]])))
}

/// Calls read(2). Returns how many bytes came, 0 at the end.
pub fn read_some(fd: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes that many bytes and no more.
    let count = unsafe { read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
    usize::try_from(count).map_err(|_| Errno::last())
}

/// Calls write(2). Returns how many bytes were taken.
pub fn write_some(fd: RawFd, bytes: &[u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel reads that many bytes and no more.
    let count = unsafe { write(fd, bytes.as_ptr().cast(), bytes.len()) };
    usize::try_from(count).map_err(|_| Errno::last())
}

/// Writes without waiting, even without O_NONBLOCK: RWF_NOWAIT of pwritev2(2), which pipes have since Linux 6.4.
///
/// # Errors
/// Those of pwritev2(2): EAGAIN if it would have to wait, EOPNOTSUPP and others if the kernel cannot tell.
pub fn write_nonblocking(fd: RawFd, bytes: &[u8]) -> Result<(), Errno> {
    const RWF_NOWAIT: c_int = 0x8;
    const CURRENT_OFFSET: i64 = -1;
    let bytes = IoVec { base: bytes.as_ptr().cast(), length: bytes.len() };
    // SAFETY: one valid struct, and the kernel reads the bytes that it names and no more.
    let count = unsafe { pwritev2(fd, &raw const bytes, 1, CURRENT_OFFSET, RWF_NOWAIT) };
    if count < 0 { Err(Errno::last()) } else { Ok(()) }
}

/// Calls write(2) until all is written.
pub fn write_all(fd: RawFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        bytes = &bytes[write_some(fd, bytes)?..];
    }
    Ok(())
}

/// Calls unlink(2), and ignores a failure. May be called from a signal handler.
pub fn unlink(path: &CStr) {
    // SAFETY: the path ends in NUL.
    unsafe { remove(path.as_ptr()) };
}

/// Ends the process at once, and runs nothing before. May be called from a signal handler.
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

/// Makes a signal do what it does by default.
pub fn reset(number: i32) {
    const SIG_DFL: usize = 0;
    // SAFETY: SIG_DFL is a valid handler. It fails for bad numbers only.
    unsafe { signal(number, SIG_DFL) };
}

/// Makes the kernel end this process by SIGALRM after some time, whatever it does then: setitimer(2). Even a system call that hangs
/// is ended by a signal whose default action is to end the process. (PID 1 is not: pid_namespaces(7).)
pub fn set_alarm(after: Duration) {
    const ITIMER_REAL: c_int = 0;
    let timer = TimerValue {
        interval: [0; 2], // once
        seconds: after.as_secs().try_into().unwrap_or(c_long::MAX),
        micros: after.subsec_micros() as c_long,
    };
    reset(SIGALRM);
    unblock(&[SIGALRM]);
    // SAFETY: one valid struct; with a null pointer the old one is not returned. If it fails, there is no timer.
    unsafe { setitimer(ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
}

/// Makes these signals wait until [`unblock`]: sigprocmask(2).
pub fn block(signals: &[i32]) {
    const SIG_BLOCK: c_int = 0;
    mask(SIG_BLOCK, signals);
}

/// Lets these signals come. Those that are waiting come at once: sigprocmask(2).
pub fn unblock(signals: &[i32]) {
    const SIG_UNBLOCK: c_int = 1;
    mask(SIG_UNBLOCK, signals);
}

fn mask(how: c_int, signals: &[i32]) {
    let mut set = SignalSet([0; _]);
    // SAFETY: one valid struct, which is an empty set at first; with a null pointer the old mask is not returned. They fail for a
    // bad number or `how` only.
    unsafe {
        for number in signals {
            sigaddset(&raw mut set, *number);
        }
        sigprocmask(how, &raw const set, std::ptr::null_mut());
    }
}

/// Calls `handler` when the signal comes. It must do only what signal-safety(7) allows.
pub fn set_signal_safe_handler(number: i32, handler: extern "C" fn(c_int)) {
    // SAFETY: the handler is a function that lasts as long as the process, and the caller keeps the promise of the name.
    unsafe { signal(number, handler as usize) };
}
