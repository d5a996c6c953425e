//! Making and reading Python's plain values: None, bool, int, float, str, tuple, list, dict.

use std::ffi::CStr;

use pyo3::ffi;

use super::error::{Raised, Res};
use super::object::{Any, Object};

#[inline(always)]
pub(crate) fn none() -> Object {
    // SAFETY: None is alive for ever.
    unsafe { Any::from_ptr(ffi::Py_None()).own() }
}

#[inline(always)]
pub(crate) fn none_ref() -> &'static Any {
    // SAFETY: None is alive for ever.
    unsafe { Any::from_ptr(ffi::Py_None()) }
}

#[inline(always)]
pub(crate) fn bool(value: bool) -> Object {
    // SAFETY: True and False are alive for ever.
    unsafe {
        Any::from_ptr(if value {
            ffi::Py_True()
        } else {
            ffi::Py_False()
        })
        .own()
    }
}

pub(crate) fn float(value: f64) -> Res<Object> {
    // SAFETY: a new reference or NULL.
    unsafe { Object::from_new(ffi::PyFloat_FromDouble(value)) }
}

pub(crate) fn int(value: i64) -> Res<Object> {
    // SAFETY: a new reference or NULL.
    unsafe { Object::from_new(ffi::PyLong_FromLongLong(value)) }
}

pub(crate) fn uint(value: u64) -> Res<Object> {
    // SAFETY: a new reference or NULL.
    unsafe { Object::from_new(ffi::PyLong_FromUnsignedLongLong(value)) }
}

pub(crate) fn text(value: &str) -> Res<Object> {
    // SAFETY: pointer and length of valid UTF-8, which CPython copies.
    unsafe {
        Object::from_new(ffi::PyUnicode_FromStringAndSize(
            value.as_ptr().cast(),
            value.len().cast_signed(),
        ))
    }
}

/// A str out of UTF-8; `UnicodeDecodeError` if it is none.
pub(crate) fn utf8(value: &[u8]) -> Res<Object> {
    // SAFETY: pointer and length, which CPython decodes and copies.
    unsafe {
        Object::from_new(ffi::PyUnicode_FromStringAndSize(
            value.as_ptr().cast(),
            value.len().cast_signed(),
        ))
    }
}

/// A str out of the bytes of a file name, a host name or the like, as `os.fsdecode` makes it.
pub(crate) fn file_system_text(value: &[u8]) -> Res<Object> {
    // SAFETY: pointer and length, which CPython decodes and copies.
    unsafe {
        Object::from_new(ffi::PyUnicode_DecodeFSDefaultAndSize(
            value.as_ptr().cast(),
            value.len().cast_signed(),
        ))
    }
}

pub(crate) fn bytes(value: &[u8]) -> Res<Object> {
    // SAFETY: pointer and length, copied.
    unsafe {
        Object::from_new(ffi::PyBytes_FromStringAndSize(
            value.as_ptr().cast(),
            value.len().cast_signed(),
        ))
    }
}

/// A file name, as `os.fsdecode` gives it.
pub(crate) fn file_name(name: &[u8]) -> Res<Object> {
    // SAFETY: pointer and length, copied.
    unsafe {
        Object::from_new(ffi::PyUnicode_DecodeFSDefaultAndSize(
            name.as_ptr().cast(),
            name.len().cast_signed(),
        ))
    }
}

/// `bytes(object)`, for what is bytes-like.
pub(crate) fn to_bytes(object: &Any) -> Res<Object> {
    // SAFETY: a live object; a new reference or NULL.
    unsafe { Object::from_new(ffi::PyObject_Bytes(object.as_ptr())) }
}

pub(crate) fn interned(name: &CStr) -> Res<Object> {
    // SAFETY: a terminated string, copied.
    unsafe { Object::from_new(ffi::PyUnicode_InternFromString(name.as_ptr())) }
}

/// `tuple(iterable)`.
pub(crate) fn tuple_of(iterable: &Any) -> Res<Object> {
    // SAFETY: a live object; a new reference or NULL.
    unsafe { Object::from_new(ffi::PySequence_Tuple(iterable.as_ptr())) }
}

