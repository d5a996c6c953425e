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

use std::io;
use std::os::fd::RawFd;

use aioxide_driver::reactor::{Event, Interest};

use super::LoopCore;
use super::run::WAKE_TOKEN;
use super::watch_table::Watch;
use super::watcher::Watcher;
use crate::ffi::call::Leading;
use crate::ffi::error::Kind;
use crate::ffi::method::TypeBuilder;
use crate::ffi::module::names;
use crate::ffi::{Any, Args, Inst, Object, Own, Raised, Res, context, value};
use crate::handle::Handle;
use crate::transport::{self, SendFile};

const EBADF: i32 = 9;

impl Inst<LoopCore> {
    /// Puts the watchers of what the kernel reports into the queue.
    pub(super) fn queue_events(&self, events: &[Event]) {
        let mut watchers = self.watchers.borrow_mut();
        let mut ready = self.ready.borrow_mut();
        for event in events {
            if event.token == WAKE_TOKEN {
                continue;
            }
            let Some((fd, watch)) = watchers.of_token(event.token) else {
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
                .is_ok_and(|driver| watch.arm(&driver.reactor, fd, Interest::BOTH).is_ok())
        {
            // Its own system call shall say what is wrong.
            (event.readable, event.writable) = (true, true);
        }
    }

    /// Watches one side of a descriptor; gives what watched it before.
    ///
    /// The kernel is told each time. A watcher that is replaced may have waited for a file that was
    /// closed meanwhile: then the kernel has dropped the registration, and the current file needs
    /// one of its own. On an error nothing has changed.
    pub(crate) fn watch(
        &self,
        fd: RawFd,
        side: Interest,
        watcher: Watcher,
    ) -> Res<Option<Watcher>> {
        let reactor = &self.driver()?.reactor;
        let mut table = self.watchers.borrow_mut();
        let Some((watch, active)) = table.place(fd) else {
            return Err(Raised::os(&io::Error::from_raw_os_error(EBADF)));
        };
        let was_active = !watch.interest().is_empty();
        let reported = watch.reported;
        let is_callback = matches!(watcher, Watcher::Handle(_));
        let before = watch.side(side).replace(watcher);
        watch.reported = reported - side;
        match watch.arm(reactor, fd, side) {
            Ok(stale) => {
                *active += usize::from(!was_active);
                drop(table);
                stale.map_or(Ok(()), Watcher::retire)?;
                Ok(before)
            }
            // A closed number. asyncio does not tell the kernel where nothing changes for it.
            Err(_) if is_callback && watch.wanted() == watch.armed => Ok(before),
            Err(error) => {
                let refused = std::mem::replace(watch.side(side), before);
                watch.reported = reported;
                drop(table);
                drop(refused);
                Err(Raised::os(&error))
            }
        }
    }

    /// An operation whose side was reported was not satisfied by that.
    pub(crate) fn rewatch(&self, fd: RawFd, side: Interest) -> Res<()> {
        let reactor = &self.driver()?.reactor;
        let mut table = self.watchers.borrow_mut();
        let Some(watch) = table.get_mut(fd) else {
            return Ok(());
        };
        watch.reported = watch.reported - side;
        if watch.wanted() == watch.armed {
            return Ok(());
        }
        let stale = watch
            .arm(reactor, fd, side)
            .map_err(|error| Raised::os(&error))?;
        drop(table);
        stale.map_or(Ok(()), Watcher::retire)
    }

    /// Stops watching one side; gives what watched it.
    ///
    /// An operation that was reported leaves a silent registration behind: the next one on the same
    /// descriptor only needs to arm it.
    pub(crate) fn unwatch(&self, fd: RawFd, side: Interest) -> Option<Watcher> {
        let mut table = self.watchers.borrow_mut();
        let watch = table.get_mut(fd)?;
        let removed = watch.side(side).take()?;
        watch.reported = watch.reported - side;
        let left = watch.interest();
        let wanted = watch.wanted();
        if wanted != watch.armed {
            self.disarm(fd, watch, wanted);
        }
        table.active -= usize::from(left.is_empty());
        Some(removed)
    }

    /// Tells the kernel that less is wanted.
    fn disarm(&self, fd: RawFd, watch: &mut Watch, wanted: Interest) {
        if let Ok(driver) = self.driver()
            && self.is_ours()
        {
            watch.disarm(&driver.reactor, fd, wanted);
        }
        watch.armed = wanted;
        watch.known = !watch.interest().is_empty();
    }

    /// The number that a file had when it was given to `add_reader` or `add_writer`, or when a
    /// server began to listen on it.
    fn added_as(&self, file: &Any) -> Option<RawFd> {
        let table = self.watchers.borrow();
        let is_it = |watcher: &Option<Watcher>| match watcher {
            Some(Watcher::Handle(added)) => added.1.is(file),
            Some(Watcher::Listener(listener)) => listener.listens_on(file),
            _ => false,
        };
        table
            .iter()
            .find(|(_, watch)| is_it(&watch.reader) || is_it(&watch.writer))
            .map(|(fd, _)| fd)
    }

    /// Notes that `fd` belongs to a transport, which must take that back before it is gone.
    pub(crate) fn set_owner(&self, fd: RawFd, transport: &Any) {
        let owner = transport.address();
        self.watchers.borrow_mut().set_owner(fd, owner);
    }

    /// Takes the note back, unless the descriptor belongs to another transport by now.
    pub(crate) fn forget_owner(&self, fd: RawFd, transport: &Any) {
        let owner = transport.address();
        self.watchers.borrow_mut().forget_owner(fd, owner);
    }

    /// Whether this very transport watches one side: somebody else may have replaced it.
    pub(crate) fn is_watched_by(&self, fd: RawFd, side: Interest, transport: &Any) -> bool {
        let table = self.watchers.borrow();
        let watcher = table.get(fd).and_then(|watch| {
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

    /// The operation that sends a file through this transport.
    pub(crate) fn sendfile_on(&self, fd: RawFd, transport: &Any) -> Option<Own<SendFile>> {
        match self.watchers.borrow().get(fd)?.writer.as_ref()? {
            Watcher::SendFile(op) if op.sends_through(transport) => Some(op.clone()),
            _ => None,
        }
    }

    /// asyncio's error for a descriptor that a live transport uses.
    pub(crate) fn ensure_no_transport(&self, fd: RawFd, given: &Any) -> Res<()> {
        let Some(owner) = self.watchers.borrow().owner(fd) else {
            return Ok(());
        };
        let Some(transport) = transport::owner_at(owner, fd)? else {
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

fn add(
    this: &Inst<LoopCore>,
    args: &Args<'_>,
    side: Interest,
    function: &'static str,
) -> Res<Object> {
    let ([file, callback], rest, _) = args.leading(&Leading {
        function,
        parameters: [c"fd", c"callback"],
        keyword: None,
    })?;
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
    let replaced = this.watch(fd, side, Watcher::Handle(Box::new((handle, file.own()))))?;
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

fn remove_reader(this: &Inst<LoopCore>, args: Args<'_>) -> Res<Object> {
    remove(this, args.one("remove_reader", c"fd")?, Interest::READ)
}

fn remove_writer(this: &Inst<LoopCore>, args: Args<'_>) -> Res<Object> {
    remove(this, args.one("remove_writer", c"fd")?, Interest::WRITE)
}

/// `_stop_listening(sock)`: removes a server's watcher, also of a socket that is closed already.
fn stop_listening(this: &Inst<LoopCore>, sock: &Any) -> Res<Object> {
    if let Some(fd) = this.added_as(sock)
        && let Some(watcher) = this.unwatch(fd, Interest::READ)
    {
        watcher.retire()?;
    }
    Ok(value::none())
}

fn ensure_fd_no_transport(this: &Inst<LoopCore>, file: &Any) -> Res<Object> {
    this.ensure_no_transport(descriptor(file)?, file)?;
    Ok(value::none())
}

pub(super) fn methods(b: TypeBuilder<LoopCore>) -> TypeBuilder<LoopCore> {
    b.method1(c"_ensure_fd_no_transport", ensure_fd_no_transport, c"_ensure_fd_no_transport($self, fd, /)\n--\n\nRaises RuntimeError if a live transport uses the descriptor.")
        .method1(c"_stop_listening", stop_listening, c"_stop_listening($self, sock, /)\n--\n\nStop accepting the connections of a listening socket, open or closed.")
        .method(c"add_reader", add_reader, c"add_reader($self, fd, callback, *args)\n--\n\nCall callback(*args) whenever fd (an int or an object with fileno()) is readable.\n\nRaises PermissionError for regular files, RuntimeError if a transport uses the descriptor.")
        .method(c"add_writer", add_writer, c"add_writer($self, fd, callback, *args)\n--\n\nCall callback(*args) whenever fd is writable.")
        .method(c"remove_reader", remove_reader, c"remove_reader($self, fd)\n--\n\nStop watching fd for reading. True if it was watched.")
        .method(c"remove_writer", remove_writer, c"remove_writer($self, fd)\n--\n\nStop watching fd for writing. True if it was watched.")
}
