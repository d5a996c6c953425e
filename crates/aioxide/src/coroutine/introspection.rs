//! What a native coroutine shows to `inspect`, to debuggers and in warnings.
//!
//! It has no Python frame. In its place it shows the code object of asyncio's function of the same
//! name, and a frame of that code that never runs; `_introspection.py` makes both, once for each
//! function. `cr_origin` and names that somebody has set are rare, so they stand in a dict beside
//! the coroutines, and cost the others one bit.

use super::{Coroutine, Operation, Stage};
use crate::ffi::error::{Kind, WarningKind, warn};
use crate::ffi::method::{TypeBuilder, no_delete};
use crate::ffi::module::{Global, imports, names};
use crate::ffi::{Any, Args, Inst, Native, Object, Raised, Res, origin, value};

/// How many classes of native coroutines there can be.
pub(super) const MOST_CLASSES: usize = 64;

struct Helpers {
    /// `_introspection.stub`.
    stub: Object,
    /// `_introspection.origin`.
    origin: Object,
    /// `{qualname: (code, coroutine)}`. The coroutines are never awaited and never freed.
    stubs: Object,
    /// `{address: {name: object}}`, of the coroutines whose `has_extra` is set.
    extras: Object,
}

static HELPERS: Global<Helpers> = Global::new();

/// `_use_introspection(stub, origin)`.
pub(crate) fn use_helpers(args: Args<'_>) -> Res<Object> {
    let &[stub, creation] = args.positional else {
        return Err(Raised::type_error(
            "_use_introspection() takes two functions",
        ));
    };
    HELPERS.set(Helpers {
        stub: stub.own(),
        origin: creation.own(),
        stubs: value::dict()?,
        extras: value::dict()?,
    });
    Ok(value::none())
}

fn helpers() -> Res<&'static Helpers> {
    HELPERS
        .try_get()
        .ok_or_else(|| Raised::runtime("aioxide was not imported"))
}

/// `(code, coroutine)` of a function.
fn stub(qualname: &str) -> Res<Object> {
    let helpers = helpers()?;
    let key = value::text(qualname)?;
    if let Some(known) = helpers.stubs.dict_get(&key)? {
        return Ok(known);
    }
    let made = helpers.stub.call1(&key)?;
    helpers.stubs.dict_set(&key, &made)?;
    Ok(made)
}

/// An item of what [`stub`] gives.
fn stub_item(qualname: &str, index: usize) -> Res<Object> {
    match stub(qualname)?.tuple_items().get(index) {
        Some(item) => Ok(item.own()),
        None => Err(Raised::type_error(
            "a stub is a code object and a coroutine",
        )),
    }
}

/// What is known of a native coroutine without its type.
struct View {
    qualname: fn(&Any) -> Option<String>,
    awaiting: fn(&Any) -> Option<Object>,
    name: fn(&Any) -> Option<&'static str>,
    /// The first function of the class that was asked for, and its stub.
    first: Global<(&'static str, Object)>,
}

static VIEWS: [Global<View>; MOST_CLASSES] = [const { Global::new() }; MOST_CLASSES];

/// Notes how to look at the coroutines of the class that is number `place`.
pub(super) fn note_class<O: Operation>(place: usize) {
    if let Some(view) = VIEWS.get(place) {
        view.set(View {
            qualname: |object| Some(object.as_exact::<Coroutine<O>>()?.qualname()),
            awaiting: |object| object.as_exact::<Coroutine<O>>()?.awaiting.get(),
            name: |object| Some(object.as_exact::<Coroutine<O>>()?.name()),
            first: Global::new(),
        });
    }
}

fn view(object: &Any) -> Option<&'static View> {
    VIEWS.get(super::methods::class_number(object)?)?.try_get()
}

/// The coroutine of an `async def` function that a debugger reads in place of `object`: itself, the
/// first one that it awaits, or else the stub of its function.
///
/// `python -m asyncio ps` takes whatever it finds for the C struct of one.
pub(crate) fn readable(object: &Any) -> Res<Option<Object>> {
    /// Native coroutines inside each other that are looked through.
    const DEPTH: usize = 100;
    let mut current = object.own();
    for _ in 0..DEPTH {
        if current.is_native_coroutine() || current.is_generator() {
            return Ok(Some(current));
        }
        match view(&current).and_then(|view| (view.awaiting)(&current)) {
            Some(awaited) => current = awaited,
            None => break,
        }
    }
    let Some(view) = view(object) else {
        return Ok(None);
    };
    let Some(name) = (view.name)(object) else {
        return Ok(None);
    };
    if let Some((first, stub)) = view.first.try_get()
        && std::ptr::eq(*first, name)
    {
        return Ok(Some(stub.clone()));
    }
    let stub = stub_item(&(view.qualname)(object).unwrap_or_default(), 1)?;
    view.first.set((name, stub.clone()));
    Ok(Some(stub))
}

fn extras_key<O: Operation>(this: &Inst<Coroutine<O>>) -> Res<Object> {
    value::uint(this.as_any().address() as u64)
}

fn extra<O: Operation>(this: &Inst<Coroutine<O>>, name: &Any) -> Res<Option<Object>> {
    if !this.has_extra.get() {
        return Ok(None);
    }
    match helpers()?.extras.dict_get(&*extras_key(this)?)? {
        Some(extra) => extra.dict_get(name),
        None => Ok(None),
    }
}

fn set_extra<O: Operation>(this: &Inst<Coroutine<O>>, name: &Any, value: &Any) -> Res<()> {
    let extras = &helpers()?.extras;
    let key = extras_key(this)?;
    let extra = match extras.dict_get(&key)? {
        Some(extra) if this.has_extra.get() => extra,
        _ => {
            let extra = value::dict()?;
            extras.dict_set(&key, &extra)?;
            this.has_extra.set(true);
            extra
        }
    };
    extra.dict_set(name, value)
}

