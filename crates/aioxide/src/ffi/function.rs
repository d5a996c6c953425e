//! `Function`: a native function that passes for what `def` or `async def` makes.
//!
//! A built-in function or method has no signature but in its docstring, and is no coroutine function
//! to anybody: not to frameworks that ask before they call, not to `unittest.mock`, which then makes
//! a mock that cannot be awaited. `inspect` takes an object for a function if it has what it reads of
//! one: `__code__`, `__defaults__`, `__kwdefaults__` and names. This one has them, from asyncio's
//! function of the same name (`_functions.py`), becomes a method in a class, and is called as fast as a
//! built-in, by vectorcall.
//!
//! What `functools.wraps` copies is the instance dict; the code is not in there.

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::ffi;

use super::attribute::{plain, store};
use super::call::Args;
use super::error::{Kind, Raised, Res, guard};
use super::finalizing::outlive_interpreter;
use super::module::names;
use super::native_type::{Class, Native, object_class};
use super::object::{Any, Object};
use super::trampoline::item;
use super::value;
use super::{Inst, Slot, Visit};

/// `aioxide.Function`. Its first field is where CPython finds what to call.
#[repr(C)]
pub(crate) struct Function {
    vectorcall: Cell<ffi::vectorcallfunc>,
    /// The native function, while `vectorcall` is another.
    native: ffi::vectorcallfunc,
    /// asyncio's function of the same name.
    original: Slot,
    /// Whether its code may run in our place.
    replaceable: Cell<bool>,
    /// A Python function that runs in our place, because somebody has set its code or defaults.
    delegate: Slot,
    code: Slot,
    defaults: Slot,
    keyword_defaults: Slot,
    text_signature: Slot,
}

impl Function {
    fn new(vectorcall: ffi::vectorcallfunc) -> Self {
        Function {
            vectorcall: Cell::new(vectorcall),
            native: vectorcall,
            original: Slot::default(),
            replaceable: Cell::new(false),
            delegate: Slot::default(),
            code: Slot::default(),
            defaults: Slot::default(),
            keyword_defaults: Slot::default(),
            text_signature: Slot::default(),
        }
    }

    fn slots(&self) -> [&Slot; 6] {
        [
            &self.original,
            &self.delegate,
            &self.code,
            &self.defaults,
            &self.keyword_defaults,
            &self.text_signature,
        ]
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Function")
    }
}

static FUNCTION: Class<Function> = Class::new(0);

impl Native for Function {
    const NAME: &'static CStr = c"aioxide.Function";
    const SUBCLASSABLE: bool = false;
    const INSTANCE_DICT: bool = true;
    const VECTORCALL: bool = true;

