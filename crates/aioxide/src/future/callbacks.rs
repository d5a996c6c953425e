//! What happens when a future is done.

use std::cell::Cell;

use crate::ffi::{Any, Object, Own, Res, Visit};
use crate::task::Task;

/// One thing to do when the future is done.
#[derive(Debug)]
pub(crate) enum Callback {
    /// Resume this task, which awaits the future.
    Wake(Own<Task>),
    /// `call_soon(function, future, context=context)`.
    Call(Object, Object),
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
    pub(crate) fn push(&self, callback: Callback) {
        match self.first.take() {
            None => self.first.set(Some(callback)),
            Some(first) => {
                self.first.set(Some(first));
                let mut rest = self.rest.take().unwrap_or_default();
                rest.push(callback);
                self.rest.set(Some(rest));
            }
        }
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
            });
        });
        owned
            .into_iter()
            .map(|callback| match callback {
                Callback::Wake(task) => Ok((task.wakeup_method()?, task.context())),
                Callback::Call(function, context) => Ok((function, context)),
            })
            .collect()
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
