//! `Queue`, `PriorityQueue` and `LifoQueue`.
//!
//! An item always goes through the queue: `put` appends it and wakes the first getter, which takes
//! it when its task runs. So a getter that is cancelled in between loses nothing: it wakes the
//! next one. `put` and `get` ask again after each wake-up, since somebody else may have been faster.
//!
//! The three classes differ in [`Order`]; it comes from asyncio's class that the object's derives
//! from. Whatever a derived class overrides is called (`_init`, `_get`, `_put` as documented, and the
//! rest as asyncio's code would): see [`hooks`](super::hooks).
//!
//! Files: `items` is what it holds, `calls` are the coroutines, `methods` the Python side.

mod calls;
mod items;
mod methods;

use std::cell::Cell;
use std::ffi::CStr;

use super::event::{self, EventCore};
use super::known::{known, new_event, queue_shut_down, raise_bare};
use super::loop_bound::{Bound, LoopBound};
use super::number::Number;
use super::waiters::Waiters;
use crate::ffi::dispatch::Compare;
use crate::ffi::module::{Global, names};
use crate::ffi::{Any, Class, Inst, Native, Object, Res, Slot, Visit, value};
use crate::hooks::{Hooked, Hooks};
use items::{Items, Order};

pub(super) use methods::build;

/// The state of a queue.
#[derive(Debug, Default)]
pub(crate) struct QueueCore {
    items: Items,
    getters: Waiters,
    putters: Waiters,
    bound: LoopBound,
    maxsize: Number,
    unfinished: Number,
    /// `_finished`, the event of `join`: made when somebody looks or waits. Until then it is set
    /// exactly if nothing is unfinished.
    finished: Slot,
    hooks: Hooks,
    order: Cell<Order>,
    shut_down: Cell<bool>,
}

static QUEUE: Class<QueueCore> = Class::new(0);

impl Native for QueueCore {
    const NAME: &'static CStr = c"aioxide.QueueCore";
    const INSTANCE_DICT: bool = true;

    #[inline(always)]
    fn class() -> &'static Class<Self> {
        &QUEUE
    }
    fn empty() -> Self {
        QueueCore::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        self.items.visit(visit);
        self.getters.visit(visit);
        self.putters.visit(visit);
        self.bound.visit(visit);
        self.maxsize.visit(visit);
        self.unfinished.visit(visit);
        self.finished.visit(visit);
    }
    fn clear(&self) {
        self.items.clear();
        self.getters.clear();
        self.putters.clear();
        self.bound.clear();
        self.maxsize.clear();
        self.unfinished.clear();
        self.finished.clear();
    }
}

const WAKEUP_NEXT: u16 = 1;
const FULL: u16 = 4;
const EMPTY: u16 = 8;
const QSIZE: u16 = 16;
const PUT_NOWAIT: u16 = 32;
const GET_NOWAIT: u16 = 64;
const PUT: u16 = 128;
const GET: u16 = 256;
const INIT: u16 = 512;
const FORMAT: u16 = 1024;

impl Hooked for QueueCore {
    fn names() -> &'static [&'static Object] {
        static NAMES: Global<[&'static Object; 11]> = Global::new();
        if NAMES.try_get().is_none() {
            let names = names();
            NAMES.set([
                &names._wakeup_next,
                &names._get_loop,
                &names.full,
                &names.empty,
                &names.qsize,
                &names.put_nowait,
                &names.get_nowait,
                &names._put,
                &names._get,
                &names._init,
                &names._format,
            ]);
        }
        NAMES.get()
    }
    #[inline(always)]
    fn hooks(&self) -> &Hooks {
        &self.hooks
    }
}

impl Bound for QueueCore {
    const GET_LOOP: u16 = 2;

    #[inline(always)]
    fn bound(&self) -> &LoopBound {
        &self.bound
    }
}

/// Those on one side that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Getters,
    Putters,
}

/// What asyncio calls through `self`: the overriding method if there is one, else ours. Which there
/// are is asked once for an operation, and handed down as `replaced`.
impl Inst<QueueCore> {
    #[inline]
    fn waiters(&self, side: Side) -> &Waiters {
        match side {
            Side::Getters => &self.getters,
            Side::Putters => &self.putters,
        }
    }

    /// `self.empty()`.
    #[inline]
    fn is_empty(&self, replaced: u16) -> Res<bool> {
        if replaced & EMPTY != 0 {
            return self.as_any().call_method0(&names().empty)?.is_truthy();
        }
        self.items.is_empty()
    }

    /// `self.full()`.
    #[inline]
    fn is_full(&self, replaced: u16) -> Res<bool> {
        if replaced & FULL != 0 {
            return self.as_any().call_method0(&names().full)?.is_truthy();
        }
        self.is_full_itself(replaced)
    }

