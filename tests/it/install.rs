//! `--install`, as far as it needs no container.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::support::{PROGRAM, fresh_path, run, run_shell};

fn is_a_copy(path: &Path) -> bool {
    let mode = fs::metadata(path).unwrap().permissions().mode();
    mode & 0o7777 == 0o555 && fs::read(path).unwrap() == fs::read(PROGRAM).unwrap()
}

/// A folder, and how to name things in it.
fn folder() -> (std::path::PathBuf, impl Fn(&str) -> String) {
    let folder = fresh_path("install");
    fs::create_dir(&folder).unwrap();
    let inside = folder.clone();
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
    fs::write(&outside, "untouched").unwrap();
    symlink(&outside, path("link-to-file")).unwrap();
    fs::write(path("file"), "old").unwrap();
    for (target, lands_in) in [
        (path("new"), path("new")),
        (path("new"), path("new")), // again, over itself
        (path("file"), path("file")),
        (path("directory"), path("directory/drain-sleep")),
        (path("directory/"), path("directory/drain-sleep")),
        (path("link-to-directory"), path("directory/drain-sleep")),
        (path("link-to-file"), path("link-to-file")),
    ] {
        let run = run(&["--install", &target, "20s", "--until-idle", "8080"]);
        assert_eq!((run.status, run.stdout.as_str()), (0, ""), "{target}: {run:?}");
        assert!(is_a_copy(Path::new(&lands_in)), "{target}");
    }
    assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched");
    assert!(
        !fs::symlink_metadata(path("link-to-file")).unwrap().is_symlink(),
        "a link is replaced, not written through"
    );
    assert_eq!(
        names(&folder),
        ["directory", "file", "link-to-directory", "link-to-file", "new"],
        "nothing is left behind"
    );
    fs::remove_dir_all(folder).unwrap();
    fs::remove_file(outside).unwrap();
}

#[test]
fn whatever_the_umask() {
    let (folder, path) = folder();
    let run = run_shell(&format!("umask 077; exec \"$0\" --install {}", path("x")));
    assert!(run.status == 0 && is_a_copy(Path::new(&path("x"))), "{run:?}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn over_a_copy_that_runs() {
    let (folder, path) = folder();
    assert_eq!(run(&["--install", &path("x")]).status, 0);
    let run = run_shell(&format!("{} 0.5 & \"$0\" --install {} && wait $!", path("x"), path("x")));
    assert!(run.status == 0 && run.says("slept 0.5"), "{run:?}");
    fs::remove_dir_all(folder).unwrap();
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
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn failures() {
    let (folder, path) = folder();
    fs::write(path("file"), "old").unwrap();
    for (arguments, status, says) in [
        (vec![path("missing/x")], 1, path("missing/x")),
        (vec![path("missing/")], 1, path("missing/drain-sleep")),
        (vec![path("file/")], 1, path("file/drain-sleep")),
        (vec![path("file"), "20x".to_string()], 2, "'20x'".to_string()),
        (vec![path("file"), "--min".to_string(), "3".to_string()], 2, "no DURATION".to_string()),
        (vec![path("file"), "20".to_string(), "--bogus".to_string()], 2, "--bogus".to_string()),
    ] {
        let run = run(&[&["--install"], &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat());
        assert!(run.status == status && run.says(&says), "{arguments:?}: {run:?}");
        assert!(run.took.as_secs() < 4, "it fails at once: {:?}", run.took);
    }
    assert_eq!(names(&folder), ["file"]);
    assert_eq!(fs::read_to_string(path("file")).unwrap(), "old");
    fs::remove_dir_all(folder).unwrap();
}
