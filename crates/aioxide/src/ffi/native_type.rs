//! A native type is a Rust state placed behind a Python base class.
//!
//! `PyType_FromSpecWithBases` makes the type with the base read at import; the state lies at the
//! base's `__basicsize__`, rounded up to its alignment, so that nothing here depends on how a
//! Python version lays out `_asyncio.Future`. The base's own fields stay zero: everything that
//! reads them is overridden (a test walks `dir(base)`), except where `task_mirror` fills them.
//!
//! Two kinds of base differ in one point. A base written in C (`_asyncio.Future`) has traverse
//! and clear functions that know its fields and its instance dict: we call them. A base written
//! in Python (`asyncio.Handle`) has CPython's generic ones, which start from the object's class
//! and would come straight back to us: we visit the class ourselves, and its `__slots__` stay
//! empty.
//!
//! An exact instance that dies goes to the free list with its state dropped and is revived by
//! `PyObject_Init`. One whose finalizer has run is really freed, since CPython would not
//! finalize it again.

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_uint, c_void};
use std::fmt;
use std::marker::PhantomData;

use pyo3::ffi;

use super::error::{Raised, Res, guard, guard_void};
use super::finalizing::outlive_interpreter;
use super::freelist::FreeList;
use super::instance::{Inst, Own};
use super::method::TypeBuilder;
use super::object::{Any, Object};
use super::visit::Visit;

/// The state of a native type. Every field is a cell: methods get `&self`.
pub(crate) trait Native: Sized + 'static {
    /// Full name, `aioxide.Something`.
    const NAME: &'static CStr;
    /// Whether Python classes may derive from it.
    const SUBCLASSABLE: bool = true;
    /// Whether new instances are known to the garbage collector from the start.
    const TRACKED: bool = true;

    /// How many references the state begins with, if it may lie over as many slots of a base that
    /// is a Python class with `__slots__`; 0 to lie behind the base.
    ///
    /// The base's slots are references too, so whatever reads or writes them through the base's
    /// own descriptors finds an object or nothing.
    const OVERLAY: usize = 0;
    /// Whether the class has a `__del__`.
    const FINALIZER: bool = false;
    /// Whether instances take attributes and weak references, for a base that has no place for
    /// them.
    const INSTANCE_DICT: bool = false;
    /// Whether instances take weak references, without an instance dict.
    const WEAK_REFERENCES: bool = false;
    /// Whether instances are called by vectorcall, through a function that is the state's first
    /// field.
    const VECTORCALL: bool = false;

    /// The class object behind this state.
    fn class() -> &'static Class<Self>;
    /// The state of an instance that `__new__` made and `__init__` has not seen.
    fn empty() -> Self;
    /// Shows the collector every reference the state holds.
    fn traverse(&self, visit: &mut Visit);
    /// Drops every reference that can be part of a cycle.
    fn clear(&self);
    /// Whether `finalize` has something to do: asked before each death.
    fn wants_finalize(&self) -> bool {
        false
    }
    /// Python's `__del__`: the object is alive, and may be kept alive.
    fn finalize(_this: &Inst<Self>) {}
    /// The object is about to be freed for sure; must not run Python code that can reach it.
    fn on_dealloc(_this: &Inst<Self>) {}
}

/// The class object of a native type, made once at import.
pub(crate) struct Class<T> {
    ptype: Cell<*mut ffi::PyTypeObject>,
    /// The first derived class that was met, for a quick answer to the next one.
    known: Cell<*mut ffi::PyTypeObject>,
    offset: Cell<usize>,
    /// The state lies no lower than this, see [`Class::reserve`].
    reserved: Cell<usize>,
    base_traverse: Cell<Option<ffi::traverseproc>>,
    visits_type: Cell<bool>,
    base_clear: Cell<Option<ffi::inquiry>>,
    /// Where the instance dict lies, if it is ours; the list of weak references lies behind it.
    dict_offset: Cell<Option<usize>>,
    free: FreeList,
    live: Cell<isize>,
    state: PhantomData<T>,
}

