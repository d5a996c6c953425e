//! Numeric hosts and ports: which questions are answered, and how.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aioxide_core::names::{AF_INET, AF_INET6, AF_UNSPEC, Hints, numeric, port_number};
use proptest::prelude::*;

const STREAM: Hints = Hints {
    family: AF_UNSPEC,
    kind: 1,
    protocol: 0,
    flags: 0,
};

fn address(host: &str) -> Option<IpAddr> {
    numeric(host, STREAM).map(|answer| answer.address)
}

#[test]
fn addresses() {
    assert_eq!(address("127.0.0.1"), Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    assert_eq!(address("::1"), Some(IpAddr::V6(Ipv6Addr::LOCALHOST)));
    assert_eq!(address("::"), Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)));
    assert_eq!(
        address("2001:DB8::a:0:0:1"),
        Some("2001:db8::a:0:0:1".parse().unwrap())
    );
}

#[test]
fn doubtful_hosts_are_left_to_the_c_library() {
    for host in [
        "",
        "localhost",
        "127.1",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.0.0.01",
        "127.0.0.256",
        " 127.0.0.1",
        "127.0.0.1 ",
        "127.0.0.1.",
        "[::1]",
        "::1%lo",
        "fe80::1%1",
        "::1.2.3.4",
        "::ffff:1.2.3.4",
        "::2:3",
        "1::2::3",
        "12345::",
        "١٢٧.0.0.1",
        "127.0.0.1\0",
    ] {
        assert_eq!(address(host), None, "{host:?}");
    }
}

#[test]
fn the_family_must_fit() {
    let with = |family| Hints { family, ..STREAM };
    assert!(numeric("10.0.0.1", with(AF_INET)).is_some());
    assert!(numeric("10.0.0.1", with(AF_INET6)).is_none());
    assert!(numeric("1::", with(AF_INET6)).is_some());
    assert!(numeric("1::", with(AF_INET)).is_none());
    assert!(numeric("1::", with(1)).is_none());
    assert_eq!(
        numeric("1::", with(AF_UNSPEC)).map(|a| a.family()),
        Some(AF_INET6)
    );
}

#[test]
fn types_and_protocols() {
    let kinds = |kind, protocol| {
        let hints = Hints {
            kind,
            protocol,
            ..Hints::default()
        };
        numeric("1.2.3.4", hints).map(|answer| answer.kinds)
    };
    assert_eq!(kinds(1, 0), Some(&[(1, 6)][..]));
    assert_eq!(kinds(1, 6), Some(&[(1, 6)][..]));
    assert_eq!(kinds(2, 0), Some(&[(2, 17)][..]));
    assert_eq!(kinds(2, 17), Some(&[(2, 17)][..]));
    for (kind, protocol) in [(1, 17), (2, 6), (0, 6), (3, 0), (5, 0), (-1, 0), (1, -6)] {
        assert_eq!(kinds(kind, protocol), None, "{kind} {protocol}");
    }
    if cfg!(target_env = "gnu") {
        assert_eq!(kinds(0, 0), Some(&[(1, 6), (2, 17), (3, 0)][..]));
    }
}

#[test]
fn flags() {
    for (flags, answered) in [
        (0x1, true),
        (0x4, true),
        (0x400, true),
        (0x405, true),
        (0x2, false),
        (0x8, false),
        (0x10, false),
        (0x20, false),
        (0x40, false),
        (-1, false),
        (1 << 30, false),
    ] {
        let found = numeric("1.2.3.4", Hints { flags, ..STREAM });
        assert_eq!(found.is_some(), answered, "{flags:#x}");
    }
}

#[test]
fn ports() {
    assert_eq!(port_number("0"), Some(0));
    assert_eq!(port_number("080"), Some(80));
    assert_eq!(port_number("65535"), Some(65535));
    for text in [
        "", "65536", "-1", "+80", " 80", "80 ", "http", "8_0", "８０", "0x50",
    ] {
        assert_eq!(port_number(text), None, "{text:?}");
    }
}

proptest! {
    /// What is answered is the address that was written, and the text of the answer leads back to it.
    #[test]
    fn every_address_that_is_answered_is_the_one_written(segments: [u16; 8], mask: u8) {
        let mut segments = segments;
        for (index, segment) in segments.iter_mut().enumerate() {
            if mask & (1 << index) != 0 {
                *segment = 0;
            }
        }
        let written = Ipv6Addr::from(segments);
        if let Some(answer) = numeric(&written.to_string(), STREAM) {
            prop_assert_eq!(answer.address, IpAddr::V6(written));
            prop_assert!(!written.to_string().contains('.'));
        }
        let v4 = Ipv4Addr::from((u32::from(segments[0]) << 16) | u32::from(segments[1]));
        prop_assert_eq!(address(&v4.to_string()), Some(IpAddr::V4(v4)));
    }
}
