//! asyncio's own functions, taken once at import: what ours fall back to, and what they call.
//!
//! They are taken before anything can be installed in their place.

use crate::ffi::module::{Global, import};
use crate::ffi::{Any, Object, Res, value};

macro_rules! originals {
    (names: $($name:ident),*; tasks: $($task:ident),*; optional: $($optional:ident),*;) => {
        /// Names, functions and classes.
        #[derive(Debug)]
        pub(crate) struct Originals {
            pub(crate) names: OriginalNames,
            /// The module `asyncio.tasks`.
            pub(crate) tasks: Object,
            $(pub(crate) $task: Object,)*
            $(pub(crate) $optional: Option<Object>,)*
            /// `asyncio.timeouts._State`, by the order of our own.
            pub(crate) timeout_states: [Object; 5],
            /// `Timeout._insert_timeout_error` (3.13 and later).
            pub(crate) insert_timeout_error: Option<Object>,
            pub(crate) exception_group: Object,
            pub(crate) timeout_error: Object,
            pub(crate) round: Object,
        }

        /// Interned method names.
        #[derive(Debug)]
        pub(crate) struct OriginalNames { $(pub(crate) $name: Object,)* }

        fn make() -> Res<Originals> {
            let tasks = import("asyncio.tasks")?;
            let timeouts = import("asyncio.timeouts")?;
            let builtins = import("builtins")?;
            let states = member(&timeouts, "_State")?;
            let state = |name| member(&states, name);
            Ok(Originals {
                names: OriginalNames { $($name: value::text(stringify!($name))?,)* },
                $($task: member(&tasks, stringify!($task))?,)*
                $($optional: tasks.getattr_opt(&*value::text(stringify!($optional))?)?,)*
                tasks: tasks.clone(),
                timeout_states: [
                    state("CREATED")?,
                    state("ENTERED")?,
                    state("EXPIRING")?,
                    state("EXPIRED")?,
                    state("EXITED")?,
                ],
                insert_timeout_error: member(&timeouts, "Timeout")?
                    .getattr_opt(&*value::text("_insert_timeout_error")?)?,
                exception_group: member(&builtins, "ExceptionGroup")?,
                timeout_error: member(&builtins, "TimeoutError")?,
                round: member(&builtins, "round")?,
            })
        }
    };
}

originals! {
    names: current_task, time, call_at, cancelled, uncancel, cancelling, exceptions,
        _make_cancelled_error, _cancel_message, _on_timeout, _on_task_done, create_task;
    tasks: create_task, current_task, gather, wait, wait_for, ensure_future;
    optional: _log_on_exception, _discard_awaited_by;
}

fn member(object: &Any, name: &str) -> Res<Object> {
    object.getattr(&*value::text(name)?)
}

static ORIGINALS: Global<Originals> = Global::new();

#[inline(always)]
pub(crate) fn originals() -> &'static Originals {
    ORIGINALS.get()
}

pub(super) fn initialise() -> Res<()> {
    ORIGINALS.set(make()?);
    Ok(())
}
