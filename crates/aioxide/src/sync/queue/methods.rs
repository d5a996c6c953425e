//! The Python side of a queue.

use super::super::known::{known, queue_shut_down};
use super::super::loop_bound;
use super::super::number::assign_flag;
use super::super::waiters::Waiters;
use super::items::Order;
use super::{FORMAT, INIT, QUEUE, QueueCore, calls, wake_all, wake_one};
use crate::ffi::call::Signature;
use crate::ffi::dispatch::Compare;
use crate::ffi::error::Kind;
use crate::ffi::method::{TypeBuilder, flag, no_delete};
use crate::ffi::module::names;
use crate::ffi::native_type::object_class;
use crate::ffi::{Any, Args, Inst, Object, Raised, Res, value};
use crate::hooks::{replaced, set_attribute};

type Queue = Inst<QueueCore>;

/// Decides by the class in which order items come out.
fn note_order(this: &Queue) {
    let object = this.as_any();
    this.order
        .set(if object.is_subtype_of(&known().priority_queue) {
            Order::Priority
        } else if object.is_subtype_of(&known().lifo_queue) {
            Order::Lifo
        } else {
            Order::Fifo
        });
}

fn init(this: &Queue, args: Args<'_>) -> Res<()> {
    const SIGNATURE: Signature<1> = Signature {
        function: "Queue.__init__",
        parameters: [c"maxsize"],
        positional: 1,
        required: 0,
    };
    let [maxsize] = args.bind(&SIGNATURE)?;
    let object = this.as_any();
    note_order(this);
    match maxsize {
        Some(maxsize) => this.maxsize.set(maxsize),
        None => this.maxsize.set_int(0),
    }
    this.getters.clear();
    this.putters.clear();
    this.unfinished.set_int(0);
    this.finished.clear();
    this.shut_down.set(false);
    if replaced(this)? & INIT != 0 {
        this.items.forget();
        object.call_method1(&names()._init, &*this.maxsize.object()?)?;
    } else {
        this.items.reset();
    }
    Ok(())
}

fn make_items(this: &Queue, args: Args<'_>) -> Res<Object> {
    args.one("Queue._init", c"maxsize")?;
    this.items.reset();
    Ok(value::none())
}

fn put_item(this: &Queue, args: Args<'_>) -> Res<Object> {
    this.items
        .put(this.order.get(), args.one("Queue._put", c"item")?)?;
    Ok(value::none())
}

fn get_item(this: &Queue) -> Res<Object> {
    this.items.get(this.order.get())
}

fn wakeup_next(this: &Queue, args: Args<'_>) -> Res<Object> {
    let _ = this;
    wake_one(&Waiters::of(args.one("Queue._wakeup_next", c"waiters")?))?;
    Ok(value::none())
}

fn qsize(this: &Queue) -> Res<Object> {
    value::int(i64::try_from(this.items.len()?).unwrap_or(i64::MAX))
}

fn empty(this: &Queue) -> Res<Object> {
    flag(this.items.is_empty()?)
}

fn full(this: &Queue) -> Res<Object> {
    flag(this.is_full_itself(replaced(this)?)?)
}

fn put(this: &Queue, args: Args<'_>) -> Res<Object> {
    calls::put(this, args.one("Queue.put", c"item")?)
}

fn put_nowait(this: &Queue, args: Args<'_>) -> Res<Object> {
    let item = args.one("Queue.put_nowait", c"item")?;
    if this.shut_down.get() {
        return Err(queue_shut_down());
    }
    this.put_unless_full(replaced(this)?, item)?;
    Ok(value::none())
}

fn get_nowait(this: &Queue) -> Res<Object> {
    this.get_unless_empty(replaced(this)?)
}

fn task_done(this: &Queue) -> Res<Object> {
    if this.unfinished.is(Compare::LessOrEqual, 0)? {
        return Err(Raised::new(
            Kind::Value,
            "task_done() called too many times",
        ));
    }
    this.one_done()?;
    Ok(value::none())
}

