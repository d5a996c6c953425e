//! Corking: what is written in a turn of the loop leaves when the turn is over, in one system call
//! for each connection, where asyncio makes one for each `write`.
//!
//! A response in three pieces then costs one call; and the calls of all connections follow each
//! other, so that handlers do not evict the kernel from the caches and the kernel the handlers,
//! and a peer on another core is woken once for many answers. What a transport has in the [`Cork`]
//! is sent
//!
//! * when the turn is over, however it ends, or as soon as [`tuning::CORK_TRANSPORTS`] of them wait,
//!   or [`tuning::CORK_ALL`] bytes;
//! * at once when it is as much as [`tuning::CORK`] or the transport's high-water mark: so what a socket
//!   does not take of it later is never a reason to pause the protocol, and `pause_writing()` is
//!   called inside `write()`, as by asyncio;
//! * before whatever could tell the difference: closing, `write_eof`, `drain`, sendfile, the size
//!   of the buffer, the socket, a fork.
//!
//! An object that only looks like a socket, as tests have it, is written to at once.
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
use crate::ffi::buffer::bytes_slice;
use crate::ffi::method::TypeBuilder;
use crate::ffi::{Any, Inst, Object, Own, Raised, Res, Visit, value};
use crate::tuning;

/// What one transport has written in this turn.
#[derive(Debug, Default)]
struct Held {
    /// Gone once it was sent.
    transport: Option<Own<StreamTransport>>,
    /// One `bytes` that is all there is, as mostly; else it is in the queue with the others.
    only: Option<Object>,
    queue: OutQueue,
}

impl Held {
    /// The queue of all that was written.
    fn queue(&mut self, cork: &Cork) -> &mut OutQueue {
        if let Some(only) = self.only.take() {
            self.queue = cork.spare();
            self.queue.push(Chunk::lent(&only, 0));
        }
        &mut self.queue
    }
}

/// What waits for the end of the turn.
#[derive(Debug, Default)]
pub(crate) struct Cork {
    /// A turn runs.
    open: Cell<bool>,
    /// In the order of the first writes. A transport knows its place.
    held: RefCell<Vec<Held>>,
    /// How many bytes they hold back, all together.
    bytes: Cell<usize>,
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
            if let Some(only) = &each.only {
                visit.object(only);
            }
            each.queue.traverse(visit);
        }
    }

    pub(crate) fn clear(&self) {
        self.bytes.set(0);
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
    #[inline]
    fn part(&self, index: usize) -> Option<Held> {
        self.held.borrow_mut().get_mut(index).map(std::mem::take)
    }

    #[inline(always)]
    fn grow(&self, size: usize) {
        self.bytes.set(self.bytes.get().saturating_add(size));
    }

    #[inline(always)]
    fn shrink(&self, size: usize) {
        self.bytes.set(self.bytes.get().saturating_sub(size));
    }

    fn spare(&self) -> OutQueue {
        self.spare.borrow_mut().pop().unwrap_or_default()
    }
}

impl Inst<LoopCore> {
    /// Sends what is held back if it is much, or of so many transports. Only after a write was held
    /// back, and not between looking at its transport and holding back: bytes have destructors.
    #[inline]
    fn send_if_many(&self) {
        let cork = self.cork();
        if cork.held.borrow().len() >= tuning::CORK_TRANSPORTS
            || cork.bytes.get() >= tuning::CORK_ALL
        {
            self.uncork();
        }
    }

