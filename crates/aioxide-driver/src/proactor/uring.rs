//! The proactor on io_uring.
//!
//! # Some facts about io_uring
//!
//! - An operation is first tried on the thread that submits it, without blocking; what would block goes on by
//!   itself (a read that waits for the disk), or to a kernel thread (a write to most file systems, everything that
//!   looks up a path).
//! - Reading with a submission queue entry borrows what it points to until the completion; the ring being closed
//!   does not change that. So closing waits, and the ring itself goes before what it may write to.
//! - `SINGLE_ISSUER` and `DEFER_TASKRUN` tie the ring to one thread. A loop may run in one thread today and be
//!   closed in another, so we do without. `COOP_TASKRUN` only spares the interrupts of a thread that
//!   is running: what completes is posted when it next enters the kernel, which a loop does to hear of it.
//! - Containers often forbid `io_uring_setup` (`EPERM`, `ENOSYS`), and kernels know different opcodes. Each is probed;
//!   what the ring cannot do, a thread does, whose completions the ring reports by polling the pool's descriptor.
//! - Closing a ring's descriptor in the child of a fork cancels nothing of the parent's.
//! - `io_uring_enter` may fail, or take only some of the entries: `EAGAIN` and `ENOMEM` if there is no memory for a
//!   request, `EBUSY` if completions have to be taken first, `EINTR`. The entries stay in the submission queue and
//!   **nobody announces when to try again**, so [`flush`](Uring::flush) says so. An entry that the kernel has not
//!   taken is still ours: if the failure persists it is overwritten, and its operation fails.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use io_uring::squeue::Entry;
use io_uring::{IoUring, Probe, opcode, types};

use super::Flush;
use super::table::Slot;
use super::threads::Threads;
use crate::op::Memory;
use crate::sys::monotonic_ns;

/// Room for so many submissions between two system calls.
const ENTRIES: u32 = 256;
/// Room for the completions of all that may be in flight, and of as many cancellations.
const COMPLETIONS: u32 = 4096;
/// The key of our own operations: cancellations, of which nobody wants to hear.
const NOBODY: u64 = u64::MAX;
/// The key of the poll of the threads' descriptor.
const THREADS: u64 = u64::MAX - 1;
/// How often an `io_uring_enter` that fails for now is repeated, with pauses of 1, 2, 4, ... 512 milliseconds: one
/// second in all, after which the operations fail.
const ATTEMPTS: u32 = 10;
/// How often an interrupted one is repeated at once.
const INTERRUPTIONS: u32 = 16;
/// The pause between two looks at the threads if the ring cannot poll their descriptor.
const LOOK: Duration = Duration::from_millis(20);
/// Where a ring's submission queue entries are mapped: `IORING_OFF_SQES`.
const ENTRIES_OFFSET: libc::off_t = 0x1000_0000;

pub(super) struct Uring {
    ring: IoUring,
    probe: Probe,
    /// For what this kernel's ring has no opcode for.
    threads: Option<Threads>,
    threads_polled: bool,
    /// What did not fit into the submission queue.
    overflow: VecDeque<Entry>,
    /// How many entries were ever put into the submission queue: its tail.
    pushed: u32,
    /// The keys of the entries in the submission queue, each at its entry's index.
    keys: Vec<u64>,
    /// How often in a row the kernel has taken nothing, and when it is to be asked again.
    attempts: u32,
    next_attempt: Option<u64>,
    /// Operations that the kernel refused to take, and what they complete with.
    failed: Vec<(u64, i32)>,
    /// A cancellation was among them.
    lost_cancel: bool,
    /// What every operation fails with: the ring must not be entered any more.
    dead: Option<i32>,
    /// What the next calls of `io_uring_enter` are to fail with. For tests.
    faults: VecDeque<i32>,
}