// SAFETY: written once at import and then only read, or touched under the GIL.
unsafe impl<T> Sync for Class<T> {}

impl<T: Native> fmt::Debug for Class<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Class").field(&T::NAME).finish()
    }
}

impl<T: Native> Class<T> {
    /// A class that keeps up to `pool` dead instances for reuse.
    pub(crate) const fn new(pool: usize) -> Self {
        Class {
            ptype: Cell::new(std::ptr::null_mut()),
            known: Cell::new(std::ptr::null_mut()),
            offset: Cell::new(0),
            reserved: Cell::new(0),
            base_traverse: Cell::new(None),
            visits_type: Cell::new(true),
            base_clear: Cell::new(None),
            dict_offset: Cell::new(None),
            free: FreeList::new(pool),
            live: Cell::new(0),
            state: PhantomData,
        }
    }

    /// Frees half of the dead instances beyond `keep`. For a loop that goes to sleep: what a burst
    /// has left behind goes away in a few sleeps, and a burst that comes again finds it.
    #[inline]
    pub(crate) fn trim(&self, keep: usize) {
        if self.free.len() > keep {
            self.free_some((self.free.len() - keep).div_ceil(2));
        }
    }

    #[cold]
    fn free_some(&self, count: usize) {
        for _ in 0..count {
            let Some(object) = self.free.pop() else {
                return;
            };
            // SAFETY: a dead, untracked object of this type, whose count of the type was given
            // back when it died.
            unsafe { ffi::PyObject_GC_Del(object.cast()) }
        }
    }

