//! `getaddrinfo` and `getnameinfo`: the loop's lookups of names.
//!
//! Both give back a native coroutine (see [`coroutine`](crate::coroutine)). Its first step tries
//! what takes no waiting; everything else is `python/aioxide/names.py`'s, which waits for threads.
//!
//! | the question | is answered by |
//! |---|---|
//! | a numeric host and port, with the usual hints | `aioxide_core::names`, here and now |
//! | another that needs neither a name server nor a file (`127.1`, no host, a scope) | the C library, here and now |
//! | a name | the C library, in a thread of the loop's [`Resolver`] |
//! | anything odd, debug mode, a `socket.getaddrinfo` that somebody has replaced | that very function, in a Python thread |
//!
//! The answer is always that of `socket.getaddrinfo`, and so is the error. So whatever is not
//! plainly what it should be (`question`) is left to the last row, and nothing here makes errors
//! out of arguments. The audit events of the standard library are raised too, by the loop's thread.
//!
//! Files: `question` reads the arguments, `answer` makes Python's values, `lookup` is the
//! coroutine, `resolver` the loop's threads, `stock` knows what the standard library's functions
//! and enumerations are.

mod answer;
mod lookup;
mod question;
mod resolver;
mod stock;

use crate::event_loop::LoopCore;
use crate::ffi::Res;
use crate::ffi::method::TypeBuilder;

pub(crate) use lookup::NameLookup;
pub(crate) use resolver::Resolver;

pub(super) fn methods(b: TypeBuilder<LoopCore>) -> TypeBuilder<LoopCore> {
    lookup::methods(b)
}

/// Makes the classes.
pub(crate) fn build() -> Res<()> {
    stock::initialise()?;
    lookup::build()?;
    resolver::build()
}
