//! The core of a StreamReaderProtocol: what a transport tells it, per packet.
//!
//! `connection_made` and what else runs once per connection is Python, in `streams.py`.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use super::reader::{StreamReader, upgrade};
use super::surface::plain;
use crate::ffi::buffer::{Buffer, bytes_slice};
use crate::ffi::call::Signature;
use crate::ffi::error::Kind;
use crate::ffi::method::{flag, no_delete};
use crate::ffi::module::{Global, imports, names};
use crate::ffi::native_type::object_class;
use crate::ffi::{Any, Args, Class, Inst, Native, Object, Own, Raised, Res, Slot, Visit, value};
use crate::future::{Future, FutureLike, Waiter};
use crate::hooks::{Hooked, Hooks, replaced, set_attribute};

/// Few connections ever have one: a word in each, not four.
#[allow(clippy::box_collection, reason = "see above")]
type DrainWaiters = Option<Box<VecDeque<Waiter>>>;

/// The state behind `aioxide.StreamReaderProtocol`.
#[derive(Debug, Default)]
pub(crate) struct StreamProtocol {
    loop_: Slot,
    /// A weak reference to the reader, as asyncio's `_stream_reader_wr`.
    reader: Slot,
    /// Keeps the reader of an accepted connection alive until the connection is made.
    strong_reader: Slot,
    connected_callback: Slot,
    task: Slot,
    transport: Slot,
    writer: Slot,
    /// The transport that the task of an accepted connection began with.
    served_transport: Slot,
    /// What `wait_closed` awaits, once somebody does.
    closed: Slot,
    /// What `connection_lost` was told, for a `closed` that is asked for later.
    lost_with: Slot,
    source_traceback: Slot,
    over_ssl: Cell<bool>,
    reject_connection: Cell<bool>,
    pub(super) paused: Cell<bool>,
    pub(super) connection_lost: Cell<bool>,
    drain_waiters: RefCell<DrainWaiters>,
    hooks: Hooks,
}

static STREAM_PROTOCOL: Class<StreamProtocol> = Class::new(0);

impl StreamProtocol {
    fn slots(&self) -> [&Slot; 11] {
        [
            &self.loop_,
            &self.reader,
            &self.strong_reader,
            &self.connected_callback,
            &self.task,
            &self.transport,
            &self.writer,
            &self.served_transport,
            &self.closed,
            &self.lost_with,
            &self.source_traceback,
        ]
    }
}

impl Native for StreamProtocol {
    const NAME: &'static std::ffi::CStr = c"aioxide.StreamReaderProtocolCore";
    const FINALIZER: bool = true;

    #[inline(always)]
    fn class() -> &'static Class<Self> {
        &STREAM_PROTOCOL
    }
    fn empty() -> Self {
        StreamProtocol::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        for slot in self.slots() {
            slot.visit(visit);
        }
        if let Ok(waiters) = self.drain_waiters.try_borrow() {
            for waiter in waiters.iter().flat_map(|waiters| &**waiters) {
                waiter.visit(visit);
            }
        }
    }
    fn clear(&self) {
        for slot in self.slots() {
            slot.clear();
        }
        drop(self.drain_waiters.take());
    }
    fn wants_finalize(&self) -> bool {
        self.closed.is_some()
    }
    fn finalize(this: &Inst<Self>) {
        // Nobody has to look at the exception that the connection was lost with.
        if let Some(closed) = this.closed.get() {
            if let Some(future) = closed.as_exact::<Future>() {
                future.future().forget_log();
            } else if let Err(raised) = look_at(&closed) {
                raised.unraisable(Some(this.as_any()));
            }
        }
    }
}

fn look_at(future: &Any) -> Res<()> {
    let waiter = Waiter::of(future.own());
    if waiter.is_done()? && !waiter.is_cancelled()? {
        future.call_method0(&names().exception)?;
    }
    Ok(())
}

