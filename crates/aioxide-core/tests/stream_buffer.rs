//! `StreamBuffer` and `Separators` against their naive models.

use aioxide_core::stream_buffer::{Found, NoSeparators, Separators, StreamBuffer};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Act {
    Extend(Vec<u8>),
    Consume(usize),
    Unread(Vec<u8>),
    Clear,
}

fn act() -> impl Strategy<Value = Act> {
    let octets = || prop::collection::vec(any::<u8>(), 0..2000);
    prop_oneof![
        4 => octets().prop_map(Act::Extend),
        4 => (0_usize..2500).prop_map(Act::Consume),
        1 => octets().prop_map(Act::Unread),
        1 => Just(Act::Clear),
    ]
}

proptest! {
    #[test]
    fn it_holds_what_a_plain_vector_would(acts in prop::collection::vec(act(), 0..60)) {
        let mut buffer = StreamBuffer::default();
        let mut model: Vec<u8> = Vec::new();
        for act in acts {
            match act {
                Act::Extend(data) => {
                    prop_assert!(buffer.extend(&data).is_ok());
                    model.extend(&data);
                }
                Act::Consume(count) => {
                    buffer.consume(count);
                    model.drain(..count.min(model.len()));
                }
                Act::Unread(data) => {
                    prop_assert!(buffer.unread(&data).is_ok());
                    model.splice(..0, data);
                }
                Act::Clear => {
                    buffer.clear();
                    model.clear();
                }
            }
            prop_assert_eq!(buffer.as_slice(), &model[..]);
            prop_assert_eq!(buffer.len(), model.len());
            prop_assert_eq!(buffer.is_empty(), model.is_empty());
        }
    }

    #[test]
    fn the_match_that_ends_first_wins(
        data in prop::collection::vec(0_u8..3, 0..40),
        separators in prop::collection::vec(prop::collection::vec(0_u8..3, 1..4), 1..4),
        from in 0_usize..45,
    ) {
        let mut by_length = separators.clone();
        by_length.sort_by_key(Vec::len);
        let mut expected: Option<Found> = None;
        for separator in &by_length {
            let starts = from..=data.len().saturating_sub(separator.len());
            let start = starts
                .filter(|&start| data.get(start..start + separator.len()) == Some(&separator[..]))
                .min();
            if let Some(start) = start {
                let end = start + separator.len();
                if expected.is_none_or(|found| end < found.end) {
                    expected = Some(Found { start, end });
                }
            }
        }
        let found = Separators::new(separators).map(|separators| separators.find(&data, from));
        prop_assert_eq!(found.ok(), Some(expected));
    }
}

#[test]
fn there_must_be_separators() {
    assert_eq!(Separators::new(Vec::new()).err(), Some(NoSeparators::None));
    let with_empty = Separators::new(vec![b"x".to_vec(), Vec::new()]);
    assert_eq!(with_empty.err(), Some(NoSeparators::Empty));
}

#[test]
fn their_lengths_are_known() {
    let separators = Separators::new(vec![b"\r\n".to_vec(), b"\n".to_vec()]);
    let lengths = separators.map(|separators| (separators.shortest(), separators.longest()));
    assert_eq!(lengths.ok(), Some((1, 2)));
}
