//! One iteration of the loop: poll → due timers → run what is ready → send what it wrote.
//!
//! The order is asyncio's, and so are the turns: what a callback schedules runs in the next
//! iteration, a loop that was stopped before it runs makes one iteration, and `stop()` ends the
//! loop after the iteration in which it was called.
//!
//! Every iteration polls, as asyncio's do, unless no file descriptor is watched: then a poll could
//! report nothing. A callback can change what the kernel would report without our knowledge
//! (`os.write`, `socket.send`, `os.close`, a new process), so that no iteration that ran Python is
//! known to have changed nothing. An idle loop sleeps in the poll, with the GIL released.

use std::os::fd::AsRawFd;

use aioxide_core::clock::seconds_to_ns;
use aioxide_driver::reactor::{Event, Events, Timeout};
use aioxide_driver::sys::monotonic_ns;

use super::{Driver, Entry, LoopCore};
use crate::ffi::error::{check_signals, is_exit_exception};
use crate::ffi::method::TypeBuilder;
use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Inst, Object, Own, Raised, Res, audit, context, gil, value};
use crate::future;
use crate::handle::Handle;
use crate::task::{StepCall, Task, registry};
use crate::tuning;

/// The token of the notifier; every other token is a file descriptor.
pub(super) const WAKE_TOKEN: u64 = u64::MAX;
/// asyncio's MAXIMUM_SELECT_TIMEOUT: a day.
const MAX_SLEEP_NANOS: u64 = 24 * 3600 * 1_000_000_000;

impl Inst<LoopCore> {
    /// Runs until `stop()` was called; the caller has set the loop running.
    fn run(&self) -> Res<()> {
        self.unchecked.set(0);
        let result = loop {
            if let Err(raised) = self.run_once() {
                break Err(raised);
            }
            if self.stopping.get() {
                break Ok(());
            }
        };
        let raised = result.err().map(Raised::take);
        let left = self.leave_task();
        match raised {
            Some(exception) => {
                if let Err(raised) = left {
                    raised.discard();
                }
                Err(Raised::raise(exception))
            }
            None => left,
        }
    }

    /// One iteration.
    #[inline]
    fn run_once(&self) -> Res<()> {
        self.iteration.set(self.iteration.get().wrapping_add(1));
        // 1. Ask the kernel, sleeping if there is nothing else to do.
        self.check_handles();
        let idle = self.ready.borrow().is_empty() && !self.stopping.get();
        if idle {
            self.sleep()?;
        } else if !self.watchers.borrow().is_empty() {
            self.poll(Timeout::Now)?;
            // Signal handlers and finalizers may run.
            self.pause_task()?;
            check_signals()?;
        } else if self.signals_are_due() {
            self.pause_task()?;
            check_signals()?;
        }
        // 2. Timers that are due.
        if !self.timers.borrow().is_empty() {
            self.collect_due_timers()?;
        }
        // 3. Run what was ready at this point; what it schedules is for the next turn.
        let turn = self.ready.borrow().begin_turn();
        self.cork().set_open(true);
        let result = self.run_turn(turn);
        self.cork().set_open(false);
        // 4. Send what the turn has written, also if it ends the loop.
        if self.cork().is_empty() {
            return result;
        }
        let raised = result.err().map(Raised::take);
        let flushed = self.uncork();
        match raised {
            Some(exception) => {
                if let Err(raised) = flushed {
                    raised.discard();
                }
                Err(Raised::raise(exception))
            }
            None => flushed,
        }
    }

    #[inline]
    fn run_turn(&self, entries: usize) -> Res<()> {
        for _ in 0..entries {
            let Some(entry) = self.ready.borrow_mut().pop() else {
                break;
            };
            if self.debug.get() {
                self.run_timed(entry)?;
            } else {
                entry.run(self)?;
            }
        }
        Ok(())
    }

    /// Without a poll, Python's signal handlers are looked for only now and then.
    #[inline]
    fn signals_are_due(&self) -> bool {
        let unchecked = self.unchecked.get() + 1;
        let due = unchecked >= tuning::SIGNAL_ITERATIONS || self.stopping.get();
        self.unchecked.set(if due { 0 } else { unchecked });
        due
    }

    /// The loop's clock in nanoseconds: that of `time()`, if a program has replaced it.
    #[inline]
    fn clock(&self) -> Res<u64> {
        if self.is_plain() || !self.altered.get() {
            return Ok(self.now());
        }
        let seconds = self.as_any().call_method0(&names().time)?.to_f64()?;
        Ok(seconds_to_ns(seconds).unwrap_or_else(|| self.now()))
    }

