//! How long to sleep if the command line is wrong or cannot be read, because no mistake and no bug may cost the drain.
//!
//! It reads every word, takes no memory, and reports no mistakes: `args` does that.

use std::time::Duration;

use super::duration::{LONGEST, SECONDS_MAX, add, is_bare_number, lenient, unquoted};
use super::options::{Found, Kind, Opt, Spec, find, is_option};
use super::variables::{Environment, expand_into};
use crate::drain::DEFAULT_MIN;
use crate::text::{FOREVER, split_once, words};

/// How many bytes an argument may have with its variables. The rest is cut off.
const ROOM: usize = 1024;

/// What a duration counts as. The sum of the first of these that is on the command line is slept.
#[derive(Clone, Copy)]
enum Sum {
    /// Durations that are neither an option nor the value of one.
    Operands,
    /// Durations with a unit that are the value of an option that takes no duration, or of a misspelt one.
    Values,
    /// Bare numbers behind the port of `--until-idle`. Where there is no other duration, they are no second port.
    BehindPorts,
    /// Bare numbers behind an unknown option.
    BehindUnknown,
    /// `--min`
    Min,
}

/// What a word is, by the word before it.
#[derive(Clone, Copy)]
enum Place {
    Operand,
    /// The value of this option. It is false if the option is misspelt.
    Value(&'static Spec, bool),
    /// The rest of a value with white space in it, which ends with the argument. It is true for `--min`.
    Rest(bool),
    BehindPort,
    BehindUnknown,
}

/// Returns how long to sleep, at most 30 days unless that is infinite.
pub fn salvage<'a>(arguments: impl Iterator<Item = &'a [u8]>, environment: Environment<'a>) -> Duration {
    let mut sums = [None; Sum::Min as usize + 1];
    let mut place = Place::Operand;
    let mut room = [0; ROOM];
    for argument in arguments {
        let mut text = expand_into(&mut room, argument, environment);
        if words(text).next().is_none() {
            text = b"?"; // a word, and not a duration
        }
        for (number, mut word) in words(text).map(unquoted).enumerate() {
            let is_value = matches!(place, Place::Value(..) | Place::Rest(_));
            if is_option(word) && (word.starts_with(b"--") || !is_value) {
                let (name, value) = split_once(word, b'=').map_or((word, None), |(name, value)| (name, Some(value)));
                place = match find(name) {
                    Found::Known(spec) if spec.kind != Kind::Flag => Place::Value(spec, true),
                    Found::Near(spec) if spec.kind != Kind::Flag => Place::Value(spec, false),
                    Found::Known(_) if value.is_none() => Place::Operand,
                    _ if name == b"--" => Place::Operand,
                    _ => Place::BehindUnknown,
                };
                let Some(value) = value else { continue };
                word = unquoted(value);
            }
            if let Some(duration) = lenient(word)
                && let Some(sum) = counts(place, is_bare_number(word), duration)
            {
                let sum = &mut sums[sum as usize];
                *sum = add(*sum, duration);
            }
            place = match place {
                Place::Value(Spec { kind: Kind::Port, .. }, _) => Place::BehindPort,
                // In `--min 5s 20`, all one argument, the value ends at the next space.
                Place::Value(Spec { kind: Kind::Duration | Kind::Header, option, .. }, true) if number == 0 => {
                    Place::Rest(*option == Opt::Min)
                }
                Place::Rest(_) => place,
                _ => Place::Operand,
            };
        }
        if let Place::Rest(_) = place {
            place = Place::Operand;
        }
    }
    let sum = sums.into_iter().find_map(|sum| sum).unwrap_or(DEFAULT_MIN);
    if sum == FOREVER { FOREVER } else { sum.min(LONGEST) }
}

/// Returns what a duration counts as in its place. It is `bare` if it has no unit.
fn counts(place: Place, bare: bool, duration: Duration) -> Option<Sum> {
    match place {
        Place::Value(Spec { option: Opt::Min, .. }, true) | Place::Rest(true) => Some(Sum::Min),
        Place::Value(Spec { kind: Kind::Duration, .. }, true) | Place::Rest(false) => None,
        Place::Value(..) if !bare => Some(Sum::Values),
        Place::Value(_, true) => None,
        Place::Value(_, false) | Place::BehindUnknown if bare => {
            (duration <= SECONDS_MAX).then_some(Sum::BehindUnknown)
        }
        Place::BehindPort if bare => Some(Sum::BehindPorts),
        _ => Some(Sum::Operands),
    }
}
