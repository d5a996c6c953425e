"""What the parts of the event loop may count on, for type checkers.

At run time the parts are plain mixins, put together in ``events.EventLoop``. Type checkers see them
as deriving from both halves of it, with the protected methods of BaseEventLoop that typeshed leaves
out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator
    from typing import Any

    from . import _aioxide

    # The native half has plainer types than typeshed's TypeVarTuples: same calls, same results.
    class LoopPart(_aioxide.LoopCore, asyncio.BaseEventLoop):  # type: ignore[misc]
        """Both halves of the event loop."""

        _old_agen_hooks: Any

        def _check_closed(self) -> None: ...
        async def _create_connection_transport(self, *args: Any, **kwargs: Any) -> Any: ...
        def _check_running(self) -> None: ...
        def _check_default_executor(self) -> None: ...
        def _getaddrinfo_debug(self, *args: Any) -> Any: ...
        def _set_coroutine_origin_tracking(self, enabled: bool) -> None: ...
        def _asyncgen_firstiter_hook(self, agen: AsyncGenerator[Any, Any]) -> None: ...
        def _asyncgen_finalizer_hook(self, agen: AsyncGenerator[Any, Any]) -> None: ...

else:
    LoopPart = object
