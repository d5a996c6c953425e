//! The Python side: a coroutine, in all that people do with one.
//!
//! `await op` resumes the operation directly. `op.__await__()` by name, for classes that build
//! their own `__await__` on it, gives an iterator, as a native coroutine does.

use super::{SOCK_OP, SockOp, Stage};
use crate::ffi::error::{WarningKind, warn};
use crate::ffi::method::flag;
use crate::ffi::module::import;
use crate::ffi::native_type::object_class;
use crate::ffi::send::{Answer, stop_iteration, thrown_exception};
use crate::ffi::{Any, Args, Class, Inst, Native, Object, Raised, Res, SlotOf, Visit, value};

/// `op.__await__()`: the operation, as an iterator.
#[derive(Debug, Default)]
struct SockOpIter {
    op: SlotOf<SockOp>,
}

static SOCK_OP_ITER: Class<SockOpIter> = Class::new(0);

impl Native for SockOpIter {
    const NAME: &'static std::ffi::CStr = c"aioxide.SockOpIter";
    const SUBCLASSABLE: bool = false;

    fn class() -> &'static Class<Self> {
        &SOCK_OP_ITER
    }
    fn empty() -> Self {
        SockOpIter::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        self.op.visit(visit);
    }
    fn clear(&self) {
        self.op.clear();
    }
}

/// What `send` and `throw` give to Python: what was yielded, or StopIteration with the result.
fn to_python(answer: Answer) -> Res<Object> {
    match answer {
        Answer::Yield(object) => Ok(object),
        Answer::Return(result) => Err(stop_iteration(&result)),
    }
}

fn send(this: &Inst<SockOp>, given: &Any) -> Res<Object> {
    if this.stage.get() == Stage::Created && !given.is_none() {
        return Err(Raised::type_error(
            "can't send non-None value to a just-started coroutine",
        ));
    }
    to_python(this.resume()?)
}

fn throw(this: &Inst<SockOp>, args: Args<'_>) -> Res<Object> {
    to_python(this.throw(thrown_exception(&args)?)?)
}

fn close(this: &Inst<SockOp>) -> Res<Object> {
    this.close()?;
    Ok(value::none())
}

fn iterate(this: &Inst<SockOp>) -> Res<Object> {
    Ok(SOCK_OP_ITER
        .create(SockOpIter {
            op: SlotOf::new(Some(this.own())),
        })?
        .into_object())
}

fn get_name(this: &Inst<SockOp>) -> Res<Object> {
    value::text(this.operation.name())
}

fn get_qualname(this: &Inst<SockOp>) -> Res<Object> {
    value::text(&format!("EventLoop.{}", this.operation.name()))
}

fn get_running(this: &Inst<SockOp>) -> Res<Object> {
    flag(this.stage.get() == Stage::Running)
}

fn repr(this: &Inst<SockOp>) -> Res<Object> {
    let name = this.operation.name();
    let address = this.as_any().address();
    value::text(&format!(
        "<coroutine object EventLoop.{name} at {address:#x}>"
    ))
}

/// Python's warning for a coroutine that is forgotten.
pub(super) fn warn_never_awaited(this: &Inst<SockOp>) {
    let message = format!(
        "coroutine 'EventLoop.{}' was never awaited",
        this.operation.name()
    );
    if let Err(raised) = warn(WarningKind::Runtime, &message, 1) {
        raised.unraisable(Some(this.as_any()));
    }
}

fn op(this: &Inst<SockOpIter>) -> Res<crate::ffi::Own<SockOp>> {
    this.op
        .get()
        .ok_or_else(|| Raised::runtime("the operation is gone"))
}

fn iter_next(this: &Inst<SockOpIter>) -> Res<Answer> {
    op(this)?.resume()
}

fn iter_send(this: &Inst<SockOpIter>, given: &Any) -> Res<Object> {
    send(&*op(this)?, given)
}

fn iter_throw(this: &Inst<SockOpIter>, args: Args<'_>) -> Res<Object> {
    throw(&*op(this)?, args)
}

fn iter_close(this: &Inst<SockOpIter>) -> Res<Object> {
    close(&*op(this)?)
}

/// Makes the classes, and tells `collections.abc` that operations are coroutines.
pub(crate) fn build() -> Res<()> {
    SOCK_OP_ITER.build(object_class(), |b| {
        b.not_constructible()
            .iterates_itself()
            .next(iter_next)
            .method1(
                c"send",
                iter_send,
                c"send($self, value, /)\n--\n\nResume the operation.",
            )
            .method(
                c"throw",
                iter_throw,
                c"throw($self, exception, /)\n--\n\nRaise an exception in the operation.",
            )
            .method0(
                c"close",
                iter_close,
                c"close($self, /)\n--\n\nEnd the operation.",
            )
    })?;
    let class = SOCK_OP.build(object_class(), |b| {
        b.not_constructible()
            .doc(c"A call of one of the loop's sock_* methods: a coroutine.")
            .awaits_itself(|this: &Inst<SockOp>| this.resume())
            .repr(repr)
            .method0_over_slot(c"__await__", iterate, c"__await__($self, /)\n--\n\nAn iterator that drives the operation.")
            .method1(c"send", send, c"send($self, value, /)\n--\n\nBegin or resume; the value is ignored.")
            .method(c"throw", throw, c"throw($self, exception, /)\n--\n\nRaise an exception where the operation waits, and end it.")
            .method0(c"close", close, c"close($self, /)\n--\n\nEnd the operation; nothing of it stays registered.")
            .getter(c"__name__", get_name, c"The method's name.")
            .getter(c"__qualname__", get_qualname, c"The method's qualified name.")
            .getter(c"cr_running", get_running, c"Whether a step is under way.")
    })?;
    let coroutine = import("collections.abc")?.getattr(&*value::text("Coroutine")?)?;
    coroutine.call_method1(&*value::text("register")?, class)?;
    Ok(())
}
