//! References to native objects: `&Inst<T>` borrowed, `Own<T>` owned.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use pyo3::ffi;

use super::native_type::Native;
use super::object::{Any, Object};

/// An instance of the native type `T` or of a class derived from it.
#[repr(transparent)]
pub(crate) struct Inst<T> {
    object: Any,
    state: PhantomData<T>,
}

impl<T: Native> fmt::Debug for Inst<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<{} at {:p}>",
            T::NAME.to_string_lossy(),
            self.object.as_ptr()
        )
    }
}

impl<T: Native> Inst<T> {
    /// # Safety
    /// `ptr` is a live instance of `T`'s class for `'a`.
    #[inline(always)]
    pub(super) unsafe fn from_ptr<'a>(ptr: *mut ffi::PyObject) -> &'a Inst<T> {
        // SAFETY: transparent over `Any`.
        unsafe { &*ptr.cast::<Inst<T>>() }
    }

    #[inline(always)]
    pub(crate) fn as_any(&self) -> &Any {
        &self.object
    }

    #[inline(always)]
    pub(crate) fn own(&self) -> Own<T> {
        // SAFETY: the same object, with a reference of its own.
        unsafe { Own::from_object(self.object.own()) }
    }

    /// Whether the class is exactly `T`'s, not one derived from it.
    #[inline(always)]
    pub(crate) fn is_exact(&self) -> bool {
        self.object.type_is(T::class().as_any())
    }

    /// Makes the object known to the garbage collector, if it is not yet.
    pub(crate) fn track(&self) {
        // SAFETY: a live object of a collected type with its state in place.
        unsafe {
            if ffi::PyObject_GC_IsTracked(self.object.as_ptr()) == 0 {
                ffi::PyObject_GC_Track(self.object.as_ptr().cast());
            }
        }
    }
}

impl<T: Native> Deref for Inst<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the state lies at the class's offset from `tp_new`/`create` to `tp_dealloc`.
        unsafe {
            &*self
                .object
                .as_ptr()
                .byte_add(T::class().offset())
                .cast::<T>()
        }
    }
}

/// One counted reference to a native object.
#[repr(transparent)]
pub(crate) struct Own<T: Native> {
    object: Object,
    state: PhantomData<T>,
}

impl<T: Native> Own<T> {
    /// # Safety
    /// `object` is an instance of `T`'s class.
    #[inline(always)]
    pub(super) unsafe fn from_object(object: Object) -> Own<T> {
        Own {
            object,
            state: PhantomData,
        }
    }

    #[inline(always)]
    pub(crate) fn into_object(self) -> Object {
        self.object
    }
}

impl<T: Native> fmt::Debug for Own<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T: Native> Clone for Own<T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        Own {
            object: self.object.clone(),
            state: PhantomData,
        }
    }
}

impl<T: Native> Deref for Own<T> {
    type Target = Inst<T>;

    #[inline(always)]
    fn deref(&self) -> &Inst<T> {
        // SAFETY: an instance of `T` by construction, alive as long as we own it.
        unsafe { Inst::from_ptr(self.object.as_ptr()) }
    }
}

impl Any {
    /// The object as an exact `T`; `None` for derived classes, which may override things.
    #[inline(always)]
    pub(crate) fn as_exact<T: Native>(&self) -> Option<&Inst<T>> {
        if self.type_is(T::class().as_any()) {
            // SAFETY: the class was just checked.
            Some(unsafe { Inst::from_ptr(self.as_ptr()) })
        } else {
            None
        }
    }

    /// The object as a `T` or a class derived from it.
    #[inline(always)]
    pub(crate) fn downcast<T: Native>(&self) -> Option<&Inst<T>> {
        let class = T::class();
        // SAFETY: reading ob_type of a live object.
        let ptype = unsafe { ffi::Py_TYPE(self.as_ptr()) };
        if class.is_known(ptype) || class.learn_subtype(ptype) {
            // SAFETY: the class was just checked.
            Some(unsafe { Inst::from_ptr(self.as_ptr()) })
        } else {
            None
        }
    }
}
