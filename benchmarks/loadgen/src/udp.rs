//! Datagrams: the client, which keeps a window of them in flight, and the floor.

use std::collections::VecDeque;
use std::io::{self, BufRead, ErrorKind};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use crate::drive::{self, Load, Timing};
use crate::histogram::Histogram;
use crate::poll::{Interest, Poll};
use crate::usage;

/// Number of the datagram.
const HEADER: usize = 8;
/// The largest datagram that IPv4 has.
const LARGEST: usize = 65507;

const CONTROL: u64 = 0;
const SOCKET: u64 = 1;

#[derive(Debug, clap::Args)]
pub struct Plan {
    /// Port of the server on 127.0.0.1.
    #[arg(long)]
    port: u16,
    /// How many datagrams are in flight.
    #[arg(long, default_value_t = 1)]
    window: usize,
    /// Bytes in a datagram.
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// How many seconds an answer may take.
    #[arg(long, default_value_t = 10.0)]
    patience: f64,
    #[command(flatten)]
    timing: Timing,
}

struct Datagrams {
    window: usize,
    socket: UdpSocket,
    /// The datagram to send or to expect; its number is written anew each time.
    message: Vec<u8>,
    scratch: Vec<u8>,
    /// How many were sent, and when those were that are in flight.
    sent: u64,
    in_flight: VecDeque<Instant>,
    latencies: Histogram,
}

impl Datagrams {
    fn set_number(&mut self, number: u64) {
        self.message[..HEADER].copy_from_slice(&number.to_le_bytes());
    }

    fn send(&mut self) -> io::Result<()> {
        self.set_number(self.sent);
        self.sent += 1;
        self.in_flight.push_back(Instant::now());
        self.socket.send(&self.message).map(drop)
    }

    /// Take in the answer to the oldest one: the server has one socket and one loop, so that nothing
    /// can overtake on the way.
    fn receive(&mut self) -> io::Result<()> {
        let size = match self.socket.recv(&mut self.scratch) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let missing = self.in_flight.len();
                return Err(io::Error::other(format!("{missing} answers are missing")));
            }
            result => result?,
        };
        let Some(began) = self.in_flight.pop_front() else {
            return Err(io::Error::other("an answer to nothing"));
        };
        let latency = began.elapsed();
        self.set_number(self.sent - 1 - self.in_flight.len() as u64);
        if self.scratch[..size] != self.message {
            return Err(io::Error::other("the server sent another datagram"));
        }
        self.latencies.record(latency);
        Ok(())
    }
}

impl Load for Datagrams {
    /// Keep the window full for this long, then wait until nothing is in flight.
    fn run(&mut self, duration: Duration) -> io::Result<Duration> {
        let began = Instant::now();
        while self.in_flight.len() < self.window {
            self.send()?;
        }
        while !self.in_flight.is_empty() {
            self.receive()?;
            if began.elapsed() < duration {
                self.send()?;
            }
        }
        Ok(began.elapsed())
    }

    fn latencies(&mut self) -> &mut Histogram {
        &mut self.latencies
    }
}

/// Datagrams to an echo server.
pub fn load(plan: &Plan) -> io::Result<()> {
    if !(HEADER..=LARGEST).contains(&plan.size) || plan.window == 0 {
        return Err(io::Error::other(format!(
            "a datagram has {HEADER} to {LARGEST} bytes, a window at least one datagram"
        )));
    }
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect((Ipv4Addr::LOCALHOST, plan.port))?;
    socket.set_read_timeout(Some(Duration::from_secs_f64(plan.patience)))?;
    let mut load = Datagrams {
        window: plan.window,
        socket,
        message: (0..=250).cycle().take(plan.size).collect(),
        scratch: vec![0; LARGEST],
        sent: 0,
        in_flight: VecDeque::with_capacity(plan.window),
        latencies: Histogram::new(),
    };
    drive::drive(&mut load, &plan.timing)
}

/// The floor: a server that does nothing but epoll, receive and send, until standard input ends.
pub fn serve() -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_nonblocking(true)?;
    let mut poll = Poll::new()?;
    poll.add(&socket, SOCKET, Interest::Read)?;
    poll.add(io::stdin(), CONTROL, Interest::Read)?;
    println!(r#"{{"port": {}}}"#, socket.local_addr()?.port());

    let mut scratch = vec![0; LARGEST];
    let mut ready = Vec::new();
    loop {
        poll.wait(&mut ready, None)?;
        for &event in &ready {
            if event.key == CONTROL {
                if io::stdin().lock().read_line(&mut String::new())? == 0 {
                    return Ok(());
                }
                println!("{}", usage::json());
                continue;
            }
            loop {
                match socket.recv_from(&mut scratch) {
                    Ok((size, peer)) => drop(socket.send_to(&scratch[..size], peer)?),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
    }
}