impl Hooked for StreamProtocol {
    fn names() -> &'static [&'static Object] {
        static NAMES: Global<[&'static Object; 2]> = Global::new();
        if NAMES.try_get().is_none() {
            NAMES.set([&names().data_received, &names()._drain_helper]);
        }
        NAMES.get()
    }
    #[inline(always)]
    fn hooks(&self) -> &Hooks {
        &self.hooks
    }
}

impl Inst<StreamProtocol> {
    /// The reader, if it is alive.
    #[inline]
    fn reader_object(&self) -> Option<Object> {
        upgrade(&self.reader)
    }

    /// The reader, if it is alive, and bytes may go there without Python's methods.
    #[inline]
    pub(crate) fn plain_reader(&self) -> Res<Option<Own<StreamReader>>> {
        if !self.is_plain()? {
            return Ok(None);
        }
        let Some(reader) = self.reader_object() else {
            return Ok(None);
        };
        match reader.downcast::<StreamReader>() {
            Some(native) if native.is_plain()? => Ok(Some(native.own())),
            _ => Ok(None),
        }
    }

    /// Whether the methods that we may do without are ours.
    #[inline]
    pub(super) fn is_plain(&self) -> Res<bool> {
        Ok(replaced(self)? == 0)
    }

    fn data_received(&self, data: &Any) -> Res<()> {
        let Some(reader) = self.reader_object() else {
            return Ok(());
        };
        if let Some(native) = reader.downcast::<StreamReader>()
            && !native.eof.get()
            && native.is_plain()?
        {
            if let Some(octets) = bytes_slice(data) {
                native.take_in(octets)?;
            } else {
                native.take_in(Buffer::readable(data)?.as_slice())?;
            }
            return native.announce();
        }
        reader.call_method1(&names().feed_data, data).map(drop)
    }

    fn connection_lost(&self, exception: &Any) -> Res<()> {
        if let Some(reader) = self.reader_object() {
            if exception.is_none() {
                reader.call_method0(&names().feed_eof)?;
            } else {
                reader.call_method1(&names().set_exception, exception)?;
            }
        }
        self.connection_lost.set(true);
        self.lost_with.set(exception.own());
        if let Some(closed) = self.closed.get() {
            self.close_with(&closed)?;
        }
        if self.paused.get() {
            let waiters = self.waiters();
            for waiter in waiters {
                if waiter.is_done()? {
                    continue;
                }
                if exception.is_none() {
                    waiter.resolve(value::none())?;
                } else {
                    waiter.fail(exception)?;
                }
            }
        }
        self.reader.clear();
        self.writer.clear();
        self.task.clear();
        self.transport.clear();
        Ok(())
    }

    /// The future that `wait_closed` awaits.
    fn closed(&self) -> Res<Object> {
        if let Some(closed) = self.closed.get() {
            return Ok(closed);
        }
        let closed = Waiter::create(&self.loop_.get_or_none())?.object();
        self.closed.set(closed.clone());
        self.close_with(&closed)?;
        Ok(closed)
    }

    /// Completes the future, if the connection is lost.
    fn close_with(&self, closed: &Any) -> Res<()> {
        let Some(exception) = self.lost_with.get() else {
            return Ok(());
        };
        let closed = Waiter::of(closed.own());
        if closed.is_done()? {
            Ok(())
        } else if exception.is_none() {
            closed.resolve(value::none())
        } else {
            closed.fail(&exception)
        }
    }

    /// Those who wait in `drain`, now.
    fn waiters(&self) -> Vec<Waiter> {
        let waiters = self.drain_waiters.borrow();
        waiters.iter().flat_map(|all| &**all).cloned().collect()
    }

    /// A future that is done when the transport has sent enough: for `drain`.
    pub(super) fn wait_to_drain(&self) -> Res<Object> {
        let waiter = Waiter::create(&self.loop_.get_or_none())?;
        let future = waiter.object();
        let mut waiters = self.drain_waiters.borrow_mut();
        waiters.get_or_insert_default().push_back(waiter);
        Ok(future)
    }