    /// The turn is over: sends what it has written. What fails ends the connection.
    pub(crate) fn uncork(&self) {
        let cork = self.cork();
        // One by one, in place: bytes may have a destructor, which may write.
        let mut index = 0;
        while let Some(mut held) = cork.part(index) {
            if let Some(transport) = held.transport.take() {
                transport.corked.take();
                transport.unraisable(transport.send_held(self, held));
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
        let Some(index) = self.corked.get() else {
            // What is much would be sent at once.
            if slice.len() as u64 > self.most_held()
                || self.stand_in.get()
                || !core.cork().open.get()
            {
                return None;
            }
            let mut held = Held {
                transport: Some(self.own()),
                ..Held::default()
            };
            if bytes_slice(data).is_some() {
                held.only = Some(data.own());
            } else {
                held.queue = core.cork().spare();
                held.queue.push(Chunk::copied(slice));
            }
            self.hold(&core, held);
            core.cork().grow(slice.len());
            core.send_if_many();
            return Some(Ok(()));
        };
        let size = {
            let all = core.cork();
            let mut held = all.held.borrow_mut();
            let queue = held.get_mut(index)?.queue(all);
            let chunk = if queue.len() < tuning::CORK_PIECES {
                Chunk::whole(data, slice)
            } else {
                Chunk::of(data, slice, 0)
            };
            queue.push(chunk);
            all.grow(slice.len());
            queue.size()
        };
        let sent = self.send_if_much(&core, size);
        core.send_if_many();
        Some(sent)
    }

    /// The same for several pieces; gives them back if it is not allowed.
    pub(super) fn cork_all(&self, chunks: Vec<Chunk>) -> Result<Res<()>, Vec<Chunk>> {
        let Some(core) = self.common.loop_.get() else {
            return Err(chunks);
        };
        if self.corked.get().is_none() {
            if self.stand_in.get() || !core.cork().open.get() {
                return Err(chunks);
            }
            let held = Held {
                transport: Some(self.own()),
                only: None,
                queue: core.cork().spare(),
            };
            self.hold(&core, held);
        }
        let size = {
            let all = core.cork();
            let mut held = all.held.borrow_mut();
            let Some(each) = self.corked.get().and_then(|index| held.get_mut(index)) else {
                return Err(chunks);
            };
            let queue = each.queue(all);
            let before = queue.size();
            for chunk in chunks {
                queue.push(chunk);
            }
            all.grow(queue.size() - before);
            queue.size()
        };
        let sent = self.send_if_much(&core, size);
        core.send_if_many();
        Ok(sent)
    }

    #[inline]
    fn hold(&self, core: &Inst<LoopCore>, held: Held) {
        let mut all = core.cork().held.borrow_mut();
        self.corked.set(all.len());
        all.push(held);
    }

    #[inline]
    fn most_held(&self) -> u64 {
        self.out.flow.get().high().min(tuning::CORK)
    }

    #[inline]
    fn send_if_much(&self, core: &Inst<LoopCore>, size: usize) -> Res<()> {
        if size as u64 <= self.most_held() {
            return Ok(());
        }
        match self.corked.take().and_then(|index| core.cork().part(index)) {
            Some(held) => self.send_held(core, held),
            None => Ok(()),
        }
    }

    /// Sends what is held back for this transport, before something that could tell.
    pub(crate) fn uncork(&self) {
        if self.corked.get().is_some()
            && let Some(core) = self.common.loop_.get()
            && let Some(index) = self.corked.take()
            && let Some(held) = core.cork().part(index)
        {
            self.unraisable(self.send_held(&core, held));
        }
    }

    /// Sends what was held back. What the socket does not take waits in the transport's own queue.
    #[inline]
    fn send_held(&self, core: &Inst<LoopCore>, mut held: Held) -> Res<()> {
        core.expect_events();
        let size = match &held.only {
            Some(only) => bytes_slice(only).map_or(0, <[u8]>::len),
            None => held.queue.size(),
        };
        core.cork().shrink(size);
        match self.try_held(core, &held) {
            Ok(mut sent) if sent == size => {
                if held.only.is_none() {
                    while let Some(chunk) = held.queue.pop_sent(&mut sent) {
                        drop(chunk);
                    }
                    core.cork().spare.borrow_mut().push(held.queue);
                }
                Ok(())
            }
            Ok(sent) => self.keep(core, held, sent),
            Err(raised) => {
                let exception = raised.take();
                drop(held);
                self.fatal_error(exception, WRITE_ERROR)
            }
        }
    }

    /// The socket has taken only a part.
    #[cold]
    fn keep(&self, core: &Inst<LoopCore>, mut held: Held, mut sent: usize) -> Res<()> {
        let mut queue = std::mem::take(held.queue(core.cork()));
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
    fn try_held(&self, core: &Inst<LoopCore>, held: &Held) -> Res<usize> {
        self.check_descriptor()?;
        let fd = self.common.fd.get();
        let sent = if let Some(only) = &held.only {
            sys::send(fd, bytes_slice(only).unwrap_or_default())
        } else {
            match held
                .queue
                .gathered(tuning::CORK_GATHER, &mut core.scratch())
            {
                Some(data) => sys::send(fd, data),
                None => held.queue.send(fd),
            }
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
