//! The contract of a reactor, sentence by sentence (see the module's documentation).
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::similar_names, missing_docs)]

mod util;

use std::fs::File;
use std::io::{Read, Write, pipe};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use aioxide_driver::reactor::Events;
use aioxide_driver::{Interest, Reactor, Timeout, sys};
use util::*;

#[test]
fn a_socket_is_writable_then_also_readable() {
    on_each_reactor(|mut reactor| {
        let (left, mut right) = socketpair();
        reactor.add(left.as_raw_fd(), 7, Interest::BOTH).unwrap();
        expect_now(&mut reactor, &[event(7, false, true)]);
        right.write_all(b"x").unwrap();
        expect_now(&mut reactor, &[event(7, true, true)]);
    });
}

#[test]
fn only_what_is_asked_for_is_reported() {
    on_each_reactor(|mut reactor| {
        let (left, mut right) = socketpair();
        reactor.add(left.as_raw_fd(), 7, Interest::READ).unwrap();
        expect_now(&mut reactor, &[]);
        right.write_all(b"x").unwrap();
        expect_now(&mut reactor, &[event(7, true, false)]);
        reactor
            .modify(left.as_raw_fd(), 7, Interest::WRITE)
            .unwrap();
        expect_now(&mut reactor, &[event(7, false, true)]);
    });
}

#[test]
fn readiness_is_reported_as_long_as_it_holds() {
    on_each_reactor(|mut reactor| {
        let (mut left, mut right) = socketpair();
        reactor.add(left.as_raw_fd(), 1, Interest::READ).unwrap();
        right.write_all(b"abc").unwrap();
        for _ in 0..3 {
            expect_now(&mut reactor, &[event(1, true, false)]);
            left.read_exact(&mut [0]).unwrap();
        }
        expect_now(&mut reactor, &[]);
    });
}

#[test]
fn once_reports_one_event_until_it_is_modified() {
    on_each_reactor(|mut reactor| {
        let (mut left, mut right) = socketpair();
        let once = Interest::READ | Interest::ONCE;
        reactor.add(left.as_raw_fd(), 1, once).unwrap();
        right.write_all(b"ab").unwrap();
        expect_now(&mut reactor, &[event(1, true, false)]);
        expect_now(&mut reactor, &[]);
        reactor.modify(left.as_raw_fd(), 2, once).unwrap();
        expect_now(&mut reactor, &[event(2, true, false)]);
        left.read_exact(&mut [0, 0]).unwrap();
        right.write_all(b"c").unwrap();
        expect_now(&mut reactor, &[]);
        // What is left of the registration is an ordinary one again.
        reactor.modify(left.as_raw_fd(), 3, Interest::READ).unwrap();
        expect_now(&mut reactor, &[event(3, true, false)]);
        expect_now(&mut reactor, &[event(3, true, false)]);
    });
}

#[test]
fn once_is_silent_about_errors_too() {
    on_each_reactor(|mut reactor| {
        let (left, right) = socketpair();
        let once = Interest::READ | Interest::ONCE;
        reactor.add(left.as_raw_fd(), 1, once).unwrap();
        drop(right);
        expect_now(&mut reactor, &[event(1, true, true)]);
        expect_now(&mut reactor, &[]);
    });
}

#[test]
fn a_full_pipe_is_not_writable_until_it_is_read() {
    on_each_reactor(|mut reactor| {
        let (mut reader, writer) = pipe().unwrap();
        rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK).unwrap();
        reactor.add(writer.as_raw_fd(), 1, Interest::WRITE).unwrap();
        expect_now(&mut reactor, &[event(1, false, true)]);
        let chunk = [0; 4096];
        let mut written = 0;
        while let Ok(count) = sys::write(writer.as_raw_fd(), &chunk) {
            written += count;
        }
        expect_now(&mut reactor, &[]);
        reader.read_exact(&mut vec![0; written]).unwrap();
        expect_now(&mut reactor, &[event(1, false, true)]);
    });
}

