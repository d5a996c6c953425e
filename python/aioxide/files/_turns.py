"""One operation on a file at a time, in the order they came."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque


class Turns:
    """Mixed into a file: its lock.

    ``_busy`` is the native half's flag: while it is set, the native methods keep away and ask the
    coroutines of the Python half, which come here.
    """

    _busy: bool
    _queue: deque[asyncio.Future[None]] | None = None
    _gives_way = False
    """The next operation lets the loop run an iteration when its turn has come."""

    async def _acquire(self) -> None:
        """Wait for our turn."""
        gives_way, self._gives_way = self._gives_way, False
        await self._wait_for_turn()
        if gives_way:
            try:
                await asyncio.sleep(0)
            except BaseException:
                self._release()
                raise

    async def _wait_for_turn(self) -> None:
        queue = self._queue
        if not self._busy and not queue:
            self._busy = True
            return
        if queue is None:
            queue = self._queue = deque()
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self._release()  # it was given to us in the meantime
            else:
                with contextlib.suppress(ValueError):  # passed over already
                    queue.remove(turn)
            raise

    def _release(self) -> None:
        """Let the next one have its turn."""
        queue = self._queue
        while queue:
            turn = queue.popleft()
            if not turn.done():
                turn.set_result(None)  # the flag stays: the turn is handed over
                return
        self._busy = False
