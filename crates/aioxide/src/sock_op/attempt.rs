//! The system calls: each attempt makes one, and says whether it was the time for it.
//!
//! On a plain `socket.socket` the calls that run per message are made here, with the flag that
//! keeps them from blocking. Everything else (accepting, connecting, datagrams with addresses, and
//! any other object with a socket's methods) goes through the object's own methods.

use std::io::{self, ErrorKind};
use std::os::fd::RawFd;

use aioxide_driver::sys;

use super::{Method, SockOp};
use crate::ffi::buffer::{self, Buffer};
use crate::ffi::error::Kind;
use crate::ffi::module::names;
use crate::ffi::{Inst, Object, Raised, Res, value};

/// The outcome of a system call: `None` if the kernel is not ready.
pub(super) type Attempt = Res<Option<Object>>;

/// As above, for what a socket's own method has raised or returned.
pub(super) fn from_method(result: Res<Object>) -> Attempt {
    match result {
        Ok(object) => Ok(Some(object)),
        Err(raised) if raised.is_not_ready() => {
            raised.discard();
            Ok(None)
        }
        Err(raised) => Err(raised),
    }
}

/// As above, for a system call of ours.
#[inline]
pub(super) fn from_kernel<T>(result: io::Result<T>) -> Res<Option<T>> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ok(None)
        }
        Err(error) => Err(Raised::os(&error)),
    }
}

/// Receives up to more than the scratch memory holds. A datagram must be taken in one call.
#[cold]
fn recv_large(fd: RawFd, size: usize, scratch: &mut [u8]) -> Attempt {
    let available = sys::available(fd).map_or(size, |count| usize::try_from(count).unwrap_or(size));
    if available <= scratch.len() {
        return match from_kernel(sys::recv(fd, scratch))? {
            Some(count) => value::bytes(&scratch[..count]).map(Some),
            None => Ok(None),
        };
    }
    from_kernel(buffer::new_bytes(size.min(available), |memory| {
        sys::recv_uninit(fd, memory).map(|filled| filled.len())
    })?)
}

impl Inst<SockOp> {
    /// The first attempt: reads the arguments as the socket's method would.
    #[inline]
    pub(super) fn first_attempt(&self) -> Attempt {
        match self.method {
            Method::Recv if self.plain => {
                let size = self.first.get_or_none().to_size()?;
                let Ok(size) = usize::try_from(size) else {
                    return Err(Raised::new(Kind::Value, "negative buffersize in recv"));
                };
                self.count.set(size);
                if size == 0 {
                    return value::bytes(&[]).map(Some);
                }
                self.recv()
            }
            Method::RecvFromInto => {
                let size = self.second.get_or_none();
                if size.is_none() || !size.is_truthy()? {
                    let length = self.first.get_or_none().length()?;
                    self.second
                        .set(value::int(i64::try_from(length).unwrap_or(i64::MAX))?);
                }
                self.attempt()
            }
            Method::SendAll => self.first_send(),
            Method::Connect { numeric } => self.connect(numeric),
            _ => self.attempt(),
        }
    }

    /// Every further attempt.
    #[inline]
    pub(super) fn attempt(&self) -> Attempt {
        match self.method {
            Method::Recv if self.plain => self.recv(),
            Method::RecvInto if self.plain => self.recv_into(),
            Method::SendAll if self.plain => self.send_more(),
            Method::SendAll => self.send_more_by_method(),
            Method::Recv => self.call1(&names().recv),
            Method::RecvInto => self.call1(&names().recv_into),
            Method::RecvFrom => self.call1(&names().recvfrom),
            Method::RecvFromInto => self.call2(&names().recvfrom_into),
            Method::SendTo => self.call2(&names().sendto),
            Method::Connect { .. } => self.connected(),
            Method::Accept => self.accept(),
        }
    }

    fn call1(&self, method: &Object) -> Attempt {
        from_method(
            self.sock
                .get_or_none()
                .call_method1(method, &self.first.get_or_none()),
        )
    }

