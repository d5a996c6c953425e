//! Bytes-like objects: reading what Python gives us, filling what it lends us.

use std::mem::MaybeUninit;

use pyo3::ffi;

use super::error::{Raised, Res};
use super::object::{Any, Object};
use super::value;
use super::visit::Visit;

/// A bytes-like object's memory, held for as long as this lives.
pub(crate) struct Buffer {
    view: Box<ffi::Py_buffer>,
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buffer").field("len", &self.len()).finish()
    }
}

impl Buffer {
    fn get(object: &Any, flags: std::ffi::c_int) -> Res<Buffer> {
        let mut view = Box::new(ffi::Py_buffer::new());
        // SAFETY: a live object; the view is released in `drop`.
        Raised::check(unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &raw mut *view, flags) })?;
        Ok(Buffer { view })
    }

    /// The object's bytes, to read; `TypeError` if it is not bytes-like.
    pub(crate) fn readable(object: &Any) -> Res<Buffer> {
        Buffer::get(object, ffi::PyBUF_SIMPLE)
    }

    /// The object's bytes, to write; `TypeError` or `BufferError` if that is not possible.
    pub(crate) fn writable(object: &Any) -> Res<Buffer> {
        Buffer::get(object, ffi::PyBUF_WRITABLE)
    }

    /// Shows the collector the object that lends the memory.
    pub(crate) fn visit(&self, visit: &mut Visit) {
        if !self.view.obj.is_null() {
            // SAFETY: the view holds a reference to its object until it is released.
            visit.object(unsafe { Any::from_ptr(self.view.obj) });
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.view.len.cast_unsigned()
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        if self.len() == 0 {
            return &[];
        }
        // SAFETY: contiguous memory of `len` bytes, exported until the view is released. Python
        // code may write to it, but only under the GIL, which we hold while we read.
        unsafe { std::slice::from_raw_parts(self.view.buf.cast(), self.len()) }
    }

    /// Whether the memory was lent for reading only.
    pub(crate) fn is_readonly(&self) -> bool {
        self.view.readonly != 0
    }

    /// Where the memory begins. It stays there until this is dropped.
    pub(crate) fn start(&mut self) -> std::ptr::NonNull<u8> {
        std::ptr::NonNull::new(self.view.buf.cast()).unwrap_or(std::ptr::NonNull::dangling())
    }

    /// The memory to be filled by a system call that is made with the GIL held.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        if self.len() == 0 || self.view.readonly != 0 {
            return &mut [];
        }
        // SAFETY: as above, and the exporter granted PyBUF_WRITABLE.
        unsafe { std::slice::from_raw_parts_mut(self.view.buf.cast(), self.len()) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the view was filled by PyObject_GetBuffer and is released once.
        unsafe { ffi::PyBuffer_Release(&raw mut *self.view) }
    }
}

/// A bytes-like object from its byte `start` on, as a memoryview: nothing is copied.
pub(crate) fn tail(object: &Any, start: usize) -> Res<Object> {
    // SAFETY: a live object; a new reference or NULL.
    let view = unsafe { Object::from_new(ffi::PyMemoryView_FromObject(object.as_ptr()))? };
    let octets = view.call_method1(&*value::text("cast")?, &*value::text("B")?)?;
    // SAFETY: a live memoryview; a new reference or NULL.
    unsafe {
        Object::from_new(ffi::PySequence_GetSlice(
            octets.as_ptr(),
            start.cast_signed(),
            isize::MAX,
        ))
    }
}

/// Whether a transport's `write` takes the object: bytes, bytearray and memoryview.
#[inline]
pub(crate) fn is_bytes_like(object: &Any) -> bool {
    // SAFETY: a live object.
    unsafe {
        ffi::PyBytes_Check(object.as_ptr()) != 0
            || ffi::PyByteArray_Check(object.as_ptr()) != 0
            || ffi::PyMemoryView_Check(object.as_ptr()) != 0
    }
}

/// How many bytes a bytes-like object has, whatever the size of its items.
pub(crate) fn byte_length(object: &Any) -> Res<usize> {
    Ok(Buffer::readable(object)?.len())
}

/// The bytes of a `bytes` object, without a view; `None` for everything else.
#[inline]
pub(crate) fn bytes_slice(object: &Any) -> Option<&[u8]> {
    // SAFETY: bytes are immutable and their memory lives as long as they.
    unsafe {
        if ffi::PyBytes_Check(object.as_ptr()) == 0 {
            return None;
        }
        let data = ffi::PyBytes_AS_STRING(object.as_ptr()).cast::<u8>();
        let length = ffi::Py_SIZE(object.as_ptr()).cast_unsigned();
        Some(std::slice::from_raw_parts(data, length))
    }
}

