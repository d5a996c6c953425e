//! `Timers` against a naive model: a list, searched from end to end.
#![allow(clippy::unwrap_used, missing_docs)]

use std::cell::Cell;
use std::rc::Rc;

use aioxide_core::{TimerEntry, Timers};
use proptest::collection::vec;
use proptest::prelude::*;

/// An entry that knows who it is and minds when it is dropped.
#[derive(Debug)]
struct Entry {
    id: usize,
    cancelled: Rc<Cell<bool>>,
    /// Set while a method of `Timers` runs.
    inside: Rc<Cell<bool>>,
}

impl TimerEntry for Entry {
    fn is_cancelled(&self) -> bool {
        self.cancelled.get()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        assert!(
            !self.inside.get() || std::thread::panicking(),
            "dropped inside a method"
        );
    }
}

/// Where the model says an entry is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Waiting,
    /// Cancelled: waiting to be taken out, or taken out already.
    Cancelled,
    Run,
}

/// The real timers and the model, side by side.
#[derive(Default)]
struct Pair {
    timers: Timers<Entry>,
    inside: Rc<Cell<bool>>,
    flags: Vec<Rc<Cell<bool>>>,
    /// Deadline and place, by id, which is the order of insertion.
    model: Vec<(u64, Place)>,
    /// Whether an entry has come out into the graveyard, by id.
    buried: Vec<bool>,
}

impl Pair {
    fn call<T>(&mut self, method: impl FnOnce(&mut Timers<Entry>, &mut Vec<Entry>) -> T) -> T {
        let mut graveyard = Vec::new();
        self.inside.set(true);
        let answer = method(&mut self.timers, &mut graveyard);
        self.inside.set(false);
        for entry in graveyard {
            assert_eq!(self.model[entry.id].1, Place::Cancelled, "buried alive");
            assert!(
                !std::mem::replace(&mut self.buried[entry.id], true),
                "buried twice"
            );
        }
        answer
    }

    fn push(&mut self, when: u64) {
        let entry = Entry {
            id: self.model.len(),
            cancelled: Rc::default(),
            inside: Rc::clone(&self.inside),
        };
        self.flags.push(Rc::clone(&entry.cancelled));
        self.model.push((when, Place::Waiting));
        self.buried.push(false);
        self.call(|timers, _| timers.push(when, entry));
    }

    /// Cancels the nth of those that wait, counted round and round.
    fn cancel(&mut self, nth: usize) {
        let waiting = self.waiting();
        let Some(&id) = nth.checked_rem(waiting.len()).map(|nth| &waiting[nth]) else {
            return;
        };
        self.cancel_id(id);
    }

    fn cancel_id(&mut self, id: usize) {
        self.flags[id].set(true);
        self.model[id].1 = Place::Cancelled;
        self.call(|timers, graveyard| {
            let last = timers.note_cancelled(graveyard);
            graveyard.extend(last);
        });
    }

    fn waiting(&self) -> Vec<usize> {
        (0..self.model.len())
            .filter(|&id| self.model[id].1 == Place::Waiting)
            .collect()
    }

    /// The one that is next, as the model has it.
    fn next(&self) -> Option<(u64, usize)> {
        let waiting = self.waiting().into_iter();
        waiting.map(|id| (self.model[id].0, id)).min()
    }

    fn pop_due(&mut self, now: u64) -> bool {
        let expected = self.next().filter(|&(when, _)| when <= now);
        let entry = self.call(|timers, graveyard| timers.pop_due(now, graveyard));
        assert_eq!(
            entry.as_ref().map(|entry| entry.id),
            expected.map(|(_, id)| id)
        );
        if let Some(entry) = entry {
            self.model[entry.id].1 = Place::Run;
        }
        expected.is_some()
    }

    fn next_deadline(&mut self) {
        let expected = self.next().map(|(when, _)| when);
        assert_eq!(self.call(Timers::next_deadline), expected);
    }

    /// What is inside is what the model says: the waiting, and the cancelled that have not come out.
    fn check(&self) {
        let live = self.waiting().len();
        assert_eq!(self.timers.live_len(), live);
        let mut inside: Vec<_> = self
            .timers
            .iter()
            .map(|(when, entry)| (entry.id, when))
            .collect();
        inside.sort_unstable();
        let expected: Vec<_> = (0..self.model.len())
            .filter(|&id| self.model[id].1 != Place::Run && !self.buried[id])
            .map(|id| (id, self.model[id].0))
            .collect();
        assert_eq!(inside, expected);
        assert_eq!(self.timers.len(), expected.len());
        assert_eq!(self.timers.is_empty(), expected.is_empty());
        // The promise of compaction, whatever happened.
        let cancelled = expected.len() - live;
        assert!(cancelled <= 100 || cancelled * 2 <= expected.len());
    }
}

#[derive(Clone, Debug)]
enum Op {
    Push(u64),
    /// So many, that far apart.
    PushMany(u64, u64),
    Cancel(usize),
    /// So many, each so far from the last.
    CancelMany(usize, usize),
    PopDue(u64),
    NextDeadline,
}