    /// The class as a Python object.
    #[inline(always)]
    pub(crate) fn as_any(&self) -> &'static Any {
        debug_assert!(!self.ptype.get().is_null());
        // SAFETY: made at import and never freed.
        unsafe { Any::from_ptr(self.ptype.get().cast()) }
    }

    /// The number that CPython gave to the present state of the class; 0 for none.
    #[inline(always)]
    pub(crate) fn version(&self) -> u32 {
        // SAFETY: reads a field of a type that is made at import and never freed.
        unsafe { (*self.ptype.get()).tp_version_tag }
    }

    /// How many instances are alive (leak tests count them).
    pub(crate) fn live(&self) -> isize {
        self.live.get()
    }

    /// A new instance of exactly this class, without `__init__`.
    #[inline]
    pub(crate) fn create(&self, state: T) -> Res<Own<T>> {
        let ptype = self.ptype.get();
        let object = match self.free.pop() {
            Some(object) => {
                // SAFETY: a dead, untracked object of this very type; PyObject_Init gives it a
                // count of one and counts the type.
                unsafe {
                    ffi::PyObject_Init(object, ptype);
                    self.place(object, state);
                    if T::TRACKED {
                        ffi::PyObject_GC_Track(object.cast());
                    }
                }
                object
            }
            None => self.allocate(ptype, state)?,
        };
        // SAFETY: a new reference to an instance with its state in place.
        Ok(unsafe { Own::from_object(Object::from_owned(object)) })
    }

    /// A new instance of `class`, which derives from this one, without `__init__`.
    #[inline]
    pub(crate) fn create_as(&self, class: &Any, state: T) -> Res<Own<T>> {
        let ptype = class.as_ptr().cast::<ffi::PyTypeObject>();
        // SAFETY: a live object, looked at as a type only if it is one of ours; its tp_alloc gives
        // zeroed memory of its size, and nothing can collect before the state is in place.
        unsafe {
            if ffi::PyType_Check(class.as_ptr()) == 0
                || !(self.is_known(ptype) || self.learn_subtype(ptype))
            {
                return Err(Raised::type_error("a derived class was expected"));
            }
            let Some(alloc) = (*ptype).tp_alloc else {
                return Err(Raised::type_error("class without an allocator"));
            };
            let object = alloc(ptype, 0);
            if object.is_null() {
                return Err(Raised::set());
            }
            self.place(object, state);
            Ok(Own::from_object(Object::from_owned(object)))
        }
    }

    #[cold]
    fn allocate(&self, ptype: *mut ffi::PyTypeObject, state: T) -> Res<*mut ffi::PyObject> {
        // SAFETY: PyType_GenericAlloc gives zeroed memory, large enough for the state by the
        // spec's basicsize, and tracks it; no collection can happen before the state is in place.
        unsafe {
            let object = ffi::PyType_GenericAlloc(ptype, 0);
            if object.is_null() {
                return Err(Raised::set());
            }
            self.place(object, state);
            if !T::TRACKED {
                ffi::PyObject_GC_UnTrack(object.cast());
            }
            Ok(object)
        }
    }

    /// # Safety
    /// `object` is an instance of this class whose state is not initialised.
    #[inline(always)]
    unsafe fn place(&self, object: *mut ffi::PyObject, state: T) {
        self.live.set(self.live.get() + 1);
        // SAFETY: the state lies at the offset, aligned, inside the allocation.
        unsafe { object.byte_add(self.offset.get()).cast::<T>().write(state) }
    }

    /// Leaves room in front of the state for the fields of `base` too, before `build`.
    pub(crate) fn reserve(&self, base: &Any) {
        // SAFETY: a type object of asyncio, whose size is only read.
        let size = unsafe { (*base.as_ptr().cast::<ffi::PyTypeObject>()).tp_basicsize };
        self.reserved.set(size.cast_unsigned());
    }

    /// Where the state lies in an instance, in bytes.
    #[inline(always)]
    pub(super) fn offset(&self) -> usize {
        self.offset.get()
    }

    /// Whether the type is this class, or the derived one that is met most.
    #[inline(always)]
    pub(super) fn is_known(&self, ptype: *mut ffi::PyTypeObject) -> bool {
        std::ptr::eq(ptype, self.ptype.get()) || std::ptr::eq(ptype, self.known.get())
    }

    /// The subclass check, in full. The first derived class that is met is remembered, since
    /// there is seldom a second.
    #[cold]
    pub(super) fn learn_subtype(&self, ptype: *mut ffi::PyTypeObject) -> bool {
        // SAFETY: both are live types; the one that is remembered is kept alive for ever.
        unsafe {
            if ffi::PyType_IsSubtype(ptype, self.ptype.get()) == 0 {
                return false;
            }
            if self.known.get().is_null() {
                ffi::Py_INCREF(ptype.cast());
                self.known.set(ptype);
            }
        }
        true
    }

    /// Makes the class. `configure` adds methods, getters and slots.
    pub(crate) fn build(
        &'static self,
        base: &Any,
        configure: impl FnOnce(TypeBuilder<T>) -> TypeBuilder<T>,
    ) -> Res<&'static Any> {
        let base_type = base.as_ptr().cast::<ffi::PyTypeObject>();
        // SAFETY: `base` is a type object that asyncio keeps alive; its fields are only read.
        let (base_size, weaklist, base_traverse, base_clear, is_c) = unsafe {
            (
                (*base_type).tp_basicsize.cast_unsigned(),
                (*base_type).tp_weaklistoffset,
                (*base_type).tp_traverse,
                (*base_type).tp_clear,
                is_c_type(base_type),
            )
        };
        let header = size_of::<ffi::PyObject>();
        let slots_end = header + T::OVERLAY * size_of::<usize>();
        // The base's slots are exactly what the state's references cover, nothing lies between.
        let overlaid = T::OVERLAY > 0 && base_size == slots_end && weaklist <= 0;
        let offset = if overlaid {
            header
        } else {
            base_size.max(self.reserved.get())
        }
        .next_multiple_of(align_of::<T>());
        self.offset.set(offset);
        if is_c {
            self.base_traverse.set(base_traverse);
            // SAFETY: a live type's flags.
            let is_heap = unsafe { (*base_type).tp_flags } & ffi::Py_TPFLAGS_HEAPTYPE != 0;
            self.visits_type.set(!is_heap);
            self.base_clear.set(base_clear);
        }
        let mut builder = configure(TypeBuilder::new());
        builder.slot(ffi::Py_tp_dealloc, dealloc::<T> as *mut c_void);
        builder.slot(ffi::Py_tp_traverse, traverse::<T> as *mut c_void);
        builder.slot(ffi::Py_tp_clear, clear::<T> as *mut c_void);
        if T::FINALIZER {
            builder.slot(ffi::Py_tp_finalize, finalize::<T> as *mut c_void);
        }
        if builder.constructible {
            builder.slot(ffi::Py_tp_new, new::<T> as *mut c_void);
        }
        let mut flags = ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_HAVE_GC;
        if T::SUBCLASSABLE {
            flags |= ffi::Py_TPFLAGS_BASETYPE;
        }
        if !builder.constructible {
            flags |= ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
        }
        let mut size = offset + size_of::<T>();
        if T::INSTANCE_DICT {
            let dict = size.next_multiple_of(align_of::<usize>());
            let references = dict + size_of::<usize>();
            size = references + size_of::<usize>();
            self.dict_offset.set(Some(dict));
            builder.instance_dict(dict);
            builder.weak_list(references);
        } else if T::WEAK_REFERENCES {
            let references = size.next_multiple_of(align_of::<usize>());
            size = references + size_of::<usize>();
            builder.weak_list(references);
        }
        if T::VECTORCALL {
            flags |= ffi::Py_TPFLAGS_HAVE_VECTORCALL;
            builder.vectorcall(offset);
        }
        if builder.is_method_descriptor {
            flags |= ffi::Py_TPFLAGS_METHOD_DESCRIPTOR;
        }
        let (iternext, iter) = (builder.hidden_iternext, builder.hidden_iter);
        let functions = std::mem::take(&mut builder.functions);
        let slots = builder.finish();
        let mut spec = ffi::PyType_Spec {
            name: T::NAME.as_ptr(),
            basicsize: c_int::try_from(size).unwrap_or(c_int::MAX),
            itemsize: 0,
            flags: c_uint::try_from(flags).unwrap_or(0),
            slots,
        };
        let bases = super::value::tuple(&[base])?;
        // SAFETY: a complete spec with leaked, terminated tables; bases a tuple of one type.
        let class = unsafe {
            Object::from_new(ffi::PyType_FromSpecWithBases(&raw mut spec, bases.as_ptr()))?
        };
        let ptype = class.into_ptr().cast::<ffi::PyTypeObject>();
        if let Some(iternext) = iternext {
            // SAFETY: a type nobody has seen yet. See `TypeBuilder::hidden_iternext`.
            unsafe { (*ptype).tp_iternext = Some(iternext) };
        }
        if let Some(iter) = iter {
            // SAFETY: as above.
            unsafe { (*ptype).tp_iter = Some(iter) };
        }
        self.ptype.set(ptype);
        for function in functions {
            let (name, function) = function.make(self.as_any())?;
            self.put(&name, &function)?;
        }
        Ok(self.as_any())
    }
}

