//! What `read`, `readexactly`, `readline`, `readuntil` and `async for` give back.

use std::cell::{Cell, RefCell};
use std::ffi::CStr;

use aioxide_core::Separators;
use aioxide_core::stream_buffer::{Found, NoSeparators, reserve};

use super::reader::StreamReader;
use crate::coroutine::{self, Coroutine, Operation, Outcome, Step};
use crate::ffi::buffer::{Buffer, bytes_slice};
use crate::ffi::compat::set_context;
use crate::ffi::error::Kind;
use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Class, Inst, Object, Own, Raised, Res, Slot, SlotOf, Visit, value};

/// Which method was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Method {
    #[default]
    Read,
    /// `read(-1)`, known at the first step.
    ReadAll,
    ReadExactly,
    ReadLine,
    ReadUntil,
    Next,
    /// `_wait_for_data`.
    Wait,
}

const TOO_LONG: &str = "Separator is not found, and chunk exceed the limit";
const FOUND_TOO_FAR: &str = "Separator is found, but chunk is longer than limit";

/// `aioxide.ReadOp`, the coroutine.
pub(crate) type ReadOp = Coroutine<ReadCall>;

/// What only `read(-1)` needs: a word in each call, not three.
#[allow(clippy::box_collection, reason = "see above")]
type Gathered = Option<Box<Vec<u8>>>;

/// The call and what it has so far.
#[derive(Debug, Default)]
pub(crate) struct ReadCall {
    reader: SlotOf<StreamReader>,
    method: Cell<Method>,
    /// The size or the separators, as given.
    argument: Slot,
    size: Cell<usize>,
    /// `None` for a line's end.
    separators: RefCell<Option<Box<Separators>>>,
    /// Before this there is no separator in the storage.
    searched: Cell<usize>,
    /// What `read(-1)` has taken out of the storage.
    gathered: RefCell<Gathered>,
    /// The result, laid here by the reader when it came.
    ready: Slot,
    future: Slot,
    /// A method of a derived class is awaited.
    delegated: Cell<bool>,
}

static READ_OP: Class<ReadOp> = Class::new(256);

/// A call that has not begun.
#[inline]
pub(super) fn create(
    method: Method,
    reader: &Inst<StreamReader>,
    argument: Option<&Any>,
) -> Res<Object> {
    let op = coroutine::create(ReadCall {
        reader: SlotOf::new(Some(reader.own())),
        method: Cell::new(method),
        argument: Slot::new(argument.map(Any::own)),
        ..ReadCall::default()
    })?;
    Ok(op.into_object())
}

pub(super) fn build() -> Res<()> {
    coroutine::build::<ReadCall>(
        c"A call of one of a StreamReader's methods that read: a coroutine.",
    )
}

impl Operation for ReadCall {
    const CLASS_NAME: &'static CStr = c"aioxide.ReadOp";

    #[inline(always)]
    fn class() -> &'static Class<ReadOp> {
        &READ_OP
    }

    fn name(&self) -> &'static str {
        match self.method.get() {
            Method::Read | Method::ReadAll => "read",
            Method::ReadExactly => "readexactly",
            Method::ReadLine => "readline",
            Method::ReadUntil => "readuntil",
            Method::Next => "__anext__",
            Method::Wait => "_wait_for_data",
        }
    }

    fn qualname(&self) -> String {
        format!("StreamReader.{}", self.name())
    }

    #[inline]
    fn start(this: &Inst<ReadOp>) -> Res<Step> {
        let reader = this.reader()?;
        match this.method.get() {
            Method::Read | Method::ReadAll => this.start_read(&reader),
            Method::ReadExactly => this.start_exactly(&reader),
            Method::ReadLine | Method::Next => {
                if !reader.is_plain()? {
                    return this.delegate(&reader);
                }
                raise_exception(&reader)?;
                this.advance(&reader)
            }
            Method::ReadUntil => this.start_until(&reader),
            Method::Wait => {
                let name = this.argument.get_or_none().str()?.text_lossy();
                this.wait(&reader, &name)
            }
        }
    }

    #[inline]
    fn resume(this: &Inst<ReadOp>, outcome: Outcome) -> Res<Step> {
        let reader = this.reader()?;
        if this.delegated.get() {
            return this.delegate_ended(&reader, outcome);
        }
        if let Some(future) = this.future.take() {
            reader.stop_waiting(&future);
        }
        let result = this.ready.take();
        if result.is_some() {
            reader.took();
        }
        match outcome {
            Ok(_) => match result {
                Some(result) => {
                    reader.maybe_resume()?;
                    this.give(result)
                }
                None if this.method.get() == Method::Wait => Ok(Step::Return(value::none())),
                None => this.advance(&reader),
            },
            Err(exception) => {
                this.put_back(&reader, result.as_deref())?;
                Err(Raised::raise(exception))
            }
        }
    }

    fn traverse(&self, visit: &mut Visit) {
        self.reader.visit(visit);
        for slot in [&self.argument, &self.ready, &self.future] {
            slot.visit(visit);
        }
    }

    fn clear(&self) {
        if let (Some(reader), Some(future)) = (self.reader.get(), self.future.take()) {
            reader.stop_waiting(&future);
        }
        self.reader.clear();
        self.argument.clear();
        self.ready.clear();
    }
}