/// The coroutine is freed.
#[cold]
pub(super) fn drop_extra<O: Operation>(this: &Inst<Coroutine<O>>) {
    this.has_extra.set(false);
    let dropped = helpers().and_then(|known| known.extras.dict_discard(&*extras_key(this)?));
    if let Err(raised) = dropped {
        raised.unraisable(None);
    }
}

/// `sys.set_coroutine_origin_tracking_depth` is in force: records where this one is made.
#[cold]
pub(super) fn record_origin<O: Operation>(this: &Inst<Coroutine<O>>) -> Res<()> {
    let depth = value::int(i64::from(origin::depth()))?;
    let frames = helpers()?.origin.call1(&depth)?;
    set_extra(this, &names().cr_origin, &frames)
}

/// "was never awaited", with the place of creation if that is recorded.
pub(super) fn warn_unawaited<O: Operation>(this: &Inst<Coroutine<O>>) -> Res<()> {
    let warn_unawaited = imports()
        .warnings
        .getattr_opt(&names()._warn_unawaited_coroutine)?;
    if let Some(warn_unawaited) = warn_unawaited {
        return warn_unawaited.call1(this.as_any()).map(drop);
    }
    let name = get_qualname(this)?.text_lossy();
    let message = format!("coroutine '{name}' was never awaited");
    warn(WarningKind::Runtime, &message, 1)
}

fn name_of(given: Option<&Any>, attribute: &str) -> Res<Object> {
    match no_delete(given) {
        Ok(name) if name.is_str() => Ok(name.own()),
        _ => Err(Raised::new(
            Kind::Type,
            &format!("{attribute} must be set to a string object"),
        )),
    }
}

fn get_name<O: Operation>(this: &Inst<Coroutine<O>>) -> Res<Object> {
    match extra(this, &names().__name__)? {
        Some(name) => Ok(name),
        None => value::text(this.name()),
    }
}

fn set_name<O: Operation>(this: &Inst<Coroutine<O>>, name: Option<&Any>) -> Res<()> {
    set_extra(this, &names().__name__, &*name_of(name, "__name__")?)
}

fn get_qualname<O: Operation>(this: &Inst<Coroutine<O>>) -> Res<Object> {
    match extra(this, &names().__qualname__)? {
        Some(name) => Ok(name),
        None => value::text(&this.qualname()),
    }
}

fn set_qualname<O: Operation>(this: &Inst<Coroutine<O>>, name: Option<&Any>) -> Res<()> {
    set_extra(
        this,
        &names().__qualname__,
        &*name_of(name, "__qualname__")?,
    )
}

fn get_code<O: Operation>(this: &Inst<Coroutine<O>>) -> Res<Object> {
    stub_item(&this.qualname(), 0)
}

/// asyncio's own coroutine of the same function, which this one has handed its call over to: it is
/// shown in place of this one, not below it.
fn original<O: Operation>(this: &Inst<Coroutine<O>>) -> Res<Option<Object>> {
    let Some(awaited) = this.awaiting.get() else {
        return Ok(None);
    };
    let is_original =
        awaited.is_native_coroutine() && awaited.getattr(&names().cr_code)?.is(&*get_code(this)?);
    Ok(is_original.then_some(awaited))
}

/// What a coroutine waits for.
pub(super) fn get_awaiting<O: Operation>(this: &Inst<Coroutine<O>>) -> Res<Object> {
    match original(this)? {
        Some(original) => original.getattr(&names().cr_await),
        None => Ok(this.awaiting.get_or_none()),
    }
}

fn get_frame<O: Operation>(this: &Inst<Coroutine<O>>) -> Res<Object> {
    if this.stage.get() == Stage::Finished {
        return Ok(value::none());
    }
    if let Some(original) = original(this)? {
        return original.getattr(&names().cr_frame);
    }
    stub_item(&this.qualname(), 1)?.getattr(&names().cr_frame)
}

fn get_origin<O: Operation>(this: &Inst<Coroutine<O>>) -> Res<Object> {
    Ok(extra(this, &names().cr_origin)?.unwrap_or_else(value::none))
}

/// The class of `async def`'s coroutines, for `isinstance`. `type()` says what the object is.
pub(super) fn get_class<T: Native>(_this: &Inst<T>) -> Res<Object> {
    Ok(imports().coroutine_type.clone())
}

fn repr<O: Operation>(this: &Inst<Coroutine<O>>) -> Res<Object> {
    let address = this.as_any().address();
    let name = get_qualname(this)?.text_lossy();
    value::text(&format!("<coroutine object {name} at {address:#x}>"))
}

/// The attributes that a coroutine of any function has.
pub(super) fn attributes<O: Operation>(b: TypeBuilder<Coroutine<O>>) -> TypeBuilder<Coroutine<O>> {
    b.repr(repr)
        .getter(
            c"__class__",
            get_class,
            c"types.CoroutineType, as isinstance() asks.",
        )
        .attribute(c"__name__", get_name, set_name, c"The function's name.")
        .attribute(
            c"__qualname__",
            get_qualname,
            set_qualname,
            c"The function's qualified name.",
        )
        .getter(
            c"cr_code",
            get_code,
            c"The code object of asyncio's function of the same name.",
        )
        .getter(
            c"cr_frame",
            get_frame,
            c"A frame of asyncio's function without locals; None if the coroutine has ended.",
        )
        .getter(
            c"cr_origin",
            get_origin,
            c"Where the coroutine was created, see sys.set_coroutine_origin_tracking_depth().",
        )
}
