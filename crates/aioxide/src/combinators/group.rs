//! The native half of `TaskGroup`: what runs per task.
//!
//! Everything else, entering, leaving, aborting, is asyncio's class, which the Python class derives
//! from: it finds its attributes here, and follows each version of Python by itself.

use std::cell::RefCell;
use std::ffi::CStr;

use super::current::as_plain;
use super::originals::originals;
use super::peer;
use crate::event_loop::{LoopCore, TaskKeywords};
use crate::ffi::method::no_delete;
use crate::ffi::module::{Global, imports};
use crate::ffi::native_type::object_class;
use crate::ffi::{
    Any, Args, Class, Inst, Native, Object, Own, Raised, Res, Slot, Visit, task_mirror, value,
};
use crate::future::{self, Future, FutureLike, State};
use crate::task::{self, Task};

/// `aioxide.TaskGroupCore`. Its fields are asyncio's attributes.
#[derive(Debug, Default)]
pub(crate) struct Group {
    entered: Slot,
    exiting: Slot,
    aborting: Slot,
    loop_: Slot,
    parent_task: Slot,
    tasks: Slot,
    on_completed: Slot,
    /// The tasks that tell us when they are done, by number.
    watched: RefCell<Vec<Option<Own<Task>>>>,
    free: RefCell<Vec<u32>>,
}

static GROUP: Class<Group> = Class::new(0);
static SHELL: Global<Object> = Global::new();
static BASE: Global<Object> = Global::new();

impl Native for Group {
    const NAME: &'static CStr = c"aioxide.TaskGroupCore";

    #[inline(always)]
    fn class() -> &'static Class<Self> {
        &GROUP
    }
    fn empty() -> Self {
        Group::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        for slot in self.slots() {
            slot.visit(visit);
        }
        if let Ok(watched) = self.watched.try_borrow() {
            watched.iter().flatten().for_each(|task| visit.native(task));
        }
    }
    fn clear(&self) {
        for slot in self.slots() {
            slot.clear();
        }
        let watched = self.watched.take();
        drop(watched);
    }
}

impl Group {
    fn slots(&self) -> [&Slot; 7] {
        [
            &self.entered,
            &self.exiting,
            &self.aborting,
            &self.loop_,
            &self.parent_task,
            &self.tasks,
            &self.on_completed,
        ]
    }
}

fn is_set(slot: &Slot) -> Res<bool> {
    slot.get_or_none().is_truthy()
}

/// The loop, if the group is asyncio's in all but these two methods, and takes tasks.
fn ready(this: &Inst<Group>) -> Res<Option<Own<LoopCore>>> {
    if !SHELL
        .try_get()
        .is_some_and(|shell| this.as_any().type_is(shell))
    {
        return Ok(None);
    }
    let Some(core) = as_plain(&this.loop_.get_or_none()) else {
        return Ok(None);
    };
    if core.task_factory().is_some()
        || !is_set(&this.entered)?
        || is_set(&this.aborting)?
        || (is_set(&this.exiting)? && !is_set(&this.tasks)?)
    {
        return Ok(None);
    }
    Ok(Some(core))
}

/// `create_task(coro, *, name=None, context=None)`.
fn create_task(this: &Inst<Group>, args: Args<'_>) -> Res<Object> {
    let keywords = TaskKeywords::of(&args);
    if let (&[coro], false, Some(core)) = (args.positional, keywords.is_eager(), ready(this)?)
        && let Some(new) = keywords.task_of(coro)?
    {
        let task = task::create(&core, &new)?;
        if imports().add_to_awaited_by.is_some() {
            task_mirror::add_awaiter(task.as_any(), &this.parent_task.get_or_none())?;
        }
        this.tasks.get_or_none().set_add(task.as_any())?;
        watch(this, &task)?;
        return Ok(task.into_object());
    }
    let mut all = vec![this.as_any()];
    all.extend(args.positional.iter().chain(args.keywords));
    base()?
        .getattr(&originals().names.create_task)?
        .call_names(&all, &*value::tuple(args.names)?)
}

fn base() -> Res<&'static Object> {
    BASE.try_get()
        .ok_or_else(|| Raised::runtime("aioxide.taskgroups was not imported"))
}

