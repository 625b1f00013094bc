//! `http://…`: the app is ready if the kubelet's `httpGet` probe would succeed.

use std::time::Duration;

use super::{Reason, Verdict};
use crate::http::client::{Method, Read, exchange};
use crate::http::header::Header;
use crate::net::url::HttpUrl;

pub fn check(url: &HttpUrl, headers: &[Header], deadline: Duration) -> Verdict {
    match exchange(Method::Get, url, headers, Read::Body, deadline) {
        Ok(answer) if (200..400).contains(&answer.status) => Verdict::ready(Reason::Answer(answer)),
        Ok(answer) => Verdict::unready(Reason::Answer(answer)),
        Err(failure) => failure.into(),
    }
}
