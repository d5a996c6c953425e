//! The core of an SSLProtocol: what a connection under TLS does for each message.

use std::cell::Cell;

use crate::ffi::attribute::{flags, plain};
use crate::ffi::buffer::{bytes_slice, tail};
use crate::ffi::error::Kind;
use crate::ffi::method::no_delete;
use crate::ffi::module::{Global, imports, names};
use crate::ffi::native_type::object_class;
use crate::ffi::{Any, Args, Class, Inst, Native, Object, Raised, Res, Slot, Visit, value};
use crate::hooks::{Hooked, Hooks, replaced, set_attribute};
use crate::stream::StreamProtocol;
use crate::transport::plain_transport;

/// What one record of TLS carries at most. OpenSSL gives out one at a time.
const RECORD: usize = 16 * 1024;
const FAILED: &str = "Fatal error on SSL protocol";

/// asyncio's `SSLProtocolState`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    #[default]
    Unwrapped,
    Handshake,
    Wrapped,
    Flushing,
    Shutdown,
}

/// A water mark: any number, as it was given.
#[derive(Debug, Default)]
struct Mark {
    given: Slot,
    bytes: Cell<f64>,
}

impl Mark {
    fn set(&self, given: Option<&Any>) -> Res<()> {
        let given = no_delete(given)?;
        self.bytes.set(given.to_f64()?);
        self.given.set(given.own());
        Ok(())
    }
}

/// The state behind `aioxide.tls.SSLProtocol`.
#[derive(Debug, Default)]
pub(crate) struct SslProtocol {
    state: Slot,
    phase: Cell<Phase>,
    ssl_object: Slot,
    /// What an `ssl.SSLObject` hands every call to; none behind anything else.
    openssl: Slot,
    /// What came and OpenSSL has not seen, and what it wants to be sent: `ssl.MemoryBIO`s.
    incoming: Slot,
    outgoing: Slot,
    transport: Slot,
    app_protocol: Slot,
    app_is_buffered: Cell<bool>,
    /// What OpenSSL did not take: a deque, mostly empty.
    backlog: Slot,
    backlog_size: Cell<i64>,
    app_reading_paused: Cell<bool>,
    app_writing_paused: Cell<bool>,
    ssl_reading_paused: Cell<bool>,
    ssl_writing_paused: Cell<bool>,
    incoming_high: Mark,
    incoming_low: Mark,
    outgoing_high: Mark,
    outgoing_low: Mark,
    hooks: Hooks,
}

static SSL_PROTOCOL: Class<SslProtocol> = Class::new(0);

/// asyncio's methods that may be replaced, as they are at import.
static METHODS: Global<Vec<Option<Object>>> = Global::new();

impl SslProtocol {
    fn slots(&self) -> [&Slot; 12] {
        [
            &self.state,
            &self.ssl_object,
            &self.openssl,
            &self.incoming,
            &self.outgoing,
            &self.transport,
            &self.app_protocol,
            &self.backlog,
            &self.incoming_high.given,
            &self.incoming_low.given,
            &self.outgoing_high.given,
            &self.outgoing_low.given,
        ]
    }
}

impl Native for SslProtocol {
    const NAME: &'static std::ffi::CStr = c"aioxide.SSLProtocolCore";

    #[inline(always)]
    fn class() -> &'static Class<Self> {
        &SSL_PROTOCOL
    }
    fn empty() -> Self {
        SslProtocol::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        for slot in self.slots() {
            slot.visit(visit);
        }
    }
    fn clear(&self) {
        for slot in self.slots() {
            slot.clear();
        }
    }
}

impl Hooked for SslProtocol {
    fn names() -> &'static [&'static Object] {
        static NAMES: Global<[&'static Object; 11]> = Global::new();
        if NAMES.try_get().is_none() {
            let names = names();
            NAMES.set([
                &names.get_buffer,
                &names.buffer_updated,
                &names._do_read,
                &names._do_read__copied,
                &names._do_write,
                &names._write_appdata,
                &names._process_outgoing,
                &names._control_app_writing,
                &names._control_ssl_reading,
                &names._get_write_buffer_size,
                &names._get_read_buffer_size,
            ]);
        }
        NAMES.get()
    }
    #[inline(always)]
    fn hooks(&self) -> &Hooks {
        &self.hooks
    }
    fn asyncio_class() -> Option<&'static Any> {
        Some(&imports().ssl_protocol)
    }
    fn asyncio_methods() -> Option<&'static [Option<Object>]> {
        METHODS.try_get().map(Vec::as_slice)
    }
}

