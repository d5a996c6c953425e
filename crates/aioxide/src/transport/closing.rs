//! The end of a connection, in all its ways.

use super::{Event, StreamTransport};
use crate::ffi::call::Signature;
use crate::ffi::error::{Kind, resource_warning};
use crate::ffi::method::{TypeBuilder, flag};
use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Args, Inst, Object, Raised, Res, value};

impl Inst<StreamTransport> {
    /// Receives nothing more, sends what waits, then ends.
    pub(super) fn close(&self) -> Res<()> {
        if self.closing.replace(true) {
            return Ok(());
        }
        let Some(core) = self.loop_.get() else {
            return Ok(());
        };
        self.stop_reading(&core);
        if self.queue.borrow().is_empty() {
            self.conn_lost.set(self.conn_lost.get() + 1);
            self.stop_writing(&core);
            self.schedule(&core, Event::Lost)?;
        }
        Ok(())
    }

    /// Ends without sending what waits. The first exception counts.
    pub(super) fn force_close(&self, exception: Option<Object>) -> Res<()> {
        let Some(core) = self.loop_.get() else {
            return Ok(());
        };
        if self.conn_lost.get() > 0 {
            return Ok(());
        }
        drop(self.queue.take());
        self.stop_writing(&core);
        self.closing.set(true);
        self.stop_reading(&core);
        self.conn_lost.set(self.conn_lost.get() + 1);
        drop(self.lost_with.replace(exception));
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

    /// Reports an error that ends the connection. The network's own are no news to anybody.
    #[cold]
    pub(super) fn fatal_error(&self, exception: Object, message: &str) -> Res<()> {
        let Some(core) = self.loop_.get() else {
            return Ok(());
        };
        if exception.is_subtype_of(Kind::Os.as_any()) {
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

    pub(super) fn call_exception_handler(&self, message: &str, exception: &Any) -> Res<()> {
        let Some(core) = self.loop_.get() else {
            return Ok(());
        };
        let names = names();
        let report = value::dict()?;
        report.dict_set(&names.message, &*value::text(message)?)?;
        report.dict_set(&names.exception, exception)?;
        report.dict_set(&names.transport, self.as_any())?;
        report.dict_set(&names.protocol, &self.protocol.get_or_none())?;
        core.as_any()
            .call_method1(&names.call_exception_handler, &report)?;
        Ok(())
    }

    /// The protocol's last callback; after it, whatever it does, everything is let go.
    pub(super) fn call_connection_lost(&self, exception: Option<Object>) -> Res<()> {
        let Some(protocol) = self.protocol.get() else {
            return Ok(());
        };
        let exception = exception.unwrap_or_else(value::none);
        let told = protocol
            .call_method1(&names().connection_lost, &exception)
            .map(drop)
            .map_err(Raised::take);
        let released = self.release();
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

    fn release(&self) -> Res<()> {
        self.forget_descriptor()?;
        let closed = match self.sock.take() {
            Some(sock) => sock.call_method0(&names().close).map(drop),
            None => Ok(()),
        };
        drop(self.queue.take());
        self.protocol.clear();
        self.loop_.clear();
        closed?;
        if let Some(server) = self.server.take() {
            self.tell_server(&server, &names()._detach)?;
        }
        if let Some(waiter) = self.empty_waiter.get()
            && !waiter.call_method0(&names().done)?.is_truthy()?
        {
            let error = connection_error()?;
            waiter.call_method1(&names().set_exception, &error)?;
        }
        Ok(())
    }

    /// The loop is not to watch the descriptor, which is about to be closed.
    fn forget_descriptor(&self) -> Res<()> {
        let Some(core) = self.loop_.get() else {
            return Ok(());
        };
        self.stop_reading(&core);
        self.stop_writing(&core);
        core.forget_owner(self.fd.get(), self.as_any())
    }

    /// Lets go of a socket that was never served; it stays open.
    #[cold]
    pub(super) fn abandon(&self) {
        self.closing.set(true);
        self.conn_lost.set(1);
        self.sock.clear();
        let forgotten = self.forget_descriptor();
        let detached = match self.server.take() {
            Some(server) => self.tell_server(&server, &names()._detach),
            None => Ok(()),
        };
        for result in [forgotten, detached] {
            if let Err(raised) = result {
                raised.unraisable(Some(self.as_any()));
            }
        }
    }

    /// The last reference is gone, but nobody has closed the connection.
    #[cold]
    pub(super) fn finalize_unclosed(&self) {
        let message = format!("unclosed transport {}", self.as_any().repr_lossy());
        let warned = resource_warning(self.as_any(), &message);
        let forgotten = self.forget_descriptor();
        let closed = match self.sock.take() {
            Some(sock) => sock.call_method0(&names().close).map(drop),
            None => Ok(()),
        };
        let detached = match self.server.take() {
            Some(server) => self.tell_server(&server, &names()._detach),
            None => Ok(()),
        };
        for result in [warned, forgotten, closed, detached] {
            if let Err(raised) = result {
                raised.unraisable(Some(self.as_any()));
            }
        }
    }
}

fn connection_error() -> Res<Object> {
    let class =
        crate::ffi::module::import("builtins")?.getattr(&*value::text("ConnectionError")?)?;
    class.call1(&*value::text("Connection is closed by peer")?)
}

fn close(this: &Inst<StreamTransport>) -> Res<Object> {
    this.close()?;
    Ok(value::none())
}

fn abort(this: &Inst<StreamTransport>) -> Res<Object> {
    this.force_close(None)?;
    Ok(value::none())
}

fn is_closing(this: &Inst<StreamTransport>) -> Res<Object> {
    flag(this.closing.get())
}

fn exception_of(argument: &Any) -> Option<Object> {
    (!argument.is_none()).then(|| argument.own())
}

fn force_close(this: &Inst<StreamTransport>, exception: &Any) -> Res<Object> {
    this.force_close(exception_of(exception))?;
    Ok(value::none())
}

fn call_connection_lost(this: &Inst<StreamTransport>, exception: &Any) -> Res<Object> {
    this.lost_with.clear();
    this.call_connection_lost(exception_of(exception))?;
    Ok(value::none())
}

const FATAL_ERROR: Signature<2> = Signature {
    function: "_fatal_error",
    parameters: [c"exc", c"message"],
    positional: 2,
    required: 1,
};

fn fatal_error(this: &Inst<StreamTransport>, args: Args<'_>) -> Res<Object> {
    let [exception, message] = args.bind(&FATAL_ERROR)?;
    let message = message.map_or("Fatal error on transport".to_owned(), Any::text_lossy);
    this.fatal_error(exception.unwrap_or(value::none_ref()).own(), &message)?;
    Ok(value::none())
}

pub(super) fn methods(b: TypeBuilder<StreamTransport>) -> TypeBuilder<StreamTransport> {
    b.method0(c"close", close, c"close($self, /)\n--\n\nReceive nothing more, send what waits, then call connection_lost(None).")
        .method0(c"abort", abort, c"abort($self, /)\n--\n\nClose without sending what waits.")
        .method0(c"is_closing", is_closing, c"is_closing($self, /)\n--\n\nWhether the transport is closing or closed.")
        .method1(c"_force_close", force_close, c"_force_close($self, exc, /)\n--\n\nClose at once; connection_lost() gets the exception.")
        .method(c"_fatal_error", fatal_error, c"_fatal_error($self, exc, message='Fatal error on transport')\n--\n\nReport an error and close at once.")
        .method1(c"_call_connection_lost", call_connection_lost, c"_call_connection_lost($self, exc, /)\n--\n\nTell the protocol and let go of everything.")
}
