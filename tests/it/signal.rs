//! Signals: four end the drain at once, none shortens it otherwise.

use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use crate::support::{Running, each, hold, program, serve, start, start_shell};

/// A run that has said the first thing it has to say, so that its handlers are there.
fn begun(arguments: &[&str]) -> Running {
    let mut running = start(&mut program(arguments), Stdio::piped());
    running.line();
    running
}

#[test]
fn four_end_it() {
    let silent = format!("http://{}/", serve(|_, mut stream| hold(&mut stream)));
    let rows: &[&[&str]] =
        &[&["60"], &["infinity"], &["60", "--bogus"], &["60", "--until-unready", &silent, "--timeout", "60"]];
    let signals = [("HUP", 129), ("INT", 130), ("QUIT", 131), ("TERM", 143)];
    each(rows.iter().flat_map(|row| signals.map(|signal| (row, signal))), |(arguments, (signal, status))| {
        let running = begun(arguments);
        running.signal(signal);
        let run = running.finish();
        assert_eq!(run.status, status, "{run:?}");
        assert!(run.says(&format!("ended by SIG{signal} after ")), "{run:?}");
    });
}

/// As of a job that a shell starts in the background.
#[test]
fn although_they_were_ignored() {
    for (signal, status) in [("HUP", 129), ("INT", 130), ("QUIT", 131), ("TERM", 143)] {
        let script = "trap '' HUP INT QUIT TERM; exec \"$0\" 60";
        let mut running = start_shell(script);
        running.line();
        running.signal(signal);
        assert_eq!(running.finish().status, status);
    }
}

#[test]
fn others_do_not_shorten_it() {
    let rows: &[&[&str]] =
        &[&["PIPE"], &["XFSZ"], &["TTOU"], &["WINCH", "CHLD", "URG"], &["STOP", "CONT"], &["STOP", "TSTP", "CONT"]];
    each(rows, |signals| {
        let running = begun(&["3"]); // if it is stopped, then not beyond its end
        for signal in *signals {
            running.signal(signal);
            sleep(Duration::from_millis(100));
        }
        let run = running.finish();
        assert!(run.status == 0 && run.slept(3000), "{signals:?}: {run:?}");
    });
}

/// The time that it was stopped counts, so that it cannot outlast the grace period.
#[test]
fn stopped_beyond_its_end() {
    let running = begun(&["3"]);
    running.signal("STOP");
    sleep(Duration::from_millis(3200));
    running.signal("CONT");
    let run = running.finish();
    // On a slow machine the kernel's timer is faster.
    assert!(run.status == 142 || run.status == 0 && run.slept(3200), "{run:?}");
}

/// A process that is stopped is one that hangs: only a signal of the kernel's ends it, whatever its parent had done to that.
#[test]
fn a_second_beyond_its_end() {
    // It must not end before it is stopped.
    let rows = ["exec \"$0\" 3", "exec \"$0\" 3 --bogus", "trap '' ALRM; exec \"$0\" 3"];
    each(rows, |script| {
        let mut running = start_shell(script);
        running.line();
        running.signal("STOP");
        sleep(Duration::from_millis(4100));
        running.signal("CONT");
        let run = running.finish();
        assert_eq!(run.status, 142, "{script}: {run:?}");
    });
}
