//! A new transport: what asyncio's constructor does, in its order.

use super::super::common::given;
use super::super::create::address;
use super::DatagramTransport;
use super::address::Family;
use crate::event_loop::{LoopCore, descriptor};
use crate::ffi::call::Signature;
use crate::ffi::method::TypeBuilder;
use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Args, Inst, Object, Raised, Res, context, value};

const INIT: Signature<7> = Signature {
    function: "DatagramTransport",
    parameters: [
        c"loop",
        c"sock",
        c"protocol",
        c"address",
        c"waiter",
        c"extra",
        c"context",
    ],
    positional: 7,
    required: 3,
};

fn init(this: &Inst<DatagramTransport>, args: Args<'_>) -> Res<()> {
    let [loop_, sock, protocol, remote, waiter, extra, ctx] = args.bind(&INIT)?;
    let (Some(loop_), Some(sock), Some(protocol)) = (loop_, sock, protocol) else {
        return Err(Raised::type_error(
            "DatagramTransport() needs a loop, a socket and a protocol",
        ));
    };
    let Some(core) = loop_.downcast::<LoopCore>() else {
        return Err(Raised::type_error(
            "DatagramTransport() needs a loop of aioxide",
        ));
    };
    if this.common.fd.get() >= 0 {
        return Err(Raised::runtime("the transport has its socket already"));
    }
    let extra = given(extra).map_or_else(value::dict, |extra| Ok(extra.own()))?;
    let ctx = given(ctx).map_or_else(context::copy_current, |ctx| Ok(ctx.own()))?;
    this.fill(core, sock, remote, extra, ctx)
        .and_then(|()| {
            this.common.protocol.set(protocol.own());
            this.begin(core, protocol, waiter)
        })
        .map_err(|raised| {
            // The caller still has the socket.
            let exception = raised.take();
            this.abandon();
            Raised::raise(exception)
        })
}

impl Inst<DatagramTransport> {
    fn fill(
        &self,
        core: &Inst<LoopCore>,
        sock: &Any,
        remote: Option<&Any>,
        extra: Object,
        ctx: Object,
    ) -> Res<()> {
        let names = names();
        let fd = descriptor(sock)?;
        extra.dict_set(&names.socket, &*imports().transport_socket.call1(sock)?)?;
        extra.dict_set(&names.sockname, &*address(sock, &names.getsockname)?)?;
        let mut peer = extra.dict_get(&names.peername)?;
        if peer.is_none() {
            let found = address(sock, &names.getpeername)?;
            extra.dict_set(&names.peername, &found)?;
            peer = Some(found);
        }
        self.connected
            .set(peer.map_or(Ok(false), |peer| peer.is_truthy())?);
        if let Some(remote) = given(remote)
            && remote.is_truthy()?
        {
            self.address.set(remote.own());
        }
        // A derived class may receive and send in its own way, and a test's stand-in does.
        if sock.type_is(&imports().socket_class) {
            self.family
                .set(Family::of(sock.getattr(&names.family)?.to_i64()?));
        }
        let common = &self.common;
        common.extra.set(extra);
        common.context.set(ctx);
        common.loop_.set(core.own());
        common.fd.set(fd);
        common.file.set(sock.own());
        self.claim(core);
        Ok(())
    }
}

pub(super) fn methods(b: TypeBuilder<DatagramTransport>) -> TypeBuilder<DatagramTransport> {
    b.init(init)
}
