//! `sendfile` and `sock_sendfile`: a file to a socket, inside the kernel.
//!
//! The two public methods are BaseEventLoop's, which check arguments and fall back to reading and
//! sending. The two hooks that they call, `_sendfile_native` and `_sock_sendfile_native`, give a
//! [`SendFile`], a native coroutine.
//!
//! * **On a transport** what was written before goes first: the operation awaits the transport's
//!   empty waiter, which also makes `write` raise while the file is sent. Nothing is read meanwhile.
//! * **One system call for one event**, as asyncio does it, so that a fast receiver does not keep the
//!   loop to itself. What is sent at once still gives others a turn.
//! * **The file's position** is where sending stopped, however it stopped.
//! * **A transport that goes away** fails the operation: on asyncio it would wait for ever.

use std::cell::Cell;
use std::ffi::CStr;
use std::io;
use std::os::fd::RawFd;

use aioxide_driver::reactor::Interest;
use aioxide_driver::sendfile::{MAX_COUNT, file_size, sendfile, set_position};

use super::StreamTransport;
use super::closing::connection_error;
use super::reader::is_not_ready;
use crate::coroutine::{self, Coroutine, Operation, Outcome, Step};
use crate::event_loop::{LoopCore, Watcher};
use crate::ffi::call::Signature;
use crate::ffi::compat::set_cause;
use crate::ffi::error::{Kind, is_exit_exception};
use crate::ffi::method::TypeBuilder;
use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Args, Class, Inst, Object, Own, Raised, Res, Slot, SlotOf, Visit};
use crate::ffi::{context, value};
use crate::future::{self, Future, FutureLike, LoopSlot};
use crate::handle::Handle;

const EBADF: i32 = 9;
const ENOTCONN: i32 = 107;

/// `aioxide.SendFile`, the coroutine.
pub(crate) type SendFile = Coroutine<Sending>;

/// Where the operation stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// What the transport had to send goes first.
    #[default]
    Draining,
    Sending,
    /// Everything is sent; others have had a turn.
    Sent,
}

/// The call, and how far it has come.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    stage: Cell<Stage>,
    loop_: SlotOf<LoopCore>,
    /// The transport, of `loop.sendfile`.
    transport: SlotOf<StreamTransport>,
    /// It was reading before.
    resume_reading: Cell<bool>,
    /// The transport is ours until we are done.
    engaged: Cell<bool>,
    sock: Slot,
    file: Slot,
    given_offset: Slot,
    given_count: Slot,
    /// The file's descriptor, once it is known.
    file_fd: Cell<Option<RawFd>>,
    offset: Cell<u64>,
    /// How much to send; up to the file's end if `None`.
    count: Cell<Option<u64>>,
    size: Cell<u64>,
    sent: Cell<u64>,
    /// What the task awaits.
    future: SlotOf<Future>,
    /// The loop watches this descriptor of the socket for us.
    watched: Cell<Option<RawFd>>,
}

static SEND_FILE: Class<SendFile> = Class::new(16);

impl Operation for Sending {
    const CLASS_NAME: &'static CStr = c"aioxide.SendFile";

    fn class() -> &'static Class<SendFile> {
        &SEND_FILE
    }
    fn name(&self) -> &'static str {
        if self.transport.is_some() {
            "_sendfile_native"
        } else {
            "_sock_sendfile_native"
        }
    }
    fn qualname(&self) -> String {
        format!("EventLoop.{}", self.name())
    }

    fn start(this: &Inst<SendFile>) -> Res<Step> {
        this.settle(match this.transport.get() {
            Some(transport) => this
                .core()?
                .check_open()
                .and_then(|()| this.engage(&transport)),
            None => this.begin(),
        })
    }

    fn resume(this: &Inst<SendFile>, outcome: Outcome) -> Res<Step> {
        this.settle(match (outcome, this.stage.get()) {
            (Ok(_), Stage::Draining) => this.check().and_then(|()| this.begin()),
            (Ok(_), Stage::Sending | Stage::Sent) => value::uint(this.sent.get()).map(Step::Return),
            (Err(exception), _) => Err(Raised::raise(exception)),
        })
    }

    fn traverse(&self, visit: &mut Visit) {
        self.loop_.visit(visit);
        self.transport.visit(visit);
        self.future.visit(visit);
        for slot in [
            &self.sock,
            &self.file,
            &self.given_offset,
            &self.given_count,
        ] {
            slot.visit(visit);
        }
    }

    fn clear(&self) {
        self.unwatch();
        for slot in [
            &self.sock,
            &self.file,
            &self.given_offset,
            &self.given_count,
        ] {
            slot.clear();
        }
        self.future.clear();
        self.transport.clear();
        self.loop_.clear();
    }
}

