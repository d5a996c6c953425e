//! What the loop calls: each entry of the queue that concerns a transport.

use aioxide_driver::reactor::Interest;

use super::common::Transport;
use crate::event_loop::{LoopCore, Watcher};
use crate::ffi::method::TypeBuilder;
use crate::ffi::module::names;
use crate::ffi::{Any, Inst, Object, Own, Raised, Res, context, value};
use crate::handle::Handle;

/// Something that is due for a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// `connection_made` has been called: the loop may watch for data.
    Start,
    Readable,
    Writable,
    /// The protocol's last callback is due.
    Lost,
}

/// Runs it, in the transport's context.
#[inline]
pub(crate) fn dispatch<T: Transport>(this: &Inst<T>, event: Event) -> Res<()> {
    let common = this.common();
    let (Some(core), Some(ctx)) = (common.loop_.get(), common.context.get()) else {
        return Ok(());
    };
    match context::run(&ctx, || this.on_event(&core, event)) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(raised)) | Err(raised) => report(this, &core, event, raised),
    }
}

/// What no protocol callback's own rule covers is reported as asyncio reports a callback's
/// exception. Gives back what must leave the loop.
#[cold]
fn report<T: Transport>(
    this: &Inst<T>,
    core: &Inst<LoopCore>,
    event: Event,
    raised: Raised,
) -> Res<()> {
    if raised.is_exit() {
        return Err(raised);
    }
    let exception = raised.take();
    handle(this, core, event)?.report(Raised::raise(exception))
}

/// The handle that asyncio would have in its queue.
fn handle<T: Transport>(this: &Inst<T>, core: &Inst<LoopCore>, event: Event) -> Res<Own<Handle>> {
    let names = names();
    let common = this.common();
    let (method, arg) = match event {
        Event::Start => (&names._start_reading, None),
        Event::Readable => (&names._read_ready, None),
        Event::Writable => (&names._write_ready, None),
        Event::Lost => (
            &names._call_connection_lost,
            Some(common.lost_with.get_or_none()),
        ),
    };
    let args: Vec<&Any> = arg.iter().map(|arg| &**arg).collect();
    let ctx = common
        .context
        .get()
        .map_or_else(context::copy_current, Ok)?;
    Handle::create(
        this.as_any().getattr(method)?,
        &args,
        core.as_any().own(),
        ctx,
    )
}

/// For a report of a slow callback: a handle as in asyncio.
pub(crate) fn describe<T: Transport>(this: &Inst<T>, event: Event) -> Res<Object> {
    match this.common().loop_.get() {
        Some(core) => Ok(handle(this, &core, event)?.into_object()),
        None => Ok(this.as_any().own()),
    }
}

impl<T: Transport> Inst<T> {
    #[inline]
    fn on_event(&self, core: &Inst<LoopCore>, event: Event) -> Res<()> {
        let common = self.common();
        match event {
            // It may have been paused or closed since the kernel reported it. If it also was
            // resumed, the event is the former registration's: asyncio has cancelled its handle.
            Event::Readable
                if !common.reading.get() || common.reading_since.get() == core.iteration() =>
            {
                Ok(())
            }
            Event::Writable
                if !common.writing.get() || common.writing_since.get() == core.iteration() =>
            {
                Ok(())
            }
            Event::Readable | Event::Writable => T::on_ready(self, core, event),
            Event::Start => self.start_reading(core),
            Event::Lost => {
                let exception = common.lost_with.take();
                self.call_connection_lost(exception)
            }
        }
    }

    /// Puts an event into the queue that is not the kernel's.
    pub(super) fn schedule(&self, core: &Inst<LoopCore>, event: Event) -> Res<()> {
        if core.is_direct() {
            core.push(T::entry(self.own(), event));
            return Ok(());
        }
        if event == Event::Lost {
            let method = self.as_any().getattr(&names()._call_connection_lost)?;
            let exception = self.common().lost_with.get_or_none();
            return self.call_soon(core, &method, &[&exception]);
        }
        let method = self.as_any().getattr(&names()._start_reading)?;
        self.call_soon(core, &method, &[])
    }

    pub(super) fn start_reading(&self, core: &Inst<LoopCore>) -> Res<()> {
        let common = self.common();
        if common.closing.get() || common.paused.get() || common.reading.get() {
            return Ok(());
        }
        self.watch(core, Interest::READ)?;
        common.reading.set(true);
        common.reading_since.set(core.iteration());
        Ok(())
    }

    pub(super) fn start_writing(&self, core: &Inst<LoopCore>) -> Res<()> {
        let common = self.common();
        if common.writing.get() {
            return Ok(());
        }
        self.watch(core, Interest::WRITE)?;
        common.writing.set(true);
        common.writing_since.set(core.iteration());
        Ok(())
    }

    fn watch(&self, core: &Inst<LoopCore>, side: Interest) -> Res<()> {
        let replaced = core.watch(self.common().fd.get(), side, T::watcher(self.own()))?;
        replaced.map_or(Ok(()), Watcher::retire)
    }

    pub(super) fn stop_reading(&self, core: &Inst<LoopCore>) {
        if self.common().reading.replace(false) {
            self.unwatch(core, Interest::READ);
        }
    }

    pub(super) fn stop_writing(&self, core: &Inst<LoopCore>) {
        if self.common().writing.replace(false) {
            self.unwatch(core, Interest::WRITE);
        }
    }

    fn unwatch(&self, core: &Inst<LoopCore>, side: Interest) {
        let fd = self.common().fd.get();
        if core.is_watched_by(fd, side, self.as_any()) {
            drop(core.unwatch(fd, side));
        }
    }
}

fn by_hand<T: Transport>(this: &Inst<T>, event: Event) -> Res<Object> {
    if let Some(core) = this.common().loop_.get() {
        this.on_event(&core, event)?;
    }
    Ok(value::none())
}

fn start_reading<T: Transport>(this: &Inst<T>) -> Res<Object> {
    by_hand(this, Event::Start)
}

fn read_ready<T: Transport>(this: &Inst<T>) -> Res<Object> {
    by_hand(this, Event::Readable)
}

fn write_ready<T: Transport>(this: &Inst<T>) -> Res<Object> {
    by_hand(this, Event::Writable)
}

pub(super) fn methods<T: Transport>(b: TypeBuilder<T>) -> TypeBuilder<T> {
    b.method0(
        c"_start_reading",
        start_reading,
        c"_start_reading($self, /)\n--\n\nLet the loop watch for data.",
    )
    .method0(
        c"_read_ready",
        read_ready,
        c"_read_ready($self, /)\n--\n\nReceive once.",
    )
    .method0(
        c"_write_ready",
        write_ready,
        c"_write_ready($self, /)\n--\n\nSend what waits.",
    )
}
