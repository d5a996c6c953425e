//! The futures that wait for something, in the order they came.
//!
//! They lie in Rust until Python looks: `lock._waiters` moves them into a `collections.deque`, which
//! is from then on the only place, so that both sides see what the other does. Most objects never
//! have a waiter: then there is no container either.

use std::cell::Cell;
use std::collections::VecDeque;

use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Object, Res, Visit, value};
use crate::future::Waiter;

#[derive(Debug, Default)]
enum Place {
    #[default]
    Nowhere,
    #[allow(clippy::box_collection, reason = "most objects have none: one word")]
    Native(Box<VecDeque<Waiter>>),
    Python(Object),
}

/// A queue of waiters.
#[derive(Default)]
pub(super) struct Waiters(Cell<Place>);

impl std::fmt::Debug for Waiters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waiters")
    }
}

impl Waiters {
    /// Those in a Python deque, or whatever somebody has put in its place.
    pub(super) fn of(deque: &Any) -> Waiters {
        Waiters(Cell::new(Place::Python(deque.own())))
    }

    /// Looks at the place. Nothing in `look` may run Python.
    #[inline]
    fn peek<R>(&self, look: impl FnOnce(&mut Place) -> R) -> R {
        let mut place = self.0.take();
        let result = look(&mut place);
        self.0.set(place);
        result
    }

    /// The Python container, if the waiters are in one.
    #[inline]
    fn python(&self) -> Option<Object> {
        self.peek(|place| match place {
            Place::Python(container) => Some(container.clone()),
            _ => None,
        })
    }

    /// Nothing has ever waited (asyncio's locks say `None` then).
    pub(super) fn is_absent(&self) -> bool {
        self.peek(|place| matches!(place, Place::Nowhere))
    }

    #[inline]
    pub(super) fn push(&self, waiter: &Waiter) -> Res<()> {
        let pushed: Res<Option<Object>> = self.peek(|place| {
            match place {
                Place::Nowhere => {
                    *place = Place::Native(Box::new(VecDeque::from([waiter.clone()])));
                }
                Place::Native(queue) => {
                    queue.try_reserve(1)?;
                    queue.push_back(waiter.clone());
                }
                Place::Python(container) => return Ok(Some(container.clone())),
            }
            Ok(None)
        });
        match pushed? {
            None => Ok(()),
            Some(container) => container
                .call_method1(&names().append, &waiter.object())
                .map(drop),
        }
    }

    /// Takes this waiter out, wherever it stands. A Python container without it raises ValueError.
    #[inline]
    pub(super) fn remove(&self, waiter: &Waiter) -> Res<()> {
        let object = waiter.object();
        let container = self.peek(|place| match place {
            Place::Nowhere => Err(None),
            Place::Native(queue) => {
                // Those that are woken leave in their order: it is nearly always the first.
                let found = queue.iter().position(|other| other.is(&object));
                Err(found.and_then(|index| queue.remove(index)))
            }
            Place::Python(container) => Ok(container.clone()),
        });
        match container {
            Ok(container) => container.call_method1(&names().remove, &object).map(drop),
            Err(removed) => {
                drop(removed);
                Ok(())
            }
        }
    }

    /// Takes the first one out.
    #[inline]
    pub(super) fn pop_first(&self) -> Res<Option<Waiter>> {
        let popped = self.peek(|place| match place {
            Place::Nowhere => Ok(None),
            Place::Native(queue) => Ok(queue.pop_front()),
            Place::Python(container) => Err(container.clone()),
        });
        match popped {
            Ok(waiter) => Ok(waiter),
            Err(container) if container.is_truthy()? => {
                let first = container.call_method0(&names().popleft)?;
                Ok(Some(Waiter::of(first)))
            }
            Err(_) => Ok(None),
        }
    }