/// The exception that the connection ended with.
#[inline]
fn raise_exception(reader: &Inst<StreamReader>) -> Res<()> {
    match reader.exception.get() {
        Some(exception) => Err(Raised::raise(exception)),
        None => Ok(()),
    }
}

impl Inst<ReadOp> {
    #[inline]
    fn reader(&self) -> Res<Own<StreamReader>> {
        self.reader
            .get()
            .ok_or_else(|| Raised::runtime("the reader is gone"))
    }

    #[inline]
    fn start_read(&self, reader: &Inst<StreamReader>) -> Res<Step> {
        raise_exception(reader)?;
        let size = self.argument.get_or_none().to_clamped_size()?;
        if size < 0 {
            self.method.set(Method::ReadAll);
        } else if size == 0 {
            return value::bytes(&[]).map(Step::Return);
        }
        self.size.set(size.unsigned_abs());
        self.advance(reader)
    }

    #[inline]
    fn start_exactly(&self, reader: &Inst<StreamReader>) -> Res<Step> {
        let size = self.argument.get_or_none().to_clamped_size()?;
        let Ok(size) = usize::try_from(size) else {
            return Err(Raised::new(
                Kind::Value,
                "readexactly size can not be less than zero",
            ));
        };
        raise_exception(reader)?;
        if size == 0 {
            return value::bytes(&[]).map(Step::Return);
        }
        self.size.set(size);
        self.advance(reader)
    }

    fn start_until(&self, reader: &Inst<StreamReader>) -> Res<Step> {
        let argument = self.argument.get_or_none();
        if bytes_slice(&argument) != Some(b"\n") {
            let separators = separators(&argument)?;
            drop(self.separators.replace(Some(Box::new(separators))));
        }
        raise_exception(reader)?;
        self.advance(reader)
    }

    /// Takes the result out of the storage, or waits for more.
    #[inline]
    fn advance(&self, reader: &Inst<StreamReader>) -> Res<Step> {
        match self.method.get() {
            Method::Read => {
                if reader.storage.is_empty() && !reader.eof.get() {
                    return self.wait(reader, "read");
                }
                self.take(reader, self.size.get())
            }
            Method::ReadAll => self.gather(reader),
            Method::ReadExactly => {
                let size = self.size.get();
                if reader.storage.len() >= size {
                    return self.take(reader, size);
                }
                if reader.eof.get() {
                    return Err(incomplete(reader, &self.argument.get_or_none())?);
                }
                self.wait(reader, "readexactly")
            }
            Method::ReadLine | Method::ReadUntil | Method::Next => self.search(reader),
            Method::Wait => Ok(Step::Return(value::none())),
        }
    }

    #[inline]
    fn take(&self, reader: &Inst<StreamReader>, size: usize) -> Res<Step> {
        let data = reader.storage.take(size)?;
        reader.maybe_resume()?;
        self.give(data)
    }

    /// Ends with this result.
    #[inline]
    fn give(&self, data: Object) -> Res<Step> {
        if self.method.get() == Method::Next && bytes_slice(&data).is_some_and(<[u8]>::is_empty) {
            return Err(Raised::raise(Kind::StopAsyncIteration.as_any().call0()?));
        }
        Ok(Step::Return(data))
    }

