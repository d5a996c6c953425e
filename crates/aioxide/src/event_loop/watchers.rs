//! File descriptors: who wants to know when one is readable or writable.
//!
//! One registration per descriptor, level-triggered. An event is looked up when it is read from
//! the kernel, before any callback runs: so a descriptor that is closed and reused in one batch
//! cannot get another's event. What is found goes into the queue, and a handle that is cancelled
//! before its turn does not run.
//!
//! Where only `sock_*` operations wait, the registration reports once and is armed again by the
//! next operation: one system call for each wait instead of adding and removing. What stays
//! registered in between is silent, whatever becomes of the descriptor.

use std::collections::HashMap;
use std::io;
use std::os::fd::RawFd;

use aioxide_driver::reactor::{Event, Interest, Reactor};

use super::run::WAKE_TOKEN;
use super::{Entry, LoopCore};
use crate::ffi::error::Kind;
use crate::ffi::method::TypeBuilder;
use crate::ffi::module::names;
use crate::ffi::{Any, Args, Inst, Object, Own, Raised, Res, Visit, context, value};
use crate::handle::{self, Handle};
use crate::sock_op::SockOp;
use crate::transport::{
    self, DatagramTransport, Listener, ReadPipeTransport, SendFile, StreamTransport,
    WritePipeTransport,
};

/// Who is told that a descriptor is ready.
#[derive(Debug)]
pub(crate) enum Watcher {
    /// A callback of `add_reader` or `add_writer`, and the object that it was added for: a file
    /// that was closed meanwhile has no number any more, and can still be removed.
    Handle(Own<Handle>, Object),
    /// A stream transport.
    Transport(Own<StreamTransport>),
    /// A datagram transport.
    Datagram(Own<DatagramTransport>),
    /// The reading end of a pipe.
    ReadPipe(Own<ReadPipeTransport>),
    /// The writing end of a pipe.
    WritePipe(Own<WritePipeTransport>),
    /// A file on its way to a socket.
    SendFile(Own<SendFile>),
    /// A listening socket.
    Listener(Own<Listener>),
    /// A `sock_*` operation that the kernel was not ready for.
    Sock(Own<SockOp>),
}

impl Watcher {
    fn entry(&self, event: transport::Event) -> Entry {
        match self {
            Watcher::Handle(handle, _) => Entry::Handle(handle.clone()),
            Watcher::Transport(transport) => Entry::Transport(transport.clone(), event),
            Watcher::Datagram(transport) => Entry::Datagram(transport.clone(), event),
            Watcher::ReadPipe(transport) => Entry::ReadPipe(transport.clone(), event),
            Watcher::WritePipe(transport) => Entry::WritePipe(transport.clone(), event),
            Watcher::Listener(listener) => Entry::Listener(listener.clone()),
            Watcher::Sock(op) => Entry::Sock(op.clone()),
            Watcher::SendFile(op) => Entry::SendFile(op.clone()),
        }
    }

    fn traverse(&self, visit: &mut Visit) {
        match self {
            Watcher::Handle(handle, file) => {
                visit.through(handle);
                visit.object(file);
            }
            Watcher::Transport(transport) => visit.native(transport),
            Watcher::Datagram(transport) => visit.native(transport),
            Watcher::ReadPipe(transport) => visit.native(transport),
            Watcher::WritePipe(transport) => visit.native(transport),
            Watcher::Listener(listener) => visit.native(listener),
            Watcher::Sock(op) => visit.native(op),
            Watcher::SendFile(op) => visit.native(op),
        }
    }

    /// The transport that watches, whatever its kind.
    fn transport(&self) -> Option<&Any> {
        match self {
            Watcher::Transport(transport) => Some(transport.as_any()),
            Watcher::Datagram(transport) => Some(transport.as_any()),
            Watcher::ReadPipe(transport) => Some(transport.as_any()),
            Watcher::WritePipe(transport) => Some(transport.as_any()),
            Watcher::Handle(..)
            | Watcher::Listener(_)
            | Watcher::Sock(_)
            | Watcher::SendFile(_) => None,
        }
    }