impl<T: Native> Class<T> {
    /// Puts something into the class as if it had been made with it.
    ///
    /// Unlike `setattr` it leaves the slots alone, which call what we have given them, not
    /// `__anext__` and the like by name.
    fn put(&self, name: &Any, value: &Any) -> Res<()> {
        let ptype = self.ptype.get();
        // SAFETY: a finished heap type of ours that no other code has seen yet, with a dict.
        unsafe {
            let dict = (*ptype).tp_dict;
            Raised::check(ffi::PyDict_SetItem(dict, name.as_ptr(), value.as_ptr()))?;
            ffi::PyType_Modified(ptype);
        }
        Ok(())
    }

    /// The place of an object's instance dict, if it is ours.
    ///
    /// # Safety
    /// `object` is an instance of this class.
    #[inline(always)]
    unsafe fn dict_place(&self, object: *mut ffi::PyObject) -> Option<*mut *mut ffi::PyObject> {
        if !T::INSTANCE_DICT {
            return None;
        }
        // SAFETY: `build` has made room for a pointer there, which is NULL or a dict.
        self.dict_offset
            .get()
            .map(|offset| unsafe { object.byte_add(offset).cast() })
    }

    /// Drops the instance dict, if there is one.
    ///
    /// # Safety
    /// `object` is an instance of this class.
    unsafe fn clear_dict(&self, object: *mut ffi::PyObject) {
        // SAFETY: the place is emptied before the reference is dropped.
        unsafe {
            if let Some(place) = self.dict_place(object) {
                let dict = place.replace(std::ptr::null_mut());
                ffi::Py_XDECREF(dict);
            }
        }
    }
}

