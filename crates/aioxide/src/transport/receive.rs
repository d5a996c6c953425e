//! One system call that receives, by one of two ways.
//!
//! Usually it is not known how much there is: the bytes go into the loop's scratch memory and are
//! copied from there to where they stay. Where the last message was large, copying is what costs;
//! then the kernel is asked how much there is, and writes it into a `bytes` of that size itself, as
//! long as `aioxide_core::Pace` finds that this is not the slower way.

use std::io;

use aioxide_driver::sys::{self, monotonic_ns};

use super::StreamTransport;
use crate::event_loop::LoopCore;
use crate::ffi::{Inst, Object, Res, buffer, value};
use crate::tuning;

/// What was received; `None` is the end.
pub(super) type Received<T> = io::Result<Option<T>>;

impl Inst<StreamTransport> {
    /// Receives a `bytes`.
    #[inline]
    pub(super) fn receive(&self, core: &Inst<LoopCore>) -> Res<Received<Object>> {
        if self.much.get() {
            return self.receive_much(core);
        }
        // As `receive_scratch` does it; by way of that it takes twenty instructions more.
        let mut scratch = core.scratch();
        Ok(match sys::recv(self.common.fd.get(), &mut scratch) {
            Ok(0) => Ok(None),
            Ok(count) => {
                self.much.set(count >= tuning::RECEIVE_LARGE);
                Ok(Some(value::bytes(&scratch[..count])?))
            }
            Err(error) => Err(error),
        })
    }

    #[cold]
    fn receive_much(&self, core: &Inst<LoopCore>) -> Res<Received<Object>> {
        if let Some(received) = self.receive_straight(core, |waiting| waiting)? {
            return Ok(received);
        }
        Ok(
            match self.receive_scratch(core, tuning::RECEIVE, value::bytes) {
                Ok(Some(made)) => Ok(Some(made?)),
                Ok(None) => Ok(None),
                Err(error) => Err(error),
            },
        )
    }

    /// Receives at most so much, shows it to `take`, which runs no Python code, and forgets it.
    #[inline]
    pub(super) fn receive_scratch<T>(
        &self,
        core: &Inst<LoopCore>,
        most: usize,
        take: impl FnOnce(&[u8]) -> T,
    ) -> Received<T> {
        let mut scratch = core.scratch();
        let room = &mut scratch[..most];
        let count = if self.much.get() {
            self.receive_timed(core, room)?
        } else {
            sys::recv(self.common.fd.get(), room)?
        };
        if count == 0 {
            return Ok(None);
        }
        if count >= tuning::RECEIVE_LARGE {
            self.much.set(true);
        }
        Ok(Some(take(&scratch[..count])))
    }

    /// Much came the last time: where it does again, it is of interest how long that takes.
    #[cold]
    fn receive_timed(&self, core: &Inst<LoopCore>, room: &mut [u8]) -> io::Result<usize> {
        let began = monotonic_ns();
        let count = sys::recv(self.common.fd.get(), room)?;
        if count >= tuning::RECEIVE_LARGE {
            let took = monotonic_ns().saturating_sub(began);
            core.pace().borrow_mut().moved(count, took);
        } else {
            self.much.set(false);
        }
        Ok(count)
    }

    /// Much came the last time: receives without a copy, if that is the way to do it now.
    ///
    /// `wanted` says how much, given what the kernel has; all of it comes, unless somebody else reads
    /// from the socket.
    #[cold]
    pub(super) fn receive_straight(
        &self,
        core: &Inst<LoopCore>,
        wanted: impl FnOnce(usize) -> usize,
    ) -> Res<Option<Received<Object>>> {
        if !core.pace().borrow().is_straight() {
            return Ok(None);
        }
        let waiting = sys::available(self.common.fd.get()).unwrap_or(0);
        let waiting = usize::try_from(waiting).unwrap_or(usize::MAX);
        let size = wanted(waiting.min(tuning::RECEIVE_STRAIGHT));
        if size < tuning::RECEIVE_LARGE {
            return Ok(None);
        }
        let mut count = 0;
        let received = buffer::new_bytes(size, |memory| {
            let began = monotonic_ns();
            count = sys::recv_uninit(self.common.fd.get(), memory)?.len();
            let took = monotonic_ns().saturating_sub(began);
            core.pace().borrow_mut().straight(count, took);
            Ok(count)
        })?;
        Ok(Some(received.map(|data| (count > 0).then_some(data))))
    }
}
