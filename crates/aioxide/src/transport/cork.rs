//! Corking: what is written while an entry of the loop's queue runs leaves when the entry is over,
//! in one system call, where asyncio makes one for each `write`.
//!
//! A loop has one [`Cork`], for one transport at a time. What is in it is sent
//!
//! * when the entry (a protocol's callback, a step of a task, a handle) is over, however it ends;
//! * at once when it is as much as [`tuning::CORK`] or the transport's high-water mark: so what a socket
//!   does not take of it later is never a reason to pause the protocol, and `pause_writing()` is
//!   called inside `write()`, as by asyncio;
//! * before another transport writes, and before whatever could tell the difference: closing,
//!   `write_eof`, `drain`, sendfile, the size of the buffer, the socket, a fork.
//!
//! Only where the transport's own queue is empty: behind what waits for the socket, nothing is
//! gained. Outside of entries (another thread, a destructor while the loop sleeps) nothing is held
//! back, since nothing would end it.

use std::cell::{Cell, RefCell};

use aioxide_driver::sys;

use super::StreamTransport;
use super::flow::drop_sent;
use super::out_queue::{Chunk, OutQueue};
use super::reader::is_not_ready;
use super::writer::WRITE_ERROR;
use crate::event_loop::LoopCore;
use crate::ffi::method::TypeBuilder;
use crate::ffi::{Any, Inst, Object, Own, Raised, Res, SlotOf, Visit, value};
use crate::tuning;

/// What waits for the end of the entry.
#[derive(Debug, Default)]
pub(crate) struct Cork {
    /// An entry runs.
    open: Cell<bool>,
    /// Whose bytes these are.
    transport: SlotOf<StreamTransport>,
    queue: RefCell<OutQueue>,
}

impl Cork {
    pub(crate) fn visit(&self, visit: &mut Visit) {
        self.transport.visit(visit);
        if let Ok(queue) = self.queue.try_borrow() {
            queue.traverse(visit);
        }
    }

    pub(crate) fn clear(&self) {
        self.transport.clear();
        drop(self.queue.take());
    }

    /// Entries run from now on, or no more.
    #[inline(always)]
    pub(crate) fn set_open(&self, open: bool) {
        self.open.set(open);
    }
}

impl Inst<LoopCore> {
    /// An entry is over: sends what it has written.
    #[inline(always)]
    pub(crate) fn uncork(&self) {
        if self.cork().transport.is_some() {
            self.send_corked();
        }
    }

    /// For when the writer is not there to be told: what fails ends the connection.
    fn send_corked(&self) {
        if let Some(transport) = self.cork().transport.take() {
            transport.unraisable(transport.send_corked(self));
        }
    }
}

impl Inst<StreamTransport> {
    /// Holds `data` back, if that is allowed now; `slice` is all of its memory, and not empty.
    ///
    /// To be called where nothing waits in the transport's own queue.
    #[inline]
    pub(super) fn cork(&self, data: &Any, slice: &[u8]) -> Option<Res<()>> {
        let core = self.hold_back()?;
        {
            let mut queue = core.cork().queue.borrow_mut();
            let chunk = if queue.len() < tuning::CORK_PIECES {
                Chunk::whole(data, slice)
            } else {
                Chunk::of(data, slice, 0)
            };
            queue.push(chunk);
        }
        Some(self.send_if_much(&core))
    }

    /// The same for several pieces; gives them back if it is not allowed.
    pub(super) fn cork_all(&self, chunks: Vec<Chunk>) -> Result<Res<()>, Vec<Chunk>> {
        let Some(core) = self.hold_back() else {
            return Err(chunks);
        };
        for chunk in chunks {
            core.cork().queue.borrow_mut().push(chunk);
        }
        Ok(self.send_if_much(&core))
    }

    /// The loop, if it has a place for what is written now, which then is ours.
    #[inline]
    fn hold_back(&self) -> Option<Own<LoopCore>> {
        let core = self.common.loop_.get()?;
        if !core.cork().open.get() {
            return None;
        }
        if !self.is_corked(&core) {
            core.uncork();
            core.cork().transport.set(self.own());
        }
        Some(core)
    }

    #[inline]
    fn send_if_much(&self, core: &Inst<LoopCore>) -> Res<()> {
        let size = core.cork().queue.borrow().size() as u64;
        let most = self.out.flow.get().high().min(tuning::CORK);
        if size <= most {
            return Ok(());
        }
        core.cork().transport.clear();
        self.send_corked(core)
    }

    #[inline(always)]
    fn is_corked(&self, core: &Inst<LoopCore>) -> bool {
        core.cork().transport.address() == Some(self.as_any().address())
    }

    /// Sends what is held back for this transport, before something that could tell.
    pub(crate) fn uncork(&self) {
        if let Some(core) = self.common.loop_.get()
            && self.is_corked(&core)
        {
            core.send_corked();
        }
    }

    /// Sends what is in the cork, which is ours and which we have left.
    fn send_corked(&self, core: &Inst<LoopCore>) -> Res<()> {
        let held = &core.cork().queue;
        match self.try_corked(core) {
            Ok(sent) => drop_sent(held, sent),
            Err(raised) => {
                let exception = raised.take();
                drop(held.take());
                return self.fatal_error(exception, WRITE_ERROR);
            }
        }
        if held.borrow().is_empty() {
            return Ok(());
        }
        std::mem::swap(&mut *held.borrow_mut(), &mut *self.out.queue.borrow_mut());
        self.start_writing(core)?;
        self.queue_has_grown()
    }

    /// The system call; how much the socket took.
    #[inline]
    fn try_corked(&self, core: &Inst<LoopCore>) -> Res<usize> {
        self.check_descriptor()?;
        let queue = core.cork().queue.borrow();
        let sent = match queue.gathered(tuning::CORK_GATHER, &mut core.scratch()) {
            Some(data) => sys::send(self.common.fd.get(), data),
            None => queue.send(self.common.fd.get()),
        };
        sent.or_else(|error| {
            if is_not_ready(&error) {
                Ok(0)
            } else {
                Err(Raised::os(&error))
            }
        })
    }
}

fn uncork(this: &Inst<LoopCore>) -> Res<Object> {
    this.uncork();
    Ok(value::none())
}

/// The loop's side.
pub(crate) fn hooks(b: TypeBuilder<LoopCore>) -> TypeBuilder<LoopCore> {
    b.method0(
        c"_uncork",
        uncork,
        c"_uncork($self, /)\n--\n\nSend what the running callback has written so far. For a fork.",
    )
}
