//! A mistake must not cost the drain, and neither must a bug.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use crate::support::{run, run_command, run_shell};

#[test]
fn a_mistake_sleeps_all_the_same() {
    for (arguments, millis) in [
        (&["0.3", "--frobnicate"][..], 300),
        (&["--perid", "5", "0.3"], 300),
        (&["--perid=5", "0.3"], 300),
        (&["0.1", "bogus", "200ms"], 300),
        (&["0.1 bogus 200ms"], 300),
        (&["0.3", "--min", "x"], 300),
        (&["x", "--min", "0.3"], 300),
        (&["--min", "0.3"], 300),
        (&["0.3", "--until-unready", "http://nowhere/"], 300),
        (&["0.3", "--until-unready", "http://localhost:1/", "--threshold", "0"], 300),
        (&["0.3", "--header", "x"], 300),
        (&["0.3", "$(NO_SUCH_VARIABLE)"], 300),
        (&["0.3", "--min", "--period", "1"], 300),
        (&["0", "--frobnicate"], 0),
    ] {
        let run = run(arguments);
        assert_eq!(run.status, 2, "{arguments:?}");
        assert!(run.took >= Duration::from_millis(millis), "{arguments:?} took {:?}", run.took);
        assert!(run.took < Duration::from_millis(millis + 4000), "{arguments:?} took {:?}", run.took);
        assert!(run.lines()[0].starts_with("error: "), "{arguments:?}: {}", run.stderr);
    }
}

/// Nothing readable: five seconds. Too long: as good as forever, so that it is still there when it is ended.
#[test]
fn what_cannot_be_read() {
    let five = run(&["bogus"]);
    assert!(five.status == 2 && five.took >= Duration::from_secs(5), "{five:?}");
    for line in ["40d", "99999999999999999999", "1M"] {
        let run = run_shell(&format!("\"$0\" {line} & sleep 0.3; kill $! && wait $!"));
        assert!(run.status == 143 && run.says("sleeping 2592000s"), "{line}: {run:?}");
    }
}

#[test]
fn the_mistake_is_also_in_the_log_file() {
    let file = crate::support::fresh_path("log");
    let run = run(&["0.1", "--quiet", "--bogus", "--log-file", file.to_str().unwrap()]);
    let log = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(run.says("unknown option '--bogus'") && log.contains("unknown option '--bogus'"), "{run:?}: {log}");
}

/// What std and libc do where they cannot go on, such as without memory.
#[test]
fn an_abort_sleeps_what_is_left() {
    let run = run_shell("\"$0\" 1 & sleep 0.3; kill -ABRT $!; wait $!");
    assert_eq!(run.status, 2);
    assert!(run.took >= Duration::from_secs(1), "{:?}", run.took);
    assert!(run.says("a bug, please report it"), "{}", run.stderr);
}

/// This test's own program, started once more, panics as a bug would.
#[test]
fn a_panic_sleeps_what_is_left() {
    const CHILD: &str = "DRAIN_SLEEP_TEST_PANICS";
    if std::env::var_os(CHILD).is_some() {
        drain_sleep::failsafe::arm();
        drain_sleep::failsafe::drain_lasts(Duration::from_millis(700));
        panic!("on purpose\nin two lines");
    }
    let name = "failsafe::a_panic_sleeps_what_is_left";
    let mut command = Command::new(std::env::current_exe().unwrap());
    let run = run_command(command.arg0("panics").args([name, "--exact", "--nocapture"]).env(CHILD, "1"));
    assert_eq!(run.status, 2, "{run:?}");
    assert!(run.took >= Duration::from_millis(700), "{:?}", run.took);
    assert!(
        run.says("drain-sleep: a bug, please report it: ") && run.says("on purpose\\x0ain two lines"),
        "{}",
        run.stderr
    );
}
