//! The two ends of the echo benchmarks that are not under test.
//!
//! `load` keeps one message in flight on each of its connections and counts what comes back;
//! `serve` is an echo server made of nothing but epoll, the floor that no Python loop can be under.
//! Both are driven by `benchmarks/echo.py` through standard input and output, line by line. `udp-load` and
//! `udp-serve` are the same with datagrams, for `benchmarks/udp.py`.

mod echo;
mod histogram;
mod load;
mod poll;
mod udp;
mod usage;

use std::io;
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
    /// Send messages to an echo server on 127.0.0.1 and measure.
    ///
    /// Prints `ready` after the warm-up, then runs once for each line on standard input and prints
    /// the sums so far. In between nothing is in flight, and the server's CPU time can be read.
    Load(load::Plan),
    /// Be the echo server. Prints the port, then CPU time for each line on standard input.
    Serve,
    /// As `load`, with datagrams: a window of them is in flight.
    UdpLoad(udp::Plan),
    /// As `serve`, with datagrams.
    UdpServe,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let done = pin(options.cpu).and_then(|()| match options.command {
        Command::Load(plan) => load::run(&plan),
        Command::Serve => echo::serve(),
        Command::UdpLoad(plan) => udp::load(&plan),
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
