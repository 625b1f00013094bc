//! `--install`, as far as it needs no container.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

use crate::support::{Fresh, PROGRAM, answers, fresh_path, program, run, run_command, run_shell, start};

fn is_a_copy(path: &Path) -> bool {
    let mode = fs::metadata(path).unwrap().permissions().mode();
    mode & 0o7777 == 0o555 && fs::read(path).unwrap() == fs::read(PROGRAM).unwrap()
}

/// A folder, and how to name things in it.
fn folder() -> (Fresh, impl Fn(&str) -> String) {
    let folder = fresh_path("install");
    fs::create_dir(&*folder).unwrap();
    let inside = folder.to_path_buf();
    (folder, move |name: &str| format!("{}/{name}", inside.display()))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn targets() {
    let (folder, path) = folder();
    let outside = fresh_path("outside");
    fs::create_dir(path("directory")).unwrap();
    symlink(path("directory"), path("link-to-directory")).unwrap();
    fs::write(&*outside, "untouched").unwrap();
    symlink(&*outside, path("link-to-file")).unwrap();
    fs::hard_link(&*outside, path("hard-link")).unwrap();
    symlink(path("nowhere"), path("dangling-link")).unwrap();
    symlink(path("loop"), path("loop")).unwrap();
    fs::write(path("file"), "old").unwrap();
    fs::write(path("read-only"), "old").unwrap();
    fs::set_permissions(path("read-only"), fs::Permissions::from_mode(0o444)).unwrap();
    for (target, lands_in) in [
        ("new", "new"),
        ("new", "new"), // again, over itself
        ("file", "file"),
        ("read-only", "read-only"),
        ("directory", "directory/drain-sleep"),
        ("directory/", "directory/drain-sleep"),
        ("directory/other", "directory/other"),
        ("link-to-directory", "directory/drain-sleep"),
        ("link-to-directory/", "directory/drain-sleep"),
        // A link is replaced, not written through.
        ("link-to-file", "link-to-file"),
        ("hard-link", "hard-link"),
        ("dangling-link", "dangling-link"),
        ("loop", "loop"),
    ] {
        let run = run(&["--install", &path(target), "20s", "--until-idle", "8080"]);
        assert_eq!((run.status, run.stdout.as_str()), (0, ""), "{target}: {run:?}");
        assert!(run.lines().len() == 1 && run.says("installed "), "{target}: {run:?}");
        assert!(is_a_copy(Path::new(&path(lands_in))), "{target}");
        assert!(!fs::symlink_metadata(path(lands_in)).unwrap().is_symlink(), "{target}");
    }
    assert_eq!(fs::read_to_string(&*outside).unwrap(), "untouched");
    let expected = [
        "dangling-link",
        "directory",
        "file",
        "hard-link",
        "link-to-directory",
        "link-to-file",
        "loop",
        "new",
        "read-only",
    ];
    assert_eq!(names(&folder), expected, "nothing is left behind");
    assert_eq!(names(Path::new(&path("directory"))), ["drain-sleep", "other"]);
}

#[test]
fn relative_to_the_working_directory() {
    let (_folder, path) = folder();
    for (target, lands_in) in [("x", "x"), ("./y", "y"), (".", "drain-sleep"), ("../in/z", "in/z")] {
        let inside = path("in");
        fs::create_dir_all(&inside).unwrap();
        let run = run_command(program(&["--install", target]).current_dir(&inside).env_clear());
        let lands_in = if target.contains("..") { path(lands_in) } else { format!("{inside}/{lands_in}") };
        assert!(run.status == 0 && is_a_copy(Path::new(&lands_in)), "{target}: {run:?}");
    }
    assert_eq!(names(Path::new(&path("in"))), ["drain-sleep", "x", "y", "z"]);
}

/// It says what a hook with the rest of the line would say, and neither drains nor logs to the hook's file.
#[test]
fn only_installs() {
    let (folder, path) = folder();
    let (address, requests) = answers(&[200]);
    let watch = format!("http://{address}/");
    let (log, target) = (path("log"), path("x"));
    let line = ["60", "--until-unready", &watch, "--post", &watch, "--log-file", &log];
    let installed = run(&[&["--install", &target], &line[..]].concat());
    assert!(installed.status == 0, "{installed:?}");
    assert_eq!((names(&folder), requests.load(Ordering::SeqCst)), (vec!["x".to_string()], 0));
    fs::remove_file(&target).unwrap();
    let checked = run(&[&["--check", "--install", &target], &line[..]].concat());
    assert!(checked.status == 0 && checked.stdout.contains("draining for 5s to 60s"), "{checked:?}");
    assert!(names(&folder).is_empty(), "--check installs nothing");
}

#[test]
fn whatever_the_umask() {
    let (_folder, path) = folder();
    let run = run_shell(&format!("umask 077; exec \"$0\" --install {}", path("x")));
    assert!(run.status == 0 && is_a_copy(Path::new(&path("x"))), "{run:?}");
}

#[test]
fn over_a_copy_that_runs() {
    let (_folder, path) = folder();
    assert_eq!(run(&["--install", &path("x")]).status, 0);
    let mut running = start(Command::new(path("x")).arg("0.5"), Stdio::piped());
    running.line();
    assert_eq!(run(&["--install", &path("x")]).status, 0);
    let run = running.finish();
    assert!(run.status == 0 && run.slept(500), "{run:?}");
}

#[test]
fn leftovers_and_others_are_in_nobodys_way() {
    let (folder, path) = folder();
    fs::write(path(".drain-sleep.0"), "a killed run's").unwrap();
    let run = run_shell(&format!(
        "for n in 1 2 3 4 5 6 7 8; do \"$0\" --install {0} 20s & done; wait; exec {0} 0",
        path("x")
    ));
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!(run.stderr.matches("installed").count(), 8, "{run:?}");
    assert_eq!(names(&folder), [".drain-sleep.0", "x"]);
    assert_eq!(fs::read_to_string(path(".drain-sleep.0")).unwrap(), "a killed run's");
}

#[test]
fn failures() {
    let (folder, path) = folder();
    fs::write(path("file"), "old").unwrap();
    fs::create_dir_all(path("full/drain-sleep")).unwrap();
    let long = path(&"x".repeat(300));
    let (file, missing, full) = (path("file"), path("missing"), path("full"));
    let (beyond, into_missing, into_file) = (format!("{missing}/x"), format!("{missing}/"), format!("{file}/"));
    let rows: &[(&[&str], i32, &str)] = &[
        (&[&beyond], 1, &beyond),
        (&[&into_missing], 1, &into_missing),
        (&[&into_file], 1, &into_file),
        (&[&full], 1, &full), // there is a directory where it should go
        (&[&long], 1, "filename too long"),
        (&[""], 1, "cannot install to ''"),
        (&["/proc/drain-sleep"], 1, "/proc/drain-sleep"),
        // Mistakes, of which the copy would die at the end of a pod.
        (&[&file, "20x"], 2, "'20x'"),
        (&[&file, "--min", "3"], 2, "no DURATION"),
        (&[&file, "20", "--bogus"], 2, "--bogus"),
        (&[&file, "--until-unready", "https://localhost/", "20"], 2, "https://localhost/"),
        (&[&file, "20", "$(NO_SUCH_VARIABLE)"], 2, "NO_SUCH_VARIABLE"),
        (&[&file, "--install", &file, "20"], 2, "--install is given twice"),
    ];
    for (arguments, status, says) in rows {
        let run = run_command(program(&[&["--install"], *arguments].concat()).current_dir(&*folder));
        assert!(run.status == *status && run.says(says), "{arguments:?}: {run:?}");
        assert!(run.lines().iter().all(|line| line.starts_with("error: ")) && run.stdout.is_empty(), "{run:?}");
        assert_eq!(names(&folder), ["file", "full"], "{arguments:?}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "old", "{arguments:?}");
    }
    assert_eq!(names(Path::new(&full)), ["drain-sleep"]);
}

/// However little of it can be read, `--install` and `--check` drain nothing.
#[test]
fn mistaken_itself() {
    for (arguments, says) in [
        (&["--install"][..], "--install has no value"),
        (&["--install", "--min", "0.1", "0.1"], "--install has no value"),
        (&["--install=$(NO_SUCH_VARIABLE)", "0.1"], "NO_SUCH_VARIABLE"),
        (&["--check=yes", "0.1"], "--check takes no value"),
    ] {
        let run = run(arguments);
        assert!(run.status == 2 && run.says(says) && !run.says("sleeping"), "{arguments:?}: {run:?}");
    }
}

#[test]
fn with_everything_closed() {
    let (_folder, path) = folder();
    let run = run_shell(&format!("exec \"$0\" --install {} 20s <&- >&- 2>&-", path("x")));
    assert!(run.status == 0 && is_a_copy(Path::new(&path("x"))), "{run:?}");
}
