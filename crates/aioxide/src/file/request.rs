//! The module's functions: each gives a coroutine.

use std::os::fd::RawFd;

use aioxide_driver::Interest;
use aioxide_driver::op::{
    Close, Fsync, Link, MakeDir, Op, Poll, Rename, Stat, Symlink, Truncate, Unlink,
};

use super::call::{FileCall, Manner, Request, stat_result};
use super::transfer::Transfer;
use super::{ring, set_at_once};
use crate::coroutine;
use crate::ffi::buffer::Buffer;
use crate::ffi::error::Kind;
use crate::ffi::file_memory::{FileMemory, path_of};
use crate::ffi::method::function;
use crate::ffi::module::Module;
use crate::ffi::{Any, Args, Object, Raised, Res, value};
use crate::future::running_loop;

const FORGETFUL: Manner = Manner {
    patient: false,
    bytes: false,
};
const FORGETFUL_BYTES: Manner = Manner {
    patient: false,
    bytes: true,
};
const PATIENT: Manner = Manner {
    patient: true,
    bytes: false,
};

fn make(
    name: &'static str,
    request: Request,
    manner: Manner,
    path: Option<&Any>,
    target: Option<&Any>,
) -> Res<Object> {
    let call = FileCall::new(name, request, manner).about(path, target);
    Ok(coroutine::create(call)?.into_object())
}

fn wrong(name: &str, takes: &str) -> Raised {
    Raised::type_error(&format!("{name}() takes {takes}"))
}

fn fd_of(object: &Any) -> Res<RawFd> {
    let number = object.to_i64()?;
    Ok(RawFd::try_from(number).unwrap_or(-1))
}

/// An offset, or `None` for where the file stands.
fn offset_of(object: &Any) -> Res<Option<u64>> {
    if object.is_none() {
        return Ok(None);
    }
    match u64::try_from(object.to_i64()?) {
        Ok(offset) => Ok(Some(offset)),
        Err(_) => Err(Raised::os(&std::io::Error::from_raw_os_error(22))),
    }
}

pub(super) fn size_of(object: &Any) -> Res<usize> {
    usize::try_from(object.to_size()?)
        .map_err(|_| Raised::new(Kind::Value, "a size must not be negative"))
}

/// `file_read(fd, size, offset)`: a coroutine that gives bytes.
pub(super) fn read(fd: RawFd, size: usize, offset: Option<u64>) -> Res<Object> {
    make(
        "file_read",
        Request::Transfer(
            Transfer::new(false, fd, offset, 0),
            FileMemory::Fresh(size, None),
        ),
        FORGETFUL_BYTES,
        None,
        None,
    )
}

fn file_read(args: Args<'_>) -> Res<Object> {
    let &[fd, size, offset] = args.positional else {
        return Err(wrong("file_read", "a descriptor, a size and an offset"));
    };
    read(fd_of(fd)?, size_of(size)?, offset_of(offset)?)
}

fn file_read_stream(args: Args<'_>) -> Res<Object> {
    let &[fd, size] = args.positional else {
        return Err(wrong("file_read_stream", "a descriptor and a size"));
    };
    let request = Request::ReadStream(fd_of(fd)?, size_of(size)?);
    make("file_read_stream", request, FORGETFUL, None, None)
}

fn file_write_stream(args: Args<'_>) -> Res<Object> {
    let &[fd, data] = args.positional else {
        return Err(wrong("file_write_stream", "a descriptor and data"));
    };
    let memory = FileMemory::Lent(Buffer::readable(data)?);
    let request = Request::WriteStream(fd_of(fd)?, memory);
    make("file_write_stream", request, FORGETFUL, None, None)
}

fn file_readinto(args: Args<'_>) -> Res<Object> {
    let &[fd, buffer, from, offset] = args.positional else {
        return Err(wrong(
            "file_readinto",
            "a descriptor, a buffer, a start and an offset",
        ));
    };
    let memory = FileMemory::Lent(Buffer::writable(buffer)?);
    let transfer = Transfer::new(false, fd_of(fd)?, offset_of(offset)?, size_of(from)?);
    let request = Request::Transfer(transfer, memory);
    make("file_readinto", request, PATIENT, None, None)
}

fn file_write(args: Args<'_>) -> Res<Object> {
    let &[fd, data, from, offset, report] = args.positional else {
        return Err(wrong(
            "file_write",
            "a descriptor, data, a start, an offset and a list",
        ));
    };
    let memory = FileMemory::Lent(Buffer::readable(data)?);
    let transfer = Transfer::new(true, fd_of(fd)?, offset_of(offset)?, size_of(from)?);
    let call = FileCall::new("file_write", Request::Transfer(transfer, memory), PATIENT);
    call.report_to(report);
    Ok(coroutine::create(call)?.into_object())
}

