//! What a queue holds.
//!
//! Items lie in Rust until somebody looks at `_queue`, or puts something there, as a derived
//! class's `_init` does: from then on that object holds them. A heap is a Python list from its first
//! item on, since it is ordered by Python's own `heapq`.

use std::cell::RefCell;
use std::collections::VecDeque;

use super::super::known::known;
use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Object, Raised, Res, Visit, value};

/// The order in which items come out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    #[default]
    Fifo,
    Lifo,
    Priority,
}

/// After a burst, this much room is kept.
const KEEP: usize = 512;

#[derive(Debug)]
enum Place {
    /// A derived class's `_init` has made nothing.
    Nowhere,
    Native(VecDeque<Object>),
    Python(Object),
}

impl Default for Place {
    fn default() -> Self {
        Place::Native(VecDeque::new())
    }
}

/// What one operation on the native place has come to.
enum Done<R> {
    Native(R),
    Python(Object),
}

/// The items.
#[derive(Debug, Default)]
pub(super) struct Items(RefCell<Place>);

impl Items {
    /// Looks at the native items; gives the Python container if they are there. Nothing in `look`
    /// may run Python.
    #[inline]
    fn with<R>(&self, look: impl FnOnce(&mut VecDeque<Object>) -> R) -> Res<Done<R>> {
        match &mut *self.0.borrow_mut() {
            Place::Native(items) => Ok(Done::Native(look(items))),
            Place::Python(container) => Ok(Done::Python(container.clone())),
            Place::Nowhere => Err(missing()),
        }
    }

    fn replace(&self, place: Place) {
        let old = self.0.replace(place);
        drop(old);
    }

    /// Empty, in Rust.
    pub(super) fn reset(&self) {
        self.replace(Place::default());
    }

    /// Nothing at all, until `_init` makes something.
    pub(super) fn forget(&self) {
        self.replace(Place::Nowhere);
    }

    #[inline]
    pub(super) fn len(&self) -> Res<usize> {
        match self.with(|items| items.len())? {
            Done::Native(length) => Ok(length),
            Done::Python(container) => container.length(),
        }
    }

    /// `not self._queue`.
    #[inline]
    pub(super) fn is_empty(&self) -> Res<bool> {
        match self.with(|items| items.is_empty())? {
            Done::Native(empty) => Ok(empty),
            Done::Python(container) => Ok(!container.is_truthy()?),
        }
    }

    #[inline]
    pub(super) fn put(&self, order: Order, item: &Any) -> Res<()> {
        if order == Order::Priority {
            return known()
                .heappush
                .call(&[&*self.container(order)?, item])
                .map(drop);
        }
        let put = self.with(|items| {
            items.try_reserve(1)?;
            items.push_back(item.own());
            Ok(())
        })?;
        match put {
            Done::Native(done) => done,
            Done::Python(container) => container.call_method1(&names().append, item).map(drop),
        }
    }

    #[inline]
    pub(super) fn get(&self, order: Order) -> Res<Object> {
        let taken = match order {
            Order::Priority => return known().heappop.call1(&*self.container(order)?),
            Order::Fifo => self.with(VecDeque::pop_front)?,
            Order::Lifo => self.with(VecDeque::pop_back)?,
        };
        match (taken, order) {
            (Done::Native(Some(item)), _) => Ok(item),
            // As asyncio's: `_get()` is not called for an empty queue.
            (Done::Native(None), Order::Fifo) => {
                self.container(order)?.call_method0(&names().popleft)
            }
            (Done::Native(None), _) => self.container(order)?.call_method0(&names().pop),
            (Done::Python(container), Order::Fifo) => container.call_method0(&names().popleft),
            (Done::Python(container), _) => container.call_method0(&names().pop),
        }
    }

    /// The next item, or `None` if there is none: what `empty()` and `_get()` do, in one go.
    #[inline]
    pub(super) fn take(&self, order: Order) -> Res<Option<Object>> {
        if let Place::Native(items) = &mut *self.0.borrow_mut() {
            let item = match order {
                Order::Fifo => items.pop_front(),
                // A heap has left for Python with its first item.
                Order::Lifo | Order::Priority => items.pop_back(),
            };
            if items.is_empty() && items.capacity() > KEEP {
                items.shrink_to(KEEP);
            }
            return Ok(item);
        }
        if self.is_empty()? {
            return Ok(None);
        }
        self.get(order).map(Some)
    }

    /// The items for Python, which from now on holds them.
    pub(super) fn container(&self, order: Order) -> Res<Object> {
        let items: Vec<Object> = match self.with(|items| items.iter().cloned().collect())? {
            Done::Native(items) => items,
            Done::Python(container) => return Ok(container),
        };
        let mut container = value::list(&items)?;
        if order == Order::Fifo {
            container = imports().deque.call1(&container)?;
        }
        self.replace(Place::Python(container.clone()));
        Ok(container)
    }

    /// `list(self._queue)`; `None` if there is nothing to show.
    pub(super) fn listed(&self) -> Res<Option<Object>> {
        let items = match &*self.0.borrow() {
            Place::Nowhere => return Ok(None),
            Place::Native(items) => Ok(items.iter().cloned().collect::<Vec<_>>()),
            Place::Python(container) => Err(container.clone()),
        };
        match items {
            Ok(items) if items.is_empty() => Ok(None),
            Ok(items) => value::list(&items).map(Some),
            Err(container) if container.is_truthy()? => value::list_of(&container).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// `_queue` set from Python.
    pub(super) fn assign(&self, container: Option<&Any>) {
        self.replace(match container {
            Some(container) => Place::Python(container.own()),
            None => Place::Nowhere,
        });
    }

    pub(super) fn visit(&self, visit: &mut Visit) {
        // A borrow that is under way: the collector sees fewer references, and frees nothing.
        let Ok(place) = self.0.try_borrow() else {
            return;
        };
        match &*place {
            Place::Nowhere => {}
            Place::Native(items) => items.iter().for_each(|item| visit.object(item)),
            Place::Python(container) => visit.object(container),
        }
    }

    pub(super) fn clear(&self) {
        self.reset();
    }
}

#[cold]
fn missing() -> Raised {
    Raised::new(
        crate::ffi::error::Kind::Attribute,
        "the queue has no attribute '_queue'",
    )
}
