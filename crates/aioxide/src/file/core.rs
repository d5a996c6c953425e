//! `FileCore`: the state of an open file, and what can be done with it on the spot.
//!
//! The *raw position* is where the next bytes come from or go to. The *chunk* is what was read ahead of its reader: it ends at
//! the raw position. The *pending* bytes are still to be written: they begin there. There is never a chunk
//! and something pending at a time.

use std::cell::{Cell, RefCell};
use std::mem::MaybeUninit;
use std::os::fd::RawFd;

use aioxide_core::stream_buffer::reserve;
use aioxide_driver::op::Stat;
use aioxide_driver::proactor::{Medium, Residency, find_newline, read_at_hand};

use super::{at_once, method, spend};
use crate::ffi::buffer::{Buffer, bytes_slice};
use crate::ffi::file_memory::filled_bytes;
use crate::ffi::method::{flag, no_delete};
use crate::ffi::native_type::object_class;
use crate::ffi::{Any, Args, Class, Inst, Native, Object, Raised, Res, Slot, Visit, value};
use crate::tuning;

const CLOSED: RawFd = -1;

/// The state behind `aioxide.files.BinaryFile`.
#[derive(Debug, Default)]
pub(crate) struct FileCore {
    fd: Cell<RawFd>,
    position: Cell<u64>,
    chunk: Slot,
    chunk_at: Cell<usize>,
    chunk_end: Cell<usize>,
    pending: RefCell<Vec<u8>>,
    /// How much is read ahead, and how much is kept until it is written. 0: neither.
    buffer_size: Cell<usize>,
    readable: Cell<bool>,
    writable: Cell<bool>,
    /// It has positions of its own, as regular files and block devices do: reads and writes name their offset.
    positioned: Cell<bool>,
    /// Whether its bytes are in memory anyway.
    medium: Cell<Medium>,
    /// For a layer of an overlayfs: which of its pages are in memory.
    residency: RefCell<Option<Residency>>,
    /// A coroutine of the Python half works on it.
    busy: Cell<bool>,
    /// Positioned reads and writes that are under way: closing waits for them,
    users: Cell<usize>,
    /// with this future.
    unused: Slot,
}

static FILE_CORE: Class<FileCore> = Class::new(0);

impl Native for FileCore {
    const NAME: &'static std::ffi::CStr = c"aioxide.FileCore";
    const INSTANCE_DICT: bool = true;

    fn class() -> &'static Class<Self> {
        &FILE_CORE
    }
    fn empty() -> Self {
        FileCore {
            fd: Cell::new(CLOSED),
            ..FileCore::default()
        }
    }
    fn traverse(&self, visit: &mut Visit) {
        self.chunk.visit(visit);
        self.unused.visit(visit);
    }
    fn clear(&self) {
        self.chunk.clear();
        self.unused.clear();
        self.chunk_at.set(0);
        self.chunk_end.set(0);
    }
}

/// What a reading that must not wait has come to.
struct Filled {
    bytes: Object,
    /// The end of the file was seen.
    ended: bool,
    /// What is missing has to be waited for.
    stuck: bool,
}

impl FileCore {
    /// Reading may go on from here, now.
    #[inline]
    fn may_read(&self) -> bool {
        self.readable.get()
            && self.fd.get() != CLOSED
            && !self.busy.get()
            && self.pending.borrow().is_empty()
    }

    /// The file can be read without waiting, if the page cache has it.
    #[inline]
    fn may_ask(&self) -> bool {
        self.positioned.get() && at_once()
    }

    /// Whether reads and writes wait in memory.
    pub(super) fn is_buffered(&self) -> bool {
        self.buffer_size.get() > 0
    }

    pub(super) fn is_readable(&self) -> bool {
        self.readable.get()
    }

    /// Whether it has no descriptor any more.
    pub(super) fn is_closed(&self) -> bool {
        self.fd.get() == CLOSED
    }

    /// How much was read ahead.
    #[inline]
    pub(super) fn left(&self) -> usize {
        self.chunk_end.get() - self.chunk_at.get()
    }

    fn set_chunk(&self, bytes: Object) {
        let end = bytes_slice(&bytes).map_or(0, <[u8]>::len);
        self.chunk_at.set(0);
        self.chunk_end.set(end);
        self.chunk.set(bytes);
    }

