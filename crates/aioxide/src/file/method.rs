//! The methods that run per line or per block: what the buffers and the page cache have, without a step of Python.
//!
//! Everything else (waiting, checking, complaining) is the coroutine `_slow_…` of the Python half, which
//! the call then awaits.

use std::cell::Cell;
use std::ffi::CStr;

use super::core::{FileCore, end_use};
use super::names::names;
use super::request::size_of;
use super::text::TextCore;
use super::turn_is_over;
use crate::coroutine::{self, Coroutine, Operation, Outcome, Step};
use crate::ffi::call::Signature;
use crate::ffi::error::Kind;
use crate::ffi::method::TypeBuilder;
use crate::ffi::{Any, Args, Class, Inst, Object, Raised, Res, Slot, SlotOf, Visit, value};

/// Which method was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Which {
    #[default]
    Read,
    ReadLine,
    /// `__anext__`
    Next,
    Write,
    Pread,
}

/// A call of a file's method.
#[derive(Debug, Default)]
pub(crate) struct FileMethod {
    which: Which,
    file: SlotOf<FileCore>,
    text: SlotOf<TextCore>,
    first: Slot,
    second: Slot,
    /// The Python half is at it.
    delegated: Cell<bool>,
    /// A positioned read is under way.
    using: Cell<bool>,
}

pub(crate) type MethodClass = Coroutine<FileMethod>;

static FILE_METHOD: Class<MethodClass> = Class::new(256);

impl Operation for FileMethod {
    const CLASS_NAME: &'static CStr = c"aioxide.FileMethod";

    #[inline(always)]
    fn class() -> &'static Class<Coroutine<Self>> {
        &FILE_METHOD
    }
    fn name(&self) -> &'static str {
        match self.which {
            Which::Read => "read",
            Which::ReadLine => "readline",
            Which::Next => "__anext__",
            Which::Write => "write",
            Which::Pread => "pread",
        }
    }
    fn qualname(&self) -> String {
        format!("File.{}", self.name())
    }
    #[inline]
    fn start(this: &Inst<Coroutine<Self>>) -> Res<Step> {
        if turn_is_over() {
            return give_way(this);
        }
        begin(this)
    }
    fn resume(this: &Inst<Coroutine<Self>>, outcome: Outcome) -> Res<Step> {
        if this.using.replace(false) {
            return end_pread(this, outcome);
        }
        let result = outcome.map_err(Raised::raise)?;
        if this.delegated.get() {
            return finish(this, result);
        }
        // It let others have their turn.
        begin(this)
    }
    fn traverse(&self, visit: &mut Visit) {
        self.file.visit(visit);
        self.text.visit(visit);
        self.first.visit(visit);
        self.second.visit(visit);
    }
    #[inline]
    fn clear(&self) {
        self.file.clear();
        self.text.clear();
        self.first.clear();
        self.second.clear();
    }
}

/// A size argument; `None` for "everything", as in `read(-1)` and `read(None)`.
fn size(argument: &Slot) -> Res<Option<usize>> {
    signed_size(argument).map(|size| usize::try_from(size).ok())
}

fn signed_size(argument: &Slot) -> Res<isize> {
    match argument.get() {
        None => Ok(-1),
        Some(size) if size.is_none() => Ok(-1),
        Some(size) => size.to_size(),
    }
}

/// The size of a `read`: a buffered file of the builtin refuses what is below -1, and a raw one does not.
fn read_size(file: &FileCore, argument: &Slot) -> Res<Option<usize>> {
    let size = signed_size(argument)?;
    if size < -1 && file.is_buffered() && file.is_readable() {
        return Err(Raised::new(
            Kind::Value,
            "read length must be non-negative or -1",
        ));
    }
    Ok(usize::try_from(size).ok())
}

