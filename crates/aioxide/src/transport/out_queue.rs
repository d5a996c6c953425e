//! What has been written and not yet sent.
//!
//! Large `bytes` stay where they are and are referred to; everything else is copied, since its
//! owner may change it, and small pieces are put together.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::RawFd;

use aioxide_driver::sys;

use crate::ffi::buffer::bytes_slice;
use crate::ffi::{Any, Object, Visit};
use crate::tuning;

#[derive(Debug)]
enum Data {
    /// A `bytes` object.
    Lent(Object),
    Copied(Vec<u8>),
}

/// A piece of data, `start` bytes of which are sent.
#[derive(Debug)]
pub(super) struct Chunk {
    data: Data,
    start: usize,
}

impl Chunk {
    pub(super) fn lent(bytes: &Any, start: usize) -> Chunk {
        Chunk {
            data: Data::Lent(bytes.own()),
            start,
        }
    }

    pub(super) fn copied(data: &[u8]) -> Chunk {
        Chunk {
            data: Data::Copied(data.to_vec()),
            start: 0,
        }
    }

    /// All of `object`, by reference if it is `bytes`, however small.
    pub(super) fn whole(object: &Any, slice: &[u8]) -> Chunk {
        if bytes_slice(object).is_some() {
            Chunk::lent(object, 0)
        } else {
            Chunk::copied(slice)
        }
    }

    /// The part of `object` from `start` on; `slice` is all of its memory.
    pub(super) fn of(object: &Any, slice: &[u8], start: usize) -> Chunk {
        if slice.len() - start >= tuning::QUEUE_LARGE && bytes_slice(object).is_some() {
            Chunk::lent(object, start)
        } else {
            Chunk::copied(&slice[start..])
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest().is_empty()
    }

    fn rest(&self) -> &[u8] {
        let all = match &self.data {
            Data::Lent(bytes) => bytes_slice(bytes).unwrap_or_default(),
            Data::Copied(data) => data,
        };
        &all[self.start..]
    }
}

/// Chunks in the order in which they are to be sent. None is empty.
///
/// Most connections never have to wait: until one does, this is a pointer.
#[derive(Debug, Default)]
pub(super) struct OutQueue(Option<Box<Chunks>>);

#[derive(Debug, Default)]
struct Chunks {
    queue: VecDeque<Chunk>,
    size: usize,
}

impl OutQueue {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.size() == 0
    }

    /// How many bytes wait.
    #[inline]
    pub(super) fn size(&self) -> usize {
        self.0.as_ref().map_or(0, |chunks| chunks.size)
    }

    /// How many chunks there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |chunks| chunks.queue.len())
    }

    fn iter(&self) -> impl Iterator<Item = &Chunk> {
        self.0.iter().flat_map(|chunks| &chunks.queue)
    }

    /// The chunk, if there is only one.
    #[inline]
    fn only(&self) -> Option<&Chunk> {
        let queue = &self.0.as_ref()?.queue;
        if queue.len() == 1 {
            queue.front()
        } else {
            None
        }
    }

    /// All of it in one piece, put together in `scratch` if it must be; `None` if it is more than
    /// `most`.
    pub(super) fn gathered<'a>(&'a self, most: usize, scratch: &'a mut [u8]) -> Option<&'a [u8]> {
        if let Some(only) = self.only() {
            return Some(only.rest());
        }
        if self.size() > most.min(scratch.len()) {
            return None;
        }
        let mut end = 0;
        for chunk in self.iter() {
            let rest = chunk.rest();
            scratch[end..end + rest.len()].copy_from_slice(rest);
            end += rest.len();
        }
        Some(&scratch[..end])
    }

    pub(super) fn push(&mut self, chunk: Chunk) {
        let length = chunk.rest().len();
        if length == 0 {
            return;
        }
        let chunks = self.0.get_or_insert_default();
        chunks.size += length;
        if length < tuning::QUEUE_LARGE
            && let Some(Chunk {
                data: Data::Copied(last),
                ..
            }) = chunks.queue.back_mut()
            && last.len() + length <= tuning::QUEUE_CHUNK
        {
            last.extend_from_slice(chunk.rest());
            return;
        }
        chunks.queue.push_back(chunk);
    }

    /// Sends what the socket takes.
    pub(super) fn send(&self, fd: RawFd) -> io::Result<usize> {
        self.hand_over(
            |data| sys::send(fd, data),
            |slices| sys::sendmsg(fd, slices),
        )
    }

    /// Writes what the pipe takes.
    pub(super) fn write(&self, fd: RawFd) -> io::Result<usize> {
        self.hand_over(
            |data| sys::write(fd, data),
            |slices| sys::writev(fd, slices),
        )
    }

    #[inline]
    fn hand_over(
        &self,
        one: impl FnOnce(&[u8]) -> io::Result<usize>,
        many: impl FnOnce(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if let Some(only) = self.only() {
            return one(only.rest());
        }
        let mut slices = [IoSlice::new(&[]); tuning::QUEUE_SLICES];
        let count = self.len().min(tuning::QUEUE_SLICES);
        for (slice, chunk) in slices.iter_mut().zip(self.iter()) {
            *slice = IoSlice::new(chunk.rest());
        }
        many(&slices[..count])
    }

    /// Takes off up to `sent` bytes that are in one chunk, counts them down, and gives the chunk
    /// to be dropped if it is done with; otherwise nothing is left to take off.
    pub(super) fn pop_sent(&mut self, sent: &mut usize) -> Option<Chunk> {
        let chunks = self.0.as_mut()?;
        let first = chunks.queue.front_mut()?;
        let length = first.rest().len();
        let done = length.min(*sent);
        *sent -= done;
        chunks.size -= done;
        if done < length {
            first.start += done;
            return None;
        }
        chunks.queue.pop_front()
    }

    pub(super) fn traverse(&self, visit: &mut Visit) {
        for chunk in self.iter() {
            if let Data::Lent(bytes) = &chunk.data {
                visit.object(bytes);
            }
        }
    }

    /// The chunks as `bytes`, for Python's `_buffer`.
    pub(super) fn snapshot(&self) -> Vec<Vec<u8>> {
        self.iter().map(|chunk| chunk.rest().to_vec()).collect()
    }
}
