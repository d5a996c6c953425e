//! `FileRing`: the proactor of one loop.

use std::cell::{Cell, RefCell};
use std::os::fd::AsRawFd;

use aioxide_driver::op::{Op, Outcome};
use aioxide_driver::proactor::{Backend, Completion, Fault, Id, Proactor};

use super::call::CallClass;
use super::names::names;
use crate::event_loop::LoopCore;
use crate::ffi::error::Kind;
use crate::ffi::file_memory::FileMemory;
use crate::ffi::native_type::object_class;
use crate::ffi::{Any, Class, Inst, Native, Object, Own, Raised, Res, Visit, value};
use crate::future::Waiter;

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
    /// The loop will hand over what is new in its next turn.
    flushing: Cell<bool>,
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
    let proactor = Proactor::new(wanted()?).map_err(|error| Raised::os(&error))?;
    let fd = value::int(i64::from(proactor.as_raw_fd()))?;
    let ring = RING.create(Ring {
        proactor: RefCell::new(Some(proactor)),
        ..Ring::default()
    })?;
    let drain = ring.as_any().getattr(&names()._drain)?;
    loop_.call_method2(&names().add_reader, &fd, &drain)?;
    Ok(ring)
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
        if !now && !self.flushing.replace(true) {
            // With everything else that this turn of the loop brings.
            let flush = self.as_any().getattr(&names()._flush)?;
            loop_.call_method1(&names().call_soon, &flush)?;
        }
        Ok((id, awaited))
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
        if let Some(proactor) = self.proactor.borrow_mut().as_mut()
            && proactor.is_ours()
        {
            proactor.cancel(id);
            // At once: the descriptor may be closed next. What fails now is tried again with the next flush.
            let _ = proactor.flush();
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

    /// Resolves what has completed.
    fn drain(&self) -> Res<()> {
        let mut completions = Vec::new();
        let drained = match self.proactor.borrow_mut().as_mut() {
            Some(proactor) => proactor.drain(&mut completions),
            None => Ok(()),
        };
        for completion in completions {
            self.deliver(completion)?;
        }
        drained.map_err(|error| Raised::os(&error))
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
        None => Ok(()),
    };
    flushed.map_err(|error| Raised::os(&error))?;
    Ok(value::none())
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
            .getter(
                c"in_flight",
                in_flight,
                c"How many operations have not completed.",
            )
            .getter(c"backend", backend_name, c"'uring' or 'threads'.")
    })?;
    Ok(())
}
