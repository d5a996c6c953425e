//! Stream sockets of both families behind one type, so that the loads and the servers need not care.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with,
    connect, recv, send, socket_with, sockopt,
};

/// Where the server is.
#[derive(Debug, Clone, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Address {
    /// Port of the server on 127.0.0.1.
    #[arg(long)]
    pub port: Option<u16>,
    /// Path of the server's Unix socket.
    #[arg(long)]
    pub path: Option<PathBuf>,
}

impl Address {
    /// A connection, in blocking mode.
    pub fn connect(&self) -> io::Result<Stream> {
        let family = match self.path {
            Some(_) => AddressFamily::UNIX,
            None => AddressFamily::INET,
        };
        let fd = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        match (&self.path, self.port) {
            (Some(path), _) => connect(&fd, &SocketAddrUnix::new(path)?)?,
            (None, port) => {
                connect(
                    &fd,
                    &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port.unwrap_or(0)),
                )?;
                sockopt::set_tcp_nodelay(&fd, true)?;
            }
        }
        Ok(Stream(fd))
    }
}

/// A server, and how many connections it gets.
#[derive(Debug, Clone, clap::Args)]
pub struct Target {
    #[command(flatten)]
    pub address: Address,
    #[arg(long, default_value_t = 1)]
    pub connections: u64,
}

/// A connected socket.
#[derive(Debug)]
pub struct Stream(OwnedFd);

impl Stream {
    pub fn set_nonblocking(&self) -> io::Result<()> {
        Ok(rustix::io::ioctl_fionbio(&self.0, true)?)
    }

    /// Let the close reset the connection: nothing of it is left in the kernel then.
    pub fn reset_on_close(&self) -> io::Result<()> {
        Ok(sockopt::set_socket_linger(&self.0, Some(Duration::ZERO))?)
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(recv(&self.0, buffer, RecvFlags::empty())?.0)
    }
}

impl Write for Stream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        Ok(send(&self.0, data, SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A listening socket, not blocking.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
    nodelay: bool,
}

impl Listener {
    /// On a port of 127.0.0.1 that was free, or at a path; and where it is, as one line of JSON.
    pub fn bind(path: Option<PathBuf>) -> io::Result<(Self, String)> {
        if let Some(path) = path {
            let listener = UnixListener::bind(&path)?;
            listener.set_nonblocking(true)?;
            let found = format!(r#"{{"path": {:?}}}"#, path.display().to_string());
            let fd = OwnedFd::from(listener);
            return Ok((Self { fd, nodelay: false }, found));
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let found = format!(r#"{{"port": {}}}"#, listener.local_addr()?.port());
        let fd = OwnedFd::from(listener);
        // The standard library listens with a backlog of 128, too short for a storm of connections.
        rustix::net::listen(&fd, 2048)?;
        Ok((Self { fd, nodelay: true }, found))
    }

    /// The next connection, not blocking.
    pub fn accept(&self) -> io::Result<Stream> {
        let fd = accept_with(&self.fd, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        if self.nodelay {
            sockopt::set_tcp_nodelay(&fd, true)?;
        }
        Ok(Stream(fd))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