/// Nothing to read now, or no room to write.
fn is_again(raised: &Raised) -> bool {
    let again = imports().ssl_again_errors.as_deref();
    again.is_some_and(|classes| raised.matches(classes))
}

fn length(data: &Any) -> usize {
    bytes_slice(data).map_or(0, <[u8]>::len)
}

/// These `bytes` in one piece.
fn joined(pieces: &[Object]) -> Res<Object> {
    value::bytes(b"")?.call_method1(&names().join, &*value::list(pieces)?)
}

impl Inst<SslProtocol> {
    /// OpenSSL's object, if nobody has replaced what we may do without.
    #[inline]
    fn plain_openssl(&self) -> Res<Option<Object>> {
        if replaced(self)? != 0 {
            return Ok(None);
        }
        Ok(self.openssl.get())
    }

    /// Whether what came may be handed to [`take_in`](Self::take_in) instead of Python's methods.
    #[inline]
    pub(crate) fn is_plain(&self) -> Res<bool> {
        Ok(self.openssl.is_some() && replaced(self)? == 0)
    }

    /// asyncio's method of this name.
    #[cold]
    fn stock0(&self, name: &Any) -> Res<()> {
        let method = imports().ssl_protocol.getattr(name)?;
        method.call1(self.as_any()).map(drop)
    }

    #[cold]
    fn stock1(&self, name: &Any, arg: &Any) -> Res<()> {
        let method = imports().ssl_protocol.getattr(name)?;
        method.call(&[self.as_any(), arg]).map(drop)
    }

    fn pending(bio: &Slot) -> Res<usize> {
        let Some(bio) = bio.get() else {
            return Ok(0);
        };
        let pending = bio.getattr(&names().pending)?.to_i64()?;
        Ok(usize::try_from(pending).unwrap_or(0))
    }

    /// Reports what is no exit, and ends the connection.
    fn fatal(&self, raised: Raised) -> Res<()> {
        if !raised.matches(Kind::Exception.as_any()) {
            return Err(raised);
        }
        let exception = raised.take();
        let message = value::text(FAILED)?;
        self.as_any()
            .call_method2(&names()._fatal_error, &exception, &message)
            .map(drop)
    }

    /// What the connection below has received. As `buffer_updated`.
    pub(crate) fn take_in(&self, data: &Any) -> Res<()> {
        let Some(incoming) = self.incoming.get() else {
            return Ok(());
        };
        incoming.call_method1(&names().write, data)?;
        let names = names();
        let next = match self.phase.get() {
            Phase::Wrapped => return self.do_read(length(data)),
            Phase::Unwrapped => return Ok(()),
            Phase::Handshake => &names._do_handshake,
            Phase::Flushing => &names._do_flush,
            Phase::Shutdown => &names._do_shutdown,
        };
        self.as_any().call_method0(next).map(drop)
    }

    /// Hands out what can be read; about so many bytes have come.
    fn do_read(&self, come: usize) -> Res<()> {
        let Some(openssl) = self.plain_openssl()? else {
            return self.stock0(&names()._do_read);
        };
        if !matches!(self.phase.get(), Phase::Wrapped | Phase::Flushing) {
            return Ok(());
        }
        self.read_and_answer(&openssl, come)
            .or_else(|raised| self.fatal(raised))
    }

    fn read_and_answer(&self, openssl: &Any, come: usize) -> Res<()> {
        if !self.app_reading_paused.get() {
            if self.app_is_buffered.get() {
                self.as_any().call_method0(&names()._do_read__buffered)?;
            } else {
                self.read_copied(openssl, come)?;
            }
            if self.has_backlog()? {
                self.as_any().call_method0(&names()._do_write)?;
            } else {
                self.process_outgoing()?;
            }
        }
        self.control_ssl_reading()
    }

    fn has_backlog(&self) -> Res<bool> {
        match self.backlog.get() {
            Some(backlog) => Ok(backlog.length()? > 0),
            None => Ok(false),
        }
    }