    /// The one at a place in the queue.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Res<Option<Waiter>> {
        let found = self.peek(|place| match place {
            Place::Nowhere => Ok(None),
            Place::Native(queue) => Ok(queue.get(index).cloned()),
            Place::Python(container) => Err(container.clone()),
        });
        match found {
            Ok(waiter) => Ok(waiter),
            Err(container) if container.is_none() || index >= container.length()? => Ok(None),
            Err(container) => {
                let item = container.item(isize::try_from(index).unwrap_or(isize::MAX))?;
                Ok(Some(Waiter::of(item)))
            }
        }
    }

    /// The first that is not done.
    #[inline]
    pub(super) fn first_pending(&self) -> Res<Option<Waiter>> {
        let mut index = 0;
        while let Some(waiter) = self.get(index)? {
            if !waiter.is_done()? {
                return Ok(Some(waiter));
            }
            index += 1;
        }
        Ok(None)
    }

    /// Whether one of them is not cancelled.
    #[inline]
    pub(super) fn any_live(&self) -> Res<bool> {
        let mut index = 0;
        while let Some(waiter) = self.get(index)? {
            if !waiter.is_cancelled()? {
                return Ok(true);
            }
            index += 1;
        }
        Ok(false)
    }

    pub(super) fn len(&self) -> Res<usize> {
        let length = self.peek(|place| match place {
            Place::Nowhere => Ok(0),
            Place::Native(queue) => Ok(queue.len()),
            Place::Python(container) => Err(container.clone()),
        });
        match length {
            Ok(length) => Ok(length),
            Err(container) if container.is_none() => Ok(0),
            Err(container) => container.length(),
        }
    }

    /// `, waiters:3`, or nothing.
    pub(super) fn described(&self) -> Res<String> {
        Ok(match self.len()? {
            0 => String::new(),
            count => format!(", waiters:{count}"),
        })
    }

    /// The waiters for Python, which from now on holds them.
    pub(super) fn show(&self) -> Res<Object> {
        if let Some(container) = self.python() {
            return Ok(container);
        }
        let objects: Vec<Object> = self.peek(|place| match place {
            Place::Native(queue) => queue.iter().map(Waiter::object).collect(),
            _ => Vec::new(),
        });
        let deque = imports().deque.call1(&*value::list(&objects)?)?;
        drop(self.0.replace(Place::Python(deque.clone())));
        Ok(deque)
    }

    /// As [`show`](Self::show), `None` if nothing has ever waited.
    pub(super) fn show_or_none(&self) -> Res<Object> {
        if self.is_absent() {
            return Ok(value::none());
        }
        self.show()
    }

    /// The attribute set from Python.
    pub(super) fn assign(&self, container: Option<&Any>) -> Res<()> {
        let container = crate::ffi::method::no_delete(container)?;
        let place = if container.is_none() {
            Place::Nowhere
        } else {
            Place::Python(container.own())
        };
        drop(self.0.replace(place));
        Ok(())
    }

    pub(super) fn visit(&self, visit: &mut Visit) {
        self.peek(|place| match place {
            Place::Nowhere => {}
            Place::Native(queue) => queue.iter().for_each(|waiter| waiter.visit(visit)),
            Place::Python(container) => visit.object(container),
        });
    }

    pub(super) fn clear(&self) {
        drop(self.0.take());
    }
}

/// The waiter of one coroutine.
#[derive(Default)]
pub(super) struct WaiterSlot(Cell<Option<Waiter>>);

impl std::fmt::Debug for WaiterSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WaiterSlot")
    }
}

impl WaiterSlot {
    #[inline]
    pub(super) fn set(&self, waiter: Waiter) {
        drop(self.0.replace(Some(waiter)));
    }

    #[inline]
    pub(super) fn take(&self) -> Option<Waiter> {
        self.0.take()
    }

    pub(super) fn visit(&self, visit: &mut Visit) {
        let waiter = self.0.take();
        if let Some(waiter) = &waiter {
            waiter.visit(visit);
        }
        self.0.set(waiter);
    }

    pub(super) fn clear(&self) {
        drop(self.0.take());
    }
}
