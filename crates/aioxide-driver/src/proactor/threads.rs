//! The proactor on threads: for kernels without io_uring, and for sandboxes that forbid it.
//!
//! A few workers make the system calls, one after the other; one more thread waits in `poll(2)` for everything that is
//! to become ready, so that a pipe nobody writes to keeps no worker busy. Threads are made when there is work
//! and none is idle, and end when there has been none for a while. They block all signals, which
//! are Python's main thread's, and they are never joined: what they use belongs to them, or to
//! an operation that the proactor waits for.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

use super::table::Slot;
use crate::op::{Call, Memory, Op, opened};

/// At most so many workers: a disk wants a queue, a page cache wants few.
const MAX_WORKERS: usize = 16;
/// How long a worker waits for work before it ends.
const IDLE: Duration = Duration::from_secs(5);

struct Job {
    key: u64,
    call: Call,
    /// What it opens is not to stay open if nobody takes it.
    opens: bool,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    workers: usize,
    idle: usize,
    closed: bool,
    /// The workers that open something, which may take for ever.
    opening: Vec<u64>,
    /// How many workers there ever were.
    started: u64,
}

#[derive(Default)]
struct Polls {
    waiting: Vec<(u64, libc::pollfd)>,
    running: bool,
    closed: bool,
}

/// What workers and proactor share.
struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
    polls: Mutex<Polls>,
    /// Wakes the thread that polls: what it waits for has changed.
    polls_changed: OwnedFd,
    done: Mutex<Vec<(u64, i64)>>,
    /// Readable while something is done.
    ready: OwnedFd,
}

pub(super) struct Threads {
    shared: Arc<Shared>,
    /// What is under way, and whether it opens something.
    keys: HashMap<u64, bool>,
    /// By the number that a worker knows itself by; 0 polls.
    handles: Vec<(u64, JoinHandle<()>)>,
    abandoned: bool,
}

/// A worker that panicked has left nothing half done: the lists are changed by single calls.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes an eventfd readable. Full is as readable as it can be.
fn notify(fd: &OwnedFd) {
    while rustix::io::write(fd, &1_u64.to_ne_bytes()) == Err(Errno::INTR) {}
}