    /// Reads all there is, and hands it to the protocol in one piece.
    fn read_copied(&self, openssl: &Any, come: usize) -> Res<()> {
        let mut chunks = Vec::new();
        let mut ended = false;
        // What is read is shorter than what came, unless more of its record had come before.
        let mut want = come.clamp(1, RECORD) + 1;
        loop {
            let chunk = match openssl.call_method1(&names().read, &*value::uint(want as u64)?) {
                Ok(chunk) => chunk,
                Err(raised) if is_again(&raised) => {
                    raised.discard();
                    break;
                }
                Err(raised) => return Err(raised),
            };
            let count = length(&chunk);
            if count == 0 {
                // The peer has said that this was all.
                ended = true;
                break;
            }
            chunks.push(chunk);
            // Less than was asked for: the record is at its end.
            if count < want && Self::pending(&self.incoming)? == 0 {
                break;
            }
            want = RECORD + 1;
        }
        if !chunks.is_empty()
            && let Some(protocol) = self.app_protocol.get()
        {
            Self::hand_over(&protocol, &chunks)?;
        }
        if ended {
            self.as_any().call_method0(&names()._call_eof_received)?;
            self.as_any().call_method0(&names()._start_shutdown)?;
        }
        Ok(())
    }

    /// To a reader of ours piece by piece, to any other protocol in one.
    fn hand_over(protocol: &Any, chunks: &[Object]) -> Res<()> {
        if let Some(stream) = protocol.downcast::<StreamProtocol>()
            && let Some(reader) = stream.plain_reader()?
        {
            for chunk in chunks {
                reader.take_in(bytes_slice(chunk).unwrap_or_default())?;
                reader.announce()?;
            }
            return Ok(());
        }
        let whole;
        let data = if let [only] = chunks {
            only
        } else {
            whole = joined(chunks)?;
            &whole
        };
        protocol
            .call_method1(&names().data_received, data)
            .map(drop)
    }

    /// Encrypts a `bytes`, and sends it.
    pub(super) fn write(&self, data: &Any, slice: &[u8]) -> Res<()> {
        match self.ready_to_write()? {
            Some(openssl) => self
                .write_pieces(&openssl, &[(data, slice)])
                .or_else(|raised| self.fatal(raised)),
            None => self
                .as_any()
                .call_method1(&names()._write_appdata, &*value::tuple(&[data])?)
                .map(drop),
        }
    }

    /// OpenSSL's object, if it takes what is written now.
    fn ready_to_write(&self) -> Res<Option<Object>> {
        if self.phase.get() != Phase::Wrapped || self.has_backlog()? {
            return Ok(None);
        }
        self.plain_openssl()
    }

    fn write_list(&self, list: &Any) -> Res<()> {
        // Iterating over anything else runs Python, which may close the connection halfway.
        if !list.is_plain_collection() {
            return self.stock1(&names()._write_appdata, list);
        }
        let Some(openssl) = self.ready_to_write()? else {
            return self.stock1(&names()._write_appdata, list);
        };
        let items = value::list_of(list)?;
        let objects = items.try_list_items()?;
        let mut pieces = Vec::new();
        pieces.try_reserve_exact(objects.len())?;
        for object in &objects {
            match bytes_slice(object) {
                Some(slice) if object.is_exact_bytes() => pieces.push((&**object, slice)),
                _ => return self.stock1(&names()._write_appdata, &items),
            }
        }
        // What fits into one record is one: it costs as much as each of them.
        let total: usize = pieces.iter().map(|(_, slice)| slice.len()).sum();
        let whole;
        if pieces.len() > 1 && total <= RECORD {
            whole = joined(&objects)?;
            pieces = vec![(&*whole, bytes_slice(&whole).unwrap_or_default())];
        }
        self.write_pieces(&openssl, &pieces)
            .or_else(|raised| self.fatal(raised))
    }

    fn write_pieces(&self, openssl: &Any, pieces: &[(&Any, &[u8])]) -> Res<()> {
        let mut left = pieces.iter();
        let mut failed = None;
        for (data, slice) in left.by_ref() {
            let mut taken = 0;
            if let Err(raised) = Self::encrypt(openssl, data, slice.len(), &mut taken) {
                // A signal's handler is called when the piece has been taken: it is not to go twice.
                if !raised.matches(Kind::Exception.as_any()) {
                    taken = slice.len();
                }
                failed = Some(raised.take());
            }
            if taken < slice.len() {
                self.keep(&*tail(data, taken)?, slice.len() - taken)?;
            }
            if failed.is_some() || taken < slice.len() {
                break;
            }
        }
        for (data, slice) in left {
            self.keep(data, slice.len())?;
        }
        match failed {
            Some(exception) => Err(Raised::raise(exception)),
            None => self.process_outgoing(),
        }
    }

