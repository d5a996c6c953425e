//! What happens when a future is done.

use std::cell::Cell;

use crate::combinators::{Group, Observer};
use crate::ffi::{Any, Inst, Object, Own, Res, Visit, context};
use crate::stream::StreamProtocol;
use crate::task::Task;

/// One thing to do when the future is done.
#[derive(Debug)]
pub(crate) enum Callback {
    /// Resume this task, which awaits the future.
    Wake(Own<Task>),
    /// `call_soon(function, future, context=context)`.
    Call(Object, Object),
    /// Tell one of our functions, which knows the future by this number.
    Observe(Own<Observer>, u32),
    /// Tell the task group, which knows the task by this number.
    Member(Own<Group>, u32),
    /// Call the protocol's `_served` in the context of the future, which is a task.
    Served(Own<StreamProtocol>),
}

/// The callbacks behind the first one; one word in each future, not three.
#[allow(clippy::box_collection, reason = "see above")]
pub(crate) type Rest = Option<Box<Vec<Callback>>>;

/// Callbacks in the order they were added: the first inline, since there is seldom a second.
#[derive(Default)]
pub(crate) struct Callbacks {
    first: Cell<Option<Callback>>,
    rest: Cell<Rest>,
}

impl std::fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Callbacks")
    }
}

impl Callbacks {
    #[inline]
    pub(crate) fn push(&self, callback: Callback) -> Res<()> {
        match self.first.take() {
            None => self.first.set(Some(callback)),
            Some(first) => {
                self.first.set(Some(first));
                let mut rest = self.rest.take().unwrap_or_default();
                let room = rest.try_reserve(1);
                if room.is_ok() {
                    rest.push(callback);
                }
                self.rest.set(Some(rest));
                room?;
            }
        }
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn take_first(&self) -> Option<Callback> {
        self.first.take()
    }

    #[inline(always)]
    pub(crate) fn take_rest(&self) -> Rest {
        self.rest.take()
    }

    pub(crate) fn clear(&self) {
        drop((self.first.take(), self.rest.take()));
    }

    /// Shows each callback to `look`, which must not run Python.
    fn peek(&self, mut look: impl FnMut(&Callback)) {
        let first = self.first.take();
        if let Some(callback) = &first {
            look(callback);
        }
        self.first.set(first);
        let rest = self.rest.take();
        rest.iter().flat_map(|rest| rest.iter()).for_each(look);
        self.rest.set(rest);
    }

    pub(crate) fn traverse(&self, visit: &mut Visit) {
        self.peek(|callback| match callback {
            Callback::Wake(task) => visit.native(task),
            Callback::Call(function, context) => {
                visit.object(function);
                visit.object(context);
            }
            Callback::Observe(observer, _) => visit.native(observer),
            Callback::Member(group, _) => visit.native(group),
            Callback::Served(protocol) => visit.native(protocol),
        });
    }

    /// `(function, context)` of each, for Python's `_callbacks`.
    pub(crate) fn snapshot(&self) -> Res<Vec<(Object, Object)>> {
        let mut owned = Vec::new();
        self.peek(|callback| {
            owned.push(match callback {
                Callback::Wake(task) => Callback::Wake(task.clone()),
                Callback::Call(function, context) => {
                    Callback::Call(function.clone(), context.clone())
                }
                Callback::Observe(observer, number) => Callback::Observe(observer.clone(), *number),
                Callback::Member(group, number) => Callback::Member(group.clone(), *number),
                Callback::Served(protocol) => Callback::Served(protocol.clone()),
            });
        });
        owned
            .into_iter()
            .map(|callback| match callback {
                Callback::Wake(task) => Ok((task.wakeup_method()?, task.context())),
                Callback::Call(function, context) => Ok((function, context)),
                Callback::Observe(observer, _) => {
                    Ok((observer.into_object(), context::copy_current()?))
                }
                Callback::Member(group, _) => Ok((group.done_method()?, context::copy_current()?)),
                Callback::Served(protocol) => {
                    Ok((protocol.served_method()?, context::copy_current()?))
                }
            })
            .collect()
    }

    /// Removes what tells this observer.
    pub(crate) fn remove_observer(&self, observer: &Inst<Observer>) {
        let is_it = |callback: &Callback| match callback {
            Callback::Observe(other, _) => other.as_any().is(observer.as_any()),
            _ => false,
        };
        let mut removed = Vec::new();
        let mut first = self.first.take();
        let mut rest = self.rest.take();
        if let Some(rest) = &mut rest {
            removed.extend(rest.extract_if(.., |callback| is_it(callback)));
        }
        if first.as_ref().is_some_and(is_it) {
            removed.extend(first.take());
            if let Some(rest) = &mut rest
                && !rest.is_empty()
            {
                first = Some(rest.remove(0));
            }
        }
        self.first.set(first);
        self.rest.set(rest.filter(|rest| !rest.is_empty()));
        drop(removed);
    }

    /// Removes every callback that equals `function`; gives how many.
    ///
    /// The comparison may run Python, which may add callbacks: those stay, behind the others.
    pub(crate) fn remove(&self, function: &Any) -> Res<usize> {
        let mut old: Vec<Callback> = self.first.take().into_iter().collect();
        old.extend(self.rest.take().into_iter().flat_map(|rest| *rest));
        let mut kept = Vec::with_capacity(old.len());
        let mut removed = Vec::new();
        let mut failed = None;
        for callback in old {
            let equal = match (&failed, &callback) {
                (Some(_), _) => Ok(false),
                (None, Callback::Wake(task)) => task.is_wakeup_method(function),
                (None, Callback::Observe(observer, _)) => Ok(observer.as_any().is(function)),
                (None, Callback::Member(group, _)) => group
                    .done_method()
                    .and_then(|method| method.equals(function)),
                (None, Callback::Served(protocol)) => protocol
                    .served_method()
                    .and_then(|method| method.equals(function)),
                (None, Callback::Call(other, _)) => {
                    if other.is(function) {
                        Ok(true)
                    } else {
                        other.equals(function)
                    }
                }
            };
            match equal {
                Ok(true) => removed.push(callback),
                Ok(false) => kept.push(callback),
                Err(raised) => {
                    failed = Some(raised);
                    kept.push(callback);
                }
            }
        }
        kept.extend(self.first.take());
        kept.extend(self.rest.take().into_iter().flat_map(|rest| *rest));
        let mut kept = kept.into_iter();
        self.first.set(kept.next());
        let rest: Vec<Callback> = kept.collect();
        self.rest.set((!rest.is_empty()).then(|| Box::new(rest)));
        match failed {
            Some(raised) => Err(raised),
            None => Ok(removed.len()),
        }
    }
}
