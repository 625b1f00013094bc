//! The whole command line, with its environment. What must hold of any, of one that is accepted and then changed in a known
//! way, and of durations in one argument or in two.

use std::time::Duration;

use drain_sleep::cli::args::{self, Args, Opt};
use drain_sleep::cli::duration::{self, LONGEST, unquoted};
use drain_sleep::cli::plan::Plan;
use drain_sleep::cli::salvage::salvage;
use drain_sleep::http::client::Method;
use drain_sleep::text::{FOREVER, Seconds};
use drain_sleep::watch::Target;

use super::url::write;

/// The value of `$(A)`, and the arguments, a line each. `$(N)` is a line end.
pub fn holds(input: &[u8]) {
    let mut lines = input.split(|&b| b == b'\n');
    let variable = lines.next().unwrap_or_default();
    let arguments: Vec<&[u8]> = lines.collect();
    let environment = |name: &[u8]| match name {
        b"A" => Some(variable),
        b"N" => Some(&b"\n"[..]),
        _ => None,
    };
    let sleeps = |arguments: &[&[u8]]| salvage(arguments.iter().copied(), &|name| environment(name));
    assert!(sleeps(&arguments) <= LONGEST || sleeps(&arguments) == FOREVER);
    let words = args::words(&arguments, &environment);
    let args = Args::parse(&words);
    match Plan::new(&args) {
        Ok(plan) => {
            assert!(args.mistakes.is_empty() && args.duration == Some(plan.rules.duration));
            is_sane(&plan);
            is_the_same_when_written_out(&plan);
            if has_plain_values(&args) && variable.len() < 256 {
                keeps_its_duration_whatever_is_wrong(plan.rules.duration, &arguments, sleeps);
            }
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty() && mistakes.first.len() <= 8);
            assert!(mistakes.first.iter().all(|mistake| !mistake.to_string().is_empty()));
        }
    }
    is_the_sum_of_its_parts(input);
}

fn is_sane(plan: &Plan) {
    let rules = &plan.rules;
    let times = [rules.period, rules.timeout, plan.idle_after];
    assert!(times.iter().all(|&time| time >= Duration::from_millis(10) && (time <= LONGEST || time == FOREVER)));
    assert!((1..=1000).contains(&rules.threshold));
    assert!(rules.delay.is_zero() || !plan.requests.is_empty() && rules.delay < rules.duration);
    assert!(plan.requests.is_empty() || !rules.duration.is_zero());
    for header in &plan.headers {
        assert!(!header.name.is_empty() && header.name.iter().all(|b| b.is_ascii_graphic() && *b != b':'));
        assert!(header.value.iter().all(|b| !b"\r\n\0".contains(b)));
    }
    assert!(!plan.to_string().is_empty() && plan.warnings().all(|warning| !warning.is_empty()));
}

/// A plan that is written out as a command line is that plan.
fn is_the_same_when_written_out(plan: &Plan) {
    let rules = &plan.rules;
    let mut line: Vec<Vec<u8>> = Vec::new();
    let mut option = |name: &str, value: &[u8]| line.push([name.as_bytes(), b"=", value].concat());
    for watch in &plan.watches {
        match &watch.target {
            Target::Idle(port) => option("--until-idle", port.to_string().as_bytes()),
            target => option("--until-unready", &write(target)),
        }
    }
    for request in &plan.requests {
        let name = if request.method == Method::Get { "--get" } else { "--post" };
        option(name, &write(&Target::Http(request.url.clone())));
    }
    for header in &plan.headers {
        option("--header", &[header.name, b":", header.value].concat());
    }
    let times = [
        ("--min", rules.min),
        ("--period", rules.period),
        ("--timeout", rules.timeout),
        ("--idle-after", plan.idle_after),
    ];
    for (name, time) in times {
        option(name, written(time).as_bytes());
    }
    if !plan.requests.is_empty() {
        option("--delay", written(rules.delay).as_bytes());
    }
    option("--threshold", rules.threshold.to_string().as_bytes());
    if rules.assume_ready {
        line.push(b"--assume-ready".to_vec());
    }
    line.push(written(rules.duration).into_bytes());

    let line: Vec<_> = line.iter().map(|word| doubled(word, b'$')).collect();
    let line: Vec<_> = line.iter().map(Vec::as_slice).collect();
    let words = args::words(&line, &|_| None);
    let args = Args::parse(&words);
    let again = Plan::new(&args).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    assert_eq!((&again.rules, again.idle_after, &again.headers), (rules, plan.idle_after, &plan.headers));
    assert!(again.watches.iter().map(|watch| &watch.target).eq(plan.watches.iter().map(|watch| &watch.target)));
    let requests = |plan: &Plan| plan.requests.iter().map(|r| (r.method, r.url.clone())).collect::<Vec<_>>();
    assert_eq!(requests(&again), requests(plan));
}