    #[inline]
    fn wait(&self, reader: &Inst<StreamReader>, method: &str) -> Res<Step> {
        let future = match reader.wait(self, method) {
            Ok(future) => future,
            Err(raised) => {
                let exception = raised.take();
                self.put_back(reader, None)?;
                return Err(Raised::raise(exception));
            }
        };
        self.future.set(future.clone());
        Ok(Step::Await(future))
    }

    /// `read(-1)`: everything until the end.
    fn gather(&self, reader: &Inst<StreamReader>) -> Res<Step> {
        loop {
            raise_exception(reader).or_else(|raised| {
                let exception = raised.take();
                self.put_back(reader, None)?;
                Err(Raised::raise(exception))
            })?;
            if reader.storage.is_empty() {
                if reader.eof.get() {
                    let all = self.gathered.take().unwrap_or_default();
                    return value::bytes(&all).map(Step::Return);
                }
                return self.wait(reader, "read");
            }
            let count = reader.storage.len();
            let gathered = reader.storage.with(|data| {
                let mut gathered = self.gathered.borrow_mut();
                let gathered = gathered.get_or_insert_default();
                reserve(gathered, data.len())?;
                gathered.extend_from_slice(data);
                Ok(())
            });
            if let Err(raised) = gathered {
                self.put_back(reader, None)?;
                return Err(raised);
            }
            reader.storage.consume(count)?;
            reader.maybe_resume()?;
        }
    }

    /// What was taken out and never handed over goes back to the reader.
    fn put_back(&self, reader: &Inst<StreamReader>, result: Option<&Any>) -> Res<()> {
        if let Some(data) = result.and_then(bytes_slice)
            && !data.is_empty()
        {
            reader.storage.unread(data)?;
        }
        if let Some(gathered) = self.gathered.take() {
            reader.storage.unread(&gathered)?;
        }
        Ok(())
    }

    fn find(&self, data: &[u8], from: usize) -> Option<Found> {
        if let Some(separators) = &*self.separators.borrow() {
            return separators.find(data, from);
        }
        memchr::memchr(b'\n', data.get(from..)?).map(|at| Found {
            start: from + at,
            end: from + at + 1,
        })
    }

    fn search(&self, reader: &Inst<StreamReader>) -> Res<Step> {
        let (shortest, longest) = match &*self.separators.borrow() {
            Some(separators) => (separators.shortest(), separators.longest()),
            None => (1, 1),
        };
        let from = self.searched.get();
        let stored = reader.storage.len();
        let limit = reader.limit.get();
        if stored >= from.saturating_add(shortest) {
            if let Some(found) = reader.storage.with(|data| self.find(data, from)) {
                if found.start > limit {
                    return self.overrun(reader, FOUND_TOO_FAR, found.start);
                }
                return self.take(reader, found.end);
            }
            let searched = (stored + 1).saturating_sub(longest);
            self.searched.set(searched);
            if searched > limit {
                return self.overrun(reader, TOO_LONG, searched);
            }
        }
        if reader.eof.get() {
            if self.method.get() == Method::ReadUntil {
                return Err(incomplete(reader, value::none_ref())?);
            }
            // A line may end with the stream.
            let line = reader.storage.take(stored)?;
            return self.give(line);
        }
        self.wait(reader, "readuntil")
    }

    /// More has come than the limit allows.
    #[cold]
    fn overrun(&self, reader: &Inst<StreamReader>, why: &str, consumed: usize) -> Res<Step> {
        let message = value::text(why)?;
        let error = imports()
            .limit_overrun_error
            .call(&[&message, &*value::uint(consumed as u64)?])?;
        if self.method.get() == Method::ReadUntil {
            return Err(Raised::raise(error));
        }
        Err(line_too_long(reader, &error, consumed, &message)?)
    }

    /// A derived class may have another `readuntil` or `readline`.
    #[cold]
    fn delegate(&self, reader: &Inst<StreamReader>) -> Res<Step> {
        self.delegated.set(true);
        let awaitable = if self.method.get() == Method::Next {
            reader.as_any().call_method0(&names().readline)?
        } else {
            let newline = value::bytes(b"\n")?;
            reader.as_any().call_method1(&names().readuntil, &newline)?
        };
        Ok(Step::Await(awaitable))
    }

