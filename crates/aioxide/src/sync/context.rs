//! `async with`: what all that can be acquired and released share.

use crate::coroutine;
use crate::ffi::method::TypeBuilder;
use crate::ffi::module::names;
use crate::ffi::{Args, Inst, Object, Raised, Res};
use crate::hooks::{Hooked, replaced};

/// A primitive with `acquire` and `release`.
pub(super) trait Context: Hooked {
    /// The bit of `release` among its hooks.
    const RELEASE: u16;
    /// The coroutine of `__aenter__`: `acquire()`, and then `None`.
    fn enter(this: &Inst<Self>) -> Res<Object>;
    fn release(this: &Inst<Self>) -> Res<()>;
}

fn aenter<T: Context>(this: &Inst<T>) -> Res<Object> {
    T::enter(this)
}

/// `self.release()`.
pub(super) fn release<T: Context>(this: &Inst<T>) -> Res<()> {
    if replaced(this)? & T::RELEASE == 0 {
        T::release(this)
    } else {
        this.as_any().call_method0(&names().release).map(drop)
    }
}

/// Releases at once. There is nothing to wait for: all share one awaitable that is finished.
fn aexit<T: Context>(this: &Inst<T>, args: Args<'_>) -> Res<Object> {
    check_exit_args(&args)?;
    release(this)?;
    Ok(coroutine::ready())
}

/// `__aexit__(exc_type, exc, tb)`.
#[inline]
fn check_exit_args(args: &Args<'_>) -> Res<()> {
    if args.positional.len() + args.names.len() == 3 {
        return Ok(());
    }
    Err(wrong_exit_args())
}

#[cold]
fn wrong_exit_args() -> Raised {
    Raised::type_error("__aexit__() takes exactly 3 arguments: exc_type, exc and tb")
}

/// `__aenter__` and `__aexit__`.
pub(super) fn methods<T: Context>(b: TypeBuilder<T>) -> TypeBuilder<T> {
    b.coroutine0(
        c"__aenter__",
        aenter::<T>,
        c"__aenter__($self)\n--\n\nAcquire it; the value is None.",
    )
    .coroutine(
        c"__aexit__",
        aexit::<T>,
        c"__aexit__($self, exc_type, exc, tb)\n--\n\nRelease it.",
    )
}
