//! From safe Rust functions to CPython's method, getter and slot tables.
//!
//! A function item has no size and is all type: so a generic trampoline can be made for each
//! from the type alone, and nothing but this file needs to be `unsafe`.

use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::ptr;

use pyo3::ffi;

use super::call::{Args, with_tuple_and_dict};
use super::error::{Raised, Res, guard};
use super::native_type::{Inst, Native};
use super::object::{Any, Object};
use super::send::{Answer, finish_await, finish_iteration};
use super::value;

/// Brings a function item back from its type.
///
/// # Safety
/// A value of `F` was given to the builder (so it is inhabited), and `F` is zero-sized.
#[inline(always)]
unsafe fn item<F: Copy + 'static>() -> F {
    const { assert!(size_of::<F>() == 0, "methods are function items, not closures with data") };
    // SAFETY: a zero-sized, inhabited, Copy type has one value, which needs no bytes.
    unsafe { ptr::NonNull::<F>::dangling().as_ptr().read() }
}

/// Collects what a class offers to Python.
pub(crate) struct TypeBuilder<T> {
    methods: Vec<ffi::PyMethodDef>,
    members: Vec<ffi::PyMemberDef>,
    getset: Vec<ffi::PyGetSetDef>,
    slots: Vec<ffi::PyType_Slot>,
    pub(super) constructible: bool,
    pub(super) hidden_iternext: Option<ffi::iternextfunc>,
    state: PhantomData<T>,
}

impl<T> std::fmt::Debug for TypeBuilder<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TypeBuilder").field("methods", &self.methods.len()).finish_non_exhaustive()
    }
}

impl<T: Native> TypeBuilder<T> {
    pub(super) fn new() -> Self {
        TypeBuilder {
            methods: Vec::new(),
            members: Vec::new(),
            getset: Vec::new(),
            slots: Vec::new(),
            constructible: true,
            hidden_iternext: None,
            state: PhantomData,
        }
    }

    pub(super) fn slot(&mut self, slot: c_int, function: *mut c_void) {
        self.slots.push(ffi::PyType_Slot { slot, pfunc: function });
    }

    /// Leaks the tables, which must live as long as the class.
    pub(super) fn finish(mut self) -> *mut ffi::PyType_Slot {
        self.methods.push(ffi::PyMethodDef::zeroed());
        let methods = Box::leak(self.methods.into_boxed_slice()).as_mut_ptr();
        if !self.members.is_empty() {
            self.members.push(ffi::PyMemberDef::default());
            let members = Box::leak(self.members.into_boxed_slice()).as_mut_ptr();
            self.slots.push(ffi::PyType_Slot { slot: ffi::Py_tp_members, pfunc: members.cast() });
        }
        self.getset.push(ffi::PyGetSetDef::default());
        let getset = Box::leak(self.getset.into_boxed_slice()).as_mut_ptr();
        self.slots.push(ffi::PyType_Slot { slot: ffi::Py_tp_methods, pfunc: methods.cast() });
        self.slots.push(ffi::PyType_Slot { slot: ffi::Py_tp_getset, pfunc: getset.cast() });
        self.slots.push(ffi::PyType_Slot { slot: 0, pfunc: ptr::null_mut() });
        Box::leak(self.slots.into_boxed_slice()).as_mut_ptr()
    }

    fn add(
        mut self,
        name: &'static CStr,
        method: ffi::PyMethodDefPointer,
        flags: c_int,
        doc: &'static CStr,
    ) -> Self {
        self.methods.push(ffi::PyMethodDef {
            ml_name: name.as_ptr(),
            ml_meth: method,
            ml_flags: flags,
            ml_doc: doc.as_ptr(),
        });
        self
    }

    /// Tells CPython where the instance dict and the list of weak references lie.
    pub(super) fn instance_dict(&mut self, dict: usize, weak_list: usize) {
        for (name, offset) in [(c"__dictoffset__", dict), (c"__weaklistoffset__", weak_list)] {
            self.members.push(ffi::PyMemberDef {
                name: name.as_ptr(),
                type_code: ffi::Py_T_PYSSIZET,
                offset: offset.cast_signed(),
                flags: ffi::Py_READONLY,
                doc: ptr::null(),
            });
        }
        self.getset.push(ffi::PyGetSetDef {
            name: c"__dict__".as_ptr(),
            get: Some(ffi::PyObject_GenericGetDict),
            set: Some(ffi::PyObject_GenericSetDict),
            doc: ptr::null(),
            closure: ptr::null_mut(),
        });
    }

