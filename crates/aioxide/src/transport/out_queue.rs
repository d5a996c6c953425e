//! What has been written and not yet sent.
//!
//! Large `bytes` stay where they are and are referred to; everything else is copied, since its
//! owner may change it, and small pieces are put together.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::ops::DerefMut;
use std::os::fd::RawFd;

use aioxide_driver::sys;

use crate::ffi::buffer::{Buffer, bytes_slice};
use crate::ffi::{Any, Object, Res, Visit, value};
use crate::tuning;

/// From this size on memory for a copy is reserved before anything is sent, in bytes. A smaller allocation that
/// fails after a partial send ends the connection.
const LARGE_COPY: usize = 256 * 1024;

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

    /// Memory for a copy of all of `object`, if it is large: reserved before a part of it is sent, so that a
    /// write either fails as a whole or is queued as a whole.
    pub(super) fn room(object: &Any, slice: &[u8]) -> Res<Vec<u8>> {
        let mut room = Vec::new();
        if slice.len() >= LARGE_COPY && bytes_slice(object).is_none() {
            room.try_reserve_exact(slice.len())?;
        }
        Ok(room)
    }

    /// As [`of`](Self::of), copied into `room`.
    pub(super) fn try_of(
        object: &Any,
        slice: &[u8],
        start: usize,
        mut room: Vec<u8>,
    ) -> Res<Chunk> {
        if slice.len() - start >= tuning::QUEUE_LARGE && bytes_slice(object).is_some() {
            return Ok(Chunk::lent(object, start));
        }
        room.try_reserve_exact(slice.len() - start)?;
        room.extend_from_slice(&slice[start..]);
        Ok(Chunk {
            data: Data::Copied(room),
            start: 0,
        })
    }

    /// All of a bytes-like object, copied unless it is large `bytes`.
    pub(super) fn try_all(object: &Any) -> Res<Chunk> {
        if let Some(slice) = bytes_slice(object) {
            return Chunk::try_of(object, slice, 0, Vec::new());
        }
        let buffer = Buffer::readable(object)?;
        Chunk::try_of(object, buffer.as_slice(), 0, Vec::new())
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

/// Data in the order in which it is to be sent. No piece of it is empty.
///
/// An idle connection has nothing to send, and a busy one mostly one `bytes`: neither allocates.
#[derive(Debug, Default)]
pub(super) enum OutQueue {
    #[default]
    Empty,
    /// One whole `bytes`.
    One(Object),
    Many(Box<Chunks>),
}

/// The chunks of a queue, and how many bytes of them are not sent.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    queue: VecDeque<Chunk>,
    size: usize,
}

impl Chunks {
    fn push(&mut self, chunk: Chunk) {
        let length = chunk.rest().len();
        self.size += length;
        if length < tuning::QUEUE_LARGE
            && let Some(Chunk {
                data: Data::Copied(last),
                ..
            }) = self.queue.back_mut()
            && last.len() + length <= tuning::QUEUE_CHUNK
        {
            last.extend_from_slice(chunk.rest());
            return;
        }
        self.queue.push_back(chunk);
    }

    /// All of it in one piece: the only chunk, or up to `most` bytes of several, copied to `scratch`.
    fn gathered<'a>(&'a self, most: usize, scratch: &'a mut [u8]) -> Option<&'a [u8]> {
        if let Some(only) = self.only() {
            return Some(only.rest());
        }
        if self.size > most.min(scratch.len()) {
            return None;
        }
        let mut end = 0;
        for chunk in &self.queue {
            let rest = chunk.rest();
            scratch[end..end + rest.len()].copy_from_slice(rest);
            end += rest.len();
        }
        Some(&scratch[..end])
    }

    #[inline]
    fn only(&self) -> Option<&Chunk> {
        if self.queue.len() == 1 {
            self.queue.front()
        } else {
            None
        }
    }