    /// Replaced or removed: a callback that is in the queue already must not run.
    pub(crate) fn retire(self) -> Res<()> {
        match self {
            Watcher::Handle(handle, _) => {
                handle.cancel()?;
                handle::release(handle);
                Ok(())
            }
            // It looks at its own state when its turn comes.
            Watcher::Transport(_)
            | Watcher::Datagram(_)
            | Watcher::ReadPipe(_)
            | Watcher::WritePipe(_) => Ok(()),
            Watcher::Listener(listener) => {
                listener.retire();
                Ok(())
            }
            Watcher::Sock(op) => {
                op.unwatched();
                Ok(())
            }
            Watcher::SendFile(op) => {
                op.unwatched();
                Ok(())
            }
        }
    }
}

/// One descriptor.
#[derive(Debug, Default)]
struct Watch {
    reader: Option<Watcher>,
    writer: Option<Watcher>,
    /// What the kernel reports. Empty: it knows the descriptor, and keeps silent.
    armed: Interest,
    /// Sides of operations that the kernel has reported, and that have not yet said whether they
    /// want to hear more.
    reported: Interest,
}

impl Watch {
    fn interest(&self) -> Interest {
        let mut interest = Interest::NONE;
        if self.reader.is_some() {
            interest |= Interest::READ;
        }
        if self.writer.is_some() {
            interest |= Interest::WRITE;
        }
        interest
    }

    /// What the kernel ought to report.
    fn wanted(&self) -> Interest {
        let wanted = self.interest() - self.reported;
        let once = [&self.reader, &self.writer]
            .into_iter()
            .flatten()
            .all(|watcher| matches!(watcher, Watcher::Sock(_)));
        if once && !wanted.is_empty() {
            wanted | Interest::ONCE
        } else {
            wanted
        }
    }

    fn side(&mut self, side: Interest) -> &mut Option<Watcher> {
        if side == Interest::READ {
            &mut self.reader
        } else {
            &mut self.writer
        }
    }

    /// Tells the kernel what is wanted now. `known` says whether it should know the descriptor.
    fn arm(&mut self, reactor: &Reactor, fd: RawFd, known: bool) -> io::Result<()> {
        let wanted = self.wanted();
        let token = token_of(fd);
        if known {
            // A descriptor that was closed and opened again is gone from the kernel's list.
            reactor
                .modify(fd, token, wanted)
                .or_else(|error| match error.raw_os_error() {
                    Some(ENOENT) => reactor.add(fd, token, wanted),
                    _ => Err(error),
                })?;
        } else {
            // One that was duplicated when it was closed may still be in it.
            reactor
                .add(fd, token, wanted)
                .or_else(|error| match error.raw_os_error() {
                    Some(EEXIST) => reactor.modify(fd, token, wanted),
                    _ => Err(error),
                })?;
        }
        self.armed = wanted;
        Ok(())
    }
}

/// Every watched descriptor.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Also those that nobody watches now but the kernel still knows.
    watches: HashMap<RawFd, Watch>,
    /// How many of them are watched.
    active: usize,
    /// Descriptors that belong to a transport: weak references to it.
    owners: HashMap<RawFd, Object>,
}

impl Table {
    pub(super) fn is_empty(&self) -> bool {
        self.active == 0
    }

    pub(super) fn len(&self) -> usize {
        self.active
    }

    /// A table of nothing but the transports' descriptors, which this one then has no more.
    pub(super) fn take_owners(&mut self) -> Table {
        Table {
            owners: std::mem::take(&mut self.owners),
            ..Table::default()
        }
    }

    pub(super) fn traverse(&self, visit: &mut Visit) {
        for watch in self.watches.values() {
            for watcher in [&watch.reader, &watch.writer].into_iter().flatten() {
                watcher.traverse(visit);
            }
        }
        self.owners.values().for_each(|owner| visit.object(owner));
    }
}

