//! Connecting: the address, the attempt, and how it ended.

use std::io;
use std::net::IpAddr;

use aioxide_driver::sys;

use super::SockOp;
use super::attempt::{Attempt, from_kernel, from_method};
use crate::coroutine::Step;
use crate::event_loop::LoopCore;
use crate::ffi::error::Kind;
use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Args, Inst, Object, Raised, Res, value};

/// The families whose addresses have names.
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const AF_UNIX: u16 = 1;
const EAGAIN: i32 = 11;

/// `SOL_SOCKET` and `SO_ERROR`.
const PENDING_ERROR: (i64, i64) = (1, 4);

impl Inst<SockOp> {
    /// Whether the address to connect to may have to be resolved.
    ///
    /// A plain socket's `family` is an enumeration member that Python looks up each time, which
    /// takes longer than to ask the kernel.
    pub(super) fn has_names(&self, sock: &Any) -> Res<bool> {
        if !self.plain {
            return has_names(sock);
        }
        match sys::family(self.descriptor()?) {
            Ok(own @ (AF_INET | AF_INET6)) => {
                Ok(numbers(&self.first.get_or_none()).map(family) != Some(own))
            }
            Ok(_) => Ok(false),
            // It is closed.
            Err(_) => has_names(sock),
        }
    }

    /// Begins to resolve the address that is to be connected to.
    #[cold]
    pub(super) fn resolve(&self, core: &Inst<LoopCore>, sock: &Any) -> Res<Object> {
        let attribute = |name: &str| sock.getattr(&*value::text(name)?);
        let (family, kind, proto) = (
            attribute("family")?,
            attribute("type")?,
            attribute("proto")?,
        );
        let keywords = ["family", "type", "proto", "loop"]
            .map(value::text)
            .into_iter()
            .collect::<Res<Vec<_>>>()?;
        let keywords: Vec<&Any> = keywords.iter().map(|name| &**name).collect();
        core.as_any()
            .getattr(&*value::text("_ensure_resolved")?)?
            .call_names(
                &[
                    &self.first.get_or_none(),
                    &family,
                    &kind,
                    &proto,
                    core.as_any(),
                ],
                &*value::tuple(&keywords)?,
            )
    }

    /// The resolver has found addresses: connects to the first.
    pub(super) fn resolved(&self, found: &Any) -> Res<Step> {
        let info = found.item(0)?;
        let &[_, _, _, _, address] = info.tuple_items() else {
            return Err(Raised::new(
                Kind::Value,
                "an address information has five parts",
            ));
        };
        self.first.set(address.own());
        self.first_step(&*self.core()?)
    }

    /// The first attempt.
    pub(super) fn connect(&self, numeric: bool) -> Attempt {
        let (sock, address) = (self.sock.get_or_none(), self.first.get_or_none());
        let is_known = self.plain && is_unpatched(&sock)? && (numeric || is_nonblocking(&sock)?);
        if !is_known || numbers(&address).is_none() {
            return match sock.call_method1(&names().connect, &address) {
                Ok(_) => Ok(Some(value::none())),
                Err(raised) if raised.is_not_ready() => self.in_progress(raised),
                Err(raised) => Err(raised),
            };
        }
        // As connect(), to the event that is audited, but no exception is made to say "not yet".
        let errno = sock.call_method1(&names().connect_ex, &address)?.to_i64()?;
        if errno == 0 {
            return Ok(Some(value::none()));
        }
        let error = io::Error::from_raw_os_error(i32::try_from(errno).unwrap_or(i32::MAX));
        if sys::is_connecting(&error) {
            Ok(None)
        } else {
            Err(Raised::os(&error))
        }
    }

    /// The socket's own `connect()` would block: whether the kernel goes on connecting.
    ///
    /// Linux answers EAGAIN where it has not begun: on a Unix socket because the listener's backlog
    /// is full. Such a socket is writable and has no pending error, so that waiting for it would
    /// end as if it were connected.
    fn in_progress(&self, raised: Raised) -> Attempt {
        let exception = raised.take();
        let errno = exception.getattr(&names().errno)?;
        if errno.is_int() && errno.to_i64()? == i64::from(EAGAIN) && self.is_unix()? {
            return Err(Raised::raise(exception));
        }
        Ok(None)
    }

    fn is_unix(&self) -> Res<bool> {
        if self.plain {
            let fd = self.descriptor()?;
            return Ok(sys::family(fd).is_ok_and(|family| family == AF_UNIX));
        }
        let family = self.sock.get_or_none().getattr(&names().family)?;
        family.equals(&*value::int(AF_UNIX.into())?)
    }

    /// The descriptor became writable: the attempt to connect has ended, one way or the other.
    pub(super) fn connected(&self) -> Attempt {
        if self.plain {
            return match from_kernel(sys::socket_error(self.descriptor()?))? {
                Some(None) => Ok(Some(value::none())),
                Some(Some(errno)) => Err(self.refused(&*value::int(errno.into())?)?),
                None => Ok(None),
            };
        }
        let (level, option) = PENDING_ERROR;
        let errno = from_method(self.sock.get_or_none().call_method2(
            &names().getsockopt,
            &*value::int(level)?,
            &*value::int(option)?,
        ))?;
        let Some(errno) = errno else { return Ok(None) };
        if !errno.is_truthy()? {
            return Ok(Some(value::none()));
        }
        Err(self.refused(&errno)?)
    }

    #[cold]
    fn refused(&self, errno: &Any) -> Res<Raised> {
        let address = self.first.get_or_none().str()?.text_lossy();
        let message = value::text(&format!("Connect call failed {address}"))?;
        Ok(Raised::raise(Kind::Os.as_any().call(&[errno, &message])?))
    }
}

/// Whether nobody has replaced `socket.connect`, as those do who forbid connections.
fn is_unpatched(sock: &Any) -> Res<bool> {
    let connect = sock.class().getattr(&names().connect)?;
    Ok(connect.is(&imports().socket_connect))
}

/// Whether the socket has no time limit, and does not wait without one.
pub(super) fn is_nonblocking(sock: &Any) -> Res<bool> {
    sock.call_method0(&names().gettimeout)?
        .equals(&*value::int(0)?)
}

/// `address_family(host)`.
pub(crate) fn address_family(args: Args<'_>) -> Res<Object> {
    let &[host] = args.positional else {
        return Err(Raised::type_error("address_family() takes a host"));
    };
    let address = host.exact_text().and_then(|host| host.parse().ok());
    value::int(address.map_or(0, family).into())
}

/// The host of an address that is all numbers, of which resolving would make the same.
fn numbers(address: &Any) -> Option<IpAddr> {
    if !address.is_tuple() {
        return None;
    }
    let items = address.tuple_items();
    let (&host, &port) = (items.first()?, items.get(1)?);
    let rest = &items[2..];
    let host = host.exact_text()?.parse().ok()?;
    let length = match host {
        IpAddr::V4(_) => 0,
        IpAddr::V6(_) => 2,
    };
    let is_port = u16::try_from(port.exact_int()?).is_ok();
    let is_complete = rest.len() == length && rest.iter().all(|number| number.is_exact_int());
    (is_port && is_complete).then_some(host)
}

fn family(host: IpAddr) -> u16 {
    match host {
        IpAddr::V4(_) => AF_INET,
        IpAddr::V6(_) => AF_INET6,
    }
}

fn has_names(sock: &Any) -> Res<bool> {
    let family = sock.getattr(&*value::text("family")?)?;
    for known in [AF_INET, AF_INET6] {
        if family.equals(&*value::int(known.into())?)? {
            return Ok(true);
        }
    }
    Ok(false)
}