fn file_poll(args: Args<'_>) -> Res<Object> {
    let &[fd, writing] = args.positional else {
        return Err(wrong("file_poll", "a descriptor and whether for writing"));
    };
    let interest = if writing.is_truthy()? {
        Interest::WRITE
    } else {
        Interest::READ
    };
    let op = Op::Poll(Poll::new(fd_of(fd)?, interest));
    make("file_poll", Request::Other(op), FORGETFUL, None, None)
}

fn file_sync(args: Args<'_>) -> Res<Object> {
    let &[fd, data_only] = args.positional else {
        return Err(wrong("file_sync", "a descriptor and whether only the data"));
    };
    let op = Op::Fsync(Fsync::new(fd_of(fd)?, data_only.is_truthy()?));
    make("file_sync", Request::Other(op), PATIENT, None, None)
}

fn file_truncate(args: Args<'_>) -> Res<Object> {
    let &[fd, length] = args.positional else {
        return Err(wrong("file_truncate", "a descriptor and a length"));
    };
    let length = offset_of(length)?.unwrap_or(0);
    let op = Op::Truncate(Truncate::new(fd_of(fd)?, length));
    make("file_truncate", Request::Other(op), PATIENT, None, None)
}

fn file_close(args: Args<'_>) -> Res<Object> {
    let &[fd] = args.positional else {
        return Err(wrong("file_close", "a descriptor"));
    };
    let op = Op::Close(Close::new(fd_of(fd)?));
    make("file_close", Request::Other(op), PATIENT, None, None)
}

fn file_open(args: Args<'_>) -> Res<Object> {
    let &[path, flags, mode] = args.positional else {
        return Err(wrong("file_open", "a path, flags and a mode"));
    };
    let flags = i32::try_from(flags.to_i64()?).unwrap_or(0);
    let mode = u32::try_from(mode.to_i64()?).unwrap_or(0o666);
    let request = Request::Open(path_of(path)?, flags, mode);
    make("file_open", request, FORGETFUL, Some(path), None)
}

fn file_stat(args: Args<'_>) -> Res<Object> {
    let &[path, follow] = args.positional else {
        return Err(wrong("file_stat", "a path and whether to follow links"));
    };
    if path.is_int() {
        let op = Op::Stat(Stat::file(fd_of(path)?));
        return make("file_stat", Request::Other(op), FORGETFUL, Some(path), None);
    }
    let request = Request::Stat(path_of(path)?, follow.is_truthy()?);
    make("file_stat", request, FORGETFUL, Some(path), None)
}

/// `fstat` of a file that was just opened, whose attributes the kernel has at hand.
fn file_stat_now(args: Args<'_>) -> Res<Object> {
    let &[fd] = args.positional else {
        return Err(wrong("file_stat_now", "a descriptor"));
    };
    let stat = Stat::file(fd_of(fd)?)
        .now()
        .map_err(|error| Raised::os(&error))?;
    stat_result(&stat)
}

fn file_unlink(args: Args<'_>) -> Res<Object> {
    let &[path, directory] = args.positional else {
        return Err(wrong("file_unlink", "a path and whether it is a directory"));
    };
    let op = Op::Unlink(Unlink::new(path_of(path)?, directory.is_truthy()?));
    make("file_unlink", Request::Other(op), PATIENT, Some(path), None)
}

fn file_mkdir(args: Args<'_>) -> Res<Object> {
    let &[path, mode] = args.positional else {
        return Err(wrong("file_mkdir", "a path and a mode"));
    };
    let mode = u32::try_from(mode.to_i64()?).unwrap_or(0o777);
    let op = Op::MakeDir(MakeDir::new(path_of(path)?, mode));
    make("file_mkdir", Request::Other(op), PATIENT, Some(path), None)
}

fn file_rename(args: Args<'_>) -> Res<Object> {
    let &[from, to] = args.positional else {
        return Err(wrong("file_rename", "two paths"));
    };
    let op = Op::Rename(Rename::new(path_of(from)?, path_of(to)?));
    make(
        "file_rename",
        Request::Other(op),
        PATIENT,
        Some(from),
        Some(to),
    )
}

fn file_link(args: Args<'_>) -> Res<Object> {
    let &[from, to, follow] = args.positional else {
        return Err(wrong("file_link", "two paths and whether to follow links"));
    };
    let op = Link::new(path_of(from)?, path_of(to)?, follow.is_truthy()?);
    make(
        "file_link",
        Request::Other(Op::Link(op)),
        PATIENT,
        Some(from),
        Some(to),
    )
}

