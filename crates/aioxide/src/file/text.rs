//! `TextCore`: decoded text that waits to be read, and how to get more of it on the spot.
//!
//! The *decoded* text came out of the decoder for the *input* of the snapshot, whose decoder was in the state of the
//! snapshot's flags before: from these three `tell()` computes its cookie, in Python. One chunk at a time is
//! decoded, as by the standard library, so that the cookies are the same.

use std::cell::Cell;

use super::core::FileCore;
use super::method;
use super::names::names;
use crate::ffi::file_memory::Text;
use crate::ffi::method::{flag, no_delete};
use crate::ffi::native_type::object_class;
use crate::ffi::{Any, Args, Class, Inst, Native, Object, Raised, Res, Slot, SlotOf, Visit, value};

/// A line of more chunks than this is put together by the Python half.
const MANY: usize = 64;

/// The state behind `aioxide.files.TextFile`.
#[derive(Debug, Default)]
pub(crate) struct TextCore {
    file: SlotOf<FileCore>,
    decoder: Slot,
    decoded: Slot,
    at: Cell<usize>,
    length: Cell<usize>,
    /// The decoder's flags before the input of the decoded text, and that input.
    flags: Slot,
    input: Slot,
    /// Bytes per character of the last chunk.
    ratio: Cell<f64>,
    chunk_size: Cell<usize>,
    /// Every line ends in `\n`.
    plain_lines: Cell<bool>,
    /// Snapshots are taken.
    telling: Cell<bool>,
    /// The Python half works on the file.
    busy: Cell<bool>,
}

static TEXT_CORE: Class<TextCore> = Class::new(0);

impl Native for TextCore {
    const NAME: &'static std::ffi::CStr = c"aioxide.TextCore";
    const INSTANCE_DICT: bool = true;

    fn class() -> &'static Class<Self> {
        &TEXT_CORE
    }
    fn empty() -> Self {
        TextCore::default()
    }
    fn traverse(&self, visit: &mut Visit) {
        self.file.visit(visit);
        for slot in [&self.decoder, &self.decoded, &self.flags, &self.input] {
            slot.visit(visit);
        }
    }
    fn clear(&self) {
        self.file.clear();
        for slot in [&self.decoder, &self.decoded, &self.flags, &self.input] {
            slot.clear();
        }
        self.at.set(0);
        self.length.set(0);
    }
}

/// A chunk that was decoded and that the line in question runs through.
struct Passed {
    flags: Option<Object>,
    input: Option<Object>,
    decoded: Object,
}

impl TextCore {
    fn set_decoded(&self, text: Option<Object>, at: usize) {
        let length = text
            .as_deref()
            .and_then(Text::of)
            .map_or(0, |text| text.len());
        let old = self.decoded.replace(text);
        self.at.set(at.min(length));
        self.length.set(length);
        drop(old);
    }

    /// Decodes a chunk of input; empty input is the end. Whether there may be more.
    fn feed(&self, input: &Any) -> Res<bool> {
        let Some(decoder) = self.decoder.get() else {
            return Err(Raised::runtime("not readable"));
        };
        let names = names();
        let state = if self.telling.get() {
            Some(decoder.call_method0(&names.getstate)?)
        } else {
            None
        };
        let size = input.length()?;
        let ended = value::bool(size == 0);
        let text = decoder.call_method2(&names.decode, input, &ended)?;
        let Some(length) = Text::of(&text).map(|text| text.len()) else {
            return Err(Raised::type_error("decoder should return a string result"));
        };
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let ratio = if length > 0 {
            size as f64 / length as f64
        } else {
            0.0
        };
        self.ratio.set(ratio);
        self.set_decoded(Some(text), 0);
        if let Some(state) = state
            && let &[kept, flags] = state.tuple_items()
        {
            let whole = if kept.length()? == 0 {
                input.own()
            } else {
                kept.add(input)?
            };
            self.flags.set(flags.own());
            self.input.set(whole);
        }
        Ok(size > 0 || length > 0)
    }

    /// Whether reading may go on from here, now.
    fn may_read(&self) -> bool {
        self.plain_lines.get() && !self.busy.get() && self.decoder.is_some()
    }