#[test]
fn a_listening_socket_is_readable_when_somebody_connects() {
    on_each_reactor(|mut reactor| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        reactor
            .add(listener.as_raw_fd(), 1, Interest::READ)
            .unwrap();
        expect_now(&mut reactor, &[]);
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        expect_soon(&mut reactor, &[event(1, true, false)]);
        listener.accept().unwrap();
        expect_now(&mut reactor, &[]);
        drop(client);
    });
}

#[test]
fn each_descriptor_has_one_event_with_its_own_token() {
    on_each_reactor(|mut reactor| {
        let pairs: Vec<_> = (0..20).map(|_| socketpair()).collect();
        for (token, (left, _)) in (0_u64..).zip(&pairs) {
            // The whole of the token is kept.
            reactor
                .add(left.as_raw_fd(), token << 58, Interest::BOTH)
                .unwrap();
        }
        for (_, right) in pairs.iter().step_by(2) {
            (&mut &*right).write_all(b"x").unwrap();
        }
        let expected: Vec<_> = (0..20)
            .map(|token| event(token << 58, token % 2 == 0, true))
            .collect();
        expect_now(&mut reactor, &expected);
    });
}

#[test]
fn more_events_than_fit_come_in_the_next_waits() {
    let reactor = Reactor::new().unwrap();
    // Many descriptors of one file: for epoll each is a registration of its own.
    let (left, mut right) = socketpair();
    right.write_all(b"x").unwrap();
    raise_limit_of_open_files();
    let copies: Vec<_> = (0..1500).map(|_| left.try_clone().unwrap()).collect();
    for (token, copy) in (0..).zip(&copies) {
        reactor
            .add(copy.as_raw_fd(), token, Interest::READ)
            .unwrap();
    }
    let mut seen = vec![0; copies.len()];
    let mut events = Vec::new();
    for _ in 0..2 {
        reactor
            .wait(Timeout::Now, &mut Events::new(), &mut events)
            .unwrap();
        assert_eq!(events.len(), 1024);
        for event in &events {
            seen[usize::try_from(event.token).unwrap()] += 1;
        }
    }
    assert!(seen.iter().all(|&times| times >= 1), "{seen:?}");
}

#[test]
fn modify_replaces_the_token_too() {
    on_each_reactor(|mut reactor| {
        let (left, _right) = socketpair();
        reactor.add(left.as_raw_fd(), 1, Interest::WRITE).unwrap();
        reactor
            .modify(left.as_raw_fd(), 2, Interest::WRITE)
            .unwrap();
        expect_now(&mut reactor, &[event(2, false, true)]);
    });
}

#[test]
fn a_removed_descriptor_is_silent_and_may_be_added_again() {
    on_each_reactor(|mut reactor| {
        let (left, _right) = socketpair();
        reactor.add(left.as_raw_fd(), 1, Interest::WRITE).unwrap();
        reactor.remove(left.as_raw_fd()).unwrap();
        expect_now(&mut reactor, &[]);
        reactor.add(left.as_raw_fd(), 2, Interest::WRITE).unwrap();
        expect_now(&mut reactor, &[event(2, false, true)]);
    });
}

#[test]
fn a_number_is_reused_for_another_file() {
    on_each_reactor(|mut reactor| {
        let (left, right) = socketpair();
        let number = left.as_raw_fd();
        reactor.add(number, 1, Interest::BOTH).unwrap();
        reactor.remove(number).unwrap();
        // The other file under the very same number, whatever other tests open meanwhile.
        let (reader, mut writer) = pipe().unwrap();
        let mut reused = OwnedFd::from(left);
        rustix::io::dup2(&reader, &mut reused).unwrap();
        assert_eq!(reused.as_raw_fd(), number);
        reactor.add(number, 2, Interest::READ).unwrap();
        expect_now(&mut reactor, &[]);
        writer.write_all(b"x").unwrap();
        expect_now(&mut reactor, &[event(2, true, false)]);
        drop(right);
    });
}

