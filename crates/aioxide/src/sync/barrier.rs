//! `Barrier`: a number of tasks that go on together.
//!
//! A condition and a state, as with asyncio, whose waiting tasks are those of `_cond`. A task that
//! waits goes through three phases, each an `await`: it takes the lock, waits while a round
//! before it drains, and waits until its own is full. A class that overrides one of the private
//! parts of `wait()` gets asyncio's own `wait()`, which calls them.

use std::cell::Cell;
use std::ffi::CStr;

use super::gone;
use super::known::{known, new_condition};
use super::loop_bound::{self, Bound, LoopBound};
use super::number::{Number, argument_is_less};
use crate::coroutine::{self, Coroutine, Operation, Outcome, Step};
use crate::ffi::call::Signature;
use crate::ffi::dispatch::Compare;
use crate::ffi::error::Kind;
use crate::ffi::method::{flag, no_delete};
use crate::ffi::module::{Global, names};
use crate::ffi::native_type::object_class;
use crate::ffi::{Any, Args, Class, Inst, Native, Object, Raised, Res, Slot, SlotOf, Visit, value};
use crate::hooks::{Hooked, Hooks, replaced, set_attribute};

/// asyncio's `_BarrierState`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Filling,
    Draining,
    Resetting,
    Broken,
}

const STATES: [State; 4] = [
    State::Filling,
    State::Draining,
    State::Resetting,
    State::Broken,
];

impl State {
    /// The value of the enum's member.
    fn name(self) -> &'static str {
        match self {
            State::Filling => "filling",
            State::Draining => "draining",
            State::Resetting => "resetting",
            State::Broken => "broken",
        }
    }
}

/// The state of a barrier.
#[derive(Debug, Default)]
pub(crate) struct BarrierCore {
    condition: Slot,
    bound: LoopBound,
    hooks: Hooks,
    parties: Number,
    count: Cell<i64>,
    state: Cell<State>,
}

static BARRIER: Class<BarrierCore> = Class::new(0);

impl Native for BarrierCore {
    const NAME: &'static CStr = c"aioxide.BarrierCore";
    const INSTANCE_DICT: bool = true;

    #[inline(always)]
    fn class() -> &'static Class<Self> {
        &BARRIER
    }
    fn empty() -> Self {
        BarrierCore::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        self.condition.visit(visit);
        self.bound.visit(visit);
        self.parties.visit(visit);
    }
    fn clear(&self) {
        self.condition.clear();
        self.bound.clear();
        self.parties.clear();
    }
}

const WAIT: u16 = 1;
const PARTS: u16 = 4 | 8 | 16 | 32;

impl Hooked for BarrierCore {
    fn names() -> &'static [&'static Object] {
        static NAMES: Global<[&'static Object; 6]> = Global::new();
        if NAMES.try_get().is_none() {
            let names = names();
            NAMES.set([
                &names.wait,
                &names._get_loop,
                &names._block,
                &names._release,
                &names._wait,
                &names._exit,
            ]);
        }
        NAMES.get()
    }
    #[inline(always)]
    fn hooks(&self) -> &Hooks {
        &self.hooks
    }
    fn asyncio_class() -> Option<&'static Any> {
        Some(&known().barrier)
    }
}

impl Bound for BarrierCore {
    const GET_LOOP: u16 = 2;

    #[inline(always)]
    fn bound(&self) -> &LoopBound {
        &self.bound
    }
}

fn broken(message: &str) -> Raised {
    Raised::of_class(&known().broken_barrier_error, message)
}

impl BarrierCore {
    fn condition(&self) -> Res<Object> {
        self.condition.get().ok_or_else(gone)
    }

    fn call(&self, method: &CStr) -> Res<Object> {
        let name = value::interned(method)?;
        self.condition()?.call_method0(&name)
    }

    fn notify_all(&self) -> Res<()> {
        self.call(c"notify_all").map(drop)
    }

    /// A task leaves; the last one opens the barrier for the next round.
    fn exit(&self) -> Res<()> {
        self.count.set(self.count.get() - 1);
        if self.count.get() == 0 {
            if matches!(self.state.get(), State::Resetting | State::Draining) {
                self.state.set(State::Filling);
            }
            self.notify_all()?;
        }
        Ok(())
    }
}

/// Which method was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Method {
    #[default]
    Wait,
    Enter,
    Reset,
    Abort,
}

/// What is awaited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// The condition's lock.
    #[default]
    Locking,
    /// The end of the round before.
    Blocked,
    /// The others of this round.
    Filling,
    /// A `wait()` that a derived class has replaced.
    Delegated,
}

/// `Barrier.wait()` and the others.
#[derive(Debug, Default)]
struct Call {
    barrier: SlotOf<BarrierCore>,
    method: Method,
    phase: Cell<Phase>,
    index: Cell<i64>,
}

static CALL: Class<Coroutine<Call>> = Class::new(64);

impl Operation for Call {
    const CLASS_NAME: &'static CStr = c"aioxide.BarrierCall";

