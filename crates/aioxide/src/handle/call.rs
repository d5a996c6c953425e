//! What both kinds of handle share: the callback, running it, reporting its failure, cancelling.

use std::cell::Cell;

use crate::event_loop::LoopCore;
use crate::ffi::error::is_exit_exception;
use crate::ffi::module::{imports, names};
use crate::ffi::{Any, Inst, Native, Object, Raised, Res, Slot, Visit};
use crate::ffi::{context, value};

/// How many arguments lie in the handle itself; more go into a tuple.
pub(super) const INLINE: usize = 3;
/// `count` of a call whose arguments are the tuple in `args[0]`.
pub(super) const TUPLE: u8 = u8::MAX;

/// What a handle will call, and for whom. References only: see `Native::OVERLAY`.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Call {
    pub(super) callback: Slot,
    pub(super) args: [Slot; INLINE],
    pub(super) context: Slot,
    pub(super) loop_: Slot,
    /// `[source traceback, repr from before a cancel]`, in debug mode.
    pub(super) debug: Slot,
}

/// The part of a handle that is no reference.
#[derive(Debug, Default)]
pub(super) struct Flags {
    pub(super) count: Cell<u8>,
    pub(super) cancelled: Cell<bool>,
}

/// A state that has a call: what lets the two classes share everything.
pub(crate) trait HasCall: Native {
    fn call(&self) -> &Call;
    #[doc(hidden)]
    fn count(&self) -> &Cell<u8>;
    fn cancelled(&self) -> &Cell<bool>;
}

impl Call {
    /// The call, and the count that goes with it.
    #[inline(always)]
    pub(super) fn new(
        callback: Object,
        args: &[&Any],
        loop_: Object,
        ctx: Object,
    ) -> Res<(Call, u8)> {
        let own = |index: usize| Slot::new(args.get(index).map(|arg| arg.own()));
        let (args, count) = if args.len() <= INLINE {
            (
                [own(0), own(1), own(2)],
                u8::try_from(args.len()).unwrap_or(0),
            )
        } else {
            (
                [
                    Slot::new(Some(value::tuple(args)?)),
                    Slot::default(),
                    Slot::default(),
                ],
                TUPLE,
            )
        };
        let call = Call {
            callback: Slot::new(Some(callback)),
            args,
            context: Slot::new(Some(ctx)),
            loop_: Slot::new(Some(loop_)),
            debug: Slot::default(),
        };
        Ok((call, count))
    }

    pub(super) fn traverse(&self, visit: &mut Visit) {
        self.callback.visit(visit);
        for arg in &self.args {
            arg.visit(visit);
        }
        self.context.visit(visit);
        self.loop_.visit(visit);
        self.debug.visit(visit);
    }

    pub(super) fn clear(&self) {
        self.forget_callback();
        self.context.clear();
        self.loop_.clear();
        self.debug.clear();
    }

    pub(super) fn forget_callback(&self) {
        self.callback.clear();
        for arg in &self.args {
            arg.clear();
        }
    }

    /// One of the two objects of `debug`.
    pub(super) fn debug_object(&self, index: usize) -> Option<Object> {
        let objects = self.debug.get()?.list_items();
        objects
            .into_iter()
            .nth(index)
            .filter(|object| !object.is_none())
    }

    pub(super) fn set_debug_object(&self, index: usize, object: Object) -> Res<()> {
        let mut objects = [0, 1].map(|i| self.debug_object(i).unwrap_or_else(value::none));
        objects[index] = object;
        self.debug.set(value::list(&objects)?);
        Ok(())
    }

    pub(super) fn source_traceback(&self) -> Option<Object> {
        self.debug_object(0)
    }

    /// Takes asyncio's stack of the caller, in debug mode.
    pub(super) fn capture_source(&self) -> Res<()> {
        self.set_debug_object(0, imports().extract_stack.call0()?)
    }
}

pub(super) fn inline_count<T: HasCall>(handle: &T) -> usize {
    usize::from(handle.count().get()).min(INLINE)
}

/// Python's `_args`: a tuple, `None` after a cancel.
pub(super) fn args_object<T: HasCall>(handle: &T) -> Res<Object> {
    let call = handle.call();
    if handle.cancelled().get() && call.callback.is_none() {
        return Ok(value::none());
    }
    if handle.count().get() == TUPLE {
        return Ok(call.args[0].get_or_none());
    }
    let owned: Vec<Object> = call.args[..inline_count(handle)]
        .iter()
        .map(Slot::get_or_none)
        .collect();
    value::tuple(&owned.iter().map(|arg| &**arg).collect::<Vec<_>>())
}

