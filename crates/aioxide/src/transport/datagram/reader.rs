//! Receiving: what is there, one call of the protocol for each datagram.

use std::cell::RefCell;
use std::io;

use aioxide_driver::datagram::{Address, recv_from};

use super::super::reader::is_not_ready;
use super::address::Family;
use super::{DatagramTransport, MAX_SIZE};
use crate::event_loop::LoopCore;
use crate::ffi::error::Kind;
use crate::ffi::module::names;
use crate::ffi::{Any, Inst, Object, Raised, Res, value};
use crate::tuning;

/// How many events at most pass by without a look for a second datagram.
const MOST_PATIENT: u8 = 63;
const READ_ERROR: &str = "Fatal read error on datagram transport";

/// Whether to look for a second datagram when one has come.
///
/// Where several wait, looking saves a poll for each; where the next one only comes as the answer to
/// this one, every look is a system call in vain. So after a look in vain some events pass before the
/// next, twice as many each time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lookahead {
    /// How many events pass after the next look in vain.
    patience: u8,
    /// How many are left of those that pass.
    left: u8,
}

impl Lookahead {
    /// Whether to look now.
    fn begin(&mut self) -> bool {
        let look = self.left == 0;
        self.left = self.left.saturating_sub(1);
        look
    }

    /// There was one more.
    fn found(&mut self) {
        *self = Lookahead::default();
    }

    fn found_nothing(&mut self) {
        self.patience = (2 * self.patience + 1).min(MOST_PATIENT);
        self.left = self.patience;
    }
}

thread_local! {
    /// Where what does not fit into the loop's scratch memory is received: a Unix socket's datagrams.
    static LARGE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What a socket has: a datagram with its sender, nothing now, or an error.
type Received = Res<Option<(Object, Object)>>;

impl Inst<DatagramTransport> {
    pub(super) fn read_ready(&self, core: &Inst<LoopCore>) -> Res<()> {
        let common = &self.common;
        let mut lookahead = self.lookahead.get();
        let look = lookahead.begin();
        for count in 0..tuning::DATAGRAMS {
            let Some(protocol) = common.protocol.get() else {
                return Ok(());
            };
            if common.conn_lost.get() > 0 {
                return Ok(());
            }
            let (data, sender) = match self.receive(core) {
                Ok(Some(received)) => received,
                Ok(None) => {
                    if count == 1 {
                        lookahead.found_nothing();
                    }
                    break;
                }
                Err(raised) => return self.read_failed(&protocol, raised),
            };
            if count == 1 {
                lookahead.found();
            }
            self.lookahead.set(lookahead);
            let queued = core.queued();
            protocol.call_method2(&names().datagram_received, &data, &sender)?;
            // What it has scheduled comes before the next one; and it may have paused or closed.
            let undisturbed = core.queued() == queued && !core.is_stopping();
            if !(look && undisturbed && common.reading.get()) {
                return Ok(());
            }
        }
        self.lookahead.set(lookahead);
        Ok(())
    }

    #[inline]
    fn receive(&self, core: &Inst<LoopCore>) -> Received {
        let received = match self.family.get() {
            Family::V4 | Family::V6 => {
                self.check_descriptor()?;
                let mut scratch = core.scratch();
                self.receive_into(&mut scratch)
            }
            Family::Unix => {
                self.check_descriptor()?;
                LARGE.with_borrow_mut(|large| {
                    large.resize(MAX_SIZE, 0);
                    self.receive_into(large)
                })
            }
            Family::Other => return self.receive_by_method(),
        };
        match received {
            Ok((data, sender)) => Ok(Some((data?, self.sender(sender)?))),
            Err(error) if is_not_ready(&error) => Ok(None),
            Err(error) => Err(Raised::os(&error)),
        }
    }

    #[inline]
    fn receive_into(&self, buffer: &mut [u8]) -> io::Result<(Res<Object>, Option<Address>)> {
        let (count, sender) = recv_from(self.common.fd.get(), buffer)?;
        Ok((value::bytes(&buffer[..count]), sender))
    }

    #[cold]
    fn receive_by_method(&self) -> Received {
        let Some(sock) = self.common.file.get() else {
            return Ok(None);
        };
        let size = self.as_any().getattr(&names().max_size)?;
        match sock.call_method1(&names().recvfrom, &size) {
            Ok(pair) => Ok(Some((pair.item(0)?, pair.item(1)?))),
            Err(raised) if raised.is_not_ready() => {
                raised.discard();
                Ok(None)
            }
            Err(raised) => Err(raised),
        }
    }

    /// An error of the network is the protocol's business, and ends nothing.
    #[cold]
    fn read_failed(&self, protocol: &Any, raised: Raised) -> Res<()> {
        if raised.matches(Kind::Os.as_any()) {
            return protocol
                .call_method1(&names().error_received, &raised.take())
                .map(drop);
        }
        self.callback_failed(raised, READ_ERROR)
    }
}
