//! Whole drains against real servers. Their rules are tested in virtual time, in `src/drain.rs`.

use std::io::Write;
use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use crate::support::{
    answer, answers, each, fresh_path, full_tcp_queue, full_unix_queue, hold, read_request, ready_for, run, serve, url,
};

/// As often as it may be, and with time for the busiest machine to answer.
const FAST: [&str; 6] = ["--period", "10ms", "--timeout", "30s", "--min", "0.2"];

#[test]
fn a_plain_sleep() {
    let run = run(&["0.2", "300ms"]);
    let lines = run.lines();
    assert!(run.status == 0 && run.slept(500) && run.stdout.is_empty(), "{run:?}");
    assert!(
        lines.len() == 2 && lines[0] == "sleeping 0.5s" && lines[1].starts_with("slept ") && lines[1].ends_with('s'),
        "{lines:?}"
    );
}

#[test]
fn ends_early_once_unready() {
    let address = ready_for(Duration::from_millis(400));
    let run = run(&[&["60", "--until-unready", &url(address)], &FAST[..]].concat());
    assert!(run.status == 0 && run.lasted(400) && run.stdout.is_empty(), "{run:?}");
    let lines = run.lines();
    assert!(lines[1].contains("is ready (200)") && lines[2].contains("is unready (503)"), "{lines:?}");
    assert!(lines.len() == 4 && lines[3].starts_with("drained after "), "{lines:?}");
}

/// As long as the busiest machine needs until its first checks have been answered.
const LONG: &str = "3";

/// With nothing but a URL: five seconds at least, and three checks a second apart.
#[test]
fn the_defaults() {
    let (address, requests) = answers(&[200, 503]);
    let plan = run(&["--check", "60", "--until-unready", &url(address)]).stdout;
    assert!(plan.contains(" at 3 checks in a row, 1s apart\n"), "{plan}");
    // A busy machine may need longer than the default time-out to answer, and then the count would start again.
    let run = run(&["60", "--until-unready", &url(address), "--timeout", "60"]);
    assert!(run.status == 0 && run.lasted(5000), "{run:?}");
    assert!((4..8).contains(&requests.load(Ordering::SeqCst)), "{requests:?} checks in five seconds: {run:?}");
}

