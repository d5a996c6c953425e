//! `Ready` against a naive model: a list whose first element is removed.
#![allow(missing_docs)]

use aioxide_core::Ready;
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    Push,
    Pop,
    /// A turn in which the nth callback schedules so many others.
    Turn(Vec<usize>),
    Clear,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => Just(Op::Push),
        2 => Just(Op::Pop),
        2 => vec(0..3_usize, 0..8).prop_map(Op::Turn),
        1 => Just(Op::Clear),
    ]
}

#[derive(Default)]
struct Pair {
    ready: Ready<u32>,
    model: Vec<u32>,
    pushed: u32,
}

impl Pair {
    fn push(&mut self) {
        self.ready.push(self.pushed);
        self.model.push(self.pushed);
        self.pushed += 1;
    }

    fn pop(&mut self) -> Option<u32> {
        let expected = (!self.model.is_empty()).then(|| self.model.remove(0));
        let popped = self.ready.pop();
        assert_eq!(popped, expected);
        popped
    }
}

proptest! {
    #[test]
    fn as_the_naive_model(ops in vec(op(), 0..100)) {
        let mut pair = Pair::default();
        for op in ops {
            match op {
                Op::Push => pair.push(),
                Op::Pop => { pair.pop(); }
                Op::Turn(scheduled) => {
                    let before = pair.pushed;
                    let waiting = pair.model.clone();
                    let mut ran = Vec::new();
                    for nth in 0..pair.ready.begin_turn() {
                        ran.extend(pair.pop());
                        for _ in 0..scheduled.get(nth).copied().unwrap_or(0) {
                            pair.push();
                        }
                    }
                    prop_assert_eq!(&ran, &waiting, "exactly those that were ready");
                    prop_assert!(pair.model.iter().all(|&entry| entry >= before));
                }
                Op::Clear => {
                    let mut graveyard = Vec::new();
                    pair.ready.clear(&mut graveyard);
                    prop_assert_eq!(graveyard, std::mem::take(&mut pair.model));
                }
            }
            prop_assert_eq!(pair.ready.len(), pair.model.len());
            prop_assert_eq!(pair.ready.is_empty(), pair.model.is_empty());
            prop_assert!(pair.ready.iter().eq(&pair.model));
        }
    }
}

#[test]
fn what_reschedules_itself_runs_once_a_turn() {
    let mut ready = Ready::new();
    ready.push("again");
    ready.push("once");
    let mut turns = Vec::new();
    for _ in 0..3 {
        let mut turn = Vec::new();
        for _ in 0..ready.begin_turn() {
            let Some(entry) = ready.pop() else { break };
            if entry == "again" {
                ready.push(entry);
            }
            turn.push(entry);
        }
        turns.push(turn);
    }
    assert_eq!(turns, [vec!["again", "once"], vec!["again"], vec!["again"]]);
}
