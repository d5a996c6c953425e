//! Reads and writes of a [`FileCall`]: one call transfers everything that was asked for.
//!
//! A system call may transfer less than was asked for: `RWF_NOWAIT` stops where the page cache ends, a call transfers
//! at most 0x7ffff000 bytes, and io_uring reports what a worker had done when it was interrupted. A caller must not
//! see the difference: **only the end of a file shortens a read, and only an error shortens a write.** So
//! the rest is transferred by further operations. That holds for regular files and block devices. Everything
//! else (pipes, terminals, files of /proc and /sys, whose reads end where the kernel likes) is read
//! or written once.

use std::io;
use std::os::fd::RawFd;

use aioxide_driver::op::{Memory, Op, Read, Stat, Write};
use aioxide_driver::proactor::{Medium, read_at_hand};

use super::{at_once, spend};
use crate::ffi::file_memory::FileMemory;
use crate::tuning;

const EINTR: i32 = 4;
const EAGAIN: i32 = 11;
const EOPNOTSUPP: i32 = 95;
const ECANCELED: i32 = 125;
const S_IFMT: u16 = 0o170_000;
const S_IFREG: u16 = 0o100_000;
const S_IFBLK: u16 = 0o060_000;

/// A read or write, and how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Transfer {
    pub(super) writing: bool,
    pub(super) fd: RawFd,
    /// The offset in the file of the first byte; `None` is the descriptor's own position.
    pub(super) offset: Option<u64>,
    /// The index of the first byte in memory.
    pub(super) from: usize,
    /// The number of bytes that were transferred.
    pub(super) done: usize,
}

/// How a read without waiting ended.
pub(super) enum Attempt {
    /// Everything, or all there is.
    Complete(FileMemory),
    Failed(io::Error),
    /// An operation of the ring has to read the rest.
    Rest(FileMemory),
}

impl Transfer {
    pub(super) fn new(writing: bool, fd: RawFd, offset: Option<u64>, from: usize) -> Transfer {
        Transfer {
            writing,
            fd,
            offset,
            from,
            done: 0,
        }
    }

    /// The operation for the rest.
    pub(super) fn op(&self, memory: FileMemory) -> Op<FileMemory> {
        let offset = self.offset.map(|offset| offset + self.done as u64);
        let from = self.from + self.done;
        if self.writing {
            Op::Write(Write::new(self.fd, offset, memory, from))
        } else {
            Op::Read(Read::new(self.fd, offset, memory, from))
        }
    }

    fn wanted(&self, memory: &FileMemory) -> usize {
        memory.len().saturating_sub(self.from)
    }

    /// Reads what the page cache has. `is_later` tells the errors that an operation of the ring may not have.
    pub(super) fn read_at_once(
        &mut self,
        mut memory: FileMemory,
        is_later: impl Fn(&io::Error) -> bool,
    ) -> Attempt {
        let wanted = self.wanted(&memory);
        let Some(offset) = self.offset else {
            return Attempt::Rest(memory);
        };
        if self.writing || !at_once() || wanted > tuning::FILE_STEP {
            return Attempt::Rest(memory);
        }
        let (fd, from) = (self.fd, self.from);
        let mut medium = Medium::Unknown;
        while self.done < wanted {
            let (done, at) = (self.done, offset + self.done as u64);
            let read = memory.read_with(from + done, |place| read_at_hand(fd, medium, place, at));
            match read {
                Ok(0) => break,
                Ok(count) => self.done += count,
                Err(error)
                    if error.raw_os_error() == Some(EOPNOTSUPP)
                        && medium == Medium::Unknown
                        && Medium::of(fd) == Medium::Memory =>
                {
                    medium = Medium::Memory;
                }
                Err(error) if !is_later(&error) => return Attempt::Failed(error),
                Err(error) => {
                    // EAGAIN is the end of what is cached. Another error may come from the place alone, as behind
                    // the unaligned end of a file that is read past the page cache.
                    let ended =
                        done > 0 && error.raw_os_error() != Some(EAGAIN) && !self.has_more();
                    if ended {
                        break;
                    }
                    if done == 0
                        && let FileMemory::Fresh(size, _) = memory
                    {
                        // It needs no memory while it waits in the queue.
                        memory = FileMemory::Fresh(size, None);
                    }
                    return Attempt::Rest(memory);
                }
            }
        }
        spend(self.done);
        Attempt::Complete(memory)
    }

    /// Whether an operation that transferred `count` bytes has left something to transfer.
    pub(super) fn advance(&mut self, count: usize, memory: &FileMemory) -> bool {
        self.done += count;
        count > 0 && self.done < self.wanted(memory) && self.has_more()
    }

    /// Whether an operation that failed is to be made again.
    pub(super) fn again_after(&self, error: &io::Error, cancelled: bool) -> bool {
        match error.raw_os_error() {
            Some(EINTR) if !cancelled => true,
            // A part is in the file: the rest follows.
            Some(EINTR | ECANCELED) => self.writing && self.done > 0,
            _ => false,
        }
    }

    /// Whether the file takes or has bytes behind what was transferred. A file of /proc says that it is empty.
    fn has_more(&self) -> bool {
        let Ok(stat) = Stat::file(self.fd).now() else {
            return false;
        };
        let stat = stat.get();
        match stat.stx_mode & S_IFMT {
            S_IFBLK => self.writing || self.offset.is_some(),
            S_IFREG if self.writing => true,
            S_IFREG => self
                .offset
                .is_some_and(|offset| stat.stx_size > offset + self.done as u64),
            _ => false,
        }
    }
}
