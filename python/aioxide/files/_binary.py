"""Binary files: what the native half leaves to do, because it has to wait or to complain."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import os
import stat
import warnings
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .. import _aioxide
from .._functions import dress_methods
from ._arguments import check_position, check_whence, index, index_or_none, offset
from ._parts import insist, joined, write_rest
from ._sizes import clip, clip_at, guess
from ._turns import Turns

if TYPE_CHECKING:
    from typing import Self

    from typing_extensions import Buffer

# Reads of at least so many bytes go past what is read ahead, as in the native half.
_DIRECT = 2048
# What a pipe that was reported writable surely takes.
_PIPE_BUF = 4096


class BinaryFile(_aioxide.FileCore, Turns):
    """An open file of bytes: the builtin's buffered (or raw) file, with awaitable methods.

    Made by ``aioxide.files.open``. Operations of several tasks on one file happen one after the
    other, except for ``pread`` and ``pwrite``.
    """

    #: What was opened: a path or a descriptor.
    name: Any
    mode: str
    _appending: bool
    _closefd: bool
    _regular: bool
    #: `lseek` works. Only regular files and block devices are read by offset (`_positioned`).
    _can_seek: bool
    #: The kernel refuses `pwrite`: files of /proc.
    _refuses_pwrite = False

    def __init__(
        self,
        fd: int,
        *,
        name: Any,
        mode: str,
        status: os.stat_result,
        buffer_size: int,
        closefd: bool,
        nonblocking: bool = False,
    ) -> None:
        self.name = name
        self.mode = mode
        self._closefd = closefd
        self._appending = "a" in mode
        self._regular = stat.S_ISREG(status.st_mode)
        try:
            position = os.lseek(fd, 0, os.SEEK_END if self._appending else os.SEEK_CUR)
            self._can_seek = True
        except OSError as error:
            if self._appending and error.errno != errno.ESPIPE:
                raise
            position, self._can_seek = 0, False
        positioned = self._can_seek and (self._regular or stat.S_ISBLK(status.st_mode))
        self._nonblocking = nonblocking
        if "+" in mode and buffer_size and not self._can_seek:
            raise io.UnsupportedOperation("File or stream is not seekable.")
        readable = "r" in mode or "+" in mode
        writable = "r" not in mode or "+" in mode
        self._init_core(fd, readable, writable, positioned, buffer_size, position)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__module__}.{type(self).__name__} name={self.name!r} mode={self.mode!r}>"
        )

    def __del__(self) -> None:
        fd = getattr(self, "_fd", -1)
        if fd < 0:
            return
        self._fd = -1
        try:
            if self._closefd:
                message = f"unclosed file {self!r}"
                warnings.warn(message, ResourceWarning, source=self, stacklevel=2)
        finally:
            write_rest(self, fd)
            if self._closefd:
                os.close(fd)

    async def __aenter__(self) -> Self:
        if self._fd < 0:
            raise ValueError("I/O operation on closed file.")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    # What it is

    @property
    def closed(self) -> bool:
        """Whether ``close()`` was called."""
        return self._fd < 0

    @property
    def raw(self) -> bool:
        """Whether nothing is buffered."""
        return self._buffer_size == 0

    def fileno(self) -> int:
        """Return the descriptor.

        Its own position is brought to where this file stands: reads and writes here do not move it.
        """
        self._check_open()
        self._settle()
        return self._fd

    def readable(self) -> bool:
        """Whether it was opened for reading."""
        self._check_open()
        return self._readable

    async def writable(self) -> bool:
        """Whether it was opened for writing."""
        self._check_open()
        return self._writable

    async def seekable(self) -> bool:
        """Whether it has positions."""
        self._check_open()
        return self._can_seek

    async def isatty(self) -> bool:
        """Whether it is a terminal."""
        self._check_open()
        return os.isatty(self._fd)

    # Reading. `read`, `readline`, `pread` and `async for` begin in the native half.

    async def read1(self, size: int = -1, /) -> bytes:
        """Read what is there, or what one read of the file gives: up to ``size`` bytes."""
        self._check_buffered("read1")
        size = index(size)
        await self._acquire()
        try:
            await self._begin_reading("read", "read1")
            if size < 0:
                size = self._buffer_size
            if self._left or not size:
                return self._take(size)
            return await self._fetch(size)
        finally:
            self._release()

    async def peek(self, size: int = 0, /) -> bytes:
        """Return what is read ahead without moving; at least a byte, unless it is the end."""
        self._check_buffered("peek")
        index(size)
        await self._acquire()
        try:
            await self._begin_reading("peek", "peek")
            if not self._left:
                self._set_chunk(await self._fetch(self._buffer_size))
            data = self._take(-1)
            self._set_chunk(data)
            return data
        finally:
            self._release()

    async def readinto(self, buffer: Buffer, /) -> int:
        """Fill the buffer, as far as the file goes; how many bytes."""
        return await self._into(buffer, whole=self._buffer_size > 0, unsupported="read")

    async def readinto1(self, buffer: Buffer, /) -> int:
        """Fill the buffer with what is there, or with what one read of the file gives."""
        self._check_buffered("readinto1")
        return await self._into(buffer, whole=False, unsupported="read1")

    async def readall(self) -> bytes:
        """Read to the end."""
        return await self.read()

    async def readlines(self, hint: int | None = -1, /) -> list[bytes]:
        """Read the lines; with a positive ``hint`` only so many that they have that many bytes."""
        hint = index_or_none(hint)
        if self._fd < 0:
            raise ValueError("I/O operation on closed file.")
        lines = []
        total = 0
        async for line in self:
            lines.append(line)
            total += len(line)
            if hint is not None and 0 < hint < total:
                break
        return lines

    async def _slow_read(self, size: int | None) -> bytes:
        await self._acquire()
        try:
            await self._begin_reading("read", "read")
            if size is None or (size := index(size)) < 0:
                return await self._read_all()
            if not self._buffer_size:
                return await self._fetch(clip(self, size)) if size else b""
            return await self._read_up_to(size)
        finally:
            self._release()

    async def _read_all(self) -> bytes:
        parts = [self._take(-1)]
        try:
            while True:
                data = await self._fetch(guess(self))
                if not data:
                    return joined(parts)
                parts.append(data)
        except BaseException:
            self._push_back(parts)
            raise

    async def _read_up_to(self, size: int) -> bytes:
        data = self._take(size)
        parts = [data]
        missing = size - len(data)
        try:
            while missing:
                if missing >= _DIRECT:
                    data = await self._fetch(clip(self, missing))
                else:
                    chunk = await self._fetch(self._buffer_size)
                    self._set_chunk(chunk)
                    data = self._take(missing)
                if not data:
                    break
                parts.append(data)
                missing -= len(data)
        except BaseException:
            self._push_back(parts)
            raise
        return joined(parts)

    async def _slow_readline(self, limit: int | None) -> bytes:
        limit = -1 if limit is None else index(limit)
        await self._acquire()
        try:
            await self._begin_reading("readline", "read")
            parts: list[bytes] = []
            missing = limit
            try:
                while True:
                    part = self._take_line(missing)
                    parts.append(part)
                    missing -= len(part)
                    if part.endswith(b"\n") or missing == 0:
                        break
                    data = await self._fetch(self._line_step())
                    if not data:
                        break
                    self._set_chunk(data)
            except BaseException:
                self._push_back(parts)
                raise
            if not self._buffer_size:
                self._drop_chunk()
            return joined(parts)
        finally:
            self._release()

    def _line_step(self) -> int:
        if self._buffer_size:
            return self._buffer_size
        # Without a buffer, what is behind the line must be there for the next read.
        return io.DEFAULT_BUFFER_SIZE if self._positioned else 1

    async def _slow_pread(self, size: int, offset: int) -> bytes:
        self._check_open()
        if not self._readable:
            raise io.UnsupportedOperation("not readable")
        await self._settle_pending()
        self._users += 1
        try:
            return await _aioxide.file_read(self._fd, clip_at(self, size, offset), offset)
        finally:
            self._leave()

    async def _into(self, buffer: Buffer, *, whole: bool, unsupported: str) -> int:
        view = memoryview(buffer)
        if view.readonly:
            raise TypeError("readinto() argument must be read-write bytes-like object, not bytes")
        view = view.cast("B") if view.nbytes else view
        await self._acquire()
        try:
            await self._begin_reading("readinto", unsupported)
            size = view.nbytes
            data = self._take(size)
            done = len(data)
            view[:done] = data
            while done < size and (whole or not done):
                count = await self._fetch_into(view, done)
                if not count:
                    break
                done += count
            return done
        finally:
            self._release()

    async def _fetch_into(self, view: memoryview, start: int) -> int:
        if not self._positioned:
            data = await self._fetch(view.nbytes - start)
            view[start : start + len(data)] = data
            return len(data)
        # Into the caller's memory itself, which is aligned if the file needs that (O_DIRECT).
        count = await _aioxide.file_readinto(self._fd, view, start, self._position)
        self._position += count
        return count

    async def _begin_reading(self, method: str, unsupported: str) -> None:
        """Check that we may read, and write what waits first. Our turn it is already."""
        if not self._buffer_size:
            self._check_open()
            if not self._readable:
                raise io.UnsupportedOperation("File not open for reading")
        elif not self._readable:
            raise io.UnsupportedOperation(unsupported)
        else:
            self._check_open(f"{method} of closed file")
        if self._pending:
            await self._write_pending()

    async def _fetch(self, size: int) -> bytes:
        """Read up to ``size`` bytes of the file, and move the raw position by what came."""
        if not self._positioned:
            return await self._fetch_stream(size)
        data = await _aioxide.file_read(self._fd, size, self._position)
        self._position += len(data)
        return data

    async def _fetch_stream(self, size: int) -> bytes:
        """Read what a pipe or a terminal has, once it has something."""
        fd = self._fd
        while (data := await _aioxide.file_read_stream(fd, size)) is None:
            await _aioxide.file_poll(fd, False)
            if (data := await _aioxide.file_read_stream(fd, size)) is not None:
                return data
            if os.get_blocking(fd):
                # A kind of file that cannot be asked; it has just been reported ready.
                return await _aioxide.file_read(fd, size, None)
        return data

    def _push_back(self, parts: list[bytes]) -> None:
        """What was read for an operation that fails is there for the next one."""
        parts.append(self._take(-1))
        self._set_chunk(joined(parts))
        if not self._buffer_size and self._positioned:
            self._drop_chunk()

    # Writing. `write` begins in the native half.

    async def writelines(self, lines: Iterable[Buffer], /) -> None:
        """Write one after the other; no line ends are added."""
        if self._fd < 0:
            raise ValueError("I/O operation on closed file.")
        for line in lines:
            await self.write(line)

    async def pwrite(self, data: Buffer, offset: int) -> int:
        """Write at an offset; how many bytes. The position stays."""
        self._check_open()
        if not self._writable:
            raise io.UnsupportedOperation("not writable")
        if offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        await self._settle_pending()
        if not self._busy and self._left and self._positioned:
            self._drop_chunk()  # it may not be what the file has, after this
        self._users += 1
        report: list[int] = []
        try:
            await _aioxide.file_write(self._fd, data, 0, offset, report)
            return report[0]
        finally:
            self._leave()

    async def flush(self) -> None:
        """Write what waits to be written."""
        await self._acquire()
        try:
            if self._fd < 0:
                writes = self._writable and self._buffer_size
                raise ValueError(
                    "flush of closed file" if writes else "I/O operation on closed file."
                )
            await self._write_pending()
            self._settle()
        finally:
            self._release()

    async def fsync(self) -> None:
        """Flush, and wait until the disk has it (``os.fsync``)."""
        await self._sync(False)

    async def fdatasync(self) -> None:
        """Flush, and wait until the disk has the data (``os.fdatasync``)."""
        await self._sync(True)

    async def _sync(self, data_only: bool) -> None:
        await self._acquire()
        try:
            self._check_open()
            await self._write_pending()
            while True:
                try:
                    return await _aioxide.file_sync(self._fd, data_only)
                except InterruptedError:
                    continue
        finally:
            self._release()

    async def _slow_write(self, data: Buffer) -> int:
        if self._buffer_size and not self._writable:
            raise io.UnsupportedOperation("write")
        size = memoryview(data).nbytes
        await self._acquire()
        try:
            self._check_open("write to closed file" if self._buffer_size else None)
            if not self._writable:
                raise io.UnsupportedOperation("File not open for writing")
            if self._left:
                self._drop_chunk()
            if not self._buffer_size:
                # A pipe that blocks takes everything in one write.
                once = self._positioned or self._nonblocking
                return await self._write_out(data, size, once=once) if size else 0
            if self._pending + size > self._buffer_size:
                await self._write_pending()
            if size <= self._buffer_size:
                self._put(data)
            else:
                await self._write_out(data, size)
            return size
        finally:
            self._release()

    async def _write_pending(self) -> None:
        """Write all that waits. Ours is the turn."""
        while size := self._pending:
            await self._write_out(self._get_pending(), size, pending=True)

    async def _write_out(
        self, data: Buffer, size: int, *, once: bool = False, pending: bool = False
    ) -> int:
        """Write data at the raw position.

        Once a part of it is in the file, the rest follows even if we are cancelled: a write has
        happened or it has not. What was pending stays pending, and is written some other time.
        """
        done = 0
        cancelled: BaseException | None = None
        while done < size:
            report: list[int] = []
            try:
                await self._write_some(data, done, report)
            except asyncio.CancelledError as error:
                if not report and not (done and self._positioned):
                    raise
                cancelled = error
            finally:
                count = sum(report)
                done += count
                self._moved(count, pending)
            if once or (pending and cancelled):
                break
        if cancelled:
            raise cancelled
        return done

    async def _write_some(self, data: Buffer, start: int, report: list[int]) -> None:
        if not self._positioned:
            await self._write_stream(data, start, report)
            return
        position = None if self._appending else self._position
        if position is not None and not self._refuses_pwrite:
            try:
                await _aioxide.file_write(self._fd, data, start, position, report)
            except OSError as error:
                if error.errno != errno.ESPIPE:
                    raise
                self._refuses_pwrite = True
            else:
                return
        if position is not None:
            os.lseek(self._fd, position, os.SEEK_SET)
        await _aioxide.file_write(self._fd, data, start, None, report)

    async def _write_stream(self, data: Buffer, start: int, report: list[int]) -> None:
        fd = self._fd
        view = memoryview(data).cast("B")[start:]
        while (count := await _aioxide.file_write_stream(fd, view)) is None:
            await _aioxide.file_poll(fd, True)
            if os.get_blocking(fd):
                await _aioxide.file_write(fd, view[:_PIPE_BUF], 0, None, report)
                return
        report.append(count)

    def _moved(self, count: int, pending: bool) -> None:
        if pending:
            self._written(count)
        elif not self._appending:
            self._position += count
        if self._appending and self._positioned and count:
            self._position = os.lseek(self._fd, 0, os.SEEK_CUR)

    # Moving

    async def seek(self, target: int, whence: int = os.SEEK_SET, /) -> int:
        """Set the position, in bytes; return the new one."""
        buffered = self._buffer_size > 0
        whence = check_whence(whence, buffered=buffered)
        await self._acquire()
        try:
            self._check_open("seek of closed file" if buffered else None)
            if not self._can_seek:
                if buffered:
                    raise io.UnsupportedOperation("File or stream is not seekable.")
                return os.lseek(self._fd, offset(target, buffered=False), whence)
            target = offset(target, buffered=buffered)
            if self._pending:
                await self._write_pending()
            return self._seek(target, whence)
        finally:
            self._release()

    def _seek(self, target: int, whence: int) -> int:
        if not self._positioned:
            if whence == os.SEEK_CUR:
                target -= self._left
            target = os.lseek(self._fd, target, whence)
            self._drop_chunk()
            return target
        if whence == os.SEEK_CUR:
            target += self._tell()
        elif whence != os.SEEK_SET:
            target = os.lseek(self._fd, target, whence)
        check_position(self._fd, target)
        back = self._position - target
        if 0 < back <= self._left:
            self._take(self._left - back)
        else:
            self._drop_chunk()
            self._position = target
        return target

    async def tell(self) -> int:
        """Return the position."""
        self._check_open()
        if not self._can_seek:
            return os.lseek(self._fd, 0, os.SEEK_CUR)  # the kernel says why
        if not self._busy:
            return self._where()
        await self._acquire()
        try:
            self._check_open()
            return self._where()
        finally:
            self._release()

    def _where(self) -> int:
        """Return the position, of a device as the kernel tells it."""
        if self._positioned or not self._can_seek:
            return self._tell()
        known = os.lseek(self._fd, 0, os.SEEK_CUR)
        return max(known + self._pending - self._left, 0)

    async def truncate(self, size: int | None = None, /) -> int:
        """Make the file so long, or as long as up to the position; how long. The position stays."""
        await self._acquire()
        try:
            if self._buffer_size and not self._writable and self._fd >= 0:
                raise io.UnsupportedOperation("truncate")
            self._check_open("truncate of closed file" if self._buffer_size else None)
            if not self._writable:
                raise io.UnsupportedOperation("File not open for writing")
            if self._buffer_size:
                await self._write_pending()
            if size is None:
                size = self._where()
            length = offset(size, buffered=False)
            self._drop_chunk()
            while True:
                try:
                    await _aioxide.file_truncate(self._fd, length)
                except InterruptedError:
                    continue
                return size
        finally:
            self._release()

    # Ending

    async def close(self) -> None:
        """Flush and close. Operations that are under way come first.

        The descriptor is closed also if that fails, or is cancelled.
        """
        if self._fd < 0:
            return
        await self._acquire()
        try:
            if self._fd >= 0:
                await self._close()
        finally:
            self._release()

    async def _close(self) -> None:
        try:
            await insist(self._write_pending, lambda: self._positioned and self._pending > 0)
            self._settle()
        finally:
            fd = self._fd
            self._fd = -1
            self._set_chunk(b"")
            try:
                while self._users:
                    self._unused = asyncio.get_running_loop().create_future()
                    await self._unused
            finally:
                if self._closefd:
                    await self._close_fd(fd)

    async def _close_fd(self, fd: int) -> None:
        if not self._writable or not self._regular:
            os.close(fd)  # there is nothing to wait for
            return
        with contextlib.suppress(InterruptedError):  # Linux has closed it
            await _aioxide.file_close(fd)

    def detach(self) -> None:
        """Refuse: there is no raw file beneath."""
        raise io.UnsupportedOperation("detach")

    # What the others share

    def _check_open(self, message: str | None = None) -> None:
        if self._fd < 0:
            raise ValueError(message or "I/O operation on closed file")

    def _check_buffered(self, method: str) -> None:
        if not self._buffer_size:
            raise io.UnsupportedOperation(method)

    def _settle(self) -> None:
        """Bring the descriptor's own position to where we are."""
        if self._positioned and not self._appending and self._regular:
            os.lseek(self._fd, self._position, os.SEEK_SET)

    async def _settle_pending(self) -> None:
        """Write what waits, so that positioned reads and writes find it in the file."""
        if self._pending:
            await self._acquire()
            try:
                self._check_open()
                await self._write_pending()
            finally:
                self._release()
            self._check_open()

    def _leave(self) -> None:
        self._users -= 1
        if not self._users and self._unused is not None and not self._unused.done():
            self._unused.set_result(None)


dress_methods(BinaryFile)
