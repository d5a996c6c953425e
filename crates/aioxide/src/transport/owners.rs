//! Whose a descriptor is: `add_reader` and its like refuse what a live transport uses.
//!
//! The loop's table has the address of the owner, and a list of all owners tells whether it is
//! alive. Neither keeps it alive; a weak reference for each connection would be a third of its
//! memory.

use super::common::Transport;
use super::{DatagramTransport, StreamTransport};
use crate::event_loop::LoopCore;
use crate::ffi::weak_list::{Listed, Place, WeakList};
use crate::ffi::{Inst, Object, Own};

static STREAMS: WeakList<StreamTransport> = WeakList::new();
static DATAGRAMS: WeakList<DatagramTransport> = WeakList::new();

/// A transport that owns its descriptor.
pub(crate) trait Owner: Transport + Listed {
    fn all() -> &'static WeakList<Self>;
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

/// The live transport at this address.
pub(crate) fn at(address: usize) -> Option<Object> {
    STREAMS
        .find(address)
        .map(Own::into_object)
        .or_else(|| DATAGRAMS.find(address).map(Own::into_object))
}
