//! `getaddrinfo` and `getnameinfo` of the C library.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ptr;

/// What `getaddrinfo` is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// A name or an address.
    pub host: Option<CString>,
    /// A port, as a number or by name.
    pub service: Option<CString>,
    /// An address family, or 0 for any.
    pub family: i32,
    /// A socket type, or 0 for any.
    pub kind: i32,
    /// A protocol, or 0 for any.
    pub protocol: i32,
    /// `AI_PASSIVE` and the others.
    pub flags: i32,
}

/// One of the answers of `getaddrinfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The socket type.
    pub kind: i32,
    /// The protocol.
    pub protocol: i32,
    /// The canonical name as the C library gives it; empty if it gives none.
    pub canonical_name: Vec<u8>,
    /// The address. An IPv6 one carries its flow label and its scope in the host's byte order.
    pub address: SocketAddr,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum LookupError {
    /// One of the `EAI_` numbers.
    Name(i32),
    /// A system call has failed.
    System(io::Error),
}

impl LookupError {
    fn new(code: i32) -> LookupError {
        if code == libc::EAI_SYSTEM {
            LookupError::System(io::Error::last_os_error())
        } else {
            LookupError::Name(code)
        }
    }

    /// What the C library says about an `EAI_` number.
    pub fn text(code: i32) -> String {
        // SAFETY: a plain question, for any number; the answer is a string that is never freed.
        #[allow(unsafe_code)]
        unsafe {
            let text = libc::gai_strerror(code);
            if text.is_null() {
                return String::new();
            }
            CStr::from_ptr(text).to_string_lossy().into_owned()
        }
    }
}

/// The flags whose meaning we know. Others may have the C library load a module to look at the name.
const KNOWN_FLAGS: i32 = libc::AI_PASSIVE
    | libc::AI_CANONNAME
    | libc::AI_NUMERICHOST
    | libc::AI_V4MAPPED
    | libc::AI_ALL
    | libc::AI_ADDRCONFIG
    | libc::AI_NUMERICSERV;

impl Query {
    /// Asks, and waits for the answer: for minutes, if the name servers are silent.
    pub fn look_up(&self) -> Result<Vec<Found>, LookupError> {
        self.ask(self.flags)
    }

    /// The answer, if finding it takes no name server and no file: `host` is an address or `None`, and
    /// `service` a number or `None`.
    ///
    /// `None` leaves everything open; only [`look_up`](Self::look_up) knows errors.
    pub fn look_up_numeric(&self) -> Option<Vec<Found>> {
        if self.flags & !KNOWN_FLAGS != 0 {
            return None;
        }
        // These two only forbid: where they forbid nothing, they change nothing.
        self.ask(self.flags | libc::AI_NUMERICHOST | libc::AI_NUMERICSERV)
            .ok()
    }

    fn ask(&self, flags: i32) -> Result<Vec<Found>, LookupError> {
        let text = |text: &Option<CString>| text.as_deref().map_or(ptr::null(), CStr::as_ptr);
        let mut first: *mut libc::addrinfo = ptr::null_mut();
        let hints = libc::addrinfo {
            ai_flags: flags,
            ai_family: self.family,
            ai_socktype: self.kind,
            ai_protocol: self.protocol,
            ai_addrlen: 0,
            ai_addr: ptr::null_mut(),
            ai_canonname: ptr::null_mut(),
            ai_next: ptr::null_mut(),
        };
        // SAFETY: two terminated strings or NULL, hints with only the fields set that may be, and a
        // place for the answer; all live for the length of the call.
        #[allow(unsafe_code)]
        let code = unsafe {
            libc::getaddrinfo(
                text(&self.host),
                text(&self.service),
                &raw const hints,
                &raw mut first,
            )
        };
        if code != 0 {
            return Err(LookupError::new(code));
        }
        let list = List(first);
        list.found().ok_or(LookupError::Name(libc::EAI_FAMILY))
    }
}

/// The C library's answer, given back when this is dropped.
struct List(*mut libc::addrinfo);

impl Drop for List {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: the list of a `getaddrinfo` that succeeded, given back once.
            #[allow(unsafe_code)]
            unsafe {
                libc::freeaddrinfo(self.0);
            }
        }
    }
}

impl List {
    /// A copy of the answers; `None` if one is of a family that is not the Internet's.
    fn found(&self) -> Option<Vec<Found>> {
        let mut found = Vec::new();
        let mut next = self.0;
        // SAFETY: the C library's list: each entry is whole, the last one's `ai_next` is NULL, names
        // are terminated or NULL, and the list lives as long as `self`.
        #[allow(unsafe_code)]
        unsafe {
            while let Some(entry) = next.as_ref() {
                let name = entry.ai_canonname;
                found.push(Found {
                    kind: entry.ai_socktype,
                    protocol: entry.ai_protocol,
                    canonical_name: if name.is_null() {
                        Vec::new()
                    } else {
                        CStr::from_ptr(name).to_bytes().to_vec()
                    },
                    address: address_of(entry)?,
                });
                next = entry.ai_next;
            }
        }
        Some(found)
    }
}

