//! Wakes a loop that sleeps in its reactor, from another thread or a signal handler.
//!
//! An eventfd, registered in the reactor for reading, and a flag that says whether writing to it is
//! needed at all. A loop that is awake looks into its inbox anyway, so notifying it costs no system
//! call, and of many threads that notify a sleeping loop exactly one writes.
//!
//! # Protocol
//!
//! | who | does, in this order |
//! |---|---|
//! | any thread | 1. puts its work where the loop will look (the inbox) 2. [`notify`](Notifier::notify) |
//! | the loop's thread | 1. [`prepare_sleep`](Notifier::prepare_sleep) 2. looks into the inbox 3. waits: for long if it was empty, not at all otherwise 4. [`awake`](Notifier::awake) 5. [`drain`](Notifier::drain) if the eventfd was reported readable 6. takes the inbox |
//!
//! `sleeping` is set only by the loop's thread, in `prepare_sleep`. It is cleared by the loop's thread in
//! `awake`, or by the one notifying thread that takes it upon itself to write. The eventfd is written
//! only by that thread and read only by the loop's.
//!
//! # Why no wake-up is lost
//!
//! The loop writes `sleeping` and then reads the inbox; the other thread writes the inbox and then
//! reads `sleeping`. Between the two steps each has a sequentially consistent fence, so they cannot
//! both miss the other's write: either the loop finds the work in step 2, or the other thread finds
//! `sleeping` and writes. That holds for an inbox with any memory ordering of its own.
//!
//! A thread that took the flag may be late with its write. Then the loop, woken by something else, goes
//! round once more for nothing: a spurious wake-up, which is harmless. A write that is drained early is
//! harmless too, since no work depends on a particular write: each sleep has its own look into the inbox.
//!
//! The protocol is checked by loom (`RUSTFLAGS="--cfg loom" cargo test -p aioxide-driver --lib`) and, with the
//! real eventfd, by the threads in `tests/notifier.rs`.
//!
//! # What it is not
//!
//! Not a wake-up descriptor for `signal.set_wakeup_fd`: Python writes single bytes there, and an eventfd
//! takes eight at a time. `notify` itself may be called in a signal handler.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

use crate::raw_fd::{SharedFd, with_fd_raw};

use self::sync::{AtomicBool, Ordering, fence};

mod sync {
    #[cfg(loom)]
    pub(super) use loom::sync::atomic::{AtomicBool, Ordering, fence};
    #[cfg(not(loom))]
    pub(super) use std::sync::atomic::{AtomicBool, Ordering, fence};
}

/// The protocol without the descriptor, so that loom can check it.
#[derive(Debug)]
struct SleepFlag {
    /// Changed only by swaps: their order is total, so whoever reads `true` in a swap is alone in it, and
    /// loom, which lets a plain store come before a swap that it must follow, can check it.
    sleeping: AtomicBool,
}

impl SleepFlag {
    fn new() -> SleepFlag {
        SleepFlag {
            sleeping: AtomicBool::new(false),
        }
    }

    #[inline]
    fn prepare_sleep(&self) {
        self.sleeping.swap(true, Ordering::AcqRel);
        // Pairs with the fence in `claim`: the inbox is read after this, never before.
        fence(Ordering::SeqCst);
    }

    #[inline]
    fn awake(&self) {
        self.sleeping.swap(false, Ordering::AcqRel);
    }

    /// Whether the caller is the one that must wake the loop.
    #[inline]
    fn claim(&self) -> bool {
        // Pairs with the fence in `prepare_sleep`: the work is in the inbox before the flag is read.
        fence(Ordering::SeqCst);
        // The load first: a busy loop's flag is only read, so threads do not fight for its cache line.
        self.sleeping.load(Ordering::Relaxed) && self.sleeping.swap(false, Ordering::AcqRel)
    }
}

/// Wakes the loop that owns it, if that loop sleeps. See the [module](self) for the protocol.
#[derive(Debug)]
pub struct Notifier {
    flag: SleepFlag,
    eventfd: SharedFd,
}

