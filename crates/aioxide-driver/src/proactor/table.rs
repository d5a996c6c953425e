//! The operations that have not been completed, each at a place that does not move.

use crate::op::Op;

/// Which operation. Never used for two of them: a place that is used again counts up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id {
    index: u32,
    generation: u32,
}

impl Id {
    /// As the kernel carries it.
    pub(super) fn key(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "the two halves of a number"
    )]
    pub(super) fn of_key(key: u64) -> Id {
        Id {
            index: key as u32,
            generation: (key >> 32) as u32,
        }
    }

    /// The place in the table, for a table of the caller's beside it.
    pub fn index(self) -> usize {
        self.index as usize
    }
}

/// One operation.
#[derive(Debug)]
pub(super) struct Slot<M> {
    pub(super) op: Op<M>,
    /// The engine has it.
    pub(super) started: bool,
    /// Cancelled before it was started.
    pub(super) cancelled: bool,
    /// It was not made: this is what it completes with.
    pub(super) errno: Option<i32>,
    /// The engine could not take it.
    pub(super) refused: bool,
}

#[derive(Debug)]
struct Place<M> {
    generation: u32,
    /// Boxed: the kernel has pointers into it, and the vector grows.
    slot: Option<Box<Slot<M>>>,
}

#[derive(Debug)]
pub(super) struct Table<M> {
    places: Vec<Place<M>>,
    free: Vec<u32>,
}

impl<M> Default for Table<M> {
    fn default() -> Self {
        Table {
            places: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<M> Table<M> {
    pub(super) fn insert(&mut self, op: Op<M>) -> Id {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place {
                generation: 0,
                slot: None,
            });
            u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
        });
        let place = &mut self.places[index as usize];
        place.slot = Some(Box::new(Slot {
            op,
            started: false,
            cancelled: false,
            errno: None,
            refused: false,
        }));
        Id {
            index,
            generation: place.generation,
        }
    }

    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut Slot<M>> {
        let place = self.places.get_mut(id.index())?;
        if place.generation != id.generation {
            return None;
        }
        place.slot.as_deref_mut()
    }

    pub(super) fn remove(&mut self, id: Id) -> Option<Box<Slot<M>>> {
        let place = self.places.get_mut(id.index())?;
        if place.generation != id.generation {
            return None;
        }
        let slot = place.slot.take()?;
        // One key is the ring's own: see `uring`.
        place.generation = (place.generation + 1) % (u32::MAX - 1);
        self.free.push(id.index);
        Some(slot)
    }

    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(super) fn any(&self, test: impl Fn(&Slot<M>) -> bool) -> bool {
        self.places
            .iter()
            .any(|place| place.slot.as_deref().is_some_and(&test))
    }

    pub(super) fn ids(&self) -> Vec<Id> {
        (0..)
            .zip(&self.places)
            .filter(|(_, place)| place.slot.is_some())
            .map(|(index, place)| Id {
                index,
                generation: place.generation,
            })
            .collect()
    }

    /// Never frees what is in it.
    pub(super) fn leak(self) {
        std::mem::forget(self);
    }
}
