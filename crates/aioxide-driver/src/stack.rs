//! The bounds of the calling thread's stack.

#![allow(unsafe_code, reason = "pthread_getattr_np, which rustix does not have")]

use std::mem::MaybeUninit;

/// The lowest usable address of the calling thread's stack and its size in bytes; `None` where the
/// C library does not know.
///
/// For the main thread the C library reads `/proc/self/maps`, so callers keep the answer.
#[must_use]
pub fn bounds() -> Option<(usize, usize)> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let mut lowest = std::ptr::null_mut();
    let mut size = 0;
    // SAFETY: the C library fills the attributes of the calling thread, which are read only if it
    // reports success, and destroyed once.
    unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return None;
        }
        let status =
            libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut lowest, &raw mut size);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        if status != 0 || lowest.is_null() || size == 0 {
            return None;
        }
    }
    Some((lowest.addr(), size))
}

#[cfg(test)]
mod tests {
    use super::bounds;

    #[test]
    fn a_local_variable_lies_inside() {
        for size in [64 * 1024, 1024 * 1024] {
            let thread = std::thread::Builder::new().stack_size(size).spawn(move || {
                let local = 0_u8;
                let here = (&raw const local).addr();
                let (lowest, found) = bounds().expect("glibc and musl know");
                assert!(found >= size, "{found} of {size}");
                assert!((lowest..lowest + found).contains(&here));
            });
            thread.expect("a thread").join().expect("no panic");
        }
    }
}
