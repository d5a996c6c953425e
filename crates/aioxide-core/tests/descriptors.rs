//! The table by descriptor beside a map.

use std::collections::BTreeMap;

use aioxide_core::descriptors::Descriptors;
use proptest::prelude::*;

/// Small numbers mostly, as the kernel gives them, and some that a program chose.
fn fd() -> impl Strategy<Value = i32> {
    prop_oneof![8 => 0..200, 1 => 60_000..70_000, 1 => (1 << 20) - 3..(1 << 20) + 3, 1 => i32::MAX - 1..=i32::MAX, 1 => -3..0]
}

proptest! {
    #[test]
    fn is_a_map(writes in proptest::collection::vec((fd(), 0..5u32), 0..200), reads in proptest::collection::vec(fd(), 50)) {
        let mut table = Descriptors::<u32>::new();
        let mut model = BTreeMap::new();
        for (fd, value) in writes {
            match table.place(fd) {
                Some(place) => *place = value,
                None => prop_assert!(fd < 0),
            }
            if fd >= 0 {
                model.insert(fd, value);
                prop_assert_eq!(table.get(fd), Some(&value));
            }
        }
        for fd in reads {
            let wanted = model.get(&fd).copied().unwrap_or_default();
            prop_assert_eq!(table.get(fd).copied().unwrap_or_default(), wanted);
            prop_assert_eq!(table.get_mut(fd).copied().unwrap_or_default(), wanted);
        }
        let used: BTreeMap<i32, u32> = table.iter().filter(|(_, value)| **value != 0).map(|(fd, value)| (fd, *value)).collect();
        model.retain(|_, value| *value != 0);
        prop_assert_eq!(used, model);
        prop_assert!(table.iter().map(|(fd, _)| fd).is_sorted());
    }
}

#[test]
fn nothing_is_made_by_looking() {
    let mut table = Descriptors::<u32>::new();
    assert_eq!(table.get(5), None);
    assert_eq!(table.get_mut(i32::MAX), None);
    assert_eq!(table.get(-1), None);
    assert_eq!(table.iter().count(), 0);
}