    /// The next `count` bytes of the chunk, which has them.
    #[inline]
    fn take(&self, count: usize) -> Res<Object> {
        let at = self.chunk_at.get();
        let end = at + count;
        let Some(chunk) = self.chunk.get() else {
            return value::bytes(&[]);
        };
        if at == 0 && end == self.chunk_end.get() {
            self.chunk_end.set(0);
            self.chunk.clear();
            return Ok(chunk);
        }
        let taken = value::bytes(bytes_slice(&chunk).map_or(&[][..], |octets| &octets[at..end]))?;
        self.chunk_at.set(end);
        Ok(taken)
    }

    /// Reads what is at hand; an error if that cannot be had, or told, without waiting.
    #[inline]
    fn read_here(
        &self,
        fd: RawFd,
        memory: &mut [MaybeUninit<u8>],
        offset: u64,
    ) -> std::io::Result<usize> {
        match self.medium.get() {
            Medium::Overlay if !self.is_resident(fd, offset, memory.len()) => {
                Err(std::io::ErrorKind::WouldBlock.into())
            }
            Medium::Overlay => read_at_hand(fd, Medium::Memory, memory, offset),
            medium => read_at_hand(fd, medium, memory, offset),
        }
    }

    /// Whether a layer of an overlayfs has these bytes in memory, as far as the file goes.
    fn is_resident(&self, fd: RawFd, offset: u64, length: usize) -> bool {
        let mut residency = self.residency.borrow_mut();
        if residency.is_none() {
            let Ok(known) = Residency::new(fd) else {
                // Nor later.
                self.medium.set(Medium::Unknown);
                return false;
            };
            *residency = Some(known);
        }
        let Some(known) = residency.as_ref() else {
            return false;
        };
        let Ok(stat) = Stat::file(fd).now() else {
            return false;
        };
        let behind = stat.get().stx_size.saturating_sub(offset);
        let length = usize::try_from(behind).unwrap_or(length).min(length);
        length == 0 || usize::try_from(offset).is_ok_and(|offset| known.has(offset, length))
    }

    /// What is left of the chunk, and up to `more` bytes of the file behind it.
    fn fill(&self, more: usize, whole: bool) -> Res<Filled> {
        let chunk = self.chunk.get();
        let rest = chunk
            .as_deref()
            .and_then(bytes_slice)
            .map_or(&[][..], |octets| {
                &octets[self.chunk_at.get()..self.chunk_end.get()]
            });
        let (fd, position) = (self.fd.get(), self.position.get());
        let (mut read, mut ended, mut stuck) = (0, false, false);
        let bytes = filled_bytes(rest.len() + more, |memory| {
            for (place, octet) in memory.iter_mut().zip(rest) {
                place.write(*octet);
            }
            let memory = &mut memory[rest.len()..];
            while read < memory.len() {
                match self.read_here(fd, &mut memory[read..], position + read as u64) {
                    Ok(0) => {
                        ended = true;
                        break;
                    }
                    Ok(count) => read += count,
                    Err(_) => {
                        stuck = true;
                        break;
                    }
                }
                if !whole {
                    break;
                }
            }
            rest.len() + read
        })?;
        spend(read);
        self.position.set(position + read as u64);
        Ok(Filled {
            bytes,
            ended,
            stuck,
        })
    }

    /// Forgets the chunk, whose rest is in the result of `fill`.
    #[inline]
    fn forget_chunk(&self) {
        self.chunk_at.set(0);
        self.chunk_end.set(0);
        if self.chunk.is_some() {
            self.chunk.clear();
        }
    }

    /// How long the file is behind the raw position; `None` if it does not say.
    fn remaining(&self) -> Option<usize> {
        let stat = Stat::file(self.fd.get()).now().ok()?;
        let size = stat.get().stx_size;
        if size == 0 {
            // As the files of /proc have it.
            return None;
        }
        usize::try_from(size.saturating_sub(self.position.get())).ok()
    }

    /// Whether there is nothing behind the raw position; `None` if that cannot be said at once.
    fn at_end(&self) -> Option<bool> {
        let mut probe = [MaybeUninit::uninit(); 1];
        let (fd, position) = (self.fd.get(), self.position.get());
        let read = self.read_here(fd, &mut probe, position);
        read.ok().map(|count| count == 0)
    }