#[test]
fn a_number_closed_without_remove_may_be_added_for_another_file() {
    on_each_reactor(|mut reactor| {
        let (left, right) = socketpair();
        let number = left.as_raw_fd();
        reactor.add(number, 1, Interest::BOTH).unwrap();
        let (reader, mut writer) = pipe().unwrap();
        let mut reused = OwnedFd::from(left);
        rustix::io::dup2(&reader, &mut reused).unwrap();
        expect_errno(reactor.modify(number, 2, Interest::READ), ENOENT);
        reactor.add(number, 2, Interest::READ).unwrap();
        writer.write_all(b"x").unwrap();
        expect_now(&mut reactor, &[event(2, true, false)]);
        drop(right);
    });
}

#[test]
fn a_registration_belongs_to_the_file_not_to_the_number() {
    let mut reactor = Reactor::new().unwrap();
    let (left, mut right) = socketpair();
    let copy = left.try_clone().unwrap();
    let number = left.as_raw_fd();
    reactor.add(number, 1, Interest::READ).unwrap();
    // Closes `left`'s number, by putting another file there; the copy keeps its file open.
    let (reader, _writer) = pipe().unwrap();
    let mut reused = OwnedFd::from(left);
    rustix::io::dup2(&reader, &mut reused).unwrap();
    right.write_all(b"x").unwrap();
    expect_now(&mut reactor, &[event(1, true, false)]);
    expect_errno(reactor.remove(number), ENOENT);
    drop(copy);
    expect_now(&mut reactor, &[]);
}

#[test]
fn a_closed_peer_is_a_hang_up_and_makes_both() {
    on_each_reactor(|mut reactor| {
        let (left, right) = socketpair();
        reactor.add(left.as_raw_fd(), 1, Interest::READ).unwrap();
        drop(right);
        expect_now(&mut reactor, &[event(1, true, true)]);
        reactor
            .modify(left.as_raw_fd(), 1, Interest::WRITE)
            .unwrap();
        expect_now(&mut reactor, &[event(1, true, true)]);
    });
}

#[test]
fn a_peer_that_only_stops_writing_is_readable_not_hung_up() {
    on_each_reactor(|mut reactor| {
        let (client, server) = tcp_pair();
        reactor.add(client.as_raw_fd(), 1, Interest::READ).unwrap();
        sys::shutdown_write(server.as_raw_fd()).unwrap();
        expect_soon(&mut reactor, &[event(1, true, false)]);
        assert_eq!(sys::recv(client.as_raw_fd(), &mut [0; 8]).unwrap(), 0);
    });
}

#[test]
fn a_pipe_without_readers_is_an_error_and_makes_both() {
    on_each_reactor(|mut reactor| {
        let (reader, writer) = pipe().unwrap();
        reactor.add(writer.as_raw_fd(), 1, Interest::WRITE).unwrap();
        expect_now(&mut reactor, &[event(1, false, true)]);
        drop(reader);
        expect_now(&mut reactor, &[event(1, true, true)]);
    });
}

#[test]
fn a_pipe_without_writers_is_a_hang_up() {
    on_each_reactor(|mut reactor| {
        let (reader, writer) = pipe().unwrap();
        reactor.add(reader.as_raw_fd(), 1, Interest::READ).unwrap();
        expect_now(&mut reactor, &[]);
        drop(writer);
        expect_now(&mut reactor, &[event(1, true, true)]);
    });
}

#[test]
fn a_reset_connection_makes_both_and_the_error_is_there_to_take() {
    on_each_reactor(|mut reactor| {
        let (client, server) = tcp_pair();
        reactor.add(client.as_raw_fd(), 1, Interest::READ).unwrap();
        rustix::net::sockopt::set_socket_linger(&server, Some(Duration::ZERO)).unwrap();
        drop(server);
        expect_soon(&mut reactor, &[event(1, true, true)]);
        expect_errno(sys::recv(client.as_raw_fd(), &mut [0; 8]), 104); // ECONNRESET
    });
}