    /// `readline()`; `None` if it has to wait, or is not as simple as that.
    pub(super) fn readline(&self) -> Res<Option<Object>> {
        if !self.may_read() {
            return Ok(None);
        }
        let Some(file) = self.file.get() else {
            return Ok(None);
        };
        let mut start = self.at.get();
        let mut passed: Vec<Passed> = Vec::new();
        loop {
            let decoded = self.decoded.get();
            if let Some(decoded) = &decoded
                && let Some(text) = Text::of(decoded)
            {
                let at = self.at.get();
                if let Some(found) = text.find_newline(at) {
                    let end = found + 1;
                    let line = text.slice(at, end)?;
                    self.at.set(end);
                    return joined(&passed, start, Some(line)).map(Some);
                }
            }
            if passed.len() >= MANY {
                self.put_back(&passed, start)?;
                return Ok(None);
            }
            let Some(input) = file.read1(self.chunk_size.get())? else {
                self.put_back(&passed, start)?;
                return Ok(None);
            };
            if self.at.get() < self.length.get()
                && let Some(decoded) = decoded
            {
                passed.push(Passed {
                    flags: self.flags.get(),
                    input: self.input.get(),
                    decoded,
                });
            }
            if passed.is_empty() {
                start = 0;
            }
            if !self.feed(&input)? {
                self.flags.clear();
                self.input.clear();
                return joined(&passed, start, None).map(Some);
            }
        }
    }

    /// What was decoded for a line that is not complete stays to be read, as one chunk.
    fn put_back(&self, passed: &[Passed], start: usize) -> Res<()> {
        let Some(first) = passed.first() else {
            return Ok(());
        };
        let (mut text, mut input) = (first.decoded.clone(), first.input.clone());
        let rest = passed[1..]
            .iter()
            .map(|passed| (Some(passed.decoded.clone()), passed.input.clone()))
            .chain([(self.decoded.get(), self.input.get())]);
        for (more, bytes) in rest {
            if let Some(more) = more {
                text = text.add(&more)?;
            }
            if let (Some(known), Some(bytes)) = (&input, bytes) {
                input = Some(known.add(&bytes)?);
            }
        }
        let flags = first.flags.clone();
        self.set_decoded(Some(text), start);
        let old = (self.flags.replace(flags), self.input.replace(input));
        drop(old);
        Ok(())
    }

    /// `read(size)`, if the decoded text has it.
    pub(super) fn read(&self, size: usize) -> Res<Option<Object>> {
        if self.busy.get() || size > self.length.get() - self.at.get() || self.file_closed() {
            return Ok(None);
        }
        let Some(decoded) = self.decoded.get() else {
            return Ok(None);
        };
        let Some(text) = Text::of(&decoded) else {
            return Ok(None);
        };
        let at = self.at.get();
        let taken = text.slice(at, at + size)?;
        self.at.set(at + size);
        Ok(Some(taken))
    }

    fn file_closed(&self) -> bool {
        self.file.get().is_none_or(|file| file.is_closed())
    }
}

/// What was passed from `start` on, and the last part.
fn joined(passed: &[Passed], start: usize, last: Option<Object>) -> Res<Object> {
    let Some((first, rest)) = passed.split_first() else {
        return last.map_or_else(|| value::text(""), Ok);
    };
    let mut line = match Text::of(&first.decoded) {
        Some(text) => text.slice(start, text.len())?,
        None => first.decoded.clone(),
    };
    for part in rest.iter().map(|passed| &passed.decoded).chain(&last) {
        line = line.add(part)?;
    }
    Ok(line)
}

fn init_text(this: &Inst<TextCore>, args: Args<'_>) -> Res<Object> {
    let &[file, decoder, chunk_size, plain_lines, telling] = args.positional else {
        return Err(Raised::type_error("_init_text() takes five arguments"));
    };
    let Some(core) = file.downcast::<FileCore>() else {
        return Err(Raised::type_error("_init_text() takes a BinaryFile"));
    };
    this.file.set(core.own());
    if decoder.is_none() {
        this.decoder.clear();
    } else {
        this.decoder.set(decoder.own());
    }
    this.chunk_size.set(super::request::size_of(chunk_size)?);
    this.plain_lines.set(plain_lines.is_truthy()?);
    this.telling.set(telling.is_truthy()?);
    Ok(value::none())
}