    /// `read(size)`, or `read()` to the end; `None` if it has to wait.
    pub(super) fn read(&self, size: Option<usize>) -> Res<Option<Object>> {
        if !self.may_read() {
            return Ok(None);
        }
        let left = self.left();
        if let Some(size) = size
            && size <= left
        {
            return self.take(size).map(Some);
        }
        if !self.may_ask() {
            return Ok(None);
        }
        let buffered = self.buffer_size.get() > 0;
        let wanted = size.map(|size| size - left);
        let (more, clipped) = match wanted {
            Some(wanted) if wanted <= tuning::FILE_ASK => (wanted, false),
            _ => {
                let Some(remaining) = self.remaining() else {
                    return Ok(None);
                };
                match wanted {
                    Some(wanted) if wanted <= remaining => (wanted, false),
                    _ => (remaining, true),
                }
            }
        };
        if more > tuning::FILE_STEP {
            return Ok(None);
        }
        if buffered && !clipped && more < tuning::FILE_DIRECT {
            return self.read_ahead(left + more);
        }
        let filled = self.fill(more, true)?;
        let stuck = filled.stuck || (clipped && !filled.ended && self.at_end() != Some(true));
        if stuck {
            // The page cache ends before the file does.
            self.set_chunk(filled.bytes);
            if !buffered {
                self.drop_chunk();
            }
            return Ok(None);
        }
        self.forget_chunk();
        Ok(Some(filled.bytes))
    }

    /// A small read: a whole chunk is read, and what was asked for taken from it.
    fn read_ahead(&self, size: usize) -> Res<Option<Object>> {
        let filled = self.fill(self.buffer_size.get(), false)?;
        self.set_chunk(filled.bytes);
        let left = self.left();
        if size <= left || filled.ended {
            return self.take(size.min(left)).map(Some);
        }
        Ok(None)
    }

    /// `readline()`; `None` if it has to wait.
    pub(super) fn readline(&self) -> Res<Option<Object>> {
        if !self.may_read() {
            return Ok(None);
        }
        let mut searched = 0;
        loop {
            if let Some(chunk) = self.chunk.get()
                && let Some(octets) = bytes_slice(&chunk)
            {
                let rest = &octets[self.chunk_at.get()..self.chunk_end.get()];
                if let Some(found) = find_newline(&rest[searched..]) {
                    return self.take(searched + found + 1).map(Some);
                }
                searched = rest.len();
            }
            let size = self.buffer_size.get();
            if size == 0 || searched > tuning::FILE_STEP || !self.may_ask() {
                return Ok(None);
            }
            let filled = self.fill(size, false)?;
            self.set_chunk(filled.bytes);
            if filled.ended {
                return self.take(self.left()).map(Some);
            }
            if filled.stuck {
                return Ok(None);
            }
        }
    }

    /// `read1(size)`: what is there, or what one read gives; `None` if it has to wait.
    pub(super) fn read1(&self, size: usize) -> Res<Option<Object>> {
        if !self.may_read() {
            return Ok(None);
        }
        if self.left() == 0 {
            if !self.may_ask() {
                return Ok(None);
            }
            let filled = self.fill(
                self.buffer_size.get().max(size.min(tuning::FILE_DIRECT)),
                false,
            )?;
            if filled.stuck {
                return Ok(None);
            }
            self.set_chunk(filled.bytes);
        }
        self.take(size.min(self.left())).map(Some)
    }

    /// `write(data)`, if there is room for it to wait in; how many bytes.
    pub(super) fn write(&self, data: &Any) -> Res<Option<usize>> {
        if !self.writable.get() || self.fd.get() == CLOSED || self.busy.get() {
            return Ok(None);
        }
        if let Some(octets) = bytes_slice(data) {
            return self.keep(octets);
        }
        let buffer = Buffer::readable(data)?;
        // Getting at it has run Python code.
        if self.fd.get() == CLOSED || self.busy.get() {
            return Ok(None);
        }
        self.keep(buffer.as_slice())
    }

    fn keep(&self, octets: &[u8]) -> Res<Option<usize>> {
        let mut pending = self.pending.borrow_mut();
        if pending.len() + octets.len() > self.buffer_size.get() {
            return Ok(None);
        }
        if self.left() > 0 && !self.positioned.get() {
            return Ok(None);
        }
        reserve(&mut pending, octets.len())?;
        self.drop_chunk();
        pending.extend_from_slice(octets);
        Ok(Some(octets.len()))
    }

    /// Goes back to where the reader is, if the file has positions.
    fn drop_chunk(&self) {
        let left = self.left() as u64;
        if left > 0 && self.positioned.get() {
            self.position.set(self.position.get().saturating_sub(left));
        }
        self.forget_chunk();
    }