    /// Counts how much of it OpenSSL has taken.
    fn encrypt(openssl: &Any, data: &Any, size: usize, taken: &mut usize) -> Res<()> {
        while *taken < size {
            let piece = if *taken == 0 {
                data.own()
            } else {
                tail(data, *taken)?
            };
            match openssl.call_method1(&names().write, &piece) {
                Ok(count) => *taken += usize::try_from(count.to_i64()?).unwrap_or(0),
                Err(raised) if is_again(&raised) => {
                    raised.discard();
                    break;
                }
                Err(raised) => return Err(raised),
            }
        }
        Ok(())
    }

    /// It is encrypted later.
    #[cold]
    fn keep(&self, data: &Any, size: usize) -> Res<()> {
        if let Some(backlog) = self.backlog.get() {
            backlog.call_method1(&names().append, data)?;
            let size = i64::try_from(size).unwrap_or(i64::MAX);
            self.backlog_size.set(self.backlog_size.get() + size);
        }
        Ok(())
    }

    /// Sends what OpenSSL wants to be sent.
    fn process_outgoing(&self) -> Res<()> {
        let mut waiting = 0;
        if self.ssl_writing_paused.get() {
            waiting = Self::pending(&self.outgoing)?;
        } else if let Some(outgoing) = self.outgoing.get() {
            let data = outgoing.call_method0(&names().read)?;
            if let (1.., Some(transport)) = (length(&data), self.transport.get()) {
                match plain_transport(&transport, &names().write) {
                    Some(native) => native.write(&data)?,
                    None => drop(transport.call_method1(&names().write, &data)?),
                }
            }
        }
        self.control_app_writing(waiting)
    }

    /// Pauses or resumes the protocol's writing if it is time; so much waits in OpenSSL.
    fn control_app_writing(&self, waiting: usize) -> Res<()> {
        #[allow(clippy::cast_precision_loss, reason = "sizes of memory")]
        let size = waiting as f64 + self.backlog_size.get() as f64;
        let due = if self.app_writing_paused.get() {
            size <= self.outgoing_low.bytes.get()
        } else {
            size >= self.outgoing_high.bytes.get()
        };
        if due {
            return self.stock0(&names()._control_app_writing);
        }
        Ok(())
    }

    /// Pauses or resumes the connection's reading if it is time.
    fn control_ssl_reading(&self) -> Res<()> {
        #[allow(clippy::cast_precision_loss, reason = "sizes of memory")]
        let size = Self::pending(&self.incoming)? as f64;
        let due = if self.ssl_reading_paused.get() {
            size <= self.incoming_low.bytes.get()
        } else {
            size >= self.incoming_high.bytes.get()
        };
        if due {
            return self.stock0(&names()._control_ssl_reading);
        }
        Ok(())
    }

    /// The transport below; none before the connection is made, and after it is lost.
    pub(super) fn below(&self) -> Option<Object> {
        self.transport.get().filter(|below| !below.is_none())
    }

    /// Whether the connection below closes.
    pub(super) fn is_transport_closing(&self) -> Res<bool> {
        let Some(transport) = self.transport.get() else {
            return Ok(false);
        };
        match plain_transport(&transport, &names().is_closing) {
            Some(native) => Ok(native.is_closing()),
            None => transport.call_method0(&names().is_closing)?.is_truthy(),
        }
    }
}

fn do_read(this: &Inst<SslProtocol>) -> Res<Object> {
    this.do_read(RECORD)?;
    Ok(value::none())
}

fn process_outgoing(this: &Inst<SslProtocol>) -> Res<Object> {
    if this.is_plain()? {
        this.process_outgoing()?;
    } else {
        this.stock0(&names()._process_outgoing)?;
    }
    Ok(value::none())
}

fn write_appdata(this: &Inst<SslProtocol>, args: Args<'_>) -> Res<Object> {
    this.write_list(args.one("_write_appdata", c"list_of_data")?)?;
    Ok(value::none())
}

fn get_state(this: &Inst<SslProtocol>) -> Res<Object> {
    Ok(this.state.get_or_none())
}