/// No value of an option looks like a duration in it, an option or several words, where only a duration may.
fn has_plain_values(args: &Args) -> bool {
    args.options.iter().all(|(option, value)| match option {
        Opt::Min | Opt::Period | Opt::Timeout | Opt::IdleAfter | Opt::Delay => true,
        _ => str::from_utf8(value).is_ok_and(|value| {
            let value = value.trim();
            !value.starts_with('-')
                && !value.contains(char::is_whitespace)
                && duration::lenient(unquoted(value.as_bytes())).is_none()
                || *option == Opt::UntilIdle
        }),
    })
}

/// A command line that is accepted sleeps as long when there is a mistake in it, and when all of it is one argument.
fn keeps_its_duration_whatever_is_wrong(
    duration: Duration,
    arguments: &[&[u8]],
    sleeps: impl Fn(&[&[u8]]) -> Duration,
) {
    for mistake in [&[&b"-?"[..], b"8080"][..], &[b"--perod", b"5"], &[b"'x'"], &[b"x --until-idle 8080 -q"]] {
        for arguments in [[mistake, arguments].concat(), [arguments, mistake].concat()] {
            assert_eq!(sleeps(&arguments), duration, "{arguments:?}");
        }
    }
    let is_plain = |argument: &&[u8]| {
        let plain = |b: &u8| b.is_ascii() && !b.is_ascii_whitespace() && !b"\x0b$".contains(b);
        !argument.is_empty() && argument.iter().all(plain)
    };
    // Behind `--min=5s`, the rest of the argument belongs to its value.
    let options = ["--min=", "--period=", "--timeout=", "--idle-after=", "--delay=", "--header="];
    let is_one_value = options.iter().any(|option| arguments[0].starts_with(option.as_bytes()));
    if arguments.iter().all(is_plain) && !is_one_value {
        let joined = arguments.join(&b' ');
        assert_eq!(sleeps(&[&joined]), duration, "{}", joined.escape_ascii());
    }
}

/// Durations in one argument sleep as long as those in two.
fn is_the_sum_of_its_parts(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let Some((first, second)) = text.split_once([' ', '\n']) else { return };
    let read = |text: &str| if text.trim().is_empty() { Ok(Duration::ZERO) } else { duration::read(text.as_bytes()) };
    let apart = read(first).and_then(|first| read(second).map(|second| first.saturating_add(second)));
    assert_eq!(read(text).ok(), apart.and_then(duration::not_too_long).ok(), "{text:?}");
}

fn doubled(text: &[u8], byte: u8) -> Vec<u8> {
    text.iter().flat_map(|&b| std::iter::repeat_n(b, if b == byte { 2 } else { 1 })).collect()
}

/// A duration as text, that means the same however it is written.
fn written(time: Duration) -> String {
    if time == FOREVER {
        assert_eq!(Seconds(time).to_string(), "infinity");
        return "infinity".to_string();
    }
    let text = humantime::format_duration(time).to_string();
    assert_eq!(duration::read(text.as_bytes()), Ok(time), "{text}");
    let shown = Seconds(time).to_string();
    assert_eq!(duration::read(shown.as_bytes()).map(|shown| shown.as_millis()), Ok(time.as_millis()), "{shown}");
    text
}