    /// `pread(size, offset)`; `None` if it has to wait, or if there is something to be written first.
    pub(super) fn pread(&self, size: usize, offset: u64) -> Res<Option<Object>> {
        if !self.readable.get()
            || self.fd.get() == CLOSED
            || size > tuning::FILE_STEP
            || !self.pending.borrow().is_empty()
            || !self.may_ask()
        {
            return Ok(None);
        }
        let fd = self.fd.get();
        let mut size = size;
        if size > tuning::FILE_ASK {
            let Ok(stat) = Stat::file(fd).now() else {
                return Ok(None);
            };
            let behind = stat.get().stx_size.saturating_sub(offset);
            size = size.min(usize::try_from(behind).unwrap_or(size));
        }
        let mut stuck = false;
        let bytes = filled_bytes(size, |memory| {
            let mut read = 0;
            // A read may end where the page cache does, in the middle of the file.
            while read < memory.len() {
                match self.read_here(fd, &mut memory[read..], offset + read as u64) {
                    Ok(0) => break,
                    Ok(count) => read += count,
                    Err(_) => {
                        stuck = true;
                        break;
                    }
                }
            }
            read
        })?;
        spend(size);
        Ok((!stuck).then_some(bytes))
    }

    /// A small `pread` through the ring, if nothing has to be checked or written first. The file is in use until
    /// `end_use`.
    pub(super) fn pread_call(&self, size: usize, offset: u64) -> Res<Option<Object>> {
        if !self.readable.get()
            || self.fd.get() == CLOSED
            || size > tuning::FILE_ASK
            || !self.pending.borrow().is_empty()
        {
            return Ok(None);
        }
        let call = super::request::read(self.fd.get(), size, Some(offset))?;
        self.users.set(self.users.get() + 1);
        Ok(Some(call))
    }

    /// The logical position.
    fn tell(&self) -> u64 {
        let pending = self.pending.borrow().len() as u64;
        (self.position.get() + pending).saturating_sub(self.left() as u64)
    }
}

/// A positioned read is over.
pub(super) fn end_use(file: &Inst<FileCore>) -> Res<()> {
    if file.unused.is_some() {
        return file
            .as_any()
            .call_method0(&super::names::names()._leave)
            .map(drop);
    }
    file.users.set(file.users.get().saturating_sub(1));
    Ok(())
}

fn set_users(this: &Inst<FileCore>, value: Option<&Any>) -> Res<()> {
    this.users.set(super::request::size_of(no_delete(value)?)?);
    Ok(())
}

fn set_unused(this: &Inst<FileCore>, value: Option<&Any>) -> Res<()> {
    let value = no_delete(value)?;
    drop(this.unused.replace((!value.is_none()).then(|| value.own())));
    Ok(())
}

fn bool_of(value: Option<&Any>) -> Res<bool> {
    no_delete(value)?.is_truthy()
}

fn init_core(this: &Inst<FileCore>, args: Args<'_>) -> Res<Object> {
    let &[fd, readable, writable, positioned, buffer_size, position] = args.positional else {
        return Err(Raised::type_error("_init_core() takes six arguments"));
    };
    this.fd.set(RawFd::try_from(fd.to_i64()?).unwrap_or(CLOSED));
    this.readable.set(readable.is_truthy()?);
    this.writable.set(writable.is_truthy()?);
    this.positioned.set(positioned.is_truthy()?);
    if this.positioned.get() {
        this.medium.set(Medium::of(this.fd.get()));
    }
    this.buffer_size.set(super::request::size_of(buffer_size)?);
    this.position
        .set(u64::try_from(position.to_i64()?).unwrap_or(0));
    Ok(value::none())
}

fn set_fd(this: &Inst<FileCore>, value: Option<&Any>) -> Res<()> {
    let fd = no_delete(value)?.to_i64()?;
    this.fd.set(RawFd::try_from(fd).unwrap_or(CLOSED));
    drop(this.residency.take());
    Ok(())
}

fn set_position(this: &Inst<FileCore>, value: Option<&Any>) -> Res<()> {
    let position = no_delete(value)?.to_i64()?;
    this.position.set(u64::try_from(position).unwrap_or(0));
    Ok(())
}

fn take(this: &Inst<FileCore>, size: &Any) -> Res<Object> {
    let left = this.left();
    let size = usize::try_from(size.to_size()?).unwrap_or(left);
    this.take(size.min(left))
}

fn take_line(this: &Inst<FileCore>, limit: &Any) -> Res<Object> {
    let left = this.left();
    let limit = usize::try_from(limit.to_size()?).unwrap_or(left).min(left);
    let chunk = this.chunk.get();
    let octets = chunk.as_deref().and_then(bytes_slice).unwrap_or_default();
    let at = this.chunk_at.get();
    let found = find_newline(&octets[at.min(octets.len())..(at + limit).min(octets.len())]);
    this.take(found.map_or(limit, |found| found + 1))
}

