//! File operations by completion: io_uring, or threads where the kernel has none or forbids it.
//!
//! # The contract
//!
//! - **Submit, then drain.** [`submit`](Proactor::submit) takes an [`Op`] and gives its [`Id`];
//!   [`flush`](Proactor::flush) hands everything new to the kernel in one system call; once the descriptor of the
//!   proactor is readable, [`drain`](Proactor::drain) gives the completions. Each operation completes
//!   exactly once, in any order. No code of the caller's runs in here.
//! - **A flush returns the next step** ([`Flush`]): the kernel may refuse submissions temporarily, and no event
//!   reports when it accepts them again. If the refusal persists, the operations complete with its error.
//! - **An operation owns what the kernel borrows** ([`crate::op`]). It is kept at one place from `submit` to its
//!   completion, which gives the memory back. Dropping a proactor is closing it.
//! - **Cancelling asks**; the completion comes all the same: with `ECANCELED` or `EINTR` if it was in time, with
//!   what the operation did if not. An operation that has not been handed over never touches a file. A `Close` is
//!   made whatever happens.
//! - **Nothing is retried.** Short transfers, `EINTR` and `EAGAIN` go to the caller.
//! - **In flight is bounded**: so many bytes of memory and so many operations are with the kernel, the others wait
//!   here, in order, and have no memory yet. One operation is always let through, however large.
//! - **Closing** cancels what can be cancelled, and waits for what cannot: reads and writes of regular
//!   files, which end by themselves. Only threads that are opening a pipe are left behind; they own
//!   all they use, and close what they open.
//! - **After `fork`** the child's copy is good for nothing but being dropped, which touches neither the
//!   parent's ring nor its operations. [`is_ours`](Proactor::is_ours) tells.
//!
//! Both backends keep it, and walk the same tests (`tests/proactor.rs`). The ring is not tied to a thread: whoever
//! has exclusive access submits and drains, since a loop may run in another thread tomorrow. That excludes
//! `SINGLE_ISSUER` and `DEFER_TASKRUN`, see [`uring`].
//!
//! [`read_now`] is the way around all of it: what is in the page cache needs no proactor.

mod now;
mod residency;
mod table;
mod threads;
mod uring;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use crate::op::{Memory, Op, Outcome};

use self::table::Table;
use self::threads::Threads;
use self::uring::Uring;

pub use now::{
    Medium, find_newline, open_now, read_at_hand, read_now, read_stream, seek, stat_now,
    truncate_now, write_now, write_stream,
};
pub use residency::Residency;
pub use table::Id;

/// So many bytes of memory are with the kernel at a time.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// ... and so many operations: fewer than the completion queue has room for.
const MAX_OPERATIONS: usize = 1024;

/// How operations are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The kernel's io_uring.
    Uring,
    /// A small pool of native threads.
    Threads,
}

impl Backend {
    /// Its name in `AIOXIDE_FILES` and `files.backend()`.
    pub const fn name(self) -> &'static str {
        match self {
            Backend::Uring => "uring",
            Backend::Threads => "threads",
        }
    }
}

/// How an operation is to fail: for tests of what happens then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is made as it is.
    Pass,
    /// It is not made, and completes with this `errno`.
    Errno(i32),
    /// It transfers at most so many bytes.
    Short(usize),
}

/// The step that must follow a [`flush`](Proactor::flush) or [`drain`](Proactor::drain).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Flush {
    /// Nothing: every new operation is with the kernel.
    Done,
    /// `drain` after this time: the kernel has not accepted all submissions, and the file descriptor stays
    /// unreadable.
    Again(Duration),
    /// `drain` now: operations have failed, and the file descriptor stays unreadable.
    Drain,
}

/// An operation that is over.
#[derive(Debug)]
pub struct Completion<M> {
    /// What `submit` gave.
    pub id: Id,
    /// What it did.
    pub result: io::Result<Outcome>,
    /// The memory of a read or write.
    pub memory: Option<M>,
}

enum Engine {
    Uring(Box<Uring>),
    Threads(Threads),
}

/// File operations in flight. See the [module](self).
pub struct Proactor<M: Memory> {
    process: u32,
    table: Table<M>,
    /// Those that are not with the kernel yet. May hold some that are over.
    waiting: VecDeque<Id>,
    /// What is with the kernel.
    bytes: usize,
    operations: usize,
    max_bytes: usize,
    faults: VecDeque<Fault>,
    engine: Engine,
    /// The engine's answers, on their way out.
    answers: Vec<(u64, i64)>,
    closed: bool,
}

