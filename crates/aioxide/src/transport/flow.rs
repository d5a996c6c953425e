//! Flow control: the two watermarks, and telling the protocol.

use std::cell::{Cell, RefCell};

use aioxide_core::flow_control::{FlowControl, Signal};

use super::common::{Transport, given};
use super::out_queue::OutQueue;
use crate::ffi::call::Signature;
use crate::ffi::error::Kind;
use crate::ffi::method::{TypeBuilder, flag};
use crate::ffi::module::names;
use crate::ffi::{Any, Args, Inst, Object, Raised, Res, Visit, value};

/// What waits to be sent, and when that is too much.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    pub(super) queue: RefCell<OutQueue>,
    pub(super) flow: Cell<FlowControl>,
}

impl Outgoing {
    pub(super) fn visit(&self, visit: &mut Visit) {
        if let Ok(queue) = self.queue.try_borrow() {
            queue.traverse(visit);
        }
    }

    pub(super) fn clear(&self) {
        drop(self.queue.take());
    }

    pub(super) fn size(&self) -> usize {
        self.queue.borrow().size()
    }

    pub(super) fn list(&self) -> Res<Object> {
        let chunks = self.queue.borrow().snapshot()?;
        value::list(&chunks)
    }

    /// Removes the first `sent` bytes.
    #[inline]
    pub(super) fn drop_sent(&self, sent: usize) {
        // Dropped where nothing is borrowed.
        let gone = self.queue.borrow_mut().take_sent(sent);
        drop(gone);
    }
}

/// A transport that sends.
pub(crate) trait Sends: Transport {
    fn flow(&self) -> &Cell<FlowControl>;
    /// How many bytes wait to be sent.
    fn waiting(&self) -> usize;
    /// What waits, for Python's `_buffer`.
    fn waiting_list(&self) -> Res<Object>;
}

impl<T: Sends> Inst<T> {
    /// More has been put into the queue.
    pub(super) fn queue_has_grown(&self) -> Res<()> {
        let size = self.waiting();
        let mut flow = self.flow().get();
        let signal = flow.on_grow(size);
        self.flow().set(flow);
        self.tell(signal)
    }

    /// Something has been sent.
    pub(super) fn queue_has_shrunk(&self) -> Res<()> {
        let size = self.waiting();
        let mut flow = self.flow().get();
        let signal = flow.on_shrink(size);
        self.flow().set(flow);
        self.tell(signal)
    }

    fn tell(&self, signal: Signal) -> Res<()> {
        let (method, message) = match signal {
            Signal::None => return Ok(()),
            Signal::Pause => (&names().pause_writing, "protocol.pause_writing() failed"),
            Signal::Resume => (&names().resume_writing, "protocol.resume_writing() failed"),
        };
        let Some(protocol) = self.common().protocol.get() else {
            return Ok(());
        };
        match protocol.call_method0(method) {
            Ok(_) => Ok(()),
            Err(raised) if raised.is_exit() => Err(raised),
            Err(raised) => self.call_exception_handler(message, &raised.take()),
        }
    }
}

const LIMITS: Signature<2> = Signature {
    function: "set_write_buffer_limits",
    parameters: [c"high", c"low"],
    positional: 2,
    required: 0,
};

/// A number of bytes. Any Python number will do, as in asyncio; what no buffer can reach is cut.
#[allow(
    clippy::cast_possible_truncation,
    reason = "saturates, which is what is wanted"
)]
fn limit(argument: Option<&Any>) -> Res<Option<i64>> {
    let Some(number) = given(argument) else {
        return Ok(None);
    };
    if number.is_int()
        && let Ok(limit) = number.to_i64().map_err(Raised::discard)
    {
        return Ok(Some(limit));
    }
    number.to_f64().map(|number| Some(number.floor() as i64))
}

