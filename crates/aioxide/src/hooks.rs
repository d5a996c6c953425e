//! Which of the methods that asyncio calls through `self` somebody has replaced.
//!
//! `Queue.get` calls `self.get_nowait()`, which calls `self._get()`: a derived class that overrides
//! either counts on it, and so does a test that patches the class or an instance. Looking each of them
//! up for every operation would cost more than the operation. CPython numbers the states of a class
//! (for its own caches): while the number is the one we know, so is the answer. An attribute
//! set on the instance comes by `__setattr__`.

use std::cell::Cell;

use crate::ffi::{Any, Inst, Native, Object, Res};

/// What is known about an object's class and its own attributes; one bit for each method.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    version: Cell<u32>,
    of_class: Cell<u16>,
    of_instance: Cell<u16>,
}

/// A native type with methods that may be replaced.
pub(crate) trait Hooked: Native {
    /// Their names. The position of each is its bit.
    fn names() -> &'static [&'static Object];
    fn hooks(&self) -> &Hooks;
    /// asyncio's class, for the methods among them that ours leaves to it.
    fn asyncio_class() -> Option<&'static Any> {
        None
    }
    /// What that class had under these names at import, if patching it counts as well.
    fn asyncio_methods() -> Option<&'static [Option<Object>]> {
        None
    }
}

/// Which methods are replaced: 0 for none.
#[inline]
pub(crate) fn replaced<T: Hooked>(this: &Inst<T>) -> Res<u16> {
    let hooks = this.hooks();
    let version = this.as_any().class_version();
    if version != 0 && version == hooks.version.get() {
        return Ok(hooks.of_class.get() | hooks.of_instance.get());
    }
    learn(this)
}

/// Compares what the class has with what ours has.
#[cold]
fn learn<T: Hooked>(this: &Inst<T>) -> Res<u16> {
    let hooks = this.hooks();
    let class = this.as_any().class();
    let ours = T::class().as_any();
    let mut of_class = 0;
    for (bit, name) in T::names().iter().enumerate() {
        let original = match (ours.getattr_opt(name)?, T::asyncio_class()) {
            (Some(own), _) => own,
            (None, Some(theirs)) => match theirs.getattr_opt(name)? {
                Some(method) => method,
                None => continue,
            },
            (None, None) => continue,
        };
        if !class.getattr(name)?.is(&original) || is_patched::<T>(bit, name)? {
            of_class |= 1 << bit;
        }
    }
    hooks.of_class.set(of_class);
    // Asked for last: looking something up is what gives a class its number.
    hooks.version.set(this.as_any().class_version());
    Ok(of_class | hooks.of_instance.get())
}

/// Whether asyncio's class has another method by now.
fn is_patched<T: Hooked>(bit: usize, name: &Any) -> Res<bool> {
    match (T::asyncio_class(), T::asyncio_methods()) {
        (Some(theirs), Some(methods)) => {
            let then = methods.get(bit).and_then(Option::as_ref);
            Ok(match (then, theirs.getattr_opt(name)?) {
                (Some(then), Some(now)) => !now.is(then),
                (then, now) => then.is_some() || now.is_some(),
            })
        }
        _ => Ok(false),
    }
}

/// `__setattr__`: as `object` does it, and with an eye on the names.
pub(crate) fn set_attribute<T: Hooked>(this: &Inst<T>, name: &Any, value: Option<&Any>) -> Res<()> {
    this.as_any().object_setattr(name, value)?;
    for (bit, known) in T::names().iter().enumerate() {
        if name.is(known) {
            let hooks = this.hooks();
            let bit = 1 << bit;
            hooks.of_instance.set(match value {
                Some(_) => hooks.of_instance.get() | bit,
                None => hooks.of_instance.get() & !bit,
            });
        }
    }
    Ok(())
}
