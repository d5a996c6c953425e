//! HTTP/1.1: the client that loads a server, and the server that a client under test talks to.

use std::io;

use crate::drive::{self, Timing};
use crate::load::{ClosedLoop, Exchange};
use crate::serve::{Out, Service};
use crate::socket::Target;

/// More headers than any server under test sends.
const HEADERS: usize = 32;

#[derive(Debug, clap::Args)]
pub struct Plan {
    #[command(flatten)]
    target: Target,
    /// Bytes of the body that is asked for.
    #[arg(long, default_value_t = 64)]
    size: usize,
    #[command(flatten)]
    timing: Timing,
}

/// The body of so many bytes, here and in the servers under test.
fn body(size: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(size).collect()
}

fn wrong(what: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("the server's answer is wrong: {what}"))
}

struct Get {
    request: Vec<u8>,
    body: Vec<u8>,
}

impl Exchange for Get {
    fn request(&mut self, _key: u64, _sequence: u64) -> &[u8] {
        &self.request
    }

    fn is_answer(&mut self, _key: u64, _sequence: u64, received: &[u8]) -> io::Result<bool> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(start) = response.parse(received).map_err(wrong)? else {
            return Ok(false);
        };
        if response.code != Some(200) {
            return Err(wrong(format!("status {:?}", response.code)));
        }
        let header = |name: &str| {
            response
                .headers
                .iter()
                .find(|header| header.name.eq_ignore_ascii_case(name))
                .and_then(|header| std::str::from_utf8(header.value).ok())
        };
        if header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            return Err(wrong("it does not keep the connection"));
        }
        let length: usize = header("content-length")
            .and_then(|value| value.parse().ok())
            .ok_or_else(|| wrong("no Content-Length"))?;
        if length != self.body.len() {
            return Err(wrong(format!("{length} bytes of {}", self.body.len())));
        }
        if received.len() < start + length {
            return Ok(false);
        }
        if received[start..] != self.body {
            return Err(wrong("another body"));
        }
        Ok(true)
    }
}

/// Requests to a server, one in flight on each connection.
pub fn run(plan: &Plan) -> io::Result<()> {
    let size = plan.size;
    let request = format!(
        "GET /{size} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: loadgen\r\nAccept: */*\r\n\r\n"
    );
    let get = Get {
        request: request.into_bytes(),
        body: body(size),
    };
    let mut load = ClosedLoop::connect(&plan.target, get)?;
    drive::drive(&mut load, &plan.timing)
}

/// A server that answers `GET /N` with N bytes.
pub struct Pages;

impl Service for Pages {
    /// What came of a request that is not whole yet.
    type State = Vec<u8>;

    fn received(&self, pending: &mut Vec<u8>, data: &[u8], out: &mut Out) -> io::Result<()> {
        pending.extend_from_slice(data);
        loop {
            let mut headers = [httparse::EMPTY_HEADER; HEADERS];
            let mut request = httparse::Request::new(&mut headers);
            let parsed = request.parse(pending).map_err(io::Error::other)?;
            let httparse::Status::Complete(end) = parsed else {
                return Ok(());
            };
            let size = request
                .path
                .and_then(|path| path.strip_prefix('/'))
                .and_then(|path| path.parse().ok())
                .ok_or_else(|| io::Error::other("no such page"))?;
            let mut answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n"
            )
            .into_bytes();
            answer.extend(body(size));
            out.send(&answer)?;
            pending.drain(..end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Get, body};
    use crate::load::Exchange;

    fn judge(answer: &str) -> Result<bool, String> {
        let mut get = Get {
            request: Vec::new(),
            body: body(3),
        };
        get.is_answer(0, 1, answer.as_bytes())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn whole_answers_only() {
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc";
        for length in 0..answer.len() {
            assert_eq!(judge(&answer[..length]), Ok(false));
        }
        assert_eq!(judge(answer), Ok(true));
    }

    #[test]
    fn wrong_answers_are_found() {
        for (answer, reason) in [
            ("HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nabc", "status"),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabd",
                "another body",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd",
                "another body",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd",
                "4 bytes of 3",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                "no Content-Length",
            ),
            (
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
                "keep",
            ),
            ("SPDY\r\n\r\n", "wrong"),
        ] {
            let error = judge(answer).unwrap_err();
            assert!(error.contains(reason), "{error:?} for {answer:?}");
        }
    }
}
