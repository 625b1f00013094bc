//! A mistake must not cost the drain, and neither must a bug.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::{PROGRAM, answers, each, fresh_path, program, run, run_command, start, start_shell, url};

/// A line that is wrong, and how many seconds it sleeps by the one rule.
#[test]
fn what_a_wrong_line_sleeps() {
    const DEFAULT_MIN: &str = "5s";
    let rows: &[(&[&str], &str)] = &[
        // 1. The durations that stand where a DURATION may stand.
        (&["20", "--frobnicate"], "20s"),
        (&["20", "x", "200ms"], "20.2s"),
        (&["", "20", "-5", "5 min"], "25s"),
        (&["20", "--until-unready", "http://nowhere/", "--min", "60s"], "20s"),
        (&["20", "--min", "1", "--min", "2"], "20s"),
        (&["20", "--quiet=yes", "--min"], "20s"),
        (&["20", "--delay", "30", "--get", "http://localhost/"], "20s"),
        (&["20", "--delay", "1"], "20s"),
        (&["0", "--post", "http://localhost/"], "0s"),
        (&["0", "--frobnicate"], "0s"),
        (&["20", "\u{2014}until-idle", "8080"], "20s"),
        (&["20", "\u{2010}-until-idle", "8080"], "20s"),
        (&["20", "\u{2212}\u{2212}until-idle", "8080"], "20s"),
        // A value is what stands behind an option that takes one, or nearly the name of one.
        (&["--perid", "5", "20"], "20s"),
        (&["--perid=5", "20"], "20s"),
        (&["--perid", "--quiet", "20"], "20s"),
        (&["20", "--min", "--period", "1"], "20s"),
        (&["--until-ready", "20s", "10"], "10s"),
        (&["--header", "A: 5s", "--header=B: 5s 6s", "--min", "5s 6s", "20", "x"], "20s"),
        (&["--until-idle=http", "20s"], "20s"),
        (&["--until-idle", "", "20"], "20s"),
        (&["--until-idle=", "8080", "20"], "20s"),
        (&["--get", "", "20"], "20s"),
        // A bare number behind any other option may be its value. One with a unit counts.
        (&["20", "--wait-for-idle", "8080"], "20s"),
        (&["20", "--wait-for-idle=8080"], "20s"),
        (&["-p", "8080", "300ms", "-q2", "99999999999999999999"], "0.3s"),
        (&["20", "--asume-ready", "8080"], "20s"),
        (&["20", "--", "--until-idle", "8080"], "20s"),
        (&["20", "--$(NO_SUCH_VARIABLE)", "8080"], "20s"),
        (&["--verbose", "20s", "10s"], "30s"),
        (&["--verbose=20s", "10s"], "30s"),
        // So may one behind a port, if there is another duration.
        (&["20s", "--until-idle", "8080", "8443"], "20s"),
        (&["20s", "--until-idle=8080", "8443"], "20s"),
        (&["--until-idle", "8080", "8443", "5", "--until-idel", "9090", "9443"], "5s"),
        (&["--until-idle", "8080", "20", "x"], "20s"),
        (&["--until-idle=8080", "20", "x"], "20s"),
        (&["--until-idle", "8080", "--", "20", "x"], "20s"),
        // 2. What has a unit, and is the value of an option that takes no duration, or that there is none of.
        (&["--duration=20s"], "20s"),
        (&["--duration", "20s"], "20s"),
        (&["--until-idle", "20s"], "20s"),
        (&["--until-idle=20s"], "20s"),
        (&["--until-idle", "20s", "8080"], "20s"),
        (&["--until-idel", "20s"], "20s"),
        (&["--header", "20s"], "20s"),
        (&["--threshold=20s"], "20s"),
        (&["--idle-after", "20s"], DEFAULT_MIN),
        // 3. Bare numbers up to 1000 behind an unknown option.
        (&["--bogus", "20"], "20s"),
        (&["--bogus=20"], "20s"),
        (&["--bogus", "1000"], "1000s"),
        (&["--bogus", "1000.1"], DEFAULT_MIN),
        (&["--wait-for-idle", "8080"], DEFAULT_MIN),
        (&["--wait-for-idle=8080"], DEFAULT_MIN),
        (&["-p", "99999999999999999999"], DEFAULT_MIN),
        // 4. --min.
        (&["x", "--min", "20"], "20s"),
        (&["--min=1m 20", "--period", "7"], "80s"),
        (&["x", "--min", "x"], DEFAULT_MIN),
        (&["x"], DEFAULT_MIN),
        (&[], DEFAULT_MIN),
        // White space, quotes, commas and brackets around a word.
        (&["20s,"], "20s"),
        (&["'20s'"], "20s"),
        (&["\"'20s'\""], "20s"),
        (&["\u{201c}20s\u{201d}"], "20s"),
        (&["\u{2018}20s\u{2019};"], "20s"),
        (&["[\"20s\",", "\"--until-idle\",", "\"8080\"]"], "20s"),
        (&["x", "--min", "'20'"], "20s"),
        (&["20", "--wait-for-idle", "'8080'"], "20s"),
        (&["20s --until-idle 8080"], "20s"),
        (&["'20s --until-idle 8080'"], "20s"),
        (&["\u{201c}20s\u{201d}\n--until-idle\u{a0}8080\n"], "20s"),
        (&["20s '--until-idle' 8080"], "20s"),
        (&["10s --until-idle", "8080", "10s"], "20s"),
        (&["10s", "--until-idle", "8080 10s"], "20s"),
        (&["10 10 --min 60s --until-unready http://localhost/"], "20s"),
        (&["--period=5 --until-idle=8080 20"], "20s"),
        (&["20 --header X:5 -- -q", "--min", "8s"], "20s"),
        (&["-p 8080 20"], "20s"),
        (&["--period 5s 20", "x"], "20s"),
        (&["--min 8s 20"], "20s"),
        (&["--header X:5 20"], "20s"),
        (&["-min=3 20"], "20s"),
        (&["- 20"], "20s"),
        (&[" --until-idle", "8080", "20"], "20s"),
        // Variables. One that is not set makes its word unreadable.
        (&["$(TWO)0", "--bogus"], "20s"),
        (&["20 $(NO_SUCH_VARIABLE) 1$(NO_SUCH_VARIABLE)0"], "20s"),
        (&["20s --until-idle $(NO_SUCH_VARIABLE)"], "20s"),
        (&["$TWO"], "2s"),
        (&["${TWO}0s"], "20s"),
        (&["${NO_SUCH_VARIABLE:-20s}"], "20s"),
        (&["${EMPTY:-20s}"], "20s"),
        (&["$LINE"], "20s"),
        (&["--until-idle", "$TWO", "20s"], "20s"),
        (&["$NO_SUCH_VARIABLE"], DEFAULT_MIN),
        // Too long counts as 30 days, so that the hook is still there when the grace period ends it.
        (&["40d"], "2592000s"),
        (&["1M"], "2592000s"),
        (&["20d", "20d"], "2592000s"),
        (&["99999999999999999999", "99999999999999999999s", "x"], "2592000s"),
        (&["x", "--min", "40d"], "2592000s"),
        (&["infinity", "--bogus"], "infinity"),
    ];
    each(rows, |(arguments, sleeps)| {
        let variables = [("TWO", "2"), ("EMPTY", ""), ("LINE", "20s --until-idle 8080")];
        let mut running = start(program(arguments).envs(variables), Stdio::piped());
        let mut lines = vec![running.line()];
        while lines.last().unwrap().starts_with("error: ") {
            lines.push(running.line());
        }
        let says = format!("sleeping {sleeps} all the same, watching nothing");
        assert!(lines.len() > 1 && *lines.last().unwrap() == says, "{arguments:?}: {lines:?}");
    });
}

