//! One connection and as many bytes as it takes: the client of both directions, and the floor.
//!
//! A burst begins with eight bytes from the client, a number. To a server that receives, it is how
//! many bytes follow; the answer, eight bytes too, is how many came, or their CRC-32 if the number's
//! highest bit is set (the warm-up asks for that, since it costs more than receiving does). From a
//! server that sends, it asks for so many bytes, and each of them is compared.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use crate::drive::{self, Load, Timing};
use crate::histogram::Histogram;
use crate::serve::{Out, Service};
use crate::socket::{Address, Stream};

const BLOCK: usize = 1 << 20;
const CHECKED: u64 = 1 << 63;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Direction {
    /// The server receives.
    Receive,
    /// The server sends.
    Send,
}

#[derive(Debug, clap::Args)]
pub struct Plan {
    #[command(flatten)]
    address: Address,
    /// What the server does.
    #[arg(long)]
    direction: Direction,
    /// How many MiB a burst has.
    #[arg(long, default_value_t = 32)]
    burst: u64,
    #[command(flatten)]
    timing: Timing,
}

/// What is sent again and again; servers know it, too.
fn block() -> Vec<u8> {
    (0..=250).cycle().take(BLOCK).collect()
}

struct Bulk {
    stream: Stream,
    direction: Direction,
    burst: u64,
    block: Vec<u8>,
    scratch: Vec<u8>,
    /// CRC-32 of a burst, until a server has proved that it gets every byte.
    unproved: Option<u32>,
    latencies: Histogram,
}

impl Bulk {
    fn give(&mut self) -> io::Result<()> {
        let size = self.burst * BLOCK as u64;
        let number = if self.unproved.is_some() {
            size | CHECKED
        } else {
            size
        };
        self.stream.write_all(&number.to_le_bytes())?;
        for _ in 0..self.burst {
            self.stream.write_all(&self.block)?;
        }
        let mut answer = [0; 8];
        self.stream.read_exact(&mut answer)?;
        let wanted = self.unproved.take().map_or(size, u64::from);
        if u64::from_le_bytes(answer) == wanted {
            return Ok(());
        }
        Err(io::Error::other("the server did not get what was sent"))
    }

    fn take(&mut self) -> io::Result<()> {
        let size = usize::try_from(self.burst).unwrap_or(1) * BLOCK;
        self.stream.write_all(&(size as u64).to_le_bytes())?;
        let mut got = 0;
        while got < size {
            let at = got % BLOCK;
            let room = self.scratch.len().min(BLOCK - at).min(size - got);
            let more = self.stream.read(&mut self.scratch[..room])?;
            if more == 0 {
                return Err(io::Error::other("the server closed a connection"));
            }
            if self.scratch[..more] != self.block[at..at + more] {
                return Err(io::Error::other(
                    "the server sent other bytes than it should",
                ));
            }
            got += more;
        }
        Ok(())
    }
}

impl Load for Bulk {
    fn run(&mut self, duration: Duration) -> io::Result<Duration> {
        let began = Instant::now();
        loop {
            let since = Instant::now();
            match self.direction {
                Direction::Receive => self.give()?,
                Direction::Send => self.take()?,
            }
            self.latencies.record(since.elapsed());
            if began.elapsed() >= duration {
                return Ok(began.elapsed());
            }
        }
    }

    fn latencies(&mut self) -> &mut Histogram {
        &mut self.latencies
    }

    fn details(&self) -> String {
        format!(r#", "burst_mib": {}"#, self.burst)
    }
}

/// Bursts, one after the other.
pub fn run(plan: &Plan) -> io::Result<()> {
    let block = block();
    let mut crc = crc32fast::Hasher::new();
    for _ in 0..plan.burst {
        crc.update(&block);
    }
    let mut load = Bulk {
        stream: plan.address.connect()?,
        direction: plan.direction,
        burst: plan.burst,
        block,
        scratch: vec![0; 256 * 1024],
        unproved: Some(crc.finalize()),
        latencies: Histogram::new(),
    };
    drive::drive(&mut load, &plan.timing)
}

/// The floor, in both directions.
pub struct Floor {
    direction: Direction,
    block: Vec<u8>,
}

impl Floor {
    pub fn new(direction: Direction) -> Self {
        Self {
            direction,
            block: block(),
        }
    }
}

/// A burst under way.
#[derive(Default)]
pub struct Burst {
    header: Vec<u8>,
    size: u64,
    done: u64,
    crc: Option<crc32fast::Hasher>,
}

impl Burst {
    /// Read the number that a burst begins with; what is left of the bytes.
    fn begin<'a>(&mut self, data: &'a [u8]) -> &'a [u8] {
        let (head, rest) = data.split_at(data.len().min(8 - self.header.len()));
        self.header.extend_from_slice(head);
        if let Ok(header) = <[u8; 8]>::try_from(self.header.as_slice()) {
            let number = u64::from_le_bytes(header);
            self.size = number & !CHECKED;
            self.done = 0;
            self.crc = (number & CHECKED != 0).then(crc32fast::Hasher::new);
        }
        rest
    }
}

impl Service for Floor {
    type State = Burst;

    fn received(&self, burst: &mut Burst, data: &[u8], out: &mut Out) -> io::Result<()> {
        let data = if burst.header.len() < 8 {
            burst.begin(data)
        } else {
            data
        };
        if self.direction == Direction::Send {
            return self.room(burst, out);
        }
        burst.done += data.len() as u64;
        if let Some(crc) = &mut burst.crc {
            crc.update(data);
        }
        if burst.header.len() == 8 && burst.done >= burst.size {
            let answer = burst
                .crc
                .take()
                .map_or(burst.done, |crc| u64::from(crc.finalize()));
            burst.header.clear();
            out.send(&answer.to_le_bytes())?;
        }
        Ok(())
    }

    fn room(&self, burst: &mut Burst, out: &mut Out) -> io::Result<()> {
        while burst.header.len() == 8 && burst.done < burst.size {
            let at = usize::try_from(burst.done).unwrap_or_default() % BLOCK;
            let written = out.send_some(&self.block[at..])?;
            if written == 0 {
                return Ok(());
            }
            burst.done += written as u64;
        }
        burst.header.clear();
        Ok(())
    }

    fn has_more(&self, burst: &Burst) -> bool {
        self.direction == Direction::Send && burst.header.len() == 8
    }
}
