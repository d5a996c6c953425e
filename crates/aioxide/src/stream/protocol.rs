//! The core of a StreamReaderProtocol: what a transport tells it, per packet.
//!
//! `connection_made` and what else runs once per connection is Python, in `streams.py`.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;

use super::reader::StreamReader;
use crate::ffi::attribute::{flags, plain, store};
use crate::ffi::buffer::{Buffer, bytes_slice};
use crate::ffi::call::Signature;
use crate::ffi::error::Kind;
use crate::ffi::method::flag;
use crate::ffi::module::{Global, imports, names};
use crate::ffi::native_type::object_class;
use crate::ffi::weak_link::{self, Knows, Link};
use crate::ffi::{Any, Args, Class, Inst, Native, Object, Own, Raised, Res, Slot, Visit, value};
use crate::future::{self, Future, FutureLike, Waiter};
use crate::hooks::{Hooked, Hooks, replaced, set_attribute};
use crate::task::Task;

/// What few connections ever have: a word in each of them, and memory where it is needed.
#[derive(Debug, Default)]
struct Rare {
    /// What `wait_closed` awaits, once somebody does.
    closed: Slot,
    source_traceback: Slot,
    drain_waiters: RefCell<VecDeque<Waiter>>,
}

/// The state behind `aioxide.StreamReaderProtocol`.
#[derive(Debug, Default)]
pub(crate) struct StreamProtocol {
    loop_: Slot,
    /// The reader, if it is one of ours that no other protocol feeds.
    native_reader: Link<StreamReader>,
    /// Else a weak reference to it, as asyncio's `_stream_reader_wr`.
    other_reader: Slot,
    /// Keeps the reader of an accepted connection alive until the connection is made.
    strong_reader: Slot,
    connected_callback: Slot,
    task: Slot,
    transport: Slot,
    writer: Slot,
    /// The transport that the task of an accepted connection began with.
    served_transport: Slot,
    /// What `connection_lost` was told, for a `closed` that is asked for later.
    lost_with: Slot,
    over_ssl: Cell<bool>,
    reject_connection: Cell<bool>,
    pub(super) paused: Cell<bool>,
    pub(super) connection_lost: Cell<bool>,
    rare: OnceCell<Box<Rare>>,
    hooks: Hooks,
}

static STREAM_PROTOCOL: Class<StreamProtocol> = Class::new(0);

impl StreamProtocol {
    fn slots(&self) -> [&Slot; 9] {
        [
            &self.loop_,
            &self.other_reader,
            &self.strong_reader,
            &self.connected_callback,
            &self.task,
            &self.transport,
            &self.writer,
            &self.served_transport,
            &self.lost_with,
        ]
    }

    #[inline]
    fn rare(&self) -> &Rare {
        self.rare.get_or_init(Box::default)
    }

    #[inline]
    fn closed_if_asked(&self) -> Option<Object> {
        self.rare.get()?.closed.get()
    }

    fn forget_reader(&self) {
        weak_link::untie(self);
        self.other_reader.clear();
    }
}