    /// `def name(self)`.
    pub(crate) fn method0<F>(self, name: &'static CStr, _f: F, doc: &'static CStr) -> Self
    where
        F: Fn(&Inst<T>) -> Res<Object> + Copy + 'static,
    {
        self.add(
            name,
            ffi::PyMethodDefPointer { PyCFunction: method0::<T, F> },
            ffi::METH_NOARGS,
            doc,
        )
    }

    /// `def name(self)`, taking the place of the wrapper that CPython derives from a slot.
    pub(crate) fn method0_over_slot<F>(self, name: &'static CStr, _f: F, doc: &'static CStr) -> Self
    where
        F: Fn(&Inst<T>) -> Res<Object> + Copy + 'static,
    {
        self.add(
            name,
            ffi::PyMethodDefPointer { PyCFunction: method0::<T, F> },
            ffi::METH_NOARGS | ffi::METH_COEXIST,
            doc,
        )
    }

    /// `def name(self, arg, /)`.
    pub(crate) fn method1<F>(self, name: &'static CStr, _f: F, doc: &'static CStr) -> Self
    where
        F: Fn(&Inst<T>, &Any) -> Res<Object> + Copy + 'static,
    {
        self.add(name, ffi::PyMethodDefPointer { PyCFunction: method1::<T, F> }, ffi::METH_O, doc)
    }

    /// `def name(self, *args, **kwargs)`.
    pub(crate) fn method<F>(self, name: &'static CStr, _f: F, doc: &'static CStr) -> Self
    where
        F: Fn(&Inst<T>, Args<'_>) -> Res<Object> + Copy + 'static,
    {
        self.add(
            name,
            ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: method::<T, F> },
            ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
            doc,
        )
    }

    /// `Class[...]`: a `types.GenericAlias`.
    pub(crate) fn generic(self) -> Self {
        self.add(
            c"__class_getitem__",
            ffi::PyMethodDefPointer { PyCFunction: generic_alias },
            ffi::METH_O | ffi::METH_CLASS,
            c"__class_getitem__($cls, item, /)\n--\n\nA generic alias of the class.",
        )
    }

    /// A read-only attribute.
    pub(crate) fn getter<F>(mut self, name: &'static CStr, _f: F, doc: &'static CStr) -> Self
    where
        F: Fn(&Inst<T>) -> Res<Object> + Copy + 'static,
    {
        self.getset.push(ffi::PyGetSetDef {
            name: name.as_ptr(),
            get: Some(getter::<T, F>),
            set: None,
            doc: doc.as_ptr(),
            closure: ptr::null_mut(),
        });
        self
    }

    /// An attribute; the setter gets `None` for `del`.
    pub(crate) fn attribute<F, G>(
        mut self,
        name: &'static CStr,
        _get: F,
        _set: G,
        doc: &'static CStr,
    ) -> Self
    where
        F: Fn(&Inst<T>) -> Res<Object> + Copy + 'static,
        G: Fn(&Inst<T>, Option<&Any>) -> Res<()> + Copy + 'static,
    {
        self.getset.push(ffi::PyGetSetDef {
            name: name.as_ptr(),
            get: Some(getter::<T, F>),
            set: Some(setter::<T, G>),
            doc: doc.as_ptr(),
            closure: ptr::null_mut(),
        });
        self
    }