#[test]
fn errors_keep_the_kernels_number() {
    let reactor = Reactor::new().unwrap();
    let file = File::open("/proc/self/exe").unwrap();
    expect_errno(reactor.add(file.as_raw_fd(), 1, Interest::READ), EPERM);
    for bad in [-1, -2, i32::MIN, i32::MAX, closed_fd()] {
        expect_errno(reactor.add(bad, 1, Interest::READ), EBADF);
        expect_errno(reactor.modify(bad, 1, Interest::READ), EBADF);
        expect_errno(reactor.remove(bad), EBADF);
    }
    let (left, _right) = socketpair();
    expect_errno(reactor.modify(left.as_raw_fd(), 1, Interest::READ), ENOENT);
    expect_errno(reactor.remove(left.as_raw_fd()), ENOENT);
    expect_errno(reactor.add(left.as_raw_fd(), 1, Interest::NONE), EINVAL);
    expect_errno(reactor.add(left.as_raw_fd(), 1, Interest::ONCE), EINVAL);
    reactor.add(left.as_raw_fd(), 1, Interest::READ).unwrap();
    expect_errno(reactor.add(left.as_raw_fd(), 1, Interest::READ), EEXIST);
    expect_errno(reactor.modify(left.as_raw_fd(), 1, Interest::NONE), EINVAL);
}

#[test]
fn a_timeout_is_never_early() {
    on_each_reactor(|mut reactor| {
        for ns in [
            1, 999, 20_000, 300_000, 999_999, 1_000_001, 2_500_000, 12_345_678,
        ] {
            let before = sys::monotonic_ns();
            assert_eq!(
                wait(&mut reactor, Timeout::For(Duration::from_nanos(ns))),
                []
            );
            let slept = sys::monotonic_ns() - before;
            assert!(slept >= ns, "asked for {ns} ns, slept {slept} ns");
        }
    });
}

#[test]
fn a_long_timeout_ends_with_the_event() {
    for timeout in [
        Timeout::For(Duration::from_secs(3600)),
        Timeout::For(Duration::MAX),
        Timeout::Forever,
    ] {
        on_each_reactor(|mut reactor| {
            let (left, right) = socketpair();
            reactor.add(left.as_raw_fd(), 1, Interest::READ).unwrap();
            let writer = std::thread::spawn(move || (&mut &right).write_all(b"x").map(|()| right));
            assert_eq!(wait(&mut reactor, timeout), [event(1, true, false)]);
            writer.join().unwrap().unwrap();
        });
    }
}

#[test]
fn nanoseconds_are_used_where_the_kernel_takes_them() {
    // Were they not, the tests on the first of the two reactors would silently be those of the second.
    let mut reactor = Reactor::new().unwrap();
    assert_eq!(
        wait(&mut reactor, Timeout::For(Duration::from_nanos(1))),
        []
    );
    assert_eq!(reactor.is_precise(), kernel_takes_nanoseconds());
    assert!(!Reactor::new_coarse().unwrap().is_precise());
}

/// Whether `epoll_pwait2` is there and allowed: then it complains about the descriptor.
fn kernel_takes_nanoseconds() -> bool {
    let null = std::ptr::null_mut::<libc::epoll_event>();
    // SAFETY: the descriptor is -1, so the kernel touches nothing.
    let answer = unsafe { libc::syscall(libc::SYS_epoll_pwait2, -1, null, 1, null, null, 0) };
    assert_eq!(answer, -1);
    let error = std::io::Error::last_os_error().raw_os_error();
    !matches!(error, Some(libc::ENOSYS | libc::EPERM))
}