impl<T: Native> Inst<T> {
    /// Whether the object itself has an attribute of this name, beside those of its class.
    #[inline]
    pub(crate) fn has_own(&self, name: &Any) -> bool {
        // SAFETY: an instance of the class, whose dict, if it has one yet, is alive.
        unsafe {
            match T::class().dict_place(self.as_any().as_ptr()) {
                Some(place) if !(*place).is_null() => dict_has(Any::from_ptr(*place), name),
                _ => false,
            }
        }
    }
}

#[cold]
fn dict_has(dict: &Any, name: &Any) -> bool {
    // SAFETY: live objects; an error is taken away again.
    unsafe {
        let found = ffi::PyDict_Contains(dict.as_ptr(), name.as_ptr());
        if found < 0 {
            ffi::PyErr_Clear();
        }
        found != 0
    }
}

/// The class `object`, for types that need no base.
pub(crate) fn object_class() -> &'static Any {
    // SAFETY: a static type.
    unsafe { Any::from_ptr((&raw mut ffi::PyBaseObject_Type).cast()) }
}

/// Whether the type is implemented in C, so that its traverse and clear may be called.
///
/// # Safety
/// `ptype` is a type object.
unsafe fn is_c_type(ptype: *mut ffi::PyTypeObject) -> bool {
    // A class statement's type has the generic deallocator, like any other made that way: so
    // compare with one that surely was.
    // SAFETY: reads the fields of two live types.
    unsafe {
        let Some(python_made) = super::module::python_made_type() else {
            return false;
        };
        let python_made = python_made.as_ptr().cast::<ffi::PyTypeObject>();
        (*ptype).tp_dealloc.map(|f| f as usize) != (*python_made).tp_dealloc.map(|f| f as usize)
            && (*ptype).tp_traverse.is_some()
    }
}

/// Makes an instance: `tp_new`.
///
/// # Safety
/// CPython calls it through the slot, as the slot's contract says.
unsafe extern "C" fn new<T: Native>(
    ptype: *mut ffi::PyTypeObject,
    _args: *mut ffi::PyObject,
    _kwargs: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    guard(std::ptr::null_mut(), || {
        let class = T::class();
        if std::ptr::eq(ptype, class.ptype.get()) {
            return Ok(class.create(T::empty())?.into_object().into_ptr());
        }
        // SAFETY: `ptype` derives from our class; its tp_alloc gives zeroed memory of its size,
        // and nothing can collect before the state is in place.
        unsafe {
            let Some(alloc) = (*ptype).tp_alloc else {
                return Err(Raised::type_error("class without an allocator"));
            };
            let object = alloc(ptype, 0);
            if object.is_null() {
                return Err(Raised::set());
            }
            class.place(object, T::empty());
            Ok(object)
        }
    })
}

/// `tp_dealloc`.
///
/// # Safety
/// CPython calls it through the slot, as the slot's contract says.
unsafe extern "C" fn dealloc<T: Native>(object: *mut ffi::PyObject) {
    outlive_interpreter();
    // SAFETY: CPython calls this once, with the count at zero; nothing after us touches the object.
    unsafe { super::stack::deallocate(object, deallocate_now::<T>) }
}

