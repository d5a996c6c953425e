//! What Python's own dispatch does: comparing, subtracting, and which methods a class has.

use pyo3::ffi;

use super::error::{Raised, Res};
use super::object::{Any, Object};

/// A comparison that runs Python's.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Compare {
    Less,
    LessOrEqual,
    Equal,
    Greater,
    GreaterOrEqual,
}

impl Any {
    /// `self < other` and its like, as a truth value.
    pub(crate) fn compare(&self, how: Compare, other: &Any) -> Res<bool> {
        let operator = match how {
            Compare::Less => ffi::Py_LT,
            Compare::LessOrEqual => ffi::Py_LE,
            Compare::Equal => ffi::Py_EQ,
            Compare::Greater => ffi::Py_GT,
            Compare::GreaterOrEqual => ffi::Py_GE,
        };
        // SAFETY: two live objects; a new reference or NULL.
        let answer = unsafe {
            Object::from_new(ffi::PyObject_RichCompare(
                self.as_ptr(),
                other.as_ptr(),
                operator,
            ))?
        };
        answer.is_truthy()
    }

    /// `self - other`.
    pub(crate) fn subtract(&self, other: &Any) -> Res<Object> {
        // SAFETY: two live objects.
        unsafe { Object::from_new(ffi::PyNumber_Subtract(self.as_ptr(), other.as_ptr())) }
    }

    /// The number that CPython gives to the present state of the object's class: it gets another
    /// one when the class or a base of it changes. 0 if it has none now.
    #[inline(always)]
    pub(crate) fn class_version(&self) -> u32 {
        // SAFETY: reads a field of a live object's type.
        unsafe { (*ffi::Py_TYPE(self.as_ptr())).tp_version_tag }
    }

    /// `object.__repr__(self)`.
    pub(crate) fn object_repr(&self) -> Res<Object> {
        // SAFETY: the static type's own slot, which takes any live object.
        unsafe {
            match ffi::PyBaseObject_Type.tp_repr {
                Some(repr) => Object::from_new(repr(self.as_ptr())),
                None => Err(Raised::type_error("object has no __repr__")),
            }
        }
    }

    /// `object.__setattr__(self, name, value)`, or `__delattr__` without a value.
    pub(crate) fn object_setattr(&self, name: &Any, value: Option<&Any>) -> Res<()> {
        // SAFETY: live objects; NULL deletes.
        Raised::check(unsafe {
            ffi::PyObject_GenericSetAttr(
                self.as_ptr(),
                name.as_ptr(),
                value.map_or(std::ptr::null_mut(), Any::as_ptr),
            )
        })
    }

    /// `type(self).__name__`.
    pub(crate) fn class_name(&self) -> Res<Object> {
        self.class().getattr(&super::module::names().__name__)
    }
}

/// A function that is called without arguments, often: a built-in one without the detour through
/// CPython's calling conventions.
#[derive(Debug)]
pub(crate) struct NoArgs {
    callable: Object,
    /// What a built-in function runs, and what it gets as `self`.
    direct: Option<(ffi::PyCFunction, *mut ffi::PyObject)>,
}

impl NoArgs {
    /// The function itself.
    pub(super) fn callable(&self) -> &Any {
        &self.callable
    }

    pub(crate) fn new(callable: Object) -> NoArgs {
        let object = callable.as_ptr();
        // SAFETY: the functions read the fields of a built-in function, which was checked to be one.
        // `self` is NULL or kept alive by the function, as the function is by us.
        let direct = unsafe {
            if ffi::PyCFunction_CheckExact(object) != 0
                && ffi::PyCFunction_GetFlags(object) == ffi::METH_NOARGS
            {
                ffi::PyCFunction_GetFunction(object)
                    .map(|function| (function, ffi::PyCFunction_GetSelf(object)))
            } else {
                None
            }
        };
        NoArgs { callable, direct }
    }

    #[inline]
    pub(crate) fn call(&self) -> Res<Object> {
        match self.direct {
            // SAFETY: a METH_NOARGS function, called as CPython does: with its own `self`, and NULL.
            Some((function, this)) => unsafe {
                Object::from_new(function(this, std::ptr::null_mut()))
            },
            None => self.callable.call0(),
        }
    }
}
