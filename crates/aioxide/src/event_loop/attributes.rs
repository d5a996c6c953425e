//! The flags that BaseEventLoop keeps in its instance dict, and the questions about them.
//!
//! They are data descriptors of a class that comes first in the method resolution order, so
//! BaseEventLoop's own code reads and writes them here without knowing.

use super::LoopCore;
use crate::ffi::method::{TypeBuilder, flag, no_delete};
use crate::ffi::{Any, Inst, Object, Res, value};

fn get_debug(this: &Inst<LoopCore>) -> Res<Object> {
    flag(this.debug.get())
}

fn set_debug(this: &Inst<LoopCore>, value: Option<&Any>) -> Res<()> {
    this.debug.set(no_delete(value)?.is_truthy()?);
    this.update_direct();
    Ok(())
}

fn get_closed(this: &Inst<LoopCore>) -> Res<Object> {
    flag(this.closed.get())
}

fn set_closed(this: &Inst<LoopCore>, value: Option<&Any>) -> Res<()> {
    this.closed.set(no_delete(value)?.is_truthy()?);
    this.update_direct();
    Ok(())
}

fn get_stopping(this: &Inst<LoopCore>) -> Res<Object> {
    flag(this.stopping.get())
}

fn set_stopping(this: &Inst<LoopCore>, value: Option<&Any>) -> Res<()> {
    this.stopping.set(no_delete(value)?.is_truthy()?);
    Ok(())
}

fn get_thread_id(this: &Inst<LoopCore>) -> Res<Object> {
    match this.thread.get() {
        0 => Ok(value::none()),
        thread => value::uint(thread),
    }
}

fn set_thread_id(this: &Inst<LoopCore>, value: Option<&Any>) -> Res<()> {
    let value = no_delete(value)?;
    this.thread.set(if value.is_none() {
        0
    } else {
        value.to_i64()?.cast_unsigned()
    });
    Ok(())
}

fn get_task_factory(this: &Inst<LoopCore>) -> Res<Object> {
    Ok(this.task_factory.get_or_none())
}

fn set_task_factory(this: &Inst<LoopCore>, value: Option<&Any>) -> Res<()> {
    let factory = no_delete(value)?;
    drop(
        this.task_factory
            .replace((!factory.is_none()).then(|| factory.own())),
    );
    Ok(())
}

fn is_running(this: &Inst<LoopCore>) -> Res<Object> {
    flag(this.thread.get() != 0)
}

fn stop(this: &Inst<LoopCore>) -> Res<Object> {
    this.stopping.set(true);
    Ok(value::none())
}

fn counts(this: &Inst<LoopCore>) -> Res<Object> {
    let count = |number: usize| value::int(i64::try_from(number).unwrap_or(i64::MAX));
    let ready = count(this.ready.borrow().len())?;
    let timers = count(this.timers.borrow().len())?;
    let watched = count(this.watchers.borrow().len())?;
    value::tuple(&[&ready, &timers, &watched])
}

pub(super) fn methods(b: TypeBuilder<LoopCore>) -> TypeBuilder<LoopCore> {
    b.attribute(c"_debug", get_debug, set_debug, c"Debug mode.")
        .attribute(
            c"_closed",
            get_closed,
            set_closed,
            c"Whether close() was called.",
        )
        .attribute(
            c"_stopping",
            get_stopping,
            set_stopping,
            c"Whether stop() was called.",
        )
        .attribute(
            c"_thread_id",
            get_thread_id,
            set_thread_id,
            c"The thread that runs the loop, or None.",
        )
        .attribute(
            c"_task_factory",
            get_task_factory,
            set_task_factory,
            c"The task factory, or None.",
        )
        .method0(
            c"get_debug",
            get_debug,
            c"get_debug($self, /)\n--\n\nWhether the loop is in debug mode.",
        )
        .method0(
            c"is_closed",
            get_closed,
            c"is_closed($self, /)\n--\n\nWhether the loop was closed.",
        )
        .method0(
            c"is_running",
            is_running,
            c"is_running($self, /)\n--\n\nWhether the loop is running.",
        )
        .method0(
            c"stop",
            stop,
            c"stop($self, /)\n--\n\nStop the loop at the end of the current turn.",
        )
        .method0(
            c"_counts",
            counts,
            c"_counts($self, /)\n--\n\n(ready, timers, watched descriptors), for tests.",
        )
}