#[inline]
fn begin(this: &Inst<MethodClass>) -> Res<Step> {
    let found = match (this.which, this.file.get(), this.text.get()) {
        (Which::Next, Some(file), _) => file.readline()?,
        (Which::Next, _, Some(text)) => text.readline()?,
        (Which::ReadLine, Some(file), _) if size(&this.first)?.is_none() => file.readline()?,
        (Which::ReadLine, _, Some(text)) if size(&this.first)?.is_none() => text.readline()?,
        (Which::Read, Some(file), _) => file.read(read_size(&file, &this.first)?)?,
        (Which::Read, _, Some(text)) => match size(&this.first)? {
            Some(size) => text.read(size)?,
            None => None,
        },
        (Which::Write, Some(file), _) => match this.first.get() {
            Some(data) => file
                .write(&data)?
                .map(|count| value::uint(count as u64))
                .transpose()?,
            None => None,
        },
        (Which::Pread, Some(file), _) => {
            let (count, offset) = (this.first.get_or_none(), this.second.get_or_none());
            match u64::try_from(offset.to_i64()?) {
                Ok(offset) => {
                    let count = size_of(&count)?;
                    let found = file.pread(count, offset)?;
                    if found.is_none()
                        && let Some(call) = file.pread_call(count, offset)?
                    {
                        this.using.set(true);
                        return Ok(Step::Await(call));
                    }
                    found
                }
                Err(_) => None,
            }
        }
        _ => None,
    };
    match found {
        Some(result) => finish(this, result),
        None => delegate(this),
    }
}

/// Lets the loop run an iteration before the call goes on.
///
/// A call that moves the position takes its place among the file's calls first, so that no later one
/// overtakes it: the Python half waits there.
#[cold]
fn give_way(this: &Inst<MethodClass>) -> Res<Step> {
    // A wrong argument is an error before anything is waited for.
    match (this.which, this.file.get()) {
        (Which::Read, Some(file)) => drop(read_size(&file, &this.first)?),
        (Which::Read | Which::ReadLine, _) => drop(size(&this.first)?),
        _ => {}
    }
    let file = match (this.which, this.file.get(), this.text.get()) {
        (Which::Pread, ..) | (_, None, None) => return Ok(Step::Pass),
        (_, Some(file), _) => file.into_object(),
        (_, None, Some(text)) => text.into_object(),
    };
    file.setattr(&names()._gives_way, &value::bool(true))?;
    delegate(this)
}

/// The ring has read, or failed to.
fn end_pread(this: &Inst<MethodClass>, outcome: Outcome) -> Res<Step> {
    if let Some(file) = this.file.get() {
        end_use(&file)?;
    }
    match outcome {
        Ok(result) => Ok(Step::Return(result)),
        Err(exception) => {
            let raised = Raised::raise(exception);
            if !raised.is_not_ready() {
                return Err(raised);
            }
            raised.discard();
            delegate(this)
        }
    }
}

/// The result, or the end of the iteration.
#[inline]
fn finish(this: &Inst<MethodClass>, result: Object) -> Res<Step> {
    if this.which == Which::Next && !result.is_truthy()? {
        let end = names().stop_async_iteration.call0()?;
        return Err(Raised::raise(end));
    }
    Ok(Step::Return(result))
}

/// The Python half goes on.
fn delegate(this: &Inst<MethodClass>) -> Res<Step> {
    let file = match (this.file.get(), this.text.get()) {
        (Some(file), _) => file.into_object(),
        (None, Some(text)) => text.into_object(),
        (None, None) => return Err(Raised::runtime("the file is gone")),
    };
    let names = names();
    this.delegated.set(true);
    let first = this.first.get_or_none();
    Ok(Step::Await(match this.which {
        Which::Read => file.call_method1(&names._slow_read, &first)?,
        Which::ReadLine | Which::Next => file.call_method1(&names._slow_readline, &first)?,
        Which::Write => file.call_method1(&names._slow_write, &first)?,
        Which::Pread => {
            let second = this.second.get_or_none();
            file.call_method2(&names._slow_pread, &first, &second)?
        }
    }))
}

