//! The contract of the proactor, on io_uring and on threads.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, missing_docs)]

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use aioxide_driver::op::{
    Close, Fsync, Link, MakeDir, Memory, Op, Open, Outcome, Poll, Read, Rename, Stat, Symlink,
    Truncate, Unlink, Write,
};
use aioxide_driver::proactor::{Backend, Fault, Flush, Id, Proactor, open_now, read_now, stat_now};
use aioxide_driver::reactor::Events;
use aioxide_driver::{Interest, Reactor, Timeout};

mod proactor_util;
mod util;
use proactor_util::{
    Bytes, ECANCELED, EINTR, EIO, ENOSPC, Folder, c_path, complete, count, done, make,
    on_each_backend, zeroes,
};
use util::{EBADF, EINVAL, ENOENT, expect_errno};

#[test]
fn reads_land_in_the_operations_memory() {
    on_each_backend(|mut proactor, folder| {
        let file = folder.file("a", b"0123456789");
        let (result, memory) = make(
            &mut proactor,
            Op::Read(Read::new(file.as_raw_fd(), Some(3), zeroes(4), 0)),
        );
        assert_eq!(count(result), 4);
        assert_eq!(&*memory.unwrap(), b"3456");
        // Behind the first two bytes, which stay; what is beyond the end is not there.
        let mut memory = zeroes(6);
        memory[..2].copy_from_slice(b"xy");
        let (result, memory) = make(
            &mut proactor,
            Op::Read(Read::new(file.as_raw_fd(), Some(8), memory, 2)),
        );
        assert_eq!(count(result), 2);
        assert_eq!(&*memory.unwrap(), b"xy89\0\0");
        let (result, _) = make(
            &mut proactor,
            Op::Read(Read::new(file.as_raw_fd(), Some(99), zeroes(4), 0)),
        );
        assert_eq!(count(result), 0);
    });
}

#[test]
fn without_an_offset_the_file_moves() {
    on_each_backend(|mut proactor, folder| {
        let file = folder.file("a", b"0123456789");
        for expected in [b"0123", b"4567"] {
            let read = Op::Read(Read::new(file.as_raw_fd(), None, zeroes(4), 0));
            let (result, memory) = make(&mut proactor, read);
            assert_eq!(count(result), 4);
            assert_eq!(&*memory.unwrap(), expected);
        }
        let write = Op::Write(Write::new(file.as_raw_fd(), None, b"ab".to_vec().into(), 0));
        assert_eq!(count(make(&mut proactor, write).0), 2);
        assert_eq!(fs::read(folder.path("a")).unwrap(), b"01234567ab");
    });
}

#[test]
fn writes_send_what_is_behind_the_first_bytes() {
    on_each_backend(|mut proactor, folder| {
        let file = folder.file("a", b"0123456789");
        let memory: Bytes = b"abcdef".to_vec().into();
        let (result, memory) = make(
            &mut proactor,
            Op::Write(Write::new(file.as_raw_fd(), Some(1), memory, 4)),
        );
        assert_eq!(count(result), 2);
        assert_eq!(&*memory.unwrap(), b"abcdef");
        assert_eq!(fs::read(folder.path("a")).unwrap(), b"0ef3456789");
        done(
            make(
                &mut proactor,
                Op::Fsync(Fsync::new(file.as_raw_fd(), false)),
            )
            .0,
        );
        done(make(&mut proactor, Op::Fsync(Fsync::new(file.as_raw_fd(), true))).0);
        done(
            make(
                &mut proactor,
                Op::Truncate(Truncate::new(file.as_raw_fd(), 3)),
            )
            .0,
        );
        assert_eq!(fs::read(folder.path("a")).unwrap(), b"0ef");
    });
}

#[test]
fn above_four_gigabytes() {
    on_each_backend(|mut proactor, folder| {
        let far = 5 << 30;
        let file = folder.file("sparse", b"");
        let write = Op::Write(Write::new(
            file.as_raw_fd(),
            Some(far),
            b"far".to_vec().into(),
            0,
        ));
        assert_eq!(count(make(&mut proactor, write).0), 3);
        let read = Op::Read(Read::new(file.as_raw_fd(), Some(far - 1), zeroes(8), 0));
        let (result, memory) = make(&mut proactor, read);
        assert_eq!(count(result), 4);
        assert_eq!(&memory.unwrap()[..4], b"\0far");
    });
}

