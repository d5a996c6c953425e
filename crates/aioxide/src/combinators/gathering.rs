//! `_GatheringFuture`: what `gather()` gives back. Cancelling it cancels the children.

use std::cell::Cell;
use std::ffi::CStr;

use crate::ffi::family;
use crate::ffi::method::{flag, no_delete};
use crate::ffi::module::imports;
use crate::ffi::{Any, Args, Class, Inst, Native, Object, Own, Res, Slot, Visit, value};
use crate::future::{self, Future, FutureLike, FutureState, LoopSlot};
use crate::task::{self, CancelMark};

/// `aioxide._GatheringFuture`. Its first field lets it pass for a `Future` (see `ffi::family`).
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Gathering {
    future: FutureState,
    /// A list, as asyncio's.
    children: Slot,
    cancel_requested: Cell<bool>,
    cancel_mark: CancelMark,
}

static GATHERING: Class<Gathering> = Class::new(256);

impl Native for Gathering {
    const NAME: &'static CStr = c"aioxide._GatheringFuture";
    const SUBCLASSABLE: bool = false;
    const FINALIZER: bool = true;

    #[inline(always)]
    fn class() -> &'static Class<Self> {
        &GATHERING
    }
    fn empty() -> Self {
        Gathering::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        self.future.traverse(visit);
        self.children.visit(visit);
    }
    fn clear(&self) {
        self.future.clear();
        self.children.clear();
    }
    fn wants_finalize(&self) -> bool {
        self.future.wants_log()
    }
    fn finalize(this: &Inst<Self>) {
        future::finalize_future(this);
    }
}

impl FutureLike for Gathering {
    #[inline(always)]
    fn future(&self) -> &FutureState {
        &self.future
    }

    fn repr_function() -> &'static Any {
        &imports().future_repr
    }
}

impl Gathering {
    pub(super) fn create(loop_: LoopSlot, children: Object) -> Res<Own<Gathering>> {
        GATHERING.create(Gathering {
            future: FutureState::with_loop(loop_),
            children: Slot::new(Some(children)),
            cancel_requested: Cell::new(false),
            cancel_mark: CancelMark::default(),
        })
    }

    pub(super) fn is_cancel_requested(&self) -> bool {
        self.cancel_requested.get()
    }

    /// The children that a cancellation goes to; `None` if it is done.
    pub(crate) fn cancellable_children(&self) -> Option<Object> {
        if self.future.is_pending() {
            self.children.get()
        } else {
            None
        }
    }

    /// A child has accepted a cancellation.
    pub(crate) fn request_cancel(&self) {
        self.cancel_requested.set(true);
    }

    pub(crate) fn cancel_mark(&self) -> &CancelMark {
        &self.cancel_mark
    }
}

fn cancel_method(this: &Inst<Gathering>, args: Args<'_>) -> Res<Object> {
    let message = future::cancel_message(&args)?;
    Ok(value::bool(task::cancel_gathering(this, message)?))
}

fn set_result(this: &Inst<Gathering>, result: &Any) -> Res<Object> {
    future::resolve(this, result.own())?;
    Ok(value::none())
}

fn set_exception(this: &Inst<Gathering>, exception: &Any) -> Res<Object> {
    future::fail(this, exception)?;
    Ok(value::none())
}

fn get_children(this: &Inst<Gathering>) -> Res<Object> {
    Ok(this.children.get_or_none())
}

fn get_cancel_requested(this: &Inst<Gathering>) -> Res<Object> {
    flag(this.cancel_requested.get())
}

fn set_cancel_requested(this: &Inst<Gathering>, value: Option<&Any>) -> Res<()> {
    this.cancel_requested.set(no_delete(value)?.is_truthy()?);
    Ok(())
}

pub(super) fn build() -> Res<()> {
    GATHERING.reserve(&imports().task_base);
    GATHERING.build(&imports().future_base, |b| {
        future::common(b)
            .doc(c"The future of gather(): cancelling it cancels the children.")
            .not_constructible()
            .method(c"cancel", cancel_method, c"cancel($self, /, msg=None)\n--\n\nCancel the children. False if none could be cancelled.")
            .method1(c"set_result", set_result, c"set_result($self, result, /)\n--\n\nMark the future done with a result.")
            .method1(c"set_exception", set_exception, c"set_exception($self, exception, /)\n--\n\nMark the future done with an exception.")
            .getter(c"_children", get_children, c"The futures that were gathered.")
            .attribute(c"_cancel_requested", get_cancel_requested, set_cancel_requested, c"Whether cancel() has cancelled a child.")
    })?;
    family::join(&GATHERING, Future::class())
}
