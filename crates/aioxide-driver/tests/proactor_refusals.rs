//! The proactor on io_uring while `io_uring_enter` fails: nothing is lost, made twice, or waited for in vain.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::net::UnixStream;

use aioxide_driver::Interest;
use aioxide_driver::op::{Close, Op, Outcome, Poll, Read, Write};
use aioxide_driver::proactor::{Backend, Completion, Flush, Proactor};

mod proactor_util;
mod util;
use proactor_util::{Bytes, EINTR, Folder, complete, count, make, zeroes};
use util::{EBADF, EINVAL, expect_errno};

const EPERM: i32 = 1;
const EAGAIN: i32 = 11;
const ENOMEM: i32 = 12;
const EBUSY: i32 = 16;

fn on_the_ring(test: impl Fn(Proactor<Bytes>, Folder)) {
    match Proactor::new(Some(Backend::Uring)) {
        Ok(proactor) => test(proactor, Folder::new()),
        Err(error) => eprintln!("no io_uring here: {error}"),
    }
}

/// Writes the octet at its index.
fn write(file: &fs::File, index: u64, octet: u8) -> Op<Bytes> {
    let memory = vec![octet].into_boxed_slice();
    Op::Write(Write::new(file.as_raw_fd(), Some(index), memory, 0))
}

#[test]
fn a_refusal_is_repeated_by_the_caller_who_is_told_when() {
    on_the_ring(|mut proactor, folder| {
        let file = folder.file("a", b"0123456789");
        for errno in [EAGAIN, EBUSY, EINTR, ENOMEM] {
            proactor.inject_enter(vec![errno; if errno == EINTR { 17 } else { 1 }]);
            let _ = proactor.submit(Op::Read(Read::new(file.as_raw_fd(), Some(3), zeroes(4), 0)));
            let Flush::Again(pause) = proactor.flush() else {
                panic!("nobody would try again");
            };
            assert!(!pause.is_zero());
            // Too early is no attempt.
            assert!(matches!(proactor.flush(), Flush::Again(_)));
            let done: Completion<Bytes> = complete(&mut proactor, 1).remove(0);
            assert_eq!(count(done.result), 4);
            assert_eq!(&*done.memory.unwrap(), b"3456");
        }
        // One interruption is not even worth a pause.
        proactor.inject_enter([EINTR]);
        let _ = proactor.submit(write(&file, 0, b'x'));
        assert_eq!(proactor.flush(), Flush::Done);
        complete(&mut proactor, 1);
    });
}

#[test]
fn more_than_the_queue_holds_waits_for_it() {
    on_the_ring(|mut proactor, folder| {
        let file = folder.file("a", &[b'-'; 900]);
        proactor.inject_enter([EAGAIN, EBUSY, EAGAIN, ENOMEM]);
        for index in 0..900 {
            let _ = proactor.submit(write(&file, index, b'x'));
        }
        for done in complete(&mut proactor, 900) {
            assert_eq!(count(done.result), 1);
        }
        assert_eq!(fs::read(folder.path("a")).unwrap(), [b'x'; 900]);
    });
}

#[test]
fn a_lasting_refusal_is_the_result_and_nothing_is_made_later() {
    on_the_ring(|mut proactor, folder| {
        let file = folder.file("a", &[b'-'; 600]);
        for errno in [EPERM, EBADF, EINVAL, EAGAIN] {
            for operations in [1_u16, 100, 600] {
                proactor.inject_enter(vec![errno; 1000]);
                for index in 0..operations {
                    let _ = proactor.submit(write(&file, index.into(), b'x'));
                }
                for done in complete(&mut proactor, operations.into()) {
                    expect_errno(done.result, errno);
                    assert_eq!(done.memory.unwrap().len(), 1);
                }
                assert!(proactor.is_empty());
            }
        }
        proactor.inject_enter([]);
        // The ring is as good as before, and the file untouched.
        assert_eq!(count(make(&mut proactor, write(&file, 7, b'y')).0), 1);
        let mut expected = [b'-'; 600];
        expected[7] = b'y';
        assert_eq!(fs::read(folder.path("a")).unwrap(), expected);
    });
}

#[test]
fn a_refusal_does_not_concern_what_is_in_flight() {
    on_the_ring(|mut proactor, folder| {
        let file = folder.file("a", b"0123456789");
        let (reader, writer) = UnixStream::pair().unwrap();
        let poll = proactor.submit(Op::Poll(Poll::new(reader.as_raw_fd(), Interest::READ)));
        assert_eq!(proactor.flush(), Flush::Done);
        proactor.inject_enter([EPERM]);
        let refused = proactor.submit(write(&file, 0, b'x'));
        assert_eq!(proactor.flush(), Flush::Drain);
        let mut done = Vec::new();
        assert_eq!(proactor.drain(&mut done).unwrap(), Flush::Done);
        let first = done.pop().unwrap();
        assert_eq!(first.id, refused);
        expect_errno(first.result, EPERM);
        drop(writer);
        let second = complete(&mut proactor, 1).remove(0);
        assert_eq!(second.id, poll);
        assert!(second.result.is_ok());
    });
}

#[test]
fn a_descriptor_is_closed_all_the_same() {
    on_the_ring(|mut proactor, folder| {
        let file = folder.file("a", b"").into_raw_fd();
        proactor.inject_enter([EPERM]);
        let (result, _) = make(&mut proactor, Op::Close(Close::new(file)));
        assert!(matches!(result.unwrap(), Outcome::Done));
        let name = fs::read_link(format!("/proc/self/fd/{file}"));
        assert!(name.is_err() || name.unwrap() != folder.path("a"));
    });
}

#[test]
fn closing_ends_while_the_ring_refuses() {
    on_the_ring(|mut proactor, folder| {
        let file = folder.file("a", b"0123456789");
        let (reader, _writer) = UnixStream::pair().unwrap();
        let _ = proactor.submit(Op::Poll(Poll::new(reader.as_raw_fd(), Interest::READ)));
        assert_eq!(proactor.flush(), Flush::Done);
        let _ = proactor.submit(write(&file, 0, b'x'));
        proactor.inject_enter([EAGAIN, EPERM, EPERM, EPERM]);
        proactor.close();
    });
    on_the_ring(|mut proactor, folder| {
        let file = folder.file("a", b"0123456789");
        let _ = proactor.submit(write(&file, 0, b'x'));
        proactor.inject_enter([EAGAIN, EINTR, EAGAIN]);
        proactor.close();
        assert!(proactor.is_empty());
    });
}
