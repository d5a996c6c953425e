//! Where a reader's bytes are.
//!
//! Normally in a buffer of our own. asyncio's readers have a `bytearray`, `_buffer`, and there is
//! code that reads it and takes bytes out of it: from the first time it is asked for, the bytes are
//! in a real one that both sides use.

use std::cell::RefCell;

use aioxide_core::StreamBuffer;

use crate::ffi::{Any, Object, Res, Visit, buffer, value};

#[derive(Debug, Default)]
enum Place {
    /// Nothing has had to wait so far: most readers never have more than a pointer here.
    #[default]
    Nothing,
    Ours(Box<StreamBuffer>),
    Shared(Object),
}

/// The unread bytes of a reader.
#[derive(Debug, Default)]
pub(super) struct Storage(RefCell<Place>);

impl Storage {
    /// Changes the bytes, wherever they are.
    #[inline]
    fn place(
        &self,
        ours: impl FnOnce(&mut StreamBuffer) -> Res<()>,
        shared: impl FnOnce(&Any) -> Res<()>,
    ) -> Res<()> {
        let mut place = self.0.borrow_mut();
        if matches!(*place, Place::Nothing) {
            *place = Place::Ours(Box::default());
        }
        match &mut *place {
            Place::Nothing => Ok(()),
            Place::Ours(buffer) => ours(buffer),
            Place::Shared(array) => shared(array),
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        match &*self.0.borrow() {
            Place::Nothing => 0,
            Place::Ours(buffer) => buffer.len(),
            Place::Shared(array) => buffer::byte_array(array).len(),
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shows the bytes to `look`, which must not run Python code.
    #[inline]
    pub(super) fn with<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R {
        match &*self.0.borrow() {
            Place::Nothing => look(&[]),
            Place::Ours(buffer) => look(buffer.as_slice()),
            Place::Shared(array) => look(buffer::byte_array(array)),
        }
    }

    /// Adds bytes at the end.
    #[inline]
    pub(super) fn extend(&self, data: &[u8]) -> Res<()> {
        self.place(
            |buffer| Ok(buffer.extend(data)?),
            |array| buffer::extend_byte_array(array, data),
        )
    }

    /// The first `count` bytes, which are forgotten here.
    #[inline]
    pub(super) fn take(&self, count: usize) -> Res<Object> {
        let taken = self.with(|data| value::bytes(&data[..count.min(data.len())]))?;
        self.consume(count)?;
        Ok(taken)
    }

    /// Forgets the first `count` bytes.
    pub(super) fn consume(&self, count: usize) -> Res<()> {
        self.place(
            |buffer| {
                buffer.consume(count);
                Ok(())
            },
            |array| buffer::cut_byte_array(array, count),
        )
    }

    /// Puts bytes back to the front.
    pub(super) fn unread(&self, data: &[u8]) -> Res<()> {
        self.place(
            |buffer| Ok(buffer.unread(data)?),
            |array| {
                let rest = buffer::byte_array(array).len();
                // First the only step that can fail for want of memory.
                buffer::extend_byte_array(array, data)?;
                buffer::rotate_byte_array(array, rest);
                Ok(())
            },
        )
    }

    /// The bytes as a `bytearray` that is the storage from now on.
    pub(super) fn share(&self) -> Res<Object> {
        if let Place::Shared(array) = &*self.0.borrow() {
            return Ok(array.clone());
        }
        let array = self.with(buffer::new_byte_array)?;
        let before = self.0.replace(Place::Shared(array.clone()));
        drop(before);
        Ok(array)
    }

    /// Makes this `bytearray` the storage.
    pub(super) fn replace(&self, array: Object) {
        let before = self.0.replace(Place::Shared(array));
        drop(before);
    }

    /// Forgets everything.
    pub(super) fn reset(&self) {
        let before = self.0.replace(Place::Nothing);
        drop(before);
    }

    pub(super) fn visit(&self, visit: &mut Visit) {
        if let Ok(place) = self.0.try_borrow()
            && let Place::Shared(array) = &*place
        {
            visit.object(array);
        }
    }
}
