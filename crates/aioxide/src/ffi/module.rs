//! What is looked up once, at import: interned names, asyncio's classes and functions.

use std::cell::UnsafeCell;

use pyo3::ffi;

use super::error::Res;
use super::finalizing::outlive_interpreter;
use super::object::{Any, Object};
use super::value;

/// A value set once at import, read ever after.
pub(crate) struct Global<T>(UnsafeCell<Option<T>>);

// SAFETY: written at import under the import lock and the GIL, then only read under the GIL.
unsafe impl<T> Sync for Global<T> {}

impl<T> std::fmt::Debug for Global<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Global")
    }
}

impl<T> Global<T> {
    pub(crate) const fn new() -> Self {
        Global(UnsafeCell::new(None))
    }

    /// Sets the value; a second call keeps the first value, so that borrowed ones stay good.
    pub(crate) fn set(&self, value: T) {
        // SAFETY: no reference exists while the value is absent.
        unsafe {
            if (*self.0.get()).is_none() {
                *self.0.get() = Some(value);
            }
        }
    }

    #[inline(always)]
    pub(crate) fn try_get(&'static self) -> Option<&'static T> {
        // SAFETY: never written again once it is there.
        unsafe { (*self.0.get()).as_ref() }
    }

    #[inline(always)]
    pub(crate) fn get(&'static self) -> &'static T {
        match self.try_get() {
            Some(value) => value,
            None => panic!("used before the module was imported"),
        }
    }
}

/// Imports a module. Only for functions that run while we are imported ourselves: when the interpreter
/// ends nothing can be imported any more, yet finalizers may use a loop for the first time.
pub(crate) fn import(name: &str) -> Res<Object> {
    let name = value::text(name)?;
    // SAFETY: a live str; a new reference or NULL.
    unsafe { Object::from_new(ffi::PyImport_Import(name.as_ptr())) }
}

macro_rules! names {
    ($($name:ident),* $(,)?) => {
        /// Interned attribute and method names.
        #[derive(Debug)]
        #[allow(non_snake_case, reason = "they are Python's names")]
        pub(crate) struct Names { $(pub(crate) $name: Object,)* }

        impl Names {
            fn make() -> Res<Names> {
                Ok(Names {
                    $($name: {
                        const TEXT: &std::ffi::CStr =
                            match std::ffi::CStr::from_bytes_with_nul(
                                concat!(stringify!($name), "\0").as_bytes(),
                            ) {
                                Ok(text) => text,
                                Err(_) => panic!("a name with a NUL"),
                            };
                        value::interned(TEXT)?
                    },)*
                })
            }
        }
    };
}

names! {
    _source_traceback, pop, _asyncio_future_blocking, _log_destroy_pending, _loop, _run, _cancelled, add_done_callback,
    call_exception_handler, call_soon, cancel, close, context, cr_await, create_future, done, exception,
    future, get_debug, get_loop, handle, is_running, message, msg, name, result, send,
    slow_callback_duration, source_traceback, task, throw, value, __qualname__, __name__, fileno,
    _report_slow, data_received, buffer_updated, get_buffer, eof_received, connection_lost,
    connection_made, pause_writing, resume_writing, set_name, _attach, _call_connection_lost,
    _clients, _sockets, _detach, _read_ready, _start_reading, _write_ready, call_later, debug, exc_info, family,
    getpeername, getsockname, peername, proto, protocol, set_exception, set_result, socket,
    sockname, start, transport, warning, _accept_ready, accept, connect, connect_ex, getsockopt, gettimeout,
    recv, recv_into, recvfrom, recvfrom_into, sendto, setblocking,
    pause_reading, resume_reading, readline, readuntil, partial, consumed, args, feed_data, feed_eof,
    _drain_helper, _get_close_waiter, _served, is_closing, is_closed, write, writelines, write_eof,
    can_write_eof, get_extra_info, cancelled,
    datagram_received, error_received, max_size, errno,
    getaddrinfo, getnameinfo, _executor_shutdown_called, _look_up_addresses, _look_up_name,
    _get_loop, _wake_up_first, _wake_up_next, locked, acquire, release, wait, notify, _notify, _block, _release, _wait,
    _exit, _init, _get, _put, _wakeup_next, _format, qsize, empty, full, put_nowait, get_nowait, append, popleft, remove,
    set, clear,
    pending, read, join, time, call_at, _closed, _ssl_protocol, _is_transport_closing, _sslobj, _do_handshake, _do_flush, _do_shutdown, _do_read, _do_read__copied, _do_read__buffered,
    _do_write, _write_appdata, _process_outgoing, _control_app_writing, _control_ssl_reading, _get_write_buffer_size, _get_read_buffer_size,
    _fatal_error, _call_eof_received, _start_shutdown, _warn_unawaited_coroutine, cr_code, cr_frame, cr_origin,
}

/// Objects of asyncio and the standard library that our code calls or derives from.
#[derive(Debug)]
pub(crate) struct Imports {
    pub(crate) future_base: Object,
    pub(crate) task_base: Object,
    pub(crate) handle_base: Object,
    pub(crate) timer_handle_base: Object,
    /// 3.14 and later.
    pub(crate) thread_safe_handle: Option<Object>,
    pub(crate) set_running_loop: Object,
    pub(crate) base_create_task: Object,
    /// Whether it hands every keyword to the task factory (3.13.3 and later).
    pub(crate) create_task_passes_keywords: bool,
    pub(crate) buffered_protocol: Object,
    /// The base of asyncio's own stream transports: `asyncio.Transport` with flow control.
    pub(crate) stream_transport_base: Object,
    pub(crate) transport_socket: Object,
    /// `socket.AddressFamily` and `socket.SocketKind`.
    pub(crate) address_family: Object,
    pub(crate) socket_type: Object,
    pub(crate) set_result_unless_cancelled: Object,
    pub(crate) logger: Object,
    /// `constants.ACCEPT_RETRY_DELAY`.
    pub(crate) accept_retry_delay: Object,
    /// From 3.12.2 on, `Server._attach` and `_detach` are told which transport.
    pub(crate) server_knows_transports: bool,
    /// What a datagram that waits counts for beside its bytes; 0 where asyncio sends no empty ones.
    pub(crate) datagram_header: usize,
    /// The tuple `("exc_info",)`.
    pub(crate) exc_info_names: Object,
    /// `socket.socket`, the class whose methods we know how to do without.
    pub(crate) socket_class: Object,
    /// `socket.socket.connect`, unless somebody has put another one into the class.
    pub(crate) socket_connect: Object,
    pub(crate) check_ssl_socket: Object,
    pub(crate) ssl_protocol: Object,
    pub(crate) ssl_transport: Object,
    /// Whether a transport under TLS closes once the one below does, too.
    pub(crate) ssl_closes_with_transport: bool,
    /// `(SSLWantReadError, SSLSyscallError)`; like the next one only where Python has `ssl`.
    pub(crate) ssl_again_errors: Option<Object>,
    pub(crate) ssl_object: Option<Object>,
    pub(crate) cancelled_error: Object,
    pub(crate) invalid_state_error: Object,
    pub(crate) incomplete_read_error: Object,
    pub(crate) limit_overrun_error: Object,
    pub(crate) sendfile_not_available_error: Object,
    pub(crate) unsupported_operation: Object,
    pub(crate) stream_reader: Object,
    pub(crate) deque: Object,
    pub(crate) future_repr: Object,
    pub(crate) task_repr: Object,
    pub(crate) task_get_stack: Object,
    pub(crate) task_print_stack: Object,
    pub(crate) extract_stack: Object,
    pub(crate) format_callback_source: Object,
    pub(crate) iscoroutine: Object,
    pub(crate) coroutine_type: Object,
    pub(crate) warnings: Object,
    pub(crate) get_event_loop: Object,
    pub(crate) enter_task: Object,
    pub(crate) leave_task: Object,
    pub(crate) register_task: Object,
    pub(crate) unregister_task: Object,
    /// 3.12 and later.
    pub(crate) swap_current_task: Option<Object>,
    /// Up to 3.13: `{loop: task}`.
    pub(crate) current_tasks: Option<Object>,
    /// 3.14 and later.
    pub(crate) add_to_awaited_by: Option<Object>,
    /// 3.14 and later.
    pub(crate) discard_from_awaited_by: Option<Object>,
    /// The tuple `("context",)`.
    pub(crate) context_names: Object,
    /// The tuple `("msg",)`.
    pub(crate) msg_names: Object,
    /// `(major, minor)` of the running Python.
    pub(crate) version: (u8, u8),
}

fn member(module: &Any, name: &str) -> Res<Object> {
    module.getattr(&*value::text(name)?)
}

fn optional(module: &Any, name: &str) -> Res<Option<Object>> {
    module.getattr_opt(&*value::text(name)?)
}

impl Imports {
    fn make() -> Res<Imports> {
        let c_asyncio = import("_asyncio")?;
        let base_futures = import("asyncio.base_futures")?;
        let base_tasks = import("asyncio.base_tasks")?;
        let events = import("asyncio.events")?;
        let exceptions = import("asyncio.exceptions")?;
        let format_helpers = import("asyncio.format_helpers")?;
        let protocols = import("asyncio.protocols")?;
        let transports = import("asyncio.transports")?;
        let ssl_protocols = import("asyncio.sslproto")?;
        let names = names();
        let base_events = import("asyncio.base_events")?;
        let base_create_task = member(&*member(&base_events, "BaseEventLoop")?, "create_task")?;
        Ok(Imports {
            future_base: member(&c_asyncio, "Future")?,
            task_base: member(&c_asyncio, "Task")?,
            handle_base: member(&events, "Handle")?,
            timer_handle_base: member(&events, "TimerHandle")?,
            thread_safe_handle: optional(&events, "_ThreadSafeHandle")?,
            set_running_loop: member(&c_asyncio, "_set_running_loop")?,
            create_task_passes_keywords: is_at_least(3, 13, 3),
            base_create_task,
            buffered_protocol: member(&protocols, "BufferedProtocol")?,
            stream_transport_base: member(&transports, "_FlowControlMixin")?,
            address_family: member(&*import("socket")?, "AddressFamily")?,
            socket_type: member(&*import("socket")?, "SocketKind")?,
            transport_socket: member(&*import("asyncio.trsock")?, "TransportSocket")?,
            set_result_unless_cancelled: member(
                &*import("asyncio.futures")?,
                "_set_result_unless_cancelled",
            )?,
            logger: member(&*import("asyncio.log")?, "logger")?,
            accept_retry_delay: member(&*import("asyncio.constants")?, "ACCEPT_RETRY_DELAY")?,
            server_knows_transports: is_at_least(3, 12, 2),
            datagram_header: datagram_header()?,
            exc_info_names: value::tuple(&[&names.exc_info])?,
            socket_class: member(&*import("socket")?, "socket")?,
            socket_connect: member(&*member(&*import("_socket")?, "socket")?, "connect")?,
            ssl_closes_with_transport: member(&ssl_protocols, "SSLProtocol")?
                .getattr_opt(&names._is_transport_closing)?
                .is_some(),
            ssl_protocol: member(&ssl_protocols, "SSLProtocol")?,
            ssl_transport: member(&ssl_protocols, "_SSLProtocolTransport")?,
            ssl_again_errors: optional(&ssl_protocols, "SSLAgainErrors")?,
            ssl_object: optional(&*member(&ssl_protocols, "ssl")?, "SSLObject")?,
            check_ssl_socket: member(&*import("asyncio.base_events")?, "_check_ssl_socket")?,
            cancelled_error: member(&exceptions, "CancelledError")?,
            invalid_state_error: member(&exceptions, "InvalidStateError")?,
            incomplete_read_error: member(&exceptions, "IncompleteReadError")?,
            limit_overrun_error: member(&exceptions, "LimitOverrunError")?,
            sendfile_not_available_error: member(&exceptions, "SendfileNotAvailableError")?,
            unsupported_operation: member(&*import("io")?, "UnsupportedOperation")?,
            stream_reader: member(&*import("asyncio.streams")?, "StreamReader")?,
            deque: member(&*import("collections")?, "deque")?,
            future_repr: member(&base_futures, "_future_repr")?,
            task_repr: member(&base_tasks, "_task_repr")?,
            task_get_stack: member(&base_tasks, "_task_get_stack")?,
            task_print_stack: member(&base_tasks, "_task_print_stack")?,
            extract_stack: member(&format_helpers, "extract_stack")?,
            format_callback_source: member(&format_helpers, "_format_callback_source")?,
            iscoroutine: member(&*import("asyncio.coroutines")?, "iscoroutine")?,
            coroutine_type: member(&*import("types")?, "CoroutineType")?,
            warnings: import("warnings")?,
            get_event_loop: member(&events, "get_event_loop")?,
            enter_task: member(&c_asyncio, "_enter_task")?,
            leave_task: member(&c_asyncio, "_leave_task")?,
            register_task: member(&c_asyncio, "_register_task")?,
            unregister_task: member(&c_asyncio, "_unregister_task")?,
            swap_current_task: optional(&c_asyncio, "_swap_current_task")?,
            current_tasks: optional(&c_asyncio, "_current_tasks")?,
            add_to_awaited_by: optional(&c_asyncio, "future_add_to_awaited_by")?,
            discard_from_awaited_by: optional(&c_asyncio, "future_discard_from_awaited_by")?,
            context_names: value::tuple(&[&names.context])?,
            msg_names: value::tuple(&[&names.msg])?,
            version: python_version(),
        })
    }
}

/// From 3.13 on asyncio sends empty datagrams, and counts something for the header of each.
fn datagram_header() -> Res<usize> {
    const FIRST: i64 = 8;
    let module = import("asyncio.selector_events")?;
    let class = member(&module, "_SelectorDatagramTransport")?;
    let size = if let Some(size) = optional(&class, "_header_size")? {
        size.to_i64()?
    } else {
        let code = member(&*member(&class, "sendto")?, "__code__")?;
        let constants = member(&code, "co_consts")?;
        let counts = |constant: &&Any| constant.exact_int() == Some(FIRST);
        if constants.tuple_items().iter().any(counts) {
            FIRST
        } else {
            0
        }
    };
    Ok(usize::try_from(size).unwrap_or(0))
}

/// Whether the running Python is this release or a later one. What differs between releases is not
/// read off asyncio's functions: somebody may have replaced them.
fn is_at_least(major: u32, minor: u32, micro: u32) -> bool {
    // SAFETY: a constant that CPython exports: 8 bits for each number, the lowest byte for the rest.
    let running = unsafe { ffi::Py_Version };
    running >> 8 >= std::ffi::c_ulong::from(major << 16 | minor << 8 | micro)
}

fn python_version() -> (u8, u8) {
    // SAFETY: a static, terminated string such as "3.13.0 (main, ...".
    let text = unsafe { std::ffi::CStr::from_ptr(ffi::Py_GetVersion()) }.to_string_lossy();
    let mut parts = text.split(|c: char| !c.is_ascii_digit());
    let mut number = || parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
    (number(), number())
}

static NAMES: Global<Names> = Global::new();
static IMPORTS: Global<Imports> = Global::new();

#[inline(always)]
pub(crate) fn names() -> &'static Names {
    NAMES.get()
}

#[inline(always)]
pub(crate) fn imports() -> &'static Imports {
    IMPORTS.get()
}

