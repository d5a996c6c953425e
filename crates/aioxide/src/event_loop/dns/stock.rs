//! The standard library's own functions and enumerations.
//!
//! asyncio calls `socket.getaddrinfo` by name, so a program that replaces it is obeyed. Here that
//! is noticed: a lookup goes past the function only as long as the function is the genuine one.

use crate::ffi::module::{Global, import, names};
use crate::ffi::{Any, Object, Res, value};

/// What is looked up once.
#[derive(Debug)]
struct Stock {
    /// The module whose `socket` asyncio looks into.
    base_events: Object,
    c_socket: Object,
    getaddrinfo: Object,
    c_getaddrinfo: Object,
    getnameinfo: Object,
    /// At import everything was what it should be.
    genuine: bool,
    gaierror: Object,
    socket_kind: Object,
    convert: Object,
    inet: Object,
    inet6: Object,
    /// Of the types 0 to 3; the first is not used.
    kinds: [Object; 4],
}

static STOCK: Global<Stock> = Global::new();

fn member(module: &Any, name: &str) -> Res<Object> {
    module.getattr(&*value::text(name)?)
}

/// Whether a function is where it was written: in this module.
fn is_at_home(function: &Any, module: &Any) -> Res<bool> {
    let text = |name| value::text(name);
    if let Some(globals) = function.getattr_opt(&*text("__globals__")?)? {
        return Ok(globals.is(&*module.getattr(&*text("__dict__")?)?));
    }
    let owner = function.getattr_opt(&*text("__self__")?)?;
    Ok(owner.is_some_and(|owner| owner.is(module)))
}

pub(super) fn initialise() -> Res<()> {
    let socket = import("socket")?;
    let c_socket = import("_socket")?;
    let getaddrinfo = member(&socket, "getaddrinfo")?;
    let c_getaddrinfo = member(&c_socket, "getaddrinfo")?;
    let getnameinfo = member(&socket, "getnameinfo")?;
    let genuine = is_at_home(&getaddrinfo, &socket)?
        && is_at_home(&c_getaddrinfo, &c_socket)?
        && is_at_home(&getnameinfo, &c_socket)?;
    let socket_kind = member(&socket, "SocketKind")?;
    let kind = |number: i64| socket_kind.call1(&*value::int(number)?);
    STOCK.set(Stock {
        base_events: import("asyncio.base_events")?,
        getaddrinfo,
        c_getaddrinfo,
        getnameinfo,
        genuine,
        gaierror: member(&socket, "gaierror")?,
        convert: member(&socket, "_intenum_converter")?,
        inet: member(&socket, "AF_INET")?,
        inet6: member(&socket, "AF_INET6")?,
        kinds: [value::none(), kind(1)?, kind(2)?, kind(3)?],
        socket_kind,
        c_socket,
    });
    Ok(())
}

/// `asyncio.base_events.socket`, where asyncio finds its functions.
#[inline]
fn socket(stock: &Stock) -> Res<Object> {
    stock.base_events.getattr(&names().socket)
}

/// Whether asyncio would call the genuine `socket.getaddrinfo`.
#[inline]
pub(super) fn getaddrinfo_is_stock() -> Res<bool> {
    let stock = STOCK.get();
    let name = &names().getaddrinfo;
    Ok(stock.genuine
        && socket(stock)?.getattr(name)?.is(&stock.getaddrinfo)
        && stock.c_socket.getattr(name)?.is(&stock.c_getaddrinfo))
}

/// The genuine `socket.getnameinfo`, if asyncio would call it.
pub(super) fn getnameinfo_if_stock() -> Res<Option<&'static Any>> {
    let stock = STOCK.get();
    let found = socket(stock)?.getattr(&names().getnameinfo)?;
    let stock_one: &'static Any = &stock.getnameinfo;
    Ok((stock.genuine && found.is(stock_one)).then_some(stock_one))
}

/// `AF_INET` or `AF_INET6`, as the enumeration has it.
pub(super) fn family(is_v6: bool) -> &'static Any {
    let stock = STOCK.get();
    if is_v6 { &stock.inet6 } else { &stock.inet }
}

/// `SocketKind(number)`, or the number itself if it has no name.
#[inline]
pub(super) fn kind(number: i32) -> Res<Object> {
    let stock = STOCK.get();
    match usize::try_from(number) {
        Ok(index @ 1..=3) => Ok(stock.kinds[index].clone()),
        _ => stock
            .convert
            .call(&[&*value::int(number.into())?, &stock.socket_kind]),
    }
}

/// `socket.gaierror(code, text)`.
pub(super) fn gaierror(code: i32, text: &str) -> Res<Object> {
    STOCK
        .get()
        .gaierror
        .call(&[&*value::int(code.into())?, &*value::text(text)?])
}

/// The default executor has been shut down: asyncio makes no more lookups then.
pub(super) fn is_shut_down(loop_: &Any) -> Res<bool> {
    loop_
        .getattr(&names()._executor_shutdown_called)?
        .is_truthy()
}