impl Sending {
    fn unwatch(&self) {
        if let Some(fd) = self.watched.take()
            && let Some(core) = self.loop_.get()
        {
            drop(core.unwatch(fd, Interest::WRITE));
        }
    }

    /// Whether it is this transport's; `loop.sock_sendfile()` has none.
    pub(crate) fn sends_through(&self, transport: &Any) -> bool {
        self.transport
            .get()
            .is_some_and(|own| own.as_any().is(transport))
    }

    /// The watcher of this operation has been replaced or removed by somebody else.
    pub(crate) fn unwatched(&self) {
        self.watched.set(None);
    }

    fn core(&self) -> Res<Own<LoopCore>> {
        self.loop_
            .get()
            .ok_or_else(|| Raised::runtime("Event loop is closed"))
    }
}

impl Inst<SendFile> {
    /// Takes the transport: it reads nothing and takes no data until we let it go.
    fn engage(&self, transport: &Inst<StreamTransport>) -> Res<Step> {
        let reading = !transport.common.closing.get() && !transport.common.paused.get();
        self.resume_reading.set(reading);
        let waiter = transport.make_empty_waiter()?;
        self.engaged.set(true);
        transport.pause_reading()?;
        drop(self.sock.replace(transport.python_socket()?));
        Ok(Step::Await(waiter))
    }

    /// Whether the transport still is there, then what `sock_sendfile` checks.
    fn check(&self) -> Res<()> {
        if self
            .transport
            .get()
            .is_some_and(|transport| transport.common.closing.get())
        {
            return Err(Raised::raise(connection_error()?));
        }
        let check = self
            .core()?
            .as_any()
            .getattr(&*value::text("_check_sendfile_params")?)?;
        check
            .call(&[
                &*self.sock.get_or_none(),
                &*self.file.get_or_none(),
                &*self.given_offset.get_or_none(),
                &*self.given_count.get_or_none(),
            ])
            .map(drop)
    }

    /// The end of a step: what was taken or registered is given back if it was the last one.
    fn settle(&self, next: Res<Step>) -> Res<Step> {
        match next {
            Ok(Step::Return(result)) => {
                self.update_position();
                self.disengage()?;
                Ok(Step::Return(result))
            }
            Ok(step) => Ok(step),
            Err(raised) => {
                let exception = raised.take();
                self.unwatch();
                self.update_position();
                if let Err(raised) = self.disengage() {
                    raised.unraisable(Some(self.as_any()));
                }
                Err(Raised::raise(exception))
            }
        }
    }

    fn disengage(&self) -> Res<()> {
        if self.engaged.replace(false)
            && let Some(transport) = self.transport.get()
        {
            transport.empty_waiter.clear();
            if self.resume_reading.get() {
                transport.resume_reading()?;
            }
        }
        Ok(())
    }

    /// asyncio from 3.14 on moves it also if nothing was sent.
    fn update_position(&self) {
        let Some(fd) = self.file_fd.get() else {
            return;
        };
        let moved = self.sent.get() > 0 || imports().version >= (3, 14);
        if moved && self.check_file(fd).map_err(Raised::discard).is_ok() {
            // What has no position needs none.
            let _ = set_position(fd, self.offset.get());
        }
    }

    /// The first attempt.
    fn begin(&self) -> Res<Step> {
        self.stage.set(Stage::Sending);
        let offset = self.given_offset.get_or_none().to_i64()?;
        let count = self.given_count.get_or_none();
        let count = if count.is_none() { 0 } else { count.to_i64()? };
        self.offset.set(u64::try_from(offset).unwrap_or(0));
        self.count
            .set(u64::try_from(count).ok().filter(|count| *count > 0));
        let fd = self.open_file()?;
        self.size
            .set(file_size(fd).map_err(|_| not_available("not a regular file"))?);
        if self.size.get() == 0 && self.count.get().is_none() {
            return value::uint(0).map(Step::Return);
        }
        self.file_fd.set(Some(fd));
        self.core()?.check_open()?;
        if self.attempt()? {
            // Whoever sends one small file after the other must not keep the loop to himself.
            self.stage.set(Stage::Sent);
            return Ok(Step::Pass);
        }
        self.suspend().map(Step::Await)
    }