#[test]
fn opens_and_closes() {
    on_each_backend(|mut proactor, folder| {
        let open = |flags| Op::Open(Open::new(folder.c_path("new"), flags, 0o640));
        expect_errno(make(&mut proactor, open(libc_flags::RDONLY)).0, ENOENT);
        let flags = libc_flags::CREAT | libc_flags::EXCL | libc_flags::WRONLY;
        let Ok(Outcome::Fd(fd)) = make(&mut proactor, open(flags)).0 else {
            panic!("no descriptor");
        };
        let flags = rustix::io::fcntl_getfd(&fd).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        let mode = fs::metadata(folder.path("new"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777 & !0o640, 0);
        // Far above those that other tests open meanwhile.
        util::raise_limit_of_open_files();
        let far = rustix::io::fcntl_dupfd_cloexec(&fd, 3600).unwrap();
        let number = std::os::fd::IntoRawFd::into_raw_fd(far);
        done(make(&mut proactor, Op::Close(Close::new(number))).0);
        expect_errno(
            make(
                &mut proactor,
                Op::Read(Read::new(number, Some(0), zeroes(1), 0)),
            )
            .0,
            EBADF,
        );
    });
}

mod libc_flags {
    pub(crate) const RDONLY: i32 = 0;
    pub(crate) const WRONLY: i32 = 1;
    pub(crate) const CREAT: i32 = 0o100;
    pub(crate) const EXCL: i32 = 0o200;
}

#[test]
fn names_are_made_and_removed() {
    on_each_backend(|mut proactor, folder| {
        drop(folder.file("a", b"content"));
        let mut ok = |op| done(make(&mut proactor, op).0);
        ok(Op::MakeDir(MakeDir::new(folder.c_path("dir"), 0o755)));
        ok(Op::Rename(Rename::new(
            folder.c_path("a"),
            folder.c_path("dir/b"),
        )));
        ok(Op::Link(Link::new(
            folder.c_path("dir/b"),
            folder.c_path("hard"),
            false,
        )));
        ok(Op::Symlink(Symlink::new(
            CString::new("dir/b").unwrap(),
            folder.c_path("soft"),
        )));
        assert_eq!(fs::read(folder.path("hard")).unwrap(), b"content");
        assert_eq!(fs::read(folder.path("soft")).unwrap(), b"content");
        assert_eq!(
            fs::read_link(folder.path("soft")).unwrap(),
            Path::new("dir/b")
        );
        ok(Op::Unlink(Unlink::new(folder.c_path("dir/b"), false)));
        ok(Op::Unlink(Unlink::new(folder.c_path("dir"), true)));
        assert!(!folder.path("dir").exists());
        expect_errno(
            make(
                &mut proactor,
                Op::Unlink(Unlink::new(folder.c_path("dir"), true)),
            )
            .0,
            ENOENT,
        );
    });
}

#[test]
fn stat_tells_what_the_library_tells() {
    on_each_backend(|mut proactor, folder| {
        let file = folder.file("a", b"content");
        std::os::unix::fs::symlink("a", folder.path("soft")).unwrap();
        let mut stat = |op| match make(&mut proactor, Op::Stat(op)).0.unwrap() {
            Outcome::Stat(stat) => stat,
            other => panic!("expected a stat, got {other:?}"),
        };
        let known = file.metadata().unwrap();
        for found in [
            stat(Stat::path(folder.c_path("a"), true)),
            stat(Stat::path(folder.c_path("soft"), true)),
            stat(Stat::file(file.as_raw_fd())),
            Stat::file(file.as_raw_fd()).now().unwrap(),
        ] {
            assert_eq!(found.get().stx_size, 7);
            assert_eq!(found.get().stx_ino, known.ino());
            assert_eq!(found.device(), known.dev());
            assert_eq!(u32::from(found.get().stx_mode), known.mode());
            assert_eq!(found.get().stx_mtime.tv_sec, known.mtime());
        }
        let link = stat(Stat::path(folder.c_path("soft"), false));
        assert_eq!(u32::from(link.get().stx_mode) & 0o170_000, 0o120_000);
        expect_errno(
            make(
                &mut proactor,
                Op::Stat(Stat::path(folder.c_path("none"), true)),
            )
            .0,
            ENOENT,
        );
    });
}

#[test]
fn many_at_once_each_complete_once() {
    on_each_backend(|mut proactor, folder| {
        let content: Vec<u8> = (0..=255).cycle().take(64 * 1024).collect();
        let file = folder.file("a", &content);
        let mut ids: Vec<(Id, usize)> = Vec::new();
        for index in 0..3000_usize {
            let offset = index * 17 % 60_000;
            let read = Read::new(file.as_raw_fd(), Some(offset as u64), zeroes(100), 0);
            ids.push((proactor.submit(Op::Read(read)), offset));
        }
        assert_eq!(proactor.len(), 3000);
        let mut completions = complete(&mut proactor, 3000);
        assert!(proactor.is_empty());
        for (id, offset) in ids {
            let index = completions.iter().position(|done| done.id == id).unwrap();
            let completion = completions.swap_remove(index);
            assert_eq!(count(completion.result), 100);
            assert_eq!(&*completion.memory.unwrap(), &content[offset..offset + 100]);
        }
    });
}

/// Counts how much memory there is at a time.
#[derive(Debug)]
struct Counted<'a> {
    length: usize,
    memory: Option<Bytes>,
    now: &'a AtomicUsize,
    most: &'a AtomicUsize,
}

