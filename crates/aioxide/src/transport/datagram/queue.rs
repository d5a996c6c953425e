//! Datagrams that wait until the socket takes them.

use std::collections::VecDeque;

use crate::ffi::buffer::bytes_slice;
use crate::ffi::module::imports;
use crate::ffi::{Object, Res, Visit};

/// A datagram and whom it is for: `bytes`, and an address or `None`.
pub(super) type Datagram = (Object, Object);

/// In the order in which they are to be sent.
#[derive(Debug, Default)]
pub(super) struct DatagramQueue {
    datagrams: VecDeque<Datagram>,
    size: usize,
}

/// How much of the buffer a datagram is.
///
/// From 3.13 on asyncio adds something for the header, so that empty ones count too. (Its first versions
/// forgot to take that off again, so that the buffer never became empty.)
fn weight(data: &Object) -> usize {
    bytes_slice(data).map_or(0, <[u8]>::len) + imports().datagram_header
}

impl DatagramQueue {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    #[inline]
    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn push(&mut self, datagram: Datagram) -> Res<()> {
        self.datagrams.try_reserve(1)?;
        self.size += weight(&datagram.0);
        self.datagrams.push_back(datagram);
        Ok(())
    }

    /// Puts back what was popped.
    pub(super) fn push_front(&mut self, datagram: Datagram) {
        self.size += weight(&datagram.0);
        self.datagrams.push_front(datagram);
    }

    pub(super) fn pop(&mut self) -> Option<Datagram> {
        let datagram = self.datagrams.pop_front()?;
        self.size -= weight(&datagram.0);
        Some(datagram)
    }

    pub(super) fn traverse(&self, visit: &mut Visit) {
        for (data, address) in &self.datagrams {
            visit.object(data);
            visit.object(address);
        }
    }

    pub(super) fn snapshot(&self) -> Vec<Datagram> {
        self.datagrams.iter().cloned().collect()
    }
}