    /// `__init__`.
    pub(crate) fn init<F>(mut self, _f: F) -> Self
    where
        F: Fn(&Inst<T>, Args<'_>) -> Res<()> + Copy + 'static,
    {
        self.slot(ffi::Py_tp_init, init::<T, F> as *mut c_void);
        self
    }

    /// Python code cannot make instances.
    pub(crate) fn not_constructible(mut self) -> Self {
        self.constructible = false;
        self
    }

    pub(crate) fn doc(mut self, doc: &'static CStr) -> Self {
        self.slot(ffi::Py_tp_doc, doc.as_ptr().cast_mut().cast());
        self
    }

    /// `__repr__`.
    pub(crate) fn repr<F>(mut self, _f: F) -> Self
    where
        F: Fn(&Inst<T>) -> Res<Object> + Copy + 'static,
    {
        self.slot(ffi::Py_tp_repr, unary::<T, F> as *mut c_void);
        self
    }

    /// `__hash__`.
    pub(crate) fn hash<F>(mut self, _f: F) -> Self
    where
        F: Fn(&Inst<T>) -> Res<isize> + Copy + 'static,
    {
        self.slot(ffi::Py_tp_hash, hash::<T, F> as *mut c_void);
        self
    }

    /// `<`, `==` and the others; the operation is one of `Py_LT` ... `Py_GE`.
    pub(crate) fn compare<F>(mut self, _f: F) -> Self
    where
        F: Fn(&Inst<T>, &Any, Compare) -> Res<Object> + Copy + 'static,
    {
        self.slot(ffi::Py_tp_richcompare, compare::<T, F> as *mut c_void);
        self
    }

    /// `__call__`.
    pub(crate) fn call<F>(mut self, _f: F) -> Self
    where
        F: Fn(&Inst<T>, Args<'_>) -> Res<Object> + Copy + 'static,
    {
        self.slot(ffi::Py_tp_call, call::<T, F> as *mut c_void);
        self
    }

    /// `__iter__`.
    pub(crate) fn iter<F>(mut self, _f: F) -> Self
    where
        F: Fn(&Inst<T>) -> Res<Object> + Copy + 'static,
    {
        self.slot(ffi::Py_tp_iter, unary::<T, F> as *mut c_void);
        self
    }

    /// `iter(x)` and `await x` give the object itself.
    pub(crate) fn is_own_iterator(mut self) -> Self {
        self.slot(ffi::Py_tp_iter, identity as *mut c_void);
        self.slot(ffi::Py_am_await, identity as *mut c_void);
        self
    }

    /// `__next__`, and `am_send` beside it.
    pub(crate) fn next<F>(mut self, _f: F) -> Self
    where
        F: Fn(&Inst<T>) -> Res<Answer> + Copy + 'static,
    {
        self.slot(ffi::Py_tp_iternext, iternext::<T, F> as *mut c_void);
        self.slot(ffi::Py_am_send, am_send::<T, F> as *mut c_void);
        self
    }

    /// `await x` iterates over `x` itself, without `x` being an iterator to Python.
    ///
    /// The slots are there, the names are not: `__await__` and `__iter__` are the class's own
    /// methods, which make a separate iterator (as asyncio's futures do, and as a derived class
    /// gets them), and no `__next__` appears in `dir()`, because `tp_iternext` is put into the
    /// finished type. So only the exact type takes the short way.
    pub(crate) fn awaits_itself<F>(mut self, _f: F) -> Self
    where
        F: Fn(&Inst<T>) -> Res<Answer> + Copy + 'static,
    {
        self.slot(ffi::Py_am_await, identity as *mut c_void);
        self.slot(ffi::Py_am_send, am_send::<T, F> as *mut c_void);
        self.hidden_iternext = Some(await_next::<T, F>);
        self
    }
}

/// The operation of a rich comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compare {
    Lt,
    Le,
    Eq,
    Ne,
    Gt,
    Ge,
}

unsafe extern "C" fn method0<T: Native, F>(
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

unsafe extern "C" fn method1<T: Native, F>(
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

unsafe extern "C" fn method<T: Native, F>(
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

unsafe extern "C" fn getter<T: Native, F>(
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

unsafe extern "C" fn setter<T: Native, F>(
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
            let value = if value.is_null() { None } else { Some(Any::from_ptr(value)) };
            item::<F>()(Inst::from_ptr(this), value).map(|()| 0)
        }
    })
}

unsafe extern "C" fn unary<T: Native, F>(this: *mut ffi::PyObject) -> *mut ffi::PyObject
where
    F: Fn(&Inst<T>) -> Res<Object> + Copy + 'static,
{
    guard(ptr::null_mut(), || {
        // SAFETY: as in `method0`.
        unsafe { item::<F>()(Inst::from_ptr(this)).map(Object::into_ptr) }
    })
}

unsafe extern "C" fn hash<T: Native, F>(this: *mut ffi::PyObject) -> ffi::Py_hash_t
where
    F: Fn(&Inst<T>) -> Res<isize> + Copy + 'static,
{
    guard(-1, || {
        // SAFETY: as in `method0`.
        unsafe { item::<F>()(Inst::from_ptr(this)) }
    })
}

unsafe extern "C" fn compare<T: Native, F>(
    this: *mut ffi::PyObject,
    other: *mut ffi::PyObject,
    operation: c_int,
) -> *mut ffi::PyObject
where
    F: Fn(&Inst<T>, &Any, Compare) -> Res<Object> + Copy + 'static,
{
    guard(ptr::null_mut(), || {
        let operation = match operation {
            ffi::Py_LT => Compare::Lt,
            ffi::Py_LE => Compare::Le,
            ffi::Py_EQ => Compare::Eq,
            ffi::Py_NE => Compare::Ne,
            ffi::Py_GT => Compare::Gt,
            _ => Compare::Ge,
        };
        // SAFETY: as in `method1`.
        unsafe {
            item::<F>()(Inst::from_ptr(this), Any::from_ptr(other), operation)
                .map(Object::into_ptr)
        }
    })
}

unsafe extern "C" fn call<T: Native, F>(
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

unsafe extern "C" fn init<T: Native, F>(
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

unsafe extern "C" fn identity(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: a live object.
    unsafe { Any::from_ptr(this).own().into_ptr() }
}

unsafe extern "C" fn iternext<T: Native, F>(this: *mut ffi::PyObject) -> *mut ffi::PyObject
where
    F: Fn(&Inst<T>) -> Res<Answer> + Copy + 'static,
{
    guard(ptr::null_mut(), || {
        // SAFETY: as in `method0`.
        let answer = unsafe { item::<F>()(Inst::from_ptr(this)) }?;
        Ok(match answer {
            Answer::Yield(object) => object.into_ptr(),
            Answer::Return(object) => finish_iteration(object),
        })
    })
}

unsafe extern "C" fn await_next<T: Native, F>(this: *mut ffi::PyObject) -> *mut ffi::PyObject
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

unsafe extern "C" fn am_send<T: Native, F>(
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

unsafe extern "C" fn generic_alias(
    class: *mut ffi::PyObject,
    item: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: a class method with one argument; a new reference or NULL.
    unsafe { ffi::Py_GenericAlias(class, item) }
}

/// A module-level function `name(*args, **kwargs)`.
pub(crate) fn function<F>(name: &'static CStr, _f: F, doc: &'static CStr) -> Res<Object>
where
    F: Fn(Args<'_>) -> Res<Object> + Copy + 'static,
{
    let definition = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: free_function::<F> },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: doc.as_ptr(),
    }));
    // SAFETY: the definition is leaked, so it outlives the function object.
    unsafe { Object::from_new(ffi::PyCFunction_NewEx(definition, ptr::null_mut(), ptr::null_mut())) }
}

unsafe extern "C" fn free_function<F>(
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

/// A bound built-in method: `name`, called with one argument, on `this`.
#[derive(Debug)]
pub(crate) struct BoundMethod<T, F> {
    definition: std::cell::UnsafeCell<ffi::PyMethodDef>,
    kind: PhantomData<(T, F)>,
}

// SAFETY: the definition is never written.
unsafe impl<T, F> Sync for BoundMethod<T, F> {}

impl<T: Native, F> BoundMethod<T, F>
where
    F: Fn(&Inst<T>, &Any) -> Res<Object> + Copy + 'static,
{
    pub(crate) fn leak(name: &'static CStr, _f: F) -> &'static Self {
        Box::leak(Box::new(BoundMethod {
            definition: std::cell::UnsafeCell::new(ffi::PyMethodDef {
                ml_name: name.as_ptr(),
                ml_meth: ffi::PyMethodDefPointer { PyCFunction: method1::<T, F> },
                ml_flags: ffi::METH_O,
                ml_doc: ptr::null(),
            }),
            kind: PhantomData,
        }))
    }

    pub(crate) fn bind(&'static self, this: &Inst<T>) -> Res<Object> {
        // SAFETY: the definition lives for ever, and `this` is of the class it expects.
        unsafe {
            Object::from_new(ffi::PyCFunction_NewEx(
                self.definition.get(),
                this.as_any().as_ptr(),
                ptr::null_mut(),
            ))
        }
    }
}

/// The value of a setter that must not be deleted.
pub(crate) fn no_delete<'a>(value: Option<&'a Any>) -> Res<&'a Any> {
    value.ok_or_else(|| Raised::new(super::error::Kind::Attribute, "cannot delete attribute"))
}

/// A getter's answer for an attribute that is a flag.
pub(crate) fn flag(value: bool) -> Res<Object> {
    Ok(value::bool(value))
}
