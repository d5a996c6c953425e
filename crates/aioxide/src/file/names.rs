//! What the files use of Python, looked up once.

use std::ffi::CString;

use crate::ffi::module::{Global, import};
use crate::ffi::{Object, Res, value};

macro_rules! file_names {
    ($($name:ident),* $(,)?) => {
        /// Attribute and method names, and the classes that results are made of.
        #[derive(Debug)]
        #[allow(non_snake_case, reason = "they are Python's names")]
        pub(super) struct FileNames {
            $(pub(super) $name: Object,)*
            pub(super) stat_result: Object,
            pub(super) strerror: Object,
            pub(super) stop_async_iteration: Object,
            /// Loops that are not ours, with their rings.
            pub(super) foreign_rings: Object,
        }

        impl FileNames {
            fn make() -> Res<FileNames> {
                let os = import("os")?;
                let builtins = import("builtins")?;
                let of = |module: &Object, name| module.getattr(&*value::text(name)?);
                Ok(FileNames {
                    $($name: interned(stringify!($name))?,)*
                    stat_result: of(&os, "stat_result")?,
                    strerror: of(&os, "strerror")?,
                    stop_async_iteration: of(&builtins, "StopAsyncIteration")?,
                    foreign_rings: of(&import("weakref")?, "WeakKeyDictionary")?.call0()?,
                })
            }
        }
    };
}

file_names! {
    _drain, _flush, _retry, add_reader, append, call_later, call_soon, decode, get, getstate, is_closed, items,
    _slow_read, _slow_readline, _slow_write, _slow_pread, _gives_way, _leave, __cause__, __setitem__,
}

fn interned(name: &str) -> Res<Object> {
    value::interned(&CString::new(name).unwrap_or_default())
}

static NAMES: Global<FileNames> = Global::new();

#[inline(always)]
pub(super) fn names() -> &'static FileNames {
    NAMES.get()
}

pub(super) fn initialise() -> Res<()> {
    NAMES.set(FileNames::make()?);
    Ok(())
}
