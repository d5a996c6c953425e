//! What the tests of the proactor share.
#![allow(dead_code, reason = "not every test uses all of it")]

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use aioxide_driver::op::{Memory, Op, Outcome};
use aioxide_driver::proactor::{Backend, Completion, Flush, Proactor};
use aioxide_driver::reactor::Events;
use aioxide_driver::{Interest, Reactor, Timeout};

pub(crate) const EINTR: i32 = 4;
pub(crate) const EIO: i32 = 5;
pub(crate) const ENOSPC: i32 = 28;
pub(crate) const ECANCELED: i32 = 125;

pub(crate) type Bytes = Box<[u8]>;

/// A folder of its own for each test and backend.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("proactor-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn c_path(&self, name: &str) -> CString {
        c_path(&self.path(name))
    }

    pub(crate) fn file(&self, name: &str, content: &[u8]) -> File {
        fs::write(self.path(name), content).unwrap();
        File::options()
            .read(true)
            .write(true)
            .open(self.path(name))
            .unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

pub(crate) fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

pub(crate) fn zeroes(length: usize) -> Bytes {
    vec![0; length].into_boxed_slice()
}

/// Runs a test on each backend that there is: both, unless this kernel or sandbox forbids io_uring.
pub(crate) fn on_each_backend(test: impl Fn(Proactor<Bytes>, Folder)) {
    for backend in [Backend::Uring, Backend::Threads] {
        match Proactor::new(Some(backend)) {
            Ok(proactor) => {
                assert_eq!(proactor.backend(), backend);
                test(proactor, Folder::new());
            }
            Err(error) => {
                assert_eq!(backend, Backend::Uring, "{error}");
                eprintln!("no io_uring here: {error}");
            }
        }
    }
}

/// Waits for so many completions, through the descriptor, as a loop does.
pub(crate) fn complete<M: Memory>(proactor: &mut Proactor<M>, count: usize) -> Vec<Completion<M>> {
    let reactor = Reactor::new().unwrap();
    reactor
        .add(proactor.as_raw_fd(), 1, Interest::READ)
        .unwrap();
    let (mut events, mut ready) = (Events::new(), Vec::new());
    let mut done = Vec::new();
    let mut flushed = proactor.flush();
    while done.len() < count {
        match flushed {
            Flush::Drain => {}
            Flush::Again(pause) => {
                let waited = reactor.wait(Timeout::For(pause), &mut events, &mut ready);
                drop(waited);
            }
            Flush::Done => match reactor.wait(Timeout::Forever, &mut events, &mut ready) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                waited => waited.unwrap(),
            },
        }
        flushed = proactor.drain(&mut done).unwrap();
    }
    assert_eq!(done.len(), count);
    done
}

/// Makes one operation.
pub(crate) fn make(
    proactor: &mut Proactor<Bytes>,
    op: Op<Bytes>,
) -> (io::Result<Outcome>, Option<Bytes>) {
    let id = proactor.submit(op);
    let completion = complete(proactor, 1).remove(0);
    assert_eq!(completion.id, id);
    (completion.result, completion.memory)
}

#[track_caller]
pub(crate) fn count(result: io::Result<Outcome>) -> usize {
    match result.unwrap() {
        Outcome::Count(count) => count,
        other => panic!("expected a count, got {other:?}"),
    }
}

#[track_caller]
pub(crate) fn done(result: io::Result<Outcome>) {
    assert!(matches!(result.unwrap(), Outcome::Done));
}
