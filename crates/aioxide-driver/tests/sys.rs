//! The system calls: what they do, and that errors come back as they are.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use std::io::{IoSlice, Read, Write, pipe};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixDatagram, UnixStream};

use aioxide_driver::{Interest, Reactor, sys};
use util::*;

#[test]
fn the_clock_is_the_monotonic_one() {
    let before = sys::monotonic_ns();
    let other = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let after = sys::monotonic_ns();
    let other = u64::try_from(other.tv_sec * 1_000_000_000 + other.tv_nsec).unwrap();
    assert!(before <= other && other <= after);
    assert!(sys::clock_resolution_ns() >= 1);
}

#[test]
fn data_goes_through() {
    let (left, right) = socketpair();
    let (left, right) = (left.as_raw_fd(), right.as_raw_fd());
    assert_eq!(sys::send(left, b"hello").unwrap(), 5);
    let mut buffer = [0; 3];
    assert_eq!(sys::recv(right, &mut buffer).unwrap(), 3);
    assert_eq!(&buffer, b"hel");
    let mut buffer = [MaybeUninit::uninit(); 16];
    assert_eq!(sys::recv_uninit(right, &mut buffer).unwrap(), b"lo");
    expect_errno(sys::recv(right, &mut [0; 3]), EAGAIN);
    expect_errno(sys::recv_uninit(right, &mut buffer), EAGAIN);
}

#[test]
fn a_socket_that_blocks_does_not_block_here() {
    let (left, right) = UnixStream::pair().unwrap();
    let (left, right) = (left.as_raw_fd(), right.as_raw_fd());
    assert!(!sys::is_nonblocking(left).unwrap() && !sys::is_nonblocking(right).unwrap());
    expect_errno(sys::recv(right, &mut [0; 3]), EAGAIN);
    expect_errno(
        sys::recv_uninit(right, &mut [MaybeUninit::uninit(); 3]),
        EAGAIN,
    );
    let chunk = [0; 1 << 12];
    while sys::send(left, &chunk).is_ok() {}
    expect_errno(sys::send(left, &chunk), EAGAIN);
    expect_errno(sys::sendmsg(left, &[IoSlice::new(&chunk)]), EAGAIN);
}

#[test]
fn what_is_there_is_told_before_it_is_received() {
    let (left, mut right) = UnixStream::pair().unwrap();
    assert_eq!(sys::available(left.as_raw_fd()).unwrap(), 0);
    right.write_all(b"abc").unwrap();
    right.write_all(b"de").unwrap();
    assert_eq!(sys::available(left.as_raw_fd()).unwrap(), 5);
    let (left, right) = UnixDatagram::pair().unwrap();
    right.send(b"abc").unwrap();
    right.send(b"de").unwrap();
    assert_eq!(sys::available(left.as_raw_fd()).unwrap(), 3);
    expect_errno(sys::available(-1), EBADF);
}

#[test]
fn slices_are_sent_in_order() {
    let (left, mut right) = socketpair();
    let slices = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")];
    assert_eq!(sys::sendmsg(left.as_raw_fd(), &slices).unwrap(), 5);
    let mut buffer = [0; 5];
    right.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"abcde");
    assert_eq!(sys::sendmsg(left.as_raw_fd(), &[]).unwrap(), 0);
}

#[test]
fn of_too_many_slices_the_first_are_sent() {
    let (left, mut right) = socketpair();
    let bytes: Vec<[u8; 1]> = (0..=255).cycle().take(1500).map(|byte| [byte]).collect();
    let slices: Vec<_> = bytes.iter().map(|byte| IoSlice::new(byte)).collect();
    assert_eq!(
        sys::sendmsg(left.as_raw_fd(), &slices).unwrap(),
        sys::MAX_SLICES
    );
    let mut buffer = vec![0; sys::MAX_SLICES];
    right.read_exact(&mut buffer).unwrap();
    assert_eq!(buffer, bytes[..sys::MAX_SLICES].concat());
}

#[test]
fn a_full_socket_takes_a_part_then_answers_eagain() {
    let (left, _right) = socketpair();
    let data = vec![0; 1 << 22];
    let sent = sys::send(left.as_raw_fd(), &data).unwrap();
    assert!(0 < sent && sent < data.len());
    expect_errno(sys::send(left.as_raw_fd(), &data), EAGAIN);
    expect_errno(
        sys::sendmsg(left.as_raw_fd(), &[IoSlice::new(&data)]),
        EAGAIN,
    );
}

#[test]
fn sending_to_nobody_is_epipe() {
    let (left, right) = socketpair();
    drop(right);
    expect_errno(sys::send(left.as_raw_fd(), b"x"), EPIPE);
    expect_errno(sys::sendmsg(left.as_raw_fd(), &[IoSlice::new(b"x")]), EPIPE);
    assert_eq!(sys::recv(left.as_raw_fd(), &mut [0; 3]).unwrap(), 0);
}

#[test]
fn pipes_read_and_write() {
    let (reader, writer) = pipe().unwrap();
    assert_eq!(sys::write(writer.as_raw_fd(), b"abc").unwrap(), 3);
    let mut buffer = [0; 8];
    assert_eq!(sys::read(reader.as_raw_fd(), &mut buffer).unwrap(), 3);
    assert_eq!(&buffer[..3], b"abc");
    drop(writer);
    assert_eq!(sys::read(reader.as_raw_fd(), &mut buffer).unwrap(), 0);
    expect_errno(sys::recv(reader.as_raw_fd(), &mut buffer), 88); // ENOTSOCK
}

