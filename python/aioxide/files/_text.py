"""Text files: decoding, line ends and cookies by the standard library's rules and codecs."""

from __future__ import annotations

import codecs
import errno
import io
import os
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .. import _aioxide
from .._functions import dress_methods
from ._arguments import index, index_or_none
from ._turns import Turns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from ._binary import BinaryFile

# As much as the standard library decodes at a time: so `tell()` gives the same numbers.
_CHUNK = 8192

_Snapshot = tuple[int, bytes] | None


class Cookie:
    """Where a text file stands: a number for Python, five for us."""

    __slots__ = ("chars", "feed", "flags", "needs_end", "position")

    def __init__(
        self, position: int, flags: int = 0, feed: int = 0, chars: int = 0, needs_end: bool = False
    ) -> None:
        self.position = position  # of a byte where the decoder can begin,
        self.flags = flags  # in this state,
        self.feed = feed  # with so many bytes,
        self.needs_end = needs_end  # and the end of the input behind them,
        self.chars = chars  # to pass over so many characters

    @classmethod
    def unpack(cls, number: int) -> Cookie:
        """Read a number that ``tell()`` gave."""
        mask = (1 << 32) - 1
        flags, feed, chars = (number >> shift & mask for shift in (64, 96, 128))
        return cls(number & (1 << 64) - 1, flags, feed, chars, bool(number >> 160))

    def pack(self) -> int:
        """Make the number, as the builtin packs it."""
        return (
            self.position
            | self.flags << 64
            | self.feed << 96
            | self.chars << 128
            | int(self.needs_end) << 160
        )


