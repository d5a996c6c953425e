//! `Any`, a borrowed Python object, and `Object`, an owned one.

use std::cell::UnsafeCell;
use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;

use pyo3::ffi;

use super::error::{Raised, Res};

/// A Python object, always seen through a reference whose lifetime somebody's count covers.
#[repr(transparent)]
pub(crate) struct Any(UnsafeCell<ffi::PyObject>);

/// One counted reference to a Python object. Not `Send`: the GIL guards the count.
#[repr(transparent)]
pub(crate) struct Object(NonNull<ffi::PyObject>);

impl fmt::Debug for Any {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<object at {:p}>", self.as_ptr())
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl Deref for Object {
    type Target = Any;

    #[inline(always)]
    fn deref(&self) -> &Any {
        // SAFETY: the reference we own keeps the object alive while `self` is borrowed.
        unsafe { Any::from_ptr(self.0.as_ptr()) }
    }
}

impl Clone for Object {
    #[inline(always)]
    fn clone(&self) -> Self {
        self.own()
    }
}

impl Drop for Object {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: we own one reference, and the GIL is held (module rule 1).
        unsafe { ffi::Py_DECREF(self.0.as_ptr()) }
    }
}

impl Object {
    /// Takes over a new reference, as CPython's functions return it; NULL is "exception set".
    ///
    /// # Safety
    /// `ptr` is NULL with an exception set, or a reference that the caller gives away.
    #[inline(always)]
    pub(crate) unsafe fn from_new(ptr: *mut ffi::PyObject) -> Res<Object> {
        match NonNull::new(ptr) {
            Some(ptr) => Ok(Object(ptr)),
            None => Err(Raised::set()),
        }
    }

    /// # Safety
    /// `ptr` is a non-NULL reference that the caller gives away.
    #[inline(always)]
    pub(crate) unsafe fn from_owned(ptr: *mut ffi::PyObject) -> Object {
        debug_assert!(!ptr.is_null());
        // SAFETY: the caller promises it is not NULL.
        Object(unsafe { NonNull::new_unchecked(ptr) })
    }

    /// Gives the reference away, to C or to another typed owner.
    #[inline(always)]
    pub(crate) fn into_ptr(self) -> *mut ffi::PyObject {
        let ptr = self.0.as_ptr();
        std::mem::forget(self);
        ptr
    }
}

impl Any {
    /// # Safety
    /// `ptr` is not NULL and stays alive for `'a`.
    #[inline(always)]
    pub(crate) unsafe fn from_ptr<'a>(ptr: *mut ffi::PyObject) -> &'a Any {
        debug_assert!(!ptr.is_null());
        // SAFETY: `Any` is a transparent wrapper, and the caller vouches for the lifetime.
        unsafe { &*ptr.cast::<Any>() }
    }

    #[inline(always)]
    pub(crate) fn as_ptr(&self) -> *mut ffi::PyObject {
        self.0.get()
    }

    /// A new owned reference.
    #[inline(always)]
    pub(crate) fn own(&self) -> Object {
        // SAFETY: the object is alive, and the new count belongs to the `Object`.
        unsafe {
            ffi::Py_INCREF(self.as_ptr());
            Object::from_owned(self.as_ptr())
        }
    }

    /// Identity as a number, Python's `id()`.
    #[inline(always)]
    pub(crate) fn address(&self) -> usize {
        self.as_ptr() as usize
    }

    /// Identity, Python's `is`.
    #[inline(always)]
    pub(crate) fn is(&self, other: &Any) -> bool {
        std::ptr::eq(self, other)
    }

    #[inline(always)]
    pub(crate) fn is_none(&self) -> bool {
        // SAFETY: Py_None() is a plain address.
        self.as_ptr() == unsafe { ffi::Py_None() }
    }

    /// Whether the object's class is exactly `class`.
    #[inline(always)]
    pub(crate) fn type_is(&self, class: &Any) -> bool {
        // SAFETY: reading ob_type of a live object.
        unsafe { ffi::Py_TYPE(self.as_ptr()).cast::<ffi::PyObject>() == class.as_ptr() }
    }

    /// `id(type(self))`.
    #[inline(always)]
    pub(crate) fn class_address(&self) -> usize {
        // SAFETY: reading ob_type of a live object.
        unsafe { ffi::Py_TYPE(self.as_ptr()) as usize }
    }

    pub(crate) fn class(&self) -> Object {
        // SAFETY: the type of a live object is alive.
        unsafe { Any::from_ptr(ffi::Py_TYPE(self.as_ptr()).cast()).own() }
    }

