//! The fuzzer of one entry point, which the variable `PROPERTY` names.

#![no_main]

mod properties;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use properties::{ALL, Property, nothing_is_a_drain};

static PROPERTY: LazyLock<Property> = LazyLock::new(|| {
    let name = std::env::var("PROPERTY").unwrap_or_default();
    let mut known = ALL.into_iter().chain([("nothing is a drain", nothing_is_a_drain as Property)]);
    known.find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no property {name:?}")).1
});

fuzz_target!(|input: &[u8]| PROPERTY(input));
