"""A griffe extension: what the reference needs to know of classes whose methods are native.

Names, order and defaults of parameters and the descriptions come from the running extension, types
from where a type checker takes them: `_aioxide.pyi`, and typeshed for what asyncio declares too.
A class shows all members that are ours, its own and those of its native half; what it takes over
from asyncio is named in one sentence.
"""

from __future__ import annotations

import inspect
from functools import cache
from pathlib import Path
from typing import Any

import griffe
import mypy

PACKAGE = Path(__file__).resolve().parent.parent / "python/aioxide"
_TYPESHED = Path(mypy.__file__).parent / "typeshed/stdlib"
_MODULES = (
    "_asyncio", "asyncio.events", "asyncio.locks", "asyncio.queues", "asyncio.streams",
    "asyncio.tasks", "asyncio.timeouts",
)  # fmt: skip


class NativeMembers(griffe.Extension):
    """Replaces what griffe's inspection finds in a class by what is there."""

    def on_class_members(self, *, cls: griffe.Class, node: Any, **_: Any) -> None:
        """Give the class its public members, in the order of the alphabet."""
        if isinstance(node, griffe.ObjectNode) and cls.path.startswith("aioxide."):
            for name in [name for name in cls.members if not name.startswith("_")]:
                cls.del_member(name)
            for name in own_members(node.obj):
                cls.set_member(name, _member(node.obj, name))

    def on_class_instance(self, *, node: Any, cls: griffe.Class, **_: Any) -> None:
        """Show how the class is called."""
        if isinstance(node, griffe.ObjectNode) and "__init__" not in cls.members:
            made = _function("__init__", node.obj, stub(node.obj, "__init__"))
            if made.parameters:
                cls.set_member("__init__", made)

    def on_function_instance(self, *, node: Any, func: griffe.Function, **_: Any) -> None:
        """Give a native function its types, and say whether it is awaited."""
        if isinstance(node, griffe.ObjectNode) and func.path.startswith("aioxide."):
            typed = _function(func.name, node.obj, stub(None, func.name))
            func.parameters, func.returns = typed.parameters, typed.returns
            func.labels = {"async"} if inspect.iscoroutinefunction(node.obj) else set()


def own_members(kind: type) -> list[str]:
    """The public members of a class that are defined in this package."""
    return [
        name for name in dir(kind) if not name.startswith("_") and _is_ours(definer(kind, name))
    ]


def definer(kind: type, name: str) -> type:
    """The class that a member comes from."""
    return next(base for base in kind.__mro__ if name in vars(base))


def _is_ours(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "aioxide"


def _member(kind: type, name: str) -> griffe.Function | griffe.Attribute:
    raw = vars(definer(kind, name))[name]
    described = griffe.Docstring(inspect.cleandoc(raw.__doc__ or ""), parser="google")
    if not callable(getattr(kind, name)) or isinstance(raw, property):
        declared = stub(kind, name)
        returns = declared.returns if isinstance(declared, griffe.Function) else None
        annotation = declared.annotation if isinstance(declared, griffe.Attribute) else returns
        return griffe.Attribute(name, annotation=annotation, docstring=described)
    function = _function(name, getattr(kind, name), stub(kind, name), bound=True)
    if _is_awaited(kind, name):
        function.labels.add("async")
    function.docstring = described
    described.parent = function
    return function


def _is_awaited(kind: type, name: str) -> bool:
    """Whether it is a coroutine function, by its own mark or by that of asyncio's method."""
    candidates = [getattr(base, name, None) for base in kind.__mro__]
    declared = stub(kind, name)
    returned = str(getattr(declared, "returns", ""))
    return any(map(inspect.iscoroutinefunction, candidates)) or returned.startswith("Coroutine[")


def _function(name: str, made: Any, declared: Any, *, bound: bool = False) -> griffe.Function:
    """A function with the parameters that it has and the types that are declared for them."""
    types: dict[str, Any] = {"return": None}
    # A function that shows asyncio's signature has its own annotations beside it.
    types |= {each: _spelt(found) for each, found in getattr(made, "__annotations__", {}).items()}
    types["return"] = types["return"] and _awaited(types["return"])
    if isinstance(declared, griffe.Function):
        types |= {each.name: each.annotation for each in declared.parameters}
        types["return"] = _awaited(declared.returns)
    try:
        signature = inspect.signature(made)
    except ValueError:
        if isinstance(declared, griffe.Function):
            parameters = [each for each in declared.parameters if each.name != "self"]
            return griffe.Function(
                name, parameters=griffe.Parameters(*parameters), returns=types["return"]
            )
        return griffe.Function(name)
    found = list(signature.parameters.values())[int(bound) :]
    return griffe.Function(
        name,
        parameters=griffe.Parameters(
            *(
                griffe.Parameter(
                    each.name,
                    kind=griffe.ParameterKind(each.kind.description),
                    annotation=_spelt(each.annotation) or types.get(each.name),
                    default=None if each.default is each.empty else repr(each.default),
                )
                for each in found
            )
        ),
        returns=_spelt(signature.return_annotation) or types["return"],
    )


def _spelt(annotation: Any) -> str | None:
    if annotation is inspect.Signature.empty:
        return None
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _awaited(returns: Any) -> Any:
    """What awaiting gives: the label says that it is awaited."""
    text = str(returns)
    if text.startswith("Coroutine[Any, Any, "):
        return text.removeprefix("Coroutine[Any, Any, ").removesuffix("]")
    return returns


@cache
def _stubs() -> dict[str, griffe.Module]:
    files = {"aioxide._aioxide": PACKAGE / "_aioxide.pyi"}
    files |= {name: _TYPESHED / f"{name.replace('.', '/')}.pyi" for name in _MODULES}
    together = griffe.ModulesCollection()
    for name, file in files.items():
        code = file.read_text(encoding="utf-8")
        module = griffe.visit(name, filepath=file, code=code, modules_collection=together)
        together.members[name] = module
    return together.members


def stub(kind: type | None, name: str) -> griffe.Object | None:
    """The declaration of a function, or of a member of a class, in the stubs."""
    if kind is None:
        found = [module.members.get(name) for module in _stubs().values()]
        return next((each for each in found if isinstance(each, griffe.Function)), None)
    for base in kind.__mro__:
        module = _stubs().get(base.__module__) or _stubs()["aioxide._aioxide"]
        declared = module.members.get(base.__name__)
        if isinstance(declared, griffe.Class) and name in declared.members:
            member = declared.members[name]
            return member if isinstance(member, griffe.Object) else None
    return None
