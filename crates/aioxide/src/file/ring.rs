//! `FileRing`: the proactor of one loop.

use std::cell::{Cell, RefCell};
use std::os::fd::AsRawFd;

use aioxide_driver::op::{Op, Outcome};
use aioxide_driver::proactor::{Backend, Completion, Fault, Flush, Id, Proactor};

use super::call::CallClass;
use super::names::names;
use crate::event_loop::LoopCore;
use crate::ffi::error::Kind;
use crate::ffi::file_memory::FileMemory;
use crate::ffi::native_type::object_class;
use crate::ffi::{Any, Class, Inst, Native, Object, Own, Raised, Res, Visit, value};
use crate::future::{Waiter, running_loop};

/// The environment variable that chooses the backend.
const VARIABLE: &str = "AIOXIDE_FILES";

/// A call that waits for its completion.
#[derive(Debug)]
struct Pending {
    id: Id,
    call: Own<CallClass>,
    waiter: Waiter,
}

/// What an operation left behind.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) result: std::io::Result<Outcome>,
    pub(super) memory: Option<FileMemory>,
}

/// `aioxide.FileRing`.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    proactor: RefCell<Option<Proactor<FileMemory>>>,
    /// By the place of the operation in the proactor.
    pending: RefCell<Vec<Option<Pending>>>,
    /// The loop will hand over what is new in its next iteration.
    flushing: Cell<bool>,
    /// The loop will try again after a pause, since the kernel refused.
    retrying: Cell<bool>,
}

static RING: Class<Ring> = Class::new(0);

impl Native for Ring {
    const NAME: &'static std::ffi::CStr = c"aioxide.FileRing";
    const SUBCLASSABLE: bool = false;

    fn class() -> &'static Class<Self> {
        &RING
    }
    fn empty() -> Self {
        Ring::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        if let Ok(pending) = self.pending.try_borrow() {
            for pending in pending.iter().flatten() {
                visit.native(&pending.call);
                pending.waiter.visit(visit);
            }
        }
    }
    fn clear(&self) {
        let pending = self.pending.take();
        drop(pending);
    }
    fn on_dealloc(this: &Inst<Self>) {
        this.close();
    }
}

/// What the environment asks for.
pub(super) fn wanted() -> Res<Option<Backend>> {
    match std::env::var(VARIABLE).as_deref() {
        Err(_) | Ok("") => Ok(None),
        Ok("uring") => Ok(Some(Backend::Uring)),
        Ok("threads") => Ok(Some(Backend::Threads)),
        Ok(other) => Err(Raised::new(
            Kind::Value,
            &format!("{VARIABLE} must be 'uring' or 'threads', not '{other}'"),
        )),
    }
}

/// The backend that a new ring gets.
pub(super) fn backend() -> Res<Backend> {
    thread_local! {
        static FOUND: Cell<Option<Backend>> = const { Cell::new(None) };
    }
    if let Some(wanted) = wanted()? {
        return Ok(wanted);
    }
    if let Some(found) = FOUND.get() {
        return Ok(found);
    }
    let probe = Proactor::<FileMemory>::new(None).map_err(|error| Raised::os(&error))?;
    FOUND.set(Some(probe.backend()));
    Ok(probe.backend())
}

/// The ring of a loop; the first call makes it.
pub(super) fn of(loop_: &Any) -> Res<Own<Ring>> {
    match loop_.downcast::<LoopCore>() {
        Some(core) => {
            if let Some(ring) = core.file_ring().get()
                && let Some(ring) = ring.as_exact::<Ring>()
            {
                return Ok(ring.own());
            }
            let ring = open(loop_)?;
            core.file_ring().set(ring.as_any().own());
            Ok(ring)
        }
        None => foreign(loop_),
    }
}

/// The ring of a loop that is not ours. Such a loop does not tell when it is closed: that is seen when the next one
/// comes, or when it is collected.
fn foreign(loop_: &Any) -> Res<Own<Ring>> {
    let rings = &names().foreign_rings;
    let known = rings.call_method1(&names().get, loop_)?;
    if let Some(ring) = known.as_exact::<Ring>()
        && ring.is_ours()
    {
        return Ok(ring.own());
    }
    let all = value::list_of(&*rings.call_method0(&names().items)?)?;
    for pair in all.list_items() {
        if let &[other, ring] = pair.tuple_items()
            && other.call_method0(&names().is_closed)?.is_truthy()?
            && let Some(ring) = ring.as_exact::<Ring>()
        {
            ring.close();
            drop(rings.call_method1(&*value::text("pop")?, other)?);
        }
    }
    let ring = open(loop_)?;
    rings.call_method2(&names().__setitem__, loop_, ring.as_any())?;
    Ok(ring)
}