    fn hand_over(
        &self,
        one: impl FnOnce(&[u8]) -> io::Result<usize>,
        many: impl FnOnce(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if let Some(only) = self.only() {
            return one(only.rest());
        }
        let mut slices = [IoSlice::new(&[]); tuning::QUEUE_SLICES];
        let count = self.queue.len().min(tuning::QUEUE_SLICES);
        for (slice, chunk) in slices.iter_mut().zip(&self.queue) {
            *slice = IoSlice::new(chunk.rest());
        }
        many(&slices[..count])
    }

    /// Removes the first `sent` bytes, fewer than there are; gives back the chunks they were in.
    fn take_sent(&mut self, mut sent: usize) -> VecDeque<Chunk> {
        self.size -= sent;
        let mut gone = VecDeque::new();
        while let Some(first) = self.queue.front_mut() {
            let length = first.rest().len();
            if sent < length {
                first.start += sent;
                break;
            }
            sent -= length;
            gone.extend(self.queue.pop_front());
        }
        gone
    }

    /// Empties it. The chunks may have destructors, so nothing else may refer to `self`.
    pub(super) fn clear(&mut self) {
        self.size = 0;
        self.queue.clear();
    }
}

impl OutQueue {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, OutQueue::Empty)
    }

    /// How many bytes are not sent.
    #[inline]
    pub(super) fn size(&self) -> usize {
        match self {
            OutQueue::Empty => 0,
            OutQueue::One(bytes) => bytes_slice(bytes).map_or(0, <[u8]>::len),
            OutQueue::Many(chunks) => chunks.size,
        }
    }

    /// How many chunks there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            OutQueue::Empty => 0,
            OutQueue::One(_) => 1,
            OutQueue::Many(chunks) => chunks.queue.len(),
        }
    }

    /// Makes room for further chunks, if there is a list of them already.
    pub(super) fn reserve(&mut self, chunks: usize) -> Res<()> {
        if let OutQueue::Many(list) = self {
            list.queue.try_reserve(chunks)?;
        }
        Ok(())
    }

    /// Appends a chunk.
    pub(super) fn push(&mut self, chunk: Chunk) {
        self.push_with(chunk, Box::default);
    }

    /// Appends a chunk; `spare` gives an empty list if one is needed.
    pub(super) fn push_with(&mut self, chunk: Chunk, spare: impl FnOnce() -> Box<Chunks>) {
        if chunk.is_empty() {
            return;
        }
        let mut chunks = match std::mem::take(self) {
            OutQueue::Many(chunks) => chunks,
            OutQueue::One(first) => {
                let mut chunks = spare();
                chunks.push(Chunk {
                    data: Data::Lent(first),
                    start: 0,
                });
                chunks
            }
            OutQueue::Empty => {
                if let Chunk {
                    data: Data::Lent(bytes),
                    start: 0,
                } = chunk
                {
                    *self = OutQueue::One(bytes);
                    return;
                }
                spare()
            }
        };
        chunks.push(chunk);
        *self = OutQueue::Many(chunks);
    }

    /// Sends what the socket takes, in one system call.
    pub(super) fn send(&self, fd: RawFd) -> io::Result<usize> {
        self.hand_over(
            |data| sys::send(fd, data),
            |slices| sys::sendmsg(fd, slices),
        )
    }

    /// The same; a few small chunks are put together before.
    #[inline]
    pub(super) fn send_gathered<S: DerefMut<Target = [u8]>>(
        &self,
        fd: RawFd,
        scratch: impl FnOnce() -> S,
    ) -> io::Result<usize> {
        match self {
            OutQueue::Many(chunks) => match chunks.gathered(tuning::CORK_GATHER, &mut scratch()) {
                Some(data) => sys::send(fd, data),
                None => self.send(fd),
            },
            _ => self.send(fd),
        }
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
        match self {
            OutQueue::Empty => Ok(0),
            OutQueue::One(bytes) => one(bytes_slice(bytes).unwrap_or_default()),
            OutQueue::Many(chunks) => chunks.hand_over(one, many),
        }
    }

    /// Removes the first `sent` bytes, at most as many as there are.
    ///
    /// What held them is given back: to be dropped where nothing is borrowed, since bytes may have
    /// destructors.
    #[inline]
    pub(super) fn take_sent(&mut self, sent: usize) -> OutQueue {
        if sent >= self.size() {
            return std::mem::take(self);
        }
        if sent == 0 {
            return OutQueue::Empty;
        }
        self.take_part(sent)
    }

    #[cold]
    fn take_part(&mut self, sent: usize) -> OutQueue {
        match std::mem::take(self) {
            OutQueue::Empty => OutQueue::Empty,
            OutQueue::One(bytes) => {
                let mut chunks = Box::<Chunks>::default();
                chunks.push(Chunk {
                    data: Data::Lent(bytes),
                    start: sent,
                });
                *self = OutQueue::Many(chunks);
                OutQueue::Empty
            }
            OutQueue::Many(mut chunks) => {
                let queue = chunks.take_sent(sent);
                *self = OutQueue::Many(chunks);
                OutQueue::Many(Box::new(Chunks { queue, size: 0 }))
            }
        }
    }

    pub(super) fn traverse(&self, visit: &mut Visit) {
        match self {
            OutQueue::Empty => {}
            OutQueue::One(bytes) => visit.object(bytes),
            OutQueue::Many(chunks) => {
                for chunk in &chunks.queue {
                    if let Data::Lent(bytes) = &chunk.data {
                        visit.object(bytes);
                    }
                }
            }
        }
    }

    /// The chunks as `bytes`, for Python's `_buffer`.
    pub(super) fn snapshot(&self) -> Res<Vec<Object>> {
        match self {
            OutQueue::Empty => Ok(Vec::new()),
            OutQueue::One(bytes) => Ok(vec![bytes.clone()]),
            OutQueue::Many(chunks) => chunks
                .queue
                .iter()
                .map(|chunk| value::bytes(chunk.rest()))
                .collect(),
        }
    }
}
