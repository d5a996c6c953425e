//! The client side: one message in flight on each connection, each checked byte by byte.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use crate::histogram::Histogram;
use crate::poll::{Interest, Poll};

/// Number of the message and of its connection.
const HEADER: usize = 16;
/// How long the last answers may take when the time is over.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub struct Plan {
    /// Port of the server on 127.0.0.1.
    #[arg(long)]
    port: u16,
    #[arg(long, default_value_t = 1)]
    connections: u64,
    /// Bytes in a message.
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// How long to run for each line on standard input.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// How long to run before that.
    #[arg(long, default_value_t = 0.2)]
    warmup: f64,
}

struct Connection {
    stream: TcpStream,
    key: u64,
    /// Number of the message in flight.
    sequence: u64,
    sent: usize,
    received: Vec<u8>,
    began: Instant,
}

/// What the connections have in common.
struct Load {
    poll: Poll,
    /// The message to send; its header is written anew each time.
    message: Vec<u8>,
    scratch: Vec<u8>,
    latencies: Histogram,
    in_flight: u64,
}

impl Load {
    fn set_header(&mut self, connection: &Connection) {
        self.message[..8].copy_from_slice(&connection.sequence.to_le_bytes());
        self.message[8..HEADER].copy_from_slice(&connection.key.to_le_bytes());
    }

    fn begin(&mut self, connection: &mut Connection, now: Instant) -> io::Result<()> {
        connection.sequence += 1;
        connection.sent = 0;
        connection.received.clear();
        connection.began = now;
        self.in_flight += 1;
        if !self.send(connection)? {
            self.poll
                .modify(&connection.stream, connection.key, Interest::ReadWrite)?;
        }
        Ok(())
    }

    /// Send as much as fits; whether the whole message is out.
    fn send(&mut self, connection: &mut Connection) -> io::Result<bool> {
        self.set_header(connection);
        while connection.sent < self.message.len() {
            match connection.stream.write(&self.message[connection.sent..]) {
                Ok(size) => connection.sent += size,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Take in what has come; whether the whole message is back.
    fn receive(&mut self, connection: &mut Connection) -> io::Result<bool> {
        let size = match connection.stream.read(&mut self.scratch) {
            Ok(0) => return Err(io::Error::other("the server closed a connection")),
            Ok(size) => size,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        connection.received.extend_from_slice(&self.scratch[..size]);
        if connection.received.len() < self.message.len() {
            return Ok(false);
        }
        self.set_header(connection);
        if connection.received != self.message {
            return Err(io::Error::other("the server sent other bytes than it got"));
        }
        self.in_flight -= 1;
        Ok(true)
    }

    /// Keep all connections busy for this long, then wait until nothing is in flight.
    fn run(&mut self, connections: &mut [Connection], duration: Duration) -> io::Result<Duration> {
        let began = Instant::now();
        let end = began + duration;
        for connection in &mut *connections {
            self.begin(connection, Instant::now())?;
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
                let connection = usize::try_from(event.key)
                    .ok()
                    .and_then(|index| connections.get_mut(index))
                    .ok_or_else(|| io::Error::other("an event of no connection"))?;
                if event.write && connection.sent < self.message.len() && self.send(connection)? {
                    self.poll
                        .modify(&connection.stream, event.key, Interest::Read)?;
                }
                if event.read && self.receive(connection)? {
                    let now = Instant::now();
                    let latency = now - connection.began;
                    self.latencies
                        .record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
                    if now < end {
                        self.begin(connection, now)?;
                    }
                }
            }
        }
        Ok(began.elapsed())
    }
}

/// Connect, warm up, say `ready`; for each line run once and print the sums so far.
pub fn run(plan: &Plan) -> io::Result<()> {
    if plan.size < HEADER {
        return Err(io::Error::other(format!(
            "a message has at least {HEADER} bytes"
        )));
    }
    let mut load = Load {
        poll: Poll::new()?,
        message: (0..=250).cycle().take(plan.size).collect(),
        scratch: vec![0; plan.size.max(64 * 1024)],
        latencies: Histogram::new(),
        in_flight: 0,
    };
    let mut connections = Vec::new();
    for key in 0..plan.connections {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, plan.port))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        load.poll.add(&stream, key, Interest::Read)?;
        let received = Vec::with_capacity(plan.size);
        connections.push(Connection {
            stream,
            key,
            sequence: 0,
            sent: 0,
            received,
            began: Instant::now(),
        });
    }
    load.run(&mut connections, Duration::from_secs_f64(plan.warmup))?;
    load.latencies = Histogram::new();

    println!("ready");
    let mut elapsed = Duration::ZERO;
    // The connections stay until the end of input: the server is measured between the lines.
    while io::stdin().lock().read_line(&mut String::new())? > 0 {
        elapsed += load.run(&mut connections, Duration::from_secs_f64(plan.seconds))?;
        println!("{}", load.latencies.json(elapsed));
    }
    Ok(())
}