#[test]
fn it_sleeps_that_long() {
    for (arguments, millis) in [(&["0.3s", "--bogus"][..], 300), (&["0s", "--bogus"], 0), (&["--min=0.4", "x"], 400)] {
        let run = run(arguments);
        assert!(run.status == 2 && run.slept(millis) && run.stdout.is_empty(), "{arguments:?}: {run:?}");
    }
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
    let long = "x".repeat(130_000);
    let run = run_command(
        program(&["0.3", &long, "--min", &long]).arg(OsStr::from_bytes(b"\xff\n")).arg(format!("--{long}")),
    );
    assert!(run.status == 2 && run.lasted(300) && run.lines().len() == 6, "{run:?}");

    let mut words = vec!["bogus"; 100_000];
    words.push("8");
    let run = run_command(&mut program(&words));
    assert!(run.status == 2 && run.lasted(8000), "{:?}", run.lines().last());
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
        .map(|left| format!("a bug, please report it: aborted; sleeping for the rest of the drain, {left}"));
    assert!(left.iter().any(|left| run.says(left)), "{run:?}");

    let mut running = start(&mut program(&["infinity"]), Stdio::piped());
    running.line();
    running.signal("ABRT");
    assert!(running.line().ends_with("sleeping for the rest of the drain, infinity"));

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

/// Memory that runs out, from the first allocation on: what `argv` says is slept all the same. The limit is one of the
/// process, since not everybody who runs this test may make a control group.
#[test]
fn without_memory_it_sleeps_on() {
    let rows: &[(&[&str], u64)] = &[
        (&["0.9"], 900),
        (&["300ms", "--until-idle", "8080", "-p", "8081", "0.5s", "--min=7", "--frobnicate"], 800),
        (&["0.4s --until-idle 8080", "'0.3s'", "--", "--min", "9"], 700),
        (&["$(B)", "--until-idle", "8080", "0.5s"], 800),
        (&["--min", "7", "--duration=0.9s"], 900),
        (&["3rd", "0.5ns", "1.99999999999999999999s", "0.9s"], 900),
    ];
    let header = format!("--header=X: {}", "$(A)".repeat(10));
    let run = |limit: u64, arguments: &[&str]| {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("(ulimit -d {limit}; exec \"$0\" \"$@\"); exit $?"), PROGRAM]).args(arguments);
        run_command(command.env("A", "x".repeat(100_000)).env("B", "0.3"))
    };
    // With a little less the kernel cannot start it.
    let least = (4..400).step_by(4).find(|limit| run(*limit, &["0.01"]).says("drain-sleep: ")).expect("it starts");
    each(rows.iter().flat_map(|row| [(least, row), (400, row)]), |(limit, (arguments, millis))| {
        let run = run(limit, &[&[header.as_str()], *arguments].concat());
        assert!(run.status == 2 && run.lasted(*millis), "{arguments:?}: {run:?}");
        let told = "error: out of memory; sleeping for the rest of the drain, 0.";
        assert!(run.lines()[0].starts_with(told), "{limit} {arguments:?}: {run:?}");
    });
}

/// It needs little, whatever limits it.
#[test]
fn with_little_memory() {
    let (address, _) = answers(&[200]);
    for limit in ["-v 4096", "-d 4096", "-d 512"] {
        let script = format!(
            "ulimit {limit}; exec \"$0\" infinity --timeout 60 --until-unready {url} --until-idle {} --post {url}",
            address.port(),
            url = url(address),
        );
        let mut running = start_shell(&script);
        let log = [(); 4].map(|()| running.line());
        assert!(log[1].contains("is ready (200)") && log[2].starts_with("port "), "{limit}: {log:?}");
        assert!(log[3].contains(": 200 at "), "{limit}: {log:?}");
        running.signal("TERM");
        assert_eq!(running.finish().status, 143, "{limit}");
    }
}
