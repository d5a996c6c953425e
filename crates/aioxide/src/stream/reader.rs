//! The core of a StreamReader: what came, and who waits for it.

use std::cell::Cell;

use super::protocol::StreamProtocol;
use super::read::ReadOp;
use super::storage::Storage;
use crate::ffi::buffer::bytes_slice;
use crate::ffi::error::Kind;
use crate::ffi::module::{Global, names};
use crate::ffi::weak_link::{self, KnownBy, Link};
use crate::ffi::{Any, Class, Inst, Native, Object, Own, Raised, Res, Slot, SlotOf, Visit, value};
use crate::future::Waiter;
use crate::hooks::{Hooked, Hooks, replaced};

/// asyncio's `_DEFAULT_LIMIT`, in bytes.
pub(super) const DEFAULT_LIMIT: usize = 1 << 16;

/// The state behind `aioxide.StreamReader`.
#[derive(Debug, Default)]
pub(crate) struct StreamReader {
    /// The limit as it was given, and as a number of bytes.
    pub(super) given_limit: Slot,
    pub(super) limit: Cell<usize>,
    pub(super) loop_: Slot,
    pub(super) storage: Storage,
    pub(super) eof: Cell<bool>,
    /// The future that a read waits for.
    pub(super) waiter: Slot,
    /// The read that waits, if it is ours.
    reading: SlotOf<ReadOp>,
    /// How many bytes lie in a read that has been woken: they count as unread until its task runs.
    handed: Cell<usize>,
    pub(super) exception: Slot,
    pub(super) transport: Slot,
    pub(super) paused: Cell<bool>,
    pub(super) source_traceback: Slot,
    /// The protocol that feeds it.
    protocol: Link<StreamProtocol>,
    hooks: Hooks,
}

static STREAM_READER: Class<StreamReader> = Class::new(0);

impl Native for StreamReader {
    const NAME: &'static std::ffi::CStr = c"aioxide.StreamReaderCore";

    #[inline(always)]
    fn class() -> &'static Class<Self> {
        &STREAM_READER
    }
    fn empty() -> Self {
        StreamReader::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        for slot in [
            &self.given_limit,
            &self.loop_,
            &self.waiter,
            &self.exception,
            &self.transport,
            &self.source_traceback,
        ] {
            slot.visit(visit);
        }
        self.storage.visit(visit);
        self.reading.visit(visit);
    }
    fn clear(&self) {
        weak_link::forget(self);
        self.storage.reset();
        self.reading.clear();
        for slot in [
            &self.given_limit,
            &self.loop_,
            &self.waiter,
            &self.exception,
            &self.transport,
            &self.source_traceback,
        ] {
            slot.clear();
        }
    }
    fn on_dealloc(this: &Inst<Self>) {
        weak_link::forget(&**this);
    }
}

impl KnownBy<StreamProtocol> for StreamReader {
    #[inline(always)]
    fn known_by(&self) -> &Link<StreamProtocol> {
        &self.protocol
    }
}

impl Hooked for StreamReader {
    fn names() -> &'static [&'static Object] {
        static NAMES: Global<[&'static Object; 4]> = Global::new();
        if NAMES.try_get().is_none() {
            let names = names();
            NAMES.set([
                &names.feed_data,
                &names.exception,
                &names.readuntil,
                &names.readline,
            ]);
        }
        NAMES.get()
    }
    #[inline(always)]
    fn hooks(&self) -> &Hooks {
        &self.hooks
    }
}

impl Inst<StreamReader> {
    /// Whether the methods that we may do without are ours.
    #[inline]
    pub(super) fn is_plain(&self) -> Res<bool> {
        Ok(replaced(self)? == 0)
    }

    /// How many bytes the next one to be received may have: a read that waits for at most so many
    /// leaves the rest to the kernel, and not to a copy of ours.
    #[inline]
    pub(crate) fn appetite(&self, most: usize) -> usize {
        match self.reading.get() {
            Some(read) => read.appetite(most),
            None => most,
        }
    }

    /// How many of the `waiting` bytes a read waits for that may have them as they come, in one
    /// `bytes`; 0 if there is none.
    pub(crate) fn expects(&self, waiting: usize) -> usize {
        match self.reading.get() {
            // More would make the transport pause.
            Some(read) if self.storage.is_empty() && self.waits() => {
                read.expects(waiting.min(self.limit.get().saturating_mul(2)))
            }
            _ => 0,
        }
    }

    /// Gives a read the bytes that it expects.
    pub(crate) fn hand(&self, data: Object) -> Res<()> {
        let octets = bytes_slice(&data).unwrap_or_default();
        let count = octets.len();
        match self.reading.get() {
            Some(read) if self.expects(count) == count => {
                read.get_ready(data);
                self.handed.set(count);
                Ok(())
            }
            // Somebody else has read from the socket.
            _ => self.take_in(octets),
        }
    }