impl Knows<StreamReader> for StreamProtocol {
    #[inline(always)]
    fn link(&self) -> &Link<StreamReader> {
        &self.native_reader
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
        let Some(rare) = self.rare.get() else {
            return;
        };
        rare.closed.visit(visit);
        rare.source_traceback.visit(visit);
        if let Ok(waiters) = rare.drain_waiters.try_borrow() {
            for waiter in &*waiters {
                waiter.visit(visit);
            }
        }
    }
    fn clear(&self) {
        weak_link::untie(self);
        for slot in self.slots() {
            slot.clear();
        }
        if let Some(rare) = self.rare.get() {
            rare.closed.clear();
            rare.source_traceback.clear();
            drop(rare.drain_waiters.take());
        }
    }
    fn on_dealloc(this: &Inst<Self>) {
        weak_link::untie(&**this);
    }
    fn wants_finalize(&self) -> bool {
        self.closed_if_asked().is_some()
    }
    fn finalize(this: &Inst<Self>) {
        // Nobody has to look at the exception that the connection was lost with.
        if let Some(closed) = this.closed_if_asked() {
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
        match self.native_reader.get() {
            Some(reader) => Some(reader.into_object()),
            None => value::referent(&*self.other_reader.get()?),
        }
    }

    /// The reader, if it is alive, and bytes may go there without Python's methods.
    #[inline]
    pub(crate) fn plain_reader(&self) -> Res<Option<Own<StreamReader>>> {
        if !self.is_plain()? {
            return Ok(None);
        }
        let reader = match self.native_reader.get() {
            Some(reader) => Some(reader),
            None => self
                .reader_object()
                .and_then(|reader| reader.downcast::<StreamReader>().map(Inst::own)),
        };
        match reader {
            Some(native) if native.is_plain()? => Ok(Some(native)),
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
        if let Some(closed) = self.closed_if_asked() {
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
        self.forget_reader();
        self.writer.clear();
        self.task.clear();
        self.transport.clear();
        Ok(())
    }

    /// The future that `wait_closed` awaits.
    fn closed(&self) -> Res<Object> {
        if let Some(closed) = self.closed_if_asked() {
            return Ok(closed);
        }
        let closed = Waiter::create(&self.loop_.get_or_none())?.object();
        self.rare().closed.set(closed.clone());
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
        match self.rare.get() {
            Some(rare) => rare.drain_waiters.borrow().iter().cloned().collect(),
            None => Vec::new(),
        }
    }

    /// A future that is done when the transport has sent enough: for `drain`.
    pub(super) fn wait_to_drain(&self) -> Res<Object> {
        let waiter = Waiter::create(&self.loop_.get_or_none())?;
        let future = waiter.object();
        self.rare().drain_waiters.borrow_mut().push_back(waiter);
        Ok(future)
    }

    /// The future is not waited for any more.
    pub(super) fn drained(&self, future: &Any) {
        let removed = {
            let Some(rare) = self.rare.get() else {
                return;
            };
            let mut waiters = rare.drain_waiters.borrow_mut();
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

    /// What the end of the task calls that serves the connection.
    pub(crate) fn served_method(&self) -> Res<Object> {
        self.as_any().getattr(&names()._served)
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

const WATCH: Signature<2> = Signature {
    function: "StreamReaderProtocol._watch",
    parameters: [c"task", c"transport"],
    positional: 2,
    required: 2,
};
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
        let native = reader.downcast::<StreamReader>();
        if !native.is_some_and(|native| weak_link::tie(this, native)) {
            this.other_reader.set(value::weak_reference(reader)?);
        }
        let source = match native {
            Some(native) => native.source_traceback.get(),
            None => reader.getattr_opt(&names()._source_traceback)?,
        };
        if let Some(source) = source {
            this.rare().source_traceback.set(source);
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
    store(&this.rare().closed, closed)
}

fn get_source_traceback(this: &Inst<StreamProtocol>) -> Res<Object> {
    let rare = this.rare.get();
    Ok(rare.map_or_else(value::none, |rare| rare.source_traceback.get_or_none()))
}

fn set_source_traceback(this: &Inst<StreamProtocol>, source: Option<&Any>) -> Res<()> {
    store(&this.rare().source_traceback, source)
}

fn get_weak_reader(this: &Inst<StreamProtocol>) -> Res<Object> {
    match this.native_reader.get() {
        Some(reader) => value::weak_reference(reader.as_any()),
        None => Ok(this.other_reader.get_or_none()),
    }
}

fn set_weak_reader(this: &Inst<StreamProtocol>, reference: Option<&Any>) -> Res<()> {
    store(&this.other_reader, reference)?;
    weak_link::untie(&**this);
    Ok(())
}

/// The task of a `client_connected_cb` that serves this transport: its end is ours to look at.
fn watch(this: &Inst<StreamProtocol>, args: Args<'_>) -> Res<Object> {
    let [task, transport] = args.bind(&WATCH)?;
    let (Some(task), Some(transport)) = (task, transport) else {
        return Ok(value::none());
    };
    this.task.set(task.own());
    this.served_transport.set(transport.own());
    if let Some(native) = task.downcast::<Task>() {
        future::add_server(native, this.own())?;
    } else {
        task.call_method1(&names().add_done_callback, &*this.served_method()?)?;
    }
    Ok(value::none())
}

fn get_reader(this: &Inst<StreamProtocol>) -> Res<Object> {
    Ok(this.reader_object().unwrap_or_else(value::none))
}

fn get_drain_waiters(this: &Inst<StreamProtocol>) -> Res<Object> {
    let waiters: Vec<Object> = this.waiters().iter().map(Waiter::object).collect();
    imports().deque.call1(&*value::list(&waiters)?)
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
            .coroutine0(c"_drain_helper", drain_helper, c"_drain_helper($self)\n--\n\nWait while writing is paused. A coroutine.")
            .method(c"_get_close_waiter", get_close_waiter, c"_get_close_waiter($self, stream)\n--\n\nA future that is done when the connection is closed.")
            .method(c"_watch", watch, c"_watch($self, task, transport)\n--\n\nCall _served() when the task ends that serves the transport.")
            .attribute(c"_stream_reader_wr", get_weak_reader, set_weak_reader, c"A weak reference to the reader.")
            .attribute(c"_source_traceback", get_source_traceback, set_source_traceback, c"Who made it, in debug mode.")
            .attribute(c"_closed", get_closed, set_closed, c"A future that is done when the connection is closed.")
            .getter(c"_stream_reader", get_reader, c"The reader, or None once it is gone.")
            .getter(c"_drain_waiters", get_drain_waiters, c"The futures that drain() waits for.");
        let b = flags!(b, StreamProtocol,
            c"_over_ssl" => over_ssl, c"Whether TLS is in between.";
            c"_reject_connection" => reject_connection, c"Whether the connection is to be refused.";
            c"_paused" => paused, c"Whether writing is paused.";
            c"_connection_lost" => connection_lost, c"Whether the connection is lost.";
        );
        plain!(b, StreamProtocol,
            c"_loop" => loop_, c"The loop.";
            c"_strong_reader" => strong_reader, c"The reader, until the connection is made.";
            c"_client_connected_cb" => connected_callback, c"What is called with reader and writer.";
            c"_served_transport" => served_transport, c"What the task's end closes.";
            c"_task" => task, c"The task of a client_connected_cb that is a coroutine function.";
            c"_transport" => transport, c"The transport.";
            c"_stream_writer" => writer, c"The writer.";
        )
    })?;
    Ok(())
}
