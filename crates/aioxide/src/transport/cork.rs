//! Corking: writes of one iteration are flushed at its end, in one system call for each connection,
//! where asyncio makes one for each `write`.
//!
//! A response in three pieces then costs one call; and the calls of all connections follow each
//! other, so that handlers do not evict the kernel from the caches and the kernel the handlers,
//! and a peer on another core is woken once for many answers.
//!
//! **Corked data is in the transport's own queue**, and nowhere else: so it can neither be reordered
//! nor reach another connection, whatever runs while it is flushed. A transport is *corked* while its
//! queue waits for the end of the iteration instead of for the socket to become writable. The
//! loop's [`Cork`] is a list of transports to flush. It owns no data, and nothing refers to a place
//! in it.
//!
//! A transport is flushed
//!
//! * at the end of the iteration, however it ends, or as soon as [`tuning::CORK_TRANSPORTS`]
//!   transports or [`tuning::CORK_ALL`] bytes are corked;
//! * at once when more than [`tuning::CORK`] bytes or its high-water mark are corked: so what a socket
//!   does not take of them later is never a reason to pause the protocol, and `pause_writing()` is
//!   called inside `write()`, as by asyncio;
//! * before anything that could tell the difference: closing, `is_closing()`, `write_eof`, `drain`,
//!   sendfile, the size of the buffer, `repr`, the socket, a fork.
//!
//! It is never corked while somebody else can write to its descriptor ([`exposed`]).
//!
//! **While transports are flushed, nothing is corked**: finalizers of sent bytes, log handlers and
//! exception handlers write directly, or behind what is queued. Outside of iterations (another
//! thread, a destructor while the loop sleeps) nothing is corked either, since nothing would flush it.
//!
//! [`exposed`]: Inst::<StreamTransport>::is_exposed

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use super::StreamTransport;
use super::event::Event;
use super::out_queue::{Chunk, Chunks, OutQueue};
use super::reader::is_not_ready;
use crate::event_loop::LoopCore;
use crate::ffi::method::TypeBuilder;
use crate::ffi::{Any, Inst, Object, Own, Raised, Res, Visit, value};
use crate::tuning;

/// The transports to flush at the end of the iteration.
#[derive(Debug, Default)]
pub(crate) struct Cork {
    /// An iteration runs its callbacks, and no transports are being flushed.
    open: Cell<bool>,
    /// In the order of their first writes; each is in it at most once. One that was flushed meanwhile
    /// stays in it: the transport itself knows whether it is corked.
    transports: RefCell<VecDeque<Own<StreamTransport>>>,
    /// How many bytes are corked in all transports.
    bytes: Cell<usize>,
    /// Empty lists of chunks with their memory, for the next iteration.
    #[allow(clippy::vec_box, reason = "a queue takes the box, and gives it back")]
    spare: RefCell<Vec<Box<Chunks>>>,
}

impl Cork {
    pub(crate) fn visit(&self, visit: &mut Visit) {
        if let Ok(transports) = self.transports.try_borrow() {
            for transport in &*transports {
                visit.native(transport);
            }
        }
    }

    pub(crate) fn clear(&self) {
        drop(self.transports.take());
    }

    /// Callbacks run from now on, or no more.
    #[inline(always)]
    pub(crate) fn set_open(&self, open: bool) {
        self.open.set(open);
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.transports.borrow().is_empty()
    }

    /// Removes the first transport. Nothing stays borrowed.
    #[inline]
    fn next(&self) -> Option<Own<StreamTransport>> {
        self.transports.borrow_mut().pop_front()
    }

    #[inline(always)]
    fn grow(&self, size: usize) {
        self.bytes.set(self.bytes.get().saturating_add(size));
    }

    #[inline(always)]
    fn shrink(&self, size: usize) {
        self.bytes.set(self.bytes.get().saturating_sub(size));
    }