/// A type that a `class` statement made, for `native_type` to compare with.
pub(super) fn python_made_type() -> Option<&'static Any> {
    IMPORTS.try_get().map(|imports| &*imports.handle_base)
}

/// Looks everything up. The first step of the import.
pub(crate) fn initialise() -> Res<()> {
    NAMES.set(Names::make()?);
    IMPORTS.set(Imports::make()?);
    super::running_loop::initialise()?;
    Ok(())
}

/// A module that is being filled.
#[derive(Debug)]
pub(crate) struct Module(Object);

impl Module {
    pub(crate) fn add(&self, name: &str, object: &Any) -> Res<()> {
        self.0.setattr(&*value::text(name)?, object)
    }
}

/// Fills PyO3's module object through `fill`, and hands its errors back to PyO3.
pub(crate) fn fill(
    module: &pyo3::Bound<'_, pyo3::types::PyModule>,
    fill: impl FnOnce(&Module) -> Res<()>,
) -> pyo3::PyResult<()> {
    use pyo3::prelude::*;
    outlive_interpreter();
    // The classes and the interned objects that the native code keeps belong to one interpreter.
    // SAFETY: the GIL is held.
    if unsafe { ffi::PyInterpreterState_Get() != ffi::PyInterpreterState_Main() } {
        return Err(pyo3::exceptions::PyImportError::new_err(
            "aioxide works in the main interpreter only, and this is a subinterpreter",
        ));
    }
    // SAFETY: the bound module is alive during the call.
    let object = unsafe { Any::from_ptr(module.as_ptr()) }.own();
    fill(&Module(object)).map_err(|raised| {
        let _ = raised;
        PyErr::fetch(module.py())
    })
}