    /// Nothing is ready: waits for a descriptor, a timer, another thread or a signal.
    #[inline]
    fn sleep(&self) -> Res<()> {
        // What these two let go of may schedule something: so look at queue and timers after them.
        self.leave_task()?;
        let deadline = loop {
            let mut dead = self.graveyard.take();
            let deadline = self.timers.borrow_mut().next_deadline(&mut dead);
            let freed_none = dead.is_empty();
            self.bury(dead);
            if freed_none {
                break deadline;
            }
        };
        if !self.ready.borrow().is_empty() || self.stopping.get() {
            return Ok(());
        }
        if let (Some(deadline), now @ 1..) = (deadline, self.virtual_now.get()) {
            self.virtual_now.set(deadline.max(now));
            return Ok(());
        }
        let timeout = match deadline {
            None => Timeout::Forever,
            Some(deadline) => match Timeout::until(deadline, self.clock()?) {
                Timeout::For(left) => {
                    Timeout::For(left.min(std::time::Duration::from_nanos(MAX_SLEEP_NANOS)))
                }
                other => other,
            },
        };
        crate::handle::trim_pools();
        self.poll(timeout)?;
        check_signals()
    }

    /// One `epoll_wait`, and the entries of what it reports.
    fn poll(&self, timeout: Timeout) -> Res<()> {
        let driver = self.driver()?;
        if timeout == Timeout::Now && self.watchers.borrow().is_empty() {
            // Only the notifier is there, and who notifies has put the entry into the queue.
            return Ok(());
        }
        let Some(mut buffers) = self.events.take() else {
            return Err(Raised::runtime("This event loop is already running"));
        };
        let waited = wait(self, driver, timeout, &mut buffers);
        let woken = buffers.1.iter().any(|event| event.token == WAKE_TOKEN);
        let result = match waited {
            Ok(()) => {
                self.queue_events(&buffers.1);
                Ok(())
            }
            // A signal: its Python handler runs next.
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(Raised::os(&error)),
        };
        self.events.set(Some(buffers));
        if woken {
            driver
                .notifier
                .drain()
                .map_err(|error| Raised::os(&error))?;
        }
        result
    }

    fn collect_due_timers(&self) -> Res<()> {
        // asyncio rounds up by the clock's resolution, which is 1 ns on Linux.
        let now = self.clock()?.saturating_add(1);
        let mut dead = self.graveyard.take();
        loop {
            let due = self.timers.borrow_mut().pop_due(now, &mut dead);
            let Some(timer) = due else { break };
            self.ready.borrow_mut().push(timer.due());
        }
        let paused = if dead.is_empty() {
            Ok(())
        } else {
            self.pause_task()
        };
        self.bury(dead);
        paused
    }

    /// A step of a task: current, in its context, its failure reported like a callback's. `waiter` is
    /// the future that has woken it.
    ///
    /// The loop may hold the last reference to either. asyncio drops them when no task is current any
    /// more and the context has been left, and so their finalizers run here.
    #[inline]
    pub(super) fn run_step(
        &self,
        task: Own<Task>,
        waiter: Option<Object>,
        step: impl FnOnce(&Inst<Task>, Option<&Any>) -> Res<()>,
    ) -> Res<()> {
        registry::set_current(self.as_any(), task.as_any())?;
        self.current_set.set(true);
        let context = task.context();
        let result = match context::run(&context, || step(&task, waiter.as_deref())) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(raised)) => self.report_step(&task, raised),
            Err(raised) => self.report_step(&task, refused_context(&context, raised)),
        };
        // One reference is ours, one is the current task's.
        if task.as_any().refcount() <= 2 || waiter.as_ref().is_some_and(future::dies_noticeably) {
            return self.finish_step(task, waiter, result);
        }
        result
    }

    /// The end of a step whose task or future may die: no task is current.
    #[inline(never)]
    fn finish_step(&self, task: Own<Task>, waiter: Option<Object>, result: Res<()>) -> Res<()> {
        let raised = result.err().map(Raised::take);
        let paused = self.pause_task();
        drop(waiter);
        drop(task);
        match raised {
            Some(exception) => {
                if let Err(raised) = paused {
                    raised.discard();
                }
                Err(Raised::raise(exception))
            }
            None => paused,
        }
    }

    #[cold]
    fn report_step(&self, task: &Inst<Task>, raised: Raised) -> Res<()> {
        let exception = raised.take();
        if is_exit_exception(&exception) {
            return Err(Raised::raise(exception));
        }
        // The exception handler gets a handle, as from asyncio.
        let step = StepCall::create(task, None)?;
        let handle = Handle::create(step, &[], self.as_any().own(), task.context())?;
        handle.report(Raised::raise(exception))
    }

    /// What a native callback has raised, reported like a callback's.
    #[cold]
    pub(super) fn report_native(&self, whose: Object, raised: Raised) -> Res<()> {
        let exception = raised.take();
        if is_exit_exception(&exception) {
            return Err(Raised::raise(exception));
        }
        let handle = Handle::create(whose, &[], self.as_any().own(), context::copy_current()?)?;
        handle.report(Raised::raise(exception))
    }

    /// `current_task()` is `None` while something is dropped; the next step or `leave_task` follows.
    pub(super) fn pause_task(&self) -> Res<()> {
        if self.current_set.get() {
            return registry::set_current(self.as_any(), value::none_ref());
        }
        Ok(())
    }

    /// No task of ours is running: asyncio must not show one.
    #[inline]
    pub(super) fn leave_task(&self) -> Res<()> {
        if self.current_set.replace(false) {
            return registry::leave(self.as_any());
        }
        Ok(())
    }

    /// In debug mode: reports what took longer than `slow_callback_duration`.
    #[cold]
    fn run_timed(&self, entry: Entry) -> Res<()> {
        let described = entry.describe()?;
        let started = monotonic_ns();
        let result = entry.run(self);
        let took = aioxide_core::clock::ns_to_seconds(monotonic_ns() - started);
        let raised = result.err().map(Raised::take);
        let limit = self
            .as_any()
            .getattr(&names().slow_callback_duration)?
            .to_f64()?;
        if took >= limit {
            self.as_any()
                .call_method2(&names()._report_slow, &described, &*value::float(took)?)?;
        }
        match raised {
            Some(exception) => Err(Raised::raise(exception)),
            None => Ok(()),
        }
    }
}

