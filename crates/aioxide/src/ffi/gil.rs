//! Letting other Python threads run while this one waits in the kernel.

use pyo3::ffi;

/// Runs `body` without the GIL. `Send` keeps every Python reference out of it, since none of
/// our reference types is.
pub(crate) fn released<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    struct Restore(*mut ffi::PyThreadState);
    impl Drop for Restore {
        fn drop(&mut self) {
            // SAFETY: the thread state that PyEval_SaveThread gave on this very thread; also on
            // unwinding, so that a panic finds the GIL held again.
            unsafe { ffi::PyEval_RestoreThread(self.0) }
        }
    }
    // SAFETY: the GIL is held on entry, and restored by the guard.
    let _restore = Restore(unsafe { ffi::PyEval_SaveThread() });
    body()
}

/// The address of the current thread, as `threading.get_ident()` gives it.
pub(crate) fn thread_ident() -> u64 {
    // SAFETY: a plain question.
    unsafe { PyThread_get_thread_ident() }
}

// SAFETY: part of CPython's stable ABI, with this signature.
unsafe extern "C" {
    fn PyThread_get_thread_ident() -> std::ffi::c_ulong;
}
