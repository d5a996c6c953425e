//! epoll, level-triggered, with an index of the caller's for each descriptor.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

const EVENTS_AT_ONCE: usize = 512;

/// What to be told about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// There is something to read, or the end.
    Read,
    /// That, or there is room to write.
    ReadWrite,
}

impl From<Interest> for EventFlags {
    fn from(interest: Interest) -> Self {
        match interest {
            Interest::Read => Self::IN,
            Interest::ReadWrite => Self::IN | Self::OUT,
        }
    }
}

/// One descriptor that has something to tell.
#[derive(Debug, Clone, Copy)]
pub struct Ready {
    /// The index it was added with.
    pub key: u64,
    /// Reading will not block.
    pub read: bool,
    /// Writing will not block.
    pub write: bool,
}

/// An epoll descriptor with its buffer of events.
pub struct Poll {
    fd: OwnedFd,
    events: Vec<Event>,
}

impl Poll {
    pub fn new() -> io::Result<Self> {
        let fd = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self {
            fd,
            events: Vec::with_capacity(EVENTS_AT_ONCE),
        })
    }

    pub fn add(&self, source: impl AsFd, key: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(
            &self.fd,
            source,
            EventData::new_u64(key),
            interest.into(),
        )?)
    }

    pub fn modify(&self, source: impl AsFd, key: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(
            &self.fd,
            source,
            EventData::new_u64(key),
            interest.into(),
        )?)
    }

    /// Fill `ready` with what is there, waiting for it at most `timeout`.
    pub fn wait(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = timeout.map(|duration| {
            Timespec::try_from(duration).unwrap_or(Timespec {
                tv_sec: i64::MAX,
                tv_nsec: 0,
            })
        });
        match epoll::wait(&self.fd, spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        ready.clear();
        ready.extend(self.events.drain(..).map(|event| {
            // Flags and data are copied out: the kernel's structure is packed.
            let (flags, data) = (event.flags, event.data);
            let gone = EventFlags::ERR | EventFlags::HUP;
            Ready {
                key: data.u64(),
                read: flags.intersects(EventFlags::IN | gone),
                write: flags.contains(EventFlags::OUT),
            }
        }));
        Ok(())
    }
}
