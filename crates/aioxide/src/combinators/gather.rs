//! `gather()`: one future for the results of many.
//!
//! Native where the loop is ours and plain and everything given is one of our futures on it, or a
//! coroutine. Anything else is asyncio's own function's, which then meets nothing half done.

use std::cell::Cell;
use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::hash::{BuildHasherDefault, Hasher};

use super::current::{awaiter, plain_loop};
use super::gathering::Gathering;
use super::observer::{Observer, Watch};
use super::originals::originals;
use super::peer::{self, Ending, Known};
use super::spawn::{is_coroutine, spawn};
use crate::event_loop::LoopCore;
use crate::ffi::module::imports;
use crate::ffi::{Any, Args, Inst, Object, Res, Slot, SlotOf, Visit, task_mirror, value};
use crate::future::{self, FutureLike, LoopSlot};
use crate::task::Task;

/// What the children's observer knows.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    outer: SlotOf<Gathering>,
    children: Slot,
    /// The task that called, for the call graph (3.14 and later).
    awaiter: Slot,
    return_exceptions: bool,
    /// How many futures are not done.
    left: Cell<u32>,
}

impl Gather {
    pub(super) fn traverse(&self, visit: &mut Visit) {
        self.outer.visit(visit);
        self.children.visit(visit);
        self.awaiter.visit(visit);
    }

    pub(super) fn clear(&self) {
        self.outer.clear();
        self.children.clear();
        self.awaiter.clear();
    }

    pub(super) fn number_of(&self, future: &Any) -> Option<u32> {
        let children = self.children.get()?.list_items();
        let found = children.iter().position(|child| child.is(future))?;
        u32::try_from(found).ok()
    }

    /// A child is done.
    #[inline]
    pub(super) fn notice(&self, number: u32) -> Res<()> {
        self.left.set(self.left.get().saturating_sub(1));
        let Some(child) = self
            .children
            .get()
            .and_then(|children| children.list_get(number as usize))
        else {
            return Ok(());
        };
        if let Some(awaiter) = self.awaiter.get() {
            task_mirror::discard_awaiter(&child, &awaiter)?;
        }
        let outer = self.outer.get().filter(|outer| outer.future().is_pending());
        let Some(outer) = outer else {
            // Its exception counts as retrieved.
            return peer::ending(&child).map(drop);
        };
        if !self.return_exceptions {
            let error = match peer::ending(&child)? {
                Ending::Cancelled => Some(peer::cancelled_error(&child)?),
                Ending::Failed(exception) => Some(exception),
                Ending::Result(_) => None,
            };
            if let Some(error) = error {
                future::fail(&outer, &error)?;
                return self.let_go();
            }
        }
        if self.left.get() == 0 {
            return self.finish(&outer);
        }
        Ok(())
    }

    /// All are done: the results, or the cancellation that was asked for.
    fn finish(&self, outer: &Inst<Gathering>) -> Res<()> {
        let Some(children) = self.children.get() else {
            return Ok(());
        };
        let results = value::list_with(children.list_length(), |index| {
            let Some(child) = children.list_get(index) else {
                return Ok(value::none());
            };
            Ok(match peer::ending(&child)? {
                Ending::Result(result) => result,
                Ending::Failed(exception) => exception,
                Ending::Cancelled => {
                    let message = peer::cancel_message(&child)?;
                    let text = if message.is_none() {
                        value::text("")?
                    } else {
                        message
                    };
                    imports().cancelled_error.call1(&text)?
                }
            })
        })?;
        if outer.is_cancel_requested() {
            // asyncio's message is that of the last child.
            let last = children.list_length().saturating_sub(1);
            let Some(last) = children.list_get(last) else {
                return Ok(());
            };
            return future::fail(outer, &*peer::cancelled_error(&last)?);
        }
        future::resolve(outer, results)
    }

