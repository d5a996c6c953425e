//! From stage to stage: beginning, suspending, becoming ready, ending.

use std::os::fd::RawFd;

use super::{NO_FD, Operation, SockOp, Stage};
use crate::event_loop::{LoopCore, Watcher, descriptor};
use crate::ffi::compat::set_cause;
use crate::ffi::error::{Kind, is_exit_exception, stop_iteration_class};
use crate::ffi::module::{imports, names};
use crate::ffi::send::{self, Answer, Sent};
use crate::ffi::{Any, Inst, Object, Own, Raised, Res, context, value};
use crate::future::{self, Future, FutureLike, LoopSlot};
use crate::handle::Handle;

/// `AF_INET` and `AF_INET6`: the families whose addresses have names.
const INET: [i64; 2] = [2, 10];

impl Inst<SockOp> {
    /// One step: `send(None)`.
    #[inline]
    pub(super) fn resume(&self) -> Res<Answer> {
        let stage = self.stage.get();
        Self::check_resumable(stage)?;
        // Whatever runs in the step may drop the last other reference to us.
        let this = self.own();
        self.stage.set(Stage::Running);
        let answer = if stage == Stage::Created {
            this.begin()
        } else if let Some(resolver) = this.resolver.get() {
            send::send_none(&resolver).and_then(|sent| this.resolved(sent))
        } else {
            this.future.get().map_or_else(
                || Err(Raised::runtime("a socket operation without a future")),
                |future| future::answer(&*future),
            )
        };
        this.settle(answer)
    }

    /// One step with an exception: `throw(exception)`.
    pub(super) fn throw(&self, exception: Object) -> Res<Answer> {
        let stage = self.stage.get();
        Self::check_resumable(stage)?;
        let this = self.own();
        self.stage.set(Stage::Running);
        let answer = match this.resolver.get() {
            Some(resolver) => {
                send::throw(&resolver, &exception).and_then(|sent| this.resolved(sent))
            }
            None => Err(Raised::raise(exception)),
        };
        this.settle(answer)
    }

    /// `close()`.
    pub(super) fn close(&self) -> Res<()> {
        if self.stage.get() == Stage::Running {
            return Err(executing());
        }
        let this = self.own();
        this.stage.set(Stage::Finished);
        let closed = match this.resolver.take() {
            Some(resolver) => resolver.call_method0(&names().close).map(drop),
            None => Ok(()),
        };
        this.finish();
        closed
    }

    #[inline]
    fn check_resumable(stage: Stage) -> Res<()> {
        match stage {
            Stage::Created | Stage::Suspended => Ok(()),
            Stage::Running => Err(executing()),
            Stage::Finished => Err(Raised::runtime("cannot reuse already awaited coroutine")),
        }
    }

    /// The stage after a step.
    #[inline]
    fn settle(&self, answer: Res<Answer>) -> Res<Answer> {
        match answer {
            Ok(Answer::Yield(future)) => {
                self.stage.set(Stage::Suspended);
                Ok(Answer::Yield(future))
            }
            Ok(Answer::Return(result)) => {
                self.finish();
                Ok(Answer::Return(result))
            }
            Err(raised) => {
                // Letting go of things may run Python, which must not see our exception.
                let mut exception = raised.take();
                self.finish();
                if exception.is_instance(stop_iteration_class())? {
                    // To whoever awaits us it would be a result.
                    let cause = exception;
                    exception = Raised::runtime("coroutine raised StopIteration").take();
                    set_cause(&exception, &cause);
                }
                Err(Raised::raise(exception))
            }
        }
    }

    #[inline]
    fn finish(&self) {
        self.stage.set(Stage::Finished);
        self.unwatch();
        self.forget();
        self.loop_.clear();
    }

    /// Removes our watcher, if it still is ours.
    fn unwatch(&self) {
        if self.watched.replace(false)
            && let Some(core) = self.loop_.get()
        {
            drop(core.unwatch(self.fd.get(), self.operation.side()));
        }
    }

    #[inline]
    pub(super) fn core(&self) -> Res<Own<LoopCore>> {
        self.loop_
            .get()
            .ok_or_else(|| Raised::runtime("Event loop is closed"))
    }

