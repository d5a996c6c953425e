//! `timeout()`, `timeout_at()` and the native half of `Timeout`.
//!
//! A `Timeout` is in one of asyncio's five states. On our loop its timer holds the object itself
//! and a number: scheduling it again takes another number, so what was in the heap or on its way
//! before is void. On any other loop it is that loop's `call_at`.

use std::cell::Cell;
use std::ffi::CStr;

use aioxide_core::clock::{ns_to_seconds, seconds_to_ns};

use super::current::{self, any_loop, as_plain, current_task};
use super::originals::originals;
use crate::coroutine::{self, Coroutine, Operation, Outcome, Step};
use crate::event_loop::{Entry, LoopCore, Timer};
use crate::ffi::call::Signature;
use crate::ffi::compat::set_cause;
use crate::ffi::error::Kind;
use crate::ffi::module::{Global, imports, names};
use crate::ffi::native_type::object_class;
use crate::ffi::{
    Any, Args, Class, Inst, Native, Object, Own, Raised, Res, Slot, SlotOf, Visit, value,
};

/// What a time limit remembers from its beginning to its end.
#[derive(Debug, Default)]
pub(super) struct Limit {
    cancelling: Cell<i64>,
    over: Cell<bool>,
}

impl Limit {
    #[inline]
    pub(super) fn begin(&self, cancelling: i64) {
        self.cancelling.set(cancelling);
    }
    /// How many cancel requests the task had before.
    pub(super) fn cancelling(&self) -> i64 {
        self.cancelling.get()
    }
    pub(super) fn end(&self) {
        self.over.set(true);
    }
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.over.get()
    }
}

/// What leaves a time limit that is over and cancelled the task itself: `TimeoutError` in place of
/// the cancellation, also of one that another exception hides (3.13 and later).
pub(super) fn timeout_error(exception: Object) -> Res<Raised> {
    let cancelled = &imports().cancelled_error;
    let hidden = originals().insert_timeout_error.as_ref();
    let is_cancellation = match hidden {
        Some(_) => exception.is_subtype_of(cancelled),
        None => exception.type_is(cancelled),
    };
    if is_cancellation {
        let error = originals().timeout_error.call0()?;
        set_cause(&error, &exception);
        return Ok(Raised::raise(error));
    }
    if let Some(insert) = hidden {
        insert.call1(&exception)?;
        if exception.is_instance(&originals().exception_group)? {
            let parts = exception.getattr(&originals().names.exceptions)?;
            for part in parts.tuple_items() {
                insert.call1(part)?;
            }
        }
    }
    Ok(Raised::raise(exception))
}

/// asyncio's states, in the order of `Originals::timeout_states`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Created,
    Entered,
    Expiring,
    Expired,
    Exited,
}

impl State {
    fn text(self) -> &'static str {
        match self {
            State::Created => "created",
            State::Entered => "active",
            State::Expiring => "expiring",
            State::Expired => "expired",
            State::Exited => "finished",
        }
    }
}

/// `aioxide.TimeoutCore`.
#[derive(Debug, Default)]
pub(crate) struct Timeout {
    state: Cell<State>,
    when: Slot,
    task: Slot,
    /// Our loop, when the timer is ours.
    core: SlotOf<LoopCore>,
    /// The handle of a timer that is not.
    handle: Slot,
    cancelling: Cell<i64>,
    /// Of the timer that counts.
    number: Cell<u32>,
    /// A timer or an entry with this number is on its way.
    armed: Cell<bool>,
    /// It is in the heap.
    timer: Cell<bool>,
}

static TIMEOUT: Class<Timeout> = Class::new(256);
static SHELL: Global<Object> = Global::new();

impl Native for Timeout {
    const NAME: &'static CStr = c"aioxide.TimeoutCore";

    #[inline(always)]
    fn class() -> &'static Class<Self> {
        &TIMEOUT
    }
    fn empty() -> Self {
        Timeout::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        self.when.visit(visit);
        self.task.visit(visit);
        self.core.visit(visit);
        self.handle.visit(visit);
    }
    fn clear(&self) {
        self.when.clear();
        self.task.clear();
        self.core.clear();
        self.handle.clear();
    }
}

impl Timeout {
    #[inline]
    pub(crate) fn has_timer(&self, number: u32) -> bool {
        self.timer.get() && self.number.get() == number
    }