fn set_chunk(this: &Inst<FileCore>, bytes: &Any) -> Res<Object> {
    this.set_chunk(bytes.own());
    Ok(value::none())
}

fn drop_chunk(this: &Inst<FileCore>) -> Res<Object> {
    this.drop_chunk();
    Ok(value::none())
}

fn get_pending(this: &Inst<FileCore>) -> Res<Object> {
    value::bytes(&this.pending.borrow())
}

fn put(this: &Inst<FileCore>, data: &Any) -> Res<Object> {
    let buffer = Buffer::readable(data)?;
    let mut pending = this.pending.borrow_mut();
    reserve(&mut pending, buffer.as_slice().len())?;
    pending.extend_from_slice(buffer.as_slice());
    Ok(value::none())
}

/// `write`, without a coroutine: whether there was room.
fn keep(this: &Inst<FileCore>, data: &Any) -> Res<Object> {
    flag(this.buffer_size.get() > 0 && this.write(data)?.is_some())
}

fn written(this: &Inst<FileCore>, count: &Any) -> Res<Object> {
    let count = super::request::size_of(count)?;
    let mut pending = this.pending.borrow_mut();
    let count = count.min(pending.len());
    pending.drain(..count);
    this.position.set(this.position.get() + count as u64);
    Ok(value::none())
}

/// Makes the class.
pub(super) fn build() -> Res<()> {
    FILE_CORE.build(object_class(), |b| {
        let b = b
            .doc(c"The native half of aioxide.files.BinaryFile.")
            .method(c"_init_core", init_core, c"_init_core($self, fd, readable, writable, positioned, buffer_size, position, /)\n--\n\nBegin.")
            .method1(c"_take", take, c"_take($self, size, /)\n--\n\nBytes that were read ahead.")
            .method1(c"_take_line", take_line, c"_take_line($self, limit, /)\n--\n\nBytes that were read ahead, up to the end of a line.")
            .method1(c"_set_chunk", set_chunk, c"_set_chunk($self, data, /)\n--\n\nSet what was read ahead.")
            .method0(c"_drop_chunk", drop_chunk, c"_drop_chunk($self, /)\n--\n\nForget what was read ahead, and go back to before it.")
            .method0(c"_get_pending", get_pending, c"_get_pending($self, /)\n--\n\nWhat is still to be written.")
            .method1(c"_put", put, c"_put($self, data, /)\n--\n\nAdd to what is still to be written.")
            .method1(c"_keep", keep, c"_keep($self, data, /)\n--\n\nLet data wait to be written; whether there was room.")
            .method1(c"_written", written, c"_written($self, count, /)\n--\n\nSo much of it is in the file.")
            .method0(c"_tell", |this: &Inst<FileCore>| value::uint(this.tell()), c"_tell($self, /)\n--\n\nThe position as the user sees it.")
            .attribute(c"_fd", |this: &Inst<FileCore>| value::int(this.fd.get().into()), set_fd, c"The descriptor, -1 when closed.")
            .attribute(c"_position", |this: &Inst<FileCore>| value::uint(this.position.get()), set_position, c"Where the next bytes come from or go to.")
            .attribute(c"_busy", |this: &Inst<FileCore>| flag(this.busy.get()), |this: &Inst<FileCore>, value: Option<&Any>| {
                this.busy.set(bool_of(value)?);
                Ok(())
            }, c"A coroutine works on the file.")
            .attribute(c"_users", |this: &Inst<FileCore>| value::uint(this.users.get() as u64), set_users, c"Positioned reads and writes that are under way.")
            .attribute(c"_unused", |this: &Inst<FileCore>| Ok(this.unused.get_or_none()), set_unused, c"Done when there are none any more.")
            .getter(c"_left", |this: &Inst<FileCore>| value::uint(this.left() as u64), c"How much was read ahead.")
            .getter(c"_pending", |this: &Inst<FileCore>| value::uint(this.pending.borrow().len() as u64), c"How much is still to be written.")
            .getter(c"_readable", |this: &Inst<FileCore>| flag(this.readable.get()), c"Opened for reading.")
            .getter(c"_writable", |this: &Inst<FileCore>| flag(this.writable.get()), c"Opened for writing.")
            .getter(c"_positioned", |this: &Inst<FileCore>| flag(this.positioned.get()), c"Reads and writes name their offset.")
            .getter(c"_buffer_size", |this: &Inst<FileCore>| value::uint(this.buffer_size.get() as u64), c"How much is read ahead.");
        method::binary_methods(b)
    })?;
    Ok(())
}
