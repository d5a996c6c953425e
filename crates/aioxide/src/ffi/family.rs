//! Making one native class pass for another: `Task` is a `Future`.
//!
//! In asyncio `Task` derives from `Future`, so programs rely on `isinstance(task, Future)`. Ours
//! stand on two different C bases, and CPython refuses a class that derives from both
//! `aioxide.Future` and `_asyncio.Task`, since each adds fields to `_asyncio.Future`.
//!
//! But the fields do not collide: `Future`'s state is placed behind the space of `_asyncio.Task`
//! (`Class::reserve`), where `Task` has its own, and `Task`'s state begins with `Future`'s. So a
//! task *is* laid out as a future, and what is missing is that the class says so: `Future` is put
//! into its method resolution order, right behind `Task` itself.

use pyo3::ffi;

use super::error::{Raised, Res};
use super::native_type::{Class, Native};
use super::object::Any;
use super::value;

/// States `Member` whose first field is laid out as the whole of `Ancestor`.
///
/// # Safety
/// `Member` is `repr(C)` and begins with a field of the type that is the only field of
/// `Ancestor`, which is `repr(C)` too.
pub(crate) unsafe trait LaidOutAs<Ancestor: Native>: Native {}

// SAFETY: both are `repr(C)` and begin with a `FutureState`, which is all of `Future`.
unsafe impl LaidOutAs<crate::future::Future> for crate::task::Task {}
// SAFETY: as above.
unsafe impl LaidOutAs<crate::future::Future> for crate::combinators::Gathering {}

/// Puts `ancestor` into the method resolution order of `member`, behind `member` itself.
pub(crate) fn join<M: LaidOutAs<A>, A: Native>(
    member: &'static Class<M>,
    ancestor: &'static Class<A>,
) -> Res<()> {
    if member.offset() != ancestor.offset() {
        return Err(Raised::runtime(
            "aioxide: Task and Future are not laid out alike",
        ));
    }
    // SAFETY: two finished types that no other code has seen yet, so nobody holds the old order;
    // the tuple is a fresh one whose reference the type takes over.
    unsafe {
        let ptype = member.as_any().as_ptr().cast::<ffi::PyTypeObject>();
        let old = (*ptype).tp_mro;
        let order = Any::from_ptr(old).tuple_items();
        let mut joined: Vec<&Any> = order.to_vec();
        joined.insert(1, ancestor.as_any());
        let joined = value::tuple(&joined)?;
        (*ptype).tp_mro = joined.into_ptr();
        ffi::Py_DECREF(old);
        ffi::PyType_Modified(ptype);
    }
    Ok(())
}
