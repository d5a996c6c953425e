//! What the loop knows of each descriptor: who watches it, what the kernel was told, whose it is.

use std::io;
use std::os::fd::RawFd;

use aioxide_core::descriptors::Descriptors;
use aioxide_driver::reactor::{Interest, Reactor};

use super::watcher::Watcher;
use crate::ffi::Visit;

/// One descriptor.
#[derive(Debug, Default)]
pub(super) struct Watch {
    pub(super) reader: Option<Watcher>,
    pub(super) writer: Option<Watcher>,
    /// The transport whose descriptor it is, by its address; 0 for none. It says so itself, and
    /// takes it back before it is gone.
    owner: usize,
    /// The kernel has it in its list, or had it when it was closed.
    pub(super) known: bool,
    /// What the kernel reports. Empty: it knows the descriptor, and keeps silent.
    pub(super) armed: Interest,
    /// Sides of operations that the kernel has reported, and that have not yet said whether they
    /// want to hear more.
    pub(super) reported: Interest,
    /// Part of the token: counts the registrations of this number, so that an event of an earlier
    /// open file is told from one of the current file.
    generation: u32,
}

impl Watch {
    pub(super) fn interest(&self) -> Interest {
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
    pub(super) fn wanted(&self) -> Interest {
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

    pub(super) fn side(&mut self, side: Interest) -> &mut Option<Watcher> {
        if side == Interest::READ {
            &mut self.reader
        } else {
            &mut self.writer
        }
    }

    /// Updates the kernel's registration to [`wanted`](Watch::wanted), for the sake of `side`.
    ///
    /// A registration belongs to an open file, not to its number. If the kernel has none although
    /// one is known, the file was closed while it was watched and the number names another file
    /// now. The watcher of the other side waited for the closed file: it is removed and returned.
    /// On an error the watchers are unchanged.
    pub(super) fn arm(
        &mut self,
        reactor: &Reactor,
        fd: RawFd,
        side: Interest,
    ) -> io::Result<Option<Watcher>> {
        let wanted = self.wanted();
        if self.known {
            match reactor.modify(fd, token(fd, self.generation), wanted) {
                Err(error) if error.raw_os_error() == Some(ENOENT) => {}
                result => {
                    result?;
                    self.armed = wanted;
                    return Ok(None);
                }
            }
            return self.arm_reopened(reactor, fd, side);
        }
        self.register(reactor, fd, wanted)?;
        Ok(None)
    }

    /// The rest of [`arm`](Watch::arm) for a number that names another file now.
    #[cold]
    fn arm_reopened(
        &mut self,
        reactor: &Reactor,
        fd: RawFd,
        side: Interest,
    ) -> io::Result<Option<Watcher>> {
        let other = Interest::BOTH - side;
        let stale = if other.is_empty() {
            None
        } else {
            self.side(other).take()
        };
        let reported = self.reported;
        self.reported = reported - other;
        match self.register(reactor, fd, self.wanted()) {
            Ok(()) => Ok(stale),
            Err(error) => {
                if !other.is_empty() {
                    *self.side(other) = stale;
                }
                self.reported = reported;
                Err(error)
            }
        }
    }

    fn register(&mut self, reactor: &Reactor, fd: RawFd, wanted: Interest) -> io::Result<()> {
        let generation = self.generation.wrapping_add(1);
        let token = token(fd, generation);
        reactor
            .add(fd, token, wanted)
            .or_else(|error| match error.raw_os_error() {
                // The number was closed and given back to the same open file by `dup2`.
                Some(EEXIST) => reactor.modify(fd, token, wanted),
                _ => Err(error),
            })?;
        self.generation = generation;
        self.armed = wanted;
        self.known = true;
        Ok(())
    }

    /// Reduces the kernel's registration to `wanted`, ignoring errors.
    pub(super) fn disarm(&self, reactor: &Reactor, fd: RawFd, wanted: Interest) {
        // A file that was closed before it was removed is gone from the kernel's list.
        let _ = if wanted.is_empty() {
            reactor.remove(fd)
        } else {
            reactor.modify(fd, token(fd, self.generation), wanted)
        };
    }
}

/// Every watched descriptor.
#[derive(Debug, Default)]
pub(super) struct Table {
    watches: Descriptors<Watch>,
    /// How many of them are watched.
    pub(super) active: usize,
}

impl Table {
    pub(super) fn is_empty(&self) -> bool {
        self.active == 0
    }

    pub(super) fn len(&self) -> usize {
        self.active
    }

    #[inline]
    pub(super) fn get(&self, fd: RawFd) -> Option<&Watch> {
        self.watches.get(fd)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, fd: RawFd) -> Option<&mut Watch> {
        self.watches.get_mut(fd)
    }

    /// The file descriptor of a token and what is known of it. `None` for the notifier's token, and
    /// for a registration that outlived its number because the open file has a duplicate.
    #[inline]
    pub(super) fn of_token(&mut self, token: u64) -> Option<(RawFd, &mut Watch)> {
        let fd = RawFd::try_from(token & u64::from(u32::MAX)).ok()?;
        let watch = self.watches.get_mut(fd)?;
        (u64::from(watch.generation) == token >> 32).then_some((fd, watch))
    }

    /// The place of a descriptor, and the count of those that are watched.
    #[inline]
    pub(super) fn place(&mut self, fd: RawFd) -> Option<(&mut Watch, &mut usize)> {
        let Table { watches, active } = self;
        Some((watches.place(fd)?, active))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (RawFd, &Watch)> {
        self.watches.iter()
    }

    /// The address of the transport whose descriptor it is.
    pub(super) fn owner(&self, fd: RawFd) -> Option<usize> {
        let owner = self.watches.get(fd)?.owner;
        (owner != 0).then_some(owner)
    }

    pub(super) fn set_owner(&mut self, fd: RawFd, owner: usize) {
        if let Some(watch) = self.watches.place(fd) {
            watch.owner = owner;
        }
    }

    /// Takes the note back, unless the descriptor belongs to another transport by now.
    pub(super) fn forget_owner(&mut self, fd: RawFd, owner: usize) {
        if let Some(watch) = self.watches.get_mut(fd)
            && watch.owner == owner
        {
            watch.owner = 0;
        }
    }

    /// Takes out everybody who watches. Whose the descriptors are is still known.
    pub(super) fn clear(&mut self, graveyard: &mut Vec<Watcher>) {
        for watch in self.watches.values_mut() {
            let Watch {
                reader,
                writer,
                owner,
                generation,
                ..
            } = std::mem::take(watch);
            graveyard.extend(reader);
            graveyard.extend(writer);
            watch.owner = owner;
            watch.generation = generation;
        }
        self.active = 0;
    }

    pub(super) fn traverse(&self, visit: &mut Visit) {
        for (_, watch) in self.watches.iter() {
            for watcher in [&watch.reader, &watch.writer].into_iter().flatten() {
                watcher.traverse(visit);
            }
        }
    }
}

/// The token of a registration: never [`WAKE_TOKEN`](super::run::WAKE_TOKEN), since no file descriptor has its lower half.
#[inline]
fn token(fd: RawFd, generation: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(fd.cast_unsigned())
}

const EEXIST: i32 = 17;
const ENOENT: i32 = 2;