    /// The future is not waited for any more.
    pub(super) fn drained(&self, future: &Any) {
        let removed = {
            let mut waiters = self.drain_waiters.borrow_mut();
            let Some(waiters) = &mut *waiters else {
                return;
            };
            let place = waiters.iter().position(|waiter| waiter.is(future));
            place.and_then(|place| waiters.remove(place))
        };
        drop(removed);
    }

    fn resume_writing(&self) -> Res<()> {
        assert_that(self.paused.replace(false))?;
        self.log("%r resumes writing")?;
        let waiters = self.waiters();
        for waiter in waiters {
            if !waiter.is_done()? {
                waiter.resolve(value::none())?;
            }
        }
        Ok(())
    }

    /// Logs in debug mode.
    fn log(&self, message: &str) -> Res<()> {
        let loop_ = self.loop_.get_or_none();
        if loop_.call_method0(&names().get_debug)?.is_truthy()? {
            let message = value::text(message)?;
            imports()
                .logger
                .call_method2(&names().debug, &message, self.as_any())?;
        }
        Ok(())
    }
}

fn assert_that(condition: bool) -> Res<()> {
    if condition {
        return Ok(());
    }
    Err(Raised::raise(Kind::Assertion.as_any().call0()?))
}

const INIT: Signature<3> = Signature {
    function: "StreamReaderProtocol.__init__",
    parameters: [c"stream_reader", c"client_connected_cb", c"loop"],
    positional: 3,
    required: 1,
};

fn init(this: &Inst<StreamProtocol>, args: Args<'_>) -> Res<()> {
    let [reader, callback, loop_] = args.bind(&INIT)?;
    let loop_ = match loop_ {
        Some(loop_) if !loop_.is_none() => loop_.own(),
        _ => imports().get_event_loop.call0()?,
    };
    this.clear();
    this.loop_.set(loop_);
    for cell in [
        &this.over_ssl,
        &this.reject_connection,
        &this.paused,
        &this.connection_lost,
    ] {
        cell.set(false);
    }
    let callback = callback.filter(|callback| !callback.is_none());
    if let Some(reader) = reader.filter(|reader| !reader.is_none()) {
        this.reader.set(value::weak_reference(reader)?);
        let source = match reader.downcast::<StreamReader>() {
            Some(native) => native.source_traceback.get(),
            None => reader.getattr_opt(&names()._source_traceback)?,
        };
        if let Some(source) = source {
            this.source_traceback.set(source);
        }
        if callback.is_some() {
            this.strong_reader.set(reader.own());
        }
    }
    if let Some(callback) = callback {
        this.connected_callback.set(callback.own());
    }
    Ok(())
}

fn data_received(this: &Inst<StreamProtocol>, args: Args<'_>) -> Res<Object> {
    let data = args.one("StreamReaderProtocol.data_received", c"data")?;
    this.data_received(data)?;
    Ok(value::none())
}

fn eof_received(this: &Inst<StreamProtocol>) -> Res<Object> {
    if let Some(reader) = this.reader_object() {
        reader.call_method0(&names().feed_eof)?;
    }
    // The connection stays open to write. TLS cannot do that, and warns of it.
    flag(!this.over_ssl.get())
}

fn connection_lost(this: &Inst<StreamProtocol>, args: Args<'_>) -> Res<Object> {
    let exception = args.one("StreamReaderProtocol.connection_lost", c"exc")?;
    this.connection_lost(exception)?;
    Ok(value::none())
}

fn pause_writing(this: &Inst<StreamProtocol>) -> Res<Object> {
    assert_that(!this.paused.replace(true))?;
    this.log("%r pauses writing")?;
    Ok(value::none())
}

fn resume_writing(this: &Inst<StreamProtocol>) -> Res<Object> {
    this.resume_writing()?;
    Ok(value::none())
}

fn get_close_waiter(this: &Inst<StreamProtocol>, args: Args<'_>) -> Res<Object> {
    args.one("StreamReaderProtocol._get_close_waiter", c"stream")?;
    this.closed()
}

