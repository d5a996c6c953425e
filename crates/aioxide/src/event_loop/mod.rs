//! `LoopCore`: the native half of `aioxide.EventLoop`.
//!
//! The Python class derives from `LoopCore` and `asyncio.BaseEventLoop`, in that order. What runs
//! per callback, per step or per event is here and overrides; what runs per loop or per
//! connection is inherited from BaseEventLoop, and follows each Python version by itself.
//!
//! * `run` is one iteration of the loop, on one screen.
//! * `scheduling` is `call_soon` and its family, `create_task`, `create_future`.
//! * `entry` and `timer` are what can stand in the queue and in the heap.
//! * `overrides` is which of the loop's methods somebody has replaced.
//! * `watchers` is file descriptors: `add_reader`, `add_writer`, and what transports use;
//!   `watcher` is who waits for one, `watch_table` what is known of each.
//! * `sockets` is `sock_recv`, `sock_sendall` and the others.
//! * `dns` is `getaddrinfo` and `getnameinfo`.
//! * `attributes` is the flags that BaseEventLoop keeps in Python and we keep here.
//!
//! Rules: the queue, the timers and the watcher table are in `RefCell`s that are borrowed for
//! single operations only, never while Python can run; what is removed from them is dropped after
//! the borrow has ended.

mod attributes;
mod dns;
mod entry;
mod overrides;
mod run;
mod scheduling;
mod sockets;
mod timer;
mod watch_table;
mod watcher;
mod watchers;

use std::cell::{Cell, OnceCell, RefCell, RefMut};

use aioxide_core::Pace;
use aioxide_core::ready::Ready;
use aioxide_core::timers::Timers;
use aioxide_driver::notifier::Notifier;
use aioxide_driver::reactor::{Event, Events, Interest, Reactor};
use aioxide_driver::sys::monotonic_ns;

use crate::ffi::native_type::object_class;
use crate::ffi::{Class, Inst, Native, Object, Raised, Res, Slot, Visit};

use crate::transport::Cork;
use crate::tuning;
pub(crate) use dns::{NameLookup, Resolver, build as build_dns};
pub(crate) use entry::Entry;
pub(crate) use overrides::use_patches;
pub(crate) use scheduling::TaskKeywords;
pub(crate) use timer::Timer;
#[allow(unused_imports, reason = "for the transports")]
pub(crate) use watcher::Watcher;
pub(crate) use watchers::descriptor;

/// What the loop has of the kernel. Made by `_open`, gone after `_close_core`.
#[derive(Debug)]
pub(crate) struct Driver {
    /// The process that opened it. A child of a fork shares the kernel's side with its parent.
    process: u32,
    pub(crate) reactor: Reactor,
    pub(crate) notifier: Notifier,
}

/// The kernel's buffer, and what was read from it.
type Polled = (Events, Vec<Event>);

/// The state behind `aioxide.EventLoop`.
pub(crate) struct LoopCore {
    ready: RefCell<Ready<Entry>>,
    timers: RefCell<Timers<Timer>>,
    /// Empty between uses: where the heap puts what it gives up.
    graveyard: Cell<Vec<Timer>>,
    watchers: RefCell<watch_table::Table>,
    driver: OnceCell<Driver>,
    /// The kernel's answers, and our reading of them; taken by the thread that polls.
    events: Cell<Option<Box<Polled>>>,
    /// Entries may go into the queue without Python's `call_soon`.
    direct: Cell<bool>,
    /// A derived class has its own `call_soon`, or somebody has put one on the instance.
    overridden: Cell<bool>,
    /// A derived class has its own `call_later`, `create_future` or the like.
    altered: Cell<bool>,
    /// The state of the loop's class that the two above are about: see `overrides`.
    class_version: Cell<u32>,
    /// The same for the class of handles.
    handle_version: Cell<u32>,
    /// Methods that were set on the loop object itself, by bit.
    of_instance: Cell<u8>,
    /// What somebody has put in the place of asyncio's `Handle._run`.
    handle_run: Slot,
    /// Neither of the two: what our own functions ask for need not go through Python's methods.
    plain: Cell<bool>,
    /// In place of the clock, for tests: stands still while something runs, and jumps to the next
    /// deadline when nothing does. 0 for the real one.
    virtual_now: Cell<u64>,
    debug: Cell<bool>,
    closed: Cell<bool>,
    stopping: Cell<bool>,
    /// The thread that runs the loop; 0 when it does not run.
    thread: Cell<u64>,
    /// It waits in the poll: whoever sees this holds the GIL, and is another thread.
    asleep: Cell<bool>,
    /// asyncio shows one of our tasks as the current one.
    current_set: Cell<bool>,
    /// Counts the iterations, and wraps around.
    iteration: Cell<u32>,
    /// Iterations since Python's signal handlers were last looked for.
    unchecked: Cell<u32>,
    task_factory: Slot,
    /// Empty until it is needed first: see `scratch()`.
    scratch: RefCell<Vec<u8>>,
    /// How far from its beginning it is used next.
    scratch_at: Cell<usize>,
    /// Whether large messages are received past it.
    pace: RefCell<Pace>,
    /// What the turn that runs has written.
    cork: Cork,
    /// The `FileRing`, once a file operation had to wait.
    file_ring: Slot,
}