/// The socket address of an entry.
fn address_of(entry: &libc::addrinfo) -> Option<SocketAddr> {
    let length = entry.ai_addrlen as usize;
    match entry.ai_family {
        libc::AF_INET if length >= size_of::<libc::sockaddr_in>() => {
            // SAFETY: the C library says that `ai_addrlen` bytes of a `sockaddr_in` are there. They
            // are copied, whatever their alignment.
            #[allow(unsafe_code)]
            let raw = unsafe { ptr::read_unaligned(entry.ai_addr.cast::<libc::sockaddr_in>()) };
            let ip = Ipv4Addr::from(u32::from_be(raw.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(raw.sin_port)).into())
        }
        libc::AF_INET6 if length >= size_of::<libc::sockaddr_in6>() => {
            // SAFETY: as above, for a `sockaddr_in6`.
            #[allow(unsafe_code)]
            let raw = unsafe { ptr::read_unaligned(entry.ai_addr.cast::<libc::sockaddr_in6>()) };
            Some(
                SocketAddrV6::new(
                    Ipv6Addr::from(raw.sin6_addr.s6_addr),
                    u16::from_be(raw.sin6_port),
                    u32::from_be(raw.sin6_flowinfo),
                    raw.sin6_scope_id,
                )
                .into(),
            )
        }
        _ => None,
    }
}

// SAFETY: the C library's function, with the signature that POSIX gives it.
#[allow(unsafe_code)]
unsafe extern "C" {
    fn inet_ntop(
        family: libc::c_int,
        address: *const libc::c_void,
        text: *mut libc::c_char,
        size: libc::socklen_t,
    ) -> *const libc::c_char;
}

/// An IPv6 address as the C library writes it.
pub fn ipv6_text(address: &Ipv6Addr) -> String {
    let octets = address.octets();
    let mut text = [0_u8; 64];
    // SAFETY: sixteen bytes to read, and an array with its length to write, which is more than
    // any address takes.
    #[allow(unsafe_code)]
    unsafe {
        inet_ntop(
            libc::AF_INET6,
            octets.as_ptr().cast(),
            text.as_mut_ptr().cast(),
            64,
        );
    }
    let text = text.split(|&byte| byte == 0).next().unwrap_or(b"");
    String::from_utf8_lossy(text).into_owned()
}

/// `getnameinfo`: host and service of an address. Waits as long as it takes, unless `flags` ask for
/// numbers only.
pub fn name_of(address: &SocketAddr, flags: i32) -> Result<(Vec<u8>, Vec<u8>), LookupError> {
    // The sizes that CPython offers: longer names are its error too.
    let (mut host, mut service) = ([0_u8; 1025], [0_u8; 32]);
    let mut storage = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let length = match address {
        SocketAddr::V4(address) => {
            // SAFETY: zero is a value of each field, and a `sockaddr_storage` has room and
            // alignment for each kind of address.
            #[allow(unsafe_code)]
            let raw = unsafe { &mut *storage.as_mut_ptr().cast::<libc::sockaddr_in>() };
            #[allow(clippy::cast_possible_truncation, reason = "the number 2")]
            {
                raw.sin_family = libc::AF_INET as libc::sa_family_t;
            }
            raw.sin_port = address.port().to_be();
            raw.sin_addr.s_addr = u32::from(*address.ip()).to_be();
            size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(address) => {
            // SAFETY: as above.
            #[allow(unsafe_code)]
            let raw = unsafe { &mut *storage.as_mut_ptr().cast::<libc::sockaddr_in6>() };
            #[allow(clippy::cast_possible_truncation, reason = "the number 10")]
            {
                raw.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            }
            raw.sin6_port = address.port().to_be();
            raw.sin6_flowinfo = address.flowinfo().to_be();
            raw.sin6_addr.s6_addr = address.ip().octets();
            raw.sin6_scope_id = address.scope_id();
            size_of::<libc::sockaddr_in6>()
        }
    };
    #[allow(clippy::cast_possible_truncation, reason = "the sizes of small arrays")]
    // SAFETY: an address with its length, and two arrays with theirs.
    #[allow(unsafe_code)]
    let code = unsafe {
        libc::getnameinfo(
            storage.as_ptr().cast(),
            length as libc::socklen_t,
            host.as_mut_ptr().cast(),
            host.len() as libc::socklen_t,
            service.as_mut_ptr().cast(),
            service.len() as libc::socklen_t,
            flags,
        )
    };
    if code != 0 {
        return Err(LookupError::new(code));
    }
    let text = |bytes: &[u8]| {
        bytes
            .split(|&byte| byte == 0)
            .next()
            .unwrap_or(b"")
            .to_vec()
    };
    Ok((text(&host), text(&service)))
}
