//! What every transport is made of, and what each kind says of itself.

use std::cell::Cell;
use std::os::fd::RawFd;

use super::Event;
use crate::event_loop::{Entry, LoopCore, Watcher};
use crate::ffi::error::Kind;
use crate::ffi::module::{imports, names};
use crate::ffi::weak_list::Place;
use crate::ffi::{Any, Inst, Native, Object, Own, Res, Slot, SlotOf, Visit, value};
use crate::future::{Future, FutureLike};
use crate::handle::Handle;

/// The part of its state that a transport has whatever it sends through.
#[derive(Debug)]
pub(crate) struct Common {
    /// Gone after `connection_lost`, as are the file and the protocol.
    pub(super) loop_: SlotOf<LoopCore>,
    /// Python's socket or pipe.
    pub(super) file: Slot,
    pub(super) fd: Cell<RawFd>,
    pub(super) protocol: Slot,
    /// All callbacks run in it.
    pub(super) context: Slot,
    /// The dict behind `get_extra_info`.
    pub(super) extra: Slot,
    pub(super) paused: Cell<bool>,
    pub(super) closing: Cell<bool>,
    /// Not zero once `connection_lost` is scheduled; then it counts writes, as in asyncio.
    pub(super) conn_lost: Cell<u32>,
    /// What `connection_lost` will be told, while it is scheduled.
    pub(super) lost_with: Slot,
    /// Among the owners of descriptors.
    pub(super) place: Place,
    /// The loop watches the descriptor for us.
    pub(super) reading: Cell<bool>,
    pub(super) writing: Cell<bool>,
    /// The iterations in which that began.
    pub(super) reading_since: Cell<u32>,
    pub(super) writing_since: Cell<u32>,
}

impl Default for Common {
    fn default() -> Self {
        Common {
            loop_: SlotOf::default(),
            file: Slot::default(),
            fd: Cell::new(-1),
            protocol: Slot::default(),
            context: Slot::default(),
            extra: Slot::default(),
            paused: Cell::new(false),
            closing: Cell::new(false),
            conn_lost: Cell::new(0),
            lost_with: Slot::default(),
            place: Place::default(),
            reading: Cell::new(false),
            writing: Cell::new(false),
            reading_since: Cell::new(0),
            writing_since: Cell::new(0),
        }
    }
}

impl Common {
    fn slots(&self) -> [&Slot; 5] {
        [
            &self.file,
            &self.protocol,
            &self.context,
            &self.extra,
            &self.lost_with,
        ]
    }

    pub(super) fn visit(&self, visit: &mut Visit) {
        self.loop_.visit(visit);
        for slot in self.slots() {
            slot.visit(visit);
        }
    }

    pub(super) fn clear(&self) {
        self.loop_.clear();
        for slot in self.slots() {
            slot.clear();
        }
    }
}

/// A kind of transport.
pub(crate) trait Transport: Native {
    fn common(&self) -> &Common;
    /// What the loop has for it in its queue, and among its watchers.
    fn entry(this: Own<Self>, event: Event) -> Entry;
    fn watcher(this: Own<Self>) -> Watcher;
    /// The descriptor is readable or writable, which the transport waits for.
    fn on_ready(this: &Inst<Self>, core: &Inst<LoopCore>, event: Event) -> Res<()>;
    /// Whether an error that ends the transport is told to its protocol only.
    fn is_expected(exception: &Any) -> bool {
        exception.is_subtype_of(Kind::Os.as_any())
    }
    /// Puts into `extra` what was left out when the transport was made.
    fn complete_extra(_this: &Inst<Self>) -> Res<()> {
        Ok(())
    }
    /// The same for the two addresses only.
    fn complete_addresses(_this: &Inst<Self>) -> Res<()> {
        Ok(())
    }
    /// The socket for `get_extra_info`, if it is not in `extra`.
    fn extra_socket(_this: &Inst<Self>) -> Res<Option<Object>> {
        Ok(None)
    }
    /// Closes a descriptor that has no file in Python. Whether there was one.
    fn close_bare(_this: &Inst<Self>) -> Res<bool> {
        Ok(false)
    }
    /// Flushes corked data, so that the queue has what the kernel did not take.
    fn settle_output(_this: &Inst<Self>) -> Res<()> {
        Ok(())
    }
    /// Drops what waits to be sent.
    fn drop_output(&self) {}
    /// The protocol has had its last callback: lets go of everything.
    fn release(this: &Inst<Self>) -> Res<()>;
}

