//! Files to sockets, and what a transport of a pipe asks about its descriptor.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use std::fs::File;
use std::io::{IoSlice, Read, Seek, Write, pipe};
use std::os::fd::AsRawFd;

use aioxide_driver::sendfile::{MAX_COUNT, file_size, sendfile, set_position};
use aioxide_driver::sys::{self, FileKind};
use util::*;

const ESPIPE: i32 = 29;
const ENOTCONN: i32 = 107;

/// A file without a name, with this content, at its begin.
fn file_of(content: &[u8]) -> File {
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::TMPFILE;
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let fd = rustix::fs::open(std::env::temp_dir(), flags, mode).unwrap();
    let mut file = File::from(fd);
    file.write_all(content).unwrap();
    file.rewind().unwrap();
    file
}

#[test]
fn a_part_of_a_file_is_sent_and_its_position_stays() {
    let mut file = file_of(b"0123456789");
    let (near, mut far) = socketpair();
    let (socket, fd) = (near.as_raw_fd(), file.as_raw_fd());
    assert_eq!(sendfile(socket, fd, 2, 5).unwrap(), 5);
    assert_eq!(sendfile(socket, fd, 8, 100).unwrap(), 2);
    assert_eq!(sendfile(socket, fd, 0, usize::MAX).unwrap(), 10);
    assert_eq!(sendfile(socket, fd, 10, 1).unwrap(), 0);
    assert_eq!(sendfile(socket, fd, 1 << 40, MAX_COUNT).unwrap(), 0);
    let mut got = [0; 32];
    let count = far.read(&mut got).unwrap();
    assert_eq!(&got[..count], b"23456890123456789");
    assert_eq!(file.stream_position().unwrap(), 0);
}

#[test]
fn a_full_socket_takes_no_more() {
    let file = file_of(&vec![7; 1 << 20]);
    let (near, _far) = socketpair();
    let mut offset = 0;
    let error = loop {
        match sendfile(near.as_raw_fd(), file.as_raw_fd(), offset, 1 << 20) {
            Ok(sent) => {
                assert!(sent > 0);
                offset += sent as u64;
            }
            Err(error) => break error,
        }
    };
    assert_eq!(error.raw_os_error(), Some(EAGAIN));
    assert!(offset > 0 && offset < 1 << 20);
}

#[test]
fn what_cannot_be_sent_says_so() {
    let file = file_of(b"x");
    let (near, far) = socketpair();
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(b"x").unwrap();
    let fd = file.as_raw_fd();
    expect_errno(sendfile(near.as_raw_fd(), reader.as_raw_fd(), 0, 1), ESPIPE);
    for bad in [-1, closed_fd()] {
        expect_errno(sendfile(bad, fd, 0, 1), EBADF);
        expect_errno(sendfile(near.as_raw_fd(), bad, 0, 1), EBADF);
        expect_errno(file_size(bad), EBADF);
        expect_errno(set_position(bad, 0), EBADF);
    }
    drop(far);
    let error = sendfile(near.as_raw_fd(), fd, 0, 1).unwrap_err();
    assert!(matches!(error.raw_os_error(), Some(EPIPE | ENOTCONN)));
}

#[test]
fn sizes_and_positions() {
    let mut file = file_of(b"0123456789");
    let fd = file.as_raw_fd();
    assert_eq!(file_size(fd).unwrap(), 10);
    set_position(fd, 7).unwrap();
    assert_eq!(file.stream_position().unwrap(), 7);
    set_position(fd, 100).unwrap();
    assert_eq!(file.stream_position().unwrap(), 100);
    let (reader, writer) = pipe().unwrap();
    assert_eq!(file_size(writer.as_raw_fd()).unwrap(), 0);
    expect_errno(set_position(reader.as_raw_fd(), 0), ESPIPE);
}

#[test]
fn kinds_of_files() {
    let (reader, writer) = pipe().unwrap();
    let (socket, _) = socketpair();
    let null = File::open("/dev/null").unwrap();
    let folder = File::open("/").unwrap();
    let file = file_of(b"");
    for (fd, kind) in [
        (reader.as_raw_fd(), FileKind::Pipe),
        (writer.as_raw_fd(), FileKind::Pipe),
        (socket.as_raw_fd(), FileKind::Socket),
        (null.as_raw_fd(), FileKind::CharacterDevice),
        (file.as_raw_fd(), FileKind::Regular),
        (folder.as_raw_fd(), FileKind::Other),
    ] {
        assert_eq!(sys::file_kind(fd).unwrap(), kind);
    }
    expect_errno(sys::file_kind(-1), EBADF);
}

#[test]
fn a_pipe_is_made_non_blocking_and_takes_slices() {
    let (reader, writer) = pipe().unwrap();
    let (reader, writer) = (reader.as_raw_fd(), writer.as_raw_fd());
    assert!(!sys::is_nonblocking(reader).unwrap());
    for _ in 0..2 {
        sys::set_nonblocking(reader).unwrap();
        sys::set_nonblocking(writer).unwrap();
    }
    assert!(sys::is_nonblocking(reader).unwrap());
    expect_errno(sys::read(reader, &mut [0; 1]), EAGAIN);
    let slices = [
        IoSlice::new(b"one"),
        IoSlice::new(b""),
        IoSlice::new(b"two"),
    ];
    assert_eq!(sys::writev(writer, &slices).unwrap(), 6);
    let mut got = [0; 16];
    assert_eq!(sys::read(reader, &mut got).unwrap(), 6);
    assert_eq!(&got[..6], b"onetwo");
    let much = vec![0; 1 << 20];
    let written = sys::writev(writer, &[IoSlice::new(&much)]).unwrap();
    assert!(written < much.len());
    expect_errno(sys::writev(writer, &[IoSlice::new(b"x")]), EAGAIN);
    let many = vec![IoSlice::new(b"x"); sys::MAX_SLICES + 1];
    expect_errno(sys::writev(writer, &many), EAGAIN);
    expect_errno(sys::set_nonblocking(-1), EBADF);
}