impl Inst<LoopCore> {
    /// Puts the watchers of what the kernel reports into the queue.
    pub(super) fn queue_events(&self, events: &[Event]) {
        let mut watchers = self.watchers.borrow_mut();
        let mut ready = self.ready.borrow_mut();
        for event in events {
            if event.token == WAKE_TOKEN {
                continue;
            }
            let Ok(fd) = RawFd::try_from(event.token) else {
                continue;
            };
            let Some(watch) = watchers.watches.get_mut(&fd) else {
                continue;
            };
            let mut reported = *event;
            if watch.armed.contains(Interest::ONCE) {
                self.note_once(fd, watch, &mut reported);
            }
            if reported.readable
                && let Some(reader) = &watch.reader
            {
                ready.push(reader.entry(transport::Event::Readable));
            }
            if reported.writable
                && let Some(writer) = &watch.writer
            {
                ready.push(writer.entry(transport::Event::Writable));
            }
        }
    }

    /// The kernel has reported a descriptor of operations, and is silent from now on.
    #[inline]
    fn note_once(&self, fd: RawFd, watch: &mut Watch, event: &mut Event) {
        watch.armed = Interest::NONE;
        if event.readable && watch.reader.is_some() {
            watch.reported |= Interest::READ;
        }
        if event.writable && watch.writer.is_some() {
            watch.reported |= Interest::WRITE;
        }
        // The other side may be waited for as well.
        if !watch.wanted().is_empty()
            && !self
                .driver()
                .is_ok_and(|driver| watch.arm(&driver.reactor, fd, true).is_ok())
        {
            // Its own system call shall say what is wrong.
            (event.readable, event.writable) = (true, true);
        }
    }

    /// Watches one side of a descriptor; gives what watched it before.
    ///
    /// On an error nothing has changed.
    pub(crate) fn watch(
        &self,
        fd: RawFd,
        side: Interest,
        watcher: Watcher,
    ) -> Res<Option<Watcher>> {
        let reactor = &self.driver()?.reactor;
        let mut table = self.watchers.borrow_mut();
        let Table {
            watches, active, ..
        } = &mut *table;
        let known = watches.contains_key(&fd);
        let watch = watches.entry(fd).or_default();
        let was_active = !watch.interest().is_empty();
        let reported = watch.reported;
        let always = matches!(watcher, Watcher::Sock(_));
        let before = watch.side(side).replace(watcher);
        watch.reported = reported - side;
        if (always || watch.wanted() != watch.armed)
            && let Err(error) = watch.arm(reactor, fd, known)
        {
            let refused = std::mem::replace(watch.side(side), before);
            watch.reported = reported;
            if !known {
                watches.remove(&fd);
            }
            drop(table);
            drop(refused);
            return Err(Raised::os(&error));
        }
        *active += usize::from(!was_active);
        Ok(before)
    }

    /// An operation whose side was reported was not satisfied by that.
    pub(crate) fn rewatch(&self, fd: RawFd, side: Interest) -> Res<()> {
        let reactor = &self.driver()?.reactor;
        let mut table = self.watchers.borrow_mut();
        let Some(watch) = table.watches.get_mut(&fd) else {
            return Ok(());
        };
        watch.reported = watch.reported - side;
        if watch.wanted() == watch.armed {
            return Ok(());
        }
        watch
            .arm(reactor, fd, true)
            .map_err(|error| Raised::os(&error))
    }

    /// Stops watching one side; gives what watched it.
    ///
    /// An operation that was reported leaves a silent registration behind: the next one on the same
    /// descriptor only needs to arm it.
    pub(crate) fn unwatch(&self, fd: RawFd, side: Interest) -> Option<Watcher> {
        let mut table = self.watchers.borrow_mut();
        let Table {
            watches, active, ..
        } = &mut *table;
        let watch = watches.get_mut(&fd)?;
        let removed = watch.side(side).take()?;
        watch.reported = watch.reported - side;
        *active -= usize::from(watch.interest().is_empty());
        let wanted = watch.wanted();
        if wanted == watch.armed {
            return Some(removed);
        }
        if let Ok(driver) = self.driver()
            && self.is_ours()
        {
            // A descriptor that was closed before it was removed is gone from the kernel's list.
            let _ = if wanted.is_empty() {
                driver.reactor.remove(fd)
            } else {
                driver.reactor.modify(fd, token_of(fd), wanted)
            };
        }
        watch.armed = wanted;
        if watch.interest().is_empty() {
            watches.remove(&fd);
        }
        Some(removed)
    }

