//! Calling Python, and reading the arguments of a call from Python.

use std::ffi::CStr;

use pyo3::ffi;

use super::error::{Raised, Res};
use super::object::{Any, Object};

impl Any {
    #[inline]
    pub(crate) fn call0(&self) -> Res<Object> {
        // SAFETY: a live object; a new reference or NULL.
        unsafe { Object::from_new(ffi::PyObject_CallNoArgs(self.as_ptr())) }
    }

    #[inline]
    pub(crate) fn call1(&self, arg: &Any) -> Res<Object> {
        self.call(&[arg])
    }

    /// `self(*args)`.
    #[inline]
    pub(crate) fn call(&self, args: &[&Any]) -> Res<Object> {
        // SAFETY: `&Any` has the layout of a PyObject pointer; the arguments are borrowed.
        unsafe {
            Object::from_new(ffi::PyObject_Vectorcall(
                self.as_ptr(),
                args.as_ptr().cast(),
                args.len(),
                std::ptr::null_mut(),
            ))
        }
    }

    /// `self(*args[1:])`, where `args[0]` is scratch that a bound method puts its `self` into.
    #[inline]
    pub(crate) fn call_with_spare(&self, args: &mut [*const Any]) -> Res<Object> {
        debug_assert!(!args.is_empty());
        // SAFETY: slot 0 may be overwritten by CPython and is restored (vectorcall protocol); the
        // others are live objects, as the caller holds them.
        unsafe {
            Object::from_new(ffi::PyObject_Vectorcall(
                self.as_ptr(),
                args.as_ptr().add(1).cast(),
                (args.len() - 1) | ffi::PY_VECTORCALL_ARGUMENTS_OFFSET,
                std::ptr::null_mut(),
            ))
        }
    }

    /// `self(*args, **{names: rest})`: the last `len(names)` arguments go by keyword.
    pub(crate) fn call_names(&self, args: &[&Any], names: &Any) -> Res<Object> {
        let by_name = names.tuple_items().len();
        debug_assert!(by_name <= args.len());
        // SAFETY: as in `call`; `names` is a tuple of str.
        unsafe {
            Object::from_new(ffi::PyObject_Vectorcall(
                self.as_ptr(),
                args.as_ptr().cast(),
                args.len() - by_name,
                names.as_ptr(),
            ))
        }
    }

    /// `self(*tuple)`.
    pub(crate) fn call_tuple(&self, args: &Any) -> Res<Object> {
        // SAFETY: CPython refuses what is no tuple.
        unsafe {
            Object::from_new(ffi::PyObject_Call(
                self.as_ptr(),
                args.as_ptr(),
                std::ptr::null_mut(),
            ))
        }
    }

    /// `self.name(*args)` without making a bound method. `args[0]` must be `self`.
    #[inline]
    fn call_method(&self, name: &Any, args: &[&Any], names: Option<&Any>) -> Res<Object> {
        debug_assert!(args.first().is_some_and(|first| first.is(self)));
        let by_name = names.map_or(0, |names| names.tuple_items().len());
        // SAFETY: as in `call`.
        unsafe {
            Object::from_new(ffi::PyObject_VectorcallMethod(
                name.as_ptr(),
                args.as_ptr().cast(),
                args.len() - by_name,
                names.map_or(std::ptr::null_mut(), Any::as_ptr),
            ))
        }
    }

    #[inline]
    pub(crate) fn call_method0(&self, name: &Any) -> Res<Object> {
        self.call_method(name, &[self], None)
    }

    #[inline]
    pub(crate) fn call_method1(&self, name: &Any, arg: &Any) -> Res<Object> {
        self.call_method(name, &[self, arg], None)
    }

    #[inline]
    pub(crate) fn call_method2(&self, name: &Any, first: &Any, second: &Any) -> Res<Object> {
        self.call_method(name, &[self, first, second], None)
    }

    /// `self.name(arg, key=value)`, `names` being `(key,)`.
    pub(crate) fn call_method1_kw(
        &self,
        name: &Any,
        arg: &Any,
        value: &Any,
        names: &Any,
    ) -> Res<Object> {
        self.call_method(name, &[self, arg, value], Some(names))
    }

    /// `self.name(key=value)`.
    pub(crate) fn call_method0_kw(&self, name: &Any, value: &Any, names: &Any) -> Res<Object> {
        self.call_method(name, &[self, value], Some(names))
    }

