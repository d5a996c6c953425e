//! `_aioxide`: asyncio's engine. A table of contents.
//!
//! * [`ffi`]: the fence around CPython; nothing outside it is `unsafe`
//! * [`handle`]: `Handle`, `TimerHandle`
//! * [`future`], [`task`]: `Future`, `Task`
//! * [`combinators`]: `sleep`, `gather`, `wait`, `wait_for`, `timeout`, `TaskGroup`
//! * [`coroutine`]: what native coroutine functions give back
//! * [`hooks`]: which methods somebody has overridden or patched
//! * [`sock_op`]: what the loop's `sock_*` methods give back
//! * [`sync`]: locks and queues
//! * [`event_loop`]: the native half of `EventLoop`
//! * [`file`]: files, by io_uring or threads
//! * [`stream`]: `StreamReader`, `StreamWriter`, `StreamReaderProtocol`
//! * [`transport`]: connections, listening sockets and pipes
//! * [`tls`]: TLS over connections
//! * [`tuning`]: every number that was chosen by measuring
#![deny(unsafe_code)]

mod combinators;
mod coroutine;
mod event_loop;
// The fence: the only place that names raw CPython.
#[allow(unsafe_code)]
mod ffi;
mod file;
mod future;
mod handle;
mod hooks;
mod sock_op;
mod stream;
mod sync;
mod task;
mod tls;
mod transport;
mod tuning;

use pyo3::prelude::*;

/// The extension module. Use the package `aioxide`.
#[pymodule]
fn _aioxide(module: &Bound<'_, PyModule>) -> PyResult<()> {
    ffi::module::fill(module, |module| {
        ffi::module::initialise()?;
        ffi::function::build()?;
        handle::build()?;
        future::build()?;
        task::build()?;
        coroutine::build_shared()?;
        combinators::build()?;
        event_loop::build()?;
        event_loop::build_dns()?;
        sock_op::build()?;
        sync::build()?;
        transport::build()?;
        stream::build()?;
        tls::build()?;
        file::build()?;
        exports::fill(module)
    })
}

mod exports {
    //! What the module shows to the Python package.

    use crate::combinators::{self, Gathering, Group, Observer, Sleep, Timeout, Wait, WaitFor};
    use crate::coroutine::Coroutine;
    use crate::event_loop::{LoopCore, NameLookup, Resolver};
    use crate::ffi::function::Function;
    use crate::ffi::method::function;
    use crate::ffi::module::Module;
    use crate::ffi::{Args, Native, Object, Raised, Res, task_mirror, value};
    use crate::file::{self, FileCore, Ring, TextCore};
    use crate::future::Future;
    use crate::handle::{Handle, TimerHandle};
    use crate::sock_op::SockOp;
    use crate::stream::{self, DrainOp, ReadOp, StreamProtocol, StreamReader, StreamWriter};
    use crate::sync;
    use crate::task::{StepCall, Task, registry};
    use crate::tls;
    use crate::transport::{
        Clients, DatagramTransport, Listener, ReadPipeTransport, SendFile, StreamTransport,
        TransportSocket, WritePipeTransport,
    };

    fn live_tasks(_args: Args<'_>) -> Res<Object> {
        registry::snapshot()
    }

    fn live_objects(_args: Args<'_>) -> Res<Object> {
        let counts = value::dict()?;
        for (name, live) in [
            ("DatagramTransport", DatagramTransport::class().live()),
            ("FileCall", file::CallClass::class().live()),
            ("FileCore", FileCore::class().live()),
            ("FileMethod", file::MethodClass::class().live()),
            ("FileRing", Ring::class().live()),
            ("Future", Future::class().live()),
            ("Gathering", Gathering::class().live()),
            ("Group", Group::class().live()),
            ("Handle", Handle::class().live()),
            ("Listener", Listener::class().live()),
            ("LoopCore", LoopCore::class().live()),
            ("NameLookup", NameLookup::class().live()),
            ("Resolver", Resolver::class().live()),
            ("SendFile", SendFile::class().live()),
            ("Observer", Observer::class().live()),
            ("Sleep", Coroutine::<Sleep>::class().live()),
            ("SockOp", SockOp::class().live()),
            ("ReadPipeTransport", ReadPipeTransport::class().live()),
            ("DrainOp", DrainOp::class().live()),
            ("ReadOp", ReadOp::class().live()),
            ("StreamReader", StreamReader::class().live()),
            ("StreamReaderProtocol", StreamProtocol::class().live()),
            ("StreamWriter", StreamWriter::class().live()),
            ("TransportSocket", TransportSocket::class().live()),
            ("SSLProtocol", tls::SslProtocol::class().live()),
            ("StreamTransport", StreamTransport::class().live()),
            ("Task", Task::class().live()),
            ("TextCore", TextCore::class().live()),
            ("TaskStep", StepCall::class().live()),
            ("Timeout", Timeout::class().live()),
            ("TimerHandle", TimerHandle::class().live()),
            ("WritePipeTransport", WritePipeTransport::class().live()),
            ("Wait", Coroutine::<Wait>::class().live()),
            ("WaitFor", Coroutine::<WaitFor>::class().live()),
        ] {
            counts.dict_set(&*value::text(name)?, &*value::int(live as i64)?)?;
        }
        for (name, live) in sync::live() {
            counts.dict_set(&*value::text(name)?, &*value::int(live as i64)?)?;
        }
        Ok(counts)
    }