    /// The timer that counts is out of the heap.
    #[inline]
    pub(crate) fn timer_is_due(&self) {
        self.timer.set(false);
    }

    fn stop_timer(&self) -> Res<()> {
        self.armed.set(false);
        if self.timer.replace(false)
            && let Some(core) = self.core.get()
        {
            core.timer_cancelled();
        }
        match self.handle.take() {
            Some(handle) => handle.call_method0(&names().cancel).map(drop),
            None => Ok(()),
        }
    }

    /// The time of the timer with this number is over.
    pub(crate) fn expire(&self, number: u32) -> Res<()> {
        if self.number.get() != number || !self.armed.replace(false) {
            return Ok(());
        }
        self.on_timeout()
    }

    fn on_timeout(&self) -> Res<()> {
        if let Some(task) = self.task.get() {
            current::cancel(&task)?;
        }
        self.state.set(State::Expiring);
        self.handle.clear();
        Ok(())
    }
}

/// Schedules the timer for `when`, which is not `None`.
fn arm(this: &Inst<Timeout>, when: &Any) -> Res<()> {
    let loop_ = any_loop()?;
    if let (Some(core), Some(seconds)) = (as_plain(&loop_), when.exact_number())
        && let Some(deadline) = seconds_to_ns(seconds)
    {
        let number = this.number.get().wrapping_add(1);
        this.number.set(number);
        this.armed.set(true);
        if seconds <= ns_to_seconds(core.now()) {
            core.push(Entry::Timeout(this.own(), number));
        } else {
            core.reserve_timer()?;
            this.timer.set(true);
            core.set_timer(deadline, Timer::Timeout(this.own(), number));
        }
        this.core.set(core);
        return Ok(());
    }
    let callback = this.as_any().getattr(&originals().names._on_timeout)?;
    let now = loop_.call_method0(&originals().names.time)?;
    let handle = if when.is_at_most(&now)? {
        loop_.call_method1(&names().call_soon, &callback)?
    } else {
        loop_.call_method2(&originals().names.call_at, when, &callback)?
    };
    this.handle.set(handle);
    Ok(())
}

/// `Timeout.reschedule`.
fn move_to(this: &Inst<Timeout>, when: &Any) -> Res<()> {
    this.when.set(when.own());
    this.stop_timer()?;
    if when.is_none() {
        return Ok(());
    }
    arm(this, when)
}

/// `async with`: entering and leaving, which never suspend.
#[derive(Debug, Default)]
struct Enter {
    timeout: SlotOf<Timeout>,
}

#[derive(Debug, Default)]
struct Leave {
    timeout: SlotOf<Timeout>,
    exception: Slot,
    class: Slot,
}

static ENTER: Class<Coroutine<Enter>> = Class::new(64);
static LEAVE: Class<Coroutine<Leave>> = Class::new(64);

impl Operation for Enter {
    const CLASS_NAME: &'static CStr = c"aioxide.TimeoutEnter";

    #[inline(always)]
    fn class() -> &'static Class<Coroutine<Self>> {
        &ENTER
    }
    fn name(&self) -> &'static str {
        "__aenter__"
    }
    fn qualname(&self) -> String {
        "Timeout.__aenter__".to_owned()
    }
    #[inline]
    fn start(this: &Inst<Coroutine<Self>>) -> Res<Step> {
        let Some(timeout) = this.timeout.get() else {
            return Ok(Step::Return(value::none()));
        };
        enter(&timeout)?;
        Ok(Step::Return(timeout.into_object()))
    }
    fn resume(_this: &Inst<Coroutine<Self>>, outcome: Outcome) -> Res<Step> {
        outcome.map(Step::Return).map_err(Raised::raise)
    }
    fn traverse(&self, visit: &mut Visit) {
        self.timeout.visit(visit);
    }
    fn clear(&self) {
        self.timeout.clear();
    }
}

impl Operation for Leave {
    const CLASS_NAME: &'static CStr = c"aioxide.TimeoutLeave";

