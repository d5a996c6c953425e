//! Files: reading and writing without a thread between, on our loop and on any other.
//!
//! * [`ring`] is a loop's [`Proactor`](aioxide_driver::Proactor): its descriptor is watched by the loop, what completes
//!   resolves the waiter of a call, and nothing of the caller's runs in between.
//! * [`call`] is one operation as a coroutine, `file_read(fd, size, offset)` and its like: what can be had at once
//!   is had without suspending, the rest goes through the ring. `request` reads the arguments.
//! * [`transfer`] makes one read or write of as many operations as it takes.
//! * [`core`] is the state of an open file: where it stands, what was read ahead, what is still to be
//!   written; [`text`] the same for decoded text.
//! * [`method`] is `read`, `readline`, `write`, `async for` and the others that run per line or per block, as coroutines:
//!   they do what the buffers and the page cache allow, and else hand over to the coroutine of the same name in
//!   `python/aioxide/files`.
//!
//! # Who changes what
//!
//! A file is *busy* while a coroutine of the Python half works on it (its lock is held). The native half
//! touches buffers and position only while it is not, within one step and without a call to
//! Python in between. So a read has happened or has not: a position only moves together with the result that is
//! handed out, and an operation of the ring never moves it (reads and writes name their offset, except for
//! files that have none).
//!
//! # Cancelling
//!
//! | what waits | when it is cancelled |
//! |---|---|
//! | a read into fresh bytes, `stat`, waiting for a pipe | the kernel is told, the bytes live on until it is done, nobody looks at them |
//! | `open` | the same; a descriptor that still comes is closed |
//! | a write, a read into somebody's buffer, anything that changes a name | the kernel is told, and its answer waited for: then it has happened or it has not |
//!
//! `close()` of a coroutine cannot wait; there too the memory lives on.

mod call;
mod core;
mod method;
mod names;
mod request;
mod ring;
mod text;
mod transfer;

use std::cell::Cell;

use crate::coroutine;
use crate::ffi::Res;
use crate::tuning;

pub(crate) use self::call::{CallClass, FileCall};
pub(crate) use self::core::FileCore;
pub(crate) use self::method::{FileMethod, MethodClass};
pub(crate) use self::request::functions;
pub(crate) use self::ring::Ring;
pub(crate) use self::text::TextCore;

thread_local! {
    /// Whether anything may be had at once. Off in tests of what happens else.
    static AT_ONCE: Cell<bool> = const { Cell::new(true) };
    /// What was had at once since the loop last turned.
    static SPENT: Cell<usize> = const { Cell::new(0) };
}

/// Whether to try without the ring first.
fn at_once() -> bool {
    AT_ONCE.get()
}

fn set_at_once(value: bool) {
    AT_ONCE.set(value);
}

/// Notes a read or write that was made at once.
#[inline]
fn spend(bytes: usize) {
    SPENT.set(SPENT.get() + tuning::FILE_READ + bytes / tuning::FILE_PIECE);
}

/// Whether it is somebody else's turn; asked before each operation.
#[inline]
fn turn_is_over() -> bool {
    let spent = SPENT.get() + 1;
    let over = spent >= tuning::FILE_TURN;
    SPENT.set(if over { 0 } else { spent });
    over
}

/// Makes the classes.
pub(crate) fn build() -> Res<()> {
    names::initialise()?;
    ring::build()?;
    coroutine::build::<FileCall>(c"A file operation: a coroutine.")?;
    coroutine::build::<FileMethod>(c"A call of a method of a file: a coroutine.")?;
    core::build()?;
    text::build()
}
