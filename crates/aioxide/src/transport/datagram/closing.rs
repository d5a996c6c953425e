//! The end of an endpoint.

use super::super::common::some;
use super::super::{Event, closing};
use super::DatagramTransport;
use crate::ffi::method::TypeBuilder;
use crate::ffi::{Any, Inst, Object, Res, value};

impl Inst<DatagramTransport> {
    /// Receives nothing more, sends what waits, then ends.
    fn close(&self) -> Res<()> {
        if self.common.closing.replace(true) {
            return Ok(());
        }
        let Some(core) = self.common.loop_.get() else {
            return Ok(());
        };
        self.stop_reading(&core);
        if self.queue.borrow().is_empty() {
            self.common.conn_lost.set(self.common.conn_lost.get() + 1);
            self.stop_writing(&core);
            self.schedule(&core, Event::Lost)?;
        }
        Ok(())
    }

    pub(super) fn release(&self) -> Res<()> {
        self.forget_descriptor();
        self.peer.take();
        self.release_common()
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

    /// Lets go of a socket that was never served; it stays open.
    #[cold]
    pub(super) fn abandon(&self) {
        self.common.closing.set(true);
        self.common.conn_lost.set(1);
        self.common.file.clear();
        self.forget_descriptor();
    }

    /// The last reference is gone, but nobody has closed the endpoint.
    #[cold]
    pub(super) fn finalize_unclosed(&self) {
        self.unraisable(self.warn_unclosed());
        self.forget_descriptor();
        self.unraisable(self.close_file());
    }
}

fn close(this: &Inst<DatagramTransport>) -> Res<Object> {
    this.close()?;
    Ok(value::none())
}

fn force_close(this: &Inst<DatagramTransport>, exception: &Any) -> Res<Object> {
    this.force_close(some(exception))?;
    Ok(value::none())
}

pub(super) fn methods(b: TypeBuilder<DatagramTransport>) -> TypeBuilder<DatagramTransport> {
    closing::common_methods(b)
        .method0(c"close", close, c"close($self, /)\n--\n\nReceive nothing more, send what waits, then call connection_lost(None).")
        .method0(c"abort", closing::abort, c"abort($self, /)\n--\n\nClose without sending what waits.")
        .method1(c"_force_close", force_close, c"_force_close($self, exc, /)\n--\n\nClose at once; connection_lost() gets the exception.")
}
