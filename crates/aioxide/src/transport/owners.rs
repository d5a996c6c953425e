//! Whose a descriptor is: `add_reader` and its like refuse what a live transport uses.
//!
//! The loop's table has the address of the owner, and a list of all owners tells whether it is
//! alive. Neither keeps it alive; a weak reference for each connection would be a third of its
//! memory.

use std::os::fd::RawFd;

use super::common::Transport;
use super::{DatagramTransport, StreamTransport};
use crate::event_loop::LoopCore;
use crate::ffi::module::names;
use crate::ffi::weak_list::{Listed, Place, WeakList};
use crate::ffi::{Inst, Object, Res};

static STREAMS: WeakList<StreamTransport> = WeakList::new();
static DATAGRAMS: WeakList<DatagramTransport> = WeakList::new();

/// A transport that owns its descriptor.
pub(crate) trait Owner: Transport + Listed {
    fn all() -> &'static WeakList<Self>;
    /// Whether it has a file descriptor that is open and has no socket in Python.
    fn has_bare(&self) -> bool {
        false
    }
}

impl<T: Transport> Listed for T {
    fn place(&self) -> &Place {
        &self.common().place
    }
}

impl Owner for StreamTransport {
    fn all() -> &'static WeakList<Self> {
        &STREAMS
    }
    fn has_bare(&self) -> bool {
        self.accepted.is_bare()
    }
}

impl Owner for DatagramTransport {
    fn all() -> &'static WeakList<Self> {
        &DATAGRAMS
    }
}

impl<T: Owner> Inst<T> {
    /// The descriptor is ours from now on.
    pub(super) fn claim(&self, core: &Inst<LoopCore>) {
        T::all().add(self);
        core.set_owner(self.common().fd.get(), self.as_any());
    }

    /// It is ours no more.
    pub(super) fn disclaim(&self, core: &Inst<LoopCore>) {
        core.forget_owner(self.common().fd.get(), self.as_any());
        T::all().remove(self);
    }
}

/// The live transport at this address, if `fd` still is its file descriptor.
///
/// It is not once its socket was closed: the kernel may have given the number to another file. When
/// a transport is collected together with its socket, the socket's finalizer comes first and lets
/// other threads run while it closes, so that a new connection can find the transport here.
pub(crate) fn owner_at(address: usize, fd: RawFd) -> Res<Option<Object>> {
    if let Some(stream) = STREAMS.find(address) {
        return Ok(stream.owns(fd)?.then(|| stream.into_object()));
    }
    if let Some(datagram) = DATAGRAMS.find(address) {
        return Ok(datagram.owns(fd)?.then(|| datagram.into_object()));
    }
    Ok(None)
}

impl<T: Owner> Inst<T> {
    fn owns(&self, fd: RawFd) -> Res<bool> {
        match self.common().file.get() {
            Some(sock) => {
                let number = sock.call_method0(&names().fileno)?;
                Ok(number.to_i64()? == i64::from(fd))
            }
            None => Ok(self.has_bare()),
        }
    }
}
