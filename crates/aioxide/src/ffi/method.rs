//! From safe Rust functions to CPython's method, getter and slot tables.
//!
//! A function item has no size and is all type: so a generic trampoline can be made for each
//! from the type alone, and nothing but this file needs to be `unsafe`.

use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::ptr;

use pyo3::ffi;

use super::call::Args;
use super::error::{Raised, Res};
use super::function;
use super::instance::Inst;
use super::native_type::Native;
use super::object::{Any, Object};
use super::send::Answer;
use super::trampoline::{
    am_send, await_next, call, free_function, generic_alias, getter, identity, init, iternext,
    method, method0, method1, set_attribute, setter, unary,
};
use super::value;

/// Collects what a class offers to Python.
pub(crate) struct TypeBuilder<T> {
    methods: Vec<ffi::PyMethodDef>,
    members: Vec<ffi::PyMemberDef>,
    getset: Vec<ffi::PyGetSetDef>,
    slots: Vec<ffi::PyType_Slot>,
    pub(super) constructible: bool,
    pub(super) hidden_iternext: Option<ffi::iternextfunc>,
    /// The same for `tp_iter`.
    pub(super) hidden_iter: Option<ffi::getiterfunc>,
    /// What goes into the finished class.
    pub(super) functions: Vec<function::Method>,
    /// Found in a class, an instance is called with that class's instance first.
    pub(super) is_method_descriptor: bool,
    state: PhantomData<T>,
}