fn set_state(this: &Inst<SslProtocol>, state: Option<&Any>) -> Res<()> {
    let state = no_delete(state)?;
    let name = state.getattr(&names().name)?;
    let phases = [
        (c"DO_HANDSHAKE", Phase::Handshake),
        (c"WRAPPED", Phase::Wrapped),
        (c"FLUSHING", Phase::Flushing),
        (c"SHUTDOWN", Phase::Shutdown),
    ];
    let found = phases.iter().find(|(text, _)| name.is_text(text));
    this.phase
        .set(found.map_or(Phase::Unwrapped, |found| found.1));
    this.state.set(state.own());
    Ok(())
}

fn get_ssl_object(this: &Inst<SslProtocol>) -> Res<Object> {
    Ok(this.ssl_object.get_or_none())
}

fn set_ssl_object(this: &Inst<SslProtocol>, object: Option<&Any>) -> Res<()> {
    let object = no_delete(object)?;
    let usual = imports().ssl_object.as_deref();
    let openssl = match usual {
        Some(class) if object.type_is(class) => object.getattr_opt(&names()._sslobj)?,
        _ => None,
    };
    drop(this.openssl.replace(openssl));
    this.ssl_object.set(object.own());
    Ok(())
}

fn get_backlog_size(this: &Inst<SslProtocol>) -> Res<Object> {
    value::int(this.backlog_size.get())
}

fn set_backlog_size(this: &Inst<SslProtocol>, size: Option<&Any>) -> Res<()> {
    this.backlog_size.set(no_delete(size)?.to_i64()?);
    Ok(())
}

/// The water marks.
macro_rules! marks {
    ($builder:expr, $($name:literal => $field:ident, $doc:literal;)*) => {
        $builder$(.attribute(
            $name,
            |this: &Inst<SslProtocol>| Ok(this.$field.given.get_or_none()),
            |this: &Inst<SslProtocol>, given: Option<&Any>| this.$field.set(given),
            $doc,
        ))*
    };
}

pub(super) fn build() -> Res<()> {
    let methods = SslProtocol::names().iter();
    METHODS.set(
        methods
            .map(|name| imports().ssl_protocol.getattr_opt(name))
            .collect::<Res<_>>()?,
    );
    SSL_PROTOCOL.build(object_class(), |b| {
        let b = b
            .doc(c"SSLProtocolCore()\n--\n\nThe native half of SSLProtocol.")
            .set_attribute(set_attribute)
            .method0(c"_do_read", do_read, c"_do_read($self)\n--\n\nHand out what can be read.")
            .method0(c"_process_outgoing", process_outgoing, c"_process_outgoing($self)\n--\n\nSend what OpenSSL wants to be sent.")
            .method(c"_write_appdata", write_appdata, c"_write_appdata($self, list_of_data)\n--\n\nEncrypt and send.")
            .attribute(c"_state", get_state, set_state, c"How far the connection is.")
            .attribute(c"_sslobj", get_ssl_object, set_ssl_object, c"The SSLObject.")
            .attribute(c"_write_buffer_size", get_backlog_size, set_backlog_size, c"How many bytes wait in the backlog.");
        let b = flags!(b, SslProtocol,
            c"_app_protocol_is_buffer" => app_is_buffered, c"Whether the protocol is a BufferedProtocol.";
            c"_app_reading_paused" => app_reading_paused, c"Whether the protocol wants nothing now.";
            c"_app_writing_paused" => app_writing_paused, c"Whether the protocol was asked to pause.";
            c"_ssl_reading_paused" => ssl_reading_paused, c"Whether the connection's reading is paused.";
            c"_ssl_writing_paused" => ssl_writing_paused, c"Whether the connection has too much to send.";
        );
        let b = marks!(b,
            c"_incoming_high_water" => incoming_high, c"From here on the connection's reading is paused.";
            c"_incoming_low_water" => incoming_low, c"Up to here it goes on.";
            c"_outgoing_high_water" => outgoing_high, c"From here on the protocol is asked to pause.";
            c"_outgoing_low_water" => outgoing_low, c"Up to here it may go on.";
        );
        plain!(b, SslProtocol,
            c"_incoming" => incoming, c"What came.";
            c"_outgoing" => outgoing, c"What is to be sent.";
            c"_transport" => transport, c"The transport below.";
            c"_app_protocol" => app_protocol, c"The protocol above.";
            c"_write_backlog" => backlog, c"What is to be encrypted later.";
        )
    })?;
    Ok(())
}
