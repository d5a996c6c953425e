//! Servers that do nothing but epoll, read and write: the floors, and the ends that clients need.

use std::io::{self, BufRead, ErrorKind, Read, Write};

use crate::poll::{Interest, Poll};
use crate::socket::{Listener, Stream};
use crate::usage;

const CONTROL: u64 = 0;
const LISTENER: u64 = 1;
const FIRST_CONNECTION: u64 = 2;
/// Fits the largest message of the echo benchmark, and no more: a larger one costs cache.
const SCRATCH: usize = 112 * 1024;

/// What a server does with what it gets.
pub trait Service {
    /// What it remembers of a connection.
    type State: Default;

    /// Bytes have come.
    fn received(&self, state: &mut Self::State, data: &[u8], out: &mut Out) -> io::Result<()>;

    /// There is room for more of what `has_more` spoke of.
    fn room(&self, _state: &mut Self::State, _out: &mut Out) -> io::Result<()> {
        Ok(())
    }

    /// Whether there is something to send beside what the kernel did not take.
    fn has_more(&self, _state: &Self::State) -> bool {
        false
    }
}

/// The way out of a connection.
pub struct Out {
    stream: Stream,
    /// Bytes that the kernel did not take yet.
    unsent: Vec<u8>,
}

impl Out {
    /// Write what the kernel takes, keep the rest.
    pub fn send(&mut self, data: &[u8]) -> io::Result<()> {
        let written = if self.unsent.is_empty() {
            self.send_some(data)?
        } else {
            0
        };
        self.unsent.extend_from_slice(&data[written..]);
        Ok(())
    }

    /// Write what the kernel takes; how much that was.
    pub fn send_some(&mut self, data: &[u8]) -> io::Result<usize> {
        match self.stream.write(data) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            result => result,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = match self.stream.write(&self.unsent) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            result => result?,
        };
        self.unsent.drain(..written);
        Ok(())
    }
}

struct Connection<S> {
    out: Out,
    state: S,
    interest: Interest,
}

/// All bytes back.
pub struct Echo;

impl Service for Echo {
    type State = ();

    fn received(&self, (): &mut (), data: &[u8], out: &mut Out) -> io::Result<()> {
        out.send(data)
    }
}

struct Server<'a, S: Service> {
    service: &'a S,
    poll: Poll,
    connections: Vec<Option<Connection<S::State>>>,
    free: Vec<usize>,
    scratch: Vec<u8>,
}

impl<S: Service> Server<'_, S> {
    /// Take all that wait. A free place is used again: an event of its last user that is still to come
    /// finds nothing to read there, and does no harm.
    fn accept(&mut self, listener: &Listener) -> io::Result<()> {
        while let Ok(stream) = listener.accept() {
            let place = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            self.poll
                .add(&stream, FIRST_CONNECTION + place as u64, Interest::Read)?;
            self.connections[place] = Some(Connection {
                out: Out {
                    stream,
                    unsent: Vec::new(),
                },
                state: S::State::default(),
                interest: Interest::Read,
            });
        }
        Ok(())
    }

    /// Read and write what there is; whether the connection goes on.
    fn turn(&mut self, place: usize, read: bool, write: bool) -> io::Result<bool> {
        let Some(Some(connection)) = self.connections.get_mut(place) else {
            return Ok(true);
        };
        let Connection { out, state, .. } = connection;
        if write && !out.unsent.is_empty() {
            out.flush()?;
        }
        if write && out.unsent.is_empty() && self.service.has_more(state) {
            self.service.room(state, out)?;
        }
        if read {
            match out.stream.read(&mut self.scratch) {
                Ok(0) => return Ok(false),
                Ok(size) => self.service.received(state, &self.scratch[..size], out)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        let wanted = if out.unsent.is_empty() && !self.service.has_more(state) {
            Interest::Read
        } else {
            Interest::ReadWrite
        };
        if wanted != connection.interest {
            connection.interest = wanted;
            let key = FIRST_CONNECTION + place as u64;
            self.poll.modify(&connection.out.stream, key, wanted)?;
        }
        Ok(true)
    }
}

/// Say where the server is, then serve until standard input ends; CPU time for each of its lines.
pub fn serve(service: &impl Service, (listener, place): (Listener, String)) -> io::Result<()> {
    let poll = Poll::new()?;
    poll.add(&listener, LISTENER, Interest::Read)?;
    poll.add(io::stdin(), CONTROL, Interest::Read)?;
    println!("{place}");
    let mut server = Server {
        service,
        poll,
        connections: Vec::new(),
        free: Vec::new(),
        scratch: vec![0; SCRATCH],
    };
    let mut ready = Vec::new();
    loop {
        server.poll.wait(&mut ready, None)?;
        for &event in &ready {
            match event.key {
                CONTROL => {
                    if io::stdin().lock().read_line(&mut String::new())? == 0 {
                        return Ok(());
                    }
                    println!("{}", usage::json());
                }
                LISTENER => server.accept(&listener)?,
                key => {
                    let place = usize::try_from(key - FIRST_CONNECTION).unwrap_or(usize::MAX);
                    // Whoever resets a connection ends that one, and nothing else.
                    if !server.turn(place, event.read, event.write).unwrap_or(false) {
                        server.connections[place] = None;
                        server.free.push(place);
                    }
                }
            }
        }
    }
}
