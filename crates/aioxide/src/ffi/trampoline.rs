//! The functions that CPython calls: each brings one safe Rust function back from its type.
//!
//! A function item has no size and is all type, so a trampoline can be made for each from the type
//! alone. They check nothing that CPython has checked (the class of `self`), catch panics, and
//! turn `Raised` into NULL or -1.

use std::ffi::{c_int, c_void};
use std::ptr;

use pyo3::ffi;

use super::call::{Args, with_tuple_and_dict};
use super::error::{Res, guard};
use super::finalizing::outlive_interpreter;
use super::instance::Inst;
use super::native_type::Native;
use super::object::{Any, Object};
use super::send::{Answer, finish_await, finish_iteration};

/// Brings a function item back from its type.
///
/// # Safety
/// A value of `F` was given to the builder (so it is inhabited), and `F` is zero-sized.
#[inline(always)]
pub(super) unsafe fn item<F: Copy + 'static>() -> F {
    const {
        assert!(
            size_of::<F>() == 0,
            "methods are function items, not closures with data"
        );
    };
    // SAFETY: a zero-sized, inhabited, Copy type has one value, which needs no bytes.
    unsafe { ptr::NonNull::<F>::dangling().as_ptr().read() }
}

/// # Safety
/// CPython calls it through the slot or table it was made for.
pub(super) unsafe extern "C" fn method0<T: Native, F>(
    this: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    F: Fn(&Inst<T>) -> Res<Object> + Copy + 'static,
{
    guard(ptr::null_mut(), || {
        // SAFETY: CPython checks the class of `this` before it calls a method; `item` by `method0`
        // of the builder.
        unsafe { item::<F>()(Inst::from_ptr(this)).map(Object::into_ptr) }
    })
}

/// # Safety
/// CPython calls it through the slot or table it was made for.
pub(super) unsafe extern "C" fn method1<T: Native, F>(
    this: *mut ffi::PyObject,
    arg: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    F: Fn(&Inst<T>, &Any) -> Res<Object> + Copy + 'static,
{
    guard(ptr::null_mut(), || {
        // SAFETY: as in `method0`; the argument is alive during the call.
        unsafe { item::<F>()(Inst::from_ptr(this), Any::from_ptr(arg)).map(Object::into_ptr) }
    })
}

/// # Safety
/// CPython calls it through the slot or table it was made for.
pub(super) unsafe extern "C" fn method<T: Native, F>(
    this: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    F: Fn(&Inst<T>, Args<'_>) -> Res<Object> + Copy + 'static,
{
    guard(ptr::null_mut(), || {
        // SAFETY: as in `method0`; METH_FASTCALL | METH_KEYWORDS passes a vectorcall array.
        unsafe {
            let args = Args::from_vectorcall(args, count.cast_unsigned(), names);
            item::<F>()(Inst::from_ptr(this), args).map(Object::into_ptr)
        }
    })
}

/// # Safety
/// CPython calls it through the slot or table it was made for.
pub(super) unsafe extern "C" fn getter<T: Native, F>(
    this: *mut ffi::PyObject,
    _: *mut c_void,
) -> *mut ffi::PyObject
where
    F: Fn(&Inst<T>) -> Res<Object> + Copy + 'static,
{
    guard(ptr::null_mut(), || {
        // SAFETY: as in `method0`.
        unsafe { item::<F>()(Inst::from_ptr(this)).map(Object::into_ptr) }
    })
}

/// # Safety
/// CPython calls it through the slot or table it was made for.
pub(super) unsafe extern "C" fn setter<T: Native, F>(
    this: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
    _: *mut c_void,
) -> c_int
where
    F: Fn(&Inst<T>, Option<&Any>) -> Res<()> + Copy + 'static,
{
    guard(-1, || {
        // SAFETY: as in `method0`; a NULL value means `del`.
        unsafe {
            let value = if value.is_null() {
                None
            } else {
                Some(Any::from_ptr(value))
            };
            item::<F>()(Inst::from_ptr(this), value).map(|()| 0)
        }
    })
}

/// # Safety
/// CPython calls it through the slot or table it was made for.
pub(super) unsafe extern "C" fn set_attribute<T: Native, F>(
    this: *mut ffi::PyObject,
    name: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> c_int
where
    F: Fn(&Inst<T>, &Any, Option<&Any>) -> Res<()> + Copy + 'static,
{
    guard(-1, || {
        // SAFETY: as in `method0`; a NULL value means `del`.
        unsafe {
            let value = if value.is_null() {
                None
            } else {
                Some(Any::from_ptr(value))
            };
            item::<F>()(Inst::from_ptr(this), Any::from_ptr(name), value).map(|()| 0)
        }
    })
}

/// # Safety
/// CPython calls it through the slot or table it was made for.
pub(super) unsafe extern "C" fn unary<T: Native, F>(this: *mut ffi::PyObject) -> *mut ffi::PyObject
where
    F: Fn(&Inst<T>) -> Res<Object> + Copy + 'static,
{
    guard(ptr::null_mut(), || {
        // SAFETY: as in `method0`.
        unsafe { item::<F>()(Inst::from_ptr(this)).map(Object::into_ptr) }
    })
}

/// # Safety
/// CPython calls it through the slot or table it was made for.
pub(super) unsafe extern "C" fn call<T: Native, F>(
    this: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    F: Fn(&Inst<T>, Args<'_>) -> Res<Object> + Copy + 'static,
{
    guard(ptr::null_mut(), || {
        // SAFETY: tp_call gets a tuple and a dict or NULL.
        unsafe {
            with_tuple_and_dict(args, kwargs, |args| item::<F>()(Inst::from_ptr(this), args))
                .map(Object::into_ptr)
        }
    })
}

/// # Safety
/// CPython calls it through the slot or table it was made for.
pub(super) unsafe extern "C" fn init<T: Native, F>(
    this: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
) -> c_int
where
    F: Fn(&Inst<T>, Args<'_>) -> Res<()> + Copy + 'static,
{
    guard(-1, || {
        // SAFETY: tp_init gets a tuple and a dict or NULL.
        unsafe {
            with_tuple_and_dict(args, kwargs, |args| item::<F>()(Inst::from_ptr(this), args))
                .map(|()| 0)
        }
    })
}

/// # Safety
/// CPython calls it through the slot or table it was made for.
pub(super) unsafe extern "C" fn identity(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: a live object.
    unsafe { Any::from_ptr(this).own().into_ptr() }
}

/// # Safety
/// CPython calls it through the slot or table it was made for.
pub(super) unsafe extern "C" fn iternext<T: Native, F>(
    this: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    F: Fn(&Inst<T>) -> Res<Answer> + Copy + 'static,
{
    guard(ptr::null_mut(), || {
        // SAFETY: as in `method0`.
        let answer = unsafe { item::<F>()(Inst::from_ptr(this)) }?;
        Ok(match answer {
            Answer::Yield(object) => object.into_ptr(),
            Answer::Return(object) => finish_iteration(&object),
        })
    })
}

/// # Safety
/// CPython calls it through the slot or table it was made for.
pub(super) unsafe extern "C" fn await_next<T: Native, F>(
    this: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    F: Fn(&Inst<T>) -> Res<Answer> + Copy + 'static,
{
    guard(ptr::null_mut(), || {
        // SAFETY: as in `method0`.
        let answer = unsafe { item::<F>()(Inst::from_ptr(this)) }?;
        Ok(match answer {
            Answer::Yield(object) => object.into_ptr(),
            Answer::Return(object) => finish_await(object),
        })
    })
}

/// # Safety
/// CPython calls it through the slot or table it was made for.
pub(super) unsafe extern "C" fn am_send<T: Native, F>(
    this: *mut ffi::PyObject,
    _value: *mut ffi::PyObject,
    result: *mut *mut ffi::PyObject,
) -> ffi::PySendResult
where
    F: Fn(&Inst<T>) -> Res<Answer> + Copy + 'static,
{
    // SAFETY: as in `method0`; `result` is where CPython wants the object, NULL on error.
    unsafe {
        *result = ptr::null_mut();
        guard(ffi::PySendResult::PYGEN_ERROR, || {
            Ok(match item::<F>()(Inst::from_ptr(this))? {
                Answer::Yield(object) => {
                    *result = object.into_ptr();
                    ffi::PySendResult::PYGEN_NEXT
                }
                Answer::Return(object) => {
                    *result = object.into_ptr();
                    ffi::PySendResult::PYGEN_RETURN
                }
            })
        })
    }
}

/// # Safety
/// CPython calls it through the slot or table it was made for.
pub(super) unsafe extern "C" fn generic_alias(
    class: *mut ffi::PyObject,
    item: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    outlive_interpreter();
    // SAFETY: a class method with one argument; a new reference or NULL.
    unsafe { ffi::Py_GenericAlias(class, item) }
}

/// # Safety
/// CPython calls it through the slot or table it was made for.
pub(super) unsafe extern "C" fn free_function<F>(
    _module: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    F: Fn(Args<'_>) -> Res<Object> + Copy + 'static,
{
    guard(ptr::null_mut(), || {
        // SAFETY: as in `method`.
        unsafe {
            item::<F>()(Args::from_vectorcall(args, count.cast_unsigned(), names))
                .map(Object::into_ptr)
        }
    })
}