#[test]
fn the_reactor_is_a_descriptor_to_wait_for() {
    let inner = Reactor::new().unwrap();
    let mut outer = Reactor::new().unwrap();
    outer.add(inner.as_raw_fd(), 1, Interest::READ).unwrap();
    expect_now(&mut outer, &[]);
    let (left, _right) = socketpair();
    inner.add(left.as_raw_fd(), 2, Interest::WRITE).unwrap();
    expect_now(&mut outer, &[event(1, true, false)]);
}

#[test]
fn dropping_it_closes_its_descriptor_only() {
    let (left, mut right) = socketpair();
    let reactor = Reactor::new().unwrap();
    reactor.add(left.as_raw_fd(), 1, Interest::READ).unwrap();
    assert!(is_closed_by_exec(reactor.as_raw_fd()));
    drop(reactor);
    right.write_all(b"x").unwrap();
    assert_eq!(sys::recv(left.as_raw_fd(), &mut [0; 8]).unwrap(), 1);
}

/// As the kernel tells: the reactor lends its number only.
fn is_closed_by_exec(fd: i32) -> bool {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = i32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
    flags & libc::O_CLOEXEC != 0
}

#[test]
fn after_close_everything_is_ebadf() {
    on_each_reactor(|reactor| {
        let (left, _right) = socketpair();
        reactor.add(left.as_raw_fd(), 1, Interest::WRITE).unwrap();
        reactor.close();
        assert_eq!(reactor.as_raw_fd(), -1);
        expect_errno(reactor.add(left.as_raw_fd(), 1, Interest::READ), EBADF);
        expect_errno(reactor.modify(left.as_raw_fd(), 1, Interest::READ), EBADF);
        expect_errno(reactor.remove(left.as_raw_fd()), EBADF);
        for timeout in [
            Timeout::Now,
            Timeout::For(Duration::from_secs(3600)),
            Timeout::Forever,
        ] {
            let answer = reactor.wait(timeout, &mut Events::new(), &mut Vec::new());
            expect_errno(answer, EBADF);
        }
        reactor.close();
    });
}

#[test]
fn another_thread_may_register_while_one_waits() {
    on_each_reactor(|reactor| {
        let (left, right) = socketpair();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let mut out = Vec::new();
                reactor
                    .wait(Timeout::Forever, &mut Events::new(), &mut out)
                    .map(|()| out)
            });
            reactor.add(left.as_raw_fd(), 1, Interest::WRITE).unwrap();
            let events = waiting.join().unwrap().unwrap();
            assert_eq!(events, [event(1, false, true)]);
        });
        drop(right);
    });
}

#[test]
fn it_may_move_to_another_thread() {
    let mut reactor = Reactor::new().unwrap();
    let (left, right) = socketpair();
    reactor.add(left.as_raw_fd(), 1, Interest::WRITE).unwrap();
    std::thread::spawn(move || expect_now(&mut reactor, &[event(1, false, true)]))
        .join()
        .unwrap();
    drop((left, right));
}

#[test]
fn interests_are_sets() {
    assert_eq!(Interest::READ | Interest::WRITE, Interest::BOTH);
    assert_eq!(Interest::BOTH - Interest::READ, Interest::WRITE);
    assert_eq!(Interest::READ - Interest::BOTH, Interest::NONE);
    let mut interest = Interest::default();
    assert!(interest.is_empty());
    interest |= Interest::WRITE;
    assert!(interest.contains(Interest::WRITE) && !interest.contains(Interest::READ));
    assert!(!interest.contains(Interest::BOTH) && interest.contains(Interest::NONE));
    assert!(Interest::ONCE.is_empty() && !(Interest::READ | Interest::ONCE).is_empty());
}

#[test]
fn until_a_deadline() {
    assert_eq!(Timeout::until(5, 5), Timeout::Now);
    assert_eq!(Timeout::until(4, 5), Timeout::Now);
    assert_eq!(Timeout::until(6, 5), Timeout::For(Duration::from_nanos(1)));
    assert_eq!(
        Timeout::until(u64::MAX, 0),
        Timeout::For(Duration::from_nanos(u64::MAX))
    );
}
