//! Sending: at once if nothing waits, else behind what waits.

use std::io;

use aioxide_driver::{datagram, sys};

use super::super::reader::is_not_ready;
use super::super::writer::SILENT_WRITES;
use super::DatagramTransport;
use super::address::Family;
use crate::event_loop::LoopCore;
use crate::ffi::buffer::{Buffer, bytes_slice, is_bytes_like};
use crate::ffi::call::Signature;
use crate::ffi::error::Kind;
use crate::ffi::method::TypeBuilder;
use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Args, Inst, Object, Raised, Res, value};

const EBADF: i32 = 9;
const WRITE_ERROR: &str = "Fatal write error on datagram transport";

const SENDTO: Signature<2> = Signature {
    function: "sendto",
    parameters: [c"data", c"addr"],
    positional: 2,
    required: 1,
};

impl Inst<DatagramTransport> {
    #[inline]
    fn sendto(&self, data: &Any, address: &Any) -> Res<()> {
        let plain = bytes_slice(data);
        let empty = match plain {
            Some(slice) => slice.is_empty(),
            None if is_bytes_like(data) => !data.is_truthy()?,
            None => return Err(wrong_type(data)),
        };
        if empty && imports().datagram_header == 0 {
            // Before 3.13.
            return Ok(());
        }
        let fixed = self.address.get();
        let address = match &fixed {
            Some(fixed) => {
                check_address(fixed, address)?;
                if self.common.conn_lost.get() > 0 {
                    return self.send_to_nobody();
                }
                fixed
            }
            None => address,
        };
        if self.queue.borrow().is_empty() {
            let sent = match plain {
                Some(slice) => self.send(data, slice, address),
                None => Buffer::readable(data)
                    .and_then(|buffer| self.send(data, buffer.as_slice(), address)),
            };
            match sent {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    if let Some(core) = self.common.loop_.get() {
                        self.start_writing(&core)?;
                    }
                }
                Err(raised) => return self.send_failed(raised),
            }
        }
        self.enqueue(data, address)
    }

    /// Sends one datagram; whether the socket has taken it. `slice` is the memory of `data`.
    #[inline]
    fn send(&self, data: &Any, slice: &[u8], address: &Any) -> Res<bool> {
        let sent = if self.family.get() == Family::Other {
            return self.send_by_method(data, address);
        } else if self.connected.get() {
            self.check_descriptor()?;
            sys::send(self.common.fd.get(), slice)
        } else if let Some(receiver) = self.receiver(address) {
            self.check_descriptor()?;
            datagram::send_to(self.common.fd.get(), slice, &receiver)
        } else {
            return self.send_by_method(data, address);
        };
        match sent {
            Ok(_) => Ok(true),
            Err(error) if is_not_ready(&error) => Ok(false),
            Err(error) => Err(Raised::os(&error)),
        }
    }

    fn send_by_method(&self, data: &Any, address: &Any) -> Res<bool> {
        let names = names();
        let sock = self.common.file.get_or_none();
        let sent = if self.connected.get() {
            sock.call_method1(&names.send, data)
        } else {
            sock.call_method2(&names.sendto, data, address)
        };
        match sent {
            Ok(_) => Ok(true),
            Err(raised) if raised.is_not_ready() => {
                raised.discard();
                Ok(false)
            }
            Err(raised) => Err(raised),
        }
    }

    /// An error of the network is the protocol's business, everything else is the end.
    #[cold]
    fn send_failed(&self, raised: Raised) -> Res<()> {
        if raised.matches(Kind::Os.as_any()) {
            let Some(protocol) = self.common.protocol.get() else {
                return Err(raised);
            };
            return protocol
                .call_method1(&names().error_received, &raised.take())
                .map(drop);
        }
        if self.common.loop_.get().is_none() {
            // Nobody is left to report it to.
            return Err(raised);
        }
        self.callback_failed(raised, WRITE_ERROR)
    }

    #[cold]
    fn enqueue(&self, data: &Any, address: &Any) -> Res<()> {
        let data = value::to_bytes(data)?;
        self.queue.borrow_mut().push((data, address.own()))?;
        self.queue_has_grown()
    }

    /// The connection is lost: asyncio counts, and from the fifth on complains.
    #[cold]
    fn send_to_nobody(&self) -> Res<()> {
        let lost = &self.common.conn_lost;
        if lost.get() >= SILENT_WRITES {
            let message = value::text("socket.send() raised exception.")?;
            imports().logger.call_method1(&names().warning, &message)?;
        }
        lost.set(lost.get().saturating_add(1));
        Ok(())
    }

    /// Sends what waits, as far as the socket takes it.
    pub(super) fn write_ready(&self, core: &Inst<LoopCore>) -> Res<()> {
        loop {
            let Some((data, address)) = self.queue.borrow_mut().pop() else {
                break;
            };
            let slice = bytes_slice(&data).unwrap_or_default();
            match self.send(&data, slice, &address) {
                Ok(true) => {}
                Ok(false) => {
                    self.queue.borrow_mut().push_front((data, address));
                    break;
                }
                // The next one has its turn when the loop comes by again.
                Err(raised) => return self.send_failed(raised),
            }
        }
        // May send more, or close.
        self.queue_has_shrunk()?;
        if !self.queue.borrow().is_empty() {
            return Ok(());
        }
        self.stop_writing(core);
        if self.common.closing.get() && self.common.conn_lost.get() == 0 {
            self.common.conn_lost.set(1);
            return self.call_connection_lost(None);
        }
        Ok(())
    }

    /// The error of a socket that somebody closed under us: its number may be another's by now.
    #[inline]
    pub(super) fn check_descriptor(&self) -> Res<()> {
        let Some(sock) = self.common.file.get() else {
            return Err(Raised::new(
                Kind::Attribute,
                "the transport is closed: it has no socket",
            ));
        };
        if sock.call_method0(&names().fileno)?.to_i64()? == i64::from(self.common.fd.get()) {
            return Ok(());
        }
        Err(Raised::os(&io::Error::from_raw_os_error(EBADF)))
    }
}

/// Only the address of a fixed one may be given, or none.
fn check_address(fixed: &Any, address: &Any) -> Res<()> {
    if address.is_none() || address.is(fixed) || address.equals(fixed)? {
        return Ok(());
    }
    Err(Raised::new(
        Kind::Value,
        &format!(
            "Invalid address: must be None or {}",
            fixed.str()?.text_lossy()
        ),
    ))
}

#[cold]
fn wrong_type(data: &Any) -> Raised {
    let name = match data.class().getattr(&names().__name__) {
        Ok(name) => name.repr_lossy(),
        Err(raised) => return raised,
    };
    Raised::type_error(&format!(
        "data argument must be a bytes-like object, not {name}"
    ))
}

fn sendto(this: &Inst<DatagramTransport>, args: Args<'_>) -> Res<Object> {
    let (data, address) = match (args.positional, args.names) {
        (&[data, address], []) => (data, address),
        (&[data], []) => (data, value::none_ref()),
        _ => {
            let [data, address] = args.bind(&SENDTO)?;
            let none = value::none_ref();
            (data.unwrap_or(none), address.unwrap_or(none))
        }
    };
    this.sendto(data, address)?;
    Ok(value::none())
}

pub(super) fn methods(b: TypeBuilder<DatagramTransport>) -> TypeBuilder<DatagramTransport> {
    b.method(c"sendto", sendto, c"sendto($self, /, data, addr=None)\n--\n\nSend a datagram, now or later. Never blocks.\n\nWithout an address it goes to the endpoint's remote address.")
}
