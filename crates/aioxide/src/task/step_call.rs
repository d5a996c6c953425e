//! The callable that `loop.call_soon` gets where a step cannot go into our queue directly.

use super::{Task, step};
use crate::ffi::module::names;
use crate::ffi::native_type::object_class;
use crate::ffi::value;
use crate::ffi::{Any, Args, Class, Inst, Native, Object, Own, Raised, Res, Slot, SlotOf, Visit};

/// `aioxide.TaskStep`.
#[derive(Debug, Default)]
pub(crate) struct StepCall {
    task: SlotOf<Task>,
    exception: Slot,
}

static STEP_CALL: Class<StepCall> = Class::new(64);

impl Native for StepCall {
    const NAME: &'static std::ffi::CStr = c"aioxide.TaskStep";
    const SUBCLASSABLE: bool = false;

    #[inline(always)]
    fn class() -> &'static Class<Self> {
        &STEP_CALL
    }
    fn empty() -> Self {
        StepCall::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        self.task.visit(visit);
        self.exception.visit(visit);
    }
    fn clear(&self) {
        self.task.clear();
        self.exception.clear();
    }
}

impl StepCall {
    pub(crate) fn create(task: &Inst<Task>, exception: Option<Object>) -> Res<Object> {
        let state = StepCall {
            task: SlotOf::new(Some(task.own())),
            exception: Slot::new(exception),
        };
        Ok(STEP_CALL.create(state)?.into_object())
    }
}

fn call(this: &Inst<StepCall>, args: Args<'_>) -> Res<Object> {
    if !args.positional.is_empty() || !args.names.is_empty() {
        return Err(Raised::type_error("function takes no arguments"));
    }
    let Some(task) = this.task.get() else {
        return Ok(value::none());
    };
    step::enter_and_step(&task, this.exception.take())?;
    Ok(value::none())
}

fn get_self(this: &Inst<StepCall>) -> Res<Object> {
    Ok(this.task.get().map_or_else(value::none, Own::into_object))
}

fn get_qualname(this: &Inst<StepCall>) -> Res<Object> {
    let coro = this.task.get().map_or_else(value::none, |task| {
        task.coroutine().unwrap_or_else(value::none)
    });
    match coro.getattr_opt(&names().__qualname__)? {
        Some(name) => Ok(name),
        None => coro.class().getattr(&names().__qualname__),
    }
}

fn repr(this: &Inst<StepCall>) -> Res<Object> {
    let task = get_self(this)?;
    value::text(&format!("<TaskStep of {}>", Any::repr_lossy(&task)))
}

pub(super) fn build() -> Res<()> {
    STEP_CALL.build(object_class(), |b| {
        b.not_constructible()
            .call(call)
            .repr(repr)
            .getter(c"__self__", get_self, c"The task.")
            .getter(c"__qualname__", get_qualname, c"The coroutine's name.")
    })?;
    Ok(())
}