    #[inline(always)]
    fn class() -> &'static Class<Coroutine<Self>> {
        &LEAVE
    }
    fn name(&self) -> &'static str {
        "__aexit__"
    }
    fn qualname(&self) -> String {
        "Timeout.__aexit__".to_owned()
    }
    #[inline]
    fn start(this: &Inst<Coroutine<Self>>) -> Res<Step> {
        let Some(timeout) = this.timeout.get() else {
            return Ok(Step::Return(value::none()));
        };
        let has_class = this.class.is_some();
        leave(&timeout, has_class, this.exception.get())?;
        Ok(Step::Return(value::none()))
    }
    fn resume(_this: &Inst<Coroutine<Self>>, outcome: Outcome) -> Res<Step> {
        outcome.map(Step::Return).map_err(Raised::raise)
    }
    fn traverse(&self, visit: &mut Visit) {
        self.timeout.visit(visit);
        self.exception.visit(visit);
        self.class.visit(visit);
    }
    fn clear(&self) {
        self.timeout.clear();
        self.exception.clear();
        self.class.clear();
    }
}

fn enter(this: &Inst<Timeout>) -> Res<()> {
    if this.state.get() != State::Created {
        return Err(Raised::runtime("Timeout has already been entered"));
    }
    let loop_ = any_loop()?;
    let task = current_task(&loop_)?;
    if task.is_none() {
        return Err(Raised::runtime("Timeout should be used inside a task"));
    }
    this.cancelling.set(current::cancelling(&task)?);
    this.state.set(State::Entered);
    this.task.set(task);
    let when = this.when.get_or_none();
    if when.is_none() {
        return Ok(());
    }
    arm(this, &when)
}

fn leave(this: &Inst<Timeout>, has_class: bool, exception: Option<Object>) -> Res<()> {
    this.stop_timer()?;
    match this.state.get() {
        State::Entered => {
            this.state.set(State::Exited);
            return Ok(());
        }
        State::Expiring => this.state.set(State::Expired),
        _ => return Err(assertion()),
    }
    let Some(task) = this.task.get() else {
        return Ok(());
    };
    let ours = current::uncancel(&task)? <= this.cancelling.get();
    if !ours || !has_class {
        return Ok(());
    }
    let Some(exception) = exception else {
        return Ok(());
    };
    // Only a TimeoutError is raised here; any other exception goes its way by itself.
    let raised = timeout_error(exception.clone())?;
    let error = raised.take();
    if error.is(&exception) {
        return Ok(());
    }
    Err(Raised::raise(error))
}

#[cold]
fn assertion() -> Raised {
    match Kind::Assertion.as_any().call0() {
        Ok(error) => Raised::raise(error),
        Err(raised) => raised,
    }
}

fn init(this: &Inst<Timeout>, args: Args<'_>) -> Res<()> {
    let when = args.one("Timeout.__init__", c"when")?;
    this.stop_timer()?;
    this.state.set(State::Created);
    this.task.clear();
    this.when.set(when.own());
    Ok(())
}

fn when(this: &Inst<Timeout>) -> Res<Object> {
    Ok(this.when.get_or_none())
}

fn reschedule(this: &Inst<Timeout>, args: Args<'_>) -> Res<Object> {
    let when = args.one("Timeout.reschedule", c"when")?;
    match this.state.get() {
        State::Entered => {}
        State::Created => return Err(Raised::runtime("Timeout has not been entered")),
        state => {
            let message = format!("Cannot change state of {} Timeout", state.text());
            return Err(Raised::runtime(&message));
        }
    }
    move_to(this, when)?;
    Ok(value::none())
}

fn expired(this: &Inst<Timeout>) -> Res<Object> {
    Ok(value::bool(matches!(
        this.state.get(),
        State::Expiring | State::Expired
    )))
}

fn repr(this: &Inst<Timeout>) -> Res<Object> {
    let state = this.state.get();
    let mut text = format!("<Timeout [{}]", state.text());
    if state == State::Entered {
        let when = this.when.get_or_none();
        let shown = if when.is_none() {
            "None".to_owned()
        } else {
            originals()
                .round
                .call(&[&when, &*value::int(3)?])?
                .str()?
                .text_lossy()
        };
        text.push_str(" when=");
        text.push_str(&shown);
    }
    text.push('>');
    value::text(&text)
}

fn aenter(this: &Inst<Timeout>) -> Res<Object> {
    Ok(coroutine::create(Enter {
        timeout: SlotOf::new(Some(this.own())),
    })?
    .into_object())
}

const AEXIT: Signature<3> = Signature {
    function: "Timeout.__aexit__",
    parameters: [c"exc_type", c"exc_val", c"exc_tb"],
    positional: 3,
    required: 3,
};

