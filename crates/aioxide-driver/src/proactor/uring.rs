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

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use io_uring::squeue::Entry;
use io_uring::{IoUring, Probe, opcode, types};

use super::table::Slot;
use super::threads::Threads;
use crate::op::Memory;

/// Room for so many submissions between two system calls.
const ENTRIES: u32 = 256;
/// Room for the completions of all that may be in flight, and of as many cancellations.
const COMPLETIONS: u32 = 4096;
/// The key of our own operations: cancellations, of which nobody wants to hear.
const NOBODY: u64 = u64::MAX;
/// The key of the poll of the threads' descriptor.
const THREADS: u64 = u64::MAX - 1;

pub(super) struct Uring {
    ring: IoUring,
    probe: Probe,
    /// For what this kernel's ring has no opcode for.
    threads: Option<Threads>,
    threads_polled: bool,
    /// What did not fit into the submission queue.
    overflow: Vec<Entry>,
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
        Ok(Uring {
            ring,
            probe,
            threads: None,
            threads_polled: false,
            overflow: Vec::new(),
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
        if self.overflow.is_empty() && self.try_push(&entry) {
            return;
        }
        // Full: what is in it goes to the kernel now.
        self.overflow.push(entry);
        let _ = self.flush();
    }

    fn try_push(&mut self, entry: &Entry) -> bool {
        // SAFETY: what the entry points to is owned by an operation that stays at its place in the
        // proactor's table until its completion has been taken; the entries of our own point to nothing.
        #[allow(unsafe_code)]
        unsafe {
            self.ring.submission().push(entry).is_ok()
        }
    }

    /// One system call, unless there is nothing to submit.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        loop {
            if !self.ring.submission().is_empty() {
                match self.ring.submit() {
                    Ok(_) => {}
                    // Not now: with the next flush, when completions have been taken.
                    Err(error)
                        if matches!(
                            error.raw_os_error(),
                            Some(libc::EINTR | libc::EAGAIN | libc::EBUSY)
                        ) =>
                    {
                        return Ok(());
                    }
                    Err(error) => return Err(error),
                }
            }
            if self.overflow.is_empty() {
                return Ok(());
            }
            let overflow = std::mem::take(&mut self.overflow);
            let mut entries = overflow.into_iter();
            for entry in entries.by_ref() {
                if !self.try_push(&entry) {
                    self.overflow.push(entry);
                    break;
                }
            }
            self.overflow.extend(entries);
        }
    }

    /// Appends what has completed.
    pub(super) fn take(&mut self, out: &mut Vec<(u64, i64)>) -> io::Result<()> {
        let mut threads_ready = false;
        loop {
            for entry in self.ring.completion() {
                match entry.user_data() {
                    NOBODY => {}
                    THREADS => threads_ready = true,
                    key => out.push((key, i64::from(entry.result()))),
                }
            }
            // What the queue had no room for is kept by the kernel, and given on request.
            if !self.ring.submission().cq_overflow() {
                break;
            }
            self.ring.submit_and_wait(0).or_else(not_now)?;
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
        self.flush()?;
        self.ring.submit_and_wait(1).map(drop).or_else(not_now)
    }

    /// In the child of a fork: the ring is the parent's.
    pub(super) fn abandon(&mut self) {
        if let Some(threads) = &mut self.threads {
            threads.abandon();
        }
    }
}

fn not_now<T: Default>(error: io::Error) -> io::Result<T> {
    match error.raw_os_error() {
        Some(libc::EINTR | libc::EAGAIN | libc::EBUSY) => Ok(T::default()),
        _ => Err(error),
    }
}

impl AsRawFd for Uring {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}
