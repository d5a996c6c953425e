//! Corking: what is written in a turn of the loop leaves when the turn is over, in one system call
//! for each connection, where asyncio makes one for each `write`.
//!
//! A response in three pieces then costs one call; and the calls of all connections follow each
//! other, so that handlers do not evict the kernel from the caches and the kernel the handlers,
//! and a peer on another core is woken once for many answers. What a transport has in the [`Cork`]
//! is sent
//!
//! * when the turn is over, however it ends, or as soon as [`tuning::CORK_TRANSPORTS`] others wait;
//! * at once when it is as much as [`tuning::CORK`] or the transport's high-water mark: so what a socket
//!   does not take of it later is never a reason to pause the protocol, and `pause_writing()` is
//!   called inside `write()`, as by asyncio;
//! * before whatever could tell the difference: closing, `write_eof`, `drain`, sendfile, the size
//!   of the buffer, the socket, a fork.
//!
//! Only where the transport's own queue is empty: behind what waits for the socket, nothing is
//! gained. Outside of turns (another thread, a destructor while the loop sleeps) nothing is held
//! back, since nothing would end it.

use std::cell::{Cell, RefCell};

use aioxide_driver::sys;

use super::StreamTransport;
use super::out_queue::{Chunk, OutQueue};
use super::reader::is_not_ready;
use super::writer::WRITE_ERROR;
use crate::event_loop::LoopCore;
use crate::ffi::method::TypeBuilder;
use crate::ffi::{Any, Inst, Object, Own, Raised, Res, Visit, value};
use crate::tuning;

/// What one transport has written in this turn.
#[derive(Debug)]
struct Held {
    /// Gone once it was sent.
    transport: Option<Own<StreamTransport>>,
    queue: OutQueue,
}

/// What waits for the end of the turn.
#[derive(Debug, Default)]
pub(crate) struct Cork {
    /// A turn runs.
    open: Cell<bool>,
    /// In the order of the first writes. A transport knows its place.
    held: RefCell<Vec<Held>>,
    /// Emptied queues with their memory, for the next turn.
    spare: RefCell<Vec<OutQueue>>,
}

/// A transport's place among those that hold something back, counted from 1; 0 if it does not.
#[derive(Debug, Default)]
pub(super) struct Place(Cell<u32>);

impl Place {
    fn set(&self, index: usize) {
        self.0.set(u32::try_from(index + 1).unwrap_or(0));
    }

    fn take(&self) -> Option<usize> {
        (self.0.take() as usize).checked_sub(1)
    }

    fn get(&self) -> Option<usize> {
        (self.0.get() as usize).checked_sub(1)
    }
}

impl Cork {
    pub(crate) fn visit(&self, visit: &mut Visit) {
        let Ok(held) = self.held.try_borrow() else {
            return;
        };
        for each in &*held {
            if let Some(transport) = &each.transport {
                visit.native(transport);
            }
            each.queue.traverse(visit);
        }
    }

    pub(crate) fn clear(&self) {
        drop(self.held.take());
    }

    /// Turns run from now on, or no more.
    #[inline(always)]
    pub(crate) fn set_open(&self, open: bool) {
        self.open.set(open);
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.held.borrow().is_empty()
    }

    /// What stands at this place, and is there no more; `None` at the end.
    fn part(&self, index: usize) -> Option<(Option<Own<StreamTransport>>, OutQueue)> {
        let mut held = self.held.borrow_mut();
        let each = held.get_mut(index)?;
        Some((each.transport.take(), std::mem::take(&mut each.queue)))
    }
}

impl Inst<LoopCore> {
    /// The turn is over: sends what it has written. What fails ends the connection.
    pub(crate) fn uncork(&self) {
        let cork = self.cork();
        // One by one, in place: bytes may have a destructor, which may write.
        let mut index = 0;
        while let Some((transport, queue)) = cork.part(index) {
            if let Some(transport) = transport {
                transport.corked.take();
                transport.unraisable(transport.send_held(self, queue));
            }
            index += 1;
        }
        cork.held.borrow_mut().clear();
    }
}

