//! One file operation as a coroutine.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};

use aioxide_driver::op::{Op, Open, Outcome, Stat, Statx};
use aioxide_driver::proactor::{Id, open_now, read_stream, stat_now, write_stream};

use super::names::names;
use super::ring::{self, Done, Ring};
use super::transfer::{Attempt, Transfer};
use super::{at_once, spend, turn_is_over};
use crate::coroutine::{Coroutine, Operation, Outcome as Awaited, Step};
use crate::ffi::error::Kind;
use crate::ffi::file_memory::{FileMemory, filled_bytes};
use crate::ffi::{Any, Class, Inst, Object, Own, Raised, Res, Slot, SlotOf, Visit, value};
use crate::future::running_loop;

const EINTR: i32 = 4;
const EAGAIN: i32 = 11;
const S_IFMT: u16 = 0o170_000;
const S_IFREG: u16 = 0o100_000;

/// What is asked for, until it is the kernel's.
#[derive(Debug, Default)]
pub(super) enum Request {
    /// A read or write of this memory.
    Transfer(Transfer, FileMemory),
    /// Reading what a pipe has now: `None` if that is nothing yet.
    ReadStream(RawFd, usize),
    /// Writing what a pipe takes now: `None` if that is nothing.
    WriteStream(RawFd, FileMemory),
    Open(CString, i32, u32),
    Stat(CString, bool),
    /// Anything that only the ring can do.
    Other(Op<FileMemory>),
    #[default]
    Taken,
}

/// How a call ends when it is cancelled, and how its result looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Manner {
    /// The kernel's answer is waited for.
    pub(super) patient: bool,
    /// The result is the memory, not its length.
    pub(super) bytes: bool,
}

/// The state of a file operation.
#[derive(Debug, Default)]
pub(crate) struct FileCall {
    name: &'static str,
    request: RefCell<Request>,
    manner: Manner,
    /// How far a read or write is.
    transfer: Cell<Option<Transfer>>,
    /// The paths, for the exception.
    path: Slot,
    target: Slot,
    /// A list that the result is appended to, also when the call was cancelled meanwhile.
    report: Slot,
    ring: SlotOf<Ring>,
    id: Cell<Option<Id>>,
    done: RefCell<Option<Done>>,
    /// The exception that was thrown in while the kernel had not answered.
    thrown: Slot,
}

pub(crate) type CallClass = Coroutine<FileCall>;

static FILE_CALL: Class<CallClass> = Class::new(256);

impl Operation for FileCall {
    const CLASS_NAME: &'static CStr = c"aioxide.FileCall";

    #[inline(always)]
    fn class() -> &'static Class<Coroutine<Self>> {
        &FILE_CALL
    }
    fn name(&self) -> &'static str {
        self.name
    }
    fn qualname(&self) -> String {
        self.name.to_owned()
    }
    fn start(this: &Inst<Coroutine<Self>>) -> Res<Step> {
        if turn_is_over() {
            return Ok(Step::Pass);
        }
        begin(this)
    }
    fn resume(this: &Inst<Coroutine<Self>>, outcome: Awaited) -> Res<Step> {
        if this.ring.get().is_none() {
            // It let others have their turn.
            outcome.map_err(Raised::raise)?;
            return begin(this);
        }
        if let Some(done) = this.done.take() {
            // A cancellation that came after the completion is still one.
            if let Err(exception) = outcome
                && this.thrown.is_none()
            {
                this.thrown.set(exception);
            }
            return end(this, done);
        }
        match outcome {
            // Somebody resolved the waiter who is not us.
            Ok(_) => wait_again(this),
            Err(exception) => interrupted(this, exception),
        }
    }
    fn traverse(&self, visit: &mut Visit) {
        for slot in [&self.path, &self.target, &self.report, &self.thrown] {
            slot.visit(visit);
        }
        self.ring.visit(visit);
    }
    fn clear(&self) {
        let request = self.request.take();
        let done = self.done.take();
        self.path.clear();
        self.target.clear();
        self.report.clear();
        self.thrown.clear();
        self.ring.clear();
        drop((request, done));
    }
}

