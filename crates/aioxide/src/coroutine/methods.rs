//! The Python side: a coroutine, in all that people do with one.
//!
//! `await c` resumes the coroutine directly. `c.__await__()` by name, for classes that build their
//! own `__await__` on it, gives an iterator, as a native coroutine does.

use std::ffi::CStr;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::introspection::{self, MOST_CLASSES};
use super::{Coroutine, Operation, Stage, drive};
use crate::ffi::method::flag;
use crate::ffi::module::import;
use crate::ffi::module::names;
use crate::ffi::native_type::object_class;
use crate::ffi::send::{self, Answer, Sent, stop_iteration, thrown_exception};
use crate::ffi::{Any, Args, Class, Inst, Native, Object, Raised, Res, Slot, Visit, value};

/// `coroutine.__await__()`: the coroutine, as an iterator.
#[derive(Debug, Default)]
struct CoroutineIter {
    coroutine: Slot,
}

static COROUTINE_ITER: Class<CoroutineIter> = Class::new(0);

impl Native for CoroutineIter {
    const NAME: &'static CStr = c"aioxide.CoroutineIter";
    const SUBCLASSABLE: bool = false;

    fn class() -> &'static Class<Self> {
        &COROUTINE_ITER
    }
    fn empty() -> Self {
        CoroutineIter::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        self.coroutine.visit(visit);
    }
    fn clear(&self) {
        self.coroutine.clear();
    }
}

fn coroutine(this: &Inst<CoroutineIter>) -> Res<Object> {
    this.coroutine
        .get()
        .ok_or_else(|| Raised::runtime("the coroutine is gone"))
}

fn iter_next(this: &Inst<CoroutineIter>) -> Res<Answer> {
    Ok(match send::send_none(&*coroutine(this)?)? {
        Sent::Yielded(object) => Answer::Yield(object),
        Sent::Returned(result) => Answer::Return(result),
    })
}

fn iter_send(this: &Inst<CoroutineIter>, given: &Any) -> Res<Object> {
    coroutine(this)?.call_method1(&names().send, given)
}

fn iter_throw(this: &Inst<CoroutineIter>, args: Args<'_>) -> Res<Object> {
    coroutine(this)?
        .getattr(&names().throw)?
        .call(args.positional)
}

fn iter_close(this: &Inst<CoroutineIter>) -> Res<Object> {
    coroutine(this)?.call_method0(&names().close)
}

/// What `send` and `throw` give to Python: what was yielded, or StopIteration with the result.
fn to_python(answer: Answer) -> Res<Object> {
    match answer {
        Answer::Yield(object) => Ok(object),
        Answer::Return(result) => Err(stop_iteration(&result)),
    }
}

fn send<O: Operation>(this: &Inst<Coroutine<O>>, given: &Any) -> Res<Object> {
    if this.stage.get() == Stage::Created && !given.is_none() {
        return Err(Raised::type_error(
            "can't send non-None value to a just-started coroutine",
        ));
    }
    to_python(drive::step(this)?)
}

fn throw<O: Operation>(this: &Inst<Coroutine<O>>, args: Args<'_>) -> Res<Object> {
    to_python(drive::throw(this, thrown_exception(&args)?)?)
}

fn close<O: Operation>(this: &Inst<Coroutine<O>>) -> Res<Object> {
    drive::close(this)?;
    Ok(value::none())
}

fn iterate<O: Operation>(this: &Inst<Coroutine<O>>) -> Res<Object> {
    Ok(COROUTINE_ITER
        .create(CoroutineIter {
            coroutine: Slot::new(Some(this.as_any().own())),
        })?
        .into_object())
}

/// `__reduce_ex__(protocol)`: neither a coroutine nor a copy of it can go on elsewhere.
pub(super) fn refuse_copy<T: Native>(_this: &Inst<T>, _protocol: &Any) -> Res<Object> {
    Err(Raised::type_error("cannot pickle 'coroutine' object"))
}