fn feed(this: &Inst<TextCore>, input: &Any) -> Res<Object> {
    flag(this.feed(input)?)
}

fn set_decoded(this: &Inst<TextCore>, args: Args<'_>) -> Res<Object> {
    let &[text, at] = args.positional else {
        return Err(Raised::type_error(
            "_set_decoded() takes a text and a place",
        ));
    };
    let text = (!text.is_none()).then(|| text.own());
    this.set_decoded(text, super::request::size_of(at)?);
    Ok(value::none())
}

fn snapshot(this: &Inst<TextCore>) -> Res<Object> {
    match (this.flags.get(), this.input.get()) {
        (Some(flags), Some(input)) => value::tuple(&[&flags, &input]),
        _ => Ok(value::none()),
    }
}

fn set_snapshot(this: &Inst<TextCore>, given: Option<&Any>) -> Res<()> {
    let given = no_delete(given)?;
    if let &[flags, input] = given.tuple_items() {
        this.flags.set(flags.own());
        this.input.set(input.own());
    } else {
        this.flags.clear();
        this.input.clear();
    }
    Ok(())
}

fn take(this: &Inst<TextCore>, size: &Any) -> Res<Object> {
    let left = this.length.get() - this.at.get();
    let size = usize::try_from(size.to_size()?).unwrap_or(left).min(left);
    let Some(decoded) = this.decoded.get() else {
        return value::text("");
    };
    let Some(text) = Text::of(&decoded) else {
        return value::text("");
    };
    let at = this.at.get();
    let taken = text.slice(at, at + size)?;
    this.at.set(at + size);
    Ok(taken)
}

fn set_busy(this: &Inst<TextCore>, given: Option<&Any>) -> Res<()> {
    this.busy.set(no_delete(given)?.is_truthy()?);
    Ok(())
}

fn set_telling(this: &Inst<TextCore>, given: Option<&Any>) -> Res<()> {
    this.telling.set(no_delete(given)?.is_truthy()?);
    Ok(())
}

/// Makes the class.
pub(super) fn build() -> Res<()> {
    TEXT_CORE.build(object_class(), |b| {
        let b = b
            .doc(c"The native half of aioxide.files.TextFile.")
            .method(c"_init_text", init_text, c"_init_text($self, file, decoder, chunk_size, plain_lines, telling, /)\n--\n\nBegin.")
            .method1(c"_feed", feed, c"_feed($self, data, /)\n--\n\nDecode a chunk of input; whether there may be more.")
            .method(c"_set_decoded", set_decoded, c"_set_decoded($self, text, at, /)\n--\n\nSet what was decoded, and how much of it was read.")
            .method1(c"_take_text", take, c"_take_text($self, size, /)\n--\n\nText that was decoded.")
            .getter(c"_decoder", |this: &Inst<TextCore>| Ok(this.decoder.get_or_none()), c"The incremental decoder.")
            .getter(c"_decoded", |this: &Inst<TextCore>| Ok(this.decoded.get_or_none()), c"What was decoded.")
            .getter(c"_decoded_at", |this: &Inst<TextCore>| value::uint(this.at.get() as u64), c"How much of it was read.")
            .getter(c"_ratio", |this: &Inst<TextCore>| value::float(this.ratio.get()), c"Bytes per character.")
            .getter(c"_chunk_size", |this: &Inst<TextCore>| value::uint(this.chunk_size.get() as u64), c"How much is decoded at a time.")
            .attribute(c"_snapshot", snapshot, set_snapshot, c"The decoder's flags before what was decoded, and the input; or None.")
            .attribute(c"_busy", |this: &Inst<TextCore>| flag(this.busy.get()), set_busy, c"A coroutine works on the file, or writes.")
            .attribute(c"_telling", |this: &Inst<TextCore>| flag(this.telling.get()), set_telling, c"Snapshots are taken.");
        method::text_methods(b)
    })?;
    Ok(())
}