class TextFile(_aioxide.TextCore, Turns):
    """An open file of text: the builtin's ``TextIOWrapper``, with awaitable methods.

    Made by ``aioxide.files.open``.
    """

    #: The file of bytes beneath.
    buffer: BinaryFile
    mode: str
    _closing: bool

    def __init__(
        self,
        buffer: BinaryFile,
        *,
        encoding: str,
        errors: str,
        newline: str | None,
        line_buffering: bool,
        mode: str,
    ) -> None:
        self.buffer = buffer
        self.mode = mode
        self.encoding = encoding
        self.errors = errors
        self.line_buffering = line_buffering
        self._newline = newline
        self._line_end = newline or os.linesep
        info = codecs.lookup(encoding)
        decoder: Any = None
        if buffer._readable:
            assert info.incrementaldecoder is not None
            decoder = info.incrementaldecoder(errors)
            if not newline:
                decoder = io.IncrementalNewlineDecoder(decoder, newline is None)
        self._encoder: Any = None
        self._make_encoder: Callable[[], Any] | None = None
        if buffer._writable and info.incrementalencoder is not None:
            make = info.incrementalencoder
            self._make_encoder = lambda: make(errors)
        seekable = buffer._can_seek
        self._init_text(buffer, decoder, _CHUNK, newline is None or newline == "\n", seekable)
        if seekable and buffer._writable and buffer._where() != 0:
            # No byte order mark in the middle of a file.
            self._set_encoder_state(begin=False)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__module__}.{type(self).__name__} name={self.name!r} "
            f"mode={self.mode!r} encoding={self.encoding!r}>"
        )

    async def __aenter__(self) -> Self:
        self._check_open()
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
    def name(self) -> Any:
        """What was opened: a path or a descriptor."""
        return self.buffer.name

    @property
    def closed(self) -> bool:
        """Whether ``close()`` was called."""
        return self.buffer.closed

    @property
    def newlines(self) -> str | tuple[str, ...] | None:
        """The kinds of line ends that were read so far."""
        newlines: str | tuple[str, ...] | None = getattr(self._decoder, "newlines", None)
        return newlines

    def fileno(self) -> int:
        """Return the descriptor (see ``BinaryFile.fileno``)."""
        return self.buffer.fileno()

    def readable(self) -> bool:
        """Whether it was opened for reading."""
        return self.buffer.readable()

    async def writable(self) -> bool:
        """Whether it was opened for writing."""
        return await self.buffer.writable()

    async def seekable(self) -> bool:
        """Whether it has positions."""
        return await self.buffer.seekable()

    async def isatty(self) -> bool:
        """Whether it is a terminal."""
        return await self.buffer.isatty()

    # Reading. `read`, `readline` and `async for` begin in the native half.

    async def readlines(self, hint: int | None = -1, /) -> list[str]:
        """Read the lines; a positive ``hint`` is when to stop, in characters."""
        hint = index_or_none(hint)
        self._check_open()
        lines = []
        total = 0
        async for line in self:
            lines.append(line)
            total += len(line)
            if hint is not None and 0 < hint < total:
                break
        return lines

    async def _slow_read(self, size: int | None) -> str:
        await self._acquire()
        try:
            self._check_readable()
            if size is None or (size := index(size)) < 0:
                data = await self.buffer.read()
                text: str = self._take_text(-1) + self._decoder.decode(data, True)
                self._forget()
                return text
            with self._chunks() as more:
                text = self._take_text(size)
                while len(text) < size and await more():
                    text += self._take_text(size - len(text))
            return text
        finally:
            self._release()

    async def _slow_readline(self, limit: int | None) -> str:
        limit = -1 if limit is None else index(limit)
        await self._acquire()
        try:
            self._check_readable()
            with self._chunks() as more:
                return await self._find_line(limit, more)
        finally:
            self._release()

    async def _find_line(self, limit: int, more: Callable[[], Any]) -> str:
        line = ""
        searched = 0
        while True:
            while not (part := self._take_text(-1)):
                if not await more():
                    self._forget()
                    return line
            line += part
            end = self._line_end_in(line, searched)
            if 0 <= limit < (end if end >= 0 else len(line)):
                end = limit
            if end >= 0:
                break
            if limit == len(line):
                return line
            # A line end of two characters may begin with the last one.
            searched = max(len(line) - 1, 0) if self._newline == "\r\n" else len(line)
        self._set_decoded(self._decoded, self._decoded_at - (len(line) - end))
        return line[:end]

    def _line_end_in(self, text: str, start: int) -> int:
        """Tell where the first line ends; -1 if it does not."""
        if self._newline:
            found = text.find(self._newline, start)
            return found if found < 0 else found + len(self._newline)
        newline = text.find("\n", start)
        if self._newline is None:
            return newline + 1 if newline >= 0 else -1
        # The decoder keeps a "\r" back until it has seen what follows.
        carriage = text.find("\r", start, newline if newline >= 0 else len(text))
        if carriage < 0:
            return newline + 1 if newline >= 0 else -1
        return carriage + (2 if text.startswith("\r\n", carriage) else 1)

    @contextmanager
    def _chunks(self) -> Iterator[Callable[[], Any]]:
        """Decode chunk after chunk; if that fails, all of it is there for the next operation."""
        passed: list[tuple[str, _Snapshot]] = []
        start = self._decoded_at

        async def more() -> bool:
            data = await self.buffer.read1(_CHUNK)
            before = (self._decoded or "", self._snapshot)
            fed = self._feed(data)
            passed.append(before)
            return fed

        try:
            yield more
        except BaseException:
            passed.append((self._decoded or "", self._snapshot))
            if not passed[0][0]:
                passed[:1] = [] if len(passed) > 1 else passed  # nothing was decoded before
                start = 0
            snapshots = [snapshot for _, snapshot in passed if snapshot is not None]
            if snapshots:
                self._snapshot = (snapshots[0][0], b"".join(data for _, data in snapshots))
            self._set_decoded("".join(text for text, _ in passed), start)
            raise

    def _check_open(self) -> None:
        self.buffer._check_open("I/O operation on closed file.")

    def _check_readable(self) -> None:
        self._check_open()
        if self._decoder is None:
            raise io.UnsupportedOperation("not readable")

    def _forget(self) -> None:
        """Nothing decoded is left, and what comes next comes from the file's position."""
        self._set_decoded(None, 0)
        self._snapshot = None

    # Writing

    async def write(self, text: str, /) -> int:
        """Write text; how many characters."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if self._busy:
            await self._acquire()
        else:
            self._busy = True
        try:
            self._check_open()
            if not self.buffer._writable:
                raise io.UnsupportedOperation("not writable")
            return await self._write(text)
        finally:
            self._release()

    async def _write(self, text: str) -> int:
        length = len(text)
        ends_line = self.line_buffering and ("\n" in text or "\r" in text)
        if self._newline != "" and self._line_end != "\n":
            text = text.replace("\n", self._line_end)
        encoder = self._encoder or self._get_encoder()
        data = encoder.encode(text)
        if not self.buffer._keep(data):
            await self.buffer.write(data)
        if ends_line:
            await self.buffer.flush()
        if self._decoded is not None or self._snapshot is not None:
            self._forget()
        if self._decoder is not None:
            self._decoder.reset()
        return length

    async def writelines(self, lines: Iterable[str], /) -> None:
        """Write one after the other; no line ends are added."""
        self._check_open()
        for line in lines:
            await self.write(line)

    async def flush(self) -> None:
        """Write what waits to be written."""
        self._check_open()
        await self.buffer.flush()

    async def fsync(self) -> None:
        """Flush, and wait until the disk has it (``os.fsync``)."""
        await self.buffer.fsync()

    async def fdatasync(self) -> None:
        """Flush, and wait until the disk has the data (``os.fdatasync``)."""
        await self.buffer.fdatasync()

    def _get_encoder(self) -> Any:
        assert self._make_encoder is not None
        self._encoder = self._make_encoder()
        return self._encoder

    def _set_encoder_state(self, *, begin: bool) -> None:
        if self._make_encoder is None:
            return
        encoder = self._encoder or self._get_encoder()
        if begin:
            encoder.reset()
        else:
            encoder.setstate(0)

    # Moving

    async def tell(self) -> int:
        """Return a cookie for ``seek()``."""
        await self._acquire()
        try:
            self._check_open()
            return await self._tell_text()
        finally:
            self._release()

    async def _tell_text(self) -> int:
        self._check_seekable()
        if self.buffer._pending:
            await self.buffer.flush()
        position = await self.buffer.tell()
        snapshot = self._snapshot
        if self._decoder is None or snapshot is None:
            return position
        flags, data = snapshot
        begin = Cookie(position - len(data), flags)
        if not self._decoded_at:
            return begin.pack()
        state = self._decoder.getstate()
        try:
            return self._locate(begin, data, self._decoded_at).pack()
        finally:
            self._decoder.setstate(state)

    def _locate(self, begin: Cookie, data: bytes, chars: int) -> Cookie:
        """Find the place behind so many characters of the input."""
        decoder = self._decoder
        begin, skipped, chars = self._near(begin, data, chars)
        if not chars:
            return begin
        # From there on byte by byte, noting each place where the decoder has nothing pending.
        place, fed, decoded = begin, 0, 0
        for at in range(skipped, len(data)):
            fed += 1
            decoded += len(decoder.decode(data[at : at + 1]))
            kept, flags = decoder.getstate()
            if not kept and decoded <= chars:
                place = Cookie(place.position + fed, flags)
                chars -= decoded
                fed = decoded = 0
            if decoded >= chars:
                break
        else:
            decoded += len(decoder.decode(b"", final=True))
            place.needs_end = True
            if decoded < chars:
                raise OSError("can't reconstruct logical file position")
        place.feed, place.chars = fed, chars
        return place

    def _near(self, begin: Cookie, data: bytes, chars: int) -> tuple[Cookie, int, int]:
        """Guess a place before the one that is looked for, and go back until the guess is right."""
        decoder = self._decoder
        guess = int(self._ratio * chars)
        back = 1
        while guess > 0:
            decoder.setstate((b"", begin.flags))
            count = len(decoder.decode(data[:guess]))
            if count <= chars:
                kept, flags = decoder.getstate()
                if not kept:
                    return Cookie(begin.position + guess, flags), guess, chars - count
                guess -= len(kept)
                back = 1
            else:
                guess -= back
                back *= 2
        decoder.setstate((b"", begin.flags))
        return begin, 0, chars

    async def seek(self, cookie: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to where ``tell()`` gave this cookie, to the beginning or to the end."""
        whence = index(whence)
        await self._acquire()
        try:
            self._check_open()
            self._check_seekable()
            if whence == os.SEEK_CUR:
                if cookie:
                    raise io.UnsupportedOperation("can't do nonzero cur-relative seeks")
                cookie = await self._tell_text()
            elif whence == os.SEEK_END:
                if cookie:
                    raise io.UnsupportedOperation("can't do nonzero end-relative seeks")
                position = await self.buffer.seek(0, os.SEEK_END)
                self._forget()
                if self._decoder is not None:
                    self._decoder.reset()
                self._set_encoder_state(begin=position == 0)
                return position
            elif whence != os.SEEK_SET:
                raise ValueError(f"invalid whence ({whence}, should be 0, 1 or 2)")
            if cookie < 0:
                raise ValueError(f"negative seek position {cookie!r}")
            await self._go(cookie)
            return cookie
        finally:
            self._release()

    async def _go(self, number: int) -> None:
        cookie = Cookie.unpack(number)
        decoder = self._decoder
        if cookie.position >= 1 << 63:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        await self.buffer.seek(cookie.position)
        self._forget()
        if decoder is not None:
            if not number:
                decoder.reset()
            else:
                decoder.setstate((b"", cookie.flags))
                self._snapshot = (cookie.flags, b"")
            if cookie.chars:
                data = await self.buffer.read(cookie.feed)
                self._set_decoded(decoder.decode(data, cookie.needs_end), 0)
                self._snapshot = (cookie.flags, data)
                if len(self._decoded or "") < cookie.chars:
                    raise OSError("can't restore logical file position")
                self._set_decoded(self._decoded, cookie.chars)
        if self._make_encoder is not None:
            self._set_encoder_state(begin=not number)

    def _check_seekable(self) -> None:
        if not self.buffer._can_seek:
            raise io.UnsupportedOperation("underlying stream is not seekable")

    async def truncate(self, size: int | None = None, /) -> int:
        """Make the file so many bytes long, or as long as has been taken from the buffer."""
        await self._acquire()
        try:
            self._check_open()
            if self.buffer._pending:
                await self.buffer.flush()
            # As with the builtin: where the bytes beneath stand, not the text.
            return await self.buffer.truncate(size)
        finally:
            self._release()

    # Ending

    async def close(self) -> None:
        """Flush and close. Operations that are under way come first."""
        if self.buffer.closed:
            return
        await self._acquire()
        try:
            await self.buffer.close()
        finally:
            self._release()

    def detach(self) -> BinaryFile:
        """Refuse: the buffer goes with the file."""
        raise io.UnsupportedOperation("detach")


dress_methods(TextFile)
