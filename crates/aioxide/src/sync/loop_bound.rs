//! The loop of a primitive: that of the first task that has to wait.

use crate::ffi::method::TypeBuilder;
use crate::ffi::module::names;
use crate::ffi::{Any, Inst, Object, Raised, Res, Slot, Visit, running_loop};
use crate::future::Waiter;
use crate::hooks::{Hooked, replaced};

/// `_loop`.
#[derive(Debug, Default)]
pub(super) struct LoopBound(Slot);

impl LoopBound {
    /// `_get_loop()`: the running loop, if the object belongs to it or to none yet; `None` outside of
    /// a loop.
    #[inline]
    pub(super) fn get_loop(&self, this: &Any) -> Res<Object> {
        let running = running_loop::or_none()?;
        match self.0.address() {
            Some(bound) if bound == running.address() => Ok(running),
            None => {
                if !running.is_none() {
                    self.0.set(running.clone());
                }
                Ok(running)
            }
            Some(_) => Err(elsewhere(this)),
        }
    }

    pub(super) fn show(&self) -> Object {
        self.0.get_or_none()
    }

    pub(super) fn assign(&self, value: Option<&Any>) {
        drop(
            self.0
                .replace(value.filter(|value| !value.is_none()).map(Any::own)),
        );
    }

    pub(super) fn visit(&self, visit: &mut Visit) {
        self.0.visit(visit);
    }

    pub(super) fn clear(&self) {
        self.0.clear();
    }
}

#[cold]
fn elsewhere(this: &Any) -> Raised {
    match this.repr() {
        Ok(repr) => Raised::runtime(&format!(
            "{} is bound to a different event loop",
            repr.text_lossy()
        )),
        Err(raised) => raised,
    }
}

/// A primitive that belongs to a loop.
pub(super) trait Bound: Hooked {
    /// The bit of `_get_loop` among its hooks.
    const GET_LOOP: u16;
    fn bound(&self) -> &LoopBound;
}

/// `self._get_loop().create_future()`.
#[inline]
pub(super) fn create_waiter<T: Bound>(this: &Inst<T>) -> Res<Waiter> {
    let loop_ = if replaced(this)? & T::GET_LOOP == 0 {
        this.bound().get_loop(this.as_any())?
    } else {
        this.as_any().call_method0(&names()._get_loop)?
    };
    Waiter::create(&loop_)
}

fn get_loop<T: Bound>(this: &Inst<T>) -> Res<Object> {
    this.bound().get_loop(this.as_any())
}

fn show<T: Bound>(this: &Inst<T>) -> Res<Object> {
    Ok(this.bound().show())
}

fn assign<T: Bound>(this: &Inst<T>, value: Option<&Any>) -> Res<()> {
    this.bound().assign(value);
    Ok(())
}

/// `_loop` and `_get_loop`.
pub(super) fn methods<T: Bound>(b: TypeBuilder<T>) -> TypeBuilder<T> {
    b.method0(
        c"_get_loop",
        get_loop::<T>,
        c"_get_loop($self)\n--\n\nThe running loop, which the object is bound to from now on.",
    )
    .attribute(
        c"_loop",
        show::<T>,
        assign::<T>,
        c"The loop of the first task that had to wait, or None.",
    )
}
