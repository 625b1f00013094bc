//! `http://…`: ready is what the kubelet's `httpGet` probe calls success.

use std::time::Duration;

use super::Outcome;
use crate::http::{Method, Read, exchange};
use crate::plan::Header;
use crate::url::HttpUrl;

pub fn check(url: &HttpUrl, headers: &[Header], deadline: Duration) -> Outcome {
    match exchange(Method::Get, url, headers, Read::Body, deadline) {
        Ok(answer) if answer.tls => {
            Outcome::ready(format!("{}, a redirect to https, which cannot be followed", answer.status))
        }
        Ok(answer) if answer.is_success() => Outcome::ready(answer.status.to_string()),
        Ok(answer) => Outcome::unready(answer.status.to_string()),
        Err(failure) => failure.into(),
    }
}
