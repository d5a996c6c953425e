//! asyncio's functions that wait: `sleep`, `gather`, `wait`, `wait_for`, `timeout`, `TaskGroup`.
//!
//! # What is native, and when
//!
//! Each works on any loop. Where the running loop is ours and plain (not in debug mode, none of the
//! methods in question overridden), and what it is given are our own futures or coroutines,
//! everything happens here. Anywhere else it is asyncio's own function that is called, or awaited,
//! before anything has happened: so its behaviour there is asyncio's by construction.
//!
//! Turns are asyncio's too: what a callback does there in the turn after a future is done, an entry
//! of the queue does here in the same turn.
//!
//! Files: `originals` are asyncio's functions; `current` is the running loop and task; `peer` asks
//! futures, ours by type and others by name; `observer` is what watches futures for `gather` and
//! `wait`; `spawn` makes tasks. The others are one function each; `gathering` is the future that
//! `gather` gives back, `group` the native half of `TaskGroup`.

mod current;
mod gather;
mod gathering;
mod group;
mod observer;
mod originals;
mod peer;
mod sleep;
mod spawn;
mod timeout;
mod wait;
mod wait_for;

pub(crate) use gathering::Gathering;
pub(crate) use group::Group;
pub(crate) use observer::Observer;
pub(crate) use sleep::Sleep;
pub(crate) use timeout::Timeout;
pub(crate) use wait::Wait;
pub(crate) use wait_for::WaitFor;

use crate::ffi::Res;
use crate::ffi::function;
use crate::ffi::module::Module;

/// Makes the classes.
pub(crate) fn build() -> Res<()> {
    originals::initialise()?;
    observer::build()?;
    gathering::build()?;
    sleep::build()?;
    wait::build()?;
    wait_for::build()?;
    timeout::build()?;
    group::build()
}

/// Shows the functions to the Python package, which gives them asyncio's signatures.
pub(crate) fn export(module: &Module) -> Res<()> {
    let functions = [
        (
            "sleep",
            function::create(
                "sleep",
                sleep::sleep,
                "Wait for delay seconds, then return result. sleep(0) gives way for one turn of the loop.",
            )?,
        ),
        (
            "gather",
            function::create(
                "gather",
                gather::gather,
                "A future of the results of all, in their order.\n\nThe first exception is passed on at once, and the others go on; with return_exceptions an\nexception is a result like any other. Cancelling the future cancels all.",
            )?,
        ),
        (
            "wait",
            function::create(
                "wait",
                wait::wait,
                "Wait for futures until return_when holds or timeout seconds are over.\n\nReturns two sets: those that are done, and the rest.",
            )?,
        ),
        (
            "wait_for",
            function::create(
                "wait_for",
                wait_for::wait_for,
                "Await fut for timeout seconds at most.\n\nWhen the time is over it is cancelled, and TimeoutError raised once it has ended.",
            )?,
        ),
        (
            "ensure_future",
            function::create(
                "ensure_future",
                spawn::ensure_future,
                "A future as it is; a task for a coroutine or anything that can be awaited.",
            )?,
        ),
        (
            "create_task",
            function::create(
                "create_task",
                spawn::create_task,
                "Schedule a coroutine on the running loop. Returns its Task.",
            )?,
        ),
        (
            "timeout",
            function::create(
                "timeout",
                timeout::timeout,
                "An async context manager that ends its body after delay seconds, with TimeoutError.\n\nNone is no limit; Timeout.reschedule() can set one later.",
            )?,
        ),
        (
            "timeout_at",
            function::create(
                "timeout_at",
                timeout::timeout_at,
                "As timeout(), at a time of the loop's clock.",
            )?,
        ),
        (
            "_set_timeout_class",
            function::create(
                "_set_timeout_class",
                timeout::set_class,
                "Set what timeout() makes.",
            )?,
        ),
        (
            "_set_task_group_class",
            function::create(
                "_set_task_group_class",
                group::set_class,
                "Set the class whose tasks are made natively, and its base.",
            )?,
        ),
    ];
    for (name, function) in &functions {
        module.add(name, function)?;
    }
    module.add("TimeoutCore", timeout::class())?;
    module.add("TaskGroupCore", group::class())
}
