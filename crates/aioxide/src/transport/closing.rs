//! The end of a transport, in all its ways.

use super::common::{Transport, some};
use super::{Event, StreamTransport};
use crate::ffi::call::Signature;
use crate::ffi::error::{Kind, resource_warning};
use crate::ffi::method::{TypeBuilder, flag};
use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Args, Inst, Object, Raised, Res, value};

impl<T: Transport> Inst<T> {
    /// Ends without sending what waits. The first exception counts.
    pub(super) fn force_close(&self, exception: Option<Object>) -> Res<()> {
        let common = self.common();
        let Some(core) = common.loop_.get() else {
            return Ok(());
        };
        if common.conn_lost.get() > 0 {
            return Ok(());
        }
        // What was written has been sent by then, as far as the kernel takes it.
        T::settle_output(self)?;
        if common.conn_lost.get() > 0 {
            return Ok(());
        }
        self.drop_output();
        self.stop_writing(&core);
        common.closing.set(true);
        self.stop_reading(&core);
        common.conn_lost.set(common.conn_lost.get() + 1);
        drop(common.lost_with.replace(exception));
        self.schedule(&core, Event::Lost)
    }

    /// A protocol callback raised: the connection ends, unless the whole program is to.
    #[cold]
    pub(super) fn callback_failed(&self, raised: Raised, message: &str) -> Res<()> {
        if raised.is_exit() {
            return Err(raised);
        }
        self.fatal_error(raised.take(), message)
    }

    /// Reports an error that ends the transport. Those of the network are no news to anybody.
    #[cold]
    pub(super) fn fatal_error(&self, exception: Object, message: &str) -> Res<()> {
        let Some(core) = self.common().loop_.get() else {
            return Ok(());
        };
        if T::is_expected(&exception) {
            if core.is_debug() {
                let debug = imports().logger.getattr(&names().debug)?;
                debug.call_names(
                    &[
                        &*value::text("%r: %s")?,
                        self.as_any(),
                        &*value::text(message)?,
                        &exception,
                    ],
                    &imports().exc_info_names,
                )?;
            }
        } else {
            self.call_exception_handler(message, &exception)?;
        }
        self.force_close(Some(exception))
    }

    /// The protocol's last callback; after it, whatever it does, everything is let go.
    pub(super) fn call_connection_lost(&self, exception: Option<Object>) -> Res<()> {
        let Some(protocol) = self.common().protocol.get() else {
            return Ok(());
        };
        let exception = exception.unwrap_or_else(value::none);
        let told = protocol
            .call_method1(&names().connection_lost, &exception)
            .map(drop)
            .map_err(Raised::take);
        let released = T::release(self);
        match told {
            Ok(()) => released,
            Err(exception) => {
                if let Err(raised) = released {
                    raised.unraisable(Some(self.as_any()));
                }
                Err(Raised::raise(exception))
            }
        }
    }

    /// Closes the file and lets go of what every transport has.
    pub(super) fn release_common(&self) -> Res<()> {
        let common = self.common();
        if let Some(core) = common.loop_.get() {
            self.stop_reading(&core);
            self.stop_writing(&core);
        }
        let closed = self.close_file();
        self.drop_output();
        common.protocol.clear();
        common.loop_.clear();
        closed
    }

    /// The last reference is gone, but nobody has closed the transport: warns.
    #[cold]
    pub(super) fn warn_unclosed(&self) -> Res<()> {
        let message = format!("unclosed transport {}", self.as_any().repr_lossy());
        resource_warning(self.as_any(), &message)
    }

    /// For places that cannot raise. Called before anything else is: while an exception is set, no
    /// Python may run.
    #[cold]
    pub(super) fn unraisable(&self, result: Res<()>) {
        if let Err(raised) = result {
            raised.unraisable(Some(self.as_any()));
        }
    }
}

impl Inst<StreamTransport> {
    /// Receives nothing more, sends what waits, then ends.
    pub(super) fn close(&self) -> Res<()> {
        self.uncork()?;
        if self.common.closing.replace(true) {
            return Ok(());
        }
        let Some(core) = self.common.loop_.get() else {
            return Ok(());
        };
        self.stop_reading(&core);
        if self.out.queue.borrow().is_empty() {
            self.common.conn_lost.set(self.common.conn_lost.get() + 1);
            self.stop_writing(&core);
            self.schedule(&core, Event::Lost)?;
        }
        Ok(())
    }

    pub(super) fn release(&self) -> Res<()> {
        self.interrupt_sendfile()?;
        self.forget_descriptor();
        self.release_common()?;
        self.detach_server()?;
        if let Some(waiter) = self.empty_waiter.get()
            && !waiter.call_method0(&names().done)?.is_truthy()?
        {
            let error = connection_error()?;
            waiter.call_method1(&names().set_exception, &error)?;
        }
        Ok(())
    }

