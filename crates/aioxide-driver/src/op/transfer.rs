//! Reading and writing.

use std::io;
use std::os::fd::RawFd;
use std::ptr::NonNull;

use io_uring::squeue::{Entry, Flags};
use io_uring::{opcode, types};

use super::{Borrowed, Call, Memory, answer};

/// The most that one call transfers: the kernel's own limit.
const MOST: usize = 0x7fff_f000;
/// From so many bytes on, a kernel thread makes the copy. The ring first tries an operation on the thread that
/// submits it, and a copy of a megabyte takes as long as a hundred turns of the loop.
const APART: usize = 1024 * 1024 + 1;

/// `-1` is the file's own position.
fn offset_of(offset: Option<u64>) -> u64 {
    offset.unwrap_or(u64::MAX)
}

fn flags_of(length: usize) -> Flags {
    if length >= APART {
        Flags::ASYNC
    } else {
        Flags::empty()
    }
}

/// Where a transfer begins in memory and how long it is, once the memory is there.
#[derive(Debug)]
struct Span {
    start: NonNull<u8>,
    length: usize,
}

impl Span {
    const NONE: Span = Span {
        start: NonNull::dangling(),
        length: 0,
    };

    fn of(memory: &mut impl Memory, from: usize, at_most: usize) -> io::Result<Span> {
        let region = memory.region()?;
        let from = from.min(memory.len());
        // SAFETY: `from` is at most the region's length, so the sum stays inside or one past it.
        #[allow(unsafe_code)]
        let start = unsafe { region.add(from) };
        Ok(Span {
            start,
            length: (memory.len() - from).min(at_most).min(MOST),
        })
    }

    fn length_u32(&self) -> u32 {
        u32::try_from(self.length).unwrap_or(0)
    }
}

/// Reads at an offset, or where the file stands, into memory of its own.
#[derive(Debug)]
pub struct Read<M> {
    fd: RawFd,
    offset: Option<u64>,
    pub(super) memory: M,
    from: usize,
    span: Span,
}

impl<M: Memory> Read<M> {
    pub(super) const CODE: u8 = opcode::Read::CODE;

    /// Reads `memory.len() - from` bytes or less into what is behind the first `from` bytes.
    pub fn new(fd: RawFd, offset: Option<u64>, memory: M, from: usize) -> Read<M> {
        Read {
            fd,
            offset,
            memory,
            from,
            span: Span::NONE,
        }
    }

    pub(super) fn prepare(&mut self, at_most: usize) -> io::Result<()> {
        self.span = Span::of(&mut self.memory, self.from, at_most)?;
        Ok(())
    }

    pub(super) fn entry(&mut self) -> Entry {
        opcode::Read::new(
            types::Fd(self.fd),
            self.span.start.as_ptr(),
            self.span.length_u32(),
        )
        .offset(offset_of(self.offset))
        .build()
        .flags(flags_of(self.span.length))
    }

    pub(super) fn call(&mut self) -> Call {
        let (fd, offset, length) = (self.fd, self.offset, self.span.length);
        let start = Borrowed(self.span.start.as_ptr());
        Box::new(move || {
            // SAFETY: `length` bytes from `start` on lie in the operation's memory (`Span::of`), which
            // is writable (`Memory`), and stay there until this call has ended (`op`).
            #[allow(unsafe_code)]
            let result = unsafe {
                match offset {
                    Some(offset) => {
                        libc::pread64(fd, start.get().cast(), length, offset.cast_signed())
                    }
                    None => libc::read(fd, start.get().cast(), length),
                }
            };
            answer(result as i64)
        })
    }
}

/// Writes at an offset, or where the file stands, from memory of its own.
#[derive(Debug)]
pub struct Write<M> {
    fd: RawFd,
    offset: Option<u64>,
    pub(super) memory: M,
    from: usize,
    span: Span,
}

impl<M: Memory> Write<M> {
    pub(super) const CODE: u8 = opcode::Write::CODE;

    /// Writes `memory.len() - from` bytes or less: those behind the first `from`.
    pub fn new(fd: RawFd, offset: Option<u64>, memory: M, from: usize) -> Write<M> {
        Write {
            fd,
            offset,
            memory,
            from,
            span: Span::NONE,
        }
    }

    pub(super) fn prepare(&mut self, at_most: usize) -> io::Result<()> {
        self.span = Span::of(&mut self.memory, self.from, at_most)?;
        Ok(())
    }

    pub(super) fn entry(&mut self) -> Entry {
        opcode::Write::new(
            types::Fd(self.fd),
            self.span.start.as_ptr(),
            self.span.length_u32(),
        )
        .offset(offset_of(self.offset))
        .build()
        .flags(flags_of(self.span.length))
    }

    pub(super) fn call(&mut self) -> Call {
        let (fd, offset, length) = (self.fd, self.offset, self.span.length);
        let start = Borrowed(self.span.start.as_ptr());
        Box::new(move || {
            // SAFETY: as in `Read::call`; the memory is only read.
            #[allow(unsafe_code)]
            let result = unsafe {
                match offset {
                    Some(offset) => {
                        libc::pwrite64(fd, start.get().cast(), length, offset.cast_signed())
                    }
                    None => libc::write(fd, start.get().cast(), length),
                }
            };
            answer(result as i64)
        })
    }
}
