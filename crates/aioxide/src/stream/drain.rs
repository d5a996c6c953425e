//! What a StreamWriter's `drain` and `wait_closed` give back.

use std::cell::Cell;
use std::ffi::CStr;

use super::protocol::StreamProtocol;
use super::writer::StreamWriter;
use crate::coroutine::{self, Coroutine, Operation, Outcome, Step};
use crate::ffi::error::Kind;
use crate::ffi::module::names;
use crate::ffi::{Class, Inst, Object, Raised, Res, Slot, SlotOf, Visit, value};

/// Where the call stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// `drain` has not looked at the reader and the transport.
    #[default]
    Drain,
    /// `drain` has let the loop turn once, for `connection_lost`.
    Turned,
    /// Waits for the protocol.
    Waiting,
    /// `wait_closed`.
    Closing,
}

/// `aioxide.DrainOp`, the coroutine.
pub(crate) type DrainOp = Coroutine<DrainCall>;

/// The call and what it waits with.
#[derive(Debug, Default)]
pub(crate) struct DrainCall {
    writer: SlotOf<StreamWriter>,
    /// The protocol, for the helper, and while it is waited for.
    protocol: SlotOf<StreamProtocol>,
    future: Slot,
    stage: Cell<Stage>,
}

static DRAIN_OP: Class<DrainOp> = Class::new(256);

pub(super) fn build() -> Res<()> {
    coroutine::build::<DrainCall>(c"A call of a StreamWriter's drain or wait_closed: a coroutine.")
}

/// `writer.drain()`.
#[inline]
pub(super) fn drain(writer: &Inst<StreamWriter>) -> Res<Object> {
    create(writer, Stage::Drain)
}

/// `writer.wait_closed()`.
pub(super) fn wait_closed(writer: &Inst<StreamWriter>) -> Res<Object> {
    create(writer, Stage::Closing)
}

#[inline]
fn create(writer: &Inst<StreamWriter>, stage: Stage) -> Res<Object> {
    let op = coroutine::create(DrainCall {
        writer: SlotOf::new(Some(writer.own())),
        stage: Cell::new(stage),
        ..DrainCall::default()
    })?;
    Ok(op.into_object())
}

/// `protocol._drain_helper()`.
pub(super) fn helper(protocol: &Inst<StreamProtocol>) -> Res<Object> {
    let op = coroutine::create(DrainCall {
        protocol: SlotOf::new(Some(protocol.own())),
        stage: Cell::new(Stage::Turned),
        ..DrainCall::default()
    })?;
    Ok(op.into_object())
}

impl Operation for DrainCall {
    const CLASS_NAME: &'static CStr = c"aioxide.DrainOp";

    #[inline(always)]
    fn class() -> &'static Class<DrainOp> {
        &DRAIN_OP
    }

    fn name(&self) -> &'static str {
        match (self.stage.get(), self.writer.is_some()) {
            (Stage::Closing, _) => "wait_closed",
            (_, true) => "drain",
            (_, false) => "_drain_helper",
        }
    }

    fn qualname(&self) -> String {
        let class = if self.writer.is_some() {
            "StreamWriter"
        } else {
            "FlowControlMixin"
        };
        format!("{class}.{}", self.name())
    }

    #[inline]
    fn start(this: &Inst<DrainOp>) -> Res<Step> {
        if let Some(protocol) = this.protocol.get() {
            return this.wait(&protocol);
        }
        let Some(writer) = this.writer.get() else {
            return Ok(Step::Return(value::none()));
        };
        if this.stage.get() == Stage::Closing {
            return writer
                .protocol
                .get_or_none()
                .call_method1(&names()._get_close_waiter, writer.as_any())
                .map(Step::Await);
        }
        writer.flush()?;
        writer.raise_reader_exception()?;
        if writer.is_closing()? {
            // connection_lost() gets a chance to be called: else a loop of writes and drains
            // would never hear of it.
            this.stage.set(Stage::Turned);
            return Ok(Step::Pass);
        }
        this.ask_protocol(&writer)
    }

    #[inline]
    fn resume(this: &Inst<DrainOp>, outcome: Outcome) -> Res<Step> {
        if let (Some(protocol), Some(future)) = (this.protocol.get(), this.future.take()) {
            protocol.drained(&future);
        }
        match outcome {
            Err(exception) => Err(Raised::raise(exception)),
            Ok(_) => match (this.stage.get(), this.writer.get()) {
                (Stage::Turned, Some(writer)) => this.ask_protocol(&writer),
                _ => Ok(Step::Return(value::none())),
            },
        }
    }

    fn traverse(&self, visit: &mut Visit) {
        self.writer.visit(visit);
        self.protocol.visit(visit);
        self.future.visit(visit);
    }

    fn clear(&self) {
        if let (Some(protocol), Some(future)) = (self.protocol.get(), self.future.take()) {
            protocol.drained(&future);
        }
        self.writer.clear();
        self.protocol.clear();
    }
}

impl Inst<DrainOp> {
    #[inline]
    fn ask_protocol(&self, writer: &Inst<StreamWriter>) -> Res<Step> {
        self.stage.set(Stage::Waiting);
        let protocol = writer.protocol.get_or_none();
        if let Some(native) = protocol.downcast::<StreamProtocol>()
            && native.is_plain()?
        {
            return self.wait(native);
        }
        protocol
            .call_method0(&names()._drain_helper)
            .map(Step::Await)
    }

    #[inline]
    fn wait(&self, protocol: &Inst<StreamProtocol>) -> Res<Step> {
        self.stage.set(Stage::Waiting);
        if protocol.connection_lost.get() {
            return Err(Raised::new(Kind::ConnectionReset, "Connection lost"));
        }
        if !protocol.paused.get() {
            return Ok(Step::Return(value::none()));
        }
        self.protocol.set(protocol.own());
        let future = protocol.wait_to_drain()?;
        self.future.set(future.clone());
        Ok(Step::Await(future))
    }
}