    /// Children that outlive the outer future have nobody who awaits them.
    fn let_go(&self) -> Res<()> {
        if originals()._discard_awaited_by.is_none() {
            return Ok(());
        }
        let (Some(children), Some(awaiter)) = (self.children.get(), self.awaiter.get()) else {
            return Ok(());
        };
        for child in children.list_items() {
            task_mirror::discard_awaiter(&child, &awaiter)?;
        }
        Ok(())
    }
}

/// Addresses are spread by one multiplication.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }
    #[inline]
    fn write_usize(&mut self, address: usize) {
        let mixed = ((address as u64) >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

type FirstPlaces = HashMap<usize, usize, BuildHasherDefault<AddressHasher>>;

/// Whether each is one of our futures on this loop, or a coroutine.
fn all_known(core: &Inst<LoopCore>, awaitables: &[&Any]) -> bool {
    awaitables
        .iter()
        .all(|awaitable| match Known::of(awaitable) {
            Some(known) => known.is_on(core),
            None => is_coroutine(awaitable),
        })
}

/// `gather(*coros_or_futures, return_exceptions=False)`.
pub(super) fn gather(args: Args<'_>) -> Res<Object> {
    let mut return_exceptions = false;
    for (name, value) in args.names.iter().zip(args.keywords) {
        if !name.is_text(c"return_exceptions") {
            return Err(Args::unexpected("gather", name));
        }
        return_exceptions = value.is_truthy()?;
    }
    if !args.positional.is_empty()
        && let Some(core) = plain_loop()?
        && all_known(&core, args.positional)
    {
        return gather_natively(&core, args.positional, return_exceptions);
    }
    let mut all = args.positional.to_vec();
    all.extend(args.keywords);
    originals()
        .gather
        .call_names(&all, &*value::tuple(args.names)?)
}

fn gather_natively(
    core: &Inst<LoopCore>,
    awaitables: &[&Any],
    return_exceptions: bool,
) -> Res<Object> {
    let waiting = awaiter(core.as_any())?;
    let observer = Observer::create(Watch::Gather(Gather {
        awaiter: Slot::new(waiting.clone()),
        return_exceptions,
        ..Gather::default()
    }))?;
    let Watch::Gather(gather) = observer.watch() else {
        return Ok(value::none());
    };
    let mut first_places = FirstPlaces::with_capacity_and_hasher(
        if awaitables.len() > 1 {
            awaitables.len()
        } else {
            0
        },
        BuildHasherDefault::default(),
    );
    let mut done = Vec::new();
    let children = value::list(&[])?;
    gather.children.set(children.clone());
    for (index, awaitable) in awaitables.iter().enumerate() {
        if awaitables.len() > 1 {
            match first_places.entry(awaitable.address()) {
                Place::Occupied(place) => {
                    if let Some(child) = children.list_get(*place.get()) {
                        children.list_append(&child)?;
                    }
                    continue;
                }
                Place::Vacant(place) => {
                    place.insert(index);
                }
            }
        }
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        let child = match Known::of(awaitable) {
            Some(_) => awaitable.own(),
            None => spawn_quietly(core, awaitable)?,
        };
        children.list_append(&child)?;
        gather.left.set(gather.left.get() + 1);
        if imports().version >= (3, 12) && peer::is_done(&child)? {
            done.push(number);
            continue;
        }
        if let Some(waiting) = &waiting {
            task_mirror::add_awaiter(&child, waiting)?;
        }
        peer::observe(&child, &observer, number)?;
    }
    let outer = Gathering::create(LoopSlot::native(core), children)?;
    gather.outer.set(outer.clone());
    for number in done {
        gather.notice(number)?;
    }
    Ok(outer.into_object())
}

/// A task that nobody else can wait for: that it is destroyed while pending is not reported.
#[inline]
fn spawn_quietly(core: &Inst<LoopCore>, awaitable: &Any) -> Res<Object> {
    let child = spawn(core, awaitable)?;
    match child.as_exact::<Task>() {
        Some(task) => task.never_report_destroyed(),
        None => child.setattr(
            &crate::ffi::module::names()._log_destroy_pending,
            &value::bool(false),
        )?,
    }
    Ok(child)
}
