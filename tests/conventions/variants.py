"""From a signature to the calls that tell one calling convention from another."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from conventions.arguments import argument
from misuse.values import Factory, Raising, function, same

P = inspect.Parameter


@dataclass(frozen=True)
class Variant:
    """One call: what is given by position, and what by name."""

    title: str
    positional: tuple[Factory, ...] = ()
    named: dict[str, Factory] = field(default_factory=dict)


@dataclass(frozen=True)
class Shape:
    """The parameters of a function, with a valid argument for each."""

    owner: str
    by_position: tuple[P, ...]
    by_name_only: tuple[P, ...]
    takes_more: bool
    takes_any_name: bool

    @classmethod
    def of(cls, owner: str, signature: inspect.Signature) -> Shape:
        """Read a signature."""
        parameters = signature.parameters.values()
        kinds = {parameter.kind for parameter in parameters}
        return cls(
            owner,
            tuple(p for p in parameters if p.kind in (P.POSITIONAL_ONLY, P.POSITIONAL_OR_KEYWORD)),
            tuple(p for p in parameters if p.kind is P.KEYWORD_ONLY),
            P.VAR_POSITIONAL in kinds,
            P.VAR_KEYWORD in kinds,
        )

    def value(self, parameter: P) -> Factory:
        """Return the factory of a parameter's argument."""
        return argument(self.owner, parameter.name)

    def named(self, parameters: tuple[P, ...]) -> dict[str, Factory]:
        """Return arguments by name."""
        return {p.name: self.value(p) for p in parameters}

    def given(self, parameters: tuple[P, ...]) -> tuple[Factory, ...]:
        """Return arguments by position."""
        return tuple(self.value(p) for p in parameters)


def required(parameters: tuple[P, ...]) -> tuple[P, ...]:
    """Return the parameters without a default."""
    return tuple(p for p in parameters if p.default is P.empty)


def ways_to_call(shape: Shape) -> Iterator[Variant]:
    """Yield every way to call: by position, by name, too few, too many, twice, unknown."""
    positional, keyword = shape.by_position, shape.by_name_only
    needed, needed_names = required(positional), shape.named(required(keyword))
    yield Variant("required by position", shape.given(needed), needed_names)
    yield Variant("no argument at all")
    if positional:
        yield Variant("everything by position", shape.given(positional), needed_names)
        yield Variant("required by name", (), {**shape.named(needed), **needed_names})
        yield Variant("everything by name", (), shape.named(positional + keyword))
    for parameter in (*positional, *keyword):
        if parameter.default is not P.empty:
            one = {parameter.name: shape.value(parameter)}
            yield Variant(f"{parameter.name}= alone", shape.given(needed), {**needed_names, **one})
    for index, parameter in enumerate(positional):
        one = {parameter.name: shape.value(parameter)}
        rest = shape.named(required(positional[index + 1 :]))
        yield Variant(
            f"{parameter.name} twice",
            shape.given(positional[: index + 1]),
            {**one, **rest, **needed_names},
        )
        yield Variant(
            f"by name from {parameter.name} on",
            shape.given(positional[:index]),
            {**one, **rest, **needed_names},
        )
    for parameter in required(positional + keyword):
        others = tuple(p for p in required(positional + keyword) if p is not parameter)
        yield Variant(f"without {parameter.name}", (), shape.named(others))
    # One more is a mistake, or one of the *args.
    yield Variant("one more", (*shape.given(positional), same(1)), needed_names)
    if not shape.takes_any_name:
        yield Variant(
            "an unknown name", shape.given(needed), {**needed_names, "unheard_of": same(None)}
        )


#: What a parameter is given that takes something else.
MISUSED: dict[str, Factory] = {
    "None": same(None),
    "an object": lambda stage: object(),
    "a negative number": same(-1),
    "a fraction": same(0.5),
    "nan": same(math.nan),
    "infinity": same(math.inf),
    "a huge number": same(10**30),
    "text": same("text"),
    "a list": lambda stage: [],
    "a class": same(complex),
    "a function": same(function),
    "a value that raises": lambda stage: Raising(),
}


def misuses(shape: Shape) -> Iterator[Variant]:
    """Yield calls with one argument of a wrong type or value, each parameter in turn."""
    positional, keyword = shape.by_position, shape.by_name_only
    needed_names = shape.named(required(keyword))
    for index, parameter in enumerate(positional):
        for what, make in MISUSED.items():
            yield Variant(
                f"{parameter.name}: {what}",
                (
                    *shape.given(positional[:index]),
                    make,
                    *shape.given(required(positional[index + 1 :])),
                ),
                needed_names,
            )
    for parameter in keyword:
        for what, make in MISUSED.items():
            yield Variant(
                f"{parameter.name}={what}",
                shape.given(required(positional)),
                {**needed_names, parameter.name: make},
            )