impl FileCall {
    pub(super) fn new(name: &'static str, request: Request, manner: Manner) -> FileCall {
        FileCall {
            name,
            request: request.into(),
            manner,
            ..FileCall::default()
        }
    }

    /// With the paths that its exception is to name.
    pub(super) fn about(self, path: Option<&Any>, target: Option<&Any>) -> FileCall {
        if let Some(path) = path {
            self.path.set(path.own());
        }
        if let Some(target) = target {
            self.target.set(target.own());
        }
        self
    }

    /// Appends its result to this list, also when it is cancelled meanwhile.
    pub(super) fn report_to(&self, list: &Any) {
        self.report.set(list.own());
    }

    /// The completion has come.
    pub(super) fn finished(&self, done: Done) {
        let old = self.done.replace(Some(done));
        drop(old);
    }
}

/// What could be had without waiting.
enum AtOnce {
    Result(Object),
    Failed(io::Error),
    /// Only the ring can do it.
    Later(Op<FileMemory>),
}

/// Errors that say "not like this", not "it failed".
fn is_later(error: &io::Error) -> bool {
    const ENOSYS: i32 = 38;
    const EOPNOTSUPP: i32 = 95;
    const EINVAL: i32 = 22;
    const EPERM: i32 = 1;
    matches!(
        error.raw_os_error(),
        Some(EAGAIN | EINTR | ENOSYS | EOPNOTSUPP | EINVAL | EPERM)
    )
}

fn begin(this: &Inst<CallClass>) -> Res<Step> {
    let request = this.request.take();
    if let Request::Transfer(transfer, memory) = request {
        return begin_transfer(this, transfer, memory);
    }
    match try_now(request)? {
        AtOnce::Result(result) => {
            report(this, &result)?;
            Ok(Step::Return(result))
        }
        AtOnce::Failed(error) => Err(raise(this, &error)),
        AtOnce::Later(op) => submit(this, op),
    }
}

/// Reads what the page cache has, and leaves the rest to the ring.
fn begin_transfer(this: &Inst<CallClass>, mut transfer: Transfer, memory: FileMemory) -> Res<Step> {
    match transfer.read_at_once(memory, is_later) {
        Attempt::Complete(memory) => {
            let result = to_python(this, Outcome::Count(transfer.done), Some(memory))?;
            Ok(Step::Return(result))
        }
        Attempt::Failed(error) => Err(raise(this, &error)),
        Attempt::Rest(memory) => {
            this.transfer.set(Some(transfer));
            submit(this, transfer.op(memory))
        }
    }
}

fn try_now(request: Request) -> Res<AtOnce> {
    match request {
        Request::ReadStream(fd, size) => Ok(match stream_at_once(fd, size)? {
            Ok(bytes) => AtOnce::Result(bytes),
            Err(error) => stream_answer(error),
        }),
        Request::WriteStream(fd, mut memory) => Ok(match memory_write(fd, &mut memory) {
            Ok(count) => AtOnce::Result(value::uint(count as u64)?),
            Err(error) => stream_answer(error),
        }),
        Request::Open(path, flags, mode) => {
            match open_at_once(&path, flags, mode) {
                Ok(fd) => return opened(fd).map(AtOnce::Result),
                Err(error) if is_later(&error) => {}
                Err(error) => return Ok(AtOnce::Failed(error)),
            }
            Ok(AtOnce::Later(Op::Open(Open::new(path, flags, mode))))
        }
        Request::Stat(path, follow) => {
            if at_once() {
                match stat_now(&path, follow) {
                    Ok(stat) => return stat_result(&stat).map(AtOnce::Result),
                    Err(error) if is_later(&error) => {}
                    Err(error) => return Ok(AtOnce::Failed(error)),
                }
            }
            Ok(AtOnce::Later(Op::Stat(Stat::path(path, follow))))
        }
        Request::Other(op) => Ok(AtOnce::Later(op)),
        Request::Transfer(..) | Request::Taken => {
            Err(Raised::runtime("the operation has begun already"))
        }
    }
}

