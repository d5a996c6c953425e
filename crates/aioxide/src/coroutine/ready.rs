//! An awaitable that is finished: `await` gives `None` at once, as often as one likes.
//!
//! For coroutine functions that never wait and have done their work when they return, such as
//! `Lock.__aexit__`. There is one for everybody.

use std::ffi::CStr;

use super::introspection::get_class;
use super::methods::{refuse_copy, register};
use crate::ffi::method::flag;
use crate::ffi::module::Global;
use crate::ffi::native_type::object_class;
use crate::ffi::send::{Answer, stop_iteration, thrown_exception};
use crate::ffi::{Any, Args, Class, Inst, Native, Object, Raised, Res, Visit, value};

#[derive(Debug, Default)]
struct Ready;

static CLASS: Class<Ready> = Class::new(0);
static READY: Global<Object> = Global::new();

impl Native for Ready {
    const NAME: &'static CStr = c"aioxide.Ready";
    const SUBCLASSABLE: bool = false;
    const TRACKED: bool = false;
    const WEAK_REFERENCES: bool = true;

    fn class() -> &'static Class<Self> {
        &CLASS
    }
    fn empty() -> Self {
        Ready
    }
    fn traverse(&self, _visit: &mut Visit) {}
    fn clear(&self) {}
}

/// The awaitable.
#[inline]
pub(crate) fn ready() -> Object {
    READY.get().clone()
}

fn next(_this: &Inst<Ready>) -> Res<Answer> {
    Ok(Answer::Return(value::none()))
}

fn send(_this: &Inst<Ready>, _value: &Any) -> Res<Object> {
    Err(stop_iteration(value::none_ref()))
}

fn throw(_this: &Inst<Ready>, args: Args<'_>) -> Res<Object> {
    Err(Raised::raise(thrown_exception(&args)?))
}

fn close(_this: &Inst<Ready>) -> Res<Object> {
    Ok(value::none())
}

/// An iterator over nothing.
fn dunder_await(_this: &Inst<Ready>) -> Res<Object> {
    value::tuple(&[])?.call_method0(&*value::text("__iter__")?)
}

fn name(_this: &Inst<Ready>) -> Res<Object> {
    value::text("ready")
}

fn no(_this: &Inst<Ready>) -> Res<Object> {
    flag(false)
}

fn none(_this: &Inst<Ready>) -> Res<Object> {
    Ok(value::none())
}

fn repr(_this: &Inst<Ready>) -> Res<Object> {
    value::text("<finished coroutine of aioxide>")
}

/// Makes the class and its one instance.
pub(super) fn build() -> Res<()> {
    let class = CLASS.build(object_class(), |b| {
        b.not_constructible()
            .doc(c"What a coroutine function gives that has finished when it returns.")
            .awaits_itself(next)
            .yields_from_itself()
            .repr(repr)
            .method0_over_slot(
                c"__await__",
                dunder_await,
                c"__await__($self, /)\n--\n\nAn iterator that ends at once.",
            )
            .method1(c"send", send, c"send($self, value, /)\n--\n\nEnds at once.")
            .method1(
                c"__reduce_ex__",
                refuse_copy,
                c"__reduce_ex__($self, protocol, /)\n--\n\nRaises TypeError.",
            )
            .method(
                c"throw",
                throw,
                c"throw($self, exception, /)\n--\n\nRaises the exception.",
            )
            .method0(c"close", close, c"close($self, /)\n--\n\nDoes nothing.")
            .getter(
                c"__class__",
                get_class,
                c"types.CoroutineType, as isinstance() asks.",
            )
            .getter(c"cr_code", none, c"None: it never runs.")
            .getter(c"cr_frame", none, c"None: it has ended.")
            .getter(c"cr_origin", none, c"None: there is one for everybody.")
            .getter(c"__name__", name, c"The name.")
            .getter(c"__qualname__", name, c"The name.")
            .getter(c"cr_running", no, c"Whether a step is under way.")
            .getter(c"cr_suspended", no, c"Whether it waits for something.")
            .getter(c"cr_await", none, c"What it waits for, or None.")
    })?;
    register(class)?;
    READY.set(CLASS.create(Ready)?.into_object());
    Ok(())
}
