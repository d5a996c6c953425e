//! One `StopIteration` object for every awaited value, instead of a new one each.
//!
//! A coroutine that awaits a native awaitable gets a value other than `None` as a `StopIteration`, which
//! the interpreter takes apart at once. Making that exception is a third of what such an await costs.
//! So one object is used again and again. Its class derives from `StopIteration`, and its deallocator
//! empties the object and keeps it: the value lives exactly as long as in an exception of its own.
//!
//! A trace function (`sys.settrace`) sees the exception, and debuggers compare its class: while one is
//! set, the exception is an ordinary one.
//!
//! From Python 3.12 on, where the thread's exception is one object; up to 3.14, whose thread states are
//! known.

#[cfg(all(Py_3_12, not(Py_3_15)))]
pub(super) use reused::raise;

#[cfg(not(all(Py_3_12, not(Py_3_15))))]
#[inline]
pub(super) fn raise(value: super::object::Object) -> Result<(), super::object::Object> {
    Err(value)
}

#[cfg(all(Py_3_12, not(Py_3_15)))]
mod reused {
    use std::cell::Cell;
    use std::ffi::{c_int, c_uint, c_void};
    use std::ptr;

    use pyo3::ffi;

    use super::super::object::Object;

    struct Spare {
        class: Cell<*mut ffi::PyTypeObject>,
        /// Dead, with a count of zero and no value; null while it is in use.
        exception: Cell<*mut ffi::PyStopIterationObject>,
    }

    // SAFETY: only touched under the GIL.
    unsafe impl Sync for Spare {}

    static SPARE: Spare = Spare {
        class: Cell::new(ptr::null_mut()),
        exception: Cell::new(ptr::null_mut()),
    };

    /// Where `PyThreadState` has `c_tracefunc`, in bytes. The struct is public, and its layout is fixed
    /// within a minor version.
    #[cfg(not(Py_3_13))]
    const TRACE_FUNCTION: usize = 72;
    #[cfg(Py_3_13)]
    const TRACE_FUNCTION: usize = 88;

    /// Whether this thread has a trace function.
    #[inline(always)]
    fn is_traced() -> bool {
        // SAFETY: the GIL is held, so there is a thread state; a function pointer or NULL lies there.
        unsafe {
            let state = ffi::compat::PyThreadState_GetUnchecked();
            !state
                .byte_add(TRACE_FUNCTION)
                .cast::<*const c_void>()
                .read()
                .is_null()
        }
    }

    /// Raises `StopIteration(value)`; gives the value back if there is no object to do it with.
    #[inline]
    pub(in super::super) fn raise(value: Object) -> Result<(), Object> {
        if is_traced() {
            return Err(value);
        }
        let spare = SPARE.exception.replace(ptr::null_mut());
        // SAFETY: a dead object of our class whose memory is in place and which nobody refers to; its
        // count becomes one, which the thread's exception steals.
        unsafe {
            if spare.is_null() {
                return raise_new(value);
            }
            ffi::Py_INCREF(spare.cast());
            (*spare).value = value.into_ptr();
            ffi::PyErr_SetRaisedException(spare.cast());
        }
        Ok(())
    }

    /// The first one, and one that is raised while another is in use.
    #[cold]
    fn raise_new(value: Object) -> Result<(), Object> {
        // SAFETY: an allocation of our class, zeroed; `args` must be a tuple. Failures are cleared, since
        // the caller has another way. Only the interpreter sees it, so the collector need not.
        unsafe {
            let class = class();
            if class.is_null() {
                return Err(value);
            }
            let exception = ffi::PyType_GenericAlloc(class, 0).cast::<ffi::PyStopIterationObject>();
            let args = ffi::PyTuple_New(0);
            if exception.is_null() || args.is_null() {
                ffi::PyErr_Clear();
                ffi::Py_XDECREF(args);
                ffi::Py_XDECREF(exception.cast());
                return Err(value);
            }
            ffi::PyObject_GC_UnTrack(exception.cast());
            (*exception).args = args;
            (*exception).value = value.into_ptr();
            ffi::PyErr_SetRaisedException(exception.cast());
        }
        Ok(())
    }

    /// The class, made when it is first needed; null if it cannot be made.
    fn class() -> *mut ffi::PyTypeObject {
        if !SPARE.class.get().is_null() {
            return SPARE.class.get();
        }
        let mut slots = [
            ffi::PyType_Slot {
                slot: ffi::Py_tp_dealloc,
                pfunc: keep as *mut c_void,
            },
            ffi::PyType_Slot {
                slot: 0,
                pfunc: ptr::null_mut(),
            },
        ];
        let size = size_of::<ffi::PyStopIterationObject>();
        let mut spec = ffi::PyType_Spec {
            name: c"builtins.StopIteration".as_ptr(),
            basicsize: c_int::try_from(size).unwrap_or(0),
            itemsize: 0,
            flags: c_uint::try_from(ffi::Py_TPFLAGS_DEFAULT).unwrap_or(0),
            slots: slots.as_mut_ptr(),
        };
        // SAFETY: a complete spec; the base, whose traversal and size it takes over, is a live class.
        let class = unsafe {
            let class = ffi::PyType_FromSpecWithBases(&raw mut spec, ffi::PyExc_StopIteration);
            if class.is_null() {
                ffi::PyErr_Clear();
            }
            class.cast::<ffi::PyTypeObject>()
        };
        SPARE.class.set(class);
        class
    }

    /// `tp_dealloc`: empties the object and keeps it, unless somebody has changed it or one is kept.
    ///
    /// # Safety
    /// CPython calls it through the slot, as the slot's contract says.
    unsafe extern "C" fn keep(object: *mut ffi::PyObject) {
        let exception = object.cast::<ffi::PyStopIterationObject>();
        // SAFETY: an object of our class with a count of zero. Its memory and its reference to the class
        // stay; the value is dropped when the object is ready for the next use.
        unsafe {
            let unchanged = (*exception).traceback.is_null()
                && (*exception).context.is_null()
                && (*exception).cause.is_null()
                && (*exception).notes.is_null()
                && (*exception).dict.is_null()
                && ffi::PyObject_GC_IsTracked(object) == 0;
            if unchanged && SPARE.exception.get().is_null() {
                let value = ptr::replace(&raw mut (*exception).value, ptr::null_mut());
                SPARE.exception.set(exception);
                ffi::Py_XDECREF(value);
                return;
            }
            free(object);
        }
    }

    /// # Safety
    /// As for [`keep`].
    #[cold]
    unsafe fn free(object: *mut ffi::PyObject) {
        // SAFETY: as CPython's deallocator of derived classes does it: the base's, then the class.
        unsafe {
            let class = ffi::Py_TYPE(object);
            let base = ffi::PyExc_StopIteration.cast::<ffi::PyTypeObject>();
            if let Some(deallocate) = (*base).tp_dealloc {
                deallocate(object);
            }
            ffi::Py_DECREF(class.cast());
        }
    }
}