impl Notifier {
    /// A notifier for a loop that is awake.
    pub fn new() -> io::Result<Notifier> {
        Ok(Notifier {
            flag: SleepFlag::new(),
            eventfd: SharedFd::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?),
        })
    }

    /// The loop's thread is about to wait. It must look into its inbox once more after this.
    #[inline]
    pub fn prepare_sleep(&self) {
        self.flag.prepare_sleep();
    }

    /// The loop's thread has stopped waiting. It must take its inbox after this.
    #[inline]
    pub fn awake(&self) {
        self.flag.awake();
    }

    /// Wakes the loop if it sleeps. Callable from any thread, after its work is in the inbox.
    ///
    /// Whether it had to write to the eventfd is returned.
    #[inline]
    pub fn notify(&self) -> io::Result<bool> {
        if !self.flag.claim() {
            return Ok(false);
        }
        self.write()?;
        Ok(true)
    }

    #[cold]
    fn write(&self) -> io::Result<()> {
        match with_fd_raw(self.eventfd.get(), |fd| {
            rustix::io::write(fd, &1_u64.to_ne_bytes())
        }) {
            // EAGAIN: the counter is full, so the eventfd is as readable as it can be.
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(error) => {
                // The loop still sleeps. Let the next one try.
                self.flag.prepare_sleep();
                Err(error.into())
            }
        }
    }

    /// Closes the eventfd. Notifying after this does nothing.
    pub fn close(&self) {
        self.flag.awake();
        self.eventfd.close();
    }

    /// Makes the eventfd unreadable again. For the loop's thread; nothing to drain is no error.
    #[inline]
    pub fn drain(&self) -> io::Result<()> {
        let mut counter = [0_u8; 8];
        match with_fd_raw(self.eventfd.get(), |fd| rustix::io::read(fd, &mut counter)) {
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsRawFd for Notifier {
    fn as_raw_fd(&self) -> RawFd {
        self.eventfd.get()
    }
}

#[cfg(all(test, loom))]
#[allow(clippy::unwrap_used)]
mod loom_tests {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::thread;

    use super::SleepFlag;

    /// The loop with an inbox of relaxed atomics: the weakest one that the protocol must serve.
    struct Model {
        flag: SleepFlag,
        inbox: AtomicUsize,
        /// The eventfd's counter. The kernel locks it for each system call, hence the orderings.
        eventfd: AtomicUsize,
    }

    impl Model {
        fn new() -> Arc<Model> {
            Arc::new(Model {
                flag: SleepFlag::new(),
                inbox: AtomicUsize::new(0),
                eventfd: AtomicUsize::new(0),
            })
        }

        fn send(&self) {
            self.inbox.fetch_add(1, Ordering::Relaxed);
            if self.flag.claim() {
                self.eventfd.fetch_add(1, Ordering::AcqRel);
            }
        }
    }

    /// Threads have sent while the loop prepared to sleep: it saw all, or it will be woken.
    fn sleeps_only_if_woken(senders: usize) {
        loom::model(move || {
            let model = Model::new();
            let threads: Vec<_> = (0..senders)
                .map(|_| {
                    let model = Arc::clone(&model);
                    thread::spawn(move || model.send())
                })
                .collect();
            model.flag.prepare_sleep();
            let seen = model.inbox.load(Ordering::Relaxed);
            for thread in threads {
                thread.join().unwrap();
            }
            let writes = model.eventfd.load(Ordering::Relaxed);
            assert!(
                seen == senders || writes == 1,
                "asleep with work: saw {seen}"
            );
            assert!(writes <= 1, "{writes} threads wrote for one sleep");
        });
    }

    #[test]
    fn one_sender() {
        sleeps_only_if_woken(1);
    }

    #[test]
    fn two_senders() {
        sleeps_only_if_woken(2);
    }

    /// A write that comes late, after `awake`, does not stand in for one that the next sleep needs.
    #[test]
    fn late_write_and_second_sleep() {
        // Without a bound this takes minutes (and passes).
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(|| {
            let model = Model::new();
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let model = Arc::clone(&model);
                    thread::spawn(move || model.send())
                })
                .collect();
            // First turn: does not stay asleep, whatever the reason.
            model.flag.prepare_sleep();
            model.flag.awake();
            let taken = model.inbox.swap(0, Ordering::Relaxed);
            model.eventfd.swap(0, Ordering::AcqRel);
            // Second turn.
            model.flag.prepare_sleep();
            let seen = model.inbox.load(Ordering::Relaxed);
            for thread in threads {
                thread.join().unwrap();
            }
            let writes = model.eventfd.load(Ordering::Relaxed);
            assert!(taken + seen == 2 || writes >= 1, "asleep with work");
        });
    }
}