fn drain_helper(this: &Inst<StreamProtocol>) -> Res<Object> {
    super::drain::helper(this)
}

fn get_closed(this: &Inst<StreamProtocol>) -> Res<Object> {
    this.closed()
}

fn set_closed(this: &Inst<StreamProtocol>, closed: Option<&Any>) -> Res<()> {
    super::surface::store(&this.closed, closed)
}

fn get_reader(this: &Inst<StreamProtocol>) -> Res<Object> {
    Ok(this.reader_object().unwrap_or_else(value::none))
}

fn get_drain_waiters(this: &Inst<StreamProtocol>) -> Res<Object> {
    let waiters: Vec<Object> = this.waiters().iter().map(Waiter::object).collect();
    imports().deque.call1(&*value::list(&waiters)?)
}

/// The attributes that are a flag.
macro_rules! flags {
    ($builder:expr, $($name:literal => $field:ident, $doc:literal;)*) => {
        $builder$(.attribute(
            $name,
            |this: &Inst<StreamProtocol>| flag(this.$field.get()),
            |this: &Inst<StreamProtocol>, given: Option<&Any>| {
                this.$field.set(no_delete(given)?.is_truthy()?);
                Ok(())
            },
            $doc,
        ))*
    };
}

pub(super) fn build() -> Res<()> {
    STREAM_PROTOCOL.build(object_class(), |b| {
        let b = b
            .doc(c"StreamReaderProtocolCore(stream_reader, client_connected_cb=None, loop=None)\n--\n\nThe native half of StreamReaderProtocol.")
            .init(init)
            .set_attribute(set_attribute)
            .method(c"data_received", data_received, c"data_received($self, data)\n--\n\nHand data to the reader.")
            .method0(c"eof_received", eof_received, c"eof_received($self)\n--\n\nTell the reader that nothing more will come.")
            .method(c"connection_lost", connection_lost, c"connection_lost($self, exc)\n--\n\nTell the reader, and whoever drains or waits for the end.")
            .method0(c"pause_writing", pause_writing, c"pause_writing($self)\n--\n\nThe transport has too much to send: drain() waits.")
            .method0(c"resume_writing", resume_writing, c"resume_writing($self)\n--\n\nThe transport has sent enough: drain() goes on.")
            .method0(c"_drain_helper", drain_helper, c"_drain_helper($self)\n--\n\nWait while writing is paused. A coroutine.")
            .method(c"_get_close_waiter", get_close_waiter, c"_get_close_waiter($self, stream)\n--\n\nA future that is done when the connection is closed.")
            .attribute(c"_closed", get_closed, set_closed, c"A future that is done when the connection is closed.")
            .getter(c"_stream_reader", get_reader, c"The reader, or None once it is gone.")
            .getter(c"_drain_waiters", get_drain_waiters, c"The futures that drain() waits for.");
        let b = flags!(b,
            c"_over_ssl" => over_ssl, c"Whether TLS is in between.";
            c"_reject_connection" => reject_connection, c"Whether the connection is to be refused.";
            c"_paused" => paused, c"Whether writing is paused.";
            c"_connection_lost" => connection_lost, c"Whether the connection is lost.";
        );
        plain!(b, StreamProtocol,
            c"_loop" => loop_, c"The loop.";
            c"_stream_reader_wr" => reader, c"A weak reference to the reader.";
            c"_strong_reader" => strong_reader, c"The reader, until the connection is made.";
            c"_client_connected_cb" => connected_callback, c"What is called with reader and writer.";
            c"_served_transport" => served_transport, c"What the task's end closes.";
            c"_task" => task, c"The task of a client_connected_cb that is a coroutine function.";
            c"_transport" => transport, c"The transport.";
            c"_stream_writer" => writer, c"The writer.";
            c"_source_traceback" => source_traceback, c"Who made it, in debug mode.";
        )
    })?;
    Ok(())
}