    fn class() -> &'static Class<Self> {
        &FUNCTION
    }
    fn empty() -> Self {
        Function::new(unmade)
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

/// # Safety
/// CPython calls it through the slot it was made for.
unsafe extern "C" fn unmade(
    _function: *mut ffi::PyObject,
    _args: *const *mut ffi::PyObject,
    _count: usize,
    _names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guard(std::ptr::null_mut(), || {
        Err(Raised::type_error("a function without a body"))
    })
}

/// # Safety
/// CPython calls it by the vectorcall protocol.
unsafe extern "C" fn vectorcall<F>(
    _function: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    F: Fn(Args<'_>) -> Res<Object> + Copy + 'static,
{
    guard(std::ptr::null_mut(), || {
        // SAFETY: `item` by `create`; a vectorcall array, with the flag of the spare slot in front
        // taken off its count.
        unsafe {
            let count = ffi::PyVectorcall_NARGS(count).cast_unsigned();
            item::<F>()(Args::from_vectorcall(args, count, names)).map(Object::into_ptr)
        }
    })
}

/// The object that a method is called on, and the arguments that follow it.
///
/// # Safety
/// A vectorcall array and its count, as [`Args::from_vectorcall`] wants them; `function` is alive.
#[inline(always)]
unsafe fn receiver<'a, T: Native>(
    function: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: usize,
    names: *mut ffi::PyObject,
) -> Res<(&'a Inst<T>, Args<'a>)> {
    // SAFETY: see above; what is behind the first is an array too, and one shorter.
    unsafe {
        let count = ffi::PyVectorcall_NARGS(count).cast_unsigned();
        if count > 0
            && let Some(this) = Any::from_ptr::<'a>(*args).downcast::<T>()
        {
            return Ok((this, Args::from_vectorcall(args.add(1), count - 1, names)));
        }
        Err(wrong_receiver(Any::from_ptr(function)))
    }
}

#[cold]
fn wrong_receiver(function: &Any) -> Raised {
    match function.getattr(&names().__qualname__) {
        Ok(name) => Raised::type_error(&format!(
            "{}() wants an object of its class first",
            name.text_lossy()
        )),
        Err(raised) => raised,
    }
}

/// # Safety
/// CPython calls it by the vectorcall protocol.
unsafe extern "C" fn method0<T: Native, F>(
    function: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    F: Fn(&Inst<T>) -> Res<Object> + Copy + 'static,
{
    guard(std::ptr::null_mut(), || {
        // SAFETY: `item` by `Method::without_arguments`; the rest as it came.
        unsafe {
            let (this, rest) = receiver::<T>(function, args, count, names)?;
            if rest.positional.is_empty() && rest.names.is_empty() {
                return item::<F>()(this).map(Object::into_ptr);
            }
            Err(takes_none(Any::from_ptr(function)))
        }
    })
}

#[cold]
fn takes_none(function: &Any) -> Raised {
    match function.getattr(&names().__qualname__) {
        Ok(name) => Raised::type_error(&format!("{}() takes no arguments", name.text_lossy())),
        Err(raised) => raised,
    }
}

/// # Safety
/// CPython calls it by the vectorcall protocol.
unsafe extern "C" fn method<T: Native, F>(
    function: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject
where
    F: Fn(&Inst<T>, Args<'_>) -> Res<Object> + Copy + 'static,
{
    guard(std::ptr::null_mut(), || {
        // SAFETY: `item` by `Method::with_arguments`; the rest as it came.
        unsafe {
            let (this, rest) = receiver::<T>(function, args, count, names)?;
            item::<F>()(this, rest).map(Object::into_ptr)
        }
    })
}

/// A method of a class that is still to be made.
#[derive(Clone, Copy)]
pub(super) struct Method {
    name: &'static CStr,
    /// As in a `PyMethodDef`: the signature, a line of its own, the text.
    doc: &'static CStr,
    vectorcall: ffi::vectorcallfunc,
}

impl Method {
    pub(super) fn without_arguments<T: Native, F>(
        name: &'static CStr,
        _f: F,
        doc: &'static CStr,
    ) -> Self
    where
        F: Fn(&Inst<T>) -> Res<Object> + Copy + 'static,
    {
        Method {
            name,
            doc,
            vectorcall: method0::<T, F>,
        }
    }

    pub(super) fn with_arguments<T: Native, F>(
        name: &'static CStr,
        _f: F,
        doc: &'static CStr,
    ) -> Self
    where
        F: Fn(&Inst<T>, Args<'_>) -> Res<Object> + Copy + 'static,
    {
        Method {
            name,
            doc,
            vectorcall: method::<T, F>,
        }
    }

    /// Its name, and the function itself.
    pub(super) fn make(self, class: &Any) -> Res<(Object, Object)> {
        let name = self.name.to_string_lossy();
        let doc = self.doc.to_string_lossy();
        let (signature, doc) = doc.split_once("\n--\n\n").unwrap_or(("", &doc));
        let owner = class.getattr(&names().__name__)?.text_lossy();
        let function = made(
            Function::new(self.vectorcall),
            &name,
            &format!("{owner}.{name}"),
            doc,
        )?;
        if let Some(signature) = signature.strip_prefix(&*name) {
            let signature = value::text(signature)?;
            function.setattr(&*value::text("__text_signature__")?, &signature)?;
        }
        Ok((value::text(&name)?, function))
    }
}

/// # Safety
/// CPython calls it through the slot: the instance is NULL where a class is asked.
unsafe extern "C" fn bind(
    function: *mut ffi::PyObject,
    instance: *mut ffi::PyObject,
    _class: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    outlive_interpreter();
    // SAFETY: live objects; a new reference or NULL.
    unsafe {
        if instance.is_null() {
            ffi::Py_INCREF(function);
            return function;
        }
        PyMethod_New(function, instance)
    }
}

// SAFETY: CPython exports it with this signature; PyO3 does not have it.
unsafe extern "C" {
    fn PyMethod_New(function: *mut ffi::PyObject, this: *mut ffi::PyObject) -> *mut ffi::PyObject;
}

fn repr(this: &Inst<Function>) -> Res<Object> {
    let name = this.as_any().getattr(&names().__qualname__)?.text_lossy();
    let address = this.as_any().address();
    value::text(&format!("<function {name} at {address:#x}>"))
}

/// As any function, it is copied as itself, and pickled as the name it goes by.
fn reduce(this: &Inst<Function>) -> Res<Object> {
    this.as_any().getattr(&names().__qualname__)
}

/// `_dress(function, original, replaceable)`: gives a native function what `inspect` reads of
/// asyncio's function.
pub(crate) fn dress(args: Args<'_>) -> Res<Object> {
    let &[function, original, replaceable] = args.positional else {
        return Err(Raised::type_error(
            "_dress() takes two functions and a bool",
        ));
    };
    let Some(this) = function.as_exact::<Function>() else {
        return Err(Raised::type_error("_dress() takes a native function"));
    };
    for (name, slot) in [
        ("__code__", &this.code),
        ("__defaults__", &this.defaults),
        ("__kwdefaults__", &this.keyword_defaults),
    ] {
        store(slot, Some(&*original.getattr(&*value::text(name)?)?))?;
    }
    // The code says more, and would not be asked.
    this.text_signature.clear();
    this.original.set(original.own());
    this.replaceable.set(replaceable.is_truthy()?);
    Ok(value::none())
}

/// An attribute of asyncio's function, where there is one.
fn of_original(this: &Inst<Function>, name: &str) -> Res<Object> {
    match this.original.get() {
        Some(original) => original.getattr(&*value::text(name)?),
        None => Err(Raised::new(
            Kind::Attribute,
            &format!("a function of aioxide's own has no {name}"),
        )),
    }
}

/// Sets the code or the defaults, as libraries do that wrap a function in place: from then on the
/// Python function runs, with asyncio's code where no other was set.
#[cold]
fn replace(this: &Inst<Function>, name: &str, slot: &Slot, given: Option<&Any>) -> Res<()> {
    let given = given.unwrap_or(value::none_ref());
    let Some(original) = this.original.get().filter(|_| this.replaceable.get()) else {
        let qualname = this.as_any().getattr(&names().__qualname__)?.text_lossy();
        return Err(Raised::new(
            Kind::Attribute,
            &format!(
                "{qualname}() of aioxide runs natively, so its {name} cannot be set: wrap the \
                 function or method instead, or patch asyncio's before aioxide.install()"
            ),
        ));
    };
    let attribute = value::text(name)?;
    let delegate = match this.delegate.get() {
        Some(delegate) => delegate,
        None => copy_of(&original)?,
    };
    delegate.setattr(&attribute, given)?;
    store(slot, Some(given))?;
    let is_as_before = same(this, &original)?;
    this.delegate.set(delegate);
    this.vectorcall.set(if is_as_before {
        this.native
    } else {
        call_delegate
    });
    Ok(())
}

/// Whether code and defaults are those of asyncio's function.
fn same(this: &Inst<Function>, original: &Any) -> Res<bool> {
    for (name, slot) in [
        ("__code__", &this.code),
        ("__defaults__", &this.defaults),
        ("__kwdefaults__", &this.keyword_defaults),
    ] {
        let theirs = original.getattr(&*value::text(name)?)?;
        if !slot.get_or_none().is(&theirs) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A function like this one whose code can be set without changing it.
fn copy_of(function: &Any) -> Res<Object> {
    let part = |name: &str| value::text(name).and_then(|name| function.getattr(&name));
    let made = function.class().call(&[
        &*part("__code__")?,
        &*part("__globals__")?,
        &*part("__name__")?,
        &*part("__defaults__")?,
        &*part("__closure__")?,
    ])?;
    for name in ["__kwdefaults__", "__qualname__", "__module__"] {
        made.setattr(&*value::text(name)?, &*part(name)?)?;
    }
    Ok(made)
}

/// # Safety
/// CPython calls it by the vectorcall protocol.
unsafe extern "C" fn call_delegate(
    function: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guard(std::ptr::null_mut(), || {
        // SAFETY: a live function of ours, and the caller's array as it came.
        unsafe {
            let delegate = Any::from_ptr(function)
                .as_exact::<Function>()
                .and_then(|this| this.delegate.get())
                .ok_or_else(|| Raised::type_error("a function without a body"))?;
            Object::from_new(ffi::PyObject_Vectorcall(
                delegate.as_ptr(),
                args,
                count,
                names,
            ))
            .map(Object::into_ptr)
        }
    })
}

/// A function, with its name and its docstring.
pub(crate) fn create<F>(name: &str, _f: F, doc: &str) -> Res<Object>
where
    F: Fn(Args<'_>) -> Res<Object> + Copy + 'static,
{
    made(Function::new(vectorcall::<F>), name, name, doc)
}

fn made(function: Function, name: &str, qualified: &str, doc: &str) -> Res<Object> {
    let function = FUNCTION.create(function)?.into_object();
    function.setattr(&names().__name__, &*value::text(name)?)?;
    function.setattr(&names().__qualname__, &*value::text(qualified)?)?;
    function.setattr(&*value::text("__doc__")?, &*value::text(doc)?)?;
    Ok(function)
}

/// Makes the class.
pub(crate) fn build() -> Res<()> {
    FUNCTION.build(object_class(), |b| {
        let b = b
            .not_constructible()
            .repr(repr)
            .method_descriptor(bind)
            .method0(
                c"__reduce__",
                reduce,
                c"__reduce__($self, /)\n--\n\nThe name, for copy and pickle.",
            );
        let b = b
            .attribute(
                c"__code__",
                |this| Ok(this.code.get_or_none()),
                |this, value| replace(this, "__code__", &this.code, value),
                c"The code of asyncio's function. Other code that is set runs in place of the native one.",
            )
            .attribute(
                c"__defaults__",
                |this| Ok(this.defaults.get_or_none()),
                |this, value| replace(this, "__defaults__", &this.defaults, value),
                c"The defaults of parameters.",
            )
            .attribute(
                c"__kwdefaults__",
                |this| Ok(this.keyword_defaults.get_or_none()),
                |this, value| replace(this, "__kwdefaults__", &this.keyword_defaults, value),
                c"The defaults of keyword-only parameters.",
            )
            .getter(
                c"__globals__",
                |this| of_original(this, "__globals__"),
                c"The namespace of asyncio's function.",
            )
            .getter(
                c"__closure__",
                |this| of_original(this, "__closure__"),
                c"The closure of asyncio's function.",
            );
        plain!(b, Function,
            c"__text_signature__" => text_signature, c"The signature, where there is no code.";
        )
    })?;
    Ok(())
}