    /// A file that is being sent has nowhere to go.
    fn interrupt_sendfile(&self) -> Res<()> {
        if self.empty_waiter.is_none() {
            return Ok(());
        }
        match self.common.loop_.get() {
            Some(core) => match core.sendfile_on(self.common.fd.get(), self.as_any()) {
                Some(op) => op.interrupt(),
                None => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// The loop is not to watch the descriptor, which is about to be closed.
    fn forget_descriptor(&self) {
        let Some(core) = self.common.loop_.get() else {
            return;
        };
        self.stop_reading(&core);
        self.stop_writing(&core);
        self.disclaim(&core);
    }

    fn detach_server(&self) -> Res<()> {
        match self.server.take() {
            Some(server) => self.detach(&server),
            None => Ok(()),
        }
    }

    /// Lets go of a socket that was never served; it stays open.
    #[cold]
    pub(super) fn abandon(&self) {
        self.common.closing.set(true);
        self.common.conn_lost.set(1);
        let left = self.leave_socket();
        self.unraisable(left);
        self.common.file.clear();
        let closed = self.close_bare();
        self.unraisable(closed.map(drop));
        self.forget_descriptor();
        self.unraisable(self.detach_server());
    }

    /// The last reference is gone, but nobody has closed the connection.
    #[cold]
    pub(super) fn finalize_unclosed(&self) {
        self.unraisable(self.warn_unclosed());
        self.forget_descriptor();
        self.unraisable(self.close_file());
        self.unraisable(self.detach_server());
    }
}

pub(super) fn connection_error() -> Res<Object> {
    Kind::Connection
        .as_any()
        .call1(&*value::text("Connection is closed by peer")?)
}

impl Inst<StreamTransport> {
    /// Whether the transport is closing or closed.
    #[inline]
    pub(crate) fn is_closing(&self) -> bool {
        self.common.closing.get()
    }
}

fn close(this: &Inst<StreamTransport>) -> Res<Object> {
    this.close()?;
    Ok(value::none())
}

pub(super) fn abort<T: Transport>(this: &Inst<T>) -> Res<Object> {
    this.force_close(None)?;
    Ok(value::none())
}

/// asyncio's `StreamWriter.drain()` touches the transport by this alone, and a write that has failed
/// shows here: so it flushes.
fn is_closing<T: Transport>(this: &Inst<T>) -> Res<Object> {
    T::settle_output(this)?;
    flag(this.common().closing.get())
}

fn force_close(this: &Inst<StreamTransport>, exception: &Any) -> Res<Object> {
    this.force_close(some(exception))?;
    Ok(value::none())
}

fn call_connection_lost<T: Transport>(this: &Inst<T>, exception: &Any) -> Res<Object> {
    this.common().lost_with.clear();
    this.call_connection_lost(some(exception))?;
    Ok(value::none())
}

const FATAL_ERROR: Signature<2> = Signature {
    function: "_fatal_error",
    parameters: [c"exc", c"message"],
    positional: 2,
    required: 1,
};

fn fatal_error<T: Transport>(this: &Inst<T>, args: Args<'_>) -> Res<Object> {
    let [exception, message] = args.bind(&FATAL_ERROR)?;
    let message = message.map_or("Fatal error on transport".to_owned(), Any::text_lossy);
    this.fatal_error(exception.unwrap_or(value::none_ref()).own(), &message)?;
    Ok(value::none())
}

/// What every transport has.
pub(super) fn common_methods<T: Transport>(b: TypeBuilder<T>) -> TypeBuilder<T> {
    b.method0(c"is_closing", is_closing, c"is_closing($self, /)\n--\n\nWhether the transport is closing or closed.")
        .method(c"_fatal_error", fatal_error, c"_fatal_error($self, exc, message='Fatal error on transport')\n--\n\nReport an error and close at once.")
        .method1(c"_call_connection_lost", call_connection_lost, c"_call_connection_lost($self, exc, /)\n--\n\nTell the protocol and let go of everything.")
}

pub(super) fn methods(b: TypeBuilder<StreamTransport>) -> TypeBuilder<StreamTransport> {
    common_methods(b).method0(c"close", close, c"close($self, /)\n--\n\nReceive nothing more, send what waits, then call connection_lost(None).")
        .method0(c"abort", abort, c"abort($self, /)\n--\n\nClose without sending what waits.")
        .method1(c"_force_close", force_close, c"_force_close($self, exc, /)\n--\n\nClose at once; connection_lost() gets the exception.")
}
