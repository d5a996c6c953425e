//! What can be asked of the kernel about files: each operation with both its faces.
//!
//! | file | operations |
//! |---|---|
//! | `transfer` | [`Read`], [`Write`] |
//! | `file` | [`Fsync`], [`Truncate`], [`Close`] |
//! | `open` | [`Open`] |
//! | `stat` | [`Stat`] |
//! | `path` | [`Unlink`], [`Rename`], [`MakeDir`], [`Link`], [`Symlink`] |
//! | `poll` | [`Poll`] |
//!
//! An operation *owns* what the kernel borrows: paths, the buffer, the place of a `statx`. The proactor
//! keeps it, in one place of memory that does not move, from the moment it is handed over until its
//! completion has come, whatever becomes of whoever asked.
//!
//! The two faces are next to each other: `entry` is the ring's, `call` the system call that a thread
//! makes. `call` gives back a closure that borrows through raw pointers, since it runs on another
//! thread; that it does not outlive the operation is the proactor's promise.

mod file;
mod open;
mod path;
mod poll;
mod stat;
mod transfer;

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;

use io_uring::squeue::Entry;

pub use file::{Close, Fsync, Truncate};
pub use open::Open;
pub use path::{Link, MakeDir, Rename, Symlink, Unlink};
pub use poll::Poll;
pub use stat::{Stat, Statx};
pub use transfer::{Read, Write};

/// Memory that an operation owns and the kernel reads or fills.
///
/// # Safety
///
/// `region` gives memory that is valid for reads and, if it is used for a [`Read`], for writes of `len`
/// bytes; it stays where it is until the value is dropped, also when the value itself is moved; and
/// as long as an operation owns it, nobody else reads what a `Read` fills, or writes what a
/// `Write` sends.
#[allow(unsafe_code)]
pub unsafe trait Memory {
    /// How many bytes; asked before there is any memory.
    fn len(&self) -> usize;

    /// The memory. Asked once, when the operation is handed to the kernel, so that what waits in the queue
    /// needs none yet.
    fn region(&mut self) -> io::Result<NonNull<u8>>;

    /// Whether there is nothing to transfer.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

// SAFETY: a boxed slice's memory is on the heap, exclusively the box's, and does not move with it.
#[allow(unsafe_code)]
unsafe impl Memory for Box<[u8]> {
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }

    fn region(&mut self) -> io::Result<NonNull<u8>> {
        Ok(NonNull::from(&mut **self).cast())
    }
}

/// One operation. `M` is the memory of reads and writes.
#[derive(Debug)]
#[allow(missing_docs, reason = "each variant holds the operation of its name")]
pub enum Op<M> {
    Read(Read<M>),
    Write(Write<M>),
    Fsync(Fsync),
    Truncate(Truncate),
    Open(Open),
    Close(Close),
    Stat(Stat),
    Unlink(Unlink),
    Rename(Rename),
    MakeDir(MakeDir),
    Link(Link),
    Symlink(Symlink),
    Poll(Poll),
}

/// What an operation gave.
#[derive(Debug)]
pub enum Outcome {
    /// So many bytes were transferred.
    Count(usize),
    /// The descriptor that was opened.
    Fd(OwnedFd),
    /// What was asked about a file.
    Stat(Box<Statx>),
    /// It is done, and that is all.
    Done,
}

/// The descriptor that an open gave, if it gave one.
pub(crate) fn opened(result: i64) -> Outcome {
    open::outcome(result)
}

/// A system call for another thread.
pub(crate) type Call = Box<dyn FnOnce() -> io::Result<i64> + Send>;

/// A pointer into an operation, for the thread that works for it.
pub(crate) struct Borrowed<T: ?Sized>(*mut T);

// SAFETY: it is followed only by the one thread that was given the call, while the operation stays
// in its place and nobody else touches the memory (see the module).
#[allow(unsafe_code)]
unsafe impl<T: ?Sized> Send for Borrowed<T> {}

impl<T: ?Sized> Borrowed<T> {
    fn get(&self) -> *mut T {
        self.0
    }
}

impl<T: ?Sized> fmt::Debug for Borrowed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Borrowed")
    }
}

/// The answer of a system call of the C library: its `errno` on failure.
fn answer(result: impl Into<i64>) -> io::Result<i64> {
    let result = result.into();
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

macro_rules! each {
    ($self:expr, $op:ident => $body:expr) => {
        match $self {
            Op::Read($op) => $body,
            Op::Write($op) => $body,
            Op::Fsync($op) => $body,
            Op::Truncate($op) => $body,
            Op::Open($op) => $body,
            Op::Close($op) => $body,
            Op::Stat($op) => $body,
            Op::Unlink($op) => $body,
            Op::Rename($op) => $body,
            Op::MakeDir($op) => $body,
            Op::Link($op) => $body,
            Op::Symlink($op) => $body,
            Op::Poll($op) => $body,
        }
    };
}

impl<M: Memory> Op<M> {
    /// The ring's opcode.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Op::Read(_) => Read::<M>::CODE,
            Op::Write(_) => Write::<M>::CODE,
            Op::Fsync(_) => Fsync::CODE,
            Op::Truncate(_) => Truncate::CODE,
            Op::Open(_) => Open::CODE,
            Op::Close(_) => Close::CODE,
            Op::Stat(_) => Stat::CODE,
            Op::Unlink(_) => Unlink::CODE,
            Op::Rename(_) => Rename::CODE,
            Op::MakeDir(_) => MakeDir::CODE,
            Op::Link(_) => Link::CODE,
            Op::Symlink(_) => Symlink::CODE,
            Op::Poll(_) => Poll::CODE,
        }
    }

    /// Gets the memory ready, if there is any.
    pub(crate) fn prepare(&mut self, at_most: usize) -> io::Result<()> {
        match self {
            Op::Read(read) => read.prepare(at_most),
            Op::Write(write) => write.prepare(at_most),
            _ => Ok(()),
        }
    }

    /// The ring's face. After `prepare`; the operation must stay where it is.
    pub(crate) fn entry(&mut self) -> Entry {
        each!(self, op => op.entry())
    }

    /// The thread's face. After `prepare`; the operation must stay where it is.
    pub(crate) fn call(&mut self) -> Call {
        each!(self, op => op.call())
    }

    /// How many bytes of memory it needs.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Op::Read(read) => read.memory.len(),
            Op::Write(write) => write.memory.len(),
            _ => 0,
        }
    }

    /// What a number that is not an error means.
    pub(crate) fn outcome(&mut self, result: i64) -> Outcome {
        match self {
            Op::Read(_) | Op::Write(_) => Outcome::Count(usize::try_from(result).unwrap_or(0)),
            Op::Open(_) => open::outcome(result),
            Op::Stat(stat) => Outcome::Stat(stat.take()),
            _ => Outcome::Done,
        }
    }

    /// The memory, when it is over.
    pub(crate) fn into_memory(self) -> Option<M> {
        match self {
            Op::Read(read) => Some(read.memory),
            Op::Write(write) => Some(write.memory),
            _ => None,
        }
    }
}