fn aexit(this: &Inst<Timeout>, args: Args<'_>) -> Res<Object> {
    let given =
        |value: Option<&Any>| Slot::new(value.filter(|value| !value.is_none()).map(Any::own));
    let [class, exception, _] = args.bind(&AEXIT)?;
    Ok(coroutine::create(Leave {
        timeout: SlotOf::new(Some(this.own())),
        exception: given(exception),
        class: given(class),
    })?
    .into_object())
}

fn on_timeout(this: &Inst<Timeout>) -> Res<Object> {
    if this.state.get() != State::Entered {
        return Err(assertion());
    }
    this.on_timeout()?;
    Ok(value::none())
}

fn get_state(this: &Inst<Timeout>) -> Res<Object> {
    Ok(originals().timeout_states[this.state.get() as usize].clone())
}

fn get_task(this: &Inst<Timeout>) -> Res<Object> {
    Ok(this.task.get_or_none())
}

fn get_cancelling(this: &Inst<Timeout>) -> Res<Object> {
    value::int(this.cancelling.get())
}

fn get_handle(this: &Inst<Timeout>) -> Res<Object> {
    Ok(match this.handle.get() {
        Some(handle) => handle,
        None if this.armed.get() => this.as_any().own(),
        None => value::none(),
    })
}

fn make(when: Object) -> Res<Own<Timeout>> {
    let state = Timeout {
        when: Slot::new(Some(when)),
        ..Timeout::default()
    };
    match SHELL.try_get() {
        Some(shell) => TIMEOUT.create_as(shell, state),
        None => TIMEOUT.create(state),
    }
}

/// `timeout(delay)`.
pub(super) fn timeout(args: Args<'_>) -> Res<Object> {
    let delay = args.one("timeout", c"delay")?;
    let loop_ = any_loop()?;
    if delay.is_none() {
        return make(value::none()).map(Own::into_object);
    }
    let when = match (as_plain(&loop_), delay.exact_number()) {
        (Some(core), Some(delay)) => value::float(ns_to_seconds(core.now()) + delay)?,
        _ => loop_.call_method0(&originals().names.time)?.add(delay)?,
    };
    make(when).map(Own::into_object)
}

/// `timeout_at(when)`.
pub(super) fn timeout_at(args: Args<'_>) -> Res<Object> {
    let when = args.one("timeout_at", c"when")?;
    make(when.own()).map(Own::into_object)
}

/// `_set_timeout_class(class)`: what `timeout()` makes from now on.
pub(super) fn set_class(args: Args<'_>) -> Res<Object> {
    SHELL.set(args.one("_set_timeout_class", c"class")?.own());
    Ok(value::none())
}

pub(super) fn class() -> &'static Any {
    TIMEOUT.as_any()
}

pub(super) fn build() -> Res<()> {
    coroutine::build::<Enter>(c"The coroutine of Timeout.__aenter__().")?;
    coroutine::build::<Leave>(c"The coroutine of Timeout.__aexit__().")?;
    TIMEOUT.build(object_class(), |b| {
        b.doc(c"The native half of aioxide.Timeout.")
            .init(init)
            .repr(repr)
            .method0(c"when", when, c"when($self, /)\n--\n\nThe deadline, in the loop's time, or None.")
            .method(c"reschedule", reschedule, c"reschedule($self, /, when)\n--\n\nMove the deadline.")
            .method0(c"expired", expired, c"expired($self, /)\n--\n\nWhether the time was over.")
            .coroutine0(c"__aenter__", aenter, c"__aenter__($self, /)\n--\n\nBegin.")
            .coroutine(c"__aexit__", aexit, c"__aexit__($self, /, exc_type, exc_val, exc_tb)\n--\n\nEnd: a cancellation by this timeout becomes TimeoutError.")
            .method0(c"_on_timeout", on_timeout, c"_on_timeout($self, /)\n--\n\nThe time is over: cancel the task.")
            .getter(c"_state", get_state, c"asyncio's state.")
            .getter(c"_when", when, c"The deadline.")
            .getter(c"_task", get_task, c"The task, once it is entered.")
            .getter(c"_cancelling", get_cancelling, c"The task's cancel requests on entering.")
            .getter(c"_timeout_handler", get_handle, c"What will end it, or None.")
    })?;
    Ok(())
}