    /// The number that a file had when it was given to `add_reader` or `add_writer`.
    fn added_as(&self, file: &Any) -> Option<RawFd> {
        let table = self.watchers.borrow();
        let is_it = |watcher: &Option<Watcher>| matches!(watcher, Some(Watcher::Handle(_, of)) if of.is(file));
        table
            .watches
            .iter()
            .find(|(_, watch)| is_it(&watch.reader) || is_it(&watch.writer))
            .map(|(&fd, _)| fd)
    }

    /// Notes that `fd` belongs to a transport, given by a weak reference.
    pub(crate) fn set_owner(&self, fd: RawFd, transport: Object) {
        let old = self.watchers.borrow_mut().owners.insert(fd, transport);
        drop(old);
    }

    /// Takes the note back, unless the descriptor belongs to another transport by now.
    pub(crate) fn forget_owner(&self, fd: RawFd, transport: &Any) -> Res<()> {
        if self.owner(fd)?.is_none_or(|owner| owner.is(transport)) {
            let old = self.watchers.borrow_mut().owners.remove(&fd);
            drop(old);
        }
        Ok(())
    }

    /// Whether this very transport watches one side: somebody else may have replaced it.
    pub(crate) fn is_watched_by(&self, fd: RawFd, side: Interest, transport: &Any) -> bool {
        let table = self.watchers.borrow();
        let watcher = table.watches.get(&fd).and_then(|watch| {
            if side == Interest::READ {
                watch.reader.as_ref()
            } else {
                watch.writer.as_ref()
            }
        });
        watcher
            .and_then(Watcher::transport)
            .is_some_and(|own| own.is(transport))
    }

    /// The operation that sends a file to this descriptor's socket.
    pub(crate) fn sendfile_on(&self, fd: RawFd) -> Option<Own<SendFile>> {
        match self.watchers.borrow().watches.get(&fd)?.writer.as_ref()? {
            Watcher::SendFile(op) => Some(op.clone()),
            _ => None,
        }
    }

    fn owner(&self, fd: RawFd) -> Res<Option<Object>> {
        let reference = self.watchers.borrow().owners.get(&fd).cloned();
        match reference {
            Some(reference) => {
                let transport = reference.call0()?;
                Ok((!transport.is_none()).then_some(transport))
            }
            None => Ok(None),
        }
    }

    /// asyncio's error for a descriptor that a live transport uses.
    pub(crate) fn ensure_no_transport(&self, fd: RawFd, given: &Any) -> Res<()> {
        let Some(transport) = self.owner(fd)? else {
            return Ok(());
        };
        let closing = transport
            .call_method0(&*value::text("is_closing")?)?
            .is_truthy()?;
        if closing {
            return Ok(());
        }
        Err(Raised::runtime(&format!(
            "File descriptor {} is used by transport {}",
            given.repr_lossy(),
            transport.repr_lossy()
        )))
    }
}

fn token_of(fd: RawFd) -> u64 {
    u64::try_from(fd).unwrap_or(WAKE_TOKEN)
}

const EEXIST: i32 = 17;
const ENOENT: i32 = 2;

/// The descriptor of an int or of an object with `fileno()`; asyncio's ValueError otherwise.
pub(crate) fn descriptor(object: &Any) -> Res<RawFd> {
    let number = descriptor_number(object)?;
    match RawFd::try_from(number) {
        Ok(fd) if fd >= 0 => Ok(fd),
        Err(_) if number > 0 => Err(Raised::new(
            Kind::Overflow,
            "Python int too large to convert to C int",
        )),
        _ => Err(Raised::new(
            Kind::Value,
            &format!("Invalid file descriptor: {number}"),
        )),
    }
}

/// What `fileno()` says, be it a descriptor or not. Errors that are not about its being a file are the
/// object's own.
fn descriptor_number(object: &Any) -> Res<i64> {
    if object.is_int() {
        return object.to_i64();
    }
    let number = object
        .call_method0(&names().fileno)
        .and_then(|number| number.to_i64());
    number.map_err(|raised| {
        let kinds = [Kind::Attribute, Kind::Type, Kind::Value];
        if !kinds.iter().any(|kind| raised.matches(kind.as_any())) {
            return raised;
        }
        raised.discard();
        Raised::new(
            Kind::Value,
            &format!("Invalid file object: {}", object.repr_lossy()),
        )
    })
}