/// It ends at the last of so many checks in a row that hold, and the first of them comes after one that was ready.
#[test]
fn as_many_checks_as_the_threshold() {
    let rows: [(&'static [u16], &str, usize); 3] =
        [(&[200, 503], "1", 2), (&[200, 503], "5", 6), (&[503, 503, 503, 200, 503], "3", 7)];
    each(rows, |(statuses, threshold, checks)| {
        let (address, requests) = answers(statuses);
        let fast = ["--period=10ms", "--min=0", "--timeout=60"];
        let run = run(&[&["60", "--until-unready", &url(address), "--threshold", threshold], &fast[..]].concat());
        assert!(run.says("drained after "), "{statuses:?}: {run:?}");
        assert_eq!(requests.load(Ordering::SeqCst), checks, "{statuses:?}: {run:?}");
    });
}

/// A round is the period after the one before, by its start.
#[test]
fn as_often_as_the_period() {
    let (address, requests) = answers(&[200]);
    let run = run(&["4", "--until-unready", &url(address), "--period", "400ms", "--timeout", "60"]);
    assert!(run.slept(4000) && run.says("was ready (200) at the last check"), "{run:?}");
    let requests = requests.load(Ordering::SeqCst);
    assert!((2..=10).contains(&requests), "{requests} checks in four seconds");
}

/// A check that says nothing is not ready either.
#[test]
fn slow_at_first_and_never_ready() {
    let address = serve(|number, mut stream| {
        read_request(&mut stream);
        if number == 0 { hold(&mut stream) } else { answer(&mut stream, 503) }
    });
    let run = run(&[LONG, "--until-unready", &url(address), "--timeout=0.5", "--period=10ms", "--min=0"]);
    assert!(run.slept(3000) && run.says("is not known (timed out)") && run.says("was never ready"), "{run:?}");
}

/// However slow a server is, even if it never accepts and its queue is full, DURATION is the end. `tests/faults` has worse ones.
#[test]
fn a_slow_server_cannot_hold_it() {
    // What is said first, and what then, again and again, with a pause.
    let drips = |first: &'static [u8], rest: &'static [u8]| {
        serve(move |_, mut stream| {
            let _ = stream.write_all(first);
            while stream.write_all(rest).is_ok() {
                thread::sleep(Duration::from_millis(100));
            }
        })
    };
    let silent = serve(|_, mut stream| hold(&mut stream));
    let head = drips(b"HTTP/1.1 200 OK\r\nA: ", b"x");
    let body = drips(b"HTTP/1.1 200 OK\r\n\r\n", b"x");
    let path = fresh_path("full");
    let _unix = full_unix_queue(&path);
    let (_tcp, _queued, full) = full_tcp_queue();
    let http = [silent, head, body, full].map(|address| format!("http://{address}/"));
    let others = [
        format!("grpc://{silent}"),
        format!("unix:{}", path.display()),
        format!("http://unix:{}:/", path.display()),
        format!("tcp://{full}"),
    ];
    let uses =
        ["--until-unready", "--get", "--post"].into_iter().flat_map(|option| http.iter().map(move |url| (option, url)));
    each(uses.chain(others.iter().map(|url| ("--until-unready", url))), |(option, url)| {
        let run = run(&["0.7", option, url, "--period", "100ms", "--timeout", "60"]);
        assert!(run.slept(700), "{option} {url}: {run:?}");
        assert!(run.status == 0 || run.status == 1 && option != "--until-unready", "{option} {url}: {run:?}");
    });
}

/// The last line of a drain that was slept in full names what held it.
#[test]
fn the_last_line_says_what_held_it() {
    let listening = TcpListener::bind("127.0.0.1:0").unwrap();
    let idle = listening.local_addr().unwrap().port().to_string();
    let ready = url(answers(&[200, 204]).0);
    let unready = url(answers(&[503]).0);
    let silent = url(serve(|_, mut stream| hold(&mut stream)));
    let rows: &[(&[&str], &str)] = &[
        (&["--until-idle", &idle, "--min", "9"], "all that is watched had drained, but --min is 9s"),
        (&["--until-idle", &idle, "--threshold", "1000"], "all that is watched had drained, but only at "),
        (
            &["--until-unready", &silent],
            &format!("in full: no check of {silent} was finished; DURATION cut one more check off"),
        ),
        (&["--until-unready", &silent, "--assume-ready"], &format!("in full: no check of {silent} was finished")),
        (
            &["--until-unready", &silent, "--timeout", "50ms"],
            &format!("in full: timed out: no check of {silent} could tell whether it had drained"),
        ),
        (
            &["--until-unready", &unready],
            &format!(
                "{unready} was never ready, so it could not stop being ready; at the last check it was unready (503)"
            ),
        ),
        (&["--until-idle", &idle, "--until-unready", &ready], &format!("{ready} was ready (204) at the last check")),
        (&["--until-idle", &idle, "--post", &silent, "--get", &silent], "there was no time left to send a request"),
    ];
    each(rows, |(arguments, why)| {
        let min: &[&str] = if arguments.contains(&"--min") { &[] } else { &["--min", "0"] };
        let timeout: &[&str] = if arguments.contains(&"--timeout") { &[] } else { &["--timeout", "60"] };
        let run = run(&[&[LONG, "--period", "10ms"], min, timeout, *arguments].concat());
        assert!(run.status == i32::from(arguments.contains(&"--post")) && run.slept(3000), "{run:?}");
        let last = *run.lines().last().unwrap();
        assert!(last.starts_with("slept ") && last.contains("s in full: ") && last.contains(why), "{last}");
    });
}