pub(crate) fn tuple(items: &[&Any]) -> Res<Object> {
    // SAFETY: each slot is filled with a reference of its own before anybody sees the tuple.
    unsafe {
        let tuple = Object::from_new(ffi::PyTuple_New(items.len().cast_signed()))?;
        for (index, item) in (0..).zip(items) {
            ffi::PyTuple_SET_ITEM(tuple.as_ptr(), index, item.own().into_ptr());
        }
        Ok(tuple)
    }
}

pub(crate) fn list(items: &[Object]) -> Res<Object> {
    // SAFETY: as in `tuple`.
    unsafe {
        let list = Object::from_new(ffi::PyList_New(items.len().cast_signed()))?;
        for (index, item) in (0..).zip(items) {
            ffi::PyList_SET_ITEM(list.as_ptr(), index, item.own().into_ptr());
        }
        Ok(list)
    }
}

/// A list of `length` items, each made by `item`.
pub(crate) fn list_with(length: usize, mut item: impl FnMut(usize) -> Res<Object>) -> Res<Object> {
    // SAFETY: until it is full the list is known to nobody but the collector, which skips empty
    // slots; each slot is filled once, with a reference of its own.
    unsafe {
        let list = Object::from_new(ffi::PyList_New(length.cast_signed()))?;
        for index in 0..length {
            let made = item(index)?;
            ffi::PyList_SET_ITEM(list.as_ptr(), index.cast_signed(), made.into_ptr());
        }
        Ok(list)
    }
}

/// `set()`.
pub(crate) fn empty_set() -> Res<Object> {
    // SAFETY: no iterable; a new reference or NULL.
    unsafe { Object::from_new(ffi::PySet_New(std::ptr::null_mut())) }
}

/// `set(iterable)`.
pub(crate) fn set_of(iterable: &Any) -> Res<Object> {
    // SAFETY: a live object; a new reference or NULL.
    unsafe { Object::from_new(ffi::PySet_New(iterable.as_ptr())) }
}

/// `list(iterable)`.
pub(crate) fn list_of(iterable: &Any) -> Res<Object> {
    // SAFETY: a live object; a new reference or NULL.
    unsafe { Object::from_new(ffi::PySequence_List(iterable.as_ptr())) }
}

/// `weakref.ref(object)`.
pub(crate) fn weak_reference(object: &Any) -> Res<Object> {
    // SAFETY: a live object, no callback; a new reference or NULL.
    unsafe { Object::from_new(ffi::PyWeakref_NewRef(object.as_ptr(), std::ptr::null_mut())) }
}

/// What a weak reference refers to, if it is alive.
pub(crate) fn referent(reference: &Any) -> Option<Object> {
    let mut referent = std::ptr::null_mut();
    // SAFETY: CPython refuses what is no weak reference; a new reference or NULL is written.
    unsafe {
        match ffi::compat::PyWeakref_GetRef(reference.as_ptr(), &raw mut referent) {
            1 => Some(Object::from_owned(referent)),
            0 => None,
            _ => {
                Raised::set().discard();
                None
            }
        }
    }
}

pub(crate) fn dict() -> Res<Object> {
    // SAFETY: a new reference or NULL.
    unsafe { Object::from_new(ffi::PyDict_New()) }
}

#[allow(
    clippy::float_cmp,
    reason = "-1.0 is how CPython says that it may have failed"
)]
impl Any {
    /// A tuple's items, borrowed for as long as the tuple is; empty for anything else.
    pub(crate) fn tuple_items(&self) -> &[&Any] {
        // SAFETY: a tuple's items are immutable and never NULL once it is visible, and `&Any`
        // has the layout of a non-NULL PyObject pointer.
        unsafe {
            if ffi::PyTuple_Check(self.as_ptr()) == 0 {
                return &[];
            }
            let tuple = self.as_ptr().cast::<ffi::PyTupleObject>();
            let length = ffi::PyTuple_GET_SIZE(self.as_ptr()).cast_unsigned();
            std::slice::from_raw_parts((&raw const (*tuple).ob_item).cast::<&Any>(), length)
        }
    }

    /// A list's items, each with a reference of its own.
    pub(crate) fn list_items(&self) -> Vec<Object> {
        // SAFETY: indices below the size; nothing runs between reading and owning.
        unsafe {
            if ffi::PyList_Check(self.as_ptr()) == 0 {
                return Vec::new();
            }
            (0..ffi::PyList_GET_SIZE(self.as_ptr()))
                .map(|index| Any::from_ptr(ffi::PyList_GET_ITEM(self.as_ptr(), index)).own())
                .collect()
        }
    }

