//! `http://…`: ready is what the kubelet's `httpGet` probe calls success.

use std::time::Duration;

use super::{Detail, Outcome};
use crate::http::{Method, Read, exchange};
use crate::plan::Header;
use crate::url::HttpUrl;

pub fn check(url: &HttpUrl, headers: &[Header], deadline: Duration) -> Outcome {
    match exchange(Method::Get, url, headers, Read::Body, deadline) {
        Ok(answer) if (200..400).contains(&answer.status) => Outcome::ready(Detail::Answer(answer)),
        Ok(answer) => Outcome::unready(Detail::Answer(answer)),
        Err(failure) => failure.into(),
    }
}
