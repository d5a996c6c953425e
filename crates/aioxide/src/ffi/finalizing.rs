//! What becomes of other threads when the interpreter ends.
//!
//! From then on CPython stops every thread but the finalizing one where it next asks for the GIL. Since
//! 3.14 the thread hangs there until the process ends. Up to 3.13 CPython calls `pthread_exit`, and
//! glibc unwinds the stack as if by an exception. C does not notice; but our frames lie on that
//! stack too, below the Python code that they have called, and a foreign exception must not unwind
//! Rust frames: their destructors would run without the GIL, and the process would abort.
//!
//! So each thread gets a cleanup handler the first time it enters this module. The C library calls the
//! handler before it unwinds any frame, and the handler hangs, as 3.14 does. Every function that
//! CPython calls (`trampoline.rs`, `function.rs`, `native_type.rs`) goes through
//! [`outlive_interpreter`], so no Rust frame can lie below Python code without it.

#[cfg(all(target_os = "linux", not(Py_3_14)))]
mod handler {
    use std::cell::OnceCell;
    use std::ffi::{c_int, c_void};
    use std::ptr;
    use std::sync::atomic::{AtomicUsize, Ordering};

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

    /// The thread that came through last and has its handler, by its thread pointer; 0 is nobody.
    ///
    /// Threads that take turns with the GIL replace each other here, so that the check is one
    /// comparison unless the thread has changed. A thread that ends removes itself, since the C library
    /// gives its memory, and so its thread pointer, to a new thread.
    static LAST: AtomicUsize = AtomicUsize::new(0);

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
            unsafe { _pthread_cleanup_push(buffer, hang, ptr::null_mut()) };
            Handler { buffer }
        }
    }

    impl Drop for Handler {
        fn drop(&mut self) {
            // Fails if another thread has come through since.
            let _ =
                LAST.compare_exchange(thread_pointer(), 0, Ordering::Relaxed, Ordering::Relaxed);
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

    // Its address identifies the thread. Without a destructor it is there until the very end.
    #[cfg(not(any(
        all(target_arch = "x86_64", target_pointer_width = "64"),
        target_arch = "aarch64"
    )))]
    thread_local! {
        static MARK: u8 = const { 0 };
    }

    /// Identifies the calling thread, by one register where the architecture has it in one.
    #[inline(always)]
    fn thread_pointer() -> usize {
        #[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
        {
            let pointer: usize;
            // SAFETY: by the ABI of Linux on x86-64 the first word that FS points to is its own address.
            unsafe {
                std::arch::asm!(
                    "mov {}, fs:0",
                    out(reg) pointer,
                    options(pure, readonly, nostack, preserves_flags)
                );
            }
            pointer
        }
        #[cfg(target_arch = "aarch64")]
        {
            let pointer: usize;
            // SAFETY: reads the register that holds the thread pointer.
            unsafe {
                std::arch::asm!(
                    "mrs {}, tpidr_el0",
                    out(reg) pointer,
                    options(pure, nomem, nostack, preserves_flags)
                );
            }
            pointer
        }
        #[cfg(not(any(
            all(target_arch = "x86_64", target_pointer_width = "64"),
            target_arch = "aarch64"
        )))]
        MARK.with(|mark| ptr::from_ref(mark).addr())
    }

    /// Called without the GIL, by a thread that is being ended. While the interpreter runs, that is the
    /// wish of whoever called `pthread_exit`.
    extern "C" fn hang(_: *mut c_void) {
        if is_finalizing() {
            loop {
                std::thread::park();
            }
        }
    }

    #[inline(always)]
    pub(crate) fn outlive() {
        if LAST.load(Ordering::Relaxed) != thread_pointer() {
            enter();
        }
    }

    #[cold]
    #[inline(never)]
    fn enter() {
        let entered = HANDLER.try_with(|handler| {
            handler.get_or_init(Handler::push);
        });
        // In a thread that is past its end the handler is gone, and its thread pointer may be reused.
        if entered.is_ok() {
            LAST.store(thread_pointer(), Ordering::Relaxed);
        }
    }
}

/// Ensures that the end of the interpreter cannot unwind this thread's stack from here on.
#[inline(always)]
pub(crate) fn outlive_interpreter() {
    #[cfg(all(target_os = "linux", not(Py_3_14)))]
    handler::outlive();
}