    /// The same for a list whose length the program decides.
    pub(crate) fn try_list_items(&self) -> Res<Vec<Object>> {
        let mut items = Vec::new();
        items.try_reserve_exact(self.list_length())?;
        // Nothing runs in between: making them needs no memory any more.
        items.extend((0..self.list_length()).filter_map(|index| self.list_get(index)));
        Ok(items)
    }

    /// A list's item; `None` beyond its end, and for what is no list.
    #[inline]
    pub(crate) fn list_get(&self, index: usize) -> Option<Object> {
        if index >= self.list_length() {
            return None;
        }
        // SAFETY: an index below the size; nothing runs between reading and owning.
        unsafe {
            Some(Any::from_ptr(ffi::PyList_GET_ITEM(self.as_ptr(), index.cast_signed())).own())
        }
    }

    /// A list's length; 0 for what is no list.
    #[inline]
    pub(crate) fn list_length(&self) -> usize {
        // SAFETY: the type is checked first.
        unsafe {
            if ffi::PyList_Check(self.as_ptr()) == 0 {
                return 0;
            }
            ffi::PyList_GET_SIZE(self.as_ptr()).cast_unsigned()
        }
    }

    /// `self.append(item)` of a list.
    #[inline]
    pub(crate) fn list_append(&self, item: &Any) -> Res<()> {
        // SAFETY: CPython refuses what is no list.
        Raised::check(unsafe { ffi::PyList_Append(self.as_ptr(), item.as_ptr()) })
    }

    /// `self.add(item)` of a set.
    #[inline]
    pub(crate) fn set_add(&self, item: &Any) -> Res<()> {
        // SAFETY: CPython refuses what is no set.
        Raised::check(unsafe { ffi::PySet_Add(self.as_ptr(), item.as_ptr()) })
    }

    /// `self.discard(item)` of a set.
    #[inline]
    pub(crate) fn set_discard(&self, item: &Any) -> Res<()> {
        // SAFETY: CPython refuses what is no set.
        Raised::check_bool(unsafe { ffi::PySet_Discard(self.as_ptr(), item.as_ptr()) }).map(drop)
    }

    /// Whether it is exactly a list, a tuple, a set or a frozenset: iterating runs no Python.
    pub(crate) fn is_plain_collection(&self) -> bool {
        // SAFETY: a live object.
        unsafe {
            ffi::PyList_CheckExact(self.as_ptr()) != 0
                || ffi::PyTuple_CheckExact(self.as_ptr()) != 0
                || ffi::PyAnySet_CheckExact(self.as_ptr()) != 0
        }
    }

    pub(crate) fn is_tuple(&self) -> bool {
        // SAFETY: a live object.
        unsafe { ffi::PyTuple_Check(self.as_ptr()) != 0 }
    }

    pub(crate) fn dict_get(&self, key: &Any) -> Res<Option<Object>> {
        // SAFETY: called on dicts; a borrowed reference comes back, owned before anything runs.
        unsafe {
            let found = ffi::PyDict_GetItemWithError(self.as_ptr(), key.as_ptr());
            if !found.is_null() {
                return Ok(Some(Any::from_ptr(found).own()));
            }
            if ffi::PyErr_Occurred().is_null() {
                Ok(None)
            } else {
                Err(Raised::set())
            }
        }
    }

    #[inline]
    pub(crate) fn dict_set(&self, key: &Any, value: &Any) -> Res<()> {
        // SAFETY: CPython refuses what is no dict.
        Raised::check(unsafe { ffi::PyDict_SetItem(self.as_ptr(), key.as_ptr(), value.as_ptr()) })
    }

    /// Deletes the key if it is there.
    pub(crate) fn dict_discard(&self, key: &Any) -> Res<()> {
        // SAFETY: CPython refuses what is no dict.
        let status = unsafe { ffi::PyDict_DelItem(self.as_ptr(), key.as_ptr()) };
        if status == 0 {
            return Ok(());
        }
        let raised = Raised::set();
        // SAFETY: KeyError lives for ever.
        if raised.matches(unsafe { Any::from_ptr(ffi::PyExc_KeyError) }) {
            raised.discard();
            return Ok(());
        }
        Err(raised)
    }