/// A pipe that is not ready: `None`, and the caller waits for it. An old kernel that does not know how to ask: `None`
/// too, in the same way as a full pipe, since the caller then asks only after it was reported ready.
fn stream_answer(error: io::Error) -> AtOnce {
    if is_later(&error) {
        AtOnce::Result(value::none())
    } else {
        AtOnce::Failed(error)
    }
}

fn memory_write(fd: RawFd, memory: &mut FileMemory) -> io::Result<usize> {
    match memory {
        FileMemory::Lent(buffer) => write_stream(fd, buffer.as_slice()),
        FileMemory::Fresh(..) => Ok(0),
    }
}

/// A read of what a pipe has, as fresh bytes.
fn stream_at_once(fd: RawFd, size: usize) -> Res<io::Result<Object>> {
    let mut result = Ok(0);
    let bytes = filled_bytes(size, |memory| {
        result = read_stream(fd, memory);
        *result.as_ref().unwrap_or(&0)
    })?;
    Ok(result.map(|count| {
        spend(count);
        bytes
    }))
}

/// Only what is known to be a regular file: opening a pipe waits for its other end.
fn open_at_once(path: &CStr, flags: i32, mode: u32) -> io::Result<OwnedFd> {
    const O_CREAT_OR_TRUNC: i32 = 0o1100;
    if !at_once() || flags & O_CREAT_OR_TRUNC != 0 {
        return Err(io::Error::from_raw_os_error(EAGAIN));
    }
    let stat = stat_now(path, true)?;
    if stat.get().stx_mode & S_IFMT != S_IFREG {
        return Err(io::Error::from_raw_os_error(EAGAIN));
    }
    spend(0);
    open_now(path, flags, mode)
}

fn submit(this: &Inst<CallClass>, op: Op<FileMemory>) -> Res<Step> {
    let loop_ = running_loop()?;
    let ring = ring::of(&loop_)?;
    this.ring.set(ring.clone());
    let (id, awaited) = ring.submit(&loop_, op, this)?;
    this.id.set(Some(id));
    Ok(Step::Await(awaited))
}

fn ring_and_id(this: &Inst<CallClass>) -> Res<(Own<Ring>, Id)> {
    match (this.ring.get(), this.id.get()) {
        (Some(ring), Some(id)) => Ok((ring, id)),
        _ => Err(Raised::runtime("the operation is gone")),
    }
}

fn wait_again(this: &Inst<CallClass>) -> Res<Step> {
    let (ring, id) = ring_and_id(this)?;
    let awaited = ring.wait_again(&*running_loop()?, id, this)?;
    Ok(Step::Await(awaited))
}

/// Something was thrown in while the kernel had not answered: cancelled, usually.
fn interrupted(this: &Inst<CallClass>, exception: Object) -> Res<Step> {
    let (ring, id) = ring_and_id(this)?;
    ring.cancel(id);
    if !this.manner.patient || exception.is_subtype_of(Kind::GeneratorExit.as_any()) {
        ring.forget(id);
        return Err(Raised::raise(exception));
    }
    this.thrown.set(exception);
    match this.done.take() {
        Some(done) => end(this, done),
        None => wait_again(this),
    }
}

