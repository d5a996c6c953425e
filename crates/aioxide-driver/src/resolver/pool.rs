//! A few threads that wait in the C library, so that nobody else has to.
//!
//! Each loop has its own: lookups of one loop that hang are not in another one's way, and a process
//! that forks has no pool of its parent's to repair.
//!
//! # Protocol
//!
//! | who | does |
//! |---|---|
//! | the loop | [`submit`](Pool::submit)s a job under a number, then waits for the [descriptor](Pool::fd) to become readable and [`take`](Pool::take)s the answers; or [`forget`](Pool::forget)s the number |
//! | a thread | takes the oldest job, does it, files the answer and makes the descriptor readable; ends when it had nothing to do for a while, or the pool is closed |
//!
//! Everything is under one lock, which is held for a few instructions and never while a job runs. A job
//! that was forgotten while it waited is never started; the answer of one that was forgotten while it
//! ran is dropped by its thread. [`close`](Pool::close) joins the threads that run no job, so that a program
//! can fork afterwards without other threads. Busy ones end when the C library returns, and nothing of
//! theirs reaches the loop any more.
//!
//! # Fork
//!
//! A child has none of the threads, and the lock may have been held by one of them when it was made.
//! So whoever comes to the pool of another process is sent away before the lock.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};

use crate::raw_fd::{SharedFd, with_fd};

/// The most threads that one pool has: as many as asyncio's executor has at most.
pub const MAX_THREADS: usize = 32;

/// How long a thread waits for another job before it ends.
const IDLE: Duration = Duration::from_secs(10);

type Job<A> = Box<dyn FnOnce() -> A + Send>;

struct State<A> {
    /// What no thread has begun yet, oldest first.
    jobs: VecDeque<(u64, Job<A>)>,
    /// What has been submitted and neither been answered nor forgotten.
    wanted: HashSet<u64>,
    answers: Vec<(u64, A)>,
    /// Every thread that has not decided to end. A child of a fork, where none of them runs, must not drop
    /// these; it never does, since each of them holds a reference to `Shared` that is not given back there.
    threads: HashMap<ThreadId, JoinHandle<()>>,
    /// Those of them that run a job.
    busy: HashSet<ThreadId>,
    idle: usize,
    closed: bool,
}

struct Shared<A> {
    state: Mutex<State<A>>,
    work: Condvar,
    wake: SharedFd,
}

impl<A> Shared<A> {
    fn lock(&self) -> MutexGuard<'_, State<A>> {
        // Nothing under the lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread does, until there is nothing more to do.
    fn work(&self, idle: Duration) {
        block_signals();
        let id = thread::current().id();
        let mut state = self.lock();
        while !state.closed {
            if let Some((number, job)) = state.jobs.pop_front() {
                state.busy.insert(id);
                drop(state);
                // A job that panics leaves its question unanswered, but not the pool without a thread.
                let answer = catch_unwind(AssertUnwindSafe(job));
                state = self.lock();
                state.busy.remove(&id);
                if let Ok(answer) = answer {
                    self.file(&mut state, number, answer);
                }
                continue;
            }
            state.idle += 1;
            let (woken, timeout) = self
                .work
                .wait_timeout(state, idle)
                .unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if timeout.timed_out() && state.jobs.is_empty() {
                break;
            }
        }
        // Under the lock that found nothing to do: a job that comes now gets a thread of its own.
        state.threads.remove(&id);
    }

    /// Puts an answer where the loop finds it, if the loop still wants it.
    fn file(&self, state: &mut State<A>, number: u64, answer: A) {
        if state.closed || !state.wanted.remove(&number) {
            return;
        }
        state.answers.push((number, answer));
        if state.answers.len() == 1 {
            // The counter is 0 or close to it, and open as long as the pool is: this cannot fail.
            let _ = with_fd(self.wake.get(), |fd| {
                rustix::io::write(fd, &1_u64.to_ne_bytes())
            });
        }
    }
}

/// A loop's threads for lookups. See the [module](self) for the protocol.
pub struct Pool<A> {
    /// The process that made it.
    process: u32,
    limit: usize,
    idle: Duration,
    shared: Arc<Shared<A>>,
}

impl<A> fmt::Debug for Pool<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("process", &self.process)
            .field("wake", &self.shared.wake)
            .finish_non_exhaustive()
    }
}