impl<T: Transport> Inst<T> {
    /// `loop.call_soon(callback, *args)` in the transport's context; at most two arguments.
    pub(super) fn call_soon(
        &self,
        core: &Inst<LoopCore>,
        callback: &Any,
        args: &[&Any],
    ) -> Res<()> {
        let Some(ctx) = self.common().context.get() else {
            return Ok(());
        };
        if core.is_direct() {
            let handle = Handle::create(callback.own(), args, core.as_any().own(), ctx)?;
            core.push(Entry::Handle(handle));
            return Ok(());
        }
        // In debug mode, on a closed loop, and where a derived class has its own call_soon.
        let call_soon = core.as_any().getattr(&names().call_soon)?;
        let mut all = vec![callback];
        all.extend(args);
        all.push(&ctx);
        call_soon
            .call_names(&all, &imports().context_names)
            .map(drop)
    }

    /// The first three callbacks of a transport: each is an entry of its own in the queue, as in
    /// asyncio.
    pub(super) fn begin(
        &self,
        core: &Inst<LoopCore>,
        protocol: &Any,
        waiter: Option<&Any>,
    ) -> Res<()> {
        let made = protocol.getattr(&names().connection_made)?;
        self.call_soon(core, &made, &[self.as_any()])?;
        self.schedule(core, Event::Start)?;
        let Some(waiter) = waiter.filter(|waiter| !waiter.is_none()) else {
            return Ok(());
        };
        if core.is_direct()
            && let Some(future) = waiter.as_exact::<Future>()
        {
            future.future().lay_result(value::none());
            core.push(Entry::Resolve(future.own()));
            return Ok(());
        }
        self.call_soon(
            core,
            &imports().set_result_unless_cancelled,
            &[waiter, value::none_ref()],
        )
    }

    /// `logger.debug(message, transport)`.
    #[cold]
    pub(super) fn log_debug(&self, message: &str) -> Res<()> {
        self.log(&names().debug, message)
    }

    #[cold]
    pub(super) fn log(&self, level: &Any, message: &str) -> Res<()> {
        let logger = &imports().logger;
        logger.call_method2(level, &*value::text(message)?, self.as_any())?;
        Ok(())
    }

    pub(super) fn call_exception_handler(&self, message: &str, exception: &Any) -> Res<()> {
        let common = self.common();
        let Some(core) = common.loop_.get() else {
            return Ok(());
        };
        let names = names();
        let report = value::dict()?;
        report.dict_set(&names.message, &*value::text(message)?)?;
        report.dict_set(&names.exception, exception)?;
        report.dict_set(&names.transport, self.as_any())?;
        report.dict_set(&names.protocol, &common.protocol.get_or_none())?;
        core.as_any()
            .call_method1(&names.call_exception_handler, &report)?;
        Ok(())
    }

    /// `file.close()`, once.
    pub(super) fn close_file(&self) -> Res<()> {
        if T::close_bare(self)? {
            return Ok(());
        }
        match self.common().file.take() {
            Some(file) => file.call_method0(&names().close).map(drop),
            None => Ok(()),
        }
    }

    /// The class's name, for the repr.
    pub(super) fn class_name(&self) -> Res<String> {
        let name = self.as_any().class().getattr(&names().__name__)?;
        Ok(name.text_lossy())
    }
}

/// An argument that was given, and is not `None`.
pub(super) fn given(argument: Option<&Any>) -> Option<&Any> {
    argument.filter(|argument| !argument.is_none())
}

/// `None` or the object.
pub(super) fn some(argument: &Any) -> Option<Object> {
    (!argument.is_none()).then(|| argument.own())
}
