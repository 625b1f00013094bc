//! `--install PATH`: copies this program, from an init container to a volume that the app's container shares.

use std::ffi::{CStr, CString};
use std::fmt::{self, Write as _};
use std::os::fd::{AsRawFd, OwnedFd};

use crate::cli::args::Opt;
use crate::exit;
use crate::failsafe;
use crate::os::log;
use crate::os::process;
use crate::os::sys::{self, Errno};
use crate::text::Bytes;

const NAME: &str = "drain-sleep";
/// Read and run by everyone, written by no one.
const MODE: u32 = 0o555;
/// proc(5)
const OURSELVES: &CStr = c"/proc/self/exe";

/// Copies this program to `path`, or into it if that is a directory or ends in `/`, and returns the exit status. Before the
/// copy takes its place it is run once, to check the rest of the command line: a `noexec` mount or a mistake in the hook's
/// arguments shows now, and not when the drain is due.
pub fn install(path: &[u8], arguments: &[&[u8]]) -> i32 {
    let target = target(path);
    let shown = Bytes(&target);
    let failed = |what: &str, error: Errno| {
        log::error(format_args!("error: cannot install to '{shown}': {what}: {error}"));
        exit::FAILURE
    };
    let (copy, file) = match create_beside(&target) {
        Ok(created) => created,
        Err(error) => return failed("cannot create a file there", error),
    };
    let filled = fill(file).map_err(|error| ("cannot copy /proc/self/exe there", error));
    let why = format_args!("cannot install to '{shown}': cannot run the copy, is it mounted noexec?");
    let tried = filled.and_then(|()| try_out(&copy, arguments, why).map_err(|error| ("cannot run the copy", error)));
    let status = match tried {
        Ok(exit::OK) => match put_in_place(&copy, &target) {
            Ok(()) => {
                log::info(format_args!("installed '{shown}'"));
                return exit::OK;
            }
            Err(error) => failed("cannot put the copy in place", error),
        },
        Ok(exit::NOT_RUN) => exit::FAILURE,
        Ok(status) => {
            let number = status.unsigned_abs();
            log::error(format_args!("error: cannot install to '{shown}': the copy exits with {number}"));
            exit::FAILURE
        }
        Err((what, error)) => failed(what, error),
    };
    failsafe::remove_unfinished();
    status
}

/// The file to replace. `PATH/` can be opened only where PATH is a directory, or a link to one.
fn target(path: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if path.ends_with(b"/") { b"" } else { b"/" };
    let folder = [path, slash].concat();
    let opens = || CString::new(&*folder).is_ok_and(|folder| sys::open_file(&folder, sys::O_PATH, 0).is_ok());
    if slash.is_empty() || !path.is_empty() && opens() { [&folder, NAME.as_bytes()].concat() } else { path.to_vec() }
}

/// Creates a file in the target's directory. Its name is the first that is free: every init container is PID 1, so the number of
/// the process would not tell them apart, and what a killed run has left behind may be in use.
fn create_beside(target: &[u8]) -> Result<(CString, OwnedFd), Errno> {
    let name_at = target.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
    let mut number = 0_u32;
    loop {
        let mut name = String::new();
        let _ = write!(name, ".{NAME}.{number}");
        let path = CString::new([&target[..name_at], name.as_bytes()].concat())?;
        // No signal comes before it is known that the file is ours.
        sys::block(&failsafe::HANDLED);
        let file = sys::open_file(&path, sys::O_WRONLY | sys::O_CREAT | sys::O_EXCL, MODE);
        if file.is_ok() {
            failsafe::remove_at_end(path.clone());
        }
        sys::unblock(&failsafe::HANDLED);
        match file {
            Err(sys::EEXIST) => number += 1,
            other => return Ok((path, other?)),
        }
    }
}

fn fill(copy: OwnedFd) -> Result<(), Errno> {
    let ourselves = sys::open_file(OURSELVES, sys::O_RDONLY, 0)?;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match sys::read_some(&ourselves, &mut buffer)? {
            0 => break,
            count => sys::write_all(copy.as_raw_fd(), &buffer[..count])?,
        }
    }
    sys::set_mode(&copy, MODE)?; // whatever the umask
    sys::sync(&copy)
}

fn put_in_place(copy: &CStr, target: &[u8]) -> Result<(), Errno> {
    let target = CString::new(target)?;
    sys::block(&failsafe::HANDLED);
    let renamed = sys::rename(copy, &target);
    if renamed.is_ok() {
        failsafe::keep_file();
    }
    sys::unblock(&failsafe::HANDLED);
    renamed
}

/// Runs the copy on the same command line with `--check`, which then installs nothing. If it cannot be run, the log says
/// `failed`.
fn try_out(copy: &CStr, arguments: &[&[u8]], failed: fmt::Arguments) -> Result<i32, Errno> {
    let mut argv = vec![copy.to_bytes(), Opt::Check.name().as_bytes()];
    argv.extend_from_slice(arguments);
    process::run_program(&argv, failed, exit::NOT_RUN)
}