// SAFETY: as for a boxed slice; it is made once.
unsafe impl Memory for Counted<'_> {
    fn len(&self) -> usize {
        self.length
    }

    fn region(&mut self) -> io::Result<NonNull<u8>> {
        assert!(self.memory.is_none());
        let now = self.now.fetch_add(self.length, Ordering::Relaxed) + self.length;
        self.most.fetch_max(now, Ordering::Relaxed);
        self.memory.insert(zeroes(self.length)).region()
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if self.memory.is_some() {
            self.now.fetch_sub(self.length, Ordering::Relaxed);
        }
    }
}

#[test]
fn memory_in_flight_is_bounded() {
    let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    on_each_backend(|proactor, folder| {
        let mut proactor = Proactor::new(Some(proactor.backend())).unwrap();
        proactor.set_max_bytes(100_000);
        most.store(0, Ordering::Relaxed);
        let file = folder.file("a", &vec![7; 200_000]);
        // One that is larger than the bound is let through alone.
        for length in [30_000; 40].into_iter().chain([150_000]) {
            let memory = Counted {
                length,
                memory: None,
                now: &now,
                most: &most,
            };
            proactor.submit(Op::Read(Read::new(file.as_raw_fd(), Some(0), memory, 0)));
        }
        assert!(proactor.in_flight() <= 3);
        let mut left = 41;
        while left > 0 {
            // What has completed is dropped before more is waited for.
            let mut done = Vec::new();
            assert_eq!(proactor.flush(), Flush::Done);
            util_wait(proactor.as_raw_fd());
            assert_eq!(proactor.drain(&mut done).unwrap(), Flush::Done);
            left -= done.len();
            for completion in done {
                assert!(count(completion.result) >= 30_000);
            }
        }
        assert_eq!(now.load(Ordering::Relaxed), 0);
        // What is drained at once is at most what was with the kernel, and as much may follow.
        assert!(most.load(Ordering::Relaxed) <= 250_000);
    });
}

fn util_wait(fd: RawFd) {
    let reactor = Reactor::new().unwrap();
    reactor.add(fd, 1, Interest::READ).unwrap();
    let (mut events, mut ready) = (Events::new(), Vec::new());
    loop {
        match reactor.wait(Timeout::Forever, &mut events, &mut ready) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            waited => return waited.unwrap(),
        }
    }
}

#[test]
fn faults_are_completions() {
    on_each_backend(|mut proactor, folder| {
        let file = folder.file("a", b"0123456789");
        proactor.inject([
            Fault::Errno(EIO),
            Fault::Errno(EINTR),
            Fault::Short(2),
            Fault::Pass,
            Fault::Errno(ENOSPC),
        ]);
        let read = || Op::Read(Read::new(file.as_raw_fd(), Some(0), zeroes(4), 0));
        let write = || {
            let memory: Bytes = b"xyz".to_vec().into();
            Op::Write(Write::new(file.as_raw_fd(), Some(0), memory, 0))
        };
        let (result, memory) = make(&mut proactor, read());
        expect_errno(result, EIO);
        assert_eq!(&*memory.unwrap(), b"\0\0\0\0");
        expect_errno(make(&mut proactor, read()).0, EINTR);
        let (result, memory) = make(&mut proactor, read());
        assert_eq!(count(result), 2);
        assert_eq!(&*memory.unwrap(), b"01\0\0");
        assert_eq!(count(make(&mut proactor, read()).0), 4);
        expect_errno(make(&mut proactor, write()).0, ENOSPC);
        assert_eq!(fs::read(folder.path("a")).unwrap(), b"0123456789");
        assert_eq!(count(make(&mut proactor, write()).0), 3);
    });
}