/// The system call; without the GIL if it may sleep.
fn wait(
    core: &LoopCore,
    driver: &Driver,
    timeout: Timeout,
    (events, out): &mut (Events, Vec<Event>),
) -> std::io::Result<()> {
    if timeout == Timeout::Now {
        return driver.reactor.wait(timeout, events, out);
    }
    // From here on a thread that adds to the queue wakes us: it can only do so with the GIL,
    // which we still hold, so nothing can have come since the queue was found empty.
    core.asleep.set(true);
    driver.notifier.prepare_sleep();
    let result = gil::released(|| driver.reactor.wait(timeout, events, out));
    driver.notifier.awake();
    core.asleep.set(false);
    result
}

fn run(this: &Inst<LoopCore>) -> Res<Object> {
    this.check_open()?;
    // The loop must outlive the run, whatever a callback does to the last reference.
    let alive = this.own();
    let _departures = audit::Departures::listen(this.as_any(), flush_before_departure);
    if imports().current_tasks.is_some() {
        alive.run()?;
        return Ok(value::none());
    }
    // 3.14+: the current task can only be set on the loop that `_asyncio` itself knows as running,
    // whatever `asyncio.events._set_running_loop` has been replaced by.
    imports().set_running_loop.call1(this.as_any())?;
    let raised = alive.run().err().map(Raised::take);
    imports().set_running_loop.call1(value::none_ref())?;
    if let Some(exception) = raised {
        return Err(Raised::raise(exception));
    }
    Ok(value::none())
}

/// A callback starts a program or a thread, sends a signal, sleeps: what it has written goes first.
fn flush_before_departure(this: &Any) -> Res<()> {
    match this.downcast::<LoopCore>() {
        Some(core) if !core.cork().is_empty() => core.uncork(),
        _ => Ok(()),
    }
}

fn run_once(this: &Inst<LoopCore>) -> Res<Object> {
    let _ = this;
    Err(Raised::runtime(
        "aioxide's loop has no Python _run_once(): it cannot be patched to run re-entrantly \
         (nest_asyncio and the like)",
    ))
}

fn epoll_fd(this: &Inst<LoopCore>) -> Res<Object> {
    value::int(i64::from(this.driver()?.reactor.as_raw_fd()))
}

pub(super) fn methods(b: TypeBuilder<LoopCore>) -> TypeBuilder<LoopCore> {
    b.method0(c"_run", run, c"_run($self, /)\n--\n\nRun until stop() was called. For run_forever().")
        .method0(c"_run_once", run_once, c"_run_once($self, /)\n--\n\nRaises RuntimeError: iterations are made by the native _run().")
        .method0(c"_epoll_fd", epoll_fd, c"_epoll_fd($self, /)\n--\n\nThe poll descriptor, for tests.")
}

/// A context that could not be entered: as with asyncio, what is none fails for want of a `run`.
#[cold]
fn refused_context(context: &Any, raised: Raised) -> Raised {
    if context::is_context(context) {
        return raised;
    }
    let run = value::text("run").and_then(|name| context.getattr(&name));
    match run {
        Ok(_) => raised,
        Err(missing) => missing,
    }
}
