//! `http://…`: the app is ready if the kubelet's `httpGet` probe would succeed. If it is only too busy to answer, that says
//! nothing.

use std::time::Duration;

use super::Verdict;
use crate::http::client::{Exchange, Method, Read};
use crate::http::header::Header;
use crate::net::failure::{BUSY, Failure};
use crate::net::url::HttpUrl;

pub fn check(url: &HttpUrl, headers: &[Header], deadline: Duration) -> Result<Verdict, Failure> {
    let answer = Exchange::new(Method::Get, url, headers, Read::Body).advance(deadline)?;
    if BUSY.contains(&answer.status) {
        return Ok(Verdict::unknown(&answer));
    }
    let is_ready = (200..400).contains(&answer.status);
    Ok(Verdict::answered(is_ready, &answer))
}
