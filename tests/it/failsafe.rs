//! A mistake must not cost the drain, and neither must a bug.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::{PROGRAM, answers, each, fresh_path, program, run, run_command, run_shell, start, url};

/// Any mistake: what can be read of the durations is slept, and the mistake is the first thing that is said.
#[test]
fn a_mistake_sleeps_all_the_same() {
    let rows: &[(&[&str], u64)] = &[
        // The sum of what can be read.
        (&["0.3", "--frobnicate"], 300),
        (&["0.3", "\u{2014}until-idle", "8080"], 300),
        (&["0.3", "\u{2010}-until-idle", "8080"], 300),
        (&["0.3", "\u{2212}\u{2212}until-idle", "8080"], 300),
        (&["0.3 \u{2013}until-idle 8080"], 300),
        (&["0.1", "bogus", "200ms"], 300),
        (&["", "0.3"], 300),
        (&["0.3", "-5"], 300),
        (&["0.3", "5 min"], 5300),
        (&["0.3", "$(NO_SUCH_VARIABLE)"], 300),
        (&["0.3", "--", "--min"], 300),
        // Whatever an option says.
        (&["0.3", "--min", "x"], 300),
        (&["0.3", "--min", "0.1", "--min", "0.2"], 300),
        (&["0.3", "--until-unready", "http://nowhere/"], 300),
        (&["0.3", "--quiet=yes"], 300),
        (&["0.3", "--min", "60s", "--bogus"], 300),
        // A value is no duration, be its option unknown or doubled, and no option is a value.
        (&["--perid", "5", "0.3"], 300),
        (&["--perid=5", "0.3"], 300),
        (&["--asume-ready", "0.3"], 300),
        (&["--min", "0.1", "--min", "5", "0.3"], 300),
        (&["0.3", "--min", "--period", "1"], 300),
        (&["0.3", "--min"], 300),
        (&["0", "--frobnicate"], 0),
        // A bare number after an option that was refused is its value, which may be a port, as long as there is a duration.
        (&["0.3", "--wait-for-idle", "8080"], 300),
        (&["-p", "8080", "300ms", "-q2", "99999999999999999999"], 300),
        (&["0.3", "--quiet=yes", "8080"], 300),
        (&["0.3", "--asume-ready", "8080"], 300),
        (&["0.3", "--", "--until-idle", "8080"], 300),
        (&["0.3", "--$(NO_SUCH_VARIABLE)", "8080"], 300),
        (&["0.3", "'--until-idle'", "8080"], 300),
        (&["0.3", "--wait-for-idle", "'8080'"], 300),
        (&["--frobnicate", "200ms", "0.1"], 300),
        (&["--frobnicate", "0.2", "--get", "x", "--min", "5"], 200),
        (&["--perid", "5", "0.1", "0.2"], 300),
        // An option that is near one with a value takes one, which never begins with two dashes.
        (&["--perid", "--quiet", "0.3"], 300),
        // All of it in one argument.
        (&["0.3s --until-idle 8080"], 300),
        (&["-p 8080 0.3"], 300),
        (&["0.1 0.2 --min 60s --until-unready http://localhost/"], 300),
        (&["--period 5", "0.3"], 300),
        (&["0.1 --until-idle", "8080", "0.2"], 300),
        (&["'0.3 --until-idle 8080'"], 300),
        (&["0.3\n--until-idle\u{a0}8080\n"], 300),
        (&["0.3 '--until-idle' 8080"], 300),
        (&["0.3 -- -q", "--min", "8s"], 300),
        (&["--until-idle=8080 0.3"], 300),
        (&["--until-unready=http://localhost/ 0.3"], 300),
        (&["--threshold=3 0.3"], 300),
        (&["--wait=3 0.3"], 300),
        (&["-min=3 0.3"], 300),
        (&["- 0.3"], 300),
        // White space around an option, or before its value.
        (&[" --until-idle", "8080", "0.3"], 300),
        (&["\u{a0}--until-idle", "8080", "0.3"], 300),
        (&["--until-idle=", "8080", "0.3"], 300),
        (&["0.3 --until-idle= 8080"], 300),
        (&["--get=", "8080", "0.3"], 300),
        (&["--until-idle=http", "8080", "0.3"], 300),
        (&["--threshold=x", "8080", "0.3"], 300),
        (&["0.3 --until-idle $(NO_SUCH_VARIABLE)"], 300),
        (&["x --min 0.3"], 300),
        // What is in quotes.
        (&["\"0.3\""], 300),
        (&["'0.1 200ms'"], 300),
        (&["x", "--min", "'0.3'"], 300),
        // What is right in itself but not together.
        (&["0.3", "--delay", "1", "--get", "http://localhost/"], 300),
        (&["0.3", "--delay", "0.1"], 300),
        (&["0", "--post", "http://localhost/"], 0),
        // An argument counts as far as its variables leave it readable.
        (&["0.3 $(NO_SUCH_VARIABLE)"], 300),
        // --min in its place where there is none, and what can be read of nothing is five seconds.
        (&["x", "--min", "0.3"], 300),
        (&["--min", "0.3"], 300),
        (&["bogus"], 5000),
        (&["bogus", "--min", "x"], 5000),
        (&[], 5000),
    ];
    each(rows, |(arguments, millis)| {
        let run = run(arguments);
        let sleeps = format!("sleeping {}s all the same", *millis as f64 / 1000.0);
        assert!(run.status == 2 && run.lasted(*millis) && run.says(&sleeps), "{arguments:?}: {run:?}");
        assert!(run.lines()[0].starts_with("error: ") && run.stdout.is_empty(), "{arguments:?}: {run:?}");
    });
}

