//! `--install PATH`: copies this program, from an init container to a volume that the app's container shares.

use std::fmt::Write;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::args::Opt;
use crate::log::{self, Bytes, Text};
use crate::run::{EXIT_FAILURE, EXIT_OK};
use crate::sys::{self, Errno};

const NAME: &str = "drain-sleep";
/// Read and run by everyone, written by no one.
const MODE: u32 = 0o555;
/// Exit status of a process that could not become the copy, and has said so: the shell's convention.
const EXIT_NOT_RUN: i32 = 126;
/// proc(5)
const OURSELVES: &[u8] = b"/proc/self/exe";

/// Copies this program to `path`, or into it if that is a directory or ends in `/`, and gives the exit status. Before the
/// copy takes its place it is run once, to check the rest of the line: a `noexec` mount or a mistake in the hook's
/// arguments shows now, and not when the drain is due.
pub fn install(path: &[u8], arguments: &[&[u8]]) -> i32 {
    let target = target(path);
    let shown = Bytes(&target);
    let failed = |what: &str, error: Errno| {
        log::error(format_args!("error: cannot install to '{shown}': {what}: {error}"));
        EXIT_FAILURE
    };
    let (copy, file) = match create_beside(&target) {
        Ok(created) => created,
        Err(error) => return failed("cannot create a file there", error),
    };
    let not_run = |error| {
        failed("cannot run the copy, is it mounted noexec?", error);
        EXIT_NOT_RUN
    };
    let filled = fill(file).map_err(|error| ("cannot copy /proc/self/exe there", error));
    let tried =
        filled.and_then(|()| try_out(&copy, arguments, &not_run).map_err(|error| ("cannot run the copy", error)));
    let status = match tried {
        Ok(EXIT_OK) => match sys::rename_file(&copy, &target) {
            Ok(()) => {
                log::info(format_args!("installed '{shown}'"));
                return EXIT_OK;
            }
            Err(error) => failed("cannot put the copy in place", error),
        },
        Ok(EXIT_NOT_RUN) => EXIT_FAILURE,
        Ok(status) => {
            let number = status.unsigned_abs();
            log::error(format_args!("error: cannot install to '{shown}': the copy exits with {number}"));
            EXIT_FAILURE
        }
        Err((what, error)) => failed(what, error),
    };
    let _ = sys::remove_file(&copy);
    status
}

/// What is to be replaced. `PATH/` can be opened only where PATH is a directory, or a link to one.
fn target(path: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if path.ends_with(b"/") { b"" } else { b"/" };
    let folder = [path, slash].concat();
    let is_folder = || !path.is_empty() && sys::open_file(&folder, sys::O_PATH, 0).is_ok();
    if slash.is_empty() || is_folder() { [&folder, NAME.as_bytes()].concat() } else { path.to_vec() }
}

/// A new file in the target's directory. Its name is the first that is free: every init container is PID 1, so that a
/// number of the process would not tell them apart, and what a killed run has left behind may be in use.
fn create_beside(target: &[u8]) -> Result<(Vec<u8>, OwnedFd), Errno> {
    let name_at = target.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
    let mut number = 0_u32;
    loop {
        let mut copy = Text(target[..name_at].to_vec());
        let _ = write!(copy, ".{NAME}.{number}");
        match sys::open_file(&copy.0, sys::O_WRONLY | sys::O_CREAT | sys::O_EXCL, MODE) {
            Err(sys::EEXIST) => number += 1,
            other => return Ok((copy.0, other?)),
        }
    }
}

fn fill(copy: OwnedFd) -> Result<(), Errno> {
    let ourselves = sys::open_file(OURSELVES, sys::O_RDONLY, 0)?;
    let mut buffer = vec![0; 16 * 1024]; // not on the stack: inlined into `main`, every run would touch it
    loop {
        match sys::read_some(&ourselves, &mut buffer)? {
            0 => break,
            count => sys::write_all(copy.as_raw_fd(), &buffer[..count])?,
        }
    }
    sys::set_mode(&copy, MODE)?; // whatever the umask
    sys::sync(&copy)
}

/// Runs the copy on the same line with `--check`, which then installs nothing.
fn try_out(copy: &[u8], arguments: &[&[u8]], not_run: &dyn Fn(Errno) -> i32) -> Result<i32, Errno> {
    let mut argv = vec![copy, Opt::Check.name().as_bytes()];
    argv.extend_from_slice(arguments);
    sys::run_program(&argv, not_run)
}
