//! What the loop calls: each entry of the queue that concerns a transport.

use aioxide_driver::reactor::Interest;

use super::StreamTransport;
use crate::event_loop::{Entry, LoopCore, Watcher};
use crate::ffi::method::TypeBuilder;
use crate::ffi::module::names;
use crate::ffi::{Any, Inst, Object, Raised, Res, context, value};
use crate::handle::Handle;

const EBADF: i32 = 9;

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
pub(crate) fn dispatch(this: &Inst<StreamTransport>, event: Event) -> Res<()> {
    let (Some(core), Some(ctx)) = (this.loop_.get(), this.context.get()) else {
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
fn report(
    this: &Inst<StreamTransport>,
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
fn handle(
    this: &Inst<StreamTransport>,
    core: &Inst<LoopCore>,
    event: Event,
) -> Res<crate::ffi::Own<Handle>> {
    let names = names();
    let (method, arg) = match event {
        Event::Start => (&names._start_reading, None),
        Event::Readable => (&names._read_ready, None),
        Event::Writable => (&names._write_ready, None),
        Event::Lost => (
            &names._call_connection_lost,
            Some(this.lost_with.get_or_none()),
        ),
    };
    let args: Vec<&Any> = arg.iter().map(|arg| &**arg).collect();
    let ctx = this.context.get().map_or_else(context::copy_current, Ok)?;
    Handle::create(
        this.as_any().getattr(method)?,
        &args,
        core.as_any().own(),
        ctx,
    )
}

/// For a report of a slow callback: a handle as in asyncio.
pub(crate) fn describe(this: &Inst<StreamTransport>, event: Event) -> Res<Object> {
    match this.loop_.get() {
        Some(core) => Ok(handle(this, &core, event)?.into_object()),
        None => Ok(this.as_any().own()),
    }
}

impl Inst<StreamTransport> {
    #[inline]
    fn on_event(&self, core: &Inst<LoopCore>, event: Event) -> Res<()> {
        match event {
            Event::Readable if self.reading.get() => self.read_ready(core),
            Event::Writable if self.writing.get() => self.write_ready(core),
            Event::Readable | Event::Writable => Ok(()),
            Event::Start => self.start_reading(core),
            Event::Lost => {
                let exception = self.lost_with.take();
                self.call_connection_lost(exception)
            }
        }
    }

    /// Puts an event into the queue that is not the kernel's.
    pub(super) fn schedule(&self, core: &Inst<LoopCore>, event: Event) -> Res<()> {
        if core.is_direct() {
            core.push(Entry::Transport(self.own(), event));
            return Ok(());
        }
        if event == Event::Lost {
            let method = self.as_any().getattr(&names()._call_connection_lost)?;
            let exception = self.lost_with.get_or_none();
            return self.call_soon(core, &method, &[&exception]);
        }
        let method = self.as_any().getattr(&names()._start_reading)?;
        self.call_soon(core, &method, &[])
    }

    pub(super) fn start_reading(&self, core: &Inst<LoopCore>) -> Res<()> {
        if self.closing.get() || self.paused.get() || self.reading.get() {
            return Ok(());
        }
        self.watch(core, Interest::READ)?;
        self.reading.set(true);
        Ok(())
    }

    pub(super) fn start_writing(&self, core: &Inst<LoopCore>) -> Res<()> {
        if self.writing.get() {
            return Ok(());
        }
        self.watch(core, Interest::WRITE)?;
        self.writing.set(true);
        Ok(())
    }

    fn watch(&self, core: &Inst<LoopCore>, side: Interest) -> Res<()> {
        let replaced = core.watch(self.fd.get(), side, Watcher::Transport(self.own()))?;
        replaced.map_or(Ok(()), Watcher::retire)
    }

    pub(super) fn stop_reading(&self, core: &Inst<LoopCore>) {
        if self.reading.replace(false) {
            self.unwatch(core, Interest::READ);
        }
    }

    pub(super) fn stop_writing(&self, core: &Inst<LoopCore>) {
        if self.writing.replace(false) {
            self.unwatch(core, Interest::WRITE);
        }
    }

    fn unwatch(&self, core: &Inst<LoopCore>, side: Interest) {
        let fd = self.fd.get();
        if core.is_watched_by(fd, side, self) {
            drop(core.unwatch(fd, side));
        }
    }

    /// The error of a socket that somebody closed under us: its number may be another's by now.
    ///
    /// Nobody else has the sockets that we accepted ourselves.
    #[inline]
    pub(super) fn check_descriptor(&self) -> Res<()> {
        if self.foreign.get()
            && let Some(sock) = self.sock.get()
            && sock.call_method0(&names().fileno)?.to_i64()? != i64::from(self.fd.get())
        {
            return Err(Raised::os(&std::io::Error::from_raw_os_error(EBADF)));
        }
        Ok(())
    }
}

fn by_hand(this: &Inst<StreamTransport>, event: Event) -> Res<Object> {
    if let Some(core) = this.loop_.get() {
        this.on_event(&core, event)?;
    }
    Ok(value::none())
}

fn start_reading(this: &Inst<StreamTransport>) -> Res<Object> {
    by_hand(this, Event::Start)
}

fn read_ready(this: &Inst<StreamTransport>) -> Res<Object> {
    by_hand(this, Event::Readable)
}

fn write_ready(this: &Inst<StreamTransport>) -> Res<Object> {
    by_hand(this, Event::Writable)
}

pub(super) fn methods(b: TypeBuilder<StreamTransport>) -> TypeBuilder<StreamTransport> {
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
