//! The lookups of the C library, and the pool that waits for them.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, missing_docs)]

use std::ffi::CString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use aioxide_driver::resolver::{Found, LookupError, Pool, Query, name_of};
use rustix::event::{PollFd, PollFlags, poll};

const FOR_EVER: Duration = Duration::from_secs(3600);

fn query(host: Option<&str>, service: Option<&str>) -> Query {
    let text = |text: &str| CString::new(text).unwrap();
    Query {
        host: host.map(text),
        service: service.map(text),
        kind: libc::SOCK_STREAM,
        ..Query::default()
    }
}

fn addresses(found: &[Found]) -> Vec<SocketAddr> {
    found.iter().map(|found| found.address).collect()
}

#[test]
fn numbers() {
    let found = query(Some("127.0.0.1"), Some("80"))
        .look_up_numeric()
        .unwrap();
    assert_eq!(
        found,
        [Found {
            kind: libc::SOCK_STREAM,
            protocol: libc::IPPROTO_TCP,
            canonical_name: Vec::new(),
            address: (Ipv4Addr::LOCALHOST, 80).into(),
        }]
    );
    let found = query(Some("127.1"), None).look_up_numeric().unwrap();
    assert_eq!(addresses(&found), [(Ipv4Addr::LOCALHOST, 0).into()]);
    let scoped = query(Some("fe80::1%1"), Some("7"))
        .look_up_numeric()
        .unwrap();
    let address = SocketAddrV6::new("fe80::1".parse().unwrap(), 7, 0, 1);
    assert_eq!(addresses(&scoped), [address.into()]);
}

#[test]
fn no_host_is_every_address_or_the_loopback() {
    let passive = Query {
        flags: libc::AI_PASSIVE,
        family: libc::AF_INET6,
        ..query(None, Some("80"))
    };
    let found = passive.look_up_numeric().unwrap();
    assert_eq!(addresses(&found), [(Ipv6Addr::UNSPECIFIED, 80).into()]);
    let active = Query {
        flags: 0,
        family: libc::AF_INET,
        ..passive
    };
    let found = active.look_up_numeric().unwrap();
    assert_eq!(addresses(&found), [(Ipv4Addr::LOCALHOST, 80).into()]);
}

#[test]
fn a_canonical_name() {
    let asked = Query {
        flags: libc::AI_CANONNAME,
        ..query(Some("127.0.0.1"), None)
    };
    let found = asked.look_up_numeric().unwrap();
    assert_eq!(found[0].canonical_name, b"127.0.0.1");
}

#[test]
fn names_are_no_numbers() {
    assert_eq!(query(Some("localhost"), None).look_up_numeric(), None);
    assert_eq!(
        query(Some("127.0.0.1"), Some("http")).look_up_numeric(),
        None
    );
    assert_eq!(query(Some(""), None).look_up_numeric(), None);
    let unknown = Query {
        flags: 0x40,
        ..query(Some("127.0.0.1"), None)
    };
    assert_eq!(unknown.look_up_numeric(), None, "AI_IDN loads a library");
}

#[test]
fn errors_have_numbers_and_texts() {
    let wrong = Query {
        flags: libc::AI_NUMERICHOST,
        ..query(Some("nobody.invalid"), None)
    };
    let Err(LookupError::Name(code)) = wrong.look_up() else {
        panic!("a name was found");
    };
    assert_eq!(code, libc::EAI_NONAME);
    assert!(!LookupError::text(code).is_empty());
}

#[test]
fn names_of_addresses() {
    let numbers = libc::NI_NUMERICHOST | libc::NI_NUMERICSERV;
    let name = |address: SocketAddr| name_of(&address, numbers).unwrap();
    assert_eq!(
        name((IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3)), 4567).into()),
        (b"10.1.2.3".to_vec(), b"4567".to_vec())
    );
    let scoped = SocketAddrV6::new("2001:db8::7".parse().unwrap(), 1, 5, 0);
    assert_eq!(
        name(scoped.into()),
        (b"2001:db8::7".to_vec(), b"1".to_vec())
    );
}

fn readable(fd: RawFd, patience: i64) -> bool {
    // SAFETY: the pool keeps it open during the call.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    let timeout = rustix::time::Timespec {
        tv_sec: patience,
        tv_nsec: 0,
    };
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)).unwrap() == 1
}

/// Waits until as many answers have come.
fn answers(pool: &Pool<u32>, count: usize) -> Vec<(u64, u32)> {
    let mut answers = Vec::new();
    while answers.len() < count {
        assert!(readable(pool.fd(), 60), "no answer");
        answers.extend(pool.take());
    }
    answers.sort_unstable();
    answers
}