fn open(loop_: &Any) -> Res<Own<Ring>> {
    let wanted = wanted()?;
    let proactor = Proactor::new(wanted).map_err(|error| match wanted {
        Some(Backend::Uring) => no_uring(&error),
        _ => Raised::os(&error),
    })?;
    let fd = value::int(i64::from(proactor.as_raw_fd()))?;
    let ring = RING.create(Ring {
        proactor: RefCell::new(Some(proactor)),
        ..Ring::default()
    })?;
    let drain = ring.as_any().getattr(&names()._drain)?;
    loop_.call_method2(&names().add_reader, &fd, &drain)?;
    Ok(ring)
}

/// What was asked for cannot be had. No `OSError`, which would look like the file's; its cause is one.
fn no_uring(error: &std::io::Error) -> Raised {
    let cause = Raised::os(error).take();
    let raised = Raised::runtime(&format!(
        "{VARIABLE}=uring asks for io_uring, which is forbidden or missing here ({error}): \
         unset {VARIABLE}, or set it to 'threads'"
    ));
    let exception = raised.take();
    match exception.setattr(&names().__cause__, &cause) {
        Ok(()) => Raised::raise(exception),
        Err(raised) => raised,
    }
}

fn gone() -> Raised {
    Raised::runtime("Event loop is closed")
}

impl Inst<Ring> {
    fn is_ours(&self) -> bool {
        self.proactor
            .borrow()
            .as_ref()
            .is_some_and(Proactor::is_ours)
    }

    /// Which backend it is on.
    pub(super) fn backend(&self) -> Option<Backend> {
        self.proactor.borrow().as_ref().map(Proactor::backend)
    }

    /// Gives an operation to the kernel, on behalf of a call; what is returned is resolved when it is over.
    pub(super) fn submit(
        &self,
        loop_: &Any,
        op: Op<FileMemory>,
        call: &Inst<CallClass>,
    ) -> Res<(Id, Object)> {
        let waiter = Waiter::create(loop_)?;
        let awaited = waiter.object();
        let (id, now) = {
            let mut proactor = self.proactor.borrow_mut();
            let Some(proactor) = proactor.as_mut() else {
                return Err(gone());
            };
            if !proactor.is_ours() {
                return Err(Raised::runtime(
                    "this event loop is that of a parent process",
                ));
            }
            (proactor.submit(op), proactor.backend() == Backend::Threads)
        };
        self.await_completion(id, call, waiter);
        if !now && !self.flushing.get() {
            // With everything else that this iteration of the loop brings.
            let scheduled = self
                .as_any()
                .getattr(&names()._flush)
                .and_then(|flush| loop_.call_method1(&names().call_soon, &flush));
            if let Err(raised) = scheduled {
                let exception = raised.take();
                self.cancel(id);
                self.forget(id);
                return Err(Raised::raise(exception));
            }
            self.flushing.set(true);
        }
        Ok((id, awaited))
    }

    /// Does what a flush has left to do: no event of the loop's will tell when.
    fn follow(&self, flushed: Flush) -> Res<()> {
        let (method, pause) = match flushed {
            Flush::Done => return Ok(()),
            Flush::Drain => (&names().call_soon, None),
            Flush::Again(_) if self.retrying.get() => return Ok(()),
            Flush::Again(pause) => (&names().call_later, Some(pause)),
        };
        let loop_ = running_loop()?;
        match pause {
            None => {
                let drain = self.as_any().getattr(&names()._drain)?;
                loop_.call_method1(method, &drain)?;
            }
            Some(pause) => {
                let retry = self.as_any().getattr(&names()._retry)?;
                let seconds = value::float(pause.as_secs_f64())?;
                loop_.call_method2(method, &seconds, &retry)?;
                self.retrying.set(true);
            }
        }
        Ok(())
    }

    fn await_completion(&self, id: Id, call: &Inst<CallClass>, waiter: Waiter) {
        let mut pending = self.pending.borrow_mut();
        if pending.len() <= id.index() {
            pending.resize_with(id.index() + 1, || None);
        }
        let call = call.own();
        let old = pending[id.index()].replace(Pending { id, call, waiter });
        drop(pending);
        drop(old);
    }

    /// Waits once more for an operation whose waiter was cancelled.
    pub(super) fn wait_again(&self, loop_: &Any, id: Id, call: &Inst<CallClass>) -> Res<Object> {
        let waiter = Waiter::create(loop_)?;
        let awaited = waiter.object();
        self.await_completion(id, call, waiter);
        Ok(awaited)
    }

    /// Asks the kernel to end an operation.
    pub(super) fn cancel(&self, id: Id) {
        let mut guard = self.proactor.borrow_mut();
        if let Some(proactor) = guard.as_mut()
            && proactor.is_ours()
        {
            proactor.cancel(id);
            // At once: the descriptor may be closed next.
            let flushed = proactor.flush();
            drop(guard);
            if let Err(raised) = self.follow(flushed) {
                // No loop runs here: what could not be handed over is, with the next operation.
                raised.discard();
            }
        }
    }

    /// Nobody waits for the operation any more.
    pub(super) fn forget(&self, id: Id) {
        let mut pending = self.pending.borrow_mut();
        let place = pending.get_mut(id.index());
        let known = place.filter(|place| place.as_ref().is_some_and(|known| known.id == id));
        let forgotten = known.and_then(Option::take);
        drop(pending);
        drop(forgotten);
    }