#[test]
fn the_rest_of_a_short_transfer_goes_behind_its_beginning() {
    on_each_backend(|mut proactor, folder| {
        let file = folder.file("a", b"0123456789");
        proactor.inject([Fault::Short(3), Fault::Short(4)]);
        let mut memory = zeroes(10);
        for (from, expected) in [(0, 3), (3, 4), (7, 3), (10, 0)] {
            let read = Read::new(
                file.as_raw_fd(),
                Some(from),
                memory,
                usize::try_from(from).unwrap(),
            );
            let (result, back) = make(&mut proactor, Op::Read(read));
            assert_eq!(count(result), expected);
            memory = back.unwrap();
        }
        assert_eq!(&*memory, b"0123456789");
        proactor.inject([Fault::Short(6)]);
        let mut memory: Bytes = b"abcdefghij".to_vec().into();
        for (from, expected) in [(0, 6), (6, 4)] {
            let write = Write::new(
                file.as_raw_fd(),
                Some(from),
                memory,
                usize::try_from(from).unwrap(),
            );
            let (result, back) = make(&mut proactor, Op::Write(write));
            assert_eq!(count(result), expected);
            memory = back.unwrap();
        }
        assert_eq!(fs::read(folder.path("a")).unwrap(), b"abcdefghij");
    });
}

#[test]
fn a_full_device_says_so() {
    let Ok(full) = File::options().write(true).open("/dev/full") else {
        return;
    };
    on_each_backend(|mut proactor, _| {
        let write = Op::Write(Write::new(full.as_raw_fd(), Some(0), zeroes(10), 0));
        expect_errno(make(&mut proactor, write).0, ENOSPC);
    });
}

#[test]
fn poll_waits_for_a_pipe() {
    on_each_backend(|mut proactor, _| {
        let (mut reader, mut writer) = io::pipe().unwrap();
        let waiting = proactor.submit(Op::Poll(Poll::new(reader.as_raw_fd(), Interest::READ)));
        let room = proactor.submit(Op::Poll(Poll::new(writer.as_raw_fd(), Interest::WRITE)));
        assert_eq!(complete(&mut proactor, 1)[0].id, room);
        writer.write_all(b"x").unwrap();
        let completion = complete(&mut proactor, 1).remove(0);
        assert_eq!(completion.id, waiting);
        done(completion.result);
        reader.read_exact(&mut [0]).unwrap();
        // The end of the stream is readiness, too.
        let waiting = proactor.submit(Op::Poll(Poll::new(reader.as_raw_fd(), Interest::READ)));
        drop(writer);
        assert_eq!(complete(&mut proactor, 1)[0].id, waiting);
    });
}

#[test]
fn cancelling_a_poll_completes_it() {
    on_each_backend(|mut proactor, _| {
        let (reader, _writer) = io::pipe().unwrap();
        let poll = || Op::Poll(Poll::new(reader.as_raw_fd(), Interest::READ));
        let (first, second) = (proactor.submit(poll()), proactor.submit(poll()));
        assert_eq!(proactor.flush(), Flush::Done);
        proactor.cancel(first);
        let completion = complete(&mut proactor, 1).remove(0);
        assert_eq!(completion.id, first);
        expect_errno(completion.result, ECANCELED);
        // Once more, and for one that is unknown: nothing.
        proactor.cancel(first);
        assert_eq!(proactor.len(), 1);
        proactor.cancel(second);
        assert_eq!(complete(&mut proactor, 1)[0].id, second);
    });
}