    #[cold]
    fn delegate_ended(&self, reader: &Inst<StreamReader>, outcome: Outcome) -> Res<Step> {
        let exception = match outcome {
            Ok(data) => return self.give(data),
            Err(exception) => exception,
        };
        if self.method.get() == Method::Next {
            return Err(Raised::raise(exception));
        }
        if exception.is_instance(&imports().incomplete_read_error)? {
            return exception.getattr(&names().partial).map(Step::Return);
        }
        if exception.is_instance(&imports().limit_overrun_error)? {
            let consumed = exception.getattr(&names().consumed)?.to_i64()?;
            let message = exception.getattr(&names().args)?.item(0)?;
            let consumed = usize::try_from(consumed).unwrap_or(0);
            return Err(line_too_long(reader, &exception, consumed, &message)?);
        }
        Err(Raised::raise(exception))
    }

    /// How many bytes to receive at most.
    #[inline]
    pub(super) fn appetite(&self, most: usize) -> usize {
        match self.method.get() {
            Method::Read => most.min(self.size.get()),
            _ => most,
        }
    }

    /// How many of `waiting` bytes are its result as they come.
    pub(super) fn expects(&self, waiting: usize) -> usize {
        let size = self.size.get();
        match self.method.get() {
            Method::Read => waiting.min(size),
            Method::ReadExactly if waiting >= size => size,
            _ => 0,
        }
    }

    /// This is its result.
    pub(super) fn get_ready(&self, result: Object) {
        self.ready.set(result);
    }

    /// Whether `stored` bytes are not enough.
    #[inline]
    pub(super) fn wants_more_than(&self, stored: usize) -> bool {
        self.method.get() == Method::ReadExactly && stored < self.size.get() && self.ready.is_none()
    }

    /// Makes the result of what has just come, if it is enough and nothing is stored; says how many
    /// bytes of it.
    #[inline]
    pub(super) fn accept(&self, data: &[u8], limit: usize) -> Res<Option<usize>> {
        let count = match self.method.get() {
            Method::Read => data.len().min(self.size.get()),
            Method::ReadExactly if data.len() >= self.size.get() => self.size.get(),
            Method::ReadLine | Method::ReadUntil | Method::Next => match self.find(data, 0) {
                Some(found) if found.start <= limit => found.end,
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        self.ready.set(value::bytes(&data[..count])?);
        Ok(Some(count))
    }
}

/// `IncompleteReadError` with what there is, which is forgotten.
#[cold]
fn incomplete(reader: &Inst<StreamReader>, expected: &Any) -> Res<Raised> {
    let partial = reader.storage.take(reader.storage.len())?;
    let error = imports()
        .incomplete_read_error
        .call(&[&partial, expected])?;
    Ok(Raised::raise(error))
}

/// `readline`'s error for a line that exceeds the limit; the line is forgotten, or all there is.
#[cold]
fn line_too_long(
    reader: &Inst<StreamReader>,
    error: &Any,
    consumed: usize,
    message: &Any,
) -> Res<Raised> {
    let ends_there = reader
        .storage
        .with(|data| data.get(consumed) == Some(&b'\n'));
    reader.storage.consume(if ends_there {
        consumed + 1
    } else {
        reader.storage.len()
    })?;
    reader.maybe_resume()?;
    let refusal = Kind::Value.as_any().call1(message)?;
    set_context(&refusal, error);
    Ok(Raised::raise(refusal))
}

/// A copy of bytes whose number the program decides.
fn copied(octets: &[u8]) -> Res<Vec<u8>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(octets.len())?;
    copy.extend_from_slice(octets);
    Ok(copy)
}

/// What `readuntil` was asked to look for.
#[cold]
fn separators(argument: &Any) -> Res<Separators> {
    let octets = |separator: &Any| copied(Buffer::readable(separator)?.as_slice());
    let listed = if argument.is_tuple() {
        argument
            .tuple_items()
            .iter()
            .map(|separator| octets(separator))
            .collect::<Res<Vec<_>>>()?
    } else {
        vec![octets(argument)?]
    };
    Separators::new(listed).map_err(|why| {
        Raised::new(
            Kind::Value,
            match why {
                NoSeparators::None => "Separator should contain at least one element",
                NoSeparators::Empty => "Separator should be at least one-byte string",
            },
        )
    })
}
