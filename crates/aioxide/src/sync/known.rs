//! What is looked up once: asyncio's classes, and how the running Python's primitives behave.

use crate::ffi::module::{Global, import, imports};
use crate::ffi::{Any, Object, Raised, Res, value};

/// What the primitives need of Python.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) heappush: Object,
    pub(super) heappop: Object,
    pub(super) queue_empty: Object,
    pub(super) queue_full: Object,
    pub(super) priority_queue: Object,
    pub(super) lifo_queue: Object,
    pub(super) bounded_semaphore: Object,
    pub(super) broken_barrier_error: Object,
    /// `asyncio.Barrier`, whose `wait` calls overridden parts of itself.
    pub(super) barrier: Object,
    /// The members of `asyncio.locks._BarrierState`, in the order of our own enum.
    pub(super) barrier_states: [Object; 4],
    /// How `Barrier(0)` is refused.
    pub(super) parties_message: String,
    /// `Condition.wait` passes a notification on when it ends with an exception, and raises the
    /// very CancelledError it got (3.13 and later).
    pub(super) condition_passes_on: bool,
    /// A semaphore wakes as many waiters as its value allows, also when one is cancelled (3.13 and
    /// later, and patch releases of 3.12).
    pub(super) semaphore_wakes_all: bool,
}

static KNOWN: Global<Known> = Global::new();

#[inline(always)]
pub(super) fn known() -> &'static Known {
    KNOWN.get()
}

fn member(object: &Any, name: &str) -> Res<Object> {
    object.getattr(&*value::text(name)?)
}

/// The constants of a Python function; none of what somebody has put in its place.
fn constants(function: &Any) -> Res<Vec<Object>> {
    match function.getattr_opt(&*value::text("__code__")?)? {
        Some(code) => {
            let constants = member(&code, "co_consts")?;
            Ok(constants
                .tuple_items()
                .iter()
                .map(|constant| constant.own())
                .collect())
        }
        None => Ok(Vec::new()),
    }
}

pub(super) fn initialise() -> Res<()> {
    let locks = import("asyncio.locks")?;
    let queues = import("asyncio.queues")?;
    let heapq = import("heapq")?;
    let barrier = member(&locks, "Barrier")?;
    let state = member(&locks, "_BarrierState")?;
    let condition = member(&locks, "Condition")?;
    let semaphore = member(&locks, "Semaphore")?;
    let refusal = constants(&*member(&barrier, "__init__")?)?;
    let refusal = refusal
        .iter()
        .filter(|constant| constant.is_str())
        .map(|constant| constant.text_lossy())
        .find(|text| text.starts_with("parties must"));
    let wake = constants(&*member(&semaphore, "_wake_up_next")?)?;
    let true_ = value::bool(true);
    KNOWN.set(Known {
        heappush: member(&heapq, "heappush")?,
        heappop: member(&heapq, "heappop")?,
        queue_empty: member(&queues, "QueueEmpty")?,
        queue_full: member(&queues, "QueueFull")?,
        priority_queue: member(&queues, "PriorityQueue")?,
        lifo_queue: member(&queues, "LifoQueue")?,
        bounded_semaphore: member(&locks, "BoundedSemaphore")?,
        broken_barrier_error: member(&*import("asyncio.exceptions")?, "BrokenBarrierError")?,
        barrier_states: [
            member(&state, "FILLING")?,
            member(&state, "DRAINING")?,
            member(&state, "RESETTING")?,
            member(&state, "BROKEN")?,
        ],
        barrier,
        parties_message: refusal.unwrap_or_else(|| "parties must be >= 1".to_owned()),
        condition_passes_on: condition.getattr_opt(&*value::text("_notify")?)?.is_some(),
        semaphore_wakes_all: imports().version >= (3, 13)
            || wake.iter().any(|constant| constant.is(&true_)),
    });
    Ok(())
}

/// The public classes that the cores make instances of, known once they exist.
#[derive(Debug)]
struct Public {
    lock: Object,
    event: Object,
    condition: Object,
    /// asyncio's, or on Pythons without one the package's own.
    queue_shut_down: Object,
}

static PUBLIC: Global<Public> = Global::new();

/// Takes the public classes, when all of our package is imported.
pub(crate) fn connect_package() -> Res<()> {
    let locks = import("aioxide.locks")?;
    PUBLIC.set(Public {
        lock: member(&locks, "Lock")?,
        event: member(&locks, "Event")?,
        condition: member(&locks, "Condition")?,
        queue_shut_down: member(&*import("aioxide.queues")?, "QueueShutDown")?,
    });
    Ok(())
}

fn public() -> Res<&'static Public> {
    PUBLIC
        .try_get()
        .ok_or_else(|| Raised::runtime("aioxide is not imported completely"))
}

/// `aioxide.Lock()`.
pub(super) fn new_lock() -> Res<Object> {
    public()?.lock.call0()
}

/// `aioxide.Event()`.
pub(super) fn new_event() -> Res<Object> {
    public()?.event.call0()
}

/// `aioxide.Condition()`.
pub(super) fn new_condition() -> Res<Object> {
    public()?.condition.call0()
}

/// Raises `QueueShutDown`.
#[cold]
pub(super) fn queue_shut_down() -> Raised {
    match public() {
        Ok(public) => raise_bare(&public.queue_shut_down),
        Err(raised) => raised,
    }
}

/// `raise class`.
#[cold]
pub(super) fn raise_bare(class: &Any) -> Raised {
    match class.call0() {
        Ok(exception) => Raised::raise(exception),
        Err(raised) => raised,
    }
}