/// Runs the callback in its context.
///
/// `exclusive` says that nobody but the caller holds the handle, so that what it calls need not
/// be counted again for the time of the call.
#[inline]
pub(super) fn invoke<T: HasCall>(handle: &T, exclusive: bool) -> Res<()> {
    let call = handle.call();
    let take = |slot: &Slot| if exclusive { slot.take() } else { slot.get() };
    let (Some(callback), Some(ctx)) = (take(&call.callback), take(&call.context)) else {
        return Ok(());
    };
    let args: [Option<Object>; INLINE] = [
        take(&call.args[0]),
        take(&call.args[1]),
        take(&call.args[2]),
    ];
    let outcome = if handle.count().get() == TUPLE {
        let given = args[0].as_deref().unwrap_or(value::none_ref());
        context::run(&ctx, || {
            if given.is_tuple() {
                callback.call_tuple(given)
            } else {
                // A program has set `_args` to something else.
                callback.call_tuple(&*value::tuple_of(given)?)
            }
        })
    } else {
        // Slot 0 is the spare one of the vectorcall protocol.
        let place = |arg: &Option<Object>| match arg {
            Some(arg) => &raw const **arg,
            None => std::ptr::null(),
        };
        let mut spare_and_args = [
            std::ptr::null::<Any>(),
            place(&args[0]),
            place(&args[1]),
            place(&args[2]),
        ];
        let count = inline_count(handle);
        context::run(&ctx, || {
            callback.call_with_spare(&mut spare_and_args[..=count])
        })
    };
    let outcome = match outcome {
        Err(raised) if !context::is_context(&ctx) => {
            raised.discard();
            run_in_foreign(&ctx, &callback, &args, handle.count().get())
        }
        Ok(outcome) => outcome,
        Err(raised) => Err(raised),
    };
    match outcome {
        Ok(_) => Ok(()),
        Err(raised) => {
            if exclusive {
                // The report shows the handle as it was.
                call.callback.set(callback);
                for (slot, arg) in call.args.iter().zip(args) {
                    drop(slot.replace(arg));
                }
                call.context.set(ctx);
            }
            Err(raised)
        }
    }
}

/// `context.run(callback, *args)`: as asyncio calls it, whatever was given for a context.
#[cold]
fn run_in_foreign(
    ctx: &Any,
    callback: &Any,
    args: &[Option<Object>; INLINE],
    count: u8,
) -> Res<Object> {
    let mut given = vec![callback];
    if count == TUPLE {
        let tuple = args[0].as_deref().unwrap_or(value::none_ref());
        if tuple.is_tuple() {
            given.extend(tuple.tuple_items());
        }
    } else {
        given.extend(args.iter().filter_map(Option::as_deref));
    }
    ctx.getattr(&*value::text("run")?)?.call(&given)
}

/// asyncio's report of a callback that raised. Gives back what must leave the loop.
#[cold]
pub(super) fn report<T: HasCall>(handle: &Inst<T>, raised: Raised) -> Res<()> {
    let exception = raised.take();
    if is_exit_exception(&exception) {
        return Err(Raised::raise(exception));
    }
    // The exception handler may keep it, and the loop keeps the exception handler.
    handle.track();
    let call = handle.call();
    let Some(loop_) = call.loop_.get() else {
        Raised::raise(exception).unraisable(Some(handle.as_any()));
        return Ok(());
    };
    // A callback that has cancelled its own handle is `None` by now, as on asyncio.
    let callback = call.callback.get_or_none();
    let args = args_object(&**handle)?;
    let source = if imports().version >= (3, 13) {
        let debug = loop_.call_method0(&names().get_debug)?;
        let names = value::tuple(&[&*value::text("debug")?])?;
        imports()
            .format_callback_source
            .call_names(&[&callback, &args, &debug], &names)?
    } else {
        imports().format_callback_source.call(&[&callback, &args])?
    };
    let report = value::dict()?;
    let message = format!("Exception in callback {}", source.text_lossy());
    report.dict_set(&names().message, &*value::text(&message)?)?;
    report.dict_set(&names().exception, &exception)?;
    report.dict_set(&names().handle, handle.as_any())?;
    if let Some(source) = call.source_traceback() {
        report.dict_set(&names().source_traceback, &source)?;
    }
    loop_.call_method1(&names().call_exception_handler, &report)?;
    Ok(())
}

pub(super) fn cancel<T: HasCall>(handle: &Inst<T>) -> Res<()> {
    if handle.cancelled().replace(true) {
        return Ok(());
    }
    let call = handle.call();
    if let Some(loop_) = call.loop_.get()
        && is_debug(&loop_)?
    {
        // The report of a slow callback shows what it was, also after it cancelled itself.
        let repr = handle.as_any().repr()?;
        call.set_debug_object(1, repr)?;
    }
    call.forget_callback();
    handle.count().set(0);
    Ok(())
}

pub(super) fn is_debug(loop_: &Any) -> Res<bool> {
    if let Some(core) = loop_.downcast::<LoopCore>() {
        return Ok(core.is_debug());
    }
    loop_.call_method0(&names().get_debug)?.is_truthy()
}
