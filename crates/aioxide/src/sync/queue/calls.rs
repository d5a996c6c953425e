//! The coroutines of `get()`, `put()` and `join()`.

use std::ffi::CStr;

use super::super::gone;
use super::super::known::queue_shut_down;
use super::super::loop_bound::create_waiter;
use super::super::waiters::WaiterSlot;
use super::{QueueCore, Side, wake_one};
use crate::coroutine::{self, Coroutine, Operation, Outcome, Step};
use crate::ffi::dispatch::Compare;
use crate::ffi::error::Kind;
use crate::ffi::module::names;
use crate::ffi::{Any, Class, Inst, Object, Raised, Res, Slot, SlotOf, Visit, value};
use crate::future::Waiter;
use crate::hooks::replaced;

/// Stands in line: what to await.
#[inline]
fn line_up(queue: &Inst<QueueCore>, side: Side, place: &WaiterSlot) -> Res<Step> {
    let waiter = create_waiter(queue)?;
    queue.waiters(side).push(&waiter)?;
    let awaited = waiter.object();
    place.set(waiter);
    Ok(Step::Await(awaited))
}

/// Something was thrown into one that waited: it leaves the line, and if it had been woken, another
/// is woken in its place.
#[cold]
fn interrupted(
    queue: &Inst<QueueCore>,
    side: Side,
    waiter: Option<Waiter>,
    exception: Object,
) -> Res<Step> {
    if let Some(waiter) = waiter {
        waiter.cancel()?;
        if let Err(raised) = queue.waiters(side).remove(&waiter) {
            // Whoever has woken it has taken it out.
            if !raised.matches(Kind::Value.as_any()) {
                return Err(raised);
            }
            raised.discard();
        }
        let replaced = replaced(queue)?;
        let blocked = match side {
            Side::Getters => queue.is_empty(replaced)?,
            Side::Putters => queue.is_full(replaced)?,
        };
        if !blocked && !waiter.is_cancelled()? {
            queue.wakeup_next(replaced, side)?;
        }
    }
    Err(Raised::raise(exception))
}

/// `Queue.get()`.
#[derive(Debug, Default)]
struct Get {
    queue: SlotOf<QueueCore>,
    waiter: WaiterSlot,
}

static GET: Class<Coroutine<Get>> = Class::new(256);

#[inline]
fn try_get(queue: &Inst<QueueCore>, place: &WaiterSlot) -> Res<Step> {
    let replaced = replaced(queue)?;
    if replaced == 0 {
        // All that follows, in one go.
        if let Some(item) = queue.items.take(queue.order.get())? {
            wake_one(&queue.putters)?;
            return Ok(Step::Return(item));
        }
    } else if !queue.is_empty(replaced)? {
        return queue.get_now(replaced).map(Step::Return);
    }
    if queue.shut_down.get() && queue.is_empty(replaced)? {
        return Err(queue_shut_down());
    }
    line_up(queue, Side::Getters, place)
}

impl Operation for Get {
    const CLASS_NAME: &'static CStr = c"aioxide.QueueGet";

    #[inline(always)]
    fn class() -> &'static Class<Coroutine<Self>> {
        &GET
    }
    fn name(&self) -> &'static str {
        "get"
    }
    fn qualname(&self) -> String {
        "Queue.get".to_owned()
    }
    #[inline]
    fn start(this: &Inst<Coroutine<Self>>) -> Res<Step> {
        let queue = this.queue.get().ok_or_else(gone)?;
        try_get(&queue, &this.waiter)
    }
    #[inline]
    fn resume(this: &Inst<Coroutine<Self>>, outcome: Outcome) -> Res<Step> {
        let queue = this.queue.get().ok_or_else(gone)?;
        let waiter = this.waiter.take();
        match outcome {
            Ok(_) => try_get(&queue, &this.waiter),
            Err(exception) => interrupted(&queue, Side::Getters, waiter, exception),
        }
    }
    fn traverse(&self, visit: &mut Visit) {
        self.queue.visit(visit);
        self.waiter.visit(visit);
    }
    fn clear(&self) {
        self.queue.clear();
        self.waiter.clear();
    }
}

/// The coroutine of `get()`.
#[inline]
pub(super) fn get(queue: &Inst<QueueCore>) -> Res<Object> {
    Ok(coroutine::create(Get {
        queue: SlotOf::new(Some(queue.own())),
        waiter: WaiterSlot::default(),
    })?
    .into_object())
}

