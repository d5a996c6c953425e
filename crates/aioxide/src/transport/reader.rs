//! Receiving: one system call for each event, then one call of the protocol.

use std::io;

use aioxide_driver::sys;

use super::StreamTransport;
use super::common::Transport;
use crate::event_loop::LoopCore;
use crate::ffi::buffer::Buffer;
use crate::ffi::method::{TypeBuilder, flag};
use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Args, Inst, Object, Own, Raised, Res, value};
use crate::stream::{StreamProtocol, StreamReader};
use crate::tls::SslProtocol;
use crate::tuning;

const EBADF: i32 = 9;
const RECEIVE_FAILED: &str = "Fatal error: protocol.data_received() call failed.";
const BUFFER_UPDATED_FAILED: &str = "Fatal error: protocol.buffer_updated() call failed.";
const READ_ERROR: &str = "Fatal read error on socket transport";

/// Whether a system call has only to be made again.
pub(super) fn is_not_ready(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

impl Inst<StreamTransport> {
    pub(super) fn set_protocol(&self, protocol: &Any) -> Res<()> {
        let buffered = protocol.is_instance(&imports().buffered_protocol)?;
        self.buffered.set(buffered);
        self.streamed
            .set(protocol.downcast::<StreamProtocol>().is_some());
        self.secured
            .set(protocol.downcast::<SslProtocol>().is_some());
        self.common.protocol.set(protocol.own());
        Ok(())
    }

    #[inline]
    pub(super) fn read_ready(&self, core: &Inst<LoopCore>) -> Res<()> {
        let Some(protocol) = self.common.protocol.get() else {
            return Ok(());
        };
        if self.common.conn_lost.get() > 0 {
            return Ok(());
        }
        if let Err(raised) = self.check_descriptor() {
            return self.fatal_error(raised.take(), READ_ERROR);
        }
        if self.buffered.get() {
            if self.secured.get()
                && let Some(tls) = protocol.downcast::<SslProtocol>()
                && tls.is_plain()?
            {
                return self.read_secured(core, &protocol, tls);
            }
            self.read_into_buffer(core, &protocol)
        } else {
            match self.reader_of(&protocol) {
                Ok(Some(reader)) if core.is_direct() => self.read_stream(core, &protocol, &reader),
                Ok(_) => self.read_data(core, &protocol),
                Err(raised) => self.callback_failed(raised, RECEIVE_FAILED),
            }
        }
    }

    #[inline]
    fn read_data(&self, core: &Inst<LoopCore>, protocol: &Any) -> Res<()> {
        match self.receive(core)? {
            Ok(Some(data)) => match protocol.call_method1(&names().data_received, &data) {
                Ok(_) => Ok(()),
                Err(raised) => self.callback_failed(raised, RECEIVE_FAILED),
            },
            Ok(None) => self.read_eof(core, protocol),
            Err(error) => self.read_failed(&error),
        }
    }

    /// The StreamReader behind the protocol, if both may be used without Python's methods.
    #[inline]
    fn reader_of(&self, protocol: &Any) -> Res<Option<Own<StreamReader>>> {
        if !self.streamed.get() {
            return Ok(None);
        }
        match protocol.downcast::<StreamProtocol>() {
            Some(stream) => stream.plain_reader(),
            None => Ok(None),
        }
    }

    /// Into a reader of ours: the bytes go there without the protocol's methods.
    #[inline]
    fn read_stream(
        &self,
        core: &Inst<LoopCore>,
        protocol: &Any,
        reader: &Inst<StreamReader>,
    ) -> Res<()> {
        let received = if self.much.get()
            && let Some(straight) =
                self.receive_straight(core, |waiting| reader.expects(waiting))?
        {
            straight.map(|data| data.map(|data| reader.hand(data)))
        } else {
            let most = reader.appetite(tuning::RECEIVE);
            self.receive_scratch(core, most, |data| reader.take_in(data))
        };
        match received {
            Ok(Some(Ok(()))) if reader.is_filling() => Ok(()),
            Ok(Some(taken)) => taken
                .and_then(|()| reader.announce())
                .or_else(|raised| self.callback_failed(raised, RECEIVE_FAILED)),
            Ok(None) => self.read_eof(core, protocol),
            Err(error) => self.read_failed(&error),
        }
    }

    /// For TLS of ours: no buffer of its own is needed.
    fn read_secured(
        &self,
        core: &Inst<LoopCore>,
        protocol: &Any,
        tls: &Inst<SslProtocol>,
    ) -> Res<()> {
        match self.receive(core)? {
            Ok(Some(data)) => tls
                .take_in(&data)
                .or_else(|raised| self.callback_failed(raised, BUFFER_UPDATED_FAILED)),
            Ok(None) => self.read_eof(core, protocol),
            Err(error) => self.read_failed(&error),
        }
    }

    fn read_into_buffer(&self, core: &Inst<LoopCore>, protocol: &Any) -> Res<()> {
        let lent = protocol
            .call_method1(&names().get_buffer, &*value::int(-1)?)
            .and_then(|buffer| Buffer::writable(&buffer))
            .and_then(|buffer| {
                if buffer.len() == 0 {
                    return Err(Raised::runtime("get_buffer() returned an empty buffer"));
                }
                Ok(buffer)
            });
        let mut buffer = match lent {
            Ok(buffer) => buffer,
            Err(raised) => {
                return self
                    .callback_failed(raised, "Fatal error: protocol.get_buffer() call failed.");
            }
        };
        let received = sys::recv(self.common.fd.get(), buffer.as_mut_slice());
        // The protocol may want to resize it.
        drop(buffer);
        match received {
            Ok(0) => self.read_eof(core, protocol),
            Ok(count) => {
                let count = value::uint(count as u64)?;
                match protocol.call_method1(&names().buffer_updated, &count) {
                    Ok(_) => Ok(()),
                    Err(raised) => self.callback_failed(raised, BUFFER_UPDATED_FAILED),
                }
            }
            Err(error) => self.read_failed(&error),
        }
    }

    fn read_failed(&self, error: &io::Error) -> Res<()> {
        if is_not_ready(error) {
            return Ok(());
        }
        self.fatal_error(Raised::os(error).take(), READ_ERROR)
    }

    fn read_eof(&self, core: &Inst<LoopCore>, protocol: &Any) -> Res<()> {
        if core.is_debug() {
            self.log_debug("%r received EOF")?;
        }
        let keep_open = protocol
            .call_method0(&names().eof_received)
            .and_then(|answer| answer.is_truthy());
        match keep_open {
            // The protocol may still write, but nothing more will come.
            Ok(true) => {
                self.stop_reading(core);
                Ok(())
            }
            Ok(false) => self.close(),
            Err(raised) => {
                self.callback_failed(raised, "Fatal error: protocol.eof_received() call failed.")
            }
        }
    }

    /// The error of a socket that somebody closed under us: its number may be another's by now.
    ///
    /// Nobody else has the sockets that we accepted ourselves.
    #[inline(always)]
    pub(super) fn check_descriptor(&self) -> Res<()> {
        if self.foreign.get()
            && let Some(sock) = self.common.file.get()
            && sock.call_method0(&names().fileno)?.to_i64()? != i64::from(self.common.fd.get())
        {
            return Err(Raised::os(&io::Error::from_raw_os_error(EBADF)));
        }
        Ok(())
    }
}

impl<T: Transport> Inst<T> {
    pub(super) fn pause_reading(&self) -> Res<()> {
        let common = self.common();
        let Some(core) = common.loop_.get() else {
            return Ok(());
        };
        if !common.closing.get() && !common.paused.replace(true) {
            self.stop_reading(&core);
            if core.is_debug() {
                self.log_debug("%r pauses reading")?;
            }
        }
        Ok(())
    }

    pub(super) fn resume_reading(&self) -> Res<()> {
        let common = self.common();
        let Some(core) = common.loop_.get() else {
            return Ok(());
        };
        if !common.closing.get() && common.paused.replace(false) {
            self.start_reading(&core)?;
            if core.is_debug() {
                self.log_debug("%r resumes reading")?;
            }
        }
        Ok(())
    }
}

fn is_reading<T: Transport>(this: &Inst<T>) -> Res<Object> {
    flag(!this.common().closing.get() && !this.common().paused.get())
}

fn pause_reading<T: Transport>(this: &Inst<T>) -> Res<Object> {
    this.pause_reading()?;
    Ok(value::none())
}

fn resume_reading<T: Transport>(this: &Inst<T>) -> Res<Object> {
    this.resume_reading()?;
    Ok(value::none())
}

fn set_protocol(this: &Inst<StreamTransport>, args: Args<'_>) -> Res<Object> {
    this.set_protocol(args.one("set_protocol", c"protocol")?)?;
    Ok(value::none())
}

pub(super) fn get_protocol<T: Transport>(this: &Inst<T>) -> Res<Object> {
    Ok(this.common().protocol.get_or_none())
}

fn get_paused<T: Transport>(this: &Inst<T>) -> Res<Object> {
    flag(this.common().paused.get())
}

/// What every transport that receives has.
pub(super) fn pausing<T: Transport>(b: TypeBuilder<T>) -> TypeBuilder<T> {
    b.method0(c"is_reading", is_reading, c"is_reading($self, /)\n--\n\nWhether the transport receives.")
        .method0(c"pause_reading", pause_reading, c"pause_reading($self, /)\n--\n\nReceive nothing until resume_reading(). Pausing again does nothing.")
        .method0(c"resume_reading", resume_reading, c"resume_reading($self, /)\n--\n\nReceive again.")
        .getter(c"_paused", get_paused, c"Whether reading is paused.")
}

pub(super) fn methods(b: TypeBuilder<StreamTransport>) -> TypeBuilder<StreamTransport> {
    pausing(b)
        .method(c"set_protocol", set_protocol, c"set_protocol($self, /, protocol)\n--\n\nTell another protocol from now on.")
        .method0(c"get_protocol", get_protocol, c"get_protocol($self, /)\n--\n\nThe current protocol; None once the connection is lost.")
        .getter(c"_protocol", get_protocol, c"The current protocol.")
}
