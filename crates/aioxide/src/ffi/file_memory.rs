//! Memory for file operations: fresh `bytes` that the kernel fills, and buffers that Python lends.

use std::ffi::CString;
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use aioxide_driver::op::Memory;
use pyo3::ffi;

use super::buffer::{Buffer, resize_bytes};
use super::error::{Raised, Res};
use super::object::{Any, Object};

/// What a file operation reads into or writes from.
pub(crate) enum FileMemory {
    /// A `bytes` of this size, made when the kernel is given it, and seen by Python after.
    Fresh(usize, Option<Object>),
    /// A bytes-like object's own memory, held by an export.
    Lent(Buffer),
}

impl fmt::Debug for FileMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileMemory({})", self.len())
    }
}

// SAFETY: a fresh `bytes` is reachable by nobody else until the operation gives it back, and its memory does not
// move; a lent buffer is held by a `Py_buffer`, which keeps it from being moved or freed, and is asked to be
// writable by whoever reads into it. Python code that writes to a buffer that is being sent, or looks at one
// that is being filled, sees bytes as with any shared memory.
unsafe impl Memory for FileMemory {
    fn len(&self) -> usize {
        match self {
            FileMemory::Fresh(size, _) => *size,
            FileMemory::Lent(buffer) => buffer.len(),
        }
    }

    fn region(&mut self) -> io::Result<NonNull<u8>> {
        match self {
            FileMemory::Fresh(_, Some(object)) => {
                // SAFETY: a bytes object of ours, which nobody else has seen.
                let data = unsafe { ffi::PyBytes_AS_STRING(object.as_ptr()) };
                NonNull::new(data.cast_mut().cast()).ok_or(io::ErrorKind::InvalidData.into())
            }
            FileMemory::Fresh(size, place) => {
                // SAFETY: NULL data makes uninitialised memory of this size; a new reference or NULL.
                let made = unsafe {
                    Object::from_new(ffi::PyBytes_FromStringAndSize(
                        std::ptr::null(),
                        size.cast_signed(),
                    ))
                };
                let object = made.map_err(|raised| {
                    raised.discard();
                    io::Error::from_raw_os_error(12)
                })?;
                // SAFETY: a bytes object of ours, which nobody else has seen.
                let data = unsafe { ffi::PyBytes_AS_STRING(object.as_ptr()) };
                *place = Some(object);
                NonNull::new(data.cast_mut().cast()).ok_or(io::ErrorKind::InvalidData.into())
            }
            FileMemory::Lent(buffer) => Ok(buffer.start()),
        }
    }
}

impl FileMemory {
    /// Lets `read` fill the bytes from `from` on, now.
    pub(crate) fn read_with(
        &mut self,
        from: usize,
        read: impl FnOnce(&mut [MaybeUninit<u8>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let length = self.len();
        let from = from.min(length);
        if let FileMemory::Lent(buffer) = self
            && buffer.is_readonly()
        {
            return Err(io::Error::from_raw_os_error(14));
        }
        let start = self.region()?;
        // SAFETY: `length` bytes from `start` on are writable (`Memory`): a fresh object is ours alone, and a
        // lent buffer is not read-only. `read` is a system call that fills it while we hold the GIL.
        let memory = unsafe {
            std::slice::from_raw_parts_mut(
                start.as_ptr().cast::<MaybeUninit<u8>>().add(from),
                length - from,
            )
        };
        read(memory)
    }

    /// The `bytes` with the first `count` of its bytes, which the kernel has written.
    pub(crate) fn into_bytes(self, count: usize) -> Res<Object> {
        let FileMemory::Fresh(size, Some(object)) = self else {
            return super::value::bytes(&[]);
        };
        cut(object, size, count)
    }
}

/// A fresh bytes object cut to what was written to it.
fn cut(object: Object, size: usize, count: usize) -> Res<Object> {
    if count >= size {
        return Ok(object);
    }
    if count == 0 {
        return super::value::bytes(&[]);
    }
    // SAFETY: nobody else has seen the object; `_PyBytes_Resize` sets the pointer to NULL when it fails.
    unsafe {
        let mut ptr = object.into_ptr();
        let _ = resize_bytes(&raw mut ptr, count.cast_signed());
        Object::from_new(ptr)
    }
}

/// As `buffer::new_bytes`, but what is filled in is kept also if it is less, and `fill` cannot fail.
#[inline]
pub(crate) fn filled_bytes(
    size: usize,
    fill: impl FnOnce(&mut [MaybeUninit<u8>]) -> usize,
) -> Res<Object> {
    // SAFETY: as in `buffer::new_bytes`.
    unsafe {
        let object = Object::from_new(ffi::PyBytes_FromStringAndSize(
            std::ptr::null(),
            size.cast_signed(),
        ))?;
        let data = ffi::PyBytes_AS_STRING(object.as_ptr())
            .cast_mut()
            .cast::<MaybeUninit<u8>>();
        let count = fill(std::slice::from_raw_parts_mut(data, size)).min(size);
        cut(object, size, count)
    }
}

/// A path as `os.fsencode(os.fspath(path))` gives it.
pub(crate) fn path_of(object: &Any) -> Res<CString> {
    let mut encoded: *mut ffi::PyObject = std::ptr::null_mut();
    // SAFETY: the converter writes a new reference to a bytes object without NUL bytes, or returns 0
    // with an exception set.
    let bytes = unsafe {
        let place: *mut *mut ffi::PyObject = &raw mut encoded;
        if PyUnicode_FSConverter(object.as_ptr(), place.cast()) == 0 {
            return Err(Raised::set());
        }
        Object::from_owned(encoded)
    };
    let octets = super::buffer::bytes_slice(&bytes).unwrap_or_default();
    CString::new(octets).map_err(|_| Raised::type_error("embedded null byte"))
}

// SAFETY: part of CPython's stable ABI, with this signature.
unsafe extern "C" {
    fn PyUnicode_FSConverter(
        object: *mut ffi::PyObject,
        place: *mut std::ffi::c_void,
    ) -> std::ffi::c_int;
}

/// A `str`, looked at by its characters.
#[derive(Debug)]
pub(crate) struct Text<'a>(&'a Any);

impl<'a> Text<'a> {
    /// `None` for what is no str.
    #[inline]
    pub(crate) fn of(object: &'a Any) -> Option<Text<'a>> {
        // SAFETY: a live object.
        (unsafe { ffi::PyUnicode_Check(object.as_ptr()) } != 0).then_some(Text(object))
    }

    /// How many characters.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        // SAFETY: a str.
        unsafe { ffi::PyUnicode_GetLength(self.0.as_ptr()) }.cast_unsigned()
    }

    /// Where the first `\n` from `start` on is.
    #[inline]
    pub(crate) fn find_newline(&self, start: usize) -> Option<usize> {
        let end = self.len().cast_signed();
        // SAFETY: a str, and a range inside of it; -1 is "not there", -2 cannot be for a str.
        let found =
            unsafe { ffi::PyUnicode_FindChar(self.0.as_ptr(), 10, start.cast_signed(), end, 1) };
        usize::try_from(found).ok()
    }

    /// `text[start:end]`.
    #[inline]
    pub(crate) fn slice(&self, start: usize, end: usize) -> Res<Object> {
        // SAFETY: a str; CPython clips the range.
        unsafe {
            Object::from_new(ffi::PyUnicode_Substring(
                self.0.as_ptr(),
                start.cast_signed(),
                end.cast_signed(),
            ))
        }
    }
}
