//! `Event`: a flag that tasks wait for.

use std::cell::Cell;
use std::ffi::CStr;

use super::gone;
use super::loop_bound::{self, Bound, LoopBound, create_waiter};
use super::number::assign_flag;
use super::waiters::{WaiterSlot, Waiters};
use crate::coroutine::{self, Coroutine, Operation, Outcome, Step};
use crate::ffi::method::flag;
use crate::ffi::module::{Global, names};
use crate::ffi::native_type::object_class;
use crate::ffi::{Any, Args, Class, Inst, Native, Object, Raised, Res, SlotOf, Visit, value};
use crate::hooks::{Hooked, Hooks, set_attribute};

/// The state of an event.
#[derive(Debug, Default)]
pub(crate) struct EventCore {
    waiters: Waiters,
    bound: LoopBound,
    hooks: Hooks,
    set: Cell<bool>,
}

static EVENT: Class<EventCore> = Class::new(0);

impl Native for EventCore {
    const NAME: &'static CStr = c"aioxide.EventCore";
    const INSTANCE_DICT: bool = true;

    #[inline(always)]
    fn class() -> &'static Class<Self> {
        &EVENT
    }
    fn empty() -> Self {
        EventCore::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        self.waiters.visit(visit);
        self.bound.visit(visit);
    }
    fn clear(&self) {
        self.waiters.clear();
        self.bound.clear();
    }
}

impl Hooked for EventCore {
    fn names() -> &'static [&'static Object] {
        static NAMES: Global<[&'static Object; 1]> = Global::new();
        if NAMES.try_get().is_none() {
            NAMES.set([&names()._get_loop]);
        }
        NAMES.get()
    }
    #[inline(always)]
    fn hooks(&self) -> &Hooks {
        &self.hooks
    }
}

impl Bound for EventCore {
    const GET_LOOP: u16 = 1;

    #[inline(always)]
    fn bound(&self) -> &LoopBound {
        &self.bound
    }
}

/// `set()`.
#[inline]
pub(super) fn set(event: &Inst<EventCore>) -> Res<()> {
    if event.set.replace(true) {
        return Ok(());
    }
    let mut index = 0;
    while let Some(waiter) = event.waiters.get(index)? {
        if !waiter.is_done()? {
            waiter.resolve(value::bool(true))?;
        }
        index += 1;
    }
    Ok(())
}

/// `clear()`.
#[inline]
pub(super) fn clear(event: &Inst<EventCore>) {
    event.set.set(false);
}

/// `Event.wait()`.
#[derive(Debug, Default)]
struct Wait {
    event: SlotOf<EventCore>,
    waiter: WaiterSlot,
}

static WAIT: Class<Coroutine<Wait>> = Class::new(256);

impl Operation for Wait {
    const CLASS_NAME: &'static CStr = c"aioxide.EventWait";

    #[inline(always)]
    fn class() -> &'static Class<Coroutine<Self>> {
        &WAIT
    }
    fn name(&self) -> &'static str {
        "wait"
    }
    fn qualname(&self) -> String {
        "Event.wait".to_owned()
    }
    #[inline]
    fn start(this: &Inst<Coroutine<Self>>) -> Res<Step> {
        let event = this.event.get().ok_or_else(gone)?;
        if event.set.get() {
            return Ok(Step::Return(value::bool(true)));
        }
        let waiter = create_waiter(&*event)?;
        event.waiters.push(&waiter)?;
        let awaited = waiter.object();
        this.waiter.set(waiter);
        Ok(Step::Await(awaited))
    }
    fn resume(this: &Inst<Coroutine<Self>>, outcome: Outcome) -> Res<Step> {
        let event = this.event.get().ok_or_else(gone)?;
        if let Some(waiter) = this.waiter.take() {
            event.waiters.remove(&waiter)?;
        }
        outcome.map_err(Raised::raise)?;
        Ok(Step::Return(value::bool(true)))
    }
    fn traverse(&self, visit: &mut Visit) {
        self.event.visit(visit);
        self.waiter.visit(visit);
    }
    fn clear(&self) {
        self.event.clear();
        self.waiter.clear();
    }
}

/// The coroutine of `wait()`.
pub(super) fn wait(event: &Inst<EventCore>) -> Res<Object> {
    Ok(coroutine::create(Wait {
        event: SlotOf::new(Some(event.own())),
        waiter: WaiterSlot::default(),
    })?
    .into_object())
}

fn init(this: &Inst<EventCore>, args: Args<'_>) -> Res<()> {
    args.bind(&crate::ffi::call::Signature::<0> {
        function: "Event.__init__",
        parameters: [],
        positional: 0,
        required: 0,
    })?;
    this.waiters.clear();
    this.set.set(false);
    Ok(())
}

fn is_set(this: &Inst<EventCore>) -> Res<Object> {
    flag(this.set.get())
}

fn set_method(this: &Inst<EventCore>) -> Res<Object> {
    set(this)?;
    Ok(value::none())
}

fn clear_method(this: &Inst<EventCore>) -> Res<Object> {
    clear(this);
    Ok(value::none())
}

fn assign_value(this: &Inst<EventCore>, value: Option<&Any>) -> Res<()> {
    assign_flag(&this.set, value)
}

fn waiters(this: &Inst<EventCore>) -> Res<Object> {
    this.waiters.show()
}

fn assign_waiters(this: &Inst<EventCore>, value: Option<&Any>) -> Res<()> {
    this.waiters.assign(value)
}

fn repr(this: &Inst<EventCore>) -> Res<Object> {
    let state = if this.set.get() { "set" } else { "unset" };
    super::bracketed(
        this.as_any(),
        &format!("{state}{}", this.waiters.described()?),
    )
}

/// Makes the classes.
pub(super) fn build() -> Res<()> {
    coroutine::build::<Wait>(c"A call of Event.wait(): a coroutine.")?;
    EVENT.build(object_class(), |b| {
        loop_bound::methods(b)
            .doc(c"EventCore()\n--\n\nThe native half of aioxide.Event.")
            .init(init)
            .set_attribute(set_attribute)
            .repr(repr)
            .method0(
                c"is_set",
                is_set,
                c"is_set($self)\n--\n\nWhether the flag is set.",
            )
            .method0(
                c"set",
                set_method,
                c"set($self)\n--\n\nSet the flag, and wake all that wait for it.",
            )
            .method0(
                c"clear",
                clear_method,
                c"clear($self)\n--\n\nTake the flag back.",
            )
            .coroutine0(
                c"wait",
                wait,
                c"wait($self)\n--\n\nWait until the flag is set. Gives True.",
            )
            .attribute(c"_value", is_set, assign_value, c"Whether the flag is set.")
            .attribute(
                c"_waiters",
                waiters,
                assign_waiters,
                c"The futures of those that wait.",
            )
    })?;
    Ok(())
}