fn drain(fd: &OwnedFd) -> io::Result<()> {
    let mut counter = [0_u8; 8];
    match rustix::io::read(fd, &mut counter) {
        Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn number_of(result: io::Result<i64>) -> i64 {
    result.unwrap_or_else(|error| -i64::from(error.raw_os_error().unwrap_or(libc::EIO)))
}

impl Threads {
    pub(super) fn new() -> io::Result<Threads> {
        let make = || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        Ok(Threads {
            shared: Arc::new(Shared {
                queue: Mutex::default(),
                work: Condvar::new(),
                polls: Mutex::default(),
                polls_changed: make()?,
                done: Mutex::default(),
                ready: make()?,
            }),
            keys: HashMap::new(),
            handles: Vec::new(),
            abandoned: false,
        })
    }

    pub(super) fn start<M: Memory>(&mut self, key: u64, slot: &mut Slot<M>) -> io::Result<()> {
        self.keys.insert(key, matches!(slot.op, Op::Open(_)));
        if slot.errno.is_some() {
            self.shared.finish(key, 0);
            return Ok(());
        }
        if let Op::Poll(poll) = &slot.op {
            return self.start_poll(key, poll.pollfd());
        }
        let job = Job {
            key,
            call: slot.op.call(),
            opens: matches!(slot.op, Op::Open(_)),
        };
        let mut queue = lock(&self.shared.queue);
        if queue.idle > queue.jobs.len() {
            queue.jobs.push_back(job);
            drop(queue);
            self.shared.work.notify_one();
            return Ok(());
        }
        if queue.workers < MAX_WORKERS {
            let shared = Arc::clone(&self.shared);
            let worker = queue.started + 1;
            match spawn("aioxide-files", move || shared.work(worker)) {
                Ok(thread) => {
                    queue.workers += 1;
                    queue.started = worker;
                    self.handles.retain(|(_, thread)| !thread.is_finished());
                    self.handles.push((worker, thread));
                }
                Err(error) if queue.workers == 0 => return Err(error),
                Err(_) => {}
            }
        }
        queue.jobs.push_back(job);
        Ok(())
    }

    fn start_poll(&mut self, key: u64, fd: libc::pollfd) -> io::Result<()> {
        let mut polls = lock(&self.shared.polls);
        if !polls.running {
            let shared = Arc::clone(&self.shared);
            let thread = spawn("aioxide-poll", move || shared.poll())?;
            self.handles.push((0, thread));
            polls.running = true;
        }
        polls.waiting.push((key, fd));
        drop(polls);
        notify(&self.shared.polls_changed);
        Ok(())
    }

    /// `start` has failed: the operation completes with the error it was given.
    pub(super) fn refuse(&mut self, key: u64) {
        self.shared.finish(key, 0);
    }

    pub(super) fn knows(&self, key: u64) -> bool {
        self.keys.contains_key(&key)
    }

    /// Whether operations have not been taken yet.
    pub(super) fn is_busy(&self) -> bool {
        !self.keys.is_empty()
    }

    pub(super) fn cancel(&mut self, key: u64) {
        let mut queue = lock(&self.shared.queue);
        if let Some(index) = queue.jobs.iter().position(|job| job.key == key) {
            let job = queue.jobs.remove(index);
            drop(queue);
            drop(job);
            self.shared.finish(key, -i64::from(libc::ECANCELED));
            return;
        }
        drop(queue);
        let mut polls = lock(&self.shared.polls);
        if let Some(index) = polls.waiting.iter().position(|(known, _)| *known == key) {
            polls.waiting.swap_remove(index);
            drop(polls);
            notify(&self.shared.polls_changed);
            self.shared.finish(key, -i64::from(libc::ECANCELED));
        }
        // What a worker is busy with ends by itself.
    }

    /// Appends what has completed.
    pub(super) fn take(&mut self, out: &mut Vec<(u64, i64)>) -> io::Result<()> {
        drain(&self.shared.ready)?;
        let from = out.len();
        out.append(&mut lock(&self.shared.done));
        for (key, _) in &out[from..] {
            self.keys.remove(key);
        }
        Ok(())
    }

    /// Waits until there is something to take.
    pub(super) fn wait(&mut self) -> io::Result<()> {
        match poll(&mut [PollFd::new(&self.shared.ready, PollFlags::IN)], None) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Lets the threads end. None of those that are waited for can be busy for long: the proactor has seen the end
    /// of their operations.
    pub(super) fn close(&mut self) {
        let mut queue = lock(&self.shared.queue);
        queue.closed = true;
        let opening = std::mem::take(&mut queue.opening);
        drop(queue);
        self.shared.work.notify_all();
        lock(&self.shared.polls).closed = true;
        notify(&self.shared.polls_changed);
        for (worker, thread) in self.handles.drain(..) {
            if !opening.contains(&worker) {
                let _ = thread.join();
            }
        }
        // What was opened in between is nobody's.
        for (key, result) in std::mem::take(&mut *lock(&self.shared.done)) {
            if self.keys.remove(&key) == Some(true) {
                drop(opened(result));
            }
        }
    }

    /// In the child of a fork: the threads are the parent's, and so may be the locks.
    pub(super) fn abandon(&mut self) {
        self.abandoned = true;
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if !self.abandoned {
            self.close();
        }
    }
}

impl AsRawFd for Threads {
    fn as_raw_fd(&self) -> RawFd {
        self.shared.ready.as_raw_fd()
    }
}

impl Shared {
    fn finish(&self, key: u64, result: i64) {
        let mut done = lock(&self.done);
        done.push((key, result));
        let first = done.len() == 1;
        drop(done);
        if first {
            notify(&self.ready);
        }
    }

    /// A worker's life.
    fn work(&self, worker: u64) {
        let mut queue = lock(&self.queue);
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                if job.opens {
                    queue.opening.push(worker);
                }
                drop(queue);
                let result = number_of((job.call)());
                queue = lock(&self.queue);
                queue.opening.retain(|known| *known != worker);
                if queue.closed && job.opens {
                    drop(opened(result));
                } else {
                    // With the queue held: so `close` finds it among what is done.
                    self.finish(job.key, result);
                }
                continue;
            }
            if queue.closed {
                break;
            }
            queue.idle += 1;
            let (again, timeout) = self
                .work
                .wait_timeout(queue, IDLE)
                .unwrap_or_else(PoisonError::into_inner);
            queue = again;
            queue.idle -= 1;
            if timeout.timed_out() && queue.jobs.is_empty() {
                break;
            }
        }
        queue.workers -= 1;
    }

    /// The life of the thread that polls.
    fn poll(&self) {
        let mut fds = Vec::new();
        loop {
            let polls = lock(&self.polls);
            if polls.closed {
                return;
            }
            fds.clear();
            fds.push(libc::pollfd {
                fd: self.polls_changed.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            });
            fds.extend(polls.waiting.iter().map(|(_, fd)| *fd));
            drop(polls);
            // SAFETY: so many `pollfd`s of our own, which the kernel fills; any number is a valid
            // descriptor to ask for.
            #[allow(unsafe_code)]
            let ready = unsafe {
                libc::poll(
                    fds.as_mut_ptr(),
                    libc::nfds_t::try_from(fds.len()).unwrap_or(0),
                    -1,
                )
            };
            if ready <= 0 {
                continue;
            }
            if fds[0].revents != 0 {
                let _ = drain(&self.polls_changed);
            }
            self.report(&fds[1..]);
        }
    }

    /// Completes what is ready and has not been cancelled in the meantime.
    fn report(&self, fds: &[libc::pollfd]) {
        let mut finished = Vec::new();
        lock(&self.polls).waiting.retain(|(key, wanted)| {
            let Some(fd) = fds
                .iter()
                .find(|fd| fd.fd == wanted.fd && fd.events == wanted.events && fd.revents != 0)
            else {
                return true;
            };
            let invalid = fd.revents & libc::POLLNVAL != 0;
            let result = if invalid {
                -i64::from(libc::EBADF)
            } else {
                fd.revents.into()
            };
            finished.push((*key, result));
            false
        });
        for (key, result) in finished {
            self.finish(key, result);
        }
    }
}

/// A thread that takes no signals.
fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let mut before = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigfillset` fills the set that the next call reads, which fills the other one. A new thread
    // inherits the mask, so it never has another.
    #[allow(unsafe_code)]
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
    }
    let spawned = std::thread::Builder::new()
        .name(name.to_owned())
        .stack_size(128 * 1024)
        .spawn(body);
    // SAFETY: restores the mask that was filled above.
    #[allow(unsafe_code)]
    unsafe {
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
    }
    spawned
}