fn add(this: &Inst<LoopCore>, args: &Args<'_>, side: Interest, function: &str) -> Res<Object> {
    let (&[file, callback, ref rest @ ..], true) = (args.positional, args.names.is_empty()) else {
        return Err(Raised::type_error(&format!(
            "{function}() takes a file, a callback and its arguments"
        )));
    };
    // As with asyncio, only what is no file at all is looked at before the loop is.
    if !file.is_int() {
        descriptor_number(file)?;
    }
    this.check_open()?;
    let fd = descriptor(file)?;
    this.ensure_no_transport(fd, file)?;
    let handle = Handle::create(
        callback.own(),
        rest,
        this.as_any().own(),
        context::copy_current()?,
    )?;
    if this.is_debug() {
        handle.capture_source()?;
    }
    let replaced = this.watch(fd, side, Watcher::Handle(handle, file.own()))?;
    replaced.map_or(Ok(()), Watcher::retire)?;
    Ok(value::none())
}

fn remove(this: &Inst<LoopCore>, file: &Any, side: Interest) -> Res<Object> {
    if this.is_closed() {
        let number = match descriptor_number(file) {
            Err(raised) if file.is_int() => {
                raised.discard();
                -1
            }
            number => number?,
        };
        if let Ok(fd @ 0..) = RawFd::try_from(number) {
            this.ensure_no_transport(fd, file)?;
        }
        return Ok(value::bool(false));
    }
    let fd = match descriptor(file) {
        Ok(fd) => {
            this.ensure_no_transport(fd, file)?;
            fd
        }
        Err(raised) => match this.added_as(file) {
            Some(fd) => {
                raised.discard();
                fd
            }
            // No descriptor is so high, so it was not watched.
            None if raised.matches(Kind::Overflow.as_any()) && file.is_int() => {
                raised.discard();
                return Ok(value::bool(false));
            }
            None => return Err(raised),
        },
    };
    match this.unwatch(fd, side) {
        Some(watcher) => {
            watcher.retire()?;
            Ok(value::bool(true))
        }
        None => Ok(value::bool(false)),
    }
}

fn add_reader(this: &Inst<LoopCore>, args: Args<'_>) -> Res<Object> {
    add(this, &args, Interest::READ, "add_reader")
}

fn add_writer(this: &Inst<LoopCore>, args: Args<'_>) -> Res<Object> {
    add(this, &args, Interest::WRITE, "add_writer")
}

fn remove_reader(this: &Inst<LoopCore>, file: &Any) -> Res<Object> {
    remove(this, file, Interest::READ)
}

fn remove_writer(this: &Inst<LoopCore>, file: &Any) -> Res<Object> {
    remove(this, file, Interest::WRITE)
}

fn ensure_fd_no_transport(this: &Inst<LoopCore>, file: &Any) -> Res<Object> {
    this.ensure_no_transport(descriptor(file)?, file)?;
    Ok(value::none())
}

pub(super) fn methods(b: TypeBuilder<LoopCore>) -> TypeBuilder<LoopCore> {
    b.method1(c"_ensure_fd_no_transport", ensure_fd_no_transport, c"_ensure_fd_no_transport($self, fd, /)\n--\n\nRaises RuntimeError if a live transport uses the descriptor.")
        .method(c"add_reader", add_reader, c"add_reader($self, fd, callback, /, *args)\n--\n\nCall callback(*args) whenever fd (an int or an object with fileno()) is readable.\n\nRaises PermissionError for regular files, RuntimeError if a transport uses the descriptor.")
        .method(c"add_writer", add_writer, c"add_writer($self, fd, callback, /, *args)\n--\n\nCall callback(*args) whenever fd is writable.")
        .method1(c"remove_reader", remove_reader, c"remove_reader($self, fd, /)\n--\n\nStop watching fd for reading. True if it was watched.")
        .method1(c"remove_writer", remove_writer, c"remove_writer($self, fd, /)\n--\n\nStop watching fd for writing. True if it was watched.")
}
