//! The open loop: messages leave at a fixed rate, whether the server keeps up or not.
//!
//! A message's time begins when it was due, not when it was sent. So one that waits behind a slow
//! answer, or because this program was late itself, is as late as its user would find it.
//!
//! What is due soon is waited for awake: a virtual machine's timer may be a millisecond late, and
//! would make of messages that are due one by one a burst each millisecond.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use crate::drive::{self, Load, PATIENCE, Timing};
use crate::histogram::Histogram;
use crate::message::{Form, Message};
use crate::poll::{Interest, Poll};
use crate::socket::{Stream, Target};

/// How many that are due are sent before answers are looked for.
const AT_ONCE: u32 = 32;
/// So long before a message is due no timer is trusted.
const AWAKE: Duration = Duration::from_micros(200);

#[derive(Debug, clap::Args)]
pub struct Plan {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    form: Form,
    /// Messages per second, on all connections together.
    #[arg(long)]
    rate: f64,
    #[command(flatten)]
    timing: Timing,
}

struct Connection {
    stream: Stream,
    sequence: u64,
    unsent: Vec<u8>,
    received: Vec<u8>,
    /// Numbers of the messages in flight, and when they were due.
    waiting: VecDeque<(u64, Instant)>,
}

struct Paced {
    poll: Poll,
    connections: Vec<Connection>,
    message: Message,
    rate: f64,
    scratch: Vec<u8>,
    latencies: Histogram,
    /// How late messages were sent.
    lateness: Histogram,
    /// How long it was awake with nothing to do.
    idle: Duration,
    in_flight: usize,
}

impl Paced {
    fn send(&mut self, index: usize, due: Instant) -> io::Result<()> {
        let connection = &mut self.connections[index];
        connection.sequence += 1;
        connection.waiting.push_back((connection.sequence, due));
        self.in_flight += 1;
        self.lateness.record(due.elapsed());
        let data = self.message.of(index as u64, connection.sequence);
        if !connection.unsent.is_empty() {
            connection.unsent.extend_from_slice(data);
            return Ok(());
        }
        let written = match connection.stream.write(data) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            result => result?,
        };
        if written < data.len() {
            connection.unsent.extend_from_slice(&data[written..]);
            self.poll
                .modify(&connection.stream, index as u64, Interest::ReadWrite)?;
        }
        Ok(())
    }

    fn flush(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        let written = match connection.stream.write(&connection.unsent) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            result => result?,
        };
        connection.unsent.drain(..written);
        if connection.unsent.is_empty() {
            self.poll
                .modify(&connection.stream, index as u64, Interest::Read)?;
        }
        Ok(())
    }

    fn receive(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        match connection.stream.read(&mut self.scratch) {
            Ok(0) => return Err(io::Error::other("the server closed a connection")),
            Ok(size) => connection.received.extend_from_slice(&self.scratch[..size]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
        let now = Instant::now();
        let mut at = 0;
        while connection.received.len() - at >= self.message.len() {
            let Some((number, due)) = connection.waiting.pop_front() else {
                return Err(io::Error::other("an answer to nothing"));
            };
            let end = at + self.message.len();
            self.message
                .check(index as u64, number, &connection.received[at..end])?;
            self.latencies.record(now - due);
            self.in_flight -= 1;
            at = end;
        }
        connection.received.drain(..at);
        Ok(())
    }
}

impl Load for Paced {
    fn run(&mut self, duration: Duration) -> io::Result<Duration> {
        let began = Instant::now();
        let end = began + duration;
        let mut next = 0_u32;
        let mut due = began;
        let mut ready = Vec::new();
        while due < end || self.in_flight > 0 {
            let now = Instant::now();
            if now > end + PATIENCE {
                return Err(io::Error::other(format!(
                    "the server does not keep up: {} answers are missing",
                    self.in_flight
                )));
            }
            for _ in 0..AT_ONCE {
                if due > now || due >= end {
                    break;
                }
                self.send(next as usize % self.connections.len(), due)?;
                next += 1;
                due = began + Duration::from_secs_f64(f64::from(next) / self.rate);
            }
            let asked = Instant::now();
            let timeout = if due < end {
                due.saturating_duration_since(asked).saturating_sub(AWAKE)
            } else {
                PATIENCE
            };
            self.poll.wait(&mut ready, Some(timeout))?;
            if timeout.is_zero() && ready.is_empty() {
                self.idle += asked.elapsed();
            }
            for event in &ready {
                let index = usize::try_from(event.key).unwrap_or(usize::MAX);
                if event.write && !self.connections[index].unsent.is_empty() {
                    self.flush(index)?;
                }
                if event.read {
                    self.receive(index)?;
                }
            }
        }
        Ok(began.elapsed())
    }

    fn latencies(&mut self) -> &mut Histogram {
        &mut self.latencies
    }

    fn forget(&mut self) {
        self.lateness = Histogram::new();
        self.idle = Duration::ZERO;
    }

    fn idle(&self) -> Duration {
        self.idle
    }

    fn details(&self) -> String {
        let late = self.lateness.quantile(990);
        format!(r#", "rate": {}, "late_p99_ns": {late}"#, self.rate)
    }
}

/// Messages at a fixed rate to an echo server.
pub fn run(plan: &Plan) -> io::Result<()> {
    if plan.target.connections == 0 || plan.rate <= 0.0 {
        return Err(io::Error::other("a load has connections and a rate"));
    }
    // A timer of the kernel may else be 50 microseconds late.
    rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1))?;
    let mut load = Paced {
        poll: Poll::new()?,
        connections: Vec::new(),
        message: Message::new(&plan.form)?,
        rate: plan.rate,
        scratch: vec![0; 128 * 1024],
        latencies: Histogram::new(),
        lateness: Histogram::new(),
        idle: Duration::ZERO,
        in_flight: 0,
    };
    for key in 0..plan.target.connections {
        let stream = plan.target.address.connect()?;
        stream.set_nonblocking()?;
        load.poll.add(&stream, key, Interest::Read)?;
        load.connections.push(Connection {
            stream,
            sequence: 0,
            unsent: Vec::new(),
            received: Vec::new(),
            waiting: VecDeque::new(),
        });
    }
    drive::drive(&mut load, &plan.timing)
}
