//! Timers: entries by deadline, with lazy cancellation.
//!
//! A heap ordered by deadline, then by insertion, so that equal deadlines run in the order in which
//! they were set. Cancelling does not search the heap: the entry itself knows that it is cancelled, and is
//! taken out when
//!
//! - it reaches the head,
//! - or it is in the heap's last place when a cancellation is noted (removing there is free; a timeout that is
//!   set and soon cancelled, which is what most timeouts come to, leaves the heap like that),
//! - or more than 100 entries are cancelled and they are the majority: then one pass in
//!   linear time takes them all, at a cost per cancellation that stays constant.
//!
//! The usual deadlines grow, so a new entry usually stays where it is put: at the end.
//!
//! The crate's rule on the graveyard holds: what is taken out because it is cancelled is moved there, never
//! dropped here.

use crate::clock::Nanos;
use std::collections::TryReserveError;

/// Cancelled entries are tolerated up to this number, whatever their share.
const TOLERATED_CANCELLED: usize = 100;

/// How many children a place in the heap has.
///
/// Four halve the way up, which a short timeout goes when it is set among long ones. Measured beside two: setting
/// and cancelling among 1,000 or more others costs about half, running timers the same.
const ARITY: usize = 4;

/// What a timer entry must tell.
pub trait TimerEntry {
    /// Whether the entry is cancelled; once cancelled, always so.
    ///
    /// Called while the heap is being changed: it may only read, never call back.
    fn is_cancelled(&self) -> bool;
}

/// One place in the heap.
#[derive(Debug)]
struct Slot<E> {
    when: Nanos,
    /// The order of insertion, which no two slots share.
    seq: u64,
    entry: E,
}

impl<E> Slot<E> {
    #[inline]
    fn is_before(&self, other: &Slot<E>) -> bool {
        (self.when, self.seq) < (other.when, other.seq)
    }
}

/// The entries that run later.
#[derive(Debug)]
pub struct Timers<E> {
    /// A heap: no slot is before its parent, which is at `(index - 1) / ARITY`.
    heap: Vec<Slot<E>>,
    /// The next slot's `seq`.
    next_seq: u64,
    /// How many entries in the heap are known to be cancelled.
    cancelled: usize,
}

impl<E> Timers<E> {
    /// No timers.
    pub const fn new() -> Timers<E> {
        Timers {
            heap: Vec::new(),
            next_seq: 0,
            cancelled: 0,
        }
    }

    /// How many entries there are, with those cancelled that are not yet taken out.
    #[inline]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether there are no entries, not even cancelled ones.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// How many entries are not cancelled.
    #[inline]
    pub fn live_len(&self) -> usize {
        self.heap.len() - self.cancelled
    }

    /// The deadlines and entries, with those cancelled that are not yet taken out, in no useful order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Nanos, &E)> {
        self.heap.iter().map(|slot| (slot.when, &slot.entry))
    }

    /// Moves all entries, cancelled or not, into the graveyard.
    pub fn clear(&mut self, graveyard: &mut Vec<E>) {
        self.cancelled = 0;
        graveyard.extend(self.heap.drain(..).map(|slot| slot.entry));
    }

    fn sift_up(&mut self, mut index: usize) {
        while index > 0 {
            let parent = (index - 1) / ARITY;
            if !self.heap[index].is_before(&self.heap[parent]) {
                return;
            }
            self.heap.swap(index, parent);
            index = parent;
        }
    }

    fn sift_down(&mut self, mut index: usize) {
        loop {
            let children = ARITY * index + 1..self.heap.len().min(ARITY * index + 1 + ARITY);
            let Some(first) = children.reduce(|first, other| {
                if self.heap[other].is_before(&self.heap[first]) {
                    other
                } else {
                    first
                }
            }) else {
                return;
            };
            if !self.heap[first].is_before(&self.heap[index]) {
                return;
            }
            self.heap.swap(index, first);
            index = first;
        }
    }

    /// Takes out the head, which must be there.
    fn take_head(&mut self) -> E {
        let slot = self.heap.swap_remove(0);
        self.sift_down(0);
        slot.entry
    }

    /// One cancelled entry is out of the heap.
    #[inline]
    fn uncount(&mut self) {
        // Saturating: an entry cancelled but not noted must not make the count wrong for ever.
        self.cancelled = self.cancelled.saturating_sub(1);
    }
}

impl<E: TimerEntry> Timers<E> {
    /// Makes room for one more entry.
    ///
    /// # Errors
    /// If there is no memory.
    #[inline]
    pub fn reserve(&mut self) -> Result<(), TryReserveError> {
        self.heap.try_reserve(1)
    }

    /// Adds an entry that is due at `when`. It must not be cancelled already.
    #[inline]
    pub fn push(&mut self, when: Nanos, entry: E) {
        let seq = self.next_seq;
        self.next_seq += 1;
        self.heap.push(Slot { when, seq, entry });
        self.sift_up(self.heap.len() - 1);
    }

    /// The earliest deadline of an entry that is not cancelled. Cancelled ones before it are taken out.
    #[inline]
    pub fn next_deadline(&mut self, graveyard: &mut Vec<E>) -> Option<Nanos> {
        loop {
            let head = self.heap.first()?;
            if !head.entry.is_cancelled() {
                return Some(head.when);
            }
            self.uncount();
            graveyard.push(self.take_head());
        }
    }

    /// Takes the first entry whose deadline has come, that is `when <= now`. Cancelled ones before it
    /// are taken out too.
    #[inline]
    pub fn pop_due(&mut self, now: Nanos, graveyard: &mut Vec<E>) -> Option<E> {
        if self.next_deadline(graveyard)? > now {
            return None;
        }
        Some(self.take_head())
    }

    /// An entry that is in here has just been cancelled. To be called once for each such entry, before
    /// any other method.
    ///
    /// Takes out cancelled entries where that is cheap. The one that was pushed last, if it is
    /// among them, is the answer, so that push and cancel go without the graveyard.
    #[inline]
    pub fn note_cancelled(&mut self, graveyard: &mut Vec<E>) -> Option<E> {
        self.cancelled += 1;
        let last = self
            .heap
            .pop_if(|last| last.entry.is_cancelled())
            .map(|slot| slot.entry);
        if last.is_some() {
            self.uncount();
            if self.cancelled == 0 {
                return last;
            }
        }
        self.take_out_cancelled(graveyard);
        last
    }

    fn take_out_cancelled(&mut self, graveyard: &mut Vec<E>) {
        while let Some(slot) = self.heap.pop_if(|last| last.entry.is_cancelled()) {
            self.uncount();
            graveyard.push(slot.entry);
        }
        if self.cancelled > TOLERATED_CANCELLED && self.cancelled > self.heap.len() / 2 {
            self.compact(graveyard);
        }
    }

    /// Takes out all cancelled entries, in linear time.
    #[cold]
    fn compact(&mut self, graveyard: &mut Vec<E>) {
        let cancelled = self.heap.extract_if(.., |slot| slot.entry.is_cancelled());
        graveyard.extend(cancelled.map(|slot| slot.entry));
        self.cancelled = 0;
        for index in (0..self.heap.len().div_ceil(ARITY)).rev() {
            self.sift_down(index);
        }
    }
}

impl<E> Default for Timers<E> {
    fn default() -> Timers<E> {
        Timers::new()
    }
}
