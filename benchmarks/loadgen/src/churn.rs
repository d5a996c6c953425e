//! Connections: those that come, say one byte and go, and those that come and stay.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use crate::drive::{self, Load, PATIENCE, Timing};
use crate::histogram::Histogram;
use crate::poll::{Interest, Poll};
use crate::socket::{Address, Stream};

/// Connections that are opened before the first answers are read, when many are to stay.
const AT_ONCE: u64 = 64;

#[derive(Debug, clap::Args)]
pub struct Plan {
    #[command(flatten)]
    address: Address,
    /// How many connections are open at a time.
    #[arg(long, default_value_t = 16)]
    connections: u64,
    #[command(flatten)]
    timing: Timing,
}

#[derive(Debug, clap::Args)]
pub struct HoldPlan {
    #[command(flatten)]
    address: Address,
    /// How many connections are opened for each line on standard input.
    #[arg(long, default_value_t = 1000)]
    connections: u64,
}

/// The byte that a connection says; 251 is prime, so that neighbours differ.
fn word(number: u64) -> u8 {
    u8::try_from(number % 251).unwrap_or_default()
}

/// An error unless the one byte came back.
fn check(stream: &mut Stream, number: u64) -> io::Result<bool> {
    let mut answer = [0; 2];
    match stream.read(&mut answer) {
        Ok(0) => Err(io::Error::other("the server closed a connection")),
        Ok(size) if size > 1 || answer[0] != word(number) => {
            Err(io::Error::other("the server sent other bytes than it got"))
        }
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

struct Churn {
    address: Address,
    poll: Poll,
    /// A stream with its number and its begin, or nothing between two runs.
    places: Vec<Option<(Stream, u64, Instant)>>,
    opened: u64,
    latencies: Histogram,
}

impl Churn {
    fn open(&mut self, place: usize) -> io::Result<()> {
        let began = Instant::now();
        let mut stream = self.address.connect()?;
        stream.set_nonblocking()?;
        stream.reset_on_close()?;
        self.poll.add(&stream, place as u64, Interest::Read)?;
        self.opened += 1;
        stream.write_all(&[word(self.opened)])?;
        self.places[place] = Some((stream, self.opened, began));
        Ok(())
    }
}

impl Load for Churn {
    fn run(&mut self, duration: Duration) -> io::Result<Duration> {
        let began = Instant::now();
        let end = began + duration;
        for place in 0..self.places.len() {
            self.open(place)?;
        }
        let mut left = self.places.len();
        let mut ready = Vec::new();
        while left > 0 {
            if Instant::now() > end + PATIENCE {
                return Err(io::Error::other(format!("{left} answers are missing")));
            }
            self.poll.wait(&mut ready, Some(PATIENCE))?;
            for event in &ready {
                let place = usize::try_from(event.key).unwrap_or(usize::MAX);
                let Some(Some((stream, number, since))) = self.places.get_mut(place) else {
                    continue;
                };
                if !check(stream, *number)? {
                    continue;
                }
                self.latencies.record(since.elapsed());
                self.places[place] = None;
                if Instant::now() < end {
                    self.open(place)?;
                } else {
                    left -= 1;
                }
            }
        }
        Ok(began.elapsed())
    }

    fn latencies(&mut self) -> &mut Histogram {
        &mut self.latencies
    }
}

/// Connect, say a byte, get it back, reset the connection; so many at a time.
pub fn run(plan: &Plan) -> io::Result<()> {
    let mut places = Vec::new();
    places.resize_with(usize::try_from(plan.connections).unwrap_or(1), || None);
    let mut churn = Churn {
        address: plan.address.clone(),
        poll: Poll::new()?,
        places,
        opened: 0,
        latencies: Histogram::new(),
    };
    drive::drive(&mut churn, &plan.timing)
}

/// Connections that have said one byte, got it back, and keep silent.
struct Held {
    address: Address,
    streams: Vec<Stream>,
    number: u64,
}

impl Held {
    fn open(&mut self, count: u64) -> io::Result<()> {
        let mut left = count;
        while left > 0 {
            let first = self.streams.len();
            for _ in 0..left.min(AT_ONCE) {
                let mut stream = self.address.connect()?;
                stream.write_all(&[word(self.number + self.streams.len() as u64)])?;
                stream.reset_on_close()?;
                self.streams.push(stream);
            }
            for place in first..self.streams.len() {
                check(&mut self.streams[place], self.number + place as u64)?;
            }
            left -= left.min(AT_ONCE);
        }
        Ok(())
    }
}

/// For each line open so many connections more, and say how many there are.
pub fn hold(plan: &HoldPlan) -> io::Result<()> {
    let mut held = Held {
        address: plan.address.clone(),
        streams: Vec::new(),
        number: 1,
    };
    // The first ones pay for what a server makes once.
    held.open(AT_ONCE)?;
    println!("ready");
    let mut line = String::new();
    while io::stdin().read_line(&mut line)? > 0 {
        held.open(plan.connections)?;
        println!(r#"{{"messages": {}}}"#, held.streams.len() as u64 - AT_ONCE);
    }
    Ok(())
}