/// # Safety
/// As for [`dealloc`].
unsafe fn deallocate_now<T: Native>(object: *mut ffi::PyObject) {
    let class = T::class();
    // SAFETY: CPython calls this once, with the count at zero and the state in place.
    unsafe {
        let inst = Inst::<T>::from_ptr(object);
        let exact = inst.is_exact();
        // For a derived class CPython's own deallocator has called the finalizer already.
        if exact
            && inst.wants_finalize()
            && ffi::PyObject_GC_IsFinalized(object) == 0
            && ffi::PyObject_CallFinalizerFromDealloc(object) < 0
        {
            return;
        }
        if ffi::PyObject_GC_IsTracked(object) != 0 {
            ffi::PyObject_GC_UnTrack(object.cast());
        }
        guard_void(|| T::on_dealloc(inst));
        let weaklist = (*ffi::Py_TYPE(object)).tp_weaklistoffset;
        // The offset is that of the list's head, in the struct or (negative) in front of it.
        if weaklist != 0 && !(*object.byte_offset(weaklist).cast::<*mut c_void>()).is_null() {
            ffi::PyObject_ClearWeakRefs(object);
        }
        if let Some(clear) = class.base_clear.get() {
            clear(object);
        }
        class.clear_dict(object);
        let state = object.byte_add(class.offset.get()).cast::<T>().read();
        class.live.set(class.live.get() - 1);
        guard_void(|| drop(state));
        let ptype = ffi::Py_TYPE(object);
        let kept = exact
            && (!T::FINALIZER || ffi::PyObject_GC_IsFinalized(object) == 0)
            && class.free.push(object);
        if !kept {
            match (*ptype).tp_free {
                Some(free) => free(object.cast()),
                None => ffi::PyObject_GC_Del(object.cast()),
            }
        }
        ffi::Py_DECREF(ptype.cast());
    }
}

/// `tp_traverse`.
///
/// # Safety
/// CPython calls it through the slot, as the slot's contract says.
unsafe extern "C" fn traverse<T: Native>(
    object: *mut ffi::PyObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    let class = T::class();
    // SAFETY: the collector calls with a live object; nothing here runs Python or allocates.
    unsafe {
        let result = match class.base_traverse.get() {
            Some(base) => base(object, visit, arg),
            None => 0,
        };
        // A heap type's instances own a reference to it. A base that is one shows it; another
        // leaves it to us.
        let result = if result == 0 && class.visits_type.get() {
            visit(ffi::Py_TYPE(object).cast(), arg)
        } else {
            result
        };
        if result != 0 {
            return result;
        }
        let mut visit = Visit::new(visit, arg);
        if let Some(place) = class.dict_place(object)
            && !(*place).is_null()
        {
            visit.object(Any::from_ptr(*place));
        }
        Inst::<T>::from_ptr(object).traverse(&mut visit);
        visit.result()
    }
}

/// `tp_clear`.
///
/// # Safety
/// CPython calls it through the slot, as the slot's contract says.
unsafe extern "C" fn clear<T: Native>(object: *mut ffi::PyObject) -> c_int {
    outlive_interpreter();
    // SAFETY: the collector calls with a live object.
    unsafe {
        if let Some(base) = T::class().base_clear.get() {
            base(object);
        }
        T::class().clear_dict(object);
        let inst = Inst::<T>::from_ptr(object);
        guard_void(|| inst.clear());
    }
    0
}

/// `tp_finalize`.
///
/// # Safety
/// CPython calls it through the slot, as the slot's contract says.
unsafe extern "C" fn finalize<T: Native>(object: *mut ffi::PyObject) {
    // SAFETY: CPython calls with a live object. A finalizer must leave the thread's exception
    // as it found it.
    unsafe {
        let inst = Inst::<T>::from_ptr(object);
        if !inst.wants_finalize() {
            return;
        }
        let pending = (!ffi::PyErr_Occurred().is_null()).then(super::compat::get_raised_exception);
        guard_void(|| T::finalize(inst));
        if let Some(pending) = pending {
            super::compat::set_raised_exception(pending);
        }
    }
}