    /// The descriptor of something that has one.
    fn open_file(&self) -> Res<RawFd> {
        match self.file.get_or_none().call_method0(&names().fileno) {
            Ok(number) => Ok(RawFd::try_from(number.to_i64()?).unwrap_or(-1)),
            Err(raised) => {
                let exception = raised.take();
                if exception.is_subtype_of(Kind::Attribute.as_any())
                    || exception.is_subtype_of(&imports().unsupported_operation)
                {
                    return Err(not_available("not a regular file"));
                }
                Err(Raised::raise(exception))
            }
        }
    }

    /// Somebody may have closed the file, and another may have its number.
    fn check_file(&self, fd: RawFd) -> Res<()> {
        let number = self.file.get_or_none().call_method0(&names().fileno);
        match number.and_then(|number| number.to_i64()) {
            Ok(number) if number == i64::from(fd) => Ok(()),
            Ok(_) => Err(stale()),
            Err(raised) => {
                raised.discard();
                Err(stale())
            }
        }
    }

    /// The socket's descriptor now; -1 of a closed one.
    fn descriptor(&self) -> Res<RawFd> {
        let number = self.sock.get_or_none().call_method0(&names().fileno)?;
        let fd = RawFd::try_from(number.to_i64()?).unwrap_or(-1);
        match self.watched.get() {
            Some(watched) if watched != fd => Err(stale()),
            _ => Ok(fd),
        }
    }

    /// Sends once. True if that was all.
    fn attempt(&self) -> Res<bool> {
        let Some(file) = self.file_fd.get() else {
            return Ok(true);
        };
        let fd = self.descriptor()?;
        if self.sent.get() > 0 {
            self.check_file(file)?;
        }
        loop {
            let left = match self.count.get() {
                Some(count) => count - self.sent.get(),
                None => self.size.get(),
            };
            if left == 0 {
                return Ok(true);
            }
            let block = usize::try_from(left).unwrap_or(MAX_COUNT);
            let sent = match sendfile(fd, file, self.offset.get(), block) {
                Ok(0) => return Ok(true),
                Ok(sent) => sent as u64,
                Err(error) if is_not_ready(&error) => return Ok(false),
                Err(error) => return Err(self.failure(&error)?),
            };
            self.sent.set(self.sent.get() + sent);
            self.offset.set(self.offset.get() + sent);
            let at_end = match self.count.get() {
                Some(count) => self.sent.get() >= count,
                None => self.offset.get() >= self.size.get(),
            };
            if !at_end {
                return Ok(false);
            }
            // Without a count only the kernel knows whether the file has grown meanwhile.
        }
    }

    /// Before the first byte the other way may do better.
    #[cold]
    fn failure(&self, error: &io::Error) -> Res<Raised> {
        if self.sent.get() == 0 {
            return Ok(not_available("os.sendfile call failed"));
        }
        let raised = Raised::os(error);
        if error.raw_os_error() != Some(ENOTCONN) {
            return Ok(raised);
        }
        let cause = raised.take();
        let exception = Kind::Connection.as_any().call(&[
            &*value::text("socket is not connected")?,
            &*value::int(i64::from(ENOTCONN))?,
        ])?;
        set_cause(&exception, &cause);
        Ok(Raised::raise(exception))
    }

    /// The kernel takes no more for now: waits for it.
    fn suspend(&self) -> Res<Object> {
        let core = self.core()?;
        let future = future::create(LoopSlot::native(&core))?;
        if core.is_debug() {
            future.future().capture_source()?;
        }
        let fd = self.descriptor()?;
        if !self.engaged.get() {
            core.ensure_no_transport(fd, &*value::int(i64::from(fd))?)?;
        }
        self.future.set(future.clone());
        let replaced = core.watch(fd, Interest::WRITE, Watcher::SendFile(self.own()))?;
        self.watched.set(Some(fd));
        replaced.map_or(Ok(()), Watcher::retire)?;
        Ok(future.into_object())
    }