#[test]
fn what_waits_for_its_turn_is_cancelled_untouched() {
    on_each_backend(|mut proactor, folder| {
        proactor.set_max_bytes(10);
        let file = folder.file("a", b"0123456789");
        let first = proactor.submit(Op::Read(Read::new(
            file.as_raw_fd(),
            Some(0),
            zeroes(10),
            0,
        )));
        let memory: Bytes = b"never".to_vec().into();
        let second = proactor.submit(Op::Write(Write::new(file.as_raw_fd(), Some(0), memory, 0)));
        proactor.cancel(second);
        let mut completions = complete(&mut proactor, 2);
        completions.sort_by_key(|completion| completion.id != first);
        assert_eq!(count(completions.remove(0).result), 10);
        expect_errno(completions.remove(0).result, ECANCELED);
        assert_eq!(fs::read(folder.path("a")).unwrap(), b"0123456789");
    });
}

#[test]
fn a_close_is_not_cancelled() {
    on_each_backend(|mut proactor, folder| {
        let number = std::os::fd::IntoRawFd::into_raw_fd(folder.file("a", b"x"));
        let id = proactor.submit(Op::Close(Close::new(number)));
        proactor.cancel(id);
        assert_eq!(complete(&mut proactor, 1)[0].id, id);
        let number = std::os::fd::IntoRawFd::into_raw_fd(folder.file("a", b"x"));
        proactor.submit(Op::Close(Close::new(number)));
        drop(proactor);
        assert!(
            !Path::new(&format!("/proc/self/fd/{number}")).exists() || is_other(number, &folder)
        );
    });
}

/// Another test may have opened something under the same number meanwhile.
fn is_other(number: RawFd, folder: &Folder) -> bool {
    fs::read_link(format!("/proc/self/fd/{number}")).map_or(true, |path| path != folder.path("a"))
}

#[test]
fn cancelling_a_transfer_ends_it_one_way_or_the_other() {
    on_each_backend(|mut proactor, folder| {
        let file = folder.file("a", &vec![1; 100_000]);
        for _ in 0..50 {
            let read = Read::new(file.as_raw_fd(), Some(0), zeroes(100_000), 0);
            let id = proactor.submit(Op::Read(read));
            assert_eq!(proactor.flush(), Flush::Done);
            proactor.cancel(id);
            let completion = complete(&mut proactor, 1).remove(0);
            match completion.result {
                Ok(outcome) => assert_eq!(count(Ok(outcome)), 100_000),
                Err(error) => assert!(
                    matches!(error.raw_os_error(), Some(ECANCELED | EINTR)),
                    "{error}"
                ),
            }
            assert_eq!(completion.memory.unwrap().len(), 100_000);
        }
    });
}

#[test]
fn closing_waits_for_what_uses_memory() {
    on_each_backend(|mut proactor, folder| {
        let (reader, _writer) = io::pipe().unwrap();
        let file = folder.file("a", &vec![1; 4 << 20]);
        for _ in 0..20 {
            let read = Read::new(file.as_raw_fd(), Some(0), zeroes(4 << 20), 0);
            proactor.submit(Op::Read(read));
        }
        for _ in 0..20 {
            let memory: Bytes = vec![2; 1 << 20].into();
            let write = Write::new(file.as_raw_fd(), Some(0), memory, 0);
            proactor.submit(Op::Write(write));
        }
        proactor.submit(Op::Poll(Poll::new(reader.as_raw_fd(), Interest::READ)));
        assert_eq!(proactor.flush(), Flush::Done);
        // The memory goes with it: a kernel that still wrote would write to freed memory.
        drop(proactor);
    });
}

