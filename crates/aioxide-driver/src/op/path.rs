//! Operations on names in the file system.
//!
//! Their calls borrow the paths, which are on the heap and owned by the operation.

use std::ffi::CString;

use io_uring::squeue::Entry;
use io_uring::{opcode, types};

use super::{Borrowed, Call, answer};

const HERE: types::Fd = types::Fd(libc::AT_FDCWD);

/// Removes a name, or an empty directory.
#[derive(Debug)]
pub struct Unlink {
    path: CString,
    flags: i32,
}

impl Unlink {
    pub(super) const CODE: u8 = opcode::UnlinkAt::CODE;

    /// `rmdir(path)` if it is to be a directory, else `unlink(path)`.
    pub fn new(path: CString, directory: bool) -> Unlink {
        let flags = if directory { libc::AT_REMOVEDIR } else { 0 };
        Unlink { path, flags }
    }

    pub(super) fn entry(&mut self) -> Entry {
        opcode::UnlinkAt::new(HERE, self.path.as_ptr())
            .flags(self.flags)
            .build()
    }

    pub(super) fn call(&mut self) -> Call {
        let (path, flags) = (Borrowed(self.path.as_ptr().cast_mut()), self.flags);
        // SAFETY: a terminated string that stays until this call has ended (`op`).
        #[allow(unsafe_code)]
        Box::new(move || answer(unsafe { libc::unlinkat(libc::AT_FDCWD, path.get(), flags) }))
    }
}

/// Gives a file another name, in the place of what had it.
#[derive(Debug)]
pub struct Rename {
    from: CString,
    to: CString,
}

impl Rename {
    pub(super) const CODE: u8 = opcode::RenameAt::CODE;

    /// `rename(from, to)`.
    pub fn new(from: CString, to: CString) -> Rename {
        Rename { from, to }
    }

    pub(super) fn entry(&mut self) -> Entry {
        opcode::RenameAt::new(HERE, self.from.as_ptr(), HERE, self.to.as_ptr()).build()
    }

    pub(super) fn call(&mut self) -> Call {
        let from = Borrowed(self.from.as_ptr().cast_mut());
        let to = Borrowed(self.to.as_ptr().cast_mut());
        // SAFETY: terminated strings that stay until this call has ended (`op`).
        #[allow(unsafe_code)]
        Box::new(move || answer(unsafe { libc::rename(from.get(), to.get()) }))
    }
}

/// Makes a directory.
#[derive(Debug)]
pub struct MakeDir {
    path: CString,
    mode: u32,
}

impl MakeDir {
    pub(super) const CODE: u8 = opcode::MkDirAt::CODE;

    /// `mkdir(path, mode)`.
    pub fn new(path: CString, mode: u32) -> MakeDir {
        MakeDir { path, mode }
    }

    pub(super) fn entry(&mut self) -> Entry {
        opcode::MkDirAt::new(HERE, self.path.as_ptr())
            .mode(self.mode)
            .build()
    }

    pub(super) fn call(&mut self) -> Call {
        let (path, mode) = (Borrowed(self.path.as_ptr().cast_mut()), self.mode);
        // SAFETY: a terminated string that stays until this call has ended (`op`).
        #[allow(unsafe_code)]
        Box::new(move || answer(unsafe { libc::mkdir(path.get(), mode) }))
    }
}

/// Gives a file a second name.
#[derive(Debug)]
pub struct Link {
    from: CString,
    to: CString,
    flags: i32,
}

impl Link {
    pub(super) const CODE: u8 = opcode::LinkAt::CODE;

    /// `link(from, to)`; a symbolic link itself gets the name unless it is to be followed.
    pub fn new(from: CString, to: CString, follow: bool) -> Link {
        let flags = if follow { libc::AT_SYMLINK_FOLLOW } else { 0 };
        Link { from, to, flags }
    }

    pub(super) fn entry(&mut self) -> Entry {
        opcode::LinkAt::new(HERE, self.from.as_ptr(), HERE, self.to.as_ptr())
            .flags(self.flags)
            .build()
    }

    pub(super) fn call(&mut self) -> Call {
        let from = Borrowed(self.from.as_ptr().cast_mut());
        let to = Borrowed(self.to.as_ptr().cast_mut());
        let flags = self.flags;
        Box::new(move || {
            let here = libc::AT_FDCWD;
            // SAFETY: terminated strings that stay until this call has ended (`op`).
            #[allow(unsafe_code)]
            answer(unsafe { libc::linkat(here, from.get(), here, to.get(), flags) })
        })
    }
}

/// Makes a symbolic link.
#[derive(Debug)]
pub struct Symlink {
    target: CString,
    path: CString,
}

impl Symlink {
    pub(super) const CODE: u8 = opcode::SymlinkAt::CODE;

    /// `symlink(target, path)`.
    pub fn new(target: CString, path: CString) -> Symlink {
        Symlink { target, path }
    }

    pub(super) fn entry(&mut self) -> Entry {
        opcode::SymlinkAt::new(HERE, self.target.as_ptr(), self.path.as_ptr()).build()
    }

    pub(super) fn call(&mut self) -> Call {
        let target = Borrowed(self.target.as_ptr().cast_mut());
        let path = Borrowed(self.path.as_ptr().cast_mut());
        // SAFETY: terminated strings that stay until this call has ended (`op`).
        #[allow(unsafe_code)]
        Box::new(move || answer(unsafe { libc::symlink(target.get(), path.get()) }))
    }
}