    /// What `full()` does.
    #[inline]
    fn is_full_itself(&self, replaced: u16) -> Res<bool> {
        if self.maxsize.is(Compare::LessOrEqual, 0)? {
            return Ok(false);
        }
        if replaced & QSIZE != 0 {
            let size = self.as_any().call_method0(&names().qsize)?;
            return size.compare(Compare::GreaterOrEqual, &*self.maxsize.object()?);
        }
        let size = self.items.len()?;
        self.maxsize
            .is_reached_by(i64::try_from(size).unwrap_or(i64::MAX))
    }

    /// `self._put(item)`.
    #[inline]
    fn put_item(&self, replaced: u16, item: &Any) -> Res<()> {
        if replaced & PUT != 0 {
            return self.as_any().call_method1(&names()._put, item).map(drop);
        }
        self.items.put(self.order.get(), item)
    }

    /// `self._get()`.
    #[inline]
    fn get_item(&self, replaced: u16) -> Res<Object> {
        if replaced & GET != 0 {
            return self.as_any().call_method0(&names()._get);
        }
        self.items.get(self.order.get())
    }

    /// `self._wakeup_next(waiters)`.
    #[inline]
    fn wakeup_next(&self, replaced: u16, side: Side) -> Res<()> {
        let waiters = self.waiters(side);
        if replaced & WAKEUP_NEXT != 0 {
            let deque = waiters.show()?;
            let method = &names()._wakeup_next;
            return self.as_any().call_method1(method, &deque).map(drop);
        }
        wake_one(waiters)
    }

    /// `self.put_nowait(item)`.
    #[inline]
    fn put_now(&self, replaced: u16, item: &Any) -> Res<Object> {
        if replaced & PUT_NOWAIT != 0 {
            return self.as_any().call_method1(&names().put_nowait, item);
        }
        if self.shut_down.get() {
            return Err(queue_shut_down());
        }
        self.put_unless_full(replaced, item)?;
        Ok(value::none())
    }

    /// What `put_nowait()` does, after the look at `_is_shutdown`.
    #[inline]
    fn put_unless_full(&self, replaced: u16, item: &Any) -> Res<()> {
        if self.is_full(replaced)? {
            return Err(raise_bare(&known().queue_full));
        }
        self.put_item(replaced, item)?;
        self.unfinished.increase()?;
        self.unfinish()?;
        self.wakeup_next(replaced, Side::Getters)
    }

    /// `self.get_nowait()`.
    #[inline]
    fn get_now(&self, replaced: u16) -> Res<Object> {
        if replaced & GET_NOWAIT != 0 {
            return self.as_any().call_method0(&names().get_nowait);
        }
        self.get_unless_empty(replaced)
    }

    /// What `get_nowait()` does.
    #[inline]
    fn get_unless_empty(&self, replaced: u16) -> Res<Object> {
        if self.is_empty(replaced)? {
            return Err(if self.shut_down.get() {
                queue_shut_down()
            } else {
                raise_bare(&known().queue_empty)
            });
        }
        let item = self.get_item(replaced)?;
        self.wakeup_next(replaced, Side::Putters)?;
        Ok(item)
    }

    /// `self._finished`.
    fn finished(&self) -> Res<Object> {
        if let Some(event) = self.finished.get() {
            return Ok(event);
        }
        let event = new_event()?;
        if let Some(core) = event.downcast::<EventCore>()
            && !self.unfinished.is(Compare::Greater, 0)?
        {
            event::set(core)?;
        }
        self.finished.set(event.clone());
        Ok(event)
    }

    /// `self._finished.clear()`.
    #[inline]
    fn unfinish(&self) -> Res<()> {
        match self.finished.get() {
            None => Ok(()),
            Some(event) => event.call_method0(&names().clear).map(drop),
        }
    }

    /// `self._finished.set()`.
    fn finish(&self) -> Res<()> {
        match self.finished.get() {
            None => Ok(()),
            Some(event) => event.call_method0(&names().set).map(drop),
        }
    }

    /// `task_done()`, but for the error.
    fn one_done(&self) -> Res<()> {
        self.unfinished.decrease()?;
        if self.unfinished.is(Compare::Equal, 0)? {
            self.finish()?;
        }
        Ok(())
    }
}

/// Wakes the first waiter that is not done, and takes out those before it.
#[inline]
fn wake_one(waiters: &Waiters) -> Res<()> {
    while let Some(waiter) = waiters.pop_first()? {
        if !waiter.is_done()? {
            return waiter.resolve(value::none());
        }
    }
    Ok(())
}

/// Wakes everybody.
fn wake_all(waiters: &Waiters) -> Res<()> {
    while let Some(waiter) = waiters.pop_first()? {
        if !waiter.is_done()? {
            waiter.resolve(value::none())?;
        }
    }
    Ok(())
}
