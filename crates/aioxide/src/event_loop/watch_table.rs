//! What the loop knows of each descriptor: who watches it, what the kernel was told, whose it is.

use std::io;
use std::os::fd::RawFd;

use aioxide_core::descriptors::Descriptors;
use aioxide_driver::reactor::{Interest, Reactor};

use super::run::WAKE_TOKEN;
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

    /// Tells the kernel what is wanted now.
    pub(super) fn arm(&mut self, reactor: &Reactor, fd: RawFd) -> io::Result<()> {
        let wanted = self.wanted();
        let token = token_of(fd);
        if self.known {
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
        self.known = true;
        Ok(())
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
                ..
            } = std::mem::take(watch);
            graveyard.extend(reader);
            graveyard.extend(writer);
            watch.owner = owner;
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

pub(super) fn token_of(fd: RawFd) -> u64 {
    u64::try_from(fd).unwrap_or(WAKE_TOKEN)
}

const EEXIST: i32 = 17;
const ENOENT: i32 = 2;
