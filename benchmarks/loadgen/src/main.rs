//! The ends of the network benchmarks that are not under test.
//!
//! Loads, which check every answer, and servers made of nothing but epoll, the floors that no Python
//! loop can be under. All are driven through standard input and output, line by line: a load says
//! `ready` after its warm-up, then runs once for each line and prints the sums so far; in between
//! nothing is in flight, and the CPU time of the server can be taken. A server says where it is, then
//! its CPU time for each line. The end of input ends both.

mod bulk;
mod churn;
mod drive;
mod histogram;
mod http;
mod load;
mod message;
mod paced;
mod poll;
mod serve;
mod socket;
mod udp;
mod usage;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rustix::thread::{CpuSet, sched_setaffinity};

#[derive(Debug, Parser)]
#[command(about)]
struct Options {
    /// Core to stay on.
    #[arg(long, global = true)]
    cpu: Option<usize>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Messages to an echo server, one in flight on each connection.
    Load(load::Plan),
    /// The same at a fixed rate, whether the server keeps up or not.
    Paced(paced::Plan),
    /// Connections that come, say one byte and go.
    Churn(churn::Plan),
    /// Connections that come, say one byte and stay: more of them for each line.
    Hold(churn::HoldPlan),
    /// As many bytes as one connection takes.
    Bulk(bulk::Plan),
    /// Requests to an HTTP server, one in flight on each connection.
    Http(http::Plan),
    /// Datagrams to an echo server, a window of them in flight.
    UdpLoad(udp::Plan),
    /// An echo server.
    Serve(Place),
    /// The other end of `bulk`.
    BulkServe {
        #[arg(long)]
        direction: bulk::Direction,
    },
    /// An HTTP server that answers `GET /N` with N bytes.
    HttpServe,
    /// An echo server for datagrams.
    UdpServe,
}

#[derive(Debug, clap::Args)]
struct Place {
    /// Path of a Unix socket to make; otherwise a free port of 127.0.0.1 is taken.
    #[arg(long)]
    path: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let done = pin(options.cpu).and_then(|()| match options.command {
        Command::Load(plan) => load::run(&plan),
        Command::Paced(plan) => paced::run(&plan),
        Command::Churn(plan) => churn::run(&plan),
        Command::Hold(plan) => churn::hold(&plan),
        Command::Bulk(plan) => bulk::run(&plan),
        Command::Http(plan) => http::run(&plan),
        Command::UdpLoad(plan) => udp::load(&plan),
        Command::Serve(place) => serve::serve(&serve::Echo, socket::Listener::bind(place.path)?),
        Command::BulkServe { direction } => {
            serve::serve(&bulk::Floor::new(direction), socket::Listener::bind(None)?)
        }
        Command::HttpServe => serve::serve(&http::Pages, socket::Listener::bind(None)?),
        Command::UdpServe => udp::serve(),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loadgen: {error}");
            ExitCode::FAILURE
        }
    }
}

fn pin(cpu: Option<usize>) -> io::Result<()> {
    let Some(cpu) = cpu else { return Ok(()) };
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}