    /// `self.name(first, second, key=value)`.
    pub(crate) fn call_method2_kw(
        &self,
        name: &Any,
        first: &Any,
        second: &Any,
        value: &Any,
        names: &Any,
    ) -> Res<Object> {
        self.call_method(name, &[self, first, second, value], Some(names))
    }
}

/// The arguments of a call: positional ones, then the keywords with their names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Args<'a> {
    pub(crate) positional: &'a [&'a Any],
    pub(crate) keywords: &'a [&'a Any],
    pub(crate) names: &'a [&'a Any],
}

/// What a function accepts, in the order of its parameters.
#[derive(Debug)]
pub(crate) struct Signature<const N: usize> {
    pub(crate) function: &'static str,
    pub(crate) parameters: [&'static CStr; N],
    /// How many may be given by position; the rest are keyword-only.
    pub(crate) positional: usize,
    /// How many, from the first, must be given.
    pub(crate) required: usize,
}

/// The parameters of `def function(self, a, b, *args, keyword=None)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leading<const N: usize> {
    pub(crate) function: &'static str,
    /// The names of those in front of `*args`, all of which are required.
    pub(crate) parameters: [&'static CStr; N],
    /// The keyword-only parameter behind `*args`, if there is one.
    pub(crate) keyword: Option<&'static CStr>,
}

/// The arguments of a call that [`Args::leading`] has bound.
pub(crate) type Bound<'a, const N: usize> = ([&'a Any; N], &'a [&'a Any], Option<&'a Any>);

