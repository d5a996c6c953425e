//! Datagrams: what goes out comes in, whole and with its sender; addresses as the C library writes them.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram};
use std::path::PathBuf;

use aioxide_driver::datagram::{Address, HOST_TEXT, LocalName, host_text, recv_from, send_to};
use util::*;

fn udp(host: IpAddr) -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind((host, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[test]
fn a_datagram_comes_with_its_sender() {
    for host in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] {
        let ((near, near_address), (far, far_address)) = (udp(host), udp(host));
        let (near, far) = (near.as_raw_fd(), far.as_raw_fd());
        assert_eq!(send_to(near, b"hello", &far_address.into()).unwrap(), 5);
        let mut buffer = [0; 16];
        let (count, sender) = recv_from(far, &mut buffer).unwrap();
        assert_eq!(&buffer[..count], b"hello");
        let sender = sender.unwrap();
        assert_eq!(sender.internet(), Some(near_address));
        assert_eq!(sender.local(), None);
        // The sender's address is one to answer to, and equal to itself only.
        assert_eq!(send_to(far, b"", &sender).unwrap(), 0);
        let (count, answered) = recv_from(near, &mut buffer).unwrap();
        assert_eq!(count, 0);
        assert_eq!(answered, Some(Address::from(far_address)));
        assert_ne!(answered, Some(sender));
        expect_errno(recv_from(near, &mut buffer), EAGAIN);
    }
}

#[test]
fn a_datagram_is_one_message() {
    let (socket, address) = udp(Ipv4Addr::LOCALHOST.into());
    let fd = socket.as_raw_fd();
    let receiver = Address::from(address);
    for message in [&b"first"[..], b"second, longer", b"third"] {
        send_to(fd, message, &receiver).unwrap();
    }
    let mut buffer = [0; 8];
    for expected in [&b"first"[..], b"second, ", b"third"] {
        let (count, _) = recv_from(fd, &mut buffer).unwrap();
        assert_eq!(&buffer[..count], expected);
    }
    expect_errno(send_to(fd, &vec![0; 1 << 16], &receiver), libc::EMSGSIZE);
    expect_errno(send_to(-1, b"", &receiver), libc::EBADF);
    expect_errno(recv_from(-1, &mut buffer), libc::EBADF);
    let v6 = Address::from(SocketAddr::from((Ipv6Addr::LOCALHOST, 9)));
    expect_errno(send_to(fd, b"", &v6), libc::EAFNOSUPPORT);
}

#[test]
fn a_refused_datagram_is_an_error_of_the_next_call() {
    let (near, _) = udp(Ipv4Addr::LOCALHOST.into());
    let (far, far_address) = udp(Ipv4Addr::LOCALHOST.into());
    drop(far);
    near.connect(far_address).unwrap();
    send_to(near.as_raw_fd(), b"x", &far_address.into()).unwrap();
    expect_errno(recv_from(near.as_raw_fd(), &mut [0; 4]), libc::ECONNREFUSED);
    expect_errno(recv_from(near.as_raw_fd(), &mut [0; 4]), EAGAIN);
}

/// A folder of its own, gone with its sockets at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let path = std::env::temp_dir().join(format!("aioxide-datagram-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn unix_sockets_have_names_of_two_kinds_or_none() {
    let folder = Folder::new();
    let path = folder.0.join("here");
    let receiver = UnixDatagram::bind(&path).unwrap();
    let fd = receiver.as_raw_fd();
    let mut buffer = [0; 8];
    let mut sender = |socket: UnixDatagram| {
        socket.send_to(b"x", &path).unwrap();
        let (count, sender) = recv_from(fd, &mut buffer).unwrap();
        assert_eq!(&buffer[..count], b"x");
        sender
    };

    assert_eq!(sender(UnixDatagram::unbound().unwrap()), None);

    let other = folder.0.join("there");
    let named = UnixDatagram::bind(&other).unwrap();
    let name = sender(named.try_clone().unwrap()).unwrap();
    assert_eq!(name.internet(), None);
    let expected = LocalName::Path(other.as_os_str().as_bytes().to_vec());
    assert_eq!(name.local(), Some(expected));
    send_to(fd, b"answer", &name).unwrap();
    assert_eq!(named.recv(&mut [0; 8]).unwrap(), 6);

    let address = UnixAddr::from_abstract_name(format!("{}\0x", path.display())).unwrap();
    let name = sender(UnixDatagram::bind_addr(&address).unwrap()).unwrap();
    let expected = format!("\0{}\0x", path.display()).into_bytes();
    assert_eq!(name.local(), Some(LocalName::Abstract(expected)));
}

#[test]
fn scope_and_flow_are_part_of_an_address() {
    let with = |flow, scope| {
        Address::from(SocketAddr::V6(SocketAddrV6::new(
            Ipv6Addr::LOCALHOST,
            9,
            flow,
            scope,
        )))
    };
    assert_eq!(with(1, 2), with(1, 2));
    assert_ne!(with(1, 2), with(0, 2));
    assert_ne!(with(1, 2), with(1, 0));
    let Some(SocketAddr::V6(v6)) = with(0x12345, 7).internet() else {
        panic!("not an IPv6 address");
    };
    assert_eq!((v6.flowinfo(), v6.scope_id()), (0x12345, 7));
}

// SAFETY: the C library's, with its signature.
unsafe extern "C" {
    fn inet_ntop(
        family: c_int,
        octets: *const c_void,
        text: *mut c_char,
        room: libc::socklen_t,
    ) -> *const c_char;
}

fn written_by_c(host: IpAddr) -> String {
    let mut text = [0; 64];
    let (family, octets) = match host {
        IpAddr::V4(host) => (libc::AF_INET, host.octets().to_vec()),
        IpAddr::V6(host) => (libc::AF_INET6, host.octets().to_vec()),
    };
    // SAFETY: `octets` has the 4 or 16 bytes that the family asks for, and `text` the room it is
    // said to have; a terminated string is written there.
    unsafe {
        let length = libc::socklen_t::try_from(text.len()).unwrap();
        let written = inet_ntop(family, octets.as_ptr().cast(), text.as_mut_ptr(), length);
        assert!(!written.is_null());
        CStr::from_ptr(text.as_ptr()).to_str().unwrap().to_owned()
    }
}

#[track_caller]
fn compare(host: impl Into<IpAddr>) {
    let host = host.into();
    assert_eq!(
        host_text(host, &mut [0; HOST_TEXT]),
        written_by_c(host),
        "{host}"
    );
}

#[test]
fn hosts_are_written_as_the_c_library_does() {
    for octet in 0..=255 {
        compare([octet, 0, 255 - octet, 9]);
        compare([10, octet, 99, octet]);
    }
    // Every pattern of zero groups, with values of every length.
    for pattern in 0..256_u32 {
        for values in [
            [1, 0x23, 0x456, 0xabcd],
            [0xffff; 4],
            [0x100, 0xff, 1, 0xfff],
        ] {
            let mut groups = [0; 8];
            for (index, group) in groups.iter_mut().enumerate() {
                if pattern & (1 << index) != 0 {
                    *group = values[index % 4];
                }
            }
            compare(groups);
        }
    }
    for tail in [[0, 0, 0, 1], [0, 1, 0, 0], [1, 2, 3, 4], [255; 4], [0; 4]] {
        let v4 = Ipv4Addr::from(tail);
        compare(v4.to_ipv6_compatible());
        compare(v4.to_ipv6_mapped());
    }
}