fn set_limits<T: Sends>(this: &Inst<T>, args: &Args<'_>) -> Res<()> {
    let [high, low] = args.bind(&LIMITS)?;
    let (high, low) = (limit(high)?, limit(low)?);
    let mut flow = this.flow().get();
    let done = flow.set_limits(high, low);
    this.flow().set(flow);
    done.map_err(|error| Raised::new(Kind::Value, &error.to_string()))
}

fn set_write_buffer_limits<T: Sends>(this: &Inst<T>, args: Args<'_>) -> Res<Object> {
    T::settle_output(this)?;
    set_limits(this, &args)?;
    this.queue_has_grown()?;
    Ok(value::none())
}

fn set_limits_only<T: Sends>(this: &Inst<T>, args: Args<'_>) -> Res<Object> {
    T::settle_output(this)?;
    set_limits(this, &args)?;
    Ok(value::none())
}

fn low_water<T: Sends>(this: &Inst<T>) -> Res<Object> {
    let (low, _) = this.flow().get().limits();
    value::uint(low)
}

fn high_water<T: Sends>(this: &Inst<T>) -> Res<Object> {
    let (_, high) = this.flow().get().limits();
    value::uint(high)
}

fn get_write_buffer_limits<T: Sends>(this: &Inst<T>) -> Res<Object> {
    value::tuple(&[&*low_water(this)?, &*high_water(this)?])
}

fn get_write_buffer_size<T: Sends>(this: &Inst<T>) -> Res<Object> {
    T::settle_output(this)?;
    value::uint(this.waiting() as u64)
}

fn protocol_paused<T: Sends>(this: &Inst<T>) -> Res<Object> {
    let paused = this.flow().get().is_paused();
    flag(paused)
}

fn maybe_pause<T: Sends>(this: &Inst<T>) -> Res<Object> {
    this.queue_has_grown()?;
    Ok(value::none())
}

fn maybe_resume<T: Sends>(this: &Inst<T>) -> Res<Object> {
    this.queue_has_shrunk()?;
    Ok(value::none())
}

fn get_buffer<T: Sends>(this: &Inst<T>) -> Res<Object> {
    T::settle_output(this)?;
    this.waiting_list()
}

fn get_conn_lost<T: Sends>(this: &Inst<T>) -> Res<Object> {
    value::int(i64::from(this.common().conn_lost.get()))
}

pub(super) fn methods<T: Sends>(b: TypeBuilder<T>) -> TypeBuilder<T> {
    b.method(c"set_write_buffer_limits", set_write_buffer_limits, c"set_write_buffer_limits($self, high=None, low=None)\n--\n\nSet when pause_writing() and resume_writing() of the protocol are called.\n\nRaises ValueError unless high >= low >= 0.")
        .method(c"_set_write_buffer_limits", set_limits_only, c"_set_write_buffer_limits($self, high=None, low=None)\n--\n\nSet the limits without telling the protocol.")
        .method0(c"get_write_buffer_limits", get_write_buffer_limits, c"get_write_buffer_limits($self, /)\n--\n\n(low, high), in bytes.")
        .method0(c"get_write_buffer_size", get_write_buffer_size, c"get_write_buffer_size($self, /)\n--\n\nHow many bytes wait to be sent.")
        .method0(c"_maybe_pause_protocol", maybe_pause, c"_maybe_pause_protocol($self, /)\n--\n\nCall pause_writing() if too much waits.")
        .method0(c"_maybe_resume_protocol", maybe_resume, c"_maybe_resume_protocol($self, /)\n--\n\nCall resume_writing() if enough has been sent.")
        .getter(c"_protocol_paused", protocol_paused, c"Whether the protocol was asked to pause writing.")
        .getter(c"_high_water", high_water, c"The high mark.")
        .getter(c"_low_water", low_water, c"The low mark.")
        .getter(c"_conn_lost", get_conn_lost, c"Not zero once connection_lost() is due.")
        .getter(c"_buffer", get_buffer, c"A copy of what waits to be sent, for debugging.")
}