fn shutdown(this: &Queue, args: Args<'_>) -> Res<Object> {
    const SIGNATURE: Signature<1> = Signature {
        function: "Queue.shutdown",
        parameters: [c"immediate"],
        positional: 1,
        required: 0,
    };
    let [immediate] = args.bind(&SIGNATURE)?;
    this.shut_down.set(true);
    if let Some(immediate) = immediate
        && immediate.is_truthy()?
    {
        while !this.is_empty(replaced(this)?)? {
            drop(this.get_item(replaced(this)?)?);
            if this.unfinished.is(Compare::Greater, 0)? {
                this.unfinished.decrease()?;
            }
        }
        if this.unfinished.is(Compare::Equal, 0)? {
            this.finish()?;
        }
    }
    wake_all(&this.getters)?;
    wake_all(&this.putters)?;
    Ok(value::none())
}

/// What `repr()` and `str()` say about the state.
fn describe(this: &Queue) -> Res<Object> {
    let mut parts = vec![format!(
        "maxsize={}",
        this.maxsize.object()?.repr()?.text_lossy()
    )];
    if let Some(items) = this.items.listed()? {
        parts.push(format!("_queue={}", items.repr()?.text_lossy()));
    }
    for (name, waiters) in [("_getters", &this.getters), ("_putters", &this.putters)] {
        let count = waiters.len()?;
        if count > 0 {
            parts.push(format!("{name}[{count}]"));
        }
    }
    let unfinished = this.unfinished.object()?;
    if unfinished.is_truthy()? {
        parts.push(format!("tasks={}", unfinished.str()?.text_lossy()));
    }
    if this.shut_down.get() {
        parts.push("shutdown".to_owned());
    }
    value::text(&parts.join(" "))
}

/// `self._format()`.
fn formatted(this: &Queue) -> Res<String> {
    let text = if replaced(this)? & FORMAT != 0 {
        this.as_any().call_method0(&names()._format)?.str()?
    } else {
        describe(this)?
    };
    Ok(text.text_lossy())
}

fn repr(this: &Queue) -> Res<Object> {
    let object = this.as_any();
    value::text(&format!(
        "<{} at {:#x} {}>",
        object.class_name()?.text_lossy(),
        object.address(),
        formatted(this)?
    ))
}

fn str(this: &Queue) -> Res<Object> {
    let name = this.as_any().class_name()?.text_lossy();
    value::text(&format!("<{name} {}>", formatted(this)?))
}

fn maxsize(this: &Queue) -> Res<Object> {
    this.maxsize.object()
}

fn assign_maxsize(this: &Queue, value: Option<&Any>) -> Res<()> {
    this.maxsize.assign(value)
}

fn unfinished(this: &Queue) -> Res<Object> {
    this.unfinished.object()
}

fn assign_unfinished(this: &Queue, value: Option<&Any>) -> Res<()> {
    this.unfinished.assign(value)
}

fn finished(this: &Queue) -> Res<Object> {
    this.finished()
}

fn assign_finished(this: &Queue, value: Option<&Any>) -> Res<()> {
    this.finished.set(no_delete(value)?.own());
    Ok(())
}

fn items(this: &Queue) -> Res<Object> {
    this.items.container(this.order.get())
}

fn assign_items(this: &Queue, value: Option<&Any>) -> Res<()> {
    // A copy is made without `__init__`.
    note_order(this);
    this.items.assign(value);
    Ok(())
}

fn getters(this: &Queue) -> Res<Object> {
    this.getters.show()
}

fn assign_getters(this: &Queue, value: Option<&Any>) -> Res<()> {
    this.getters.assign(value)
}

fn putters(this: &Queue) -> Res<Object> {
    this.putters.show()
}

fn assign_putters(this: &Queue, value: Option<&Any>) -> Res<()> {
    this.putters.assign(value)
}

fn is_shutdown(this: &Queue) -> Res<Object> {
    flag(this.shut_down.get())
}

fn assign_shutdown(this: &Queue, value: Option<&Any>) -> Res<()> {
    assign_flag(&this.shut_down, value)
}