    pub(crate) fn dict_items(&self) -> Vec<(Object, Object)> {
        let mut items = Vec::new();
        let (mut position, mut key, mut value) = (0, std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: called on dicts; nothing runs between the steps of the walk.
        unsafe {
            if ffi::PyDict_Check(self.as_ptr()) == 0 {
                return items;
            }
            while ffi::PyDict_Next(
                self.as_ptr(),
                &raw mut position,
                &raw mut key,
                &raw mut value,
            ) != 0
            {
                items.push((Any::from_ptr(key).own(), Any::from_ptr(value).own()));
            }
        }
        items
    }

    /// The value of an exact `float` or `int`; `None` for every other object.
    #[inline]
    pub(crate) fn exact_number(&self) -> Option<f64> {
        // SAFETY: types are checked before the reads.
        unsafe {
            if ffi::PyFloat_CheckExact(self.as_ptr()) != 0 {
                return Some(ffi::PyFloat_AS_DOUBLE(self.as_ptr()));
            }
            if ffi::PyLong_CheckExact(self.as_ptr()) != 0 {
                let value = ffi::PyLong_AsDouble(self.as_ptr());
                if value == -1.0 && !ffi::PyErr_Occurred().is_null() {
                    ffi::PyErr_Clear();
                    return None;
                }
                return Some(value);
            }
        }
        None
    }

    pub(crate) fn is_exact_float(&self) -> bool {
        // SAFETY: a live object.
        unsafe { ffi::PyFloat_CheckExact(self.as_ptr()) != 0 }
    }

    /// `float(self)`.
    pub(crate) fn to_f64(&self) -> Res<f64> {
        // SAFETY: -1.0 is an error only if an exception is set.
        unsafe {
            let value = ffi::PyFloat_AsDouble(self.as_ptr());
            if value == -1.0 && !ffi::PyErr_Occurred().is_null() {
                return Err(Raised::set());
            }
            Ok(value)
        }
    }

    /// The integer's value; `OverflowError` or `TypeError` otherwise.
    pub(crate) fn to_i64(&self) -> Res<i64> {
        // SAFETY: -1 is an error only if an exception is set.
        unsafe {
            let value = ffi::PyLong_AsLongLong(self.as_ptr());
            if value == -1 && !ffi::PyErr_Occurred().is_null() {
                return Err(Raised::set());
            }
            Ok(value)
        }
    }

    /// The value of an integer or of an object with `__index__`, as a size; `TypeError` or
    /// `OverflowError` otherwise.
    pub(crate) fn to_size(&self) -> Res<isize> {
        // SAFETY: -1 is an error only if an exception is set.
        unsafe {
            let value = ffi::PyNumber_AsSsize_t(self.as_ptr(), ffi::PyExc_OverflowError);
            if value == -1 && !ffi::PyErr_Occurred().is_null() {
                return Err(Raised::set());
            }
            Ok(value)
        }
    }

    /// `len(self)`.
    /// `operator.index(self)`, cut to what a size can be.
    pub(crate) fn to_clamped_size(&self) -> Res<isize> {
        // SAFETY: a live object; with no exception to raise for it, overflow is clamped, and -1 is
        // an error only if an exception is set.
        unsafe {
            let size = ffi::PyNumber_AsSsize_t(self.as_ptr(), std::ptr::null_mut());
            if size == -1 && !ffi::PyErr_Occurred().is_null() {
                return Err(Raised::set());
            }
            Ok(size)
        }
    }

    pub(crate) fn length(&self) -> Res<usize> {
        // SAFETY: a live object; -1 means that an exception is set.
        let length = unsafe { ffi::PyObject_Size(self.as_ptr()) };
        usize::try_from(length).map_err(|_| Raised::set())
    }

    /// `self[index]` of a sequence.
    pub(crate) fn item(&self, index: isize) -> Res<Object> {
        // SAFETY: a live object; a new reference or NULL.
        unsafe { Object::from_new(ffi::PySequence_GetItem(self.as_ptr(), index)) }
    }

    pub(crate) fn is_int(&self) -> bool {
        // SAFETY: a live object.
        unsafe { ffi::PyLong_Check(self.as_ptr()) != 0 }
    }

    /// Whether the object is an `int` and of no derived class.
    pub(crate) fn is_exact_int(&self) -> bool {
        // SAFETY: a live object.
        unsafe { ffi::PyLong_CheckExact(self.as_ptr()) != 0 }
    }

    pub(crate) fn is_exact_bytes(&self) -> bool {
        // SAFETY: a live object.
        unsafe { ffi::PyBytes_CheckExact(self.as_ptr()) != 0 }
    }

    pub(crate) fn is_exact_tuple(&self) -> bool {
        // SAFETY: a live object.
        unsafe { ffi::PyTuple_CheckExact(self.as_ptr()) != 0 }
    }

    /// `self + other`.
    pub(crate) fn add(&self, other: &Any) -> Res<Object> {
        // SAFETY: two live objects.
        unsafe { Object::from_new(ffi::PyNumber_Add(self.as_ptr(), other.as_ptr())) }
    }

    pub(crate) fn is_str(&self) -> bool {
        // SAFETY: a live object.
        unsafe { ffi::PyUnicode_Check(self.as_ptr()) != 0 }
    }

    /// The text of an object that is a `str` and of no derived class; `None` also if it has no
    /// encoding, for its lone surrogates.
    pub(crate) fn exact_text(&self) -> Option<&str> {
        let mut length = 0;
        // SAFETY: the UTF-8 is the str's own, and lives as long as it does.
        unsafe {
            if ffi::PyUnicode_CheckExact(self.as_ptr()) == 0 {
                return None;
            }
            let data = ffi::PyUnicode_AsUTF8AndSize(self.as_ptr(), &raw mut length);
            if data.is_null() {
                ffi::PyErr_Clear();
                return None;
            }
            let bytes = std::slice::from_raw_parts(data.cast::<u8>(), length.cast_unsigned());
            Some(std::str::from_utf8_unchecked(bytes))
        }
    }

    /// A str's text; what is no str, cannot be encoded, or is too large to copy gives a placeholder.
    pub(crate) fn text_lossy(&self) -> String {
        let mut length = 0;
        // SAFETY: the buffer belongs to the str and is copied at once.
        unsafe {
            if ffi::PyUnicode_Check(self.as_ptr()) == 0 {
                return "<no text>".to_owned();
            }
            let data = ffi::PyUnicode_AsUTF8AndSize(self.as_ptr(), &raw mut length);
            if data.is_null() {
                ffi::PyErr_Clear();
                return "<text>".to_owned();
            }
            let bytes = std::slice::from_raw_parts(data.cast::<u8>(), length.cast_unsigned());
            let mut text = String::new();
            if text.try_reserve_exact(bytes.len()).is_err() {
                return "<text>".to_owned();
            }
            text.push_str(&String::from_utf8_lossy(bytes));
            text
        }
    }

    /// The text of a str that has nothing but ASCII, for as long as the str is borrowed.
    #[inline]
    pub(crate) fn ascii(&self) -> Option<&str> {
        let mut size = 0;
        // SAFETY: the type is checked first. The text is kept by the str, which is immutable, for as long
        // as it lives; NULL means that it cannot be encoded, with an exception that is cleared.
        let text = unsafe {
            if ffi::PyUnicode_Check(self.as_ptr()) == 0 {
                return None;
            }
            let data = ffi::PyUnicode_AsUTF8AndSize(self.as_ptr(), &raw mut size);
            if data.is_null() {
                ffi::PyErr_Clear();
                return None;
            }
            std::slice::from_raw_parts(data.cast::<u8>(), size.cast_unsigned())
        };
        std::str::from_utf8(text)
            .ok()
            .filter(|text| text.is_ascii())
    }

    /// The value of an exact `int` that is not too large; `None` for every other object.
    #[inline]
    pub(crate) fn exact_int(&self) -> Option<i64> {
        // SAFETY: the type is checked first, so that no Python runs and nothing but the size can be
        // wrong, which is told by `overflow` and not by an exception.
        unsafe {
            if ffi::PyLong_CheckExact(self.as_ptr()) == 0 {
                return None;
            }
            let mut overflow = 0;
            let value = ffi::PyLong_AsLongLongAndOverflow(self.as_ptr(), &raw mut overflow);
            (overflow == 0).then_some(value)
        }
    }

    /// Whether a str equals `text`, without running Python.
    pub(crate) fn is_text(&self, text: &CStr) -> bool {
        // SAFETY: the type is checked first; compares with a terminated ASCII string.
        unsafe {
            ffi::PyUnicode_Check(self.as_ptr()) != 0
                && ffi::PyUnicode_CompareWithASCIIString(self.as_ptr(), text.as_ptr()) == 0
        }
    }
}
