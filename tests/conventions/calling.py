"""Makes one call on asyncio and on aioxide, each with everything fresh, and compares them."""

from __future__ import annotations

import asyncio
import inspect
import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from conventions import subjects
from helpers import collect, implementation
from misuse.calls import nobody_asked, nobody_told
from misuse.stage import Seen, Stage, in_thread

if TYPE_CHECKING:
    from conventions.variants import Variant

Finder = Callable[[Any, "Stage"], Any]


def signature_of(function: Any) -> inspect.Signature | None:
    """Return the signature that `inspect` knows, or None."""
    try:
        return inspect.signature(function)
    except (ValueError, TypeError):
        return None


def run_one(
    name: str,
    subject: subjects.Maker | None,
    find: Finder,
    variant: Variant,
    *,
    threaded: bool,
    waits: bool,
    thorough: bool,
) -> Seen:
    """Make one call on one implementation."""
    stage = Stage(implementation(name), thorough=thorough)

    async def body() -> Seen:
        await stage.prepare()
        made = None if subject is None else await subject(stage)
        function = find(made, stage)
        positional = [factory(stage) for factory in variant.positional]
        named = {key: factory(stage) for key, factory in variant.named.items()}

        def call() -> Any:
            result = function(*positional, **named)
            return bool(result) if getattr(function, "__name__", "") == "get_pid" else result

        try:
            return await stage.outcome((lambda: in_thread(call)) if threaded else call, waits=waits)
        finally:
            await subjects.end_child(stage)

    try:
        seen: Seen = stage.run(body())
        return seen
    except (Exception, asyncio.CancelledError) as error:
        return Seen("left the loop", type(error))
    finally:
        stage.leave()


def observed(name: str, *call: Any, **options: Any) -> Seen:
    """Make one call on one implementation, and note what nobody could be told of."""
    unraisable: list[Any] = []
    hook = sys.unraisablehook
    sys.unraisablehook = lambda args: unraisable.append(args.exc_type)
    try:
        seen = run_one(name, *call, **options)
        if unraisable:
            collect()
    finally:
        sys.unraisablehook = hook
    seen.unraisable = unraisable
    return seen


def differences(
    subject: subjects.Maker | None,
    find: Finder,
    variant: Variant,
    *,
    threaded: bool = False,
    waits: bool = True,
) -> list[str]:
    """Make one call on both implementations; say what is not the same."""
    found: list[str] = []
    # What a result leaves behind is finalized at once on the one, at a collection on the other.
    for thorough in (False, True):
        with nobody_told(), nobody_asked(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stock, ours = (
                observed(
                    name, subject, find, variant, threaded=threaded, waits=waits, thorough=thorough
                )
                for name in ("asyncio", "aioxide")
            )
        if subject in (subjects.process, subjects.subprocess_transport):
            # What is registered for a child is a matter of time, and of how its end is noticed.
            stock.effects.pop("registered", None)
            if stock.how == ours.how == "pending":
                stock.what = ours.what = None
        found = stock.differences(ours)
        if not found:
            break
    return [f"{variant.title}: {each}" for each in found]
