//! The closed loop: one request in flight on each connection, and each answer checked.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use crate::drive::{self, Load, PATIENCE, Timing};
use crate::histogram::Histogram;
use crate::message::{Form, Message};
use crate::poll::{Interest, Poll};
use crate::socket::{Stream, Target};

#[derive(Debug, clap::Args)]
pub struct Plan {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    timing: Timing,
}

/// What is asked and what is to be answered.
pub trait Exchange {
    /// The request with this number on the connection with this key.
    fn request(&mut self, key: u64, sequence: u64) -> &[u8];

    /// Whether this is the whole answer to it; an error if it is a wrong one.
    fn is_answer(&mut self, key: u64, sequence: u64, received: &[u8]) -> io::Result<bool>;
}

impl Exchange for Message {
    fn request(&mut self, key: u64, sequence: u64) -> &[u8] {
        self.of(key, sequence)
    }

    fn is_answer(&mut self, key: u64, sequence: u64, received: &[u8]) -> io::Result<bool> {
        if received.len() < self.len() {
            return Ok(false);
        }
        self.check(key, sequence, received).map(|()| true)
    }
}

struct Connection {
    stream: Stream,
    key: u64,
    /// Number of the request in flight.
    sequence: u64,
    /// How much of it is out, and whether that is all.
    sent: usize,
    whole: bool,
    received: Vec<u8>,
    began: Instant,
}

/// Connections of one kind that take turns with a server.
pub struct ClosedLoop<E> {
    exchange: E,
    poll: Poll,
    connections: Vec<Connection>,
    scratch: Vec<u8>,
    latencies: Histogram,
    in_flight: u64,
}

impl<E: Exchange> ClosedLoop<E> {
    pub fn connect(target: &Target, exchange: E) -> io::Result<Self> {
        let mut found = Self {
            exchange,
            poll: Poll::new()?,
            connections: Vec::new(),
            scratch: vec![0; 128 * 1024],
            latencies: Histogram::new(),
            in_flight: 0,
        };
        for key in 0..target.connections {
            let stream = target.address.connect()?;
            stream.set_nonblocking()?;
            found.poll.add(&stream, key, Interest::Read)?;
            found.connections.push(Connection {
                stream,
                key,
                sequence: 0,
                sent: 0,
                whole: true,
                received: Vec::new(),
                began: Instant::now(),
            });
        }
        Ok(found)
    }

    fn begin(&mut self, index: usize, now: Instant) -> io::Result<()> {
        let connection = &mut self.connections[index];
        connection.sequence += 1;
        connection.sent = 0;
        connection.received.clear();
        connection.began = now;
        self.in_flight += 1;
        self.send(index)?;
        let connection = &self.connections[index];
        if !connection.whole {
            self.poll
                .modify(&connection.stream, connection.key, Interest::ReadWrite)?;
        }
        Ok(())
    }

    /// Send as much as fits.
    fn send(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        let request = self.exchange.request(connection.key, connection.sequence);
        while connection.sent < request.len() {
            match connection.stream.write(&request[connection.sent..]) {
                Ok(size) => connection.sent += size,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        connection.whole = connection.sent == request.len();
        Ok(())
    }

    /// Take in what has come; whether the whole answer is there.
    fn receive(&mut self, index: usize) -> io::Result<bool> {
        let connection = &mut self.connections[index];
        let size = match connection.stream.read(&mut self.scratch) {
            Ok(0) => return Err(io::Error::other("the server closed a connection")),
            Ok(size) => size,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        connection.received.extend_from_slice(&self.scratch[..size]);
        let answered =
            self.exchange
                .is_answer(connection.key, connection.sequence, &connection.received)?;
        if answered {
            self.in_flight -= 1;
        }
        Ok(answered)
    }
}

impl<E: Exchange> Load for ClosedLoop<E> {
    /// Keep all connections busy for this long, then wait until nothing is in flight.
    fn run(&mut self, duration: Duration) -> io::Result<Duration> {
        let began = Instant::now();
        let end = began + duration;
        for index in 0..self.connections.len() {
            self.begin(index, Instant::now())?;
        }
        let mut ready = Vec::new();
        while self.in_flight > 0 {
            if Instant::now() > end + PATIENCE {
                return Err(io::Error::other(format!(
                    "{} answers are missing",
                    self.in_flight
                )));
            }
            self.poll.wait(&mut ready, Some(PATIENCE))?;
            for event in &ready {
                let index = usize::try_from(event.key).unwrap_or(usize::MAX);
                let connection = self
                    .connections
                    .get(index)
                    .ok_or_else(|| io::Error::other("an event of no connection"))?;
                if event.write && !connection.whole {
                    self.send(index)?;
                    let connection = &self.connections[index];
                    if connection.whole {
                        self.poll
                            .modify(&connection.stream, event.key, Interest::Read)?;
                    }
                }
                if event.read && self.receive(index)? {
                    let now = Instant::now();
                    self.latencies.record(now - self.connections[index].began);
                    if now < end {
                        self.begin(index, now)?;
                    }
                }
            }
        }
        Ok(began.elapsed())
    }

    fn latencies(&mut self) -> &mut Histogram {
        &mut self.latencies
    }
}

/// Messages to an echo server.
pub fn run(plan: &Plan) -> io::Result<()> {
    let message = Message::new(&plan.form)?;
    let mut load = ClosedLoop::connect(&plan.target, message)?;
    drive::drive(&mut load, &plan.timing)
}