impl<T> std::fmt::Debug for TypeBuilder<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TypeBuilder")
            .field("methods", &self.methods.len())
            .finish_non_exhaustive()
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
            hidden_iter: None,
            functions: Vec::new(),
            is_method_descriptor: false,
            state: PhantomData,
        }
    }

    pub(super) fn slot(&mut self, slot: c_int, function: *mut c_void) {
        self.slots.push(ffi::PyType_Slot {
            slot,
            pfunc: function,
        });
    }

    /// Leaks the tables, which must live as long as the class.
    pub(super) fn finish(mut self) -> *mut ffi::PyType_Slot {
        self.methods.push(ffi::PyMethodDef::zeroed());
        let methods = Box::leak(self.methods.into_boxed_slice()).as_mut_ptr();
        if !self.members.is_empty() {
            self.members.push(ffi::PyMemberDef::default());
            let members = Box::leak(self.members.into_boxed_slice()).as_mut_ptr();
            self.slots.push(ffi::PyType_Slot {
                slot: ffi::Py_tp_members,
                pfunc: members.cast(),
            });
        }
        self.getset.push(ffi::PyGetSetDef::default());
        let getset = Box::leak(self.getset.into_boxed_slice()).as_mut_ptr();
        self.slots.push(ffi::PyType_Slot {
            slot: ffi::Py_tp_methods,
            pfunc: methods.cast(),
        });
        self.slots.push(ffi::PyType_Slot {
            slot: ffi::Py_tp_getset,
            pfunc: getset.cast(),
        });
        self.slots.push(ffi::PyType_Slot {
            slot: 0,
            pfunc: ptr::null_mut(),
        });
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

    /// Tells CPython where something lies in an instance.
    fn offset(&mut self, name: &'static CStr, offset: usize) {
        self.members.push(ffi::PyMemberDef {
            name: name.as_ptr(),
            type_code: ffi::Py_T_PYSSIZET,
            offset: offset.cast_signed(),
            flags: ffi::Py_READONLY,
            doc: ptr::null(),
        });
    }

    /// Tells CPython where the list of weak references lies.
    pub(super) fn weak_list(&mut self, offset: usize) {
        self.offset(c"__weaklistoffset__", offset);
    }

    /// Tells CPython where the instance dict lies.
    pub(super) fn instance_dict(&mut self, offset: usize) {
        self.offset(c"__dictoffset__", offset);
        self.getset.push(ffi::PyGetSetDef {
            name: c"__dict__".as_ptr(),
            get: Some(ffi::PyObject_GenericGetDict),
            set: Some(ffi::PyObject_GenericSetDict),
            doc: ptr::null(),
            closure: ptr::null_mut(),
        });
    }

    /// Tells CPython where an instance's vectorcall function lies, and makes `__call__` use it.
    pub(super) fn vectorcall(&mut self, offset: usize) {
        self.offset(c"__vectorcalloffset__", offset);
        self.slot(ffi::Py_tp_call, ffi::PyVectorcall_Call as *mut c_void);
    }

    /// `def name(self)`.
    pub(crate) fn method0<F>(self, name: &'static CStr, _f: F, doc: &'static CStr) -> Self
    where
        F: Fn(&Inst<T>) -> Res<Object> + Copy + 'static,
    {
        self.add(
            name,
            ffi::PyMethodDefPointer {
                PyCFunction: method0::<T, F>,
            },
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
            ffi::PyMethodDefPointer {
                PyCFunction: method0::<T, F>,
            },
            ffi::METH_NOARGS | ffi::METH_COEXIST,
            doc,
        )
    }

    /// `def name(self, arg, /)`.
    pub(crate) fn method1<F>(self, name: &'static CStr, _f: F, doc: &'static CStr) -> Self
    where
        F: Fn(&Inst<T>, &Any) -> Res<Object> + Copy + 'static,
    {
        self.add(
            name,
            ffi::PyMethodDefPointer {
                PyCFunction: method1::<T, F>,
            },
            ffi::METH_O,
            doc,
        )
    }

    /// `def name(self, *args, **kwargs)`.
    pub(crate) fn method<F>(self, name: &'static CStr, _f: F, doc: &'static CStr) -> Self
    where
        F: Fn(&Inst<T>, Args<'_>) -> Res<Object> + Copy + 'static,
    {
        self.add(
            name,
            ffi::PyMethodDefPointer {
                PyCFunctionFastWithKeywords: method::<T, F>,
            },
            ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
            doc,
        )
    }

    /// `async def name(self)`: a coroutine function to all who ask.
    pub(crate) fn coroutine0<F>(mut self, name: &'static CStr, f: F, doc: &'static CStr) -> Self
    where
        F: Fn(&Inst<T>) -> Res<Object> + Copy + 'static,
    {
        self.functions
            .push(function::Method::without_arguments(name, f, doc));
        self
    }

    /// `async def name(self, *args, **kwargs)`.
    pub(crate) fn coroutine<F>(mut self, name: &'static CStr, f: F, doc: &'static CStr) -> Self
    where
        F: Fn(&Inst<T>, Args<'_>) -> Res<Object> + Copy + 'static,
    {
        self.functions
            .push(function::Method::with_arguments(name, f, doc));
        self
    }

    /// `def name(self, *args, **kwargs)`, as an object that has what `inspect` and tracers read of a
    /// Python function.
    pub(crate) fn python_method<F>(self, name: &'static CStr, f: F, doc: &'static CStr) -> Self
    where
        F: Fn(&Inst<T>, Args<'_>) -> Res<Object> + Copy + 'static,
    {
        self.coroutine(name, f, doc)
    }

    /// Instances are methods of the classes they are found in.
    ///
    /// CPython may then call them with the object first and without asking `bind` for a bound
    /// method, so `bind` must make nothing else.
    pub(super) fn method_descriptor(mut self, bind: ffi::descrgetfunc) -> Self {
        self.is_method_descriptor = true;
        self.slot(ffi::Py_tp_descr_get, bind as *mut c_void);
        self
    }

    /// `Class[...]`: a `types.GenericAlias`.
    pub(crate) fn generic(self) -> Self {
        self.add(
            c"__class_getitem__",
            ffi::PyMethodDefPointer {
                PyCFunction: generic_alias,
            },
            ffi::METH_O | ffi::METH_CLASS,
            c"__class_getitem__($cls, object, /)\n--\n\nA generic alias of the class.",
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

    /// `__str__`.
    pub(crate) fn str<F>(mut self, _f: F) -> Self
    where
        F: Fn(&Inst<T>) -> Res<Object> + Copy + 'static,
    {
        self.slot(ffi::Py_tp_str, unary::<T, F> as *mut c_void);
        self
    }

    /// `__setattr__` and, without a value, `__delattr__`.
    pub(crate) fn set_attribute<F>(mut self, _f: F) -> Self
    where
        F: Fn(&Inst<T>, &Any, Option<&Any>) -> Res<()> + Copy + 'static,
    {
        self.slot(ffi::Py_tp_setattro, set_attribute::<T, F> as *mut c_void);
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
    pub(crate) fn dunder_iter<F>(mut self, _f: F) -> Self
    where
        F: Fn(&Inst<T>) -> Res<Object> + Copy + 'static,
    {
        self.slot(ffi::Py_tp_iter, unary::<T, F> as *mut c_void);
        self
    }

    /// `async for`: what `__aiter__` and `__anext__` are.
    pub(crate) fn async_iterates<F, G>(mut self, _aiter: F, _anext: G) -> Self
    where
        F: Fn(&Inst<T>) -> Res<Object> + Copy + 'static,
        G: Fn(&Inst<T>) -> Res<Object> + Copy + 'static,
    {
        self.slot(ffi::Py_am_aiter, unary::<T, F> as *mut c_void);
        self.slot(ffi::Py_am_anext, unary::<T, G> as *mut c_void);
        self
    }

    /// `iter(x)` and `await x` give the object itself.
    pub(crate) fn iterates_itself(mut self) -> Self {
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

    /// `yield from x` in a generator of `types.coroutine` is as `await x`.
    ///
    /// CPython takes a coroutine of its own there, and of others what is iterable. As above the slot
    /// is there and the name is not: to `collections.abc` a coroutine is no `Iterable`.
    pub(crate) fn yields_from_itself(mut self) -> Self {
        self.hidden_iter = Some(identity);
        self
    }
}

/// A module-level function `name(*args, **kwargs)`.
pub(crate) fn function<F>(name: &'static CStr, _f: F, doc: &'static CStr) -> Res<Object>
where
    F: Fn(Args<'_>) -> Res<Object> + Copy + 'static,
{
    let definition = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunctionFastWithKeywords: free_function::<F>,
        },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: doc.as_ptr(),
    }));
    // SAFETY: the definition is leaked, so it outlives the function object.
    unsafe {
        Object::from_new(ffi::PyCFunction_NewEx(
            definition,
            ptr::null_mut(),
            ptr::null_mut(),
        ))
    }
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
                ml_meth: ffi::PyMethodDefPointer {
                    PyCFunction: method1::<T, F>,
                },
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
pub(crate) fn no_delete(value: Option<&Any>) -> Res<&Any> {
    value.ok_or_else(|| Raised::new(super::error::Kind::Attribute, "cannot delete attribute"))
}

/// A getter's answer for an attribute that is a flag.
pub(crate) fn flag(value: bool) -> Res<Object> {
    Ok(value::bool(value))
}