    pub(crate) fn getattr(&self, name: &Any) -> Res<Object> {
        // SAFETY: both are live objects; a new reference or NULL comes back.
        unsafe { Object::from_new(ffi::PyObject_GetAttr(self.as_ptr(), name.as_ptr())) }
    }

    /// The attribute, or `None` if there is none (`AttributeError` is swallowed, others are not).
    pub(crate) fn getattr_opt(&self, name: &Any) -> Res<Option<Object>> {
        let mut found = std::ptr::null_mut();
        // SAFETY: as above; `found` is written with a new reference, or NULL.
        match unsafe {
            ffi::compat::PyObject_GetOptionalAttr(self.as_ptr(), name.as_ptr(), &raw mut found)
        } {
            1 => {
                // SAFETY: 1 means that `found` holds a new reference.
                Ok(Some(unsafe { Object::from_owned(found) }))
            }
            0 => Ok(None),
            _ => Err(Raised::set()),
        }
    }

    pub(crate) fn setattr(&self, name: &Any, value: &Any) -> Res<()> {
        // SAFETY: three live objects.
        Raised::check(unsafe {
            ffi::PyObject_SetAttr(self.as_ptr(), name.as_ptr(), value.as_ptr())
        })
    }

    pub(crate) fn is_truthy(&self) -> Res<bool> {
        // SAFETY: a live object.
        Raised::check_bool(unsafe { ffi::PyObject_IsTrue(self.as_ptr()) })
    }

    /// Python's `self <= other`.
    pub(crate) fn is_at_most(&self, other: &Any) -> Res<bool> {
        // SAFETY: two live objects.
        Raised::check_bool(unsafe {
            ffi::PyObject_RichCompareBool(self.as_ptr(), other.as_ptr(), ffi::Py_LE)
        })
    }

    /// Python's `==`.
    pub(crate) fn equals(&self, other: &Any) -> Res<bool> {
        // SAFETY: two live objects.
        Raised::check_bool(unsafe {
            ffi::PyObject_RichCompareBool(self.as_ptr(), other.as_ptr(), ffi::Py_EQ)
        })
    }

    pub(crate) fn repr(&self) -> Res<Object> {
        // SAFETY: a live object.
        unsafe { Object::from_new(ffi::PyObject_Repr(self.as_ptr())) }
    }

    pub(crate) fn str(&self) -> Res<Object> {
        // SAFETY: a live object.
        unsafe { Object::from_new(ffi::PyObject_Str(self.as_ptr())) }
    }

    /// The object's `repr()` as Rust text, for messages; never fails.
    pub(crate) fn repr_lossy(&self) -> String {
        match self.repr() {
            Ok(text) => text.text_lossy(),
            Err(raised) => {
                raised.discard();
                "<unprintable>".to_owned()
            }
        }
    }

    pub(crate) fn is_instance(&self, class: &Any) -> Res<bool> {
        // SAFETY: two live objects.
        Raised::check_bool(unsafe { ffi::PyObject_IsInstance(self.as_ptr(), class.as_ptr()) })
    }

    /// Whether the object's class derives from the type `class` (the C type check: no
    /// `__instancecheck__`, cannot fail).
    #[inline]
    pub(crate) fn is_subtype_of(&self, class: &Any) -> bool {
        // SAFETY: `class` is only ever given as a type object by our own code.
        unsafe {
            ffi::PyType_Check(class.as_ptr()) != 0
                && ffi::PyObject_TypeCheck(self.as_ptr(), class.as_ptr().cast()) != 0
        }
    }

    pub(crate) fn refcount(&self) -> isize {
        // SAFETY: a live object.
        unsafe { ffi::Py_REFCNT(self.as_ptr()) }
    }

    /// Whether there is a weak reference to the object, whose callback runs when the object dies.
    #[inline]
    pub(crate) fn is_weakly_referenced(&self) -> bool {
        // SAFETY: a live object; the offset is that of the list's head, in the struct or (negative) in
        // front of it.
        unsafe {
            let offset = (*ffi::Py_TYPE(self.as_ptr())).tp_weaklistoffset;
            offset != 0
                && !self
                    .as_ptr()
                    .byte_offset(offset)
                    .cast::<*mut ffi::PyObject>()
                    .read()
                    .is_null()
        }
    }

    /// Whether the object is a generator (`yield` function), as `inspect.isgenerator` tells.
    pub(crate) fn is_generator(&self) -> bool {
        // SAFETY: a live object.
        unsafe { ffi::PyGen_CheckExact(self.as_ptr()) != 0 }
    }

    /// Whether the object is the coroutine of an `async def` function.
    #[inline]
    pub(crate) fn is_native_coroutine(&self) -> bool {
        // SAFETY: a live object.
        unsafe { ffi::PyCoro_CheckExact(self.as_ptr()) != 0 }
    }
}
