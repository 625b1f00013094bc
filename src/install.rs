//! `--install PATH`: copies this program, from an init container to a volume that the app's container shares.

use std::ffi::{CString, OsStr};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::args::CHECK;
use crate::log::{self, Bytes};
use crate::run::{EXIT_FAILURE, EXIT_OK};
use crate::sys;

const NAME: &str = "drain-sleep";
/// Read and run by everyone, written by no one.
const MODE: u32 = 0o555;
/// proc(5)
const OURSELVES: &str = "/proc/self/exe";

/// Copies this program to `path`, or into it if that is a directory or ends in `/`, and gives the exit status. Before the
/// copy takes its place it is run once, to check the rest of the line: a `noexec` mount or a mistake in the hook's
/// arguments shows now, and not when the drain is due.
pub fn install(path: &[u8], arguments: &[&[u8]]) -> i32 {
    let target = target(path);
    let shown = Bytes(target.as_os_str().as_bytes());
    let failed = |what: &str, error: io::Error| {
        log::error(format_args!("error: cannot install to {shown}: {what}: {error}"));
        EXIT_FAILURE
    };
    let (copy, file) = match create_beside(&target) {
        Ok(created) => created,
        Err(error) => return failed("cannot create a file there", error),
    };
    let status = match fill(file)
        .map_err(|e| ("cannot copy", e))
        .and_then(|()| try_out(&copy, arguments).map_err(|e| ("cannot run the copy, is it mounted noexec?", e)))
    {
        Ok(EXIT_OK) => match fs::rename(&copy, &target) {
            Ok(()) => {
                log::info(format_args!("installed {shown}"));
                return EXIT_OK;
            }
            Err(error) => failed("cannot put the copy in place", error),
        },
        Ok(status) => {
            log::error(format_args!("error: cannot install to {shown}: the copy exits with {status}"));
            status
        }
        Err((what, error)) => failed(what, error),
    };
    let _ = fs::remove_file(&copy);
    status
}

fn target(path: &[u8]) -> PathBuf {
    let target = Path::new(OsStr::from_bytes(path));
    if path.ends_with(b"/") || target.is_dir() { target.join(NAME) } else { target.to_path_buf() }
}

/// A new file in the target's directory. Its name is the first that is free: every init container is PID 1, so that a
/// number of the process would not tell them apart, and what a killed run has left behind may be in use.
fn create_beside(target: &Path) -> io::Result<(PathBuf, File)> {
    let mut number = 0_u32;
    loop {
        let copy = target.with_file_name(format!(".{NAME}.{number}"));
        match OpenOptions::new().write(true).create_new(true).mode(MODE).open(&copy) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            other => return Ok((copy, other?)),
        }
    }
}

fn fill(mut file: File) -> io::Result<()> {
    file.write_all(&fs::read(OURSELVES)?)?;
    file.set_permissions(Permissions::from_mode(MODE))?; // whatever the umask
    file.sync_all()
}

/// Runs the copy on the same line with `--check`, which then installs nothing.
fn try_out(copy: &Path, arguments: &[&[u8]]) -> io::Result<i32> {
    let line = [copy.as_os_str().as_bytes(), CHECK.as_bytes()].into_iter().chain(arguments.iter().copied());
    let argv: Result<Vec<CString>, _> = line.map(CString::new).collect();
    sys::run_program(&argv?)
}
