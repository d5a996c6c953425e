//! Who can wait for a descriptor.

use super::Entry;
use crate::ffi::{Any, Object, Own, Res, Visit};
use crate::handle::{self, Handle};
use crate::sock_op::SockOp;
use crate::transport::{
    self, DatagramTransport, Listener, ReadPipeTransport, SendFile, StreamTransport,
    WritePipeTransport,
};

/// Who is told that a descriptor is ready.
#[derive(Debug)]
pub(crate) enum Watcher {
    /// A callback of `add_reader` or `add_writer`, and the object that it was added for: a file
    /// that was closed meanwhile has no number any more, and can still be removed.
    Handle(Box<(Own<Handle>, Object)>),
    /// A stream transport.
    Transport(Own<StreamTransport>),
    /// A datagram transport.
    Datagram(Own<DatagramTransport>),
    /// The reading end of a pipe.
    ReadPipe(Own<ReadPipeTransport>),
    /// The writing end of a pipe.
    WritePipe(Own<WritePipeTransport>),
    /// A file on its way to a socket.
    SendFile(Own<SendFile>),
    /// A listening socket.
    Listener(Own<Listener>),
    /// A `sock_*` operation that the kernel was not ready for.
    Sock(Own<SockOp>),
}

impl Watcher {
    pub(super) fn entry(&self, event: transport::Event) -> Entry {
        match self {
            Watcher::Handle(added) => Entry::Handle(added.0.clone()),
            Watcher::Transport(transport) => Entry::Transport(transport.clone(), event),
            Watcher::Datagram(transport) => Entry::Datagram(transport.clone(), event),
            Watcher::ReadPipe(transport) => Entry::ReadPipe(transport.clone(), event),
            Watcher::WritePipe(transport) => Entry::WritePipe(transport.clone(), event),
            Watcher::Listener(listener) => Entry::Listener(listener.clone()),
            Watcher::Sock(op) => Entry::Sock(op.clone()),
            Watcher::SendFile(op) => Entry::SendFile(op.clone()),
        }
    }

    pub(super) fn traverse(&self, visit: &mut Visit) {
        match self {
            Watcher::Handle(added) => {
                visit.through(&added.0);
                visit.object(&added.1);
            }
            Watcher::Transport(transport) => visit.native(transport),
            Watcher::Datagram(transport) => visit.native(transport),
            Watcher::ReadPipe(transport) => visit.native(transport),
            Watcher::WritePipe(transport) => visit.native(transport),
            Watcher::Listener(listener) => visit.native(listener),
            Watcher::Sock(op) => visit.native(op),
            Watcher::SendFile(op) => visit.native(op),
        }
    }

    /// The transport that watches, whatever its kind.
    pub(super) fn transport(&self) -> Option<&Any> {
        match self {
            Watcher::Transport(transport) => Some(transport.as_any()),
            Watcher::Datagram(transport) => Some(transport.as_any()),
            Watcher::ReadPipe(transport) => Some(transport.as_any()),
            Watcher::WritePipe(transport) => Some(transport.as_any()),
            Watcher::Handle(..)
            | Watcher::Listener(_)
            | Watcher::Sock(_)
            | Watcher::SendFile(_) => None,
        }
    }

    /// Replaced or removed: a callback that is in the queue already must not run.
    pub(crate) fn retire(self) -> Res<()> {
        match self {
            Watcher::Handle(added) => {
                let (handle, _file) = *added;
                handle.cancel()?;
                handle::release(handle);
                Ok(())
            }
            // It looks at its own state when its turn comes.
            Watcher::Transport(_)
            | Watcher::Datagram(_)
            | Watcher::ReadPipe(_)
            | Watcher::WritePipe(_) => Ok(()),
            Watcher::Listener(listener) => {
                listener.retire();
                Ok(())
            }
            Watcher::Sock(op) => {
                op.unwatched();
                Ok(())
            }
            Watcher::SendFile(op) => {
                op.unwatched();
                Ok(())
            }
        }
    }
}
