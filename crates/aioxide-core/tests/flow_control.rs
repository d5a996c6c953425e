//! `FlowControl` against asyncio's rules written down naively.
#![allow(missing_docs)]

use aioxide_core::{FlowControl, LimitsError, Signal};
use proptest::collection::vec;
use proptest::prelude::*;

/// The rules for the marks, in numbers that cannot overflow: low, then high, or what is wrong.
fn marks(high: Option<i64>, low: Option<i64>) -> Result<(i128, i128), (i128, i128)> {
    let (high, low) = (high.map(i128::from), low.map(i128::from));
    let high = high.unwrap_or_else(|| low.map_or(65536, |low| 4 * low));
    let low = low.unwrap_or_else(|| (high - high.rem_euclid(4)) / 4);
    if high >= low && low >= 0 {
        Ok((low, high))
    } else {
        Err((low, high))
    }
}

fn mark() -> impl Strategy<Value = Option<i64>> {
    proptest::option::of(prop_oneof![-9..40_i64, any::<i64>()])
}

/// Far from overflowing when multiplied by four.
fn modest(mark: Option<i64>) -> bool {
    mark.is_none_or(|mark| mark.abs() < i64::MAX / 4)
}

#[derive(Clone, Debug)]
enum Op {
    Grow(usize),
    Shrink(usize),
    Limits(Option<i64>, Option<i64>),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..20_usize).prop_map(Op::Grow),
        4 => (0..30_usize).prop_map(Op::Shrink),
        1 => (proptest::option::of(-1..40_i64), proptest::option::of(-1..40_i64))
            .prop_map(|(high, low)| Op::Limits(high, low)),
    ]
}

proptest! {
    #[test]
    fn marks_as_asyncio_derives_them(high in mark(), low in mark()) {
        let mut flow = FlowControl::new();
        let answer = flow.set_limits(high, low);
        match marks(high, low) {
            Ok((low, high)) => {
                prop_assert_eq!(answer, Ok(()));
                let high = high.min(i64::MAX.into());
                prop_assert_eq!(flow.limits(), (u64::try_from(low).unwrap(), u64::try_from(high).unwrap()));
            }
            Err((expected_low, expected_high)) => {
                let error = answer.unwrap_err();
                if modest(high) && modest(low) {
                    prop_assert_eq!(i128::from(error.low), expected_low);
                    prop_assert_eq!(i128::from(error.high), expected_high);
                }
                prop_assert_eq!(flow.limits(), (16384, 65536), "the old marks stay");
            }
        }
    }

    /// asyncio's two questions, asked of a size that changes under marks that change.
    #[test]
    fn signals_as_asyncio_gives_them(ops in vec(op(), 0..200)) {
        let mut flow = FlowControl::new();
        flow.set_limits(Some(20), Some(5)).unwrap();
        let (mut low, mut high, mut paused, mut size) = (5, 20, false, 0_usize);
        for op in ops {
            let grew = match op {
                Op::Grow(by) => { size += by; true }
                Op::Shrink(by) => { size = size.saturating_sub(by); false }
                Op::Limits(new_high, new_low) => {
                    if flow.set_limits(new_high, new_low).is_ok() {
                        (low, high) = flow.limits();
                    }
                    true
                }
            };
            let expected = if grew && !paused && size as u64 > high {
                Signal::Pause
            } else if !grew && paused && size as u64 <= low {
                Signal::Resume
            } else {
                Signal::None
            };
            let signal = if grew { flow.on_grow(size) } else { flow.on_shrink(size) };
            prop_assert_eq!(signal, expected);
            match expected {
                Signal::Pause => paused = true,
                Signal::Resume => paused = false,
                Signal::None => {}
            }
            prop_assert_eq!(flow.is_paused(), paused);
        }
    }

    /// With marks that stay, the direction need not be told.
    #[test]
    fn the_size_alone_is_enough(sizes in vec(0..30_usize, 0..200)) {
        let mut told = FlowControl::new();
        told.set_limits(Some(20), Some(5)).unwrap();
        let mut untold = told;
        let mut before = 0;
        for size in sizes {
            let expected = if size > before { told.on_grow(size) } else { told.on_shrink(size) };
            prop_assert_eq!(untold.on_size(size), expected);
            before = size;
        }
    }
}

#[test]
fn starts_with_asyncios_marks() {
    let mut flow = FlowControl::new();
    assert_eq!(flow.limits(), (16 * 1024, 64 * 1024));
    flow.set_limits(Some(1), Some(1)).unwrap();
    flow.set_limits(None, None).unwrap();
    assert_eq!(flow.limits(), (16 * 1024, 64 * 1024));
}

#[test]
fn the_marks_themselves() {
    let mut flow = FlowControl::new();
    flow.set_limits(Some(8), Some(4)).unwrap();
    assert_eq!(
        flow.on_size(8),
        Signal::None,
        "at the high mark is not above it"
    );
    assert_eq!(flow.on_size(9), Signal::Pause);
    assert_eq!(flow.on_size(100), Signal::None, "once");
    assert_eq!(flow.on_size(5), Signal::None);
    assert_eq!(flow.on_size(4), Signal::Resume, "at the low mark");
    assert_eq!(flow.on_size(0), Signal::None, "once");
    flow.set_limits(Some(0), None).unwrap();
    assert_eq!(flow.on_size(0), Signal::None);
    assert_eq!(flow.on_size(1), Signal::Pause);
    assert_eq!(flow.on_size(0), Signal::Resume);
}

#[test]
fn lowering_the_marks_pauses_and_raising_them_does_not_resume() {
    let mut flow = FlowControl::new();
    assert_eq!(flow.on_grow(50), Signal::None);
    flow.set_limits(Some(40), None).unwrap();
    assert_eq!(flow.on_grow(50), Signal::Pause);
    flow.set_limits(Some(400), None).unwrap();
    assert_eq!(flow.on_grow(50), Signal::None);
    assert!(flow.is_paused());
    assert_eq!(flow.on_shrink(49), Signal::Resume);
}

#[test]
fn the_error_speaks_as_asyncio_does() {
    let error = FlowControl::new().set_limits(Some(1), Some(2)).unwrap_err();
    assert_eq!(error, LimitsError { high: 1, low: 2 });
    assert_eq!(
        error.to_string(),
        "high (1) must be >= low (2) must be >= 0"
    );
    let error = FlowControl::new().set_limits(Some(-1), None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "high (-1) must be >= low (-1) must be >= 0"
    );
}