/// The kernel has answered.
fn end(this: &Inst<CallClass>, done: Done) -> Res<Step> {
    let Done { mut result, memory } = done;
    let cancelled = this.thrown.is_some();
    let mut memory = memory;
    if let Some(mut transfer) = this.transfer.get()
        && let Some(used) = memory.take()
    {
        let goes_on = match &result {
            Ok(Outcome::Count(count)) => {
                let more = transfer.advance(*count, &used);
                this.transfer.set(Some(transfer));
                more && (transfer.writing || !cancelled)
            }
            Ok(_) => false,
            Err(error) => transfer.again_after(error, cancelled),
        };
        if goes_on {
            return submit(this, transfer.op(used));
        }
        if result.is_ok() || (transfer.writing && transfer.done > 0) {
            // An error behind the first bytes is the next write's.
            result = Ok(Outcome::Count(transfer.done));
        }
        memory = Some(used);
    }
    let outcome = match result {
        Ok(outcome) => outcome,
        Err(error) => {
            drop(memory);
            let thrown = this.thrown.take();
            return Err(match thrown {
                Some(exception) => Raised::raise(exception),
                None => raise(this, &error),
            });
        }
    };
    if !this.manner.patient
        && let Some(exception) = this.thrown.take()
    {
        // A descriptor that has just been opened is closed by this.
        drop((outcome, memory));
        return Err(Raised::raise(exception));
    }
    let result = to_python(this, outcome, memory)?;
    report(this, &result)?;
    match this.thrown.take() {
        Some(exception) => Err(Raised::raise(exception)),
        None => Ok(Step::Return(result)),
    }
}

fn report(this: &Inst<CallClass>, result: &Object) -> Res<()> {
    match this.report.get() {
        Some(list) => list.call_method1(&names().append, result).map(drop),
        None => Ok(()),
    }
}

fn to_python(this: &Inst<CallClass>, outcome: Outcome, memory: Option<FileMemory>) -> Res<Object> {
    match outcome {
        Outcome::Count(count) => match memory {
            Some(memory) if this.manner.bytes => memory.into_bytes(count),
            _ => value::uint(count as u64),
        },
        Outcome::Fd(fd) => opened(fd),
        Outcome::Stat(stat) => stat_result(&stat),
        Outcome::Done => Ok(value::none()),
    }
}

/// The number of a descriptor, which is Python's from now on.
fn opened(fd: OwnedFd) -> Res<Object> {
    let number = value::int(i64::from(fd.as_raw_fd()))?;
    let _ = fd.into_raw_fd();
    Ok(number)
}

/// The `OSError` for an errno, with the paths that were given.
#[cold]
fn raise(this: &Inst<CallClass>, error: &io::Error) -> Raised {
    let make = || -> Res<Object> {
        let errno = value::int(i64::from(error.raw_os_error().unwrap_or(5)))?;
        let text = names().strerror.call1(&errno)?;
        let class = Kind::Os.as_any();
        match (this.path.get(), this.target.get()) {
            (Some(path), Some(target)) => {
                class.call(&[&errno, &text, &path, value::none_ref(), &target])
            }
            (Some(path), None) => class.call(&[&errno, &text, &path]),
            _ => class.call(&[&errno, &text]),
        }
    };
    match make() {
        Ok(exception) => Raised::raise(exception),
        Err(raised) => raised,
    }
}

/// `os.stat_result`.
pub(super) fn stat_result(stat: &Statx) -> Res<Object> {
    let raw = stat.get();
    let times = [&raw.stx_atime, &raw.stx_mtime, &raw.stx_ctime];
    let mut fields: Vec<Object> = Vec::with_capacity(19);
    for number in [
        u64::from(raw.stx_mode),
        raw.stx_ino,
        stat.device(),
        raw.stx_nlink.into(),
        raw.stx_uid.into(),
        raw.stx_gid.into(),
        raw.stx_size,
    ] {
        fields.push(value::uint(number)?);
    }
    for time in times {
        fields.push(value::int(time.tv_sec)?);
    }
    for time in times {
        #[allow(clippy::cast_precision_loss, reason = "as Python computes it")]
        let seconds = time.tv_sec as f64 + 1e-9 * f64::from(time.tv_nsec);
        fields.push(value::float(seconds)?);
    }
    for time in times {
        let nanoseconds = time.tv_sec * 1_000_000_000 + i64::from(time.tv_nsec);
        fields.push(value::int(nanoseconds)?);
    }
    for number in [
        raw.stx_blksize.into(),
        raw.stx_blocks,
        stat.special_device(),
    ] {
        fields.push(value::uint(number)?);
    }
    let fields: Vec<&Any> = fields.iter().map(|field| &**field).collect();
    names().stat_result.call1(&*value::tuple(&fields)?)
}
