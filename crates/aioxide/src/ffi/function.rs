//! `Function`: a native function that passes for what `def` or `async def` makes.
//!
//! A built-in function takes no attributes, and so can be neither marked as a coroutine function
//! (`inspect.markcoroutinefunction`) nor given the annotated signature of asyncio's. This one is
//! an object with an instance dict for that, and is called as fast, by vectorcall.

use std::ffi::CStr;

use pyo3::ffi;

use super::call::Args;
use super::error::{Res, guard};
use super::module::names;
use super::native_type::{Class, Native, object_class};
use super::object::Object;
use super::trampoline::item;
use super::value;
use super::{Inst, Visit};

/// `aioxide.Function`. Its first field is where CPython finds what to call.
#[repr(C)]
pub(crate) struct Function {
    vectorcall: ffi::vectorcallfunc,
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
        Function { vectorcall: unmade }
    }
    fn traverse(&self, _visit: &mut Visit) {}
    fn clear(&self) {}
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
        Err(super::Raised::type_error("a function without a body"))
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

fn repr(this: &Inst<Function>) -> Res<Object> {
    let name = this.as_any().getattr(&names().__qualname__)?.text_lossy();
    let address = this.as_any().address();
    value::text(&format!("<function {name} at {address:#x}>"))
}

/// A module-level function, with its name and its docstring.
pub(crate) fn create<F>(name: &str, _f: F, doc: &str) -> Res<Object>
where
    F: Fn(Args<'_>) -> Res<Object> + Copy + 'static,
{
    let function = FUNCTION
        .create(Function {
            vectorcall: vectorcall::<F>,
        })?
        .into_object();
    let name = value::text(name)?;
    function.setattr(&names().__name__, &name)?;
    function.setattr(&names().__qualname__, &name)?;
    function.setattr(&*value::text("__doc__")?, &*value::text(doc)?)?;
    Ok(function)
}

/// Makes the class.
pub(crate) fn build() -> Res<()> {
    FUNCTION.build(object_class(), |b| b.not_constructible().repr(repr))?;
    Ok(())
}