const READ: Signature<1> = Signature {
    function: "read",
    parameters: [c"size"],
    positional: 1,
    required: 0,
};
const READLINE: Signature<1> = Signature {
    function: "readline",
    parameters: [c"size"],
    positional: 1,
    required: 0,
};
const WRITE: Signature<1> = Signature {
    function: "write",
    parameters: [c"data"],
    positional: 1,
    required: 1,
};
const PREAD: Signature<2> = Signature {
    function: "pread",
    parameters: [c"size", c"offset"],
    positional: 2,
    required: 2,
};

#[inline]
fn on_file(
    this: &Inst<FileCore>,
    which: Which,
    first: Option<&Any>,
    second: Option<&Any>,
) -> Res<Object> {
    Ok(coroutine::create(FileMethod {
        which,
        file: SlotOf::new(Some(this.own())),
        first: Slot::new(first.map(Any::own)),
        second: Slot::new(second.map(Any::own)),
        ..FileMethod::default()
    })?
    .into_object())
}

#[inline]
fn on_text(this: &Inst<TextCore>, which: Which, first: Option<&Any>) -> Res<Object> {
    Ok(coroutine::create(FileMethod {
        which,
        text: SlotOf::new(Some(this.own())),
        first: Slot::new(first.map(Any::own)),
        ..FileMethod::default()
    })?
    .into_object())
}

fn read(this: &Inst<FileCore>, args: Args<'_>) -> Res<Object> {
    let [size] = args.bind(&READ)?;
    on_file(this, Which::Read, size, None)
}

fn readline(this: &Inst<FileCore>, args: Args<'_>) -> Res<Object> {
    let [size] = args.bind(&READLINE)?;
    on_file(this, Which::ReadLine, size, None)
}

fn next(this: &Inst<FileCore>) -> Res<Object> {
    on_file(this, Which::Next, None, None)
}

fn write(this: &Inst<FileCore>, args: Args<'_>) -> Res<Object> {
    let [data] = args.bind(&WRITE)?;
    on_file(this, Which::Write, data, None)
}

fn pread(this: &Inst<FileCore>, args: Args<'_>) -> Res<Object> {
    let [size, offset] = args.bind(&PREAD)?;
    on_file(this, Which::Pread, size, offset)
}

fn itself(this: &Inst<FileCore>) -> Res<Object> {
    Ok(this.as_any().own())
}

fn read_text(this: &Inst<TextCore>, args: Args<'_>) -> Res<Object> {
    let [size] = args.bind(&READ)?;
    on_text(this, Which::Read, size)
}

fn readline_text(this: &Inst<TextCore>, args: Args<'_>) -> Res<Object> {
    let [size] = args.bind(&READLINE)?;
    on_text(this, Which::ReadLine, size)
}

fn next_text(this: &Inst<TextCore>) -> Res<Object> {
    on_text(this, Which::Next, None)
}

fn text_itself(this: &Inst<TextCore>) -> Res<Object> {
    Ok(this.as_any().own())
}

pub(super) fn binary_methods(b: TypeBuilder<FileCore>) -> TypeBuilder<FileCore> {
    b.coroutine(c"read", read, c"read($self, size=-1, /)\n--\n\nRead up to size bytes, or to the end.")
        .coroutine(c"readline", readline, c"readline($self, size=-1, /)\n--\n\nRead a line, or up to size bytes of it.")
        .coroutine(c"write", write, c"write($self, data, /)\n--\n\nWrite bytes; how many.")
        .coroutine(c"pread", pread, c"pread($self, size, offset)\n--\n\nRead up to size bytes at an offset. The position stays.")
        .async_iterates(itself, next)
}

pub(super) fn text_methods(b: TypeBuilder<TextCore>) -> TypeBuilder<TextCore> {
    b.coroutine(
        c"read",
        read_text,
        c"read($self, size=-1, /)\n--\n\nRead up to size characters, or to the end.",
    )
    .coroutine(
        c"readline",
        readline_text,
        c"readline($self, size=-1, /)\n--\n\nRead a line, or up to size characters of it.",
    )
    .async_iterates(text_itself, next_text)
}
