//! Durations as they should be read, in exact arithmetic.

use std::time::Duration;

use drain_sleep::duration::{FOREVER, LONGEST};

#[derive(Clone, Copy, PartialEq)]
enum Mistake {
    TooLong,
    Malformed,
}

/// The sum of the durations in these arguments, as far as they can be read, and whether nothing is wrong with them.
pub fn total(arguments: &[&[u8]]) -> (Option<Duration>, bool) {
    let mut nanos = None;
    let mut forever = false;
    let mut right = !arguments.is_empty();
    for argument in arguments {
        let text = str::from_utf8(argument).unwrap_or_default();
        right &= !text.trim().is_empty();
        for word in text.split_whitespace() {
            let is_forever = ["inf", "infinity"].contains(&word.to_ascii_lowercase().as_str());
            forever |= is_forever;
            let read = if is_forever { Ok(0) } else { read(word) };
            right &= read.is_ok();
            match read {
                Ok(read) => nanos = Some(nanos.unwrap_or(0) + read),
                Err(Mistake::TooLong) => nanos = Some(nanos.unwrap_or(0) + LONGEST.as_nanos()),
                Err(Mistake::Malformed) => {}
            }
        }
    }
    if forever {
        return (Some(FOREVER), right);
    }
    let sum = nanos.map(|nanos| Duration::from_nanos(nanos.min(LONGEST.as_nanos()) as u64));
    (sum, right && nanos.is_some_and(|nanos| nanos <= LONGEST.as_nanos()))
}

/// Nanoseconds in one word.
fn read(word: &str) -> Result<u128, Mistake> {
    if word.starts_with(['+', '-']) {
        return Err(Mistake::Malformed);
    }
    let of_number = |c: char| c.is_ascii_digit() || c == '.';
    if word.chars().all(of_number) {
        return at_most_longest(seconds(word)?);
    }
    let mut sum = 0;
    let mut rest = word;
    while !rest.is_empty() {
        let unit_at = rest.find(|c| !of_number(c)).unwrap_or(rest.len());
        let (number, after) = rest.split_at(unit_at);
        let (unit, after) = after.split_at(after.find(of_number).unwrap_or(after.len()));
        sum += at_most_longest(with_unit(number, unit)?)?;
        rest = after;
    }
    at_most_longest(sum)
}

fn at_most_longest(nanos: u128) -> Result<u128, Mistake> {
    if nanos > LONGEST.as_nanos() { Err(Mistake::TooLong) } else { Ok(nanos) }
}

fn seconds(number: &str) -> Result<u128, Mistake> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if number == "." || number.is_empty() || fraction.contains('.') {
        return Err(Mistake::Malformed);
    }
    let whole: u128 = format!("0{whole}").parse().map_err(|_| Mistake::TooLong)?;
    let nanos: u128 = format!("{fraction:0<9}")[..9].parse().unwrap();
    whole.checked_mul(1_000_000_000).map(|whole| whole + nanos).ok_or(Mistake::TooLong)
}

fn with_unit(number: &str, unit: &str) -> Result<u128, Mistake> {
    if unit.is_empty() || !number.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(Mistake::Malformed);
    }
    let (whole, fraction) = number.split_once('.').map_or((number, None), |(whole, fraction)| (whole, Some(fraction)));
    // What no machine word holds is too large whatever the unit.
    let whole: u64 = whole.parse().map_err(|_| Mistake::TooLong)?;
    // A unit, and the finest that a fraction of it may be, in nanoseconds.
    let (unit, finest): (u128, u128) = match unit {
        "nanos" | "nsec" | "ns" => (1, 0),
        "usec" | "us" | "µs" => (1_000, 1),
        "millis" | "msec" | "ms" => (1_000_000, 1),
        "seconds" | "second" | "secs" | "sec" | "s" => (1_000_000_000, 1),
        "minutes" | "minute" | "mins" | "min" | "m" => (60_000_000_000, 1),
        "hours" | "hour" | "hrs" | "hr" | "h" => (3_600_000_000_000, 1_000_000_000),
        "days" | "day" | "d" => (86_400_000_000_000, 1_000_000_000),
        "weeks" | "week" | "wks" | "wk" | "w" => (604_800_000_000_000, 1_000_000_000),
        "months" | "month" | "M" => (2_630_016_000_000_000, 1_000_000_000),
        "years" | "year" | "yrs" | "yr" | "y" => (31_557_600_000_000_000, 1_000_000_000),
        _ => return Err(Mistake::Malformed),
    };
    let whole = u128::from(whole) * unit;
    let Some(fraction) = fraction else { return Ok(whole) };
    let digits = fraction.split('.').next().unwrap_or_default();
    if digits.is_empty() || digits != fraction && is_held(digits) {
        return Err(Mistake::Malformed);
    }
    match part_of(fraction, unit, finest) {
        Some(part) => Ok(whole + part),
        None => at_most_longest(whole).and(Err(Mistake::Malformed)),
    }
}

/// Whether a fraction's digits, and the power of ten below them, have 64 bits at most: humantime reckons in no more.
fn is_held(digits: &str) -> bool {
    digits.parse::<u64>().is_ok() && digits.len() < 20
}

/// A fraction of a unit, if it is one that can be held.
fn part_of(fraction: &str, unit: u128, finest: u128) -> Option<u128> {
    let numerator: u64 = fraction.parse().ok().filter(|_| is_held(fraction))?;
    let scaled = numerator.checked_mul(u64::try_from(unit.checked_div(finest)?).ok()?)?;
    let denominator = 10_u64.pow(fraction.len() as u32);
    (scaled % denominator == 0).then(|| u128::from(scaled / denominator) * finest)
}