impl Inst<StreamTransport> {
    /// Holds `data` back, if that is allowed now; `slice` is all of its memory, and not empty.
    ///
    /// To be called where nothing waits in the transport's own queue.
    #[inline]
    pub(super) fn cork(&self, data: &Any, slice: &[u8]) -> Option<Res<()>> {
        let core = self.common.loop_.get()?;
        let index = self.hold_back(&core)?;
        let size = {
            let mut held = core.cork().held.borrow_mut();
            let queue = &mut held.get_mut(index)?.queue;
            let chunk = if queue.len() < tuning::CORK_PIECES {
                Chunk::whole(data, slice)
            } else {
                Chunk::of(data, slice, 0)
            };
            queue.push(chunk);
            queue.size()
        };
        Some(self.send_if_much(&core, size))
    }

    /// The same for several pieces; gives them back if it is not allowed.
    pub(super) fn cork_all(&self, chunks: Vec<Chunk>) -> Result<Res<()>, Vec<Chunk>> {
        let Some(core) = self.common.loop_.get() else {
            return Err(chunks);
        };
        let Some(index) = self.hold_back(&core) else {
            return Err(chunks);
        };
        let size = {
            let mut held = core.cork().held.borrow_mut();
            let Some(each) = held.get_mut(index) else {
                return Err(chunks);
            };
            for chunk in chunks {
                each.queue.push(chunk);
            }
            each.queue.size()
        };
        Ok(self.send_if_much(&core, size))
    }

    /// Where this transport may put what it writes now, if it may.
    #[inline]
    fn hold_back(&self, core: &Inst<LoopCore>) -> Option<usize> {
        if let Some(index) = self.corked.get() {
            return Some(index);
        }
        let all = core.cork();
        if !all.open.get() {
            return None;
        }
        if all.held.borrow().len() >= tuning::CORK_TRANSPORTS {
            core.uncork();
        }
        let mut held = all.held.borrow_mut();
        let index = held.len();
        held.push(Held {
            transport: Some(self.own()),
            queue: all.spare.borrow_mut().pop().unwrap_or_default(),
        });
        self.corked.set(index);
        Some(index)
    }

    #[inline]
    fn send_if_much(&self, core: &Inst<LoopCore>, size: usize) -> Res<()> {
        if size as u64 <= self.out.flow.get().high().min(tuning::CORK) {
            return Ok(());
        }
        match self.corked.take().and_then(|index| core.cork().part(index)) {
            Some((_, queue)) => self.send_held(core, queue),
            None => Ok(()),
        }
    }

    /// Sends what is held back for this transport, before something that could tell.
    pub(crate) fn uncork(&self) {
        if self.corked.get().is_some()
            && let Some(core) = self.common.loop_.get()
            && let Some(index) = self.corked.take()
            && let Some((_, queue)) = core.cork().part(index)
        {
            self.unraisable(self.send_held(&core, queue));
        }
    }

    /// Sends what was held back. What the socket does not take waits in the transport's own queue.
    fn send_held(&self, core: &Inst<LoopCore>, mut queue: OutQueue) -> Res<()> {
        let mut sent = match self.try_held(core, &queue) {
            Ok(sent) => sent,
            Err(raised) => {
                let exception = raised.take();
                drop(queue);
                return self.fatal_error(exception, WRITE_ERROR);
            }
        };
        if sent == queue.size() {
            while let Some(chunk) = queue.pop_sent(&mut sent) {
                drop(chunk);
            }
            core.cork().spare.borrow_mut().push(queue);
            return Ok(());
        }
        // What is dropped may write again, and that comes behind.
        let mut gone = Vec::new();
        while sent > 0
            && let Some(chunk) = queue.pop_sent(&mut sent)
        {
            gone.push(chunk);
        }
        drop(self.out.queue.replace(queue));
        self.start_writing(core)?;
        self.queue_has_grown()
    }

    /// The system call; how much the socket took.
    #[inline]
    fn try_held(&self, core: &Inst<LoopCore>, queue: &OutQueue) -> Res<usize> {
        self.check_descriptor()?;
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
        c"_uncork($self, /)\n--\n\nSend what this turn has written so far. For a fork.",
    )
}