fn op() -> impl Strategy<Value = Op> {
    let when = || prop_oneof![8 => 0..50_u64, 1 => Just(u64::MAX), 1 => any::<u64>()];
    prop_oneof![
        4 => when().prop_map(Op::Push),
        1 => (0..150_u64, 0..3_u64).prop_map(|(count, step)| Op::PushMany(count, step)),
        4 => any::<usize>().prop_map(Op::Cancel),
        1 => (0..150_usize, 0..9_usize).prop_map(|(count, stride)| Op::CancelMany(count, stride)),
        3 => when().prop_map(Op::PopDue),
        1 => Just(Op::NextDeadline),
    ]
}

proptest! {
    #[test]
    fn as_the_naive_model(ops in vec(op(), 0..40)) {
        let mut pair = Pair::default();
        for op in ops {
            match op {
                Op::Push(when) => pair.push(when),
                Op::PushMany(count, step) => (0..count).for_each(|nth| pair.push(nth * step)),
                Op::Cancel(nth) => pair.cancel(nth),
                Op::CancelMany(count, stride) => (0..count).for_each(|nth| pair.cancel(nth * stride)),
                Op::PopDue(now) => { pair.pop_due(now); }
                Op::NextDeadline => pair.next_deadline(),
            }
            pair.check();
        }
        // The rest, in order.
        while pair.pop_due(u64::MAX) {}
        pair.check();
        prop_assert!(pair.timers.is_empty());
    }
}

#[test]
fn equal_deadlines_go_in_the_order_of_insertion() {
    let mut pair = Pair::default();
    (0..50).for_each(|nth| pair.push(nth % 2));
    while pair.pop_due(1) {}
    assert_eq!(pair.waiting(), [0; 0]);
}

#[test]
fn due_means_the_deadline_has_come() {
    let mut pair = Pair::default();
    pair.push(10);
    assert!(!pair.pop_due(9));
    assert!(pair.pop_due(10));
}

#[test]
fn set_and_cancelled_at_once_leaves_nothing() {
    let mut pair = Pair::default();
    pair.push(0);
    for id in 1..500 {
        pair.push(1_000_000 - id as u64);
        pair.cancel_id(id);
        // Unless it was set before an earlier deadline, in which case it is not at the end.
        assert!(pair.timers.len() <= 2);
    }
    // A hundred at a time, cancelled in the order in which they were set.
    let first = pair.model.len();
    (0..100).for_each(|nth| pair.push(2_000_000 + nth));
    (first..first + 100).for_each(|id| pair.cancel_id(id));
    assert_eq!(pair.timers.len(), 1);
    pair.check();
}

/// So many to cancel, behind them so many that stay: nothing is taken out from the end.
fn blocked(victims: usize, stay: usize) -> Pair {
    let mut pair = Pair::default();
    (0..victims + stay).for_each(|id| pair.push(id as u64));
    pair
}

#[test]
fn compacts_when_more_than_a_hundred_and_more_than_half_are_cancelled() {
    let mut pair = blocked(101, 50);
    (0..100).for_each(|id| pair.cancel_id(id));
    assert_eq!(pair.timers.len(), 151, "a hundred are tolerated");
    pair.cancel_id(100);
    assert_eq!(pair.timers.len(), 50);
    pair.check();

    let mut pair = blocked(101, 101);
    (0..101).for_each(|id| pair.cancel_id(id));
    assert_eq!(pair.timers.len(), 202, "half is not more than half");
    pair.check();
    pair.cancel_id(101);
    assert_eq!(pair.timers.len(), 100);
    pair.check();
}

#[test]
fn cancelled_heads_are_taken_out_when_the_head_is_looked_at() {
    let mut pair = blocked(10, 10);
    (0..10).for_each(|id| pair.cancel_id(id));
    assert_eq!(pair.timers.len(), 20);
    pair.next_deadline();
    assert_eq!(pair.timers.len(), 10);
    pair.check();

    let mut pair = blocked(10, 10);
    (0..10).for_each(|id| pair.cancel_id(id));
    assert!(
        !pair.pop_due(5),
        "the next that is not cancelled comes later"
    );
    assert_eq!(pair.timers.len(), 10);
    pair.check();
}

#[test]
fn clearing_gives_back_everything_and_starts_afresh() {
    let mut pair = blocked(5, 5);
    (0..5).for_each(|id| pair.cancel_id(id));
    let mut graveyard = Vec::new();
    pair.timers.clear(&mut graveyard);
    let mut ids: Vec<_> = graveyard.iter().map(|entry| entry.id).collect();
    ids.sort_unstable();
    assert!(ids.into_iter().eq(0..10));
    assert_eq!((pair.timers.len(), pair.timers.live_len()), (0, 0));
    let mut fresh = Pair {
        timers: pair.timers,
        ..Pair::default()
    };
    fresh.push(1);
    fresh.check();
}
