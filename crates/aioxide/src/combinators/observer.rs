//! `Observer`: what `gather` and `wait` put into the futures that they watch.
//!
//! asyncio puts a Python function there, which the loop calls in the turn after a future is done.
//! Here the future holds the observer and a number, both go into the loop's queue, and the observer
//! is told the number in its turn: no handle, no context, no call. Looked at from Python, in
//! `_callbacks` and in a future's repr, it is a callable like asyncio's, and is called where a
//! future or a loop is not ours.

use std::ffi::CStr;

use super::gather::Gather;
use super::wait::WaitWatch;
use crate::ffi::native_type::object_class;
use crate::ffi::{Args, Class, Inst, Native, Object, Own, Raised, Res, Visit, value};

/// Who watches.
#[derive(Debug)]
pub(crate) enum Watch {
    Nobody,
    Gather(Gather),
    Wait(WaitWatch),
}

/// `aioxide.Observer`.
#[derive(Debug)]
pub(crate) struct Observer {
    watch: Watch,
}

static OBSERVER: Class<Observer> = Class::new(1024);

impl Native for Observer {
    const NAME: &'static CStr = c"aioxide.Observer";
    const SUBCLASSABLE: bool = false;

    #[inline(always)]
    fn class() -> &'static Class<Self> {
        &OBSERVER
    }
    fn empty() -> Self {
        Observer {
            watch: Watch::Nobody,
        }
    }
    fn traverse(&self, visit: &mut Visit) {
        match &self.watch {
            Watch::Nobody => {}
            Watch::Gather(gather) => gather.traverse(visit),
            Watch::Wait(wait) => wait.traverse(visit),
        }
    }
    fn clear(&self) {
        match &self.watch {
            Watch::Nobody => {}
            Watch::Gather(gather) => gather.clear(),
            Watch::Wait(wait) => wait.clear(),
        }
    }
}

impl Observer {
    #[inline]
    pub(super) fn create(watch: Watch) -> Res<Own<Observer>> {
        OBSERVER.create(Observer { watch })
    }

    #[inline]
    pub(super) fn watch(&self) -> &Watch {
        &self.watch
    }

    /// The function that asyncio has in its place.
    fn stands_for(&self) -> &'static str {
        match &self.watch {
            Watch::Nobody => "Observer",
            Watch::Gather(_) => "gather.<locals>._done_callback",
            Watch::Wait(_) => "_wait.<locals>._on_completion",
        }
    }

    /// The future known by this number is done.
    #[inline]
    pub(crate) fn notice(&self, number: u32) -> Res<()> {
        match &self.watch {
            Watch::Nobody => Ok(()),
            Watch::Gather(gather) => gather.notice(number),
            Watch::Wait(wait) => wait.notice(number),
        }
    }
}

/// `observer(future)`.
fn call(this: &Inst<Observer>, args: Args<'_>) -> Res<Object> {
    let future = args.one("_done_callback", c"fut")?;
    let number = match this.watch() {
        Watch::Nobody => None,
        Watch::Gather(gather) => gather.number_of(future),
        Watch::Wait(wait) => wait.number_of(future),
    };
    let Some(number) = number else {
        return Err(Raised::type_error("this future is not watched"));
    };
    this.own().notice(number)?;
    Ok(value::none())
}

fn get_qualname(this: &Inst<Observer>) -> Res<Object> {
    value::text(this.stands_for())
}

fn get_name(this: &Inst<Observer>) -> Res<Object> {
    let name = this.stands_for();
    value::text(name.rsplit('.').next().unwrap_or(name))
}

fn repr(this: &Inst<Observer>) -> Res<Object> {
    let address = this.as_any().address();
    value::text(&format!("<function {} at {address:#x}>", this.stands_for()))
}

pub(super) fn build() -> Res<()> {
    OBSERVER.build(object_class(), |b| {
        b.not_constructible()
            .call(call)
            .repr(repr)
            .getter(c"__name__", get_name, c"The name of asyncio's function.")
            .getter(c"__qualname__", get_qualname, c"Its qualified name.")
    })?;
    Ok(())
}
