//! The way that large messages are received.

use aioxide_core::Pace;

const SIZE: usize = 100 * 1024;
const USUAL: u64 = 11_000;
const BAD: u64 = 57_000;

/// Receives once, in the time that it takes on that way; whether that was the straight one.
fn receive(pace: &mut Pace, straight: u64, moved: u64) -> bool {
    let is_straight = pace.is_straight();
    if is_straight {
        pace.straight(SIZE, straight);
    } else {
        pace.moved(SIZE, moved);
    }
    is_straight
}

fn straight_of(pace: &mut Pace, rounds: usize, straight: u64, moved: u64) -> usize {
    (0..rounds)
        .filter(|_| receive(pace, straight, moved))
        .count()
}

#[test]
fn what_is_usual_is_learned_first() {
    let mut pace = Pace::default();
    assert!(!pace.is_straight());
    assert_eq!(straight_of(&mut pace, 8, USUAL, USUAL), 0);
    assert_eq!(straight_of(&mut pace, 1000, USUAL, USUAL), 1000);
}

#[test]
fn a_bad_place_is_left_and_seldom_tried_again() {
    let mut pace = Pace::default();
    let tried = straight_of(&mut pace, 100_000, BAD, USUAL);
    assert!((4..200).contains(&tried), "{tried}");
}

#[test]
fn a_first_measurement_that_was_slow_does_not_hide_a_bad_place() {
    let mut pace = Pace::default();
    pace.moved(SIZE, 10 * USUAL);
    let tried = straight_of(&mut pace, 1000, BAD, USUAL);
    assert!(tried < 30, "{tried}");
}

#[test]
fn one_slow_now_and_then_is_no_bad_place() {
    let mut pace = Pace::default();
    straight_of(&mut pace, 8, USUAL, USUAL);
    for _ in 0..100 {
        assert!(receive(&mut pace, BAD, USUAL));
        assert_eq!(straight_of(&mut pace, 20, USUAL, USUAL), 20);
    }
}

#[test]
fn one_of_eight_slow_is_a_bad_place() {
    let mut pace = Pace::default();
    straight_of(&mut pace, 8, USUAL, USUAL);
    let mut straight = 0;
    for _ in 0..10_000 {
        straight += usize::from(receive(&mut pace, BAD, USUAL));
        straight += straight_of(&mut pace, 7, USUAL, USUAL);
    }
    assert!(straight < 2000, "{straight}");
}

#[test]
fn a_place_that_became_good_is_used_again() {
    let mut pace = Pace::default();
    straight_of(&mut pace, 10_000, BAD, USUAL);
    let straight = straight_of(&mut pace, 10_000, USUAL, USUAL);
    assert!(straight > 5000, "{straight}");
    // And the next bad one is left for a short time first.
    straight_of(&mut pace, 5, BAD, USUAL);
    assert!(!pace.is_straight());
    straight_of(&mut pace, 64, USUAL, USUAL);
    assert!(pace.is_straight());
}

#[test]
fn a_machine_that_slows_down_is_no_bad_place_for_long() {
    let mut pace = Pace::default();
    straight_of(&mut pace, 1000, USUAL, USUAL);
    straight_of(&mut pace, 1000, 5 * USUAL, 5 * USUAL);
    assert_eq!(straight_of(&mut pace, 1000, 5 * USUAL, 5 * USUAL), 1000);
}

#[test]
fn any_numbers() {
    let mut pace = Pace::default();
    for bytes in [0, 1, usize::MAX] {
        for nanos in [0, 1, u64::MAX] {
            for _ in 0..50 {
                pace.moved(bytes, nanos);
                pace.straight(bytes, nanos);
            }
        }
    }
}