/// `Queue.put(item)`.
#[derive(Debug, Default)]
struct Put {
    queue: SlotOf<QueueCore>,
    item: Slot,
    waiter: WaiterSlot,
}

static PUT: Class<Coroutine<Put>> = Class::new(256);

#[inline]
fn try_put(queue: &Inst<QueueCore>, item: &Slot, place: &WaiterSlot) -> Res<Step> {
    let replaced = replaced(queue)?;
    if !queue.is_full(replaced)? {
        let item = item.get().ok_or_else(gone)?;
        return queue.put_now(replaced, &item).map(Step::Return);
    }
    if queue.shut_down.get() {
        return Err(queue_shut_down());
    }
    line_up(queue, Side::Putters, place)
}

impl Operation for Put {
    const CLASS_NAME: &'static CStr = c"aioxide.QueuePut";

    #[inline(always)]
    fn class() -> &'static Class<Coroutine<Self>> {
        &PUT
    }
    fn name(&self) -> &'static str {
        "put"
    }
    fn qualname(&self) -> String {
        "Queue.put".to_owned()
    }
    #[inline]
    fn start(this: &Inst<Coroutine<Self>>) -> Res<Step> {
        let queue = this.queue.get().ok_or_else(gone)?;
        try_put(&queue, &this.item, &this.waiter)
    }
    #[inline]
    fn resume(this: &Inst<Coroutine<Self>>, outcome: Outcome) -> Res<Step> {
        let queue = this.queue.get().ok_or_else(gone)?;
        let waiter = this.waiter.take();
        match outcome {
            Ok(_) => try_put(&queue, &this.item, &this.waiter),
            Err(exception) => interrupted(&queue, Side::Putters, waiter, exception),
        }
    }
    fn traverse(&self, visit: &mut Visit) {
        self.queue.visit(visit);
        self.item.visit(visit);
        self.waiter.visit(visit);
    }
    fn clear(&self) {
        self.queue.clear();
        self.item.clear();
        self.waiter.clear();
    }
}

/// The coroutine of `put(item)`.
#[inline]
pub(super) fn put(queue: &Inst<QueueCore>, item: &Any) -> Res<Object> {
    Ok(coroutine::create(Put {
        queue: SlotOf::new(Some(queue.own())),
        item: Slot::new(Some(item.own())),
        waiter: WaiterSlot::default(),
    })?
    .into_object())
}

/// `Queue.join()`.
#[derive(Debug, Default)]
struct Join {
    queue: SlotOf<QueueCore>,
}

static JOIN: Class<Coroutine<Join>> = Class::new(16);

impl Operation for Join {
    const CLASS_NAME: &'static CStr = c"aioxide.QueueJoin";

    fn class() -> &'static Class<Coroutine<Self>> {
        &JOIN
    }
    fn name(&self) -> &'static str {
        "join"
    }
    fn qualname(&self) -> String {
        "Queue.join".to_owned()
    }
    fn start(this: &Inst<Coroutine<Self>>) -> Res<Step> {
        let queue = this.queue.get().ok_or_else(gone)?;
        if queue.unfinished.is(Compare::Greater, 0)? {
            let wait = queue.finished()?.call_method0(&names().wait)?;
            return Ok(Step::Await(wait));
        }
        Ok(Step::Return(value::none()))
    }
    fn resume(_this: &Inst<Coroutine<Self>>, outcome: Outcome) -> Res<Step> {
        outcome.map_err(Raised::raise)?;
        Ok(Step::Return(value::none()))
    }
    fn traverse(&self, visit: &mut Visit) {
        self.queue.visit(visit);
    }
    fn clear(&self) {
        self.queue.clear();
    }
}

/// The coroutine of `join()`.
pub(super) fn join(queue: &Inst<QueueCore>) -> Res<Object> {
    Ok(coroutine::create(Join {
        queue: SlotOf::new(Some(queue.own())),
    })?
    .into_object())
}

/// Makes the classes.
pub(super) fn build() -> Res<()> {
    coroutine::build::<Get>(c"A call of Queue.get(): a coroutine.")?;
    coroutine::build::<Put>(c"A call of Queue.put(): a coroutine.")?;
    coroutine::build::<Join>(c"A call of Queue.join(): a coroutine.")
}
