//! The log, which nothing can make cost the drain.

use std::fs;
use std::io::Write;
use std::time::Duration;

use crate::support::{CLOSED, fresh_path, read_request, run, run_shell, serve};

#[test]
fn lines_are_short_and_cannot_be_forged() {
    let refused = run(&["0.1", &format!("--{}", "x".repeat(5000)), "--no\nsuch\x1b[31m", "--min=\u{e9}"]);
    assert!(refused.says("--no\\x0asuch\\x1b[31m") && refused.says("\\xc3\\xa9"), "{refused:?}");
    assert!(refused.says("xxx...': see drain-sleep --help"), "what is said of a long word is not cut: {refused:?}");

    let url = format!("http://127.0.0.1:1/{}", "x".repeat(5000));
    let watched = run(&[&["0.1"], &["--until-unready", &url].repeat(6)[..]].concat());
    let lines: Vec<_> = watched.stderr.split_inclusive('\n').collect();
    assert!(lines.iter().all(|line| line.len() <= 1024 && line.starts_with("drain-sleep: ")), "{lines:?}");
    assert!(lines[0].len() == 1024 && lines[0].ends_with("...\n"), "{lines:?}");
    assert!(lines[1].contains("xxx... is unready (connection refused)"), "{lines:?}");
}

#[test]
fn a_verdict_that_flips_is_logged_twenty_times() {
    let address = serve(|number, mut stream| {
        read_request(&mut stream);
        let status = if number % 2 == 0 { "200 OK" } else { "503 X" };
        let _ = stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes());
    });
    let run = run(&["1.5", "--until-unready", &format!("http://{address}/"), "--period", "10ms"]);
    let lines = run.lines();
    let verdicts =
        lines.iter().filter(|line| line.contains(" is ready ") || line.contains(" is unready (503)")).count();
    assert_eq!(verdicts, 21, "the first state and 20 changes: {lines:?}");
    assert_eq!(lines.iter().filter(|line| line.contains("only counted")).count(), 1, "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.contains(" changed ")).count(), 1, "{lines:?}");
}

#[test]
fn quiet_but_for_errors() {
    assert_eq!(run(&["0.1", "-q"]).stderr, "");
    let run = run(&["0.1", "--quiet", "--get", &format!("http://{CLOSED}/")]);
    assert!(run.lines().len() == 1 && run.says("error: GET "), "{run:?}");
}

#[test]
fn a_log_file_is_appended_to() {
    let path = fresh_path("log");
    fs::write(&path, "before\n").unwrap();
    let run = run(&["0.1", "-q", "--log-file", path.to_str().unwrap()]);
    let log = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(run.stderr, "");
    assert!(log.starts_with("before\ndrain-sleep: sleeping 0.1s\ndrain-sleep: slept 0.1"), "{log}");
    let path = path.to_str().unwrap();
    assert_eq!(crate::support::run(&["--check", "1", "--log-file", path]).status, 0);
    assert!(fs::metadata(path).is_err(), "--check does not open it");
}

/// Each of these would hang, kill or fail a careless program. The drain takes its time and exits with 0.
#[test]
fn nothing_stops_the_drain() {
    let fifo = fresh_path("fifo");
    let fifo = fifo.display();
    for script in [
        "\"$0\" 0.3 <&-".to_string(),
        "\"$0\" 0.3 >&-".to_string(),
        "\"$0\" 0.3 2>&-".to_string(),
        "\"$0\" 0.3 <&- >&- 2>&-".to_string(),
        "\"$0\" 0.3 --until-unready tcp://localhost:1 <&- >&- 2>&-".to_string(),
        "\"$0\" 0.3 2>/dev/full".to_string(),
        "\"$0\" 0.3 --log-file /dev/full".to_string(),
        "\"$0\" 0.3 --log-file /".to_string(),
        "\"$0\" 0.3 --log-file /no/such/file".to_string(),
        "\"$0\" 0.3 --log-file ''".to_string(),
        format!("mkfifo {fifo} && \"$0\" 0.3 --log-file {fifo}; status=$?; rm {fifo}; exit $status"),
        "{ sleep 0.1; \"$0\" 0.3; echo $? >&3; } 3>&1 2>&1 >/dev/null | true".to_string(),
        "ulimit -f 0; \"$0\" 0.3 --log-file \"${TMPDIR:-/tmp}/drain-sleep-$$\"; s=$?; rm -f \"${TMPDIR:-/tmp}/drain-sleep-$$\"; exit $s"
            .to_string(),
        // A pipe that is full and that nobody reads: 64 KiB, pipe(7).
        "{ { head -c 65536 /dev/zero; \"$0\" 0.3 2>&1; echo $? >&3; } | sleep 1; } 3>&1 | grep -qx 0".to_string(),
    ] {
        let run = run_shell(&script);
        assert!(run.status == 0 && run.took >= Duration::from_millis(300), "{script}: {run:?}");
        assert!(run.took < Duration::from_secs(8), "{script}: {:?}", run.took);
    }
}

/// A log file is not written to as if it were stderr, be that closed.
#[test]
fn closed_descriptors_are_not_reused() {
    let path = fresh_path("reuse");
    let shown = path.display();
    let run = run_shell(&format!("\"$0\" 0.1 --log-file {shown} <&- >&- 2>&-"));
    let log = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!((run.status, log.lines().count()), (0, 2), "{log}");
}