    /// Cancels everything, and waits for what the kernel still uses.
    pub(crate) fn close(&self) {
        let proactor = self.proactor.take();
        drop(proactor);
        let pending = self.pending.take();
        drop(pending);
    }

    /// Resolves what has completed. An error of one completion is raised when all have been delivered.
    fn drain(&self) -> Res<()> {
        let mut completions = Vec::new();
        let drained = match self.proactor.borrow_mut().as_mut() {
            Some(proactor) => proactor.drain(&mut completions),
            None => Ok(Flush::Done),
        };
        let mut first = None;
        let mut keep = |result: Res<()>| {
            // Taken: nothing may be called while an exception is set.
            if let Err(raised) = result {
                let exception = raised.take();
                first.get_or_insert(exception);
            }
        };
        for completion in completions {
            keep(self.deliver(completion));
        }
        keep(match drained {
            Ok(flushed) => self.follow(flushed),
            Err(error) => Err(Raised::os(&error)),
        });
        match first {
            Some(exception) => Err(Raised::raise(exception)),
            None => Ok(()),
        }
    }

    fn deliver(&self, completion: Completion<FileMemory>) -> Res<()> {
        let Completion { id, result, memory } = completion;
        let mut pending = self.pending.borrow_mut();
        let place = pending.get_mut(id.index());
        let known = place.filter(|place| place.as_ref().is_some_and(|known| known.id == id));
        let known = known.and_then(Option::take);
        drop(pending);
        let done = Done { result, memory };
        // A forgotten one's descriptor is closed here, and its memory let go.
        let Some(Pending { call, waiter, .. }) = known else {
            return Ok(());
        };
        call.finished(done);
        if !waiter.is_done()? {
            waiter.resolve(value::none())?;
        }
        Ok(())
    }

    /// Lets the next calls of `io_uring_enter` fail with these errors.
    pub(super) fn inject_enter(&self, errnos: &Any) -> Res<()> {
        let mut list = Vec::new();
        for errno in value::list_of(errnos)?.list_items() {
            list.push(i32::try_from(errno.to_i64()?).unwrap_or(5));
        }
        if let Some(proactor) = self.proactor.borrow_mut().as_mut() {
            proactor.inject_enter(list);
        }
        Ok(())
    }

    /// Lets the operations to come fail, one after the other: `None` for as it is, an errno, or minus how
    /// much it transfers at most.
    pub(super) fn inject(&self, faults: &Any) -> Res<()> {
        let mut list = Vec::new();
        for fault in value::list_of(faults)?.list_items() {
            list.push(if fault.is_none() {
                Fault::Pass
            } else {
                let number = fault.to_i64()?;
                match i32::try_from(number) {
                    Ok(errno) if errno > 0 => Fault::Errno(errno),
                    _ => Fault::Short(usize::try_from(-number).unwrap_or(0)),
                }
            });
        }
        match self.proactor.borrow_mut().as_mut() {
            Some(proactor) => {
                proactor.inject(list);
                Ok(())
            }
            None => Err(gone()),
        }
    }
}

fn drain(this: &Inst<Ring>) -> Res<Object> {
    this.drain()?;
    Ok(value::none())
}

fn flush(this: &Inst<Ring>) -> Res<Object> {
    this.flushing.set(false);
    let flushed = match this.proactor.borrow_mut().as_mut() {
        Some(proactor) => proactor.flush(),
        None => Flush::Done,
    };
    this.follow(flushed)?;
    Ok(value::none())
}

fn retry(this: &Inst<Ring>) -> Res<Object> {
    this.retrying.set(false);
    drain(this)
}

fn in_flight(this: &Inst<Ring>) -> Res<Object> {
    let count = this.proactor.borrow().as_ref().map_or(0, Proactor::len);
    value::int(i64::try_from(count).unwrap_or(i64::MAX))
}

fn backend_name(this: &Inst<Ring>) -> Res<Object> {
    match this.backend() {
        Some(backend) => value::text(backend.name()),
        None => Ok(value::none()),
    }
}

/// Makes the class.
pub(super) fn build() -> Res<()> {
    RING.build(object_class(), |b| {
        b.not_constructible()
            .doc(c"The file operations of an event loop.")
            .method0(
                c"_drain",
                drain,
                c"_drain($self, /)\n--\n\nResolve what has completed.",
            )
            .method0(
                c"_flush",
                flush,
                c"_flush($self, /)\n--\n\nHand over what is new.",
            )
            .method0(
                c"_retry",
                retry,
                c"_retry($self, /)\n--\n\nHand over what the kernel has refused, and resolve what has completed.",
            )
            .getter(
                c"in_flight",
                in_flight,
                c"How many operations have not completed.",
            )
            .getter(c"backend", backend_name, c"'uring' or 'threads'.")
    })?;
    Ok(())
}
