//! What the tests share.
#![allow(dead_code)] // Each test file uses its part.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

use aioxide_driver::reactor::Events;
use aioxide_driver::{Event, Reactor, Timeout};
use rustix::process::{Resource, getrlimit, setrlimit};

pub(crate) const EBADF: i32 = 9;
pub(crate) const EPERM: i32 = 1;
pub(crate) const ENOENT: i32 = 2;
pub(crate) const EAGAIN: i32 = 11;
pub(crate) const EEXIST: i32 = 17;
pub(crate) const EINVAL: i32 = 22;
pub(crate) const EPIPE: i32 = 32;

/// Runs a test on the reactor as it is and on the one that a kernel without `epoll_pwait2` gives.
pub(crate) fn on_each_reactor(test: impl Fn(Reactor)) {
    test(Reactor::new().unwrap());
    test(Reactor::new_coarse().unwrap());
}

/// A non-blocking pair of connected stream sockets.
pub(crate) fn socketpair() -> (UnixStream, UnixStream) {
    let (left, right) = UnixStream::pair().unwrap();
    left.set_nonblocking(true).unwrap();
    right.set_nonblocking(true).unwrap();
    (left, right)
}

/// A TCP connection over loopback: both ends, blocking.
pub(crate) fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    (client, server)
}

/// The number of a descriptor that was open and is no more. It is far above those that the other tests
/// of this process open at the same time.
pub(crate) fn closed_fd() -> RawFd {
    raise_limit_of_open_files();
    let file = rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3500).unwrap();
    file.as_raw_fd()
}

/// Allows this process 4096 open files, which many systems do not by default.
pub(crate) fn raise_limit_of_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|most| most < 4096) {
        limit.current = Some(4096);
        setrlimit(Resource::Nofile, limit).unwrap();
    }
}

#[track_caller]
pub(crate) fn wait(reactor: &mut Reactor, timeout: Timeout) -> Vec<Event> {
    // What was in the vector must be gone.
    let mut events = vec![event(u64::MAX, true, true)];
    reactor
        .wait(timeout, &mut Events::new(), &mut events)
        .unwrap();
    events.sort_by_key(|event| event.token);
    events
}

/// What is reported without waiting.
#[track_caller]
pub(crate) fn expect_now(reactor: &mut Reactor, expected: &[Event]) {
    assert_eq!(wait(reactor, Timeout::Now), expected);
}

/// What is reported once something is: for conditions that another part of the kernel brings about.
#[track_caller]
pub(crate) fn expect_soon(reactor: &mut Reactor, expected: &[Event]) {
    assert_eq!(wait(reactor, Timeout::Forever), expected);
}

pub(crate) fn event(token: u64, readable: bool, writable: bool) -> Event {
    Event {
        token,
        readable,
        writable,
    }
}

#[track_caller]
pub(crate) fn expect_errno<T>(result: io::Result<T>, errno: i32) {
    match result {
        Ok(_) => panic!("expected error {errno}, got success"),
        Err(error) => assert_eq!(error.raw_os_error(), Some(errno), "{error}"),
    }
}