impl std::fmt::Debug for LoopCore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoopCore")
            .field("driver", &self.driver)
            .finish_non_exhaustive()
    }
}

static LOOP_CORE: Class<LoopCore> = Class::new(0);

impl Native for LoopCore {
    const NAME: &'static std::ffi::CStr = c"aioxide.LoopCore";

    #[inline(always)]
    fn class() -> &'static Class<Self> {
        &LOOP_CORE
    }
    fn empty() -> Self {
        LoopCore {
            ready: RefCell::new(Ready::new()),
            timers: RefCell::new(Timers::new()),
            graveyard: Cell::new(Vec::new()),
            watchers: RefCell::new(watch_table::Table::default()),
            driver: OnceCell::new(),
            events: Cell::new(None),
            direct: Cell::new(false),
            overridden: Cell::new(false),
            altered: Cell::new(false),
            class_version: Cell::new(overrides::UNKNOWN),
            handle_version: Cell::new(overrides::UNKNOWN),
            of_instance: Cell::new(0),
            handle_run: Slot::default(),
            plain: Cell::new(false),
            virtual_now: Cell::new(0),
            debug: Cell::new(false),
            closed: Cell::new(false),
            stopping: Cell::new(false),
            thread: Cell::new(0),
            asleep: Cell::new(false),
            current_set: Cell::new(false),
            iteration: Cell::new(0),
            unchecked: Cell::new(0),
            task_factory: Slot::default(),
            scratch: RefCell::default(),
            scratch_at: Cell::new(0),
            pace: RefCell::default(),
            cork: Cork::default(),
            file_ring: Slot::default(),
        }
    }
    fn traverse(&self, visit: &mut Visit) {
        // A borrow that is under way means that this thread is inside one of our operations; the
        // collector then sees fewer references than there are, and frees nothing.
        if let Ok(ready) = self.ready.try_borrow() {
            ready.iter().for_each(|entry| entry.traverse(visit));
        }
        if let Ok(timers) = self.timers.try_borrow() {
            timers.iter().for_each(|(_, timer)| timer.traverse(visit));
        }
        if let Ok(watchers) = self.watchers.try_borrow() {
            watchers.traverse(visit);
        }
        self.task_factory.visit(visit);
        self.handle_run.visit(visit);
        self.cork.visit(visit);
        self.file_ring.visit(visit);
    }
    fn clear(&self) {
        self.drop_entries();
        self.task_factory.clear();
        self.handle_run.clear();
        self.cork.clear();
        self.file_ring.clear();
    }
}

impl LoopCore {
    /// Whether the loop was opened by this very process, not by the parent of a fork.
    pub(crate) fn is_ours(&self) -> bool {
        self.driver
            .get()
            .is_some_and(|driver| driver.process == std::process::id())
    }

    /// The kernel's side, or asyncio's error for a closed loop.
    pub(crate) fn driver(&self) -> Res<&Driver> {
        match self.driver.get() {
            Some(driver) if !self.closed.get() => Ok(driver),
            _ => Err(Raised::runtime("Event loop is closed")),
        }
    }

    pub(crate) fn check_open(&self) -> Res<()> {
        if self.closed.get() {
            return Err(Raised::runtime("Event loop is closed"));
        }
        Ok(())
    }

