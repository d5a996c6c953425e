//! Which pages of a file the page cache has, where the kernel cannot be asked by the read itself.
//!
//! overlayfs answers `RWF_NOWAIT` with `EOPNOTSUPP`, and `cachestat(2)` of its files says nothing: the pages belong to
//! the file of the layer beneath. A mapping reaches that one, and `mincore(2)` tells which of its pages are there. The
//! mapping is never accessed (`PROT_NONE`), so that a file that shrinks raises no `SIGBUS`. A page may be evicted
//! between the question and the read, and a file may be copied up to another layer: such a read waits for the
//! disk once, which is slow and not wrong.

use std::io;
use std::os::fd::RawFd;

use crate::op::Stat;

/// What is asked at a time: a byte of answer for each page.
const PAGES: usize = 512;

/// A file's pages, to be asked for.
#[derive(Debug)]
pub struct Residency {
    start: usize,
    length: usize,
    page: usize,
}

impl Residency {
    /// Maps a file. `EPERM` if the kernel does not tell this process which pages there are: it says so of files
    /// that the process neither owns nor may write, by calling every page present.
    pub fn new(fd: RawFd) -> io::Result<Residency> {
        // SAFETY: takes a number.
        #[allow(unsafe_code)]
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
        let size = usize::try_from(Stat::file(fd).now()?.get().stx_size).unwrap_or(0);
        // One page more, which cannot be present.
        let pages = size.div_ceil(page) + 1;
        let length = pages.checked_mul(page).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: a new mapping at an address of the kernel's choice, which nobody accesses.
        #[allow(unsafe_code)]
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_NONE,
                libc::MAP_SHARED | libc::MAP_NORESERVE,
                fd,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let residency = Residency {
            start: start as usize,
            length,
            page,
        };
        if residency.has((pages - 1) * page, 1) {
            return Err(io::Error::from_raw_os_error(libc::EPERM));
        }
        Ok(residency)
    }

    /// Whether all of these bytes are in the page cache. Not what was appended since the file was mapped.
    pub fn has(&self, offset: usize, length: usize) -> bool {
        let first = offset / self.page * self.page;
        let Some(end) = offset.checked_add(length) else {
            return false;
        };
        if end > self.length || (end - first).div_ceil(self.page) > PAGES {
            return false;
        }
        let mut answer = [0_u8; PAGES];
        // SAFETY: the range lies in the mapping, which lives as long as this, and has at most as many pages as
        // there are bytes for the answer.
        #[allow(unsafe_code)]
        let asked = unsafe {
            libc::mincore(
                (self.start + first) as *mut libc::c_void,
                end - first,
                answer.as_mut_ptr(),
            )
        };
        asked == 0
            && answer[..(end - first).div_ceil(self.page)]
                .iter()
                .all(|page| page & 1 == 1)
    }
}

impl Drop for Residency {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made, to which no pointer is left.
        #[allow(unsafe_code)]
        unsafe {
            libc::munmap(self.start as *mut libc::c_void, self.length);
        }
    }
}