impl<M: Memory> fmt::Debug for Proactor<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proactor")
            .field("backend", &self.backend())
            .field("operations", &self.operations)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl<M: Memory> Proactor<M> {
    /// On this backend; without a wish on io_uring if the kernel lets us, else on threads.
    pub fn new(backend: Option<Backend>) -> io::Result<Proactor<M>> {
        let engine = match backend {
            Some(Backend::Uring) => Engine::Uring(Box::new(Uring::new()?)),
            Some(Backend::Threads) => Engine::Threads(Threads::new()?),
            None => match Uring::new() {
                Ok(ring) => Engine::Uring(Box::new(ring)),
                Err(_) => Engine::Threads(Threads::new()?),
            },
        };
        Ok(Proactor {
            process: std::process::id(),
            table: Table::default(),
            waiting: VecDeque::new(),
            bytes: 0,
            operations: 0,
            max_bytes: MAX_BYTES,
            faults: VecDeque::new(),
            engine,
            answers: Vec::new(),
            closed: false,
        })
    }

    /// Which backend it is on.
    pub fn backend(&self) -> Backend {
        match self.engine {
            Engine::Uring(_) => Backend::Uring,
            Engine::Threads(_) => Backend::Threads,
        }
    }

    /// Whether it was made by this very process, not by the parent of a fork.
    pub fn is_ours(&self) -> bool {
        self.process == std::process::id()
    }

    /// How many operations have not been completed.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether every operation has been completed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many operations are with the kernel.
    pub fn in_flight(&self) -> usize {
        self.operations
    }

    /// Bounds the memory that is with the kernel at a time.
    pub fn set_max_bytes(&mut self, bytes: usize) {
        self.max_bytes = bytes;
    }

    /// Lets the operations to come fail so, one after the other. For tests.
    pub fn inject(&mut self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.extend(faults);
    }

    /// Lets the next calls of `io_uring_enter` fail with these errors, and no others. For tests.
    pub fn inject_enter(&mut self, errnos: impl IntoIterator<Item = i32>) {
        if let Engine::Uring(ring) = &mut self.engine {
            ring.inject(errnos);
        }
    }

    /// Takes the operation. It is made after the next `flush` at the latest.
    pub fn submit(&mut self, op: Op<M>) -> Id {
        let id = self.table.insert(op);
        self.waiting.push_back(id);
        self.admit();
        id
    }

    /// Hands everything new to the kernel.
    pub fn flush(&mut self) -> Flush {
        match &mut self.engine {
            Engine::Uring(ring) => ring.flush(),
            Engine::Threads(_) => Flush::Done,
        }
    }

    /// Asks for an operation to end early. Unknown ones have ended already.
    pub fn cancel(&mut self, id: Id) {
        let Some(slot) = self.table.get_mut(id) else {
            return;
        };
        // The descriptor was given away: nobody else would close it.
        if matches!(slot.op, Op::Close(_)) {
            return;
        }
        if !slot.started {
            slot.cancelled = true;
            // It completes in its turn, without having been made.
            self.admit();
            return;
        }
        match &mut self.engine {
            Engine::Uring(ring) => ring.cancel(id.key()),
            Engine::Threads(threads) => threads.cancel(id.key()),
        }
    }

    /// Appends the completions to `out` and submits queued operations. On an error the completions are appended
    /// as well.
    pub fn drain(&mut self, out: &mut Vec<Completion<M>>) -> io::Result<Flush> {
        let mut answers = std::mem::take(&mut self.answers);
        let taken = match &mut self.engine {
            Engine::Uring(ring) => {
                for (key, errno) in ring.take_failed() {
                    if let Some(slot) = self.table.get_mut(Id::of_key(key)) {
                        slot.errno = Some(errno);
                        slot.refused = true;
                    }
                    answers.push((key, 0));
                }
                ring.take(&mut answers)
            }
            Engine::Threads(threads) => threads.take(&mut answers),
        };
        for (key, result) in answers.drain(..) {
            out.extend(self.complete(Id::of_key(key), result));
        }
        self.answers = answers;
        self.admit();
        let flushed = self.flush();
        taken.map(|()| flushed)
    }

    fn complete(&mut self, id: Id, result: i64) -> Option<Completion<M>> {
        let mut slot = self.table.remove(id)?;
        self.operations -= 1;
        self.bytes -= slot.op.bytes();
        if slot.refused && matches!(slot.op, Op::Close(_)) {
            // Nobody else would.
            let closed = slot.op.call()();
            return Some(Completion {
                id,
                result: closed.map(|_| Outcome::Done),
                memory: None,
            });
        }
        let result = match slot.errno {
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
            None => match i32::try_from(-result) {
                Ok(errno) if errno > 0 => Err(io::Error::from_raw_os_error(errno)),
                _ => Ok(slot.op.outcome(result)),
            },
        };
        Some(Completion {
            id,
            result,
            memory: slot.op.into_memory(),
        })
    }

    /// Gives the engine what it may have.
    fn admit(&mut self) {
        while let Some(&id) = self.waiting.front() {
            let Some(slot) = self.table.get_mut(id) else {
                self.waiting.pop_front();
                continue;
            };
            let bytes = slot.op.bytes();
            let fits = self.operations < MAX_OPERATIONS && self.bytes + bytes <= self.max_bytes;
            if !fits && self.operations > 0 {
                return;
            }
            self.waiting.pop_front();
            self.operations += 1;
            self.bytes += bytes;
            self.start(id);
        }
    }

    fn start(&mut self, id: Id) {
        let Some(slot) = self.table.get_mut(id) else {
            return;
        };
        slot.started = true;
        let mut at_most = usize::MAX;
        if slot.cancelled {
            slot.errno = Some(libc::ECANCELED);
        } else {
            match self.faults.pop_front() {
                Some(Fault::Errno(errno)) => slot.errno = Some(errno),
                Some(Fault::Short(count)) => at_most = count,
                Some(Fault::Pass) | None => {}
            }
            if slot.errno.is_none()
                && let Err(error) = slot.op.prepare(at_most)
            {
                slot.errno = Some(error.raw_os_error().unwrap_or(libc::ENOMEM));
            }
        }
        let started = match &mut self.engine {
            Engine::Uring(ring) => ring.start(id.key(), slot),
            Engine::Threads(threads) => threads.start(id.key(), slot),
        };
        if let Err(error) = started {
            // The engine will say so, with its next answers.
            slot.errno = Some(error.raw_os_error().unwrap_or(libc::EIO));
            slot.refused = true;
            match &mut self.engine {
                Engine::Uring(ring) => ring.refuse(id.key()),
                Engine::Threads(threads) => threads.refuse(id.key()),
            }
        }
    }

    /// Cancels everything and waits for what the kernel still uses. The completions are dropped.
    pub fn close(&mut self) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        if !self.is_ours() {
            match &mut self.engine {
                Engine::Uring(ring) => ring.abandon(),
                Engine::Threads(threads) => threads.abandon(),
            }
            return;
        }
        self.cancel_all();
        let mut out = Vec::new();
        loop {
            let left = match &self.engine {
                Engine::Uring(_) => self.operations > 0,
                // A thread that opens a pipe owns all it uses.
                Engine::Threads(_) => self.table.any(|slot| !matches!(slot.op, Op::Open(_))),
            };
            if !left {
                break;
            }
            let waited = match &mut self.engine {
                Engine::Uring(ring) => ring.wait(),
                Engine::Threads(threads) => threads.wait(),
            };
            if waited.is_err() || self.drain(&mut out).is_err() {
                // The kernel does not answer any more: what it may still use stays.
                std::mem::take(&mut self.table).leak();
                break;
            }
            out.clear();
        }
        if let Engine::Threads(threads) = &mut self.engine {
            threads.close();
        }
    }

    fn cancel_all(&mut self) {
        for id in self.table.ids() {
            self.cancel(id);
        }
        // A ring that is full takes the rest when it has been emptied.
        let _ = self.flush();
    }
}

impl<M: Memory> AsRawFd for Proactor<M> {
    /// Readable as long as there is something to drain.
    fn as_raw_fd(&self) -> RawFd {
        match &self.engine {
            Engine::Uring(ring) => ring.as_raw_fd(),
            Engine::Threads(threads) => threads.as_raw_fd(),
        }
    }
}

impl<M: Memory> Drop for Proactor<M> {
    fn drop(&mut self) {
        self.close();
    }
}