    #[allow(clippy::unnecessary_box_returns, reason = "a queue takes the box")]
    fn spare(&self) -> Box<Chunks> {
        self.spare.borrow_mut().pop().unwrap_or_default()
    }

    /// Drops what was sent, and keeps the list's memory.
    #[inline]
    fn recycle(&self, sent: OutQueue) {
        if let OutQueue::Many(mut chunks) = sent {
            chunks.clear();
            let mut spare = self.spare.borrow_mut();
            if spare.len() < tuning::CORK_TRANSPORTS {
                spare.push(chunks);
            }
        }
    }
}

impl Inst<LoopCore> {
    /// Flushes all corked transports. A failed write ends its connection and nothing else.
    ///
    /// An error is an exception that ends the program, raised by a handler.
    pub(crate) fn uncork(&self) -> Res<()> {
        let cork = self.cork();
        let open = cork.open.replace(false);
        let mut exit = None;
        // One by one: Python may run inside, and flush the rest (a fork in a finalizer).
        while let Some(transport) = cork.next() {
            transport.listed.set(false);
            if let Err(raised) = transport.uncork() {
                let exception = raised.take();
                exit.get_or_insert(exception);
            }
        }
        cork.open.set(open);
        exit.map_or(Ok(()), |exception| Err(Raised::raise(exception)))
    }

    /// Flushes all if too much is corked. Only after a write was queued: bytes have destructors.
    #[inline]
    fn uncork_if_many(&self) -> Res<()> {
        let cork = self.cork();
        if cork.transports.borrow().len() >= tuning::CORK_TRANSPORTS
            || cork.bytes.get() >= tuning::CORK_ALL
        {
            self.uncork()
        } else {
            Ok(())
        }
    }
}

impl Inst<StreamTransport> {
    /// Corks `data`, if that is allowed now; `slice` is all of its memory, and not empty.
    ///
    /// To be called where the queue is empty or corked; in the latter case it is always allowed.
    #[inline]
    pub(super) fn cork(&self, data: &Any, slice: &[u8]) -> Option<Res<()>> {
        let core = self.common.loop_.get()?;
        let all = core.cork();
        if !self.corked.get() {
            // More than this would be flushed at once.
            if slice.len() as u64 > self.most_corked() || !all.open.get() || self.is_exposed() {
                return None;
            }
            self.out
                .queue
                .borrow_mut()
                .push_with(Chunk::whole(data, slice), || all.spare());
            self.enlist(&core);
            all.grow(slice.len());
            return Some(core.uncork_if_many());
        }
        let size = {
            let mut queue = self.out.queue.borrow_mut();
            let chunk = if queue.len() < tuning::CORK_PIECES {
                Chunk::whole(data, slice)
            } else {
                Chunk::of(data, slice, 0)
            };
            queue.push_with(chunk, || all.spare());
            queue.size()
        };
        all.grow(slice.len());
        Some(self.uncork_if_much(&core, size))
    }

    /// The same for several pieces; gives them back if it is not allowed.
    pub(super) fn cork_all(&self, chunks: Vec<Chunk>) -> Result<Res<()>, Vec<Chunk>> {
        let Some(core) = self.common.loop_.get() else {
            return Err(chunks);
        };
        let all = core.cork();
        if !self.corked.get() {
            if !all.open.get() || self.is_exposed() || chunks.iter().all(Chunk::is_empty) {
                return Err(chunks);
            }
            self.enlist(&core);
        }
        let size = {
            let mut queue = self.out.queue.borrow_mut();
            let before = queue.size();
            for chunk in chunks {
                queue.push_with(chunk, || all.spare());
            }
            all.grow(queue.size() - before);
            queue.size()
        };
        Ok(self.uncork_if_much(&core, size))
    }

    /// The queue waits for the end of the iteration.
    #[inline]
    fn enlist(&self, core: &Inst<LoopCore>) {
        self.corked.set(true);
        if !self.listed.replace(true) {
            core.cork().transports.borrow_mut().push_back(self.own());
        }
    }