    #[inline(always)]
    fn class() -> &'static Class<Coroutine<Self>> {
        &CALL
    }
    fn name(&self) -> &'static str {
        match self.method {
            Method::Wait => "wait",
            Method::Enter => "__aenter__",
            Method::Reset => "reset",
            Method::Abort => "abort",
        }
    }
    fn qualname(&self) -> String {
        format!("Barrier.{}", self.name())
    }
    fn start(this: &Inst<Coroutine<Self>>) -> Res<Step> {
        let barrier = this.barrier.get().ok_or_else(gone)?;
        if this.method == Method::Enter && replaced(&barrier)? & (WAIT | PARTS) != 0 {
            this.phase.set(Phase::Delegated);
            let wait = barrier.as_any().call_method0(&names().wait)?;
            return Ok(Step::Await(wait));
        }
        this.phase.set(Phase::Locking);
        Ok(Step::Await(barrier.call(c"__aenter__")?))
    }
    fn resume(this: &Inst<Coroutine<Self>>, outcome: Outcome) -> Res<Step> {
        let barrier = this.barrier.get().ok_or_else(gone)?;
        let phase = this.phase.get();
        if matches!(phase, Phase::Locking | Phase::Delegated) {
            let result = outcome.map_err(Raised::raise)?;
            if phase == Phase::Delegated {
                return Ok(Step::Return(result));
            }
        } else if let Err(exception) = outcome {
            return Err(this.leave(&barrier, Raised::raise(exception)));
        }
        // The lock is held here, and given back on every way out.
        let next = match this.method {
            Method::Reset => barrier.reset(),
            Method::Abort => {
                barrier.state.set(State::Broken);
                barrier.notify_all().map(|()| Some(value::none()))
            }
            Method::Wait | Method::Enter => this.advance(&barrier),
        };
        match next {
            Ok(None) => match barrier.call(c"wait") {
                Ok(wait) => Ok(Step::Await(wait)),
                Err(raised) => Err(this.leave(&barrier, raised)),
            },
            Ok(Some(result)) => {
                barrier.call(c"release")?;
                Ok(Step::Return(result))
            }
            Err(raised) => Err(this.leave(&barrier, raised)),
        }
    }
    fn traverse(&self, visit: &mut Visit) {
        self.barrier.visit(visit);
    }
    fn clear(&self) {
        self.barrier.clear();
    }
}

impl Call {
    /// From phase to phase, as far as it goes without waiting: the result, or `None` to wait.
    fn advance(&self, barrier: &Inst<BarrierCore>) -> Res<Option<Object>> {
        if self.phase.get() != Phase::Filling {
            self.phase.set(Phase::Blocked);
            match barrier.state.get() {
                State::Draining | State::Resetting => return Ok(None),
                State::Broken => return Err(broken("Barrier aborted")),
                State::Filling => {}
            }
            let index = barrier.count.get();
            self.index.set(index);
            barrier.count.set(index + 1);
            self.phase.set(Phase::Filling);
            if barrier.parties.is(Compare::Equal, index + 1)? {
                barrier.state.set(State::Draining);
                barrier.notify_all()?;
                return self.passed(barrier).map(Some);
            }
        }
        match barrier.state.get() {
            State::Filling => Ok(None),
            State::Draining => self.passed(barrier).map(Some),
            State::Broken | State::Resetting => Err(broken("Abort or reset of barrier")),
        }
    }

    /// The round is full.
    fn passed(&self, barrier: &Inst<BarrierCore>) -> Res<Object> {
        // Whatever comes now, this task is no longer counted.
        self.phase.set(Phase::Locking);
        barrier.exit()?;
        value::int(self.index.get())
    }

    /// Ends with an exception: the task is no longer counted, the lock is given back.
    fn leave(&self, barrier: &Inst<BarrierCore>, raised: Raised) -> Raised {
        let exception = raised.take();
        let mut left = Ok(());
        if self.phase.replace(Phase::Locking) == Phase::Filling {
            left = barrier.exit();
        }
        match left.and_then(|()| barrier.call(c"release")) {
            Ok(_) => Raised::raise(exception),
            Err(raised) => raised,
        }
    }
}

impl BarrierCore {
    fn reset(&self) -> Res<Option<Object>> {
        if self.count.get() > 0 {
            self.state.set(State::Resetting);
        } else {
            self.state.set(State::Filling);
        }
        self.notify_all()?;
        Ok(Some(value::none()))
    }
}

fn create(barrier: &Inst<BarrierCore>, method: Method) -> Res<Object> {
    Ok(coroutine::create(Call {
        barrier: SlotOf::new(Some(barrier.own())),
        method,
        ..Call::default()
    })?
    .into_object())
}

fn wait(this: &Inst<BarrierCore>) -> Res<Object> {
    if replaced(this)? & PARTS != 0 {
        return known().barrier.call_method1(&names().wait, this.as_any());
    }
    create(this, Method::Wait)
}

fn aenter(this: &Inst<BarrierCore>) -> Res<Object> {
    create(this, Method::Enter)
}

