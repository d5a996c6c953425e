//! `wait()`: until the first, or all, of a set of futures are done.

use std::cell::{Cell, RefCell};
use std::ffi::CStr;

use aioxide_core::clock::delay_to_ns;

use super::current::{awaiter, plain_loop};
use super::observer::{Observer, Watch};
use super::originals::originals;
use super::peer::{self, Ending, Known};
use super::sleep::stop_timer;
use crate::coroutine::{self, Coroutine, Operation, Outcome, Step};
use crate::event_loop::{LoopCore, Timer};
use crate::ffi::call::Signature;
use crate::ffi::{
    Any, Args, Class, Inst, Object, Own, Raised, Res, Slot, SlotOf, Visit, task_mirror, value,
};
use crate::future::{self, Future, FutureLike, LoopSlot};

/// When it is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Until {
    #[default]
    All,
    First,
    FirstException,
}

/// What the futures' observer knows.
#[derive(Debug, Default)]
pub(crate) struct WaitWatch {
    waiter: SlotOf<Future>,
    core: SlotOf<LoopCore>,
    futures: RefCell<Vec<Object>>,
    awaiter: Slot,
    until: Until,
    left: Cell<u32>,
}

impl WaitWatch {
    pub(super) fn traverse(&self, visit: &mut Visit) {
        self.waiter.visit(visit);
        self.core.visit(visit);
        self.awaiter.visit(visit);
        if let Ok(futures) = self.futures.try_borrow() {
            futures.iter().for_each(|future| visit.object(future));
        }
    }

    pub(super) fn clear(&self) {
        self.waiter.clear();
        self.core.clear();
        self.awaiter.clear();
        let futures = self.futures.take();
        drop(futures);
    }

    pub(super) fn number_of(&self, future: &Any) -> Option<u32> {
        let futures = self.futures.borrow();
        let found = futures.iter().position(|each| each.is(future))?;
        u32::try_from(found).ok()
    }

    fn future(&self, number: u32) -> Option<Object> {
        self.futures.borrow().get(number as usize).cloned()
    }

    /// A future is done.
    pub(super) fn notice(&self, number: u32) -> Res<()> {
        let left = self.left.get().saturating_sub(1);
        self.left.set(left);
        let Some(future) = self.future(number) else {
            return Ok(());
        };
        let over = left == 0
            || self.until == Until::First
            || (self.until == Until::FirstException
                && matches!(peer::ending(&future)?, Ending::Failed(_)));
        if over && let Some(waiter) = self.waiter.get() {
            self.stop_timer();
            if FutureLike::future(&**waiter).is_pending() {
                future::resolve(&waiter, value::none())?;
            }
        }
        match self.awaiter.get() {
            Some(awaiter) => task_mirror::discard_awaiter(&future, &awaiter),
            None => Ok(()),
        }
    }

    fn stop_timer(&self) {
        if let (Some(core), Some(waiter)) = (self.core.get(), self.waiter.get()) {
            stop_timer(&core, &waiter);
        }
    }
}

/// The body of `wait()`.
#[derive(Debug, Default)]
pub(crate) struct Wait {
    futures: Slot,
    timeout: Slot,
    return_when: Slot,
    observer: SlotOf<Observer>,
}

static WAIT: Class<Coroutine<Wait>> = Class::new(64);

impl Operation for Wait {
    const CLASS_NAME: &'static CStr = c"aioxide.wait";

