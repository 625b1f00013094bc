//! Signals: two end the drain at once, none shortens it otherwise.

use std::time::Duration;

use crate::support::run_shell;

#[test]
fn int_and_term_end_it() {
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        // A shell lets a job in the background ignore SIGINT, so that the program's own handler is what ends it.
        let run = run_shell(&format!("\"$0\" 60 & sleep 0.3; kill -{signal} $!; wait $!"));
        assert_eq!(run.status, status, "{run:?}");
        assert!(run.took < Duration::from_secs(10) && run.says(&format!("ended by SIG{signal} after 0.")), "{run:?}");
    }
}

#[test]
fn after_a_mistake_too() {
    let run = run_shell("\"$0\" 60 --bogus & sleep 0.3; kill -TERM $!; wait $!");
    assert_eq!(run.status, 143, "{run:?}");
}

#[test]
fn others_do_not_shorten_it() {
    for signals in
        ["kill -PIPE $!", "kill -XFSZ $!", "kill -STOP $!; sleep 0.2; kill -CONT $!", "kill -WINCH $!; kill -CHLD $!"]
    {
        let run = run_shell(&format!("\"$0\" 0.8 & sleep 0.2; {signals}; wait $!"));
        assert!(run.status == 0 && run.took >= Duration::from_millis(800), "{signals}: {run:?}");
    }
}