fn aexit(_this: &Inst<BarrierCore>, args: Args<'_>) -> Res<Object> {
    if let Some(name) = args.names.first() {
        return Err(Args::unexpected("Barrier.__aexit__", name));
    }
    Ok(coroutine::ready())
}

fn reset(this: &Inst<BarrierCore>) -> Res<Object> {
    create(this, Method::Reset)
}

fn abort(this: &Inst<BarrierCore>) -> Res<Object> {
    create(this, Method::Abort)
}

fn init(this: &Inst<BarrierCore>, args: Args<'_>) -> Res<()> {
    const SIGNATURE: Signature<1> = Signature {
        function: "Barrier.__init__",
        parameters: [c"parties"],
        positional: 1,
        required: 1,
    };
    let [parties] = args.bind(&SIGNATURE)?;
    let parties = parties.ok_or_else(gone)?;
    if argument_is_less(parties, 1)? {
        return Err(Raised::new(Kind::Value, &known().parties_message));
    }
    this.condition.set(new_condition()?);
    this.parties.set(parties);
    this.state.set(State::Filling);
    this.count.set(0);
    Ok(())
}

fn parties(this: &Inst<BarrierCore>) -> Res<Object> {
    this.parties.object()
}

fn assign_parties(this: &Inst<BarrierCore>, value: Option<&Any>) -> Res<()> {
    this.parties.assign(value)
}

fn n_waiting(this: &Inst<BarrierCore>) -> Res<Object> {
    value::int(if this.state.get() == State::Filling {
        this.count.get()
    } else {
        0
    })
}

fn is_broken(this: &Inst<BarrierCore>) -> Res<Object> {
    flag(this.state.get() == State::Broken)
}

fn count(this: &Inst<BarrierCore>) -> Res<Object> {
    value::int(this.count.get())
}

fn assign_count(this: &Inst<BarrierCore>, value: Option<&Any>) -> Res<()> {
    this.count.set(no_delete(value)?.to_i64()?);
    Ok(())
}

fn state(this: &Inst<BarrierCore>) -> Res<Object> {
    Ok(known().barrier_states[this.state.get() as usize].clone())
}

fn assign_state(this: &Inst<BarrierCore>, value: Option<&Any>) -> Res<()> {
    let value = no_delete(value)?;
    for (state, member) in STATES.iter().zip(&known().barrier_states) {
        if value.is(member) {
            this.state.set(*state);
            return Ok(());
        }
    }
    Err(Raised::type_error("a member of _BarrierState is required"))
}

fn condition(this: &Inst<BarrierCore>) -> Res<Object> {
    this.condition()
}

fn assign_condition(this: &Inst<BarrierCore>, value: Option<&Any>) -> Res<()> {
    this.condition.set(no_delete(value)?.own());
    Ok(())
}

fn repr(this: &Inst<BarrierCore>) -> Res<Object> {
    let state = this.state.get();
    let extra = if state == State::Broken {
        state.name().to_owned()
    } else {
        let waiting = n_waiting(this)?.str()?.text_lossy();
        let parties = this.parties.object()?.str()?.text_lossy();
        format!("{}, waiters:{waiting}/{parties}", state.name())
    };
    super::bracketed(this.as_any(), &extra)
}

/// Makes the classes.
pub(super) fn build() -> Res<()> {
    coroutine::build::<Call>(c"A call of one of Barrier's methods: a coroutine.")?;
    BARRIER.build(object_class(), |b| {
        loop_bound::methods(b)
            .doc(c"BarrierCore(parties)\n--\n\nThe native half of aioxide.Barrier.")
            .init(init)
            .set_attribute(set_attribute)
            .repr(repr)
            .coroutine0(
                c"wait",
                wait,
                c"wait($self)\n--\n\nWait until as many tasks do as the barrier asks for. Gives each its own number.",
            )
            .coroutine0(
                c"reset",
                reset,
                c"reset($self)\n--\n\nStart anew. Those that wait get BrokenBarrierError.",
            )
            .coroutine0(
                c"abort",
                abort,
                c"abort($self)\n--\n\nBreak the barrier. Those that wait, and those that come, get BrokenBarrierError.",
            )
            .coroutine0(c"__aenter__", aenter, c"__aenter__($self)\n--\n\nThe same as wait().")
            .coroutine(c"__aexit__", aexit, c"__aexit__($self, *args)\n--\n\nDoes nothing.")
            .getter(c"parties", parties, c"How many tasks it takes.")
            .getter(c"n_waiting", n_waiting, c"How many tasks wait now.")
            .getter(c"broken", is_broken, c"Whether the barrier is broken.")
            .attribute(c"_parties", parties, assign_parties, c"How many tasks it takes.")
            .attribute(c"_count", count, assign_count, c"How many tasks are inside.")
            .attribute(c"_state", state, assign_state, c"A member of _BarrierState.")
            .attribute(
                c"_cond",
                condition,
                assign_condition,
                c"The condition that the tasks wait for.",
            )
    })?;
    Ok(())
}
