//! The floor: an echo server that does nothing but epoll, read and write.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use crate::poll::{Interest, Poll};
use crate::usage;

const CONTROL: u64 = 0;
const LISTENER: u64 = 1;
const FIRST_CONNECTION: u64 = 2;
const SCRATCH: usize = 256 * 1024;

/// A connection, and what of its bytes the kernel did not take yet.
struct Connection {
    stream: TcpStream,
    unsent: Vec<u8>,
}

impl Connection {
    /// Write as much as fits, keep the rest; whether the interest has to change.
    fn send(&mut self, data: &[u8]) -> io::Result<bool> {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(data);
            return Ok(false);
        }
        let written = write_some(&mut self.stream, data)?;
        self.unsent.extend_from_slice(&data[written..]);
        Ok(!self.unsent.is_empty())
    }

    /// Write what was kept; whether it is all gone.
    fn flush(&mut self) -> io::Result<bool> {
        let written = write_some(&mut self.stream, &self.unsent)?;
        self.unsent.drain(..written);
        Ok(self.unsent.is_empty())
    }
}

fn write_some(stream: &mut TcpStream, data: &[u8]) -> io::Result<usize> {
    match stream.write(data) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        result => result,
    }
}

/// Serve until standard input ends.
pub fn serve() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let mut poll = Poll::new()?;
    poll.add(&listener, LISTENER, Interest::Read)?;
    poll.add(io::stdin(), CONTROL, Interest::Read)?;
    println!(r#"{{"port": {}}}"#, listener.local_addr()?.port());

    // A place is not used again: a run has few connections, and a late event finds nobody.
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut scratch = vec![0; SCRATCH];
    let mut ready = Vec::new();
    loop {
        poll.wait(&mut ready, None)?;
        for &event in &ready {
            match event.key {
                CONTROL => {
                    if io::stdin().lock().read_line(&mut String::new())? == 0 {
                        return Ok(());
                    }
                    println!("{}", usage::json());
                }
                LISTENER => {
                    let Ok((stream, _)) = listener.accept() else {
                        continue;
                    };
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    poll.add(
                        &stream,
                        FIRST_CONNECTION + connections.len() as u64,
                        Interest::Read,
                    )?;
                    connections.push(Some(Connection {
                        stream,
                        unsent: Vec::new(),
                    }));
                }
                key => {
                    let place = usize::try_from(key - FIRST_CONNECTION).unwrap_or(usize::MAX);
                    let Some(slot) = connections.get_mut(place) else {
                        continue;
                    };
                    let Some(connection) = slot else { continue };
                    if event.write && !connection.unsent.is_empty() && connection.flush()? {
                        poll.modify(&connection.stream, key, Interest::Read)?;
                    }
                    if !event.read {
                        continue;
                    }
                    match connection.stream.read(&mut scratch) {
                        Ok(0) => *slot = None,
                        Ok(size) => {
                            if connection.send(&scratch[..size])? {
                                poll.modify(&connection.stream, key, Interest::ReadWrite)?;
                            }
                        }
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        Err(_) => *slot = None,
                    }
                }
            }
        }
    }
}
