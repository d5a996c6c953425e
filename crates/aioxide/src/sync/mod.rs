//! asyncio's locks and queues: `Lock`, `Event`, `Condition`, `Semaphore`, `Barrier`, `Queue`.
//!
//! Each is a class `XCore` without a base, from which `aioxide/locks.py` and `aioxide/queues.py`
//! derive the public one together with asyncio's: so `isinstance(x, asyncio.Lock)` holds, and what
//! is not here is asyncio's own method, on attributes that mean the same.
//!
//! * **Order is asyncio's.** A waiter is a future; completing it schedules the wake-up of its task,
//!   and nothing is handed over any other way. Who is woken, and when the state changes, is
//!   what the running Python's asyncio does: where its versions differ, [`Known`] says which it is.
//! * **No Python coroutine.** `acquire`, `wait`, `get`, `put` give a native one (see
//!   [`coroutine`](crate::coroutine)); nothing happens before its first step.
//! * **Private attributes are real.** Waiters and items lie in Rust until somebody looks at
//!   `_waiters`, `_getters` or `_queue`: then they move into the deque that asyncio would have, and
//!   stay there (`waiters`, `queue/items`). An idle object has none of it.
//! * **Overridden methods are called.** A derived class, a patched one or an instance attribute may
//!   replace what asyncio calls through `self`; [`hooks`](crate::hooks) notices, at the cost of one comparison.
//! * **Numbers are whatever was given**: `Semaphore(math.inf)`, `Queue(maxsize=2.5)` (`number`).
//!
//! Files: `lock`, `event`, `condition`, `semaphore`, `barrier`, `queue` are the classes; `loop_bound`
//! ties an object to the loop that first waits; `context` is what `async with` needs.

mod barrier;
mod condition;
mod context;
mod event;
mod known;
mod lock;
mod loop_bound;
mod number;
mod queue;
mod semaphore;
mod waiters;

pub(crate) use self::known::connect_package;
use crate::ffi::module::Module;
use crate::ffi::{Native, Object, Raised, Res, value};

/// The public classes' cores, for `live_objects`.
pub(crate) fn live() -> [(&'static str, isize); 6] {
    [
        ("BarrierCore", barrier::BarrierCore::class().live()),
        ("ConditionCore", condition::ConditionCore::class().live()),
        ("EventCore", event::EventCore::class().live()),
        ("LockCore", lock::LockCore::class().live()),
        ("QueueCore", queue::QueueCore::class().live()),
        ("SemaphoreCore", semaphore::SemaphoreCore::class().live()),
    ]
}

/// Makes the classes.
pub(crate) fn build() -> Res<()> {
    known::initialise()?;
    lock::build()?;
    event::build()?;
    condition::build()?;
    semaphore::build()?;
    barrier::build()?;
    queue::build()
}

/// Shows them to the Python package.
pub(crate) fn export(module: &Module) -> Res<()> {
    module.add("LockCore", lock::LockCore::class().as_any())?;
    module.add("EventCore", event::EventCore::class().as_any())?;
    module.add("ConditionCore", condition::ConditionCore::class().as_any())?;
    module.add("SemaphoreCore", semaphore::SemaphoreCore::class().as_any())?;
    module.add("BarrierCore", barrier::BarrierCore::class().as_any())?;
    module.add("QueueCore", queue::QueueCore::class().as_any())
}

/// A reference that was cleared by the collector, or that `__init__` has not set.
#[cold]
fn gone() -> Raised {
    Raised::runtime("the object is not initialized, or is being collected")
}

/// `<module.Class object at 0x... [extra]>`, as asyncio's primitives show themselves.
fn bracketed(object: &crate::ffi::Any, extra: &str) -> Res<Object> {
    let plain = object.object_repr()?.text_lossy();
    let inner = plain
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'))
        .unwrap_or(&plain);
    value::text(&format!("<{inner} [{extra}]>"))
}