impl<'a> Args<'a> {
    /// Binds the arguments: those of `parameters`, `*args`, and the keyword's unless it is `None`.
    #[inline(always)]
    pub(crate) fn leading<const N: usize>(&self, to: &Leading<N>) -> Res<Bound<'a, N>> {
        match self.positional.split_first_chunk::<N>() {
            Some((first, rest)) if self.names.is_empty() => Ok((*first, rest, None)),
            Some((first, rest)) if self.is_only(to.keyword) => {
                let value = self.keywords[0];
                Ok((*first, rest, (!value.is_none()).then_some(value)))
            }
            _ => self.leading_by_name(to),
        }
    }

    /// Whether there is one argument by name, and it is this one.
    #[inline(always)]
    fn is_only(&self, keyword: Option<&'static CStr>) -> bool {
        matches!((self.names, keyword), (&[name], Some(keyword)) if name.is_text(keyword))
    }

    #[inline(never)]
    fn leading_by_name<const N: usize>(&self, to: &Leading<N>) -> Res<Bound<'a, N>> {
        let mut bound = [None; N];
        let (mut keyword, mut rest): (_, &[&Any]) = (None, &[]);
        for (slot, value) in bound.iter_mut().zip(self.positional) {
            *slot = Some(*value);
        }
        if let Some((_, more)) = self.positional.split_first_chunk::<N>() {
            rest = more;
        }
        for (name, value) in self.names.iter().zip(self.keywords) {
            if to.keyword.is_some_and(|keyword| name.is_text(keyword)) {
                keyword = (!value.is_none()).then_some(*value);
                continue;
            }
            let Some(index) = to.parameters.iter().position(|known| name.is_text(known)) else {
                return Err(Self::unexpected(to.function, name));
            };
            if bound[index].replace(*value).is_some() {
                return Err(Self::twice(to.function, name));
            }
        }
        let mut all = [super::value::none_ref(); N];
        let mut missing = Vec::new();
        for ((slot, found), name) in all.iter_mut().zip(bound).zip(to.parameters) {
            match found {
                Some(value) => *slot = value,
                None => missing.push(format!("'{}'", name.to_string_lossy())),
            }
        }
        if missing.is_empty() {
            return Ok((all, rest, keyword));
        }
        Err(Raised::type_error(&format!(
            "{}() missing {} required positional argument{}: {}",
            to.function,
            missing.len(),
            if missing.len() == 1 { "" } else { "s" },
            missing.join(" and "),
        )))
    }

    /// # Safety
    /// The vectorcall protocol: `args` holds `count` positional and then one value for each name
    /// in the tuple `names`, all alive for `'a`.
    #[inline(always)]
    pub(super) unsafe fn from_vectorcall(
        args: *const *mut ffi::PyObject,
        count: usize,
        names: *mut ffi::PyObject,
    ) -> Args<'a> {
        // SAFETY: see above; `&Any` has the layout of a non-NULL PyObject pointer.
        unsafe {
            let positional = slice(args, count);
            if names.is_null() {
                return Args {
                    positional,
                    keywords: &[],
                    names: &[],
                };
            }
            let names = Any::from_ptr(names).tuple_items();
            Args {
                positional,
                keywords: slice(args.add(count), names.len()),
                names,
            }
        }
    }

    /// Assigns the arguments to the parameters, as a Python function would.
    pub(crate) fn bind<const N: usize>(
        &self,
        signature: &Signature<N>,
    ) -> Res<[Option<&'a Any>; N]> {
        let mut bound = [None; N];
        if self.positional.len() > signature.positional {
            return Err(Raised::type_error(&format!(
                "{}() takes at most {} positional argument{} ({} given)",
                signature.function,
                signature.positional,
                if signature.positional == 1 { "" } else { "s" },
                self.positional.len(),
            )));
        }
        for (slot, value) in bound.iter_mut().zip(self.positional) {
            *slot = Some(*value);
        }
        for (name, value) in self.names.iter().zip(self.keywords) {
            let Some(index) = signature
                .parameters
                .iter()
                .position(|known| name.is_text(known))
            else {
                return Err(Self::unexpected(signature.function, name));
            };
            if bound[index].is_some() {
                return Err(Self::twice(signature.function, name));
            }
            bound[index] = Some(*value);
        }
        for (index, slot) in bound.iter().enumerate().take(signature.required) {
            if slot.is_none() {
                return Err(Raised::type_error(&format!(
                    "{}() missing required argument '{}' (pos {})",
                    signature.function,
                    signature.parameters[index].to_string_lossy(),
                    index + 1,
                )));
            }
        }
        Ok(bound)
    }

    /// The one argument of `def function(self, parameter)`, by position or by keyword.
    #[inline]
    pub(crate) fn one(&self, function: &'static str, parameter: &'static CStr) -> Res<&'a Any> {
        if let (&[value], true) = (self.positional, self.names.is_empty()) {
            return Ok(value);
        }
        let signature = Signature {
            function,
            parameters: [parameter],
            positional: 1,
            required: 1,
        };
        let [value] = self.bind(&signature)?;
        value.ok_or_else(|| Self::unexpected(function, super::value::none_ref()))
    }

    #[cold]
    fn twice(function: &str, name: &Any) -> Raised {
        Raised::type_error(&format!(
            "{function}() got multiple values for argument '{}'",
            name.text_lossy()
        ))
    }

    #[cold]
    pub(crate) fn unexpected(function: &str, name: &Any) -> Raised {
        Raised::type_error(&format!(
            "{function}() got an unexpected keyword argument '{}'",
            name.text_lossy()
        ))
    }
}

/// # Safety
/// `args` points to `count` live objects.
#[inline(always)]
unsafe fn slice<'a>(args: *const *mut ffi::PyObject, count: usize) -> &'a [&'a Any] {
    if count == 0 {
        return &[];
    }
    // SAFETY: see above.
    unsafe { std::slice::from_raw_parts(args.cast::<&Any>(), count) }
}

/// Calls `body` with the arguments of a `tp_new`/`tp_init` call: a tuple and a dict or NULL.
///
/// # Safety
/// `args` is a tuple, `kwargs` a dict or NULL, both alive during the call.
pub(super) unsafe fn with_tuple_and_dict<R>(
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
    body: impl FnOnce(Args<'_>) -> R,
) -> R {
    // SAFETY: see above.
    let positional = unsafe { Any::from_ptr(args) }.tuple_items();
    if kwargs.is_null() {
        return body(Args {
            positional,
            keywords: &[],
            names: &[],
        });
    }
    // SAFETY: see above. The items are owned for the duration of the call.
    let items = unsafe { Any::from_ptr(kwargs) }.dict_items();
    let names: Vec<&Any> = items.iter().map(|(name, _)| &**name).collect();
    let keywords: Vec<&Any> = items.iter().map(|(_, value)| &**value).collect();
    body(Args {
        positional,
        keywords: &keywords,
        names: &names,
    })
}