/// A `bytes` of `length` that `fill` writes first and Python sees after.
///
/// `fill` says how many bytes it has written; the rest is cut off.
pub(crate) fn new_bytes<E>(
    length: usize,
    fill: impl FnOnce(&mut [MaybeUninit<u8>]) -> Result<usize, E>,
) -> Res<Result<Object, E>> {
    // SAFETY: NULL data makes uninitialised memory of `length` bytes (and a terminator), which
    // only `fill` sees; the size is cut to what was written before anybody else does.
    unsafe {
        let object = Object::from_new(ffi::PyBytes_FromStringAndSize(
            std::ptr::null(),
            length.cast_signed(),
        ))?;
        let data = ffi::PyBytes_AS_STRING(object.as_ptr())
            .cast_mut()
            .cast::<MaybeUninit<u8>>();
        let written = match fill(std::slice::from_raw_parts_mut(data, length)) {
            Ok(written) => written.min(length),
            Err(error) => return Ok(Err(error)),
        };
        if written == length {
            return Ok(Ok(object));
        }
        if written == 0 {
            drop(object);
            return Object::from_new(ffi::PyBytes_FromStringAndSize(std::ptr::null(), 0)).map(Ok);
        }
        let mut ptr = object.into_ptr();
        // `_PyBytes_Resize` sets the pointer to NULL when it fails.
        let _ = resize_bytes(&raw mut ptr, written.cast_signed());
        Object::from_new(ptr).map(Ok)
    }
}

// SAFETY: CPython exports it with this signature; PyO3 has it for its own use only.
unsafe extern "C" {
    #[link_name = "_PyBytes_Resize"]
    pub(super) fn resize_bytes(
        bytes: *mut *mut ffi::PyObject,
        size: ffi::Py_ssize_t,
    ) -> std::ffi::c_int;
}

/// A new `bytearray`.
pub(crate) fn new_byte_array(data: &[u8]) -> Res<Object> {
    // SAFETY: CPython copies `data.len()` bytes.
    unsafe {
        Object::from_new(ffi::PyByteArray_FromStringAndSize(
            data.as_ptr().cast(),
            data.len().cast_signed(),
        ))
    }
}

/// Whether the object is exactly a `bytearray`.
pub(crate) fn is_byte_array(object: &Any) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PyByteArray_CheckExact(object.as_ptr()) != 0 }
}

/// The bytes of a `bytearray` now; empty for anything else. No Python code may run while they are
/// looked at.
pub(crate) fn byte_array(array: &Any) -> &[u8] {
    if !is_byte_array(array) {
        return &[];
    }
    // SAFETY: a bytearray's memory of `size` bytes; it moves only when Python code resizes it.
    unsafe {
        let size = ffi::PyByteArray_Size(array.as_ptr()).cast_unsigned();
        if size == 0 {
            return &[];
        }
        std::slice::from_raw_parts(ffi::PyByteArray_AsString(array.as_ptr()).cast(), size)
    }
}

/// `array += data`; `BufferError` if somebody has a view of it.
/// Moves the first `count` bytes of a `bytearray` to its end.
pub(crate) fn rotate_byte_array(array: &Any, count: usize) {
    // SAFETY: a bytearray's memory, of its size; nothing else runs while it is borrowed.
    let octets = unsafe {
        let length = ffi::PyByteArray_Size(array.as_ptr()).cast_unsigned();
        let memory = ffi::PyByteArray_AsString(array.as_ptr()).cast::<u8>();
        std::slice::from_raw_parts_mut(memory, length)
    };
    octets.rotate_left(count.min(octets.len()));
}

pub(crate) fn extend_byte_array(array: &Any, data: &[u8]) -> Res<()> {
    let size = byte_array(array).len();
    // SAFETY: a bytearray is resized, and then the new part of its memory is written.
    unsafe {
        Raised::check(ffi::PyByteArray_Resize(
            array.as_ptr(),
            (size + data.len()).cast_signed(),
        ))?;
        if !data.is_empty() {
            let memory = ffi::PyByteArray_AsString(array.as_ptr()).cast::<u8>();
            memory
                .add(size)
                .copy_from_nonoverlapping(data.as_ptr(), data.len());
        }
    }
    Ok(())
}

/// `del array[:count]`; `BufferError` if somebody has a view of it.
pub(crate) fn cut_byte_array(array: &Any, count: usize) -> Res<()> {
    // SAFETY: a live object with a sequence's methods; deletes the items.
    Raised::check(unsafe { ffi::PySequence_DelSlice(array.as_ptr(), 0, count.cast_signed()) })
}
