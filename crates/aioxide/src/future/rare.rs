//! What few futures ever have: one word in each of them, and memory where it is needed.

use std::cell::OnceCell;

use crate::ffi::{Object, Slot, Visit};

/// The fields, in their own memory.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// The exception's traceback when it was set: each `result()` raises with that one.
    pub(super) traceback: Slot,
    pub(super) source_traceback: Slot,
    pub(super) cancel_message: Slot,
    /// The CancelledError that ended a task, to be raised to whoever awaits it.
    pub(super) cancelled_error: Slot,
}

impl Fields {
    fn slots(&self) -> [&Slot; 4] {
        [
            &self.traceback,
            &self.source_traceback,
            &self.cancel_message,
            &self.cancelled_error,
        ]
    }
}

/// Which of the fields.
type Field = fn(&Fields) -> &Slot;

#[derive(Debug, Default)]
pub(super) struct Rare(OnceCell<Box<Fields>>);

impl Rare {
    #[inline]
    pub(super) fn get(&self, field: Field) -> Option<Object> {
        field(self.0.get()?).get()
    }

    #[inline]
    pub(super) fn take(&self, field: Field) -> Option<Object> {
        field(self.0.get()?).take()
    }

    /// Puts a value in, or nothing; what was there before is dropped.
    #[inline]
    pub(super) fn set(&self, field: Field, value: Option<Object>) {
        if value.is_none() && self.0.get().is_none() {
            return;
        }
        drop(field(self.0.get_or_init(Box::default)).replace(value));
    }

    pub(super) fn visit(&self, visit: &mut Visit) {
        for slot in self.0.get().iter().flat_map(|fields| fields.slots()) {
            slot.visit(visit);
        }
    }

    pub(super) fn clear(&self) {
        for slot in self.0.get().iter().flat_map(|fields| fields.slots()) {
            slot.clear();
        }
    }
}
