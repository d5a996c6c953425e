//! Which of the loop's methods somebody has replaced: in a derived class, by a patch of a class, or
//! on the loop object.
//!
//! Our own code does not look a method up to call it. It asks one flag, `direct` or `plain`, and
//! goes through Python's methods where the flag is off. A method set on the loop object turns it
//! off by `__setattr__`. CPython numbers the states of a class: while the number is the known one,
//! nothing in the class or its bases has changed.
//!
//! The patches of `BaseEventLoop` and of `Handle` that a native method would hide are honoured by
//! `_patches.py`.

use std::ffi::CStr;

use super::LoopCore;
use crate::ffi::method::TypeBuilder;
use crate::ffi::module::{Global, names};
use crate::ffi::{Any, Args, Inst, Native, Object, Raised, Res, value};
use crate::handle::Handle;

/// No class has this number.
pub(super) const UNKNOWN: u32 = u32::MAX;

/// The methods that our code does not look up. The first is what makes a loop direct.
const METHODS: [&CStr; 6] = [
    c"call_soon",
    c"call_at",
    c"call_later",
    c"create_future",
    c"create_task",
    c"time",
];

struct Known {
    /// Names and our own methods.
    methods: Vec<(Object, Object)>,
    /// `_patches.update`: carries patches over, and returns what has replaced `Handle._run`.
    update: Object,
}

static KNOWN: Global<Known> = Global::new();

/// `_use_patches(update)`.
pub(crate) fn use_patches(args: Args<'_>) -> Res<Object> {
    let &[update] = args.positional else {
        return Err(Raised::type_error("_use_patches() takes a function"));
    };
    let class = LoopCore::class().as_any();
    let mut methods = Vec::new();
    for name in METHODS {
        let name = value::interned(name)?;
        let method = class.getattr(&name)?;
        methods.push((name, method));
    }
    KNOWN.set(Known {
        methods,
        update: update.own(),
    });
    Ok(value::none())
}

impl Inst<LoopCore> {
    /// Whether entries may go into the queue without Python's `call_soon`.
    #[inline(always)]
    pub(crate) fn is_direct(&self) -> bool {
        if self.as_any().class_version() != self.class_version.get() {
            learn_again(self);
        }
        self.direct.get()
    }

    /// Whether `create_future`, `create_task`, `call_later`, `call_at` and `time` are ours too.
    #[inline(always)]
    pub(crate) fn is_plain(&self) -> bool {
        if self.as_any().class_version() != self.class_version.get() {
            learn_again(self);
        }
        self.plain.get()
    }

    /// What has replaced `Handle._run`.
    #[inline(always)]
    pub(super) fn handle_run(&self) -> Option<Object> {
        self.handle_run.get()
    }

    /// Once an iteration: whether handles are run by asyncio's `Handle._run`.
    #[inline(always)]
    pub(super) fn check_handles(&self) {
        if Handle::class().version() != self.handle_version.get() {
            learn_again(self);
        }
    }
}

#[cold]
fn learn_again(this: &Inst<LoopCore>) {
    if let Err(raised) = learn(this) {
        raised.unraisable(Some(this.as_any()));
        // The slow way is right for any class.
        this.overridden.set(true);
        this.update_direct();
    }
}

/// Compares what the loop's class has with what ours has.
pub(super) fn learn(this: &Inst<LoopCore>) -> Res<()> {
    let Some(known) = KNOWN.try_get() else {
        return Err(Raised::runtime("aioxide was not imported"));
    };
    let run = known.update.call0()?;
    if run.is_none() {
        this.handle_run.clear();
    } else {
        this.handle_run.set(run);
    }
    let class = this.as_any().class();
    let mut bits = this.of_instance.get();
    for (bit, (name, method)) in known.methods.iter().enumerate() {
        if !class.getattr(name)?.is(method) {
            bits |= 1 << bit;
        }
    }
    this.overridden.set(bits & 1 != 0);
    this.altered.set(bits & !1 != 0);
    this.update_direct();
    // Last, since looking something up is what gives a class its number. A class without a number
    // is looked at each time.
    Handle::class().as_any().getattr(&names()._run)?;
    let number = |version| if version == 0 { UNKNOWN } else { version };
    this.handle_version.set(number(Handle::class().version()));
    this.class_version
        .set(number(this.as_any().class_version()));
    Ok(())
}

/// `__setattr__`: as `object` does it, and with an eye on the names.
fn set_attribute(this: &Inst<LoopCore>, name: &Any, value: Option<&Any>) -> Res<()> {
    this.as_any().object_setattr(name, value)?;
    let Some(known) = KNOWN.try_get() else {
        return Ok(());
    };
    for (bit, (method, _)) in known.methods.iter().enumerate() {
        if name.is(method) || name.equals(method)? {
            let bit = 1 << bit;
            this.of_instance.set(match value {
                Some(_) => this.of_instance.get() | bit,
                None => this.of_instance.get() & !bit,
            });
            return learn(this);
        }
    }
    Ok(())
}

pub(super) fn methods(b: TypeBuilder<LoopCore>) -> TypeBuilder<LoopCore> {
    b.set_attribute(set_attribute)
}