    #[inline(always)]
    fn class() -> &'static Class<Coroutine<Self>> {
        &WAIT
    }
    fn name(&self) -> &'static str {
        "wait"
    }
    fn qualname(&self) -> String {
        "wait".to_owned()
    }

    fn start(this: &Inst<Coroutine<Self>>) -> Res<Step> {
        if let Some(waiter) = start_natively(this)? {
            return Ok(Step::Await(waiter.into_object()));
        }
        let (futures, timeout) = (this.futures.get_or_none(), this.timeout.get_or_none());
        let mut given = vec![&*futures, &*timeout];
        let mut names = vec![value::text("timeout")?];
        let return_when = this.return_when.get();
        if let Some(return_when) = &return_when {
            given.push(return_when);
            names.push(value::text("return_when")?);
        }
        let names: Vec<&Any> = names.iter().map(|name| &**name).collect();
        let call = originals()
            .wait
            .call_names(&given, &*value::tuple(&names)?)?;
        Ok(Step::Await(call))
    }

    fn resume(this: &Inst<Coroutine<Self>>, outcome: Outcome) -> Res<Step> {
        let Some(observer) = this.observer.take() else {
            return outcome.map(Step::Return).map_err(Raised::raise);
        };
        let Watch::Wait(watch) = observer.watch() else {
            return outcome.map(Step::Return).map_err(Raised::raise);
        };
        watch.stop_timer();
        let futures = watch.futures.borrow().clone();
        let awaiter = watch.awaiter.get();
        for future in &futures {
            if let Some(known) = Known::of(future) {
                known.unobserve(&observer);
            }
            if let Some(awaiter) = &awaiter {
                task_mirror::discard_awaiter(future, awaiter)?;
            }
        }
        if let Err(exception) = outcome {
            return Err(Raised::raise(exception));
        }
        let (done, pending) = (value::empty_set()?, value::empty_set()?);
        for future in &futures {
            let set = if peer::is_done(future)? {
                &done
            } else {
                &pending
            };
            set.set_add(future)?;
        }
        value::tuple(&[&done, &pending]).map(Step::Return)
    }

    fn traverse(&self, visit: &mut Visit) {
        self.futures.visit(visit);
        self.timeout.visit(visit);
        self.return_when.visit(visit);
        self.observer.visit(visit);
    }

    fn clear(&self) {
        self.futures.clear();
        self.timeout.clear();
        self.return_when.clear();
        self.observer.clear();
    }
}

/// `None` if it is asyncio's own function's: nothing has happened then.
fn start_natively(this: &Inst<Coroutine<Wait>>) -> Res<Option<Own<Future>>> {
    let until = match this.return_when.get() {
        None => Until::All,
        Some(when) if when.is_text(c"ALL_COMPLETED") => Until::All,
        Some(when) if when.is_text(c"FIRST_COMPLETED") => Until::First,
        Some(when) if when.is_text(c"FIRST_EXCEPTION") => Until::FirstException,
        Some(_) => return Ok(None),
    };
    let Some(given) = this.futures.get() else {
        return Ok(None);
    };
    let Some(core) = plain_loop()? else {
        return Ok(None);
    };
    if !given.is_plain_collection() {
        return Ok(None);
    }
    let futures = value::list_of(&*value::set_of(&given)?)?.try_list_items()?;
    let is_ours = |future: &Object| Known::of(future).is_some_and(|known| known.is_on(&core));
    if futures.is_empty() || !futures.iter().all(is_ours) {
        return Ok(None);
    }
    let deadline = match this.timeout.get().filter(|timeout| !timeout.is_none()) {
        None => None,
        Some(timeout) => match timeout
            .exact_number()
            .and_then(|timeout| delay_to_ns(core.now(), timeout))
        {
            Some(deadline) => Some(deadline),
            None => return Ok(None),
        },
    };
    let waiter = future::create(LoopSlot::native(&core))?;
    if let Some(deadline) = deadline {
        core.reserve_timer()?;
        FutureLike::future(&**waiter).set_timer(true);
        core.set_timer(deadline, Timer::Resolve(waiter.clone()));
    }
    let watch = WaitWatch {
        waiter: SlotOf::new(Some(waiter.clone())),
        awaiter: Slot::new(awaiter(core.as_any())?),
        core: SlotOf::new(Some(core)),
        left: Cell::new(u32::try_from(futures.len()).unwrap_or(u32::MAX)),
        futures: RefCell::new(futures.clone()),
        until,
    };
    let awaiter = watch.awaiter.get();
    let observer = Observer::create(Watch::Wait(watch))?;
    for (number, future) in (0..).zip(&futures) {
        peer::observe(future, &observer, number)?;
        if let Some(awaiter) = &awaiter {
            task_mirror::add_awaiter(future, awaiter)?;
        }
    }
    this.observer.set(observer);
    Ok(Some(waiter))
}

const SIGNATURE: Signature<3> = Signature {
    function: "wait",
    parameters: [c"fs", c"timeout", c"return_when"],
    positional: 1,
    required: 1,
};

/// `wait(fs, *, timeout=None, return_when=ALL_COMPLETED)`.
pub(super) fn wait(args: Args<'_>) -> Res<Object> {
    let [futures, timeout, return_when] = args.bind(&SIGNATURE)?;
    let call = Wait {
        futures: Slot::new(futures.map(Any::own)),
        timeout: Slot::new(timeout.map(Any::own)),
        return_when: Slot::new(return_when.map(Any::own)),
        observer: SlotOf::default(),
    };
    Ok(coroutine::create(call)?.into_object())
}

pub(super) fn build() -> Res<()> {
    coroutine::build::<Wait>(c"The coroutine of wait().")
}
