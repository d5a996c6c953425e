//! The notifier with its real eventfd; the orderings of its flag are loom's (see `src/notifier.rs`).
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use aioxide_driver::{Interest, Notifier, Reactor, Timeout};
use util::{event, expect_now, expect_soon, wait};

fn registered() -> (Notifier, Reactor) {
    let (notifier, reactor) = (Notifier::new().unwrap(), Reactor::new().unwrap());
    reactor
        .add(notifier.as_raw_fd(), 0, Interest::READ)
        .unwrap();
    (notifier, reactor)
}

#[test]
fn a_loop_that_is_awake_is_left_alone() {
    let (notifier, mut reactor) = registered();
    assert!(!notifier.notify().unwrap());
    expect_now(&mut reactor, &[]);
    notifier.prepare_sleep();
    notifier.awake();
    assert!(!notifier.notify().unwrap());
    expect_now(&mut reactor, &[]);
}

#[test]
fn a_sleeping_loop_is_woken_by_one_write() {
    let (notifier, mut reactor) = registered();
    for _ in 0..3 {
        notifier.prepare_sleep();
        assert!(notifier.notify().unwrap());
        assert!(!notifier.notify().unwrap());
        expect_soon(&mut reactor, &[event(0, true, false)]);
        notifier.awake();
        notifier.drain().unwrap();
        expect_now(&mut reactor, &[]);
    }
}

#[test]
fn draining_nothing_is_no_error_and_does_not_block() {
    let notifier = Notifier::new().unwrap();
    notifier.drain().unwrap();
    notifier.drain().unwrap();
}

#[test]
fn many_threads_make_one_write() {
    let (notifier, mut reactor) = registered();
    let notifier = Arc::new(notifier);
    let barrier = Arc::new(Barrier::new(8));
    for _ in 0..20 {
        notifier.prepare_sleep();
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let (notifier, barrier) = (Arc::clone(&notifier), Arc::clone(&barrier));
                thread::spawn(move || {
                    barrier.wait();
                    u32::from(notifier.notify().unwrap())
                })
            })
            .collect();
        expect_soon(&mut reactor, &[event(0, true, false)]);
        let writes: u32 = threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum();
        assert_eq!(writes, 1);
        notifier.awake();
        notifier.drain().unwrap();
    }
}

/// Threads send as fast as they can, the loop sleeps without a timeout whenever its inbox is empty: if
/// one wake-up were lost, the loop would sleep for ever and this test would not end.
#[test]
fn no_wake_up_is_lost() {
    const SENDERS: u64 = 3;
    const EACH: u64 = 20_000;
    let (notifier, mut reactor) = registered();
    let shared = Arc::new((notifier, AtomicU64::new(0)));
    let threads: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (notifier, inbox) = &*shared;
                for count in 0..EACH {
                    inbox.fetch_add(1, Ordering::Relaxed);
                    notifier.notify().unwrap();
                    if count % (50 + sender) == 0 {
                        // Lets the loop fall asleep, even on one processor.
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();
    let (notifier, inbox) = &*shared;
    let mut taken = 0;
    while taken < SENDERS * EACH {
        notifier.prepare_sleep();
        let empty = inbox.load(Ordering::Relaxed) == 0;
        let timeout = if empty {
            Timeout::Forever
        } else {
            Timeout::Now
        };
        let events = wait(&mut reactor, timeout);
        notifier.awake();
        if !events.is_empty() {
            notifier.drain().unwrap();
        }
        taken += inbox.swap(0, Ordering::Relaxed);
    }
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(taken, SENDERS * EACH);
    // At most the last write, made for a loop that had found the work itself, is still there.
    notifier.drain().unwrap();
    expect_now(&mut reactor, &[]);
}

#[test]
fn it_is_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Notifier>();
}
