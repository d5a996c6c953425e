//! Attributes that are a field of the state, and nothing more.

use super::cell::Slot;
use super::error::Res;
use super::method::no_delete;
use super::object::Any;

/// Sets a slot; `None` empties it.
pub(crate) fn store(slot: &Slot, object: Option<&Any>) -> Res<()> {
    let object = no_delete(object)?;
    drop(slot.replace((!object.is_none()).then(|| object.own())));
    Ok(())
}

/// The attributes that are a reference to anything: a [`Slot`].
macro_rules! plain {
    ($builder:expr, $state:ty, $($name:literal => $field:ident, $doc:literal;)*) => {
        $builder$(.attribute(
            $name,
            |this: &$crate::ffi::Inst<$state>| Ok(this.$field.get_or_none()),
            |this: &$crate::ffi::Inst<$state>, object: Option<&$crate::ffi::Any>| {
                $crate::ffi::attribute::store(&this.$field, object)
            },
            $doc,
        ))*
    };
}
pub(crate) use plain;

/// The attributes that are a flag: a `Cell<bool>`.
macro_rules! flags {
    ($builder:expr, $state:ty, $($name:literal => $field:ident, $doc:literal;)*) => {
        $builder$(.attribute(
            $name,
            |this: &$crate::ffi::Inst<$state>| $crate::ffi::method::flag(this.$field.get()),
            |this: &$crate::ffi::Inst<$state>, given: Option<&$crate::ffi::Any>| {
                this.$field.set($crate::ffi::method::no_delete(given)?.is_truthy()?);
                Ok(())
            },
            $doc,
        ))*
    };
}
pub(crate) use flags;
