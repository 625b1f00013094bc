//! `http://…`: ready is what the kubelet's `httpGet` probe calls success.

use std::time::Duration;

use super::{Detail, Outcome};
use crate::http::{Method, Read, exchange};
use crate::plan::Header;
use crate::url::HttpUrl;

pub fn check(url: &HttpUrl, headers: &[Header], deadline: Duration) -> Outcome {
    match exchange(Method::Get, url, headers, Read::Body, deadline) {
        Ok(answer) if answer.tls => Outcome::ready(Detail::Tls(answer.status)),
        Ok(answer) if answer.is_success() => Outcome::ready(Detail::Status(answer.status)),
        Ok(answer) => Outcome::unready(Detail::Status(answer.status)),
        Err(failure) => failure.into(),
    }
}