    /// The loop's part: the socket takes more.
    ///
    /// An error is what must leave the loop; others go to the exception handler.
    pub(crate) fn ready(&self) -> Res<()> {
        // It may have been replaced or removed since the event came.
        let Some(future) = self.future.get().filter(|_| self.watched.get().is_some()) else {
            return Ok(());
        };
        if !future.future().is_pending() {
            // Cancelled: whoever awaits us will hear of it.
            self.unwatch();
            return Ok(());
        }
        let told = match self.attempt() {
            Ok(false) => return Ok(()),
            Ok(true) => {
                self.unwatch();
                future::resolve(&future, value::none())
            }
            Err(raised) => self.fail(&future, raised.take()),
        };
        told.or_else(|raised| {
            let exception = raised.take();
            if is_exit_exception(&exception) {
                return Err(Raised::raise(exception));
            }
            self.handle()?.report(Raised::raise(exception))
        })
    }

    fn fail(&self, future: &Inst<Future>, exception: Object) -> Res<()> {
        self.unwatch();
        if is_exit_exception(&exception) {
            return Err(Raised::raise(exception));
        }
        future::fail(future, &exception)
    }

    /// The transport is closing its socket.
    pub(super) fn interrupt(&self) -> Res<()> {
        match self.future.get() {
            Some(future) if future.future().is_pending() => self.fail(&future, connection_error()?),
            _ => Ok(()),
        }
    }

    /// asyncio reports handles, to its log and to exception handlers.
    fn handle(&self) -> Res<Own<Handle>> {
        let loop_ = self.loop_.get().map_or_else(value::none, Own::into_object);
        Handle::create(self.as_any().own(), &[], loop_, context::copy_current()?)
    }

    /// What a report of a slow callback shows.
    pub(crate) fn describe(&self) -> Res<Object> {
        self.handle().map(Own::into_object)
    }
}

#[cold]
fn stale() -> Raised {
    Raised::os(&io::Error::from_raw_os_error(EBADF))
}

/// Has the loop fall back to reading and sending.
#[cold]
fn not_available(message: &str) -> Raised {
    Raised::of_class(&imports().sendfile_not_available_error, message)
}

const fn signature(function: &'static str, first: &'static CStr) -> Signature<4> {
    Signature {
        function,
        parameters: [first, c"file", c"offset", c"count"],
        positional: 4,
        required: 4,
    }
}

const NATIVE: Signature<4> = signature("_sendfile_native", c"transp");
const SOCK_NATIVE: Signature<4> = signature("_sock_sendfile_native", c"sock");

fn create(
    this: &Inst<LoopCore>,
    transport: Option<&Inst<StreamTransport>>,
    [sock, file, offset, count]: [Option<&Any>; 4],
) -> Res<Object> {
    let op = coroutine::create(Sending {
        loop_: SlotOf::new(Some(this.own())),
        transport: SlotOf::new(transport.map(Inst::own)),
        sock: Slot::new(sock.map(Any::own)),
        file: Slot::new(file.map(Any::own)),
        given_offset: Slot::new(offset.map(Any::own)),
        given_count: Slot::new(count.map(Any::own)),
        ..Sending::default()
    })?;
    Ok(op.into_object())
}

fn sendfile_native(this: &Inst<LoopCore>, args: Args<'_>) -> Res<Object> {
    let [transport, rest @ ..] = args.bind(&NATIVE)?;
    let [file, offset, count] = rest;
    match transport.and_then(Any::downcast::<StreamTransport>) {
        Some(transport) => create(this, Some(transport), [None, file, offset, count]),
        None => Err(not_available("sendfile syscall is not supported")),
    }
}

fn sock_sendfile_native(this: &Inst<LoopCore>, args: Args<'_>) -> Res<Object> {
    create(this, None, args.bind(&SOCK_NATIVE)?)
}

/// The two hooks of the loop.
pub(crate) fn hooks(b: TypeBuilder<LoopCore>) -> TypeBuilder<LoopCore> {
    b.coroutine(c"_sendfile_native", sendfile_native, c"_sendfile_native($self, transp, file, offset, count)\n--\n\nSend a file through a transport, inside the kernel. A coroutine.")
        .coroutine(c"_sock_sendfile_native", sock_sendfile_native, c"_sock_sendfile_native($self, sock, file, offset, count)\n--\n\nSend a file through a socket, inside the kernel. A coroutine.")
}

/// Makes the class.
pub(super) fn build() -> Res<()> {
    coroutine::build::<Sending>(c"A file on its way to a socket: a coroutine.")
}