fn watch(this: &Inst<Group>, task: &Own<Task>) -> Res<()> {
    let free = this.free.borrow_mut().pop();
    let number = if let Some(number) = free {
        this.watched.borrow_mut()[number as usize] = Some(task.clone());
        number
    } else {
        let mut watched = this.watched.borrow_mut();
        watched.push(Some(task.clone()));
        u32::try_from(watched.len() - 1).unwrap_or(u32::MAX)
    };
    future::add_member(task, this.own(), number)
}

impl Inst<Group> {
    /// The task known by this number is done.
    pub(crate) fn notice(&self, number: u32) -> Res<()> {
        let task = self
            .watched
            .borrow_mut()
            .get_mut(number as usize)
            .and_then(Option::take);
        let Some(task) = task else {
            return Ok(());
        };
        self.free.borrow_mut().push(number);
        task_done(self, task.as_any())
    }

    /// What asyncio has among the callbacks of a member.
    pub(crate) fn done_method(&self) -> Res<Object> {
        self.as_any().getattr(&originals().names._on_task_done)
    }
}

/// `_on_task_done(task)`: here if the task has a result, else by asyncio.
fn task_done(this: &Inst<Group>, task: &Any) -> Res<()> {
    let has_result = task
        .as_exact::<Task>()
        .is_some_and(|task| task.future().state() == State::Result);
    if !has_result {
        return base()?
            .getattr(&originals().names._on_task_done)?
            .call(&[this.as_any(), task])
            .map(drop);
    }
    let tasks = this.tasks.get_or_none();
    tasks.set_discard(task)?;
    if imports().discard_from_awaited_by.is_some() {
        task_mirror::discard_awaiter(task, &this.parent_task.get_or_none())?;
    }
    let completed = this.on_completed.get_or_none();
    if completed.is_none() || tasks.is_truthy()? {
        return Ok(());
    }
    match completed.as_exact::<Future>() {
        Some(future) if future.future().is_pending() => future::resolve(future, value::bool(true)),
        Some(_) => Ok(()),
        None if peer::is_done(&completed)? => Ok(()),
        None => completed
            .call_method1(&crate::ffi::module::names().set_result, &value::bool(true))
            .map(drop),
    }
}

fn on_task_done(this: &Inst<Group>, task: &Any) -> Res<Object> {
    let mine = this
        .watched
        .borrow()
        .iter()
        .position(|each| each.as_ref().is_some_and(|each| each.as_any().is(task)));
    match mine.and_then(|number| u32::try_from(number).ok()) {
        Some(number) => this.notice(number)?,
        None => task_done(this, task)?,
    }
    Ok(value::none())
}

macro_rules! attributes {
    ($builder:expr; $($name:literal $slot:ident),* $(,)?) => {
        $builder$(.attribute(
            $name,
            |this: &Inst<Group>| Ok(this.$slot.get_or_none()),
            |this: &Inst<Group>, value: Option<&Any>| {
                this.$slot.set(no_delete(value)?.own());
                Ok(())
            },
            c"asyncio's attribute.",
        ))*
    };
}

/// `_set_task_group_class(class, base)`: the class that is asyncio's in all but what is here.
pub(super) fn set_class(args: Args<'_>) -> Res<Object> {
    let &[class, base] = args.positional else {
        return Err(Raised::type_error(
            "_set_task_group_class() takes a class and its base",
        ));
    };
    SHELL.set(class.own());
    BASE.set(base.own());
    Ok(value::none())
}

pub(super) fn class() -> &'static Any {
    GROUP.as_any()
}

pub(super) fn build() -> Res<()> {
    let create_task_doc = if imports().version >= (3, 14) {
        c"create_task($self, coro, **kwargs)\n--\n\nCreate a task in the group."
    } else {
        c"create_task($self, coro, *, name=None, context=None)\n--\n\nCreate a task in the group."
    };
    GROUP.build(object_class(), |b| {
        let b = b
            .doc(c"The native half of aioxide.TaskGroup.")
            .python_method(c"create_task", create_task, create_task_doc)
            .method1(
                c"_on_task_done",
                on_task_done,
                c"_on_task_done($self, task, /)\n--\n\nA task of the group is done.",
            );
        attributes!(
            b;
            c"_entered" entered,
            c"_exiting" exiting,
            c"_aborting" aborting,
            c"_loop" loop_,
            c"_parent_task" parent_task,
            c"_tasks" tasks,
            c"_on_completed_fut" on_completed,
        )
    })?;
    Ok(())
}