    /// The first step.
    #[inline]
    fn begin(&self) -> Res<Answer> {
        let core = self.core()?;
        let sock = self.sock.get_or_none();
        if !self.plain {
            imports().check_ssl_socket.call1(&sock)?;
        }
        if core.is_debug() {
            check_nonblocking(&sock)?;
        }
        if self.operation == Operation::Connect && has_names(&sock)? {
            return self.resolve(&core, &sock);
        }
        self.start(&core)
    }

    #[inline]
    fn start(&self, core: &Inst<LoopCore>) -> Res<Answer> {
        match self.first_attempt()? {
            Some(result) => Ok(Answer::Return(result)),
            None => self.suspend(core),
        }
    }

    /// The kernel is not ready: waits for it.
    fn suspend(&self, core: &Inst<LoopCore>) -> Res<Answer> {
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
        let replaced = core.watch(fd, self.operation.side(), Watcher::Sock(self.own()))?;
        self.watched.set(true);
        replaced.map_or(Ok(()), Watcher::retire)?;
        future::answer(&*future)
    }

    /// The socket's descriptor now.
    #[inline]
    pub(super) fn descriptor(&self) -> Res<RawFd> {
        let number = self.sock.get_or_none().call_method0(&names().fileno)?;
        if self.plain {
            // A closed socket has none: the kernel says what that means.
            let fd = RawFd::try_from(number.to_i64()?).unwrap_or(NO_FD);
            if self.stage.get() == Stage::Running {
                self.fd.set(fd);
            }
            return Ok(fd);
        }
        descriptor(&number)
    }

    /// Begins to resolve the address that is to be connected to.
    #[cold]
    fn resolve(&self, core: &Inst<LoopCore>, sock: &Any) -> Res<Answer> {
        let attribute = |name: &str| sock.getattr(&*value::text(name)?);
        let (family, kind, proto) = (
            attribute("family")?,
            attribute("type")?,
            attribute("proto")?,
        );
        let keywords = ["family", "type", "proto", "loop"]
            .map(value::text)
            .into_iter()
            .collect::<Res<Vec<_>>>()?;
        let keywords: Vec<&Any> = keywords.iter().map(|name| &**name).collect();
        let resolver = core
            .as_any()
            .getattr(&*value::text("_ensure_resolved")?)?
            .call_names(
                &[
                    &self.first.get_or_none(),
                    &family,
                    &kind,
                    &proto,
                    core.as_any(),
                ],
                &*value::tuple(&keywords)?,
            )?;
        self.resolver.set(resolver.clone());
        let sent = send::send_none(&resolver)?;
        self.resolved(sent)
    }

    /// The resolver has yielded a future of its own, or has found addresses.
    fn resolved(&self, sent: Sent) -> Res<Answer> {
        let found = match sent {
            Sent::Yielded(future) => return Ok(Answer::Yield(future)),
            Sent::Returned(found) => found,
        };
        self.resolver.clear();
        let info = found.item(0)?;
        let &[_, _, _, _, address] = info.tuple_items() else {
            return Err(Raised::new(
                Kind::Value,
                "an address information has five parts",
            ));
        };
        self.first.set(address.own());
        self.start(&*self.core()?)
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
            Some(core) if self.watched.get() => core.rewatch(self.fd.get(), self.operation.side()),
            _ => Ok(()),
        }
    }
}

fn executing() -> Raised {
    Raised::new(Kind::Value, "coroutine already executing")
}

/// asyncio's check in debug mode.
#[cold]
fn check_nonblocking(sock: &Any) -> Res<()> {
    if sock
        .call_method0(&names().gettimeout)?
        .equals(&*value::int(0)?)?
    {
        return Ok(());
    }
    Err(Raised::new(Kind::Value, "the socket must be non-blocking"))
}

fn has_names(sock: &Any) -> Res<bool> {
    let family = sock.getattr(&*value::text("family")?)?;
    for known in INET {
        if family.equals(&*value::int(known)?)? {
            return Ok(true);
        }
    }
    Ok(false)
}