/// A job that says when it has begun, and ends when it is told to.
struct Gate {
    begun: Receiver<()>,
    open: Sender<u32>,
}

fn gated(pool: &Pool<u32>, number: u64) -> Gate {
    let (started, begun) = channel();
    let (open, opened) = channel();
    pool.submit(number, move || {
        started.send(()).unwrap();
        opened.recv().unwrap_or(0)
    })
    .unwrap();
    Gate { begun, open }
}

#[test]
fn answers_come_under_their_numbers() {
    let pool = Pool::new().unwrap();
    for number in 0..100 {
        pool.submit(number, move || u32::try_from(number * 2).unwrap())
            .unwrap();
    }
    let expected: Vec<_> = (0..100_u32).map(|n| (u64::from(n), n * 2)).collect();
    assert_eq!(answers(&pool, 100), expected);
    assert!(!readable(pool.fd(), 0));
    assert!(pool.take().is_empty());
}

#[test]
fn no_more_threads_than_allowed_and_none_before_they_are_needed() {
    let pool = Pool::with_limits(2, FOR_EVER).unwrap();
    assert_eq!(pool.threads(), 0);
    let gates: Vec<_> = (0..4).map(|number| gated(&pool, number)).collect();
    gates[0].begun.recv().unwrap();
    gates[1].begun.recv().unwrap();
    assert_eq!(pool.threads(), 2);
    assert!(gates[2].begun.try_recv().is_err());
    gates[1].open.send(7).unwrap();
    gates[2].begun.recv().unwrap();
    for (gate, answer) in [(0, 1), (2, 2), (3, 3)] {
        gates[gate].open.send(answer).unwrap();
    }
    assert_eq!(answers(&pool, 4), [(0, 1), (1, 7), (2, 2), (3, 3)]);
    assert_eq!(pool.threads(), 2);
    // An idle thread takes the next job: no third one, and not a new one either.
    pool.submit(9, || 9).unwrap();
    assert_eq!(answers(&pool, 1), [(9, 9)]);
    assert_eq!(pool.threads(), 2);
}

#[test]
fn idle_threads_end_and_new_ones_come() {
    let pool = Pool::with_limits(1, Duration::from_millis(1)).unwrap();
    for round in 0..200 {
        pool.submit(round, || 5).unwrap();
        assert_eq!(answers(&pool, 1), [(round, 5)]);
        if round % 10 == 0 {
            while pool.threads() > 0 {
                std::thread::yield_now();
            }
        }
    }
}

#[test]
fn what_is_forgotten_is_not_begun_or_not_answered() {
    let pool = Pool::with_limits(1, FOR_EVER).unwrap();
    let running = gated(&pool, 0);
    running.begun.recv().unwrap();
    let waiting = gated(&pool, 1);
    assert!(pool.forget(1));
    assert!(waiting.begun.recv().is_err(), "the job is gone");
    assert!(!pool.forget(0), "it has begun");
    running.open.send(1).unwrap();
    pool.submit(2, || 2).unwrap();
    assert_eq!(answers(&pool, 1), [(2, 2)]);
    pool.submit(3, || 3).unwrap();
    assert!(readable(pool.fd(), 60));
    assert!(!pool.forget(3));
    assert!(pool.take().is_empty(), "an answer that nobody wants");
}

#[test]
fn a_job_that_panics_takes_no_thread_with_it() {
    let pool = Pool::with_limits(1, FOR_EVER).unwrap();
    pool.submit(0, || panic!("on purpose")).unwrap();
    pool.submit(1, || 1).unwrap();
    assert_eq!(answers(&pool, 1), [(1, 1)]);
    assert_eq!(pool.threads(), 1);
}

#[test]
fn closing_waits_for_nobody() {
    let pool = Pool::<u32>::with_limits(1, FOR_EVER).unwrap();
    let running = gated(&pool, 0);
    running.begun.recv().unwrap();
    let waiting = gated(&pool, 1);
    pool.close();
    assert!(waiting.begun.recv().is_err());
    assert_eq!(pool.fd(), -1);
    assert!(pool.submit(2, || 2).is_err());
    running.open.send(3).unwrap();
    while pool.threads() > 0 {
        std::thread::yield_now();
    }
    assert!(pool.take().is_empty());
    pool.close();
}

#[test]
fn closing_ends_idle_threads() {
    let pool = Pool::with_limits(4, FOR_EVER).unwrap();
    pool.submit(0, || 0).unwrap();
    assert_eq!(answers(&pool, 1), [(0, 0)]);
    pool.close();
    while pool.threads() > 0 {
        std::thread::yield_now();
    }
}