impl<A: Send + 'static> Pool<A> {
    /// A pool without threads; they come with the jobs.
    pub fn new() -> io::Result<Pool<A>> {
        Pool::with_limits(MAX_THREADS, IDLE)
    }

    /// A pool of at most `limit` threads, which end after `idle` without a job.
    pub fn with_limits(limit: usize, idle: Duration) -> io::Result<Pool<A>> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Pool {
            process: std::process::id(),
            limit,
            idle,
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    jobs: VecDeque::new(),
                    wanted: HashSet::new(),
                    answers: Vec::new(),
                    threads: HashMap::new(),
                    busy: HashSet::new(),
                    idle: 0,
                    closed: false,
                }),
                work: Condvar::new(),
                wake: SharedFd::new(wake),
            }),
        })
    }

    /// The pool's state; `None` in a child of the process that made it.
    fn state(&self) -> Option<MutexGuard<'_, State<A>>> {
        (self.process == std::process::id()).then(|| self.shared.lock())
    }

    /// Has a thread do `job`. Its answer comes under this number, which must not be in use.
    pub fn submit(&self, number: u64, job: impl FnOnce() -> A + Send + 'static) -> io::Result<()> {
        let Some(mut state) = self.state() else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        if state.closed {
            return Err(io::ErrorKind::NotConnected.into());
        }
        state.jobs.push_back((number, Box::new(job)));
        state.wanted.insert(number);
        if state.idle >= state.jobs.len() || state.threads.len() >= self.limit {
            drop(state);
            self.shared.work.notify_one();
            return Ok(());
        }
        let (shared, idle) = (Arc::clone(&self.shared), self.idle);
        let started = thread::Builder::new()
            .name("aioxide-names".to_owned())
            .spawn(move || shared.work(idle));
        let error = match started {
            Ok(handle) => {
                // Under the lock, which the thread takes first: it cannot have ended yet.
                state.threads.insert(handle.thread().id(), handle);
                return Ok(());
            }
            Err(error) => error,
        };
        let others = !state.threads.is_empty();
        drop(state);
        if others {
            // None ends while there are jobs: one of them will come to this one.
            return Ok(());
        }
        self.forget(number);
        Err(error)
    }

    /// Wants no answer under this number any more. Whether the job had not begun is returned.
    pub fn forget(&self, number: u64) -> bool {
        let Some(mut state) = self.state() else {
            return false;
        };
        state.wanted.remove(&number);
        state.answers.retain(|(other, _)| *other != number);
        let position = state.jobs.iter().position(|(other, _)| *other == number);
        let job = position.and_then(|position| state.jobs.remove(position));
        drop(state);
        job.is_some()
    }

    /// The answers that have come in since the last time.
    pub fn take(&self) -> Vec<(u64, A)> {
        let Some(mut state) = self.state() else {
            return Vec::new();
        };
        // Nothing to read is fine too.
        let _ = with_fd(self.shared.wake.get(), |fd| {
            rustix::io::read(fd, &mut [0_u8; 8])
        });
        std::mem::take(&mut state.answers)
    }

    /// Readable while answers wait to be taken; -1 when the pool is closed.
    pub fn fd(&self) -> RawFd {
        self.shared.wake.get()
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.state().map_or(0, |state| state.threads.len())
    }
}

impl<A> Pool<A> {
    /// Drops waiting jobs and answers, ends the threads, and closes the descriptor. Waits for threads that run
    /// no job, which takes microseconds.
    pub fn close(&self) {
        if self.process == std::process::id() {
            let mut state = self.shared.lock();
            state.closed = true;
            state.wanted.clear();
            let left = (
                std::mem::take(&mut state.jobs),
                std::mem::take(&mut state.answers),
            );
            // Under the lock: a thread writes to it under the lock, after it has looked.
            self.shared.wake.close();
            let mut threads = std::mem::take(&mut state.threads);
            threads.retain(|id, _| !state.busy.contains(id));
            drop(state);
            self.shared.work.notify_all();
            drop(left);
            for thread in threads.into_values() {
                // One that has panicked has ended, too.
                let _ = thread.join();
            }
        } else {
            self.shared.wake.close();
        }
    }
}

impl<A> Drop for Pool<A> {
    fn drop(&mut self) {
        self.close();
    }
}

/// Signals are for Python's main thread, which waits to be interrupted by them.
fn block_signals() {
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigfillset` makes the set, `pthread_sigmask` reads it; neither keeps it.
    #[allow(unsafe_code)]
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), std::ptr::null_mut());
    }
}