fn file_symlink(args: Args<'_>) -> Res<Object> {
    let &[target, path] = args.positional else {
        return Err(wrong("file_symlink", "a target and a path"));
    };
    let op = Op::Symlink(Symlink::new(path_of(target)?, path_of(path)?));
    make(
        "file_symlink",
        Request::Other(op),
        PATIENT,
        Some(target),
        Some(path),
    )
}

fn file_backend(_args: Args<'_>) -> Res<Object> {
    value::text(ring::backend()?.name())
}

fn file_ring(_args: Args<'_>) -> Res<Object> {
    Ok(ring::of(&*running_loop()?)?.into_object())
}

fn file_faults(args: Args<'_>) -> Res<Object> {
    let &[faults] = args.positional else {
        return Err(wrong("_file_faults", "a list"));
    };
    ring::of(&*running_loop()?)?.inject(faults)?;
    Ok(value::none())
}

fn file_refusals(args: Args<'_>) -> Res<Object> {
    let &[errnos] = args.positional else {
        return Err(wrong("_file_refusals", "a list"));
    };
    ring::of(&*running_loop()?)?.inject_enter(errnos)?;
    Ok(value::none())
}

fn file_at_once(args: Args<'_>) -> Res<Object> {
    let &[wanted] = args.positional else {
        return Err(wrong("_file_at_once", "a flag"));
    };
    set_at_once(wanted.is_truthy()?);
    Ok(value::none())
}

/// Adds the functions to the module.
pub(crate) fn functions(module: &Module) -> Res<()> {
    macro_rules! add {
        ($($function:ident: $name:literal $doc:literal;)*) => {
            $(module.add($name, &*function(
                const {
                    match std::ffi::CStr::from_bytes_with_nul(concat!($name, "\0").as_bytes()) {
                        Ok(name) => name,
                        Err(_) => panic!("a name with a NUL"),
                    }
                },
                $function,
                const {
                    match std::ffi::CStr::from_bytes_with_nul(concat!($name, $doc, "\0").as_bytes()) {
                        Ok(doc) => doc,
                        Err(_) => panic!("a text with a NUL"),
                    }
                },
            )?)?;)*
        };
    }
    add! {
        file_read: "file_read" "(fd, size, offset, /)\n--\n\nRead at an offset; None is where the file stands.";
        file_read_stream: "file_read_stream" "(fd, size, /)\n--\n\nRead what a pipe has now; None if nothing.";
        file_write_stream: "file_write_stream" "(fd, data, /)\n--\n\nWrite what a pipe takes now; None if nothing.";
        file_readinto: "file_readinto" "(fd, buffer, start, offset, /)\n--\n\nRead into a buffer from its byte `start` on.";
        file_write: "file_write" "(fd, data, start, offset, report, /)\n--\n\nWrite data from its byte `start` on; the count is appended to `report`.";
        file_poll: "file_poll" "(fd, writing, /)\n--\n\nWait until a pipe is ready.";
        file_sync: "file_sync" "(fd, data_only, /)\n--\n\nfsync or fdatasync.";
        file_truncate: "file_truncate" "(fd, length, /)\n--\n\nftruncate.";
        file_close: "file_close" "(fd, /)\n--\n\nclose.";
        file_open: "file_open" "(path, flags, mode, /)\n--\n\nopen; gives the descriptor.";
        file_stat: "file_stat" "(path, follow, /)\n--\n\nstat, lstat or fstat.";
        file_stat_now: "file_stat_now" "(fd, /)\n--\n\nfstat, on the spot.";
        file_unlink: "file_unlink" "(path, directory, /)\n--\n\nunlink or rmdir.";
        file_mkdir: "file_mkdir" "(path, mode, /)\n--\n\nmkdir.";
        file_rename: "file_rename" "(source, target, /)\n--\n\nrename.";
        file_link: "file_link" "(source, target, follow, /)\n--\n\nlink.";
        file_symlink: "file_symlink" "(target, path, /)\n--\n\nsymlink.";
        file_backend: "file_backend" "()\n--\n\nWhat a loop's files use: 'uring' or 'threads'.";
        file_ring: "file_ring" "()\n--\n\nThe running loop's FileRing.";
        file_faults: "_file_faults" "(faults, /)\n--\n\nLet operations to come fail. For tests.";
        file_refusals: "_file_refusals" "(errnos, /)\n--\n\nLet the next calls of io_uring_enter fail. For tests.";
        file_at_once: "_file_at_once" "(flag, /)\n--\n\nWhether to try without the ring first. For tests.";
    }
    Ok(())
}
