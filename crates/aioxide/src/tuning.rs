//! Every number that was chosen by measuring, and the measurement. Nothing here is visible to users.
//!
//! Figures are CPU time on CPython 3.13 and Linux 6.18, two cores of an AMD EPYC, loopback. The
//! driver's own limits (events of one poll, operations under way, threads) stand in
//! `aioxide-driver` where they are used; numbers that are asyncio's (`max_size`, the water marks,
//! the delay after a full descriptor table) are no choice of ours.

// Polling.

/// While callbacks are ready and no file descriptor is watched: look for Python's signal handlers
/// every so many iterations. asyncio's callbacks are all Python, which looks by itself.
pub(crate) const SIGNAL_ITERATIONS: u32 = 16;

// Other threads.

/// Entries in the ready queue from which on `call_soon_threadsafe` releases the GIL in a thread that
/// does not run the loop.
pub(crate) const THREAD_BACKLOG: usize = 256;

// Receiving.

/// How much one call receives. A message of 100 KiB comes in one piece, and the `bytes` made of it
/// stays below the 128 KiB from which on a fresh malloc asks the kernel for every block (a quarter
/// of the throughput). Receiving several times for one event, and 32, 64, 96 or 250 KiB at a time,
/// were within the noise of 1.04 to 1.11 times less than uvloop for a bulk receive.
pub(crate) const RECEIVE: usize = 120 * 1024;
/// So much further in its memory the next one is received. The processor copies ten times slower to
/// where begins 1 to 31 bytes behind its source, seen from the beginnings of their pages (100 KiB
/// received in 57 µs instead of 11, AMD's Zen 3). Whether a fixed buffer is such a place for the
/// kernel's is chance, and then stays: Protocol 10 x 100 KiB cost 96 µs instead of 42 with `bytes` at
/// one address. Moving, one in 64 is slow at most.
pub(crate) const RECEIVE_SHIFT: usize = 64;
/// After a message of at least so much, the next one may be received straight into its `bytes`: that
/// saves 3 µs of copying 100 KiB. Whether it is at such a place shows in how long it takes; then the
/// memory that moves is used for a while (`aioxide_core::Pace`). Over uvloop, without it and with it:
/// bulk receive 1.12x and 1.27x; Protocol 1, 10, 100, 1,000 x 100 KiB 1.02x, 1.00x, 1.09x, 1.04x and
/// 1.09x, 1.06x, 1.12x, 1.10x. Asking how much there is and looking at the clock take a quarter of
/// a microsecond.
pub(crate) const RECEIVE_LARGE: usize = 32 * 1024;
/// At once at most so much of it, asyncio's `max_size`: 120 KiB at a time left a tenth of the calls
/// with the last few KiB of what was there.
pub(crate) const RECEIVE_STRAIGHT: usize = 256 * 1024;
/// Of memory, as the processor sees it.
pub(crate) const PAGE: usize = 4096;
/// How many datagrams one event delivers at most; then others have their turn. Where hundreds wait,
/// one costs 1870 ns if each has an event of its own, 1085 ns with 16 of them, 1035 with 32, 1015
/// with 128.
pub(crate) const DATAGRAMS: u32 = 32;

// Sending.

/// Held back at most until a turn is over: from here on a system call costs less than the
/// copying that it does. Holding back makes three writes of 64 bytes cost 13.9 µs instead of 29.
pub(crate) const CORK: u64 = 32 * 1024;
/// So many connections hold back at a time; then all of them send, so that the first to answer does
/// not wait for a thousand others. With 16, each of 100 requests to aiohttp's server costs 2 to 11 %
/// more; the latency of an echo is the same.
pub(crate) const CORK_TRANSPORTS: usize = 256;
/// All connections together hold back at most so much: more leaves the processor's caches before it
/// is sent, and the heap grows and shrinks in each turn. Over uvloop in two runs, without it and
/// with it: 1,000 connections that echo 10 KiB 1.16x and 1.08x, 1.21x and 1.23x; 100 with a
/// `BufferedProtocol` while malloc is fresh 0.76x and 0.80x, 1.17x and 1.12x. 256 KiB are as good for
/// these; aiohttp's answers of 10 KiB were at 1.36x and 1.45x with it, at 1.45x and 1.58x with this.
pub(crate) const CORK_ALL: usize = 512 * 1024;
/// Up to here, held back pieces are put together before they are sent: `send` of one piece costs
/// some 100 ns less than `sendmsg` of several, which is what copying 4 KiB takes.
pub(crate) const CORK_GATHER: usize = 4 * 1024;
/// So many pieces are held back by reference; more are put together as they come, so that the list
/// of a callback that writes single bytes stays short.
pub(crate) const CORK_PIECES: usize = 16;
/// From this size on, data that the socket did not take is referred to: copying it costs more than
/// the reference, whose owner then stays alive.
pub(crate) const QUEUE_LARGE: usize = 4 * 1024;
/// Smaller data is put together up to this size.
pub(crate) const QUEUE_CHUNK: usize = 64 * 1024;
/// How many chunks one system call takes. More would cost more stack than they save calls.
pub(crate) const QUEUE_SLICES: usize = 64;

// Memory that is kept.

/// Dead handles kept for reuse while the loop is busy: for a burst of 100,000 callbacks this halves
/// what each of them costs (allocating and unmapping is the other half).
pub(crate) const HANDLES: usize = 131_072;
/// What is kept of them when the loop goes to sleep, in the end.
pub(crate) const HANDLES_ASLEEP: usize = 2048;

// Files.

/// A task that reads what is in the page cache never waits. After so many calls it lets the loop turn
/// once: that is a fifth of a millisecond.
pub(crate) const FILE_TURN: usize = 1024;
/// A call that reads from the file counts for so many more,
pub(crate) const FILE_READ: usize = 8;
/// and for one more for each such piece.
pub(crate) const FILE_PIECE: usize = 4096;
/// Reads of at least so many bytes go past the chunk.
pub(crate) const FILE_DIRECT: usize = 2048;
/// Before a read of more than this the file is asked how long it is, so that no memory is made in vain.
pub(crate) const FILE_ASK: usize = 64 * 1024;
/// What is copied in one step of the loop at most; more is a kernel thread's work.
pub(crate) const FILE_STEP: usize = 1024 * 1024;