/// What a derived class may override, and what asyncio's own code uses.
fn private(b: TypeBuilder<QueueCore>) -> TypeBuilder<QueueCore> {
    b.method(
        c"_init",
        make_items,
        c"_init($self, maxsize)\n--\n\nMake what holds the items. To be overridden.",
    )
    .method(
        c"_put",
        put_item,
        c"_put($self, item)\n--\n\nStore an item. To be overridden.",
    )
    .method0(
        c"_get",
        get_item,
        c"_get($self)\n--\n\nTake the next item out. To be overridden.",
    )
    .method(
        c"_wakeup_next",
        wakeup_next,
        c"_wakeup_next($self, waiters)\n--\n\nWake the first of the waiters that is not done.",
    )
    .method0(
        c"_format",
        describe,
        c"_format($self)\n--\n\nThe state, for repr() and str().",
    )
    .attribute(
        c"_maxsize",
        maxsize,
        assign_maxsize,
        c"How many items it takes.",
    )
    .attribute(c"_queue", items, assign_items, c"What holds the items.")
    .attribute(
        c"_getters",
        getters,
        assign_getters,
        c"The futures of those that wait in get().",
    )
    .attribute(
        c"_putters",
        putters,
        assign_putters,
        c"The futures of those that wait in put().",
    )
    .attribute(
        c"_unfinished_tasks",
        unfinished,
        assign_unfinished,
        c"How many items task_done() has not been called for.",
    )
    .attribute(
        c"_finished",
        finished,
        assign_finished,
        c"The event that join() waits for.",
    )
    .attribute(
        c"_is_shutdown",
        is_shutdown,
        assign_shutdown,
        c"Whether the queue is shut down.",
    )
}

/// Makes the classes.
pub(in super::super) fn build() -> Res<()> {
    calls::build()?;
    QUEUE.build(object_class(), |b| {
        private(loop_bound::methods(b))
            .doc(c"QueueCore(maxsize=0)\n--\n\nThe native half of aioxide.Queue.")
            .init(init)
            .set_attribute(set_attribute)
            .repr(repr)
            .str(str)
            .method0(c"qsize", qsize, c"qsize($self)\n--\n\nHow many items are in the queue.")
            .method0(c"empty", empty, c"empty($self)\n--\n\nWhether there is no item.")
            .method0(
                c"full",
                full,
                c"full($self)\n--\n\nWhether there are maxsize items; never if maxsize is 0.",
            )
            .coroutine(
                c"put",
                put,
                c"put($self, item)\n--\n\nAdd an item, when there is room for it.\n\nRaises QueueShutDown if the queue is shut down.",
            )
            .method(
                c"put_nowait",
                put_nowait,
                c"put_nowait($self, item)\n--\n\nAdd an item, or raise QueueFull.\n\nRaises QueueShutDown if the queue is shut down.",
            )
            .coroutine0(
                c"get",
                calls::get,
                c"get($self)\n--\n\nTake an item, when there is one.\n\nRaises QueueShutDown if the queue is shut down and has none.",
            )
            .method0(
                c"get_nowait",
                get_nowait,
                c"get_nowait($self)\n--\n\nTake an item, or raise QueueEmpty.\n\nRaises QueueShutDown if the queue is shut down and has none.",
            )
            .method0(
                c"task_done",
                task_done,
                c"task_done($self)\n--\n\nSay that an item got from the queue has been dealt with.\n\nRaises ValueError if that is said more often than items were put.",
            )
            .coroutine0(
                c"join",
                calls::join,
                c"join($self)\n--\n\nWait until every item has been dealt with.",
            )
            .method(
                c"shutdown",
                shutdown,
                c"shutdown($self, immediate=False)\n--\n\nRefuse further items, and end get() when there are none left, or at once.\n\nEverybody who waits in put() or get() is woken. With immediate, the items that are left count as dealt with.",
            )
            .getter(c"maxsize", maxsize, c"How many items the queue takes; 0 for any number.")
    })?;
    Ok(())
}