    fn connect_debugger(args: Args<'_>) -> Res<Object> {
        let &[loop_, coro, name] = args.positional else {
            return Err(Raised::type_error(
                "_connect_debugger() takes a loop, a coroutine, a name",
            ));
        };
        task_mirror::find_offsets(loop_, coro, name)?;
        Ok(value::bool(task_mirror::is_active()))
    }

    /// The package is imported: take what we use of its Python modules.
    fn connect_package(_args: Args<'_>) -> Res<Object> {
        registry::connect_package()?;
        sync::connect_package()?;
        Ok(value::none())
    }

    fn panic_for_tests(_args: Args<'_>) -> Res<Object> {
        panic!("a panic on purpose");
    }

    pub(super) fn fill(module: &Module) -> Res<()> {
        file::functions(module)?;
        module.add("FileCore", FileCore::class().as_any())?;
        module.add("FileRing", Ring::class().as_any())?;
        module.add("TextCore", TextCore::class().as_any())?;
        module.add("Function", Function::class().as_any())?;
        module.add("Future", Future::class().as_any())?;
        module.add("Task", Task::class().as_any())?;
        module.add("Handle", Handle::class().as_any())?;
        module.add("TimerHandle", TimerHandle::class().as_any())?;
        module.add("LoopCore", LoopCore::class().as_any())?;
        module.add("Resolver", Resolver::class().as_any())?;
        module.add("ClientsCore", Clients::class().as_any())?;
        module.add("DatagramTransport", DatagramTransport::class().as_any())?;
        module.add("Listener", Listener::class().as_any())?;
        module.add("ReadPipeTransport", ReadPipeTransport::class().as_any())?;
        stream::export(module)?;
        tls::export(module)?;
        sync::export(module)?;
        module.add("StreamTransport", StreamTransport::class().as_any())?;
        module.add("WritePipeTransport", WritePipeTransport::class().as_any())?;
        module.add("__version__", &*value::text(env!("CARGO_PKG_VERSION"))?)?;
        combinators::export(module)?;
        let functions = [
            ("live_tasks", function(c"live_tasks", live_tasks, c"live_tasks()\n--\n\nEvery pending task of ours (up to Python 3.13).")?),
            ("live_objects", function(c"live_objects", live_objects, c"live_objects()\n--\n\nHow many native objects of each kind are alive.")?),
            ("address_family", function(c"address_family", crate::sock_op::address_family, c"address_family(host, /)\n--\n\nThe family of a host that is an address in numbers, else 0.")?),
            ("_connect_debugger", function(c"_connect_debugger", connect_debugger, c"_connect_debugger(loop, coro, name, /)\n--\n\nLearn where `python -m asyncio ps` looks.")?),
            ("_use_introspection", function(c"_use_introspection", crate::coroutine::use_helpers, c"_use_introspection(stub, origin, /)\n--\n\nTake the helpers of aioxide._introspection.")?),
            ("_use_patches", function(c"_use_patches", crate::event_loop::use_patches, c"_use_patches(update, /)\n--\n\nTake the function of aioxide._patches that looks for patches.")?),
            ("_dress", function(c"_dress", crate::ffi::function::dress, c"_dress(function, original, replaceable, /)\n--\n\nGive a native function what inspect reads of asyncio's.")?),
            ("_connect_package", function(c"_connect_package", connect_package, c"_connect_package()\n--\n\nTake what the native code uses of the package's modules.")?),
            ("_panic_for_tests", function(c"_panic_for_tests", panic_for_tests, c"_panic_for_tests()\n--\n\nPanics.")?),
        ];
        for (name, function) in &functions {
            module.add(name, function)?;
        }
        Ok(())
    }
}