/// Too long is as good as forever, so that it is still there when it is ended.
#[test]
fn what_is_too_long() {
    let rows: &[(&[&str], &str)] = &[
        (&["40d"], "2592000s"),
        (&["1M"], "2592000s"),
        (&["20d", "20d"], "2592000s"),
        (&["99999999999999999999"], "2592000s"),
        (&["99999999999999999999", "99999999999999999999s", "x"], "2592000s"),
        (&["-p", "99999999999999999999"], "2592000s"),
        (&["bogus", "--min", "40d"], "2592000s"),
        (&["infinity", "--bogus"], "infinity"),
    ];
    each(rows, |(arguments, sleeps)| {
        let mut running = start(&mut program(arguments), Stdio::piped());
        while !running.line().starts_with(&format!("sleeping {sleeps} all the same")) {}
        running.signal("TERM");
        assert_eq!(running.finish().status, 143, "{arguments:?}");
    });
}

#[test]
fn it_says_so_at_once_and_all_of_it() {
    let mut running = start(&mut program(&["60", "1x", "--min=y", "--bogus", "--threshold=0"]), Stdio::piped());
    let mut mistakes = [(); 4].map(|()| running.line());
    mistakes.sort();
    for (mistake, about) in mistakes.iter().zip(["'1x'", "--min: 'y'", "--threshold: '0'", "unknown option '--bogus'"])
    {
        assert!(mistake.starts_with(&format!("error: {about}")), "{about:?}: {mistakes:?}");
    }
}

#[test]
fn nothing_is_watched_or_requested_then() {
    let (address, requests) = answers(&[200]);
    let url = url(address);
    let run = run(&["0.3", "--bogus", "--post", &url, "--until-unready", &url, "--period", "10ms"]);
    assert_eq!((run.status, requests.load(Ordering::SeqCst)), (2, 0), "{run:?}");
}

#[test]
fn the_mistake_is_also_in_the_log_file() {
    let file = fresh_path("log");
    let run = run(&["0.1", "--quiet", "--bogus", "--log-file", file.to_str().unwrap()]);
    let log = fs::read_to_string(&*file).unwrap();
    assert!(run.says("unknown option '--bogus'") && log.contains("unknown option '--bogus'"), "{run:?}: {log}");

    let file = fresh_path("log");
    let run = run_command(&mut program(&[&format!("0.1 --log-file {}", file.display())]));
    let log = fs::read_to_string(&*file).unwrap();
    assert!(run.says("has spaces in or around it") && log.contains("has spaces in or around it"), "{run:?}: {log}");
}

