//! Between the kernel's addresses and those of Python's `socket`.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use aioxide_driver::datagram::{Address, LocalName};

use super::DatagramTransport;
use crate::ffi::{Any, Inst, Object, Res, value};
use crate::transport::accepted::address_tuple;

/// The largest flow label that Python takes.
const MAX_FLOW: i64 = 0xf_ffff;

/// How much of a socket we know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
    Unix,
    /// Its own methods receive and send.
    #[default]
    Other,
}

impl Family {
    /// The family by its number, which is Linux's.
    pub(super) fn of(number: i64) -> Family {
        match number {
            1 => Family::Unix,
            2 => Family::V4,
            10 => Family::V6,
            _ => Family::Other,
        }
    }
}

/// A sender: the kernel's address, and the object that it was for Python.
#[derive(Debug)]
pub(super) struct Peer {
    address: Address,
    object: Object,
}

/// The address as `socket.recvfrom` gives it.
fn to_python(address: &Address) -> Res<Object> {
    if let Some(address) = address.internet() {
        return address_tuple(&address);
    }
    match address.local() {
        Some(LocalName::Path(path)) => value::file_name(&path),
        Some(LocalName::Abstract(name)) => value::bytes(&name),
        None => Ok(value::none()),
    }
}

/// The address that a socket of this family would make of the object, if it is plainly numeric.
/// Everything else is left to the socket: names, special names, errors.
fn from_python(family: Family, object: &Any) -> Option<Address> {
    let items = object.tuple_items();
    let (&host, numbers) = items.split_first()?;
    let host: IpAddr = host.ascii()?.parse().ok()?;
    let number = |index: usize, most: i64| {
        let number = numbers.get(index)?.exact_int()?;
        (0..=most).contains(&number).then_some(number)
    };
    let port = u16::try_from(number(0, 0xffff)?).ok()?;
    let address = match (family, host, numbers.len()) {
        (Family::V4, IpAddr::V4(host), 1) => SocketAddr::from((host, port)),
        (Family::V6, IpAddr::V6(host), 1) => SocketAddr::from((host, port)),
        (Family::V6, IpAddr::V6(host), 3) => {
            let flow = u32::try_from(number(1, MAX_FLOW)?).ok()?;
            let scope = u32::try_from(number(2, i64::from(u32::MAX))?).ok()?;
            SocketAddr::V6(SocketAddrV6::new(host, port, flow, scope))
        }
        _ => return None,
    };
    Some(address.into())
}

impl Inst<DatagramTransport> {
    /// The sender for Python. Most datagrams come from where the last one came from, and are told with
    /// the same tuple, which nobody can change.
    #[inline]
    pub(super) fn sender(&self, address: Option<Address>) -> Res<Object> {
        let Some(address) = address else {
            return Ok(value::none());
        };
        if let Some(peer) = &*self.peer.borrow()
            && peer.address == address
        {
            return Ok(peer.object.clone());
        }
        let object = to_python(&address)?;
        let peer = Peer {
            address,
            object: object.clone(),
        };
        let old = self.peer.replace(Some(peer));
        drop(old);
        Ok(object)
    }

    /// The kernel's address for an object that Python gives, if we can tell.
    #[inline]
    pub(super) fn receiver(&self, object: &Any) -> Option<Address> {
        // An answer.
        if let Some(peer) = &*self.peer.borrow()
            && peer.object.is(object)
        {
            return Some(peer.address.clone());
        }
        from_python(self.family.get(), object)
    }
}