    fn call2(&self, method: &Object) -> Attempt {
        let (first, second) = (self.first.get_or_none(), self.second.get_or_none());
        from_method(
            self.sock
                .get_or_none()
                .call_method2(method, &first, &second),
        )
    }

    /// Receives into the loop's scratch memory, so that the bytes object is made to measure: one of
    /// the size asked for costs more than the copy, and usually much less has come.
    #[inline]
    fn recv(&self) -> Attempt {
        let fd = self.descriptor()?;
        let core = self.core()?;
        let size = self.count.get();
        let mut scratch = core.scratch();
        if size > scratch.len() {
            return recv_large(fd, size, &mut scratch);
        }
        match from_kernel(sys::recv(fd, &mut scratch[..size]))? {
            Some(count) => value::bytes(&scratch[..count]).map(Some),
            None => Ok(None),
        }
    }

    /// The buffer is exported for the time of the call only, as `socket.recv_into` does.
    fn recv_into(&self) -> Attempt {
        let target = self.first.get_or_none();
        let mut memory = Buffer::writable(&target).map_err(|raised| {
            raised.discard();
            Raised::type_error(&format!(
                "recv_into() argument 1 must be read-write bytes-like object, not {}",
                target.class().getattr(&names().__name__).map_or_else(
                    |raised| {
                        raised.discard();
                        String::new()
                    },
                    |name| name.text_lossy()
                )
            ))
        })?;
        let received = if memory.len() == 0 {
            Some(0)
        } else {
            from_kernel(sys::recv(self.descriptor()?, memory.as_mut_slice()))?
        };
        received
            .map(|count| value::int(i64::try_from(count).unwrap_or(i64::MAX)))
            .transpose()
    }

    #[inline]
    fn first_send(&self) -> Attempt {
        let data = self.first.get_or_none();
        if !self.plain {
            return self.send_more_by_method();
        }
        if let Some(octets) = buffer::bytes_slice(&data) {
            return self.send(octets);
        }
        let memory = Buffer::readable(&data)?;
        let outcome = self.send(memory.as_slice())?;
        if outcome.is_none() {
            *self.data.borrow_mut() = Some(memory);
        }
        Ok(outcome)
    }

    fn send_more(&self) -> Attempt {
        if let Some(octets) = buffer::bytes_slice(&self.first.get_or_none()) {
            return self.send(octets);
        }
        let Some(memory) = self.data.take() else {
            return Ok(None);
        };
        let outcome = self.send(memory.as_slice());
        *self.data.borrow_mut() = Some(memory);
        outcome
    }

    /// Sends what is left of `octets`; done when nothing is.
    #[inline]
    fn send(&self, octets: &[u8]) -> Attempt {
        let position = self.count.get();
        let fd = self.descriptor()?;
        let Some(sent) = from_kernel(sys::send(fd, &octets[position..]))? else {
            return Ok(None);
        };
        self.count.set(position + sent);
        Ok((position + sent == octets.len()).then(value::none))
    }

    fn send_more_by_method(&self) -> Attempt {
        let (sock, data) = (self.sock.get_or_none(), self.first.get_or_none());
        let position = self.count.get();
        let sent = if position == 0 {
            from_method(sock.call_method1(&names().send, &data))?
        } else {
            let rest = buffer::tail(&data, position)?;
            from_method(sock.call_method1(&names().send, &rest))?
        };
        let Some(sent) = sent else { return Ok(None) };
        let Ok(sent) = usize::try_from(sent.to_i64()?) else {
            return Err(Raised::new(
                Kind::Value,
                "send() returned a negative number",
            ));
        };
        self.count.set(position + sent);
        Ok((position + sent == buffer::byte_length(&data)?).then(value::none))
    }

    fn accept(&self) -> Attempt {
        let Some(accepted) = from_method(self.sock.get_or_none().call_method0(&names().accept))?
        else {
            return Ok(None);
        };
        let &[conn, address] = accepted.tuple_items() else {
            return Err(Raised::type_error(
                "accept() must return a socket and an address",
            ));
        };
        conn.call_method1(&names().setblocking, &value::bool(false))?;
        value::tuple(&[conn, address]).map(Some)
    }
}
