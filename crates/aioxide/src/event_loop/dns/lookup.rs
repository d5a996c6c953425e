//! `loop.getaddrinfo(...)` and `loop.getnameinfo(...)`: the coroutine.

use std::ffi::CStr;

use super::question::{self, Arguments};
use super::{answer, stock};
use crate::coroutine::{self, Coroutine, Operation, Outcome, Step};
use crate::event_loop::LoopCore;
use crate::ffi::call::Signature;
use crate::ffi::method::TypeBuilder;
use crate::ffi::module::names;
use crate::ffi::{Any, Args, Class, Inst, Object, Raised, Res, Slot, SlotOf, Visit, value};

/// `aioxide.NameLookup`, the coroutine.
pub(crate) type NameLookup = Coroutine<Lookup>;

/// `NI_NUMERICHOST | NI_NUMERICSERV`: nothing is looked up.
const NUMBERS_ONLY: i32 = 1 | 2;

/// The call: of `getaddrinfo` with six arguments, or of `getnameinfo` with two.
#[derive(Debug, Default)]
pub(crate) struct Lookup {
    loop_: SlotOf<LoopCore>,
    of_addresses: bool,
    /// Host, port, family, type, protocol, flags; or address, flags.
    arguments: [Slot; 6],
}

static NAME_LOOKUP: Class<NameLookup> = Class::new(32);

impl Operation for Lookup {
    const CLASS_NAME: &'static CStr = c"aioxide.NameLookup";

    fn class() -> &'static Class<NameLookup> {
        &NAME_LOOKUP
    }

    fn name(&self) -> &'static str {
        if self.of_addresses {
            "getaddrinfo"
        } else {
            "getnameinfo"
        }
    }

    fn qualname(&self) -> String {
        format!("BaseEventLoop.{}", self.name())
    }

    fn start(this: &Inst<NameLookup>) -> Res<Step> {
        let Some(core) = this.loop_.get() else {
            return Err(Raised::runtime("Event loop is closed"));
        };
        core.check_open()?;
        let known = !core.is_debug() && !stock::is_shut_down(core.as_any())?;
        if known && let Some(answer) = this.at_once()? {
            return Ok(Step::Return(answer));
        }
        let method = if this.of_addresses {
            &names()._look_up_addresses
        } else {
            &names()._look_up_name
        };
        let rest = this.arguments.each_ref().map(Slot::get_or_none);
        let count = if this.of_addresses { 6 } else { 2 };
        let rest: Vec<&Any> = rest
            .iter()
            .take(count)
            .map(|argument| &**argument)
            .collect();
        let bound = core.as_any().getattr(method)?;
        Ok(Step::Await(bound.call(&rest)?))
    }

    fn resume(_this: &Inst<NameLookup>, outcome: Outcome) -> Res<Step> {
        outcome.map(Step::Return).map_err(Raised::raise)
    }

    fn traverse(&self, visit: &mut Visit) {
        self.loop_.visit(visit);
        self.arguments.iter().for_each(|slot| slot.visit(visit));
    }

    fn clear(&self) {
        self.arguments.iter().for_each(Slot::clear);
        self.loop_.clear();
    }
}

impl Inst<NameLookup> {
    /// The answer that takes no waiting, if there is one.
    #[inline]
    fn at_once(&self) -> Res<Option<Object>> {
        if self.of_addresses {
            self.addresses_at_once()
        } else {
            self.name_at_once()
        }
    }

    #[inline]
    fn addresses_at_once(&self) -> Res<Option<Object>> {
        let held = self.arguments.each_ref().map(Slot::get);
        let given = held.each_ref().map(Option::as_deref);
        let Some(arguments) = Arguments::read(given) else {
            return Ok(None);
        };
        if !stock::getaddrinfo_is_stock()? {
            return Ok(None);
        }
        if let Some(port) = arguments.port_number()
            && let Some(host) = arguments.host.exact_text()
            && let Some(numeric) = aioxide_core::names::numeric(host, arguments.hints)
        {
            question::audit(&arguments)?;
            return answer::numeric(&numeric, &arguments, port).map(Some);
        }
        let Some(found) = arguments.query()?.and_then(|query| query.look_up_numeric()) else {
            return Ok(None);
        };
        question::audit(&arguments)?;
        answer::addresses(&found).map(Some)
    }

    /// The standard library's own function, where it has nothing to wait for.
    fn name_at_once(&self) -> Res<Option<Object>> {
        let [address, flags, ..] = &self.arguments;
        let flags = flags.get();
        match question::flags(flags.as_deref()) {
            Some(number) if number & NUMBERS_ONLY == NUMBERS_ONLY => {}
            _ => return Ok(None),
        }
        let Some(function) = stock::getnameinfo_if_stock()? else {
            return Ok(None);
        };
        let flags = flags.map_or_else(|| value::int(0), Ok)?;
        function.call(&[&*address.get_or_none(), &*flags]).map(Some)
    }
}

const GETADDRINFO: Signature<6> = Signature {
    function: "getaddrinfo",
    parameters: [c"host", c"port", c"family", c"type", c"proto", c"flags"],
    positional: 2,
    required: 2,
};

const GETNAMEINFO: Signature<2> = Signature {
    function: "getnameinfo",
    parameters: [c"sockaddr", c"flags"],
    positional: 2,
    required: 1,
};

fn create(this: &Inst<LoopCore>, of_addresses: bool, arguments: [Slot; 6]) -> Res<Object> {
    let call = coroutine::create(Lookup {
        loop_: SlotOf::new(Some(this.own())),
        of_addresses,
        arguments,
    })?;
    Ok(call.into_object())
}

/// What is left out is 0, for the standard library to see.
fn slots<const N: usize>(bound: [Option<&Any>; N]) -> Res<[Slot; 6]> {
    let zero = value::int(0)?;
    Ok(std::array::from_fn(|index| {
        let given = bound.get(index).copied().flatten();
        Slot::new(Some(given.map_or_else(|| zero.clone(), Any::own)))
    }))
}

fn getaddrinfo(this: &Inst<LoopCore>, args: Args<'_>) -> Res<Object> {
    create(this, true, slots(args.bind(&GETADDRINFO)?)?)
}

fn getnameinfo(this: &Inst<LoopCore>, args: Args<'_>) -> Res<Object> {
    create(this, false, slots(args.bind(&GETNAMEINFO)?)?)
}

pub(super) fn methods(b: TypeBuilder<LoopCore>) -> TypeBuilder<LoopCore> {
    b.coroutine(c"getaddrinfo", getaddrinfo, c"getaddrinfo($self, host, port, *, family=0, type=0, proto=0, flags=0)\n--\n\nsocket.getaddrinfo() without blocking the loop. A coroutine.\n\nNumeric hosts and ports are answered at once.")
        .coroutine(c"getnameinfo", getnameinfo, c"getnameinfo($self, sockaddr, flags=0)\n--\n\nsocket.getnameinfo() without blocking the loop. A coroutine.")
}

pub(super) fn build() -> Res<()> {
    coroutine::build::<Lookup>(c"A call of the loop's getaddrinfo or getnameinfo: a coroutine.")
}
