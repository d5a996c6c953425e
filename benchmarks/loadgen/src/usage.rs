//! CPU time of this process.

use std::mem::MaybeUninit;

fn read() -> (i64, i64) {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: getrusage writes one `rusage` where the pointer says, and `usage` has room for it;
    // all-zero bytes are a valid `rusage` in any case, as it holds nothing but integers.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let micros = |time: libc::timeval| time.tv_sec * 1_000_000 + time.tv_usec;
    (micros(usage.ru_utime), micros(usage.ru_stime))
}

/// Microseconds in user space and in the kernel together.
pub fn micros() -> i64 {
    let (user, system) = read();
    user + system
}

/// Microseconds in user space and in the kernel, as one line of JSON.
pub fn json() -> String {
    let (user, system) = read();
    format!(r#"{{"user_us": {user}, "system_us": {system}}}"#)
}