impl Uring {
    /// With the best flags that this kernel takes.
    pub(super) fn new() -> io::Result<Uring> {
        let ring = IoUring::builder()
            .dontfork()
            .setup_clamp()
            .setup_cqsize(COMPLETIONS)
            .setup_coop_taskrun()
            .setup_submit_all()
            .build(ENTRIES)
            .or_else(|_| {
                IoUring::builder()
                    .dontfork()
                    .setup_clamp()
                    .setup_cqsize(COMPLETIONS)
                    .build(ENTRIES)
            })?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        let needed = [
            opcode::Read::CODE,
            opcode::Write::CODE,
            opcode::PollAdd::CODE,
            opcode::AsyncCancel::CODE,
            opcode::Nop::CODE,
        ];
        // Without these, without current-position reads, or if it may lose completions, it is no use to us.
        let params = ring.params();
        if !needed.iter().all(|&code| probe.is_supported(code))
            || !params.is_feature_nodrop()
            || !params.is_feature_rw_cur_pos()
        {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let capacity = params.sq_entries() as usize;
        Ok(Uring {
            ring,
            probe,
            keys: vec![NOBODY; capacity],
            threads: None,
            threads_polled: false,
            overflow: VecDeque::new(),
            pushed: 0,
            attempts: 0,
            next_attempt: None,
            failed: Vec::new(),
            lost_cancel: false,
            dead: None,
            faults: VecDeque::new(),
        })
    }

    pub(super) fn start<M: Memory>(&mut self, key: u64, slot: &mut Slot<M>) -> io::Result<()> {
        let entry = if slot.errno.is_some() {
            opcode::Nop::new().build()
        } else if self.probe.is_supported(slot.op.code()) {
            slot.op.entry()
        } else {
            return self.start_thread(key, slot);
        };
        self.push(entry.user_data(key));
        Ok(())
    }

    #[cold]
    fn start_thread<M: Memory>(&mut self, key: u64, slot: &mut Slot<M>) -> io::Result<()> {
        let threads = match &mut self.threads {
            Some(threads) => threads,
            none => none.insert(Threads::new()?),
        };
        threads.start(key, slot)?;
        self.poll_threads();
        Ok(())
    }

    fn poll_threads(&mut self) {
        if let Some(threads) = &self.threads
            && !self.threads_polled
        {
            let events = u32::from(libc::POLLIN.cast_unsigned());
            let poll = opcode::PollAdd::new(types::Fd(threads.as_raw_fd()), events);
            self.push(poll.build().user_data(THREADS));
            self.threads_polled = true;
        }
    }

    /// `start` has failed: the operation completes with the error it was given.
    pub(super) fn refuse(&mut self, key: u64) {
        self.push(opcode::Nop::new().build().user_data(key));
    }

    pub(super) fn cancel(&mut self, key: u64) {
        if let Some(threads) = &mut self.threads
            && threads.knows(key)
        {
            threads.cancel(key);
            return;
        }
        self.push(opcode::AsyncCancel::new(key).build().user_data(NOBODY));
    }

    fn push(&mut self, entry: Entry) {
        if let Some(errno) = self.dead {
            self.fail(entry.get_user_data(), errno);
            return;
        }
        if self.overflow.is_empty() && self.try_push(&entry) {
            return;
        }
        // Full: what is in it goes to the kernel now. What that comes to is repeated by the next flush.
        self.overflow.push_back(entry);
        let _ = self.flush();
    }

    fn try_push(&mut self, entry: &Entry) -> bool {
        // SAFETY: what the entry points to is owned by an operation that stays at its place in the
        // proactor's table until its completion has been taken; the entries of our own point to nothing.
        #[allow(unsafe_code)]
        let pushed = unsafe { self.ring.submission().push(entry).is_ok() };
        if pushed {
            let index = self.index(self.pushed);
            self.keys[index] = entry.get_user_data();
            self.pushed = self.pushed.wrapping_add(1);
        }
        pushed
    }

    /// The index of the entry that was the `count`-th to be put into the submission queue.
    fn index(&self, count: u32) -> usize {
        // The capacity is a power of two.
        count as usize & (self.keys.len() - 1)
    }

    fn refill(&mut self) {
        while let Some(entry) = self.overflow.pop_front() {
            if !self.try_push(&entry) {
                self.overflow.push_front(entry);
                return;
            }
        }
    }

    fn enter(&mut self, wanted: usize) -> io::Result<usize> {
        if let Some(errno) = self.faults.pop_front() {
            return Err(io::Error::from_raw_os_error(errno));
        }
        self.ring.submit_and_wait(wanted)
    }

    /// Lets the next calls of `io_uring_enter` fail, and no others. For tests.
    pub(super) fn inject(&mut self, errnos: impl IntoIterator<Item = i32>) {
        self.faults = errnos.into_iter().collect();
    }

    /// One system call, unless there is nothing to submit.
    pub(super) fn flush(&mut self) -> Flush {
        let mut interrupted = 0;
        loop {
            self.refill();
            if self.dead.is_some() || self.ring.submission().is_empty() {
                return self.flushed();
            }
            if let Some(next) = self.next_attempt {
                let pause = Duration::from_nanos(next.saturating_sub(monotonic_ns()));
                if !pause.is_zero() {
                    return self.later(pause);
                }
            }
            match self.enter(0) {
                Ok(0) => return self.not_taken(libc::EAGAIN),
                // Not necessarily all of them.
                Ok(_) => {
                    self.attempts = 0;
                    self.next_attempt = None;
                }
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) if interrupted < INTERRUPTIONS => interrupted += 1,
                    errno => return self.not_taken(errno.unwrap_or(libc::EIO)),
                },
            }
        }
    }

    /// Everything was submitted.
    fn flushed(&self) -> Flush {
        if !self.failed.is_empty() {
            return Flush::Drain;
        }
        if self.threads_unheard() {
            return Flush::Again(LOOK);
        }
        Flush::Done
    }

    fn later(&self, pause: Duration) -> Flush {
        if self.failed.is_empty() {
            Flush::Again(pause)
        } else {
            Flush::Drain
        }
    }

    /// Threads are at work, and the ring does not poll their descriptor.
    fn threads_unheard(&self) -> bool {
        !self.threads_polled && self.threads.as_ref().is_some_and(Threads::is_busy)
    }

    /// The kernel has not taken what is in the submission queue.
    #[cold]
    fn not_taken(&mut self, errno: i32) -> Flush {
        let passing = matches!(
            errno,
            libc::EINTR | libc::EAGAIN | libc::EBUSY | libc::ENOMEM
        );
        if passing && self.attempts < ATTEMPTS {
            let pause = Duration::from_millis(1 << self.attempts);
            self.next_attempt = Some(monotonic_ns() + (1_000_000 << self.attempts));
            self.attempts += 1;
            return self.later(pause);
        }
        self.attempts = 0;
        self.next_attempt = None;
        let waiting = u32::try_from(self.ring.submission().len()).unwrap_or(0);
        let mut keys: Vec<u64> = (0..waiting)
            .map(|place| self.keys[self.index(self.pushed.wrapping_sub(waiting - place))])
            .collect();
        if !self.retract(waiting) {
            self.dead = Some(errno);
        }
        keys.extend(self.overflow.drain(..).map(|entry| entry.get_user_data()));
        for key in keys {
            self.fail(key, errno);
        }
        self.flushed()
    }

    fn fail(&mut self, key: u64, errno: i32) {
        match key {
            NOBODY => self.lost_cancel = true,
            THREADS => self.threads_polled = false,
            _ => self.failed.push((key, errno)),
        }
    }

    /// Overwrites the last `waiting` entries, which the kernel has not taken, with entries that do nothing.
    ///
    /// Returns `false` if the queue could not be mapped: then the ring must not be entered any more.
    fn retract(&self, waiting: u32) -> bool {
        let size = self.keys.len() * size_of::<Entry>();
        // SAFETY: a new mapping at an address of the kernel's choice, of the ring's own size.
        #[allow(unsafe_code)]
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_POPULATE,
                self.ring.as_raw_fd(),
                ENTRIES_OFFSET,
            )
        };
        if start == libc::MAP_FAILED {
            return false;
        }
        let entries = start.cast::<Entry>();
        for back in 1..=waiting {
            let index = self.index(self.pushed.wrapping_sub(back));
            // SAFETY: the index is below the capacity, a power of two. The kernel reads an entry only while
            // it is entered with something to submit, and has not taken this one; nobody else enters, since the ring
            // is exclusively ours. Each was written by `try_push`.
            #[allow(unsafe_code)]
            unsafe {
                entries
                    .add(index)
                    .write(opcode::Nop::new().build().user_data(NOBODY));
            }
        }
        // SAFETY: the mapping that was made above, to which no pointer is left.
        #[allow(unsafe_code)]
        unsafe {
            libc::munmap(start, size);
        }
        true
    }

    /// The operations that the kernel refused to take, with their errors.
    pub(super) fn take_failed(&mut self) -> Vec<(u64, i32)> {
        std::mem::take(&mut self.failed)
    }

    /// Appends what has completed.
    pub(super) fn take(&mut self, out: &mut Vec<(u64, i64)>) -> io::Result<()> {
        let mut threads_ready = self.threads_unheard();
        loop {
            for entry in self.ring.completion() {
                match entry.user_data() {
                    NOBODY => {}
                    THREADS => threads_ready = true,
                    key => out.push((key, i64::from(entry.result()))),
                }
            }
            // What the queue had no room for is kept by the kernel, and given on request. If the request fails, the
            // descriptor stays readable, and we are asked again.
            if self.dead.is_some()
                || !self.ring.submission().cq_overflow()
                || self.enter(0).is_err()
            {
                break;
            }
        }
        if threads_ready {
            self.threads_polled = false;
            if let Some(threads) = &mut self.threads {
                threads.take(out)?;
            }
            self.poll_threads();
        }
        Ok(())
    }

    /// Waits until there is something to take.
    pub(super) fn wait(&mut self) -> io::Result<()> {
        match self.flush() {
            Flush::Drain => return Ok(()),
            Flush::Again(pause) => {
                sleep(pause);
                return Ok(());
            }
            Flush::Done => {}
        }
        if self.dead.is_some() || self.lost_cancel {
            // Nothing may ever come.
            return Err(io::ErrorKind::Other.into());
        }
        match self.enter(1) {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                Some(libc::EINTR | libc::EAGAIN | libc::EBUSY) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// In the child of a fork: the ring is the parent's.
    pub(super) fn abandon(&mut self) {
        if let Some(threads) = &mut self.threads {
            threads.abandon();
        }
    }
}

/// While a loop is being closed, which waits for what the kernel still uses.
fn sleep(pause: Duration) {
    let milliseconds = libc::c_int::try_from(pause.as_millis()).unwrap_or(1).max(1);
    // SAFETY: no descriptors, so that nothing is accessed; a signal only ends it early.
    #[allow(unsafe_code)]
    unsafe {
        libc::poll(std::ptr::null_mut(), 0, milliseconds);
    }
}

impl AsRawFd for Uring {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}