/// As long as Linux lets a line and an argument be, and of any bytes.
#[test]
fn a_line_like_no_other() {
    let durations = vec!["0.00001"; 30_000];
    let many = run(&durations);
    assert!(many.status == 0 && many.slept(300), "{many:?}");
    let long = "x".repeat(130_000);
    let run = run_command(
        program(&["0.3", &long, "--min", &long]).arg(OsStr::from_bytes(b"\xff\n")).arg(format!("--{long}")),
    );
    assert!(run.status == 2 && run.slept(300) && run.lines().len() == 6, "{run:?}");

    let mut words = vec!["bogus"; 100_000];
    words.push("8");
    let run = run_command(&mut program(&words));
    assert!(run.status == 2 && run.slept(8000), "{:?}", run.lines().last());
    assert_eq!(run.lines().len(), 11, "the first few mistakes, how many others, and the sleep");
    assert!(run.says("error: mistakes that are not shown: 99992"), "{}", run.stderr);
}

/// What std and libc do where they cannot go on, such as without memory.
#[test]
fn an_abort_sleeps_what_is_left() {
    let mut running = start(&mut program(&["3"]), Stdio::piped()); // long enough for a busy machine to send the signal in time
    running.line();
    running.signal("ABRT");
    let run = running.finish();
    assert!(run.status == 2 && run.lasted(3000), "{run:?}");
    let left = ["2.", "1.", "0."]
        .map(|left| format!("a bug, please report it: aborted; sleeping for what is left of the drain, {left}"));
    assert!(left.iter().any(|left| run.says(left)), "{run:?}");

    let mut running = start(&mut program(&["infinity"]), Stdio::piped());
    running.line();
    running.signal("ABRT");
    assert!(running.line().ends_with("sleeping for what is left of the drain, infinity"));

    let mut running = start(&mut program(&["60"]), Stdio::piped());
    running.line();
    running.signal("ABRT");
    running.line();
    running.signal("TERM");
    let run = running.finish();
    assert!(run.status == 143, "it can still be ended: {run:?}");
}

/// This test's own program, started once more, panics as a bug would.
#[test]
fn a_panic_sleeps_what_is_left() {
    const CHILD: &str = "DRAIN_SLEEP_TEST_PANICS";
    if std::env::var_os(CHILD).is_some() {
        drain_sleep::failsafe::arm();
        drain_sleep::failsafe::set_duration(Duration::from_millis(700));
        panic!("on purpose\nin two lines");
    }
    let name = "failsafe::a_panic_sleeps_what_is_left";
    let mut command = Command::new(std::env::current_exe().unwrap());
    let run = run_command(command.arg0("panics").args([name, "--exact", "--nocapture"]).env(CHILD, "1"));
    assert!(run.status == 2 && run.lasted(700), "{run:?}");
    assert!(run.says("drain-sleep: error: a bug, please report it: "), "{run:?}");
    assert!(run.says("on purpose\\x0ain two lines"), "{run:?}");
}

/// Memory that runs out while the command line is read: the durations on it count all the same, and where there is none the
/// default of `--min`. The limit is one of the process, since not everybody who runs this test may make a control group.
#[test]
fn without_memory_it_sleeps_on() {
    let header = format!("--header=X: {}", "$(A)".repeat(10));
    let rows: &[(&[&str], u64, &str)] = &[
        (&["0.9"], 900, "0.8"),
        (&["300ms", "--until-idle", "8080", "-p", "8081", "0.5s", "--min=7", "--frobnicate"], 800, "0.7"),
        (&["0.4s --until-idle 8080", "'0.3'", "--", "--min", "9"], 700, "0.6"),
        (&["--min", "7"], 5000, "4.9"),
    ];
    each(rows, |(arguments, millis, left)| {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -d 400; exec \"$0\" \"$@\"", PROGRAM, &header]).args(*arguments);
        let run = run_command(command.env("A", "x".repeat(100_000)));
        assert!(run.status == 2 && run.lasted(*millis), "{arguments:?}: {run:?}");
        let told = format!("error: out of memory; sleeping for what is left of the drain, {left}");
        assert!(run.lines()[0].starts_with(&told), "{arguments:?}: {run:?}");
    });
}

/// It needs little, whatever limits it.
#[test]
fn with_little_memory() {
    let (address, _) = answers(&[200]);
    for limit in ["-v 4096", "-d 4096", "-d 512"] {
        let run = run_shell(&format!(
            "ulimit {limit}; exec \"$0\" 2 --timeout 60 --until-unready {} --until-idle {} --post {}",
            url(address),
            address.port(),
            url(address)
        ));
        assert!(run.status == 0 && run.slept(2000) && run.says("is ready (200)"), "{limit}: {run:?}");
    }
}
