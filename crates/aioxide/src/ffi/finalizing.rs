//! What becomes of other threads when the interpreter ends.
//!
//! From then on every thread but the finalizing one is stopped where it next asks for the GIL. Since
//! 3.14 it hangs there until the process is gone. Up to 3.13 it is ended by `pthread_exit`, which
//! glibc does by unwinding the stack as if by an exception. C does not notice; but our frames lie on that
//! stack too, below the Python code that they have called, and Rust may not be unwound by anybody
//! else's exception: its destructors would run without the GIL, and the process would die by a signal
//! instead of ending well.
//!
//! So a thread that runs a loop, or calls into one from outside, gets a cleanup handler. The C library
//! calls it first thing, when nothing has been unwound yet, and it does what 3.14 does.

#[cfg(all(target_os = "linux", not(Py_3_14)))]
mod handler {
    use std::cell::OnceCell;
    use std::ffi::{c_int, c_void};
    use std::ptr;

    use crate::ffi::compat::is_finalizing;

    /// `struct _pthread_cleanup_buffer` of glibc. musl's `struct __ptcb` is a part of it, and
    /// there the handlers are called before anything else, too.
    #[repr(C)]
    struct Buffer {
        routine: Option<extern "C" fn(*mut c_void)>,
        argument: *mut c_void,
        cancel_type: c_int,
        previous: *mut Buffer,
    }

    // SAFETY: exported by glibc and musl with these signatures, for programs compiled without the
    // macros of <pthread.h>.
    unsafe extern "C" {
        fn _pthread_cleanup_push(
            buffer: *mut Buffer,
            routine: extern "C" fn(*mut c_void),
            argument: *mut c_void,
        );
        fn _pthread_cleanup_pop(buffer: *mut Buffer, execute: c_int);
    }

    /// The handler of one thread.
    struct Handler {
        /// From `Box::into_raw`. On the stack it would be for the frames above it only: glibc calls a
        /// handler when unwinding has come to the address of its buffer. The heap is no part
        /// of any frame, so it is called at the first one.
        buffer: *mut Buffer,
    }

    impl Handler {
        fn push() -> Handler {
            let buffer = Box::into_raw(Box::new(Buffer {
                routine: None,
                argument: ptr::null_mut(),
                cancel_type: 0,
                previous: ptr::null_mut(),
            }));
            // SAFETY: the buffer stays where it is until it is popped, at the end of this thread.
            // Whatever somebody else pushes later they pop before that, with their own call.
            unsafe { _pthread_cleanup_push(buffer, stay, ptr::null_mut()) };
            Handler { buffer }
        }
    }

    impl Drop for Handler {
        fn drop(&mut self) {
            // SAFETY: a thread-local value is dropped by its own thread, once; `push` has pushed it, and
            // popped it is known to nobody else.
            unsafe {
                _pthread_cleanup_pop(self.buffer, 0);
                drop(Box::from_raw(self.buffer));
            }
        }
    }

    thread_local! {
        static HANDLER: OnceCell<Handler> = const { OnceCell::new() };
    }

    /// Called without the GIL, by a thread that is being ended. Whoever else ends it gets their way.
    extern "C" fn stay(_: *mut c_void) {
        while is_finalizing() {
            std::thread::park();
        }
    }

    pub(crate) fn outlive() {
        // A thread that is past its own end has nothing more to run.
        let _ = HANDLER.try_with(|handler| {
            handler.get_or_init(Handler::push);
        });
    }
}

/// From here on, the end of the interpreter cannot unwind this thread's stack.
#[inline]
pub(crate) fn outlive_interpreter() {
    #[cfg(all(target_os = "linux", not(Py_3_14)))]
    handler::outlive();
}
