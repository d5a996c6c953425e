//! The ready queue: first in, first out, in turns.
//!
//! asyncio's turn rule: one iteration of the loop runs what is ready when its turn begins. What those
//! callbacks schedule runs in the next turn, after the loop has looked at its descriptors and
//! timers. So a callback that reschedules itself for ever does not keep the loop from I/O, and
//! `stop()` ends the loop after the turn in which it was called.
//!
//! A turn is a number: [`Ready::begin_turn`] says how many entries to [`pop`](Ready::pop). The rest needs
//! no bookkeeping, because new entries go behind those of the turn:
//!
//! ```
//! # use aioxide_core::Ready;
//! let mut ready = Ready::new();
//! ready.push(1);
//! for _ in 0..ready.begin_turn() {
//!     let Some(entry) = ready.pop() else { break };
//!     ready.push(entry + 1); // the next turn's
//! }
//! assert_eq!(ready.pop(), Some(2));
//! ```
//!
//! A turn may find fewer entries than were counted: a callback may have cleared the queue.

use std::collections::{TryReserveError, VecDeque};

/// The entries that are ready to run, in the order in which they became so.
#[derive(Debug)]
pub struct Ready<E> {
    queue: VecDeque<E>,
}

impl<E> Ready<E> {
    /// An empty queue.
    pub const fn new() -> Ready<E> {
        Ready {
            queue: VecDeque::new(),
        }
    }

    /// Makes room for one more entry.
    ///
    /// # Errors
    /// If there is no memory.
    #[inline]
    pub fn reserve(&mut self) -> Result<(), TryReserveError> {
        self.queue.try_reserve(1)
    }

    /// Adds an entry behind all others.
    #[inline]
    pub fn push(&mut self, entry: E) {
        self.queue.push_back(entry);
    }

    /// How many entries this turn runs: those in the queue now.
    #[inline]
    pub fn begin_turn(&self) -> usize {
        self.queue.len()
    }

    /// Takes the entry that is first.
    #[inline]
    pub fn pop(&mut self) -> Option<E> {
        self.queue.pop_front()
    }

    /// How many entries there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Moves all entries, in order, into the graveyard.
    #[inline]
    pub fn clear(&mut self, graveyard: &mut Vec<E>) {
        graveyard.extend(self.queue.drain(..));
    }

    /// The entries in the order in which they would run.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &E> {
        self.queue.iter()
    }
}

impl<E> Default for Ready<E> {
    fn default() -> Ready<E> {
        Ready::new()
    }
}
