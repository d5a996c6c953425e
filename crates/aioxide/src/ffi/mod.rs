//! The fence: the only place in the project that names raw CPython.
//!
//! Above it, Rust sees typed, counted references and safe functions:
//!
//! * [`Any`] is a borrowed Python object (`&Any`), [`Object`] an owned one.
//! * [`Inst<T>`] is a Python object with the Rust state `T` behind its Python base class,
//!   [`Own<T>`] an owned one. Both dereference to `T`.
//! * [`Res`] is a result whose error, [`Raised`], means "a Python exception is set", as a C
//!   function's NULL does: there is no error object to build, convert or drop.
//!
//! Rules every file here keeps:
//!
//! 1. **The GIL is held** wherever an `Any`, `Object`, `Inst` or `Own` is reachable: Python only
//!    calls in through the trampolines of `native_type`, and [`gil::released`] accepts only
//!    closures that are `Send`, which none of these are.
//! 2. **A drop may run Python.** Releasing the last reference can run a destructor that comes
//!    back into the very object that is being changed. So a slot's old value is dropped after
//!    the new one is in place, and nothing borrowed from a cell lives across a drop or a call.
//! 3. **No panic crosses into C.** Each trampoline catches it and sets `SystemError`.

pub(crate) mod attribute;
pub(crate) mod audit;
pub(crate) mod buffer;
pub(crate) mod call;
pub(crate) mod cell;
pub(crate) mod compat;
pub(crate) mod context;
pub(crate) mod dispatch;
pub(crate) mod error;
pub(crate) mod family;
pub(crate) mod file_memory;
mod finalizing;
pub(crate) mod freelist;
pub(crate) mod function;
pub(crate) mod gil;
pub(crate) mod instance;
pub(crate) mod method;
pub(crate) mod module;
pub(crate) mod native_type;
pub(crate) mod object;
pub(crate) mod origin;
pub(crate) mod running_loop;
pub(crate) mod send;
pub(crate) mod stack;
pub(crate) mod stop_iteration;
pub(crate) mod task_mirror;
pub(crate) mod trampoline;
pub(crate) mod value;
pub(crate) mod visit;
pub(crate) mod weak_link;
pub(crate) mod weak_list;

pub(crate) use call::Args;
pub(crate) use cell::{Slot, SlotOf};
pub(crate) use error::{Raised, Res};
pub(crate) use instance::{Inst, Own};
pub(crate) use native_type::{Class, Native};
pub(crate) use object::{Any, Object};
pub(crate) use visit::Visit;