#[test]
fn opening_a_pipe_that_nobody_writes_to_holds_nothing_up() {
    on_each_backend(|mut proactor, folder| {
        let fifo = folder.path("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let open = || Op::Open(Open::new(c_path(&fifo), libc_flags::RDONLY, 0));
        let id = proactor.submit(open());
        proactor.submit(open());
        assert_eq!(proactor.flush(), Flush::Done);
        // Others are not in its way.
        let stat = proactor.submit(Op::Stat(Stat::path(folder.c_path("fifo"), true)));
        assert_eq!(complete(&mut proactor, 1)[0].id, stat);
        proactor.cancel(id);
        if proactor.backend() == Backend::Uring {
            let completion = complete(&mut proactor, 1).remove(0);
            assert_eq!(completion.id, id);
            assert!(completion.result.is_err());
        }
        drop(proactor);
        // Let go of the threads that still wait there.
        drop(
            rustix::fs::open(
                &fifo,
                rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NONBLOCK,
                rustix::fs::Mode::empty(),
            )
            .unwrap(),
        );
    });
}

#[test]
fn errors_are_the_kernels() {
    on_each_backend(|mut proactor, folder| {
        let read = Op::Read(Read::new(-1, Some(0), zeroes(1), 0));
        expect_errno(make(&mut proactor, read).0, EBADF);
        let file = folder.file("a", b"x");
        let read_only = File::open(folder.path("a")).unwrap();
        let write = Op::Write(Write::new(read_only.as_raw_fd(), Some(0), zeroes(1), 0));
        expect_errno(make(&mut proactor, write).0, EBADF);
        let truncate = Op::Truncate(Truncate::new(read_only.as_raw_fd(), 0));
        expect_errno(make(&mut proactor, truncate).0, EINVAL);
        drop(file);
    });
}

#[test]
fn what_is_cached_is_there_now() {
    let folder = Folder::new();
    let file = folder.file("a", b"0123456789");
    let mut memory = [std::mem::MaybeUninit::uninit(); 4];
    match read_now(file.as_raw_fd(), &mut memory, Some(3)) {
        Ok(count) => {
            assert_eq!(count, 4);
            // SAFETY: the kernel has filled four bytes.
            assert_eq!(memory.map(|byte| unsafe { byte.assume_init() }), *b"3456");
        }
        // A file system that does not know the flag.
        Err(error) => assert!(matches!(
            error.kind(),
            io::ErrorKind::Unsupported | io::ErrorKind::WouldBlock
        )),
    }
    let (reader, mut writer) = io::pipe().unwrap();
    expect_errno(
        read_now(reader.as_raw_fd(), &mut memory, None),
        util::EAGAIN,
    );
    writer.write_all(b"ab").unwrap();
    assert_eq!(read_now(reader.as_raw_fd(), &mut memory, None).unwrap(), 2);

    if let Ok(opened) = open_now(&folder.c_path("a"), libc_flags::RDONLY, 0) {
        let mut content = String::new();
        File::from(opened).read_to_string(&mut content).unwrap();
        assert_eq!(content, "0123456789");
        let stat = stat_now(&folder.c_path("a"), true).unwrap();
        assert_eq!(stat.get().stx_size, 10);
        // That there is none, the kernel may have to look up.
        let error = stat_now(&folder.c_path("none"), true).unwrap_err();
        assert!(matches!(error.raw_os_error(), Some(ENOENT | util::EAGAIN)));
    }
}

#[test]
fn the_child_of_a_fork_drops_its_copy_only() {
    on_each_backend(|mut proactor, folder| {
        let (reader, mut writer) = io::pipe().unwrap();
        let file = folder.file("a", b"0123456789");
        let waiting = proactor.submit(Op::Poll(Poll::new(reader.as_raw_fd(), Interest::READ)));
        assert_eq!(proactor.flush(), Flush::Done);
        assert!(proactor.is_ours());
        // SAFETY: the child calls nothing but the code under test and `_exit`.
        let child = unsafe { libc_fork() };
        if child == 0 {
            let ours = proactor.is_ours();
            drop(proactor);
            let mut fresh: Proactor<Bytes> = Proactor::new(None).unwrap();
            let read = Op::Read(Read::new(file.as_raw_fd(), Some(0), zeroes(4), 0));
            let works = matches!(make(&mut fresh, read).0, Ok(Outcome::Count(4)));
            // SAFETY: ends the child without running the test harness.
            unsafe { libc_exit(i32::from(ours || !works)) };
        }
        let status = rustix::process::waitpid(
            rustix::process::Pid::from_raw(child),
            rustix::process::WaitOptions::empty(),
        )
        .unwrap()
        .unwrap()
        .1;
        assert_eq!(status.exit_status(), Some(0));
        writer.write_all(b"x").unwrap();
        assert_eq!(complete(&mut proactor, 1)[0].id, waiting);
    });
}

// SAFETY: the C library's functions, with their signatures.
unsafe extern "C" {
    #[link_name = "fork"]
    fn libc_fork() -> i32;
    #[link_name = "_exit"]
    fn libc_exit(status: i32) -> !;
}