fn get_running<O: Operation>(this: &Inst<Coroutine<O>>) -> Res<Object> {
    flag(this.stage.get() == Stage::Running)
}

fn get_suspended<O: Operation>(this: &Inst<Coroutine<O>>) -> Res<Object> {
    flag(this.stage.get() == Stage::Suspended)
}

/// Makes the class that all coroutines' `__await__` shares.
pub(super) fn build_iterator() -> Res<()> {
    COROUTINE_ITER.build(object_class(), |b| {
        b.not_constructible()
            .iterates_itself()
            .next(iter_next)
            .method1(
                c"send",
                iter_send,
                c"send($self, value, /)\n--\n\nResume the coroutine.",
            )
            .method(
                c"throw",
                iter_throw,
                c"throw($self, exception, /)\n--\n\nRaise an exception in the coroutine.",
            )
            .method0(
                c"close",
                iter_close,
                c"close($self, /)\n--\n\nEnd the coroutine.",
            )
    })?;
    Ok(())
}

/// The addresses of the classes of all operations, so that a coroutine of ours is known without
/// asking Python.
static CLASSES: [AtomicUsize; MOST_CLASSES] = [const { AtomicUsize::new(0) }; MOST_CLASSES];
static CLASS_COUNT: AtomicUsize = AtomicUsize::new(0);

/// Whether the object is a coroutine that was made here.
#[inline]
pub(crate) fn is_ours(object: &Any) -> bool {
    class_number(object).is_some()
}

/// The place of the object's class among [`CLASSES`].
#[inline]
pub(super) fn class_number(object: &Any) -> Option<usize> {
    let class = object.class_address();
    let count = CLASS_COUNT.load(Ordering::Relaxed);
    CLASSES
        .iter()
        .take(count)
        .position(|known| known.load(Ordering::Relaxed) == class)
}

/// Notes a class and returns its place; beyond the room for them they are only slower to be known.
fn note_class(class: &Any) -> Option<usize> {
    let place = CLASS_COUNT.load(Ordering::Relaxed);
    let free = CLASSES.get(place)?;
    free.store(class.address(), Ordering::Relaxed);
    CLASS_COUNT.store(place + 1, Ordering::Relaxed);
    Some(place)
}

/// Makes the class of one operation, and tells `collections.abc` that it is a coroutine.
pub(crate) fn build<O: Operation>(doc: &'static CStr) -> Res<()> {
    let class =
        O::class().build(object_class(), |b| {
            introspection::attributes(b)
            .not_constructible()
            .doc(doc)
            .awaits_itself(drive::step::<O>)
            .yields_from_itself()
            .method0_over_slot(
                c"__await__",
                iterate,
                c"__await__($self, /)\n--\n\nAn iterator that drives the coroutine.",
            )
            .method1(
                c"send",
                send,
                c"send($self, value, /)\n--\n\nBegin or resume; the value is ignored.",
            )
            .method(
                c"throw",
                throw,
                c"throw($self, exception, /)\n--\n\nRaise an exception where the coroutine waits.",
            )
            .method0(
                c"close",
                close,
                c"close($self, /)\n--\n\nEnd the coroutine where it waits.",
            )
            .method1(
                c"__reduce_ex__",
                refuse_copy,
                c"__reduce_ex__($self, protocol, /)\n--\n\nRaises TypeError.",
            )
            .getter(c"cr_running", get_running, c"Whether a step is under way.")
            .getter(
                c"cr_suspended",
                get_suspended,
                c"Whether it waits for something.",
            )
            .getter(c"cr_await", introspection::get_awaiting::<O>, c"What it waits for, or None.")
        })?;
    if let Some(place) = register(class)? {
        introspection::note_class::<O>(place);
    }
    Ok(())
}

/// Tells `collections.abc` that a class's instances are coroutines.
pub(super) fn register(class: &Any) -> Res<Option<usize>> {
    let place = note_class(class);
    let coroutine = import("collections.abc")?.getattr(&*value::text("Coroutine")?)?;
    coroutine.call_method1(&*value::text("register")?, class)?;
    Ok(place)
}
