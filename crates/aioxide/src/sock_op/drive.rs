//! The body of the coroutine, and what the loop calls when the descriptor is ready.

use std::ffi::CStr;
use std::os::fd::RawFd;

use super::connect::is_nonblocking;
use super::{Method, NO_FD, SOCK_OP, SockCall, SockOp};
use crate::coroutine::{Operation, Outcome, Step};
use crate::event_loop::{LoopCore, Watcher, descriptor};
use crate::ffi::error::{Kind, is_exit_exception};
use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Class, Inst, Object, Own, Raised, Res, Visit, context, value};
use crate::future::{self, Future, FutureLike, LoopSlot};
use crate::handle::Handle;

impl Operation for SockCall {
    const CLASS_NAME: &'static CStr = c"aioxide.SockOp";

    #[inline(always)]
    fn class() -> &'static Class<SockOp> {
        &SOCK_OP
    }
    fn name(&self) -> &'static str {
        self.method.name()
    }
    fn qualname(&self) -> String {
        format!("EventLoop.{}", self.method.name())
    }

    /// The checks, and the first attempt.
    #[inline]
    fn start(this: &Inst<SockOp>) -> Res<Step> {
        let core = this.core()?;
        let sock = this.sock.get_or_none();
        if !this.plain {
            imports().check_ssl_socket.call1(&sock)?;
        }
        if core.is_debug() {
            check_nonblocking(&sock)?;
        }
        if this.method == (Method::Connect { numeric: false }) && this.has_names(&sock)? {
            this.resolving.set(true);
            return this.resolve(&core, &sock).map(Step::Await);
        }
        this.first_step(&core)
    }

    #[inline]
    fn resume(this: &Inst<SockOp>, outcome: Outcome) -> Res<Step> {
        match outcome {
            Ok(found) if this.resolving.replace(false) => this.resolved(&found),
            Ok(result) => Ok(Step::Return(result)),
            Err(exception) => Err(Raised::raise(exception)),
        }
    }

    fn traverse(&self, visit: &mut Visit) {
        self.loop_.visit(visit);
        self.sock.visit(visit);
        self.first.visit(visit);
        self.second.visit(visit);
        self.future.visit(visit);
        if let Ok(data) = self.data.try_borrow()
            && let Some(data) = &*data
        {
            data.visit(visit);
        }
    }

    fn clear(&self) {
        self.unwatch();
        let data = self.data.take();
        self.sock.clear();
        self.first.clear();
        self.second.clear();
        self.future.clear();
        self.loop_.clear();
        drop(data);
    }
}

impl SockCall {
    /// Removes our watcher, if it still is ours.
    fn unwatch(&self) {
        if self.watched.replace(false)
            && let Some(core) = self.loop_.get()
        {
            drop(core.unwatch(self.fd.get(), self.method.side()));
        }
    }

    #[inline]
    pub(super) fn core(&self) -> Res<Own<LoopCore>> {
        self.loop_
            .get()
            .ok_or_else(|| Raised::runtime("Event loop is closed"))
    }
}

impl Inst<SockOp> {
    #[inline]
    pub(super) fn first_step(&self, core: &Inst<LoopCore>) -> Res<Step> {
        match self.first_attempt()? {
            Some(result) => Ok(Step::Return(result)),
            None => self.suspend(core).map(Step::Await),
        }
    }

    /// The kernel is not ready: waits for it.
    fn suspend(&self, core: &Inst<LoopCore>) -> Res<Object> {
        let future = future::create(LoopSlot::native(core))?;
        if core.is_debug() {
            future.future().capture_source()?;
        }
        let fd = match self.fd.get() {
            NO_FD => self.descriptor()?,
            // The attempt in this very step has asked.
            fd => fd,
        };
        self.fd.set(fd);
        core.ensure_no_transport(fd, &*value::int(i64::from(fd))?)?;
        self.future.set(future.clone());
        let replaced = core.watch(fd, self.method.side(), Watcher::Sock(self.own()))?;
        self.watched.set(true);
        replaced.map_or(Ok(()), Watcher::retire)?;
        Ok(future.into_object())
    }

    /// The socket's descriptor now.
    #[inline]
    pub(super) fn descriptor(&self) -> Res<RawFd> {
        let number = self.sock.get_or_none().call_method0(&names().fileno)?;
        if self.plain {
            // A closed socket has none: the kernel says what that means.
            let fd = RawFd::try_from(number.to_i64()?).unwrap_or(NO_FD);
            if self.is_running() {
                self.fd.set(fd);
            }
            return Ok(fd);
        }
        descriptor(&number)
    }

    /// The loop's part: the descriptor is ready.
    ///
    /// An error is what must leave the loop; others go to the exception handler.
    #[inline]
    pub(crate) fn ready(&self) -> Res<()> {
        // It may have been replaced or removed since the event came.
        if !self.watched.get() {
            return Ok(());
        }
        self.advance().or_else(|raised| self.report(raised))
    }

    #[cold]
    fn report(&self, raised: Raised) -> Res<()> {
        let exception = raised.take();
        if is_exit_exception(&exception) {
            return Err(Raised::raise(exception));
        }
        self.handle()?.report(Raised::raise(exception))
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

    #[inline]
    fn advance(&self) -> Res<()> {
        let Some(future) = self.future.get() else {
            return Ok(());
        };
        if !future.future().is_pending() {
            // Cancelled: whoever awaits us will hear of it.
            self.unwatch();
            return Ok(());
        }
        match self.attempt() {
            Ok(Some(result)) => {
                self.unwatch();
                future::resolve(&*future, result)
            }
            Ok(None) => self.rewatch().or_else(|raised| self.fail(&future, raised)),
            Err(raised) => self.fail(&future, raised),
        }
    }

    /// The system call has failed: the task gets the error, unless it is one that ends the loop.
    #[cold]
    fn fail(&self, future: &Inst<Future>, raised: Raised) -> Res<()> {
        let exception = raised.take();
        let told = if is_exit_exception(&exception) {
            Err(Raised::raise(exception))
        } else {
            future::fail(future, &exception)
        };
        match told {
            Ok(()) => {
                self.unwatch();
                Ok(())
            }
            Err(raised) => {
                // As with asyncio, whoever runs the loop again finds the operation waiting.
                let exception = raised.take();
                if let Err(raised) = self.rewatch() {
                    raised.discard();
                }
                Err(Raised::raise(exception))
            }
        }
    }

    /// Waits on, unless the attempt has let somebody else take our place.
    fn rewatch(&self) -> Res<()> {
        match self.loop_.get() {
            Some(core) if self.watched.get() => core.rewatch(self.fd.get(), self.method.side()),
            _ => Ok(()),
        }
    }
}

/// asyncio's check in debug mode.
#[cold]
fn check_nonblocking(sock: &Any) -> Res<()> {
    if is_nonblocking(sock)? {
        return Ok(());
    }
    Err(Raised::new(Kind::Value, "the socket must be non-blocking"))
}