    pub(crate) fn is_debug(&self) -> bool {
        self.debug.get()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    fn update_direct(&self) {
        self.direct.set(
            !self.debug.get()
                && !self.closed.get()
                && !self.overridden.get()
                && self.handle_run.is_none()
                && self.driver.get().is_some(),
        );
        self.plain.set(self.direct.get() && !self.altered.get());
    }

    /// The loop's clock in nanoseconds.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        match self.virtual_now.get() {
            0 => monotonic_ns(),
            now => now,
        }
    }

    /// Makes room for one more timer, so that [`set_timer`](Self::set_timer) needs no memory.
    #[inline]
    pub(crate) fn reserve_timer(&self) -> Res<()> {
        Ok(self.timers.borrow_mut().reserve()?)
    }

    /// Sets a timer that is marked as being in the heap.
    #[inline]
    pub(crate) fn set_timer(&self, deadline: u64, timer: Timer) {
        self.timers.borrow_mut().push(deadline, timer);
    }

    /// Whether a task is being stepped: `current_task()` is not None.
    #[inline]
    pub(crate) fn is_stepping(&self) -> bool {
        self.current_set.get()
    }

    pub(crate) fn task_factory(&self) -> Option<Object> {
        self.task_factory.get()
    }

    /// Where is kept what is sent when the turn is over.
    #[inline(always)]
    pub(crate) fn cork(&self) -> &Cork {
        &self.cork
    }

    /// Where the loop's `FileRing` is kept.
    pub(crate) fn file_ring(&self) -> &Slot {
        &self.file_ring
    }

    /// Appends to the queue of what runs next.
    #[inline]
    pub(crate) fn push(&self, entry: Entry) {
        self.ready.borrow_mut().push(entry);
        if self.asleep.get() {
            self.notify();
        }
    }

    /// How many entries the queue has.
    #[inline]
    pub(crate) fn queued(&self) -> usize {
        self.ready.borrow().len()
    }

    /// The number of the current iteration, from its poll to its last callback.
    #[inline(always)]
    pub(crate) fn iteration(&self) -> u32 {
        self.iteration.get()
    }

    /// `stop()` was called.
    #[inline]
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// Where data is received before it is known how much it is. Never kept while Python can run, and
    /// at another place in a page each time: see [`tuning::RECEIVE_SHIFT`].
    pub(crate) fn scratch(&self) -> RefMut<'_, [u8]> {
        let at = self.scratch_at.get();
        self.scratch_at
            .set((at + tuning::RECEIVE_SHIFT) % tuning::PAGE);
        RefMut::map(self.scratch.borrow_mut(), |scratch| {
            if scratch.is_empty() {
                scratch.resize(tuning::PAGE + tuning::RECEIVE, 0);
            }
            &mut scratch[at..at + tuning::RECEIVE]
        })
    }

    /// How long large messages take to be received, here and past the scratch memory.
    #[inline]
    pub(crate) fn pace(&self) -> &RefCell<Pace> {
        &self.pace
    }

    /// Wakes the loop if it sleeps; silent otherwise.
    #[inline]
    pub(crate) fn notify(&self) {
        if let Some(driver) = self.driver.get() {
            // A full counter is a wake-up already; nothing else can go wrong with an eventfd.
            let _ = driver.notifier.notify();
        }
    }

    /// Lets go of timers that the heap has given up, and keeps the emptied vector for the next.
    #[inline]
    fn bury(&self, mut dead: Vec<Timer>) {
        dead.drain(..).for_each(Timer::bury);
        self.graveyard.set(dead);
    }

    /// Empties the queue, the timers and the watchers, then drops what was in them.
    fn drop_entries(&self) {
        let mut entries = Vec::new();
        let mut timers = Vec::new();
        self.ready.borrow_mut().clear(&mut entries);
        self.timers.borrow_mut().clear(&mut timers);
        let mut watchers = Vec::new();
        self.watchers.borrow_mut().clear(&mut watchers);
        entries.into_iter().for_each(Entry::release);
        timers.into_iter().for_each(Timer::release);
        drop(watchers);
    }
}

/// `LoopCore._open()`: makes the kernel's side. Called by `EventLoop.__init__`.
fn open(this: &Inst<LoopCore>) -> Res<Object> {
    let made = (|| -> std::io::Result<Driver> {
        let driver = Driver {
            process: std::process::id(),
            reactor: Reactor::new()?,
            notifier: Notifier::new()?,
        };
        let wake = std::os::fd::AsRawFd::as_raw_fd(&driver.notifier);
        driver.reactor.add(wake, run::WAKE_TOKEN, Interest::READ)?;
        Ok(driver)
    })();
    let driver = made.map_err(|error| Raised::os(&error))?;
    if this.driver.set(driver).is_err() {
        return Err(Raised::runtime("the loop is open already"));
    }
    this.events.set(Some(Box::new((Events::new(), Vec::new()))));
    overrides::learn(this)?;
    Ok(crate::ffi::value::none())
}

/// `LoopCore._close_core()`: lets go of everything. Called by `EventLoop.close`.
fn close_core(this: &Inst<LoopCore>) -> Res<Object> {
    this.closed.set(true);
    this.update_direct();
    if let Some(ring) = this.file_ring.take()
        && let Some(ring) = ring.as_exact::<crate::file::Ring>()
    {
        ring.close();
    }
    this.drop_entries();
    if let Some(driver) = this.driver.get() {
        driver.reactor.close();
        driver.notifier.close();
    }
    Ok(crate::ffi::value::none())
}

/// Makes the class.
pub(crate) fn build() -> Res<()> {
    LOOP_CORE.build(object_class(), |b| {
        let b = b
            .doc(c"The native half of aioxide.EventLoop.")
            .method0(
                c"_open",
                open,
                c"_open($self, /)\n--\n\nMake the poll and wake-up descriptors.",
            )
            .method0(
                c"_close_core",
                close_core,
                c"_close_core($self, /)\n--\n\nDrop all callbacks and close the descriptors.",
            );
        let b = attributes::methods(b);
        let b = dns::methods(b);
        let b = run::methods(b);
        let b = scheduling::methods(b);
        let b = overrides::methods(b);
        let b = sockets::methods(b);
        let b = crate::transport::sendfile_hooks(b);
        let b = crate::transport::cork_hooks(b);
        watchers::methods(b)
    })?;
    Ok(())
}