#[test]
fn shutting_down_ends_the_stream_one_way() {
    let (mut left, mut right) = socketpair();
    sys::shutdown_write(left.as_raw_fd()).unwrap();
    assert_eq!(right.read(&mut [0; 3]).unwrap(), 0);
    right.write_all(b"still").unwrap();
    left.read_exact(&mut [0; 5]).unwrap();
}

#[test]
fn want_of_resources_is_told_from_other_errors() {
    for (errno, wanted) in [
        (24, true),
        (23, true),
        (12, true),
        (EAGAIN, false),
        (EBADF, false),
    ] {
        let error = std::io::Error::from_raw_os_error(errno);
        assert_eq!(sys::is_out_of_resources(&error), wanted, "{error}");
    }
    let no_errno = std::io::Error::other("none");
    assert!(!sys::is_out_of_resources(&no_errno));
}

#[test]
fn accepted_sockets_do_not_block_and_are_not_inherited() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    expect_errno(sys::accept(listener.as_raw_fd()), EAGAIN);
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut reactor = Reactor::new().unwrap();
    reactor
        .add(listener.as_raw_fd(), 1, Interest::READ)
        .unwrap();
    expect_soon(&mut reactor, &[event(1, true, false)]);
    let server = sys::accept(listener.as_raw_fd()).unwrap();
    assert!(sys::is_nonblocking(server.as_raw_fd()).unwrap());
    assert!(
        rustix::io::fcntl_getfd(&server)
            .unwrap()
            .contains(rustix::io::FdFlags::CLOEXEC)
    );
    let second = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    expect_soon(&mut reactor, &[event(1, true, false)]);
    let (also_server, peer) = sys::accept_from(listener.as_raw_fd()).unwrap();
    assert_eq!(peer, Some(second.local_addr().unwrap()));
    assert!(sys::is_nonblocking(also_server.as_raw_fd()).unwrap());
    expect_errno(sys::accept_from(listener.as_raw_fd()), EAGAIN);
    expect_errno(sys::recv(server.as_raw_fd(), &mut [0; 3]), EAGAIN);
    client.write_all(b"x").unwrap();
    reactor.add(server.as_raw_fd(), 2, Interest::READ).unwrap();
    expect_soon(&mut reactor, &[event(2, true, false)]);
    assert_eq!(sys::recv(server.as_raw_fd(), &mut [0; 3]).unwrap(), 1);
}

#[test]
fn a_refused_connection_leaves_its_error_once() {
    // A port on which nobody listens: it was bound a moment ago by a socket that never listened, and
    // still is, so that no other program can take it.
    let placeholder = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        None,
    )
    .unwrap();
    rustix::net::bind(
        &placeholder,
        &std::net::SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0),
    )
    .unwrap();
    let address = rustix::net::getsockname(&placeholder).unwrap();
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        rustix::net::SocketFlags::NONBLOCK,
        None,
    )
    .unwrap();
    let answer = rustix::net::connect(&socket, &address);
    assert_eq!(answer, Err(rustix::io::Errno::INPROGRESS));
    let mut reactor = Reactor::new().unwrap();
    reactor.add(socket.as_raw_fd(), 1, Interest::WRITE).unwrap();
    expect_soon(&mut reactor, &[event(1, true, true)]);
    assert_eq!(sys::socket_error(socket.as_raw_fd()).unwrap(), Some(111)); // ECONNREFUSED
    assert_eq!(sys::socket_error(socket.as_raw_fd()).unwrap(), None);
}

#[test]
fn nodelay_is_for_tcp() {
    let (client, server) = tcp_pair();
    assert!(!client.nodelay().unwrap());
    sys::set_nodelay(client.as_raw_fd()).unwrap();
    assert!(client.nodelay().unwrap());
    assert!(!server.nodelay().unwrap());
    let (left, _right) = socketpair();
    assert!(sys::set_nodelay(left.as_raw_fd()).is_err());
    let datagrams = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    assert!(sys::set_nodelay(datagrams.as_raw_fd()).is_err());
}

#[test]
fn blocking_mode_is_told() {
    let (client, _server) = tcp_pair();
    assert!(!sys::is_nonblocking(client.as_raw_fd()).unwrap());
    client.set_nonblocking(true).unwrap();
    assert!(sys::is_nonblocking(client.as_raw_fd()).unwrap());
}

#[test]
fn numbers_that_are_no_descriptors_are_ebadf() {
    for bad in [-1, -7, i32::MIN, i32::MAX, closed_fd()] {
        expect_errno(sys::recv(bad, &mut [0]), EBADF);
        expect_errno(sys::recv_uninit(bad, &mut [MaybeUninit::uninit()]), EBADF);
        expect_errno(sys::send(bad, b"x"), EBADF);
        expect_errno(sys::sendmsg(bad, &[IoSlice::new(b"x")]), EBADF);
        expect_errno(sys::accept(bad), EBADF);
        expect_errno(sys::read(bad, &mut [0]), EBADF);
        expect_errno(sys::write(bad, b"x"), EBADF);
        expect_errno(sys::shutdown_write(bad), EBADF);
        expect_errno(sys::socket_error(bad), EBADF);
        expect_errno(sys::set_nodelay(bad), EBADF);
        expect_errno(sys::is_nonblocking(bad), EBADF);
    }
}