    #[inline]
    fn most_corked(&self) -> u64 {
        self.out.flow.get().high().min(tuning::CORK)
    }

    #[inline]
    fn uncork_if_much(&self, core: &Inst<LoopCore>, size: usize) -> Res<()> {
        if size as u64 > self.most_corked() {
            self.uncork()?;
        }
        core.uncork_if_many()
    }

    /// Whether somebody else may write to the descriptor, or sees each write: then nothing is corked.
    ///
    /// The descriptor of an accepted connection is ours alone until a program asks for it
    /// ([`expose`](Self::expose)). A socket object of Python's is ours alone as long as nobody else
    /// refers to it.
    #[inline]
    pub(super) fn is_exposed(&self) -> bool {
        self.exposed.get() || self.common.file.is_shared()
    }

    /// From now on a program knows the descriptor: flushes, and corks nothing any more.
    pub(super) fn expose(&self) -> Res<()> {
        self.exposed.set(true);
        self.uncork()
    }

    /// Flushes what is corked, before something that could tell.
    ///
    /// An error is an exception that ends the program, raised by a handler.
    #[inline]
    pub(crate) fn uncork(&self) -> Res<()> {
        if !self.corked.get() {
            return Ok(());
        }
        let Some(core) = self.common.loop_.get() else {
            return Ok(());
        };
        match self.flush_corked(&core) {
            Err(raised) if !raised.is_exit() => {
                self.unraisable(Err(raised));
                Ok(())
            }
            done => done,
        }
    }

    /// From here on the queue is as any other: what the socket does not take waits for it.
    #[inline]
    fn flush_corked(&self, core: &Inst<LoopCore>) -> Res<()> {
        self.corked.set(false);
        core.cork().shrink(self.out.size());
        if let Err(raised) = self.check_descriptor() {
            return self.flush_failed(core, raised);
        }
        let (sent, gone) = {
            let mut queue = self.out.queue.borrow_mut();
            let sent = queue.send_gathered(self.common.fd.get(), || core.scratch());
            let gone = sent
                .as_ref()
                .map_or(OutQueue::Empty, |sent| queue.take_sent(*sent));
            (sent, gone)
        };
        match sent {
            Err(error) if !is_not_ready(&error) => self.flush_failed(core, Raised::os(&error)),
            _ => {
                // Finalizers may write, close and abort: what is left is looked at after them.
                core.cork().recycle(gone);
                self.settle(core)
            }
        }
    }

    /// What was corked has been sent as far as the socket takes it.
    #[inline]
    fn settle(&self, core: &Inst<LoopCore>) -> Res<()> {
        if self.corked.get() || self.common.conn_lost.get() > 0 {
            return Ok(());
        }
        if !self.out.queue.borrow().is_empty() {
            self.start_writing(core)?;
            return self.queue_has_grown();
        }
        if self.common.writing.get() || self.common.closing.get() || self.eof.get() {
            return self.settle_end(core);
        }
        Ok(())
    }

    /// Something was asked for behind the data while it was flushed.
    #[cold]
    fn settle_end(&self, core: &Inst<LoopCore>) -> Res<()> {
        // A transport that was watched for writability ends here as in its `_write_ready`.
        if self.common.closing.get() && !self.common.writing.get() {
            self.common.conn_lost.set(1);
            return self.schedule(core, Event::Lost);
        }
        self.drained(core)
    }
}

fn uncork(this: &Inst<LoopCore>) -> Res<Object> {
    this.uncork()?;
    Ok(value::none())
}

/// The loop's side.
pub(crate) fn hooks(b: TypeBuilder<LoopCore>) -> TypeBuilder<LoopCore> {
    b.method0(
        c"_uncork",
        uncork,
        c"_uncork($self, /)\n--\n\nFlush the writes of this iteration. For a fork.",
    )
}