    /// Takes in what has come. Runs no Python code: [`announce`](Self::announce) does.
    #[inline]
    pub(crate) fn take_in(&self, data: &[u8]) -> Res<()> {
        let mut rest = data;
        if let Some(read) = self.reading.get()
            && self.storage.is_empty()
            && self.waits()
            && let Some(count) = read.accept(data, self.limit.get())?
        {
            rest = &data[count..];
            self.handed.set(count);
        }
        if rest.is_empty() {
            return Ok(());
        }
        self.storage.extend(rest)
    }

    /// Whether a read waits for more than there is, so that nobody has to hear of what has come.
    #[inline]
    pub(crate) fn is_filling(&self) -> bool {
        match self.reading.get() {
            Some(read) => self.waits() && read.wants_more_than(self.storage.len()),
            None => false,
        }
    }

    /// The task of the read that was woken has its bytes.
    #[inline]
    pub(super) fn took(&self) {
        self.handed.set(0);
    }

    #[inline]
    fn waiter(&self) -> Option<Waiter> {
        self.waiter.get().map(Waiter::of)
    }

    #[inline]
    fn take_waiter(&self) -> Option<Waiter> {
        self.waiter.take().map(Waiter::of)
    }

    /// Whether a waiter of ours has not been woken or cancelled.
    #[inline]
    fn waits(&self) -> bool {
        match self.waiter().as_ref() {
            Some(Waiter::Native(future)) => {
                crate::future::FutureLike::future(&***future).is_pending()
            }
            _ => false,
        }
    }

    /// Wakes whoever waits, and asks the transport for a pause if too much has come.
    #[inline]
    pub(crate) fn announce(&self) -> Res<()> {
        self.wake()?;
        let most = self.limit.get().saturating_mul(2);
        if self.storage.len() + self.handed.get() > most && !self.paused.get() {
            return self.pause();
        }
        Ok(())
    }

    #[cold]
    fn pause(&self) -> Res<()> {
        let Some(transport) = self.transport.get() else {
            return Ok(());
        };
        match transport.call_method0(&names().pause_reading) {
            Ok(_) => self.paused.set(true),
            Err(raised) if raised.matches(Kind::NotImplemented.as_any()) => {
                // It cannot be paused: do not ask again.
                raised.discard();
                self.transport.clear();
            }
            Err(raised) => return Err(raised),
        }
        Ok(())
    }

    /// `_wakeup_waiter`.
    #[inline]
    pub(super) fn wake(&self) -> Res<()> {
        let Some(waiter) = self.take_waiter() else {
            return Ok(());
        };
        self.reading.clear();
        if waiter.is_cancelled()? {
            return Ok(());
        }
        waiter.resolve(value::none())
    }

    pub(super) fn set_exception(&self, exception: &Any) -> Res<()> {
        self.exception.set(exception.own());
        let Some(waiter) = self.take_waiter() else {
            return Ok(());
        };
        self.reading.clear();
        if waiter.is_cancelled()? {
            return Ok(());
        }
        waiter.fail(exception)
    }

    pub(super) fn feed_eof(&self) -> Res<()> {
        self.eof.set(true);
        self.wake()
    }

    /// `_maybe_resume_transport`.
    #[inline]
    pub(super) fn maybe_resume(&self) -> Res<()> {
        if self.paused.get() && self.storage.len() <= self.limit.get() {
            return self.resume_transport();
        }
        Ok(())
    }

    #[cold]
    fn resume_transport(&self) -> Res<()> {
        self.paused.set(false);
        self.transport
            .get_or_none()
            .call_method0(&names().resume_reading)
            .map(drop)
    }

    /// Begins to wait for data; gives the future to await.
    pub(super) fn wait(&self, read: &Inst<ReadOp>, method: &str) -> Res<Object> {
        if self.waiter.is_some() {
            return Err(Raised::runtime(&format!(
                "{method}() called while another coroutine is already waiting for incoming data"
            )));
        }
        if self.eof.get() {
            return Err(Raised::of_class(
                Kind::Assertion.as_any(),
                "_wait_for_data after EOF",
            ));
        }
        if self.paused.get() {
            // Nothing more would come.
            self.resume_transport()?;
        }
        let future = Waiter::create(&self.loop_.get_or_none())?.object();
        self.waiter.set(future.clone());
        if self.is_plain()? {
            self.reading.set(read.own());
        }
        Ok(future)
    }

    /// A read does not wait for this future any more.
    pub(super) fn stop_waiting(&self, future: &Any) {
        if self.waiter.holds(future) {
            self.waiter.clear();
            self.reading.clear();
        }
    }

    /// `set_transport`.
    pub(super) fn set_transport(&self, transport: &Any) -> Res<()> {
        if self.transport.is_some() {
            return Err(Raised::of_class(
                Kind::Assertion.as_any(),
                "Transport already set",
            ));
        }
        self.transport.set(transport.own());
        Ok(())
    }
}

/// A native reader behind any object.
pub(super) fn native(object: &Object) -> Option<Own<StreamReader>> {
    object.downcast::<StreamReader>().map(Inst::own)
}
