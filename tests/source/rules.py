"""The rules of the Rust source that the compiler does not hold.

Each rule is given one file and yields what is wrong with it. `test_rules.py` feeds each of them a
file that breaks it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from tests.source.allowed import ALLOWED_UNWRAPS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.source.rust import RustFile

FENCE = "crates/aioxide/src/ffi/"
UNSAFE_HOMES = (FENCE, "crates/aioxide-driver/")


class Finding(NamedTuple):
    """One thing wrong, as an editor can jump to it."""

    path: str
    line: int
    problem: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.problem}"


_RAW_CPYTHON = re.compile(
    r"""
      \bpyo3\s*::\s*ffi\b | \bpyo3_ffi\b | \*\s*(?:mut|const)\s+ffi\s*::
    | \buse\s+pyo3\s*::\s*\{[^;]*\bffi\b
    | \bPyObject\b | \bPyTypeObject\b
    | \bPy_(?!GIL_DISABLED\b)[A-Z]\w*          # Py_INCREF, Py_None; not cfg(Py_3_13)
    | \b_?Py[A-Z][A-Za-z]*_[A-Z]\w*            # PyList_Append, _PyObject_New
    """,
    re.VERBOSE,
)


def raw_cpython(file: RustFile) -> Iterator[Finding]:
    """CPython's own structures and functions are named inside the fence only."""
    if file.path.startswith(FENCE):
        return
    for match in _RAW_CPYTHON.finditer(file.code):
        # Reported at the word itself, also when a `use` runs over several lines.
        line = file.line_of(match.end() - 1)
        yield Finding(
            file.path, line + 1, f"raw CPython ({' '.join(match.group().split())}) outside {FENCE}"
        )


_UNSAFE = re.compile(r"\bunsafe\b")
_FN_POINTER = re.compile(r'unsafe\s+(?:extern\s*(?:"[^"]*"\s*)?)?fn\s*\(')
_DECLARATION = re.compile(r'unsafe\s+(?:(?:extern\s*(?:"[^"]*"\s*)?)?fn\s+\w|(?:auto\s+)?trait\b)')
_ATTRIBUTE_LINE = re.compile(r"\s*#!?\[")
_SAFETY = re.compile(r"\bSAFETY:\s*\S")
_SAFETY_SECTION = re.compile(r"#\s+Safety\s*$")


def _is_comment_only(file: RustFile, line: int) -> bool:
    return not file.code_lines[line].strip() and bool(file.comment_lines[line].strip())


def _starts_statement(file: RustFile, line: int) -> bool:
    """Whether the statement on ``line`` begins there, and not on a line above."""
    if line == 0:
        return True
    above = file.code_lines[line - 1].strip()
    if not above:
        return True
    return above.endswith((";", "{", "}", ",", "]", "=>"))


def _comment_above(file: RustFile, line: int) -> str:
    """The comment directly above the statement on ``line``, past its attributes."""
    while not _starts_statement(file, line):
        line -= 1
    comment: list[str] = []
    line -= 1
    while line >= 0:
        if _is_comment_only(file, line):
            comment.insert(0, file.comment_lines[line])
        elif not _ATTRIBUTE_LINE.match(file.code_lines[line]):
            break
        line -= 1
    return "\n".join(comment)


def _has_safety(comment: str, *, declaration: bool) -> bool:
    if _SAFETY.search(comment):
        return True
    return declaration and any(_SAFETY_SECTION.search(line) for line in comment.splitlines())


def undocumented_unsafe(file: RustFile) -> Iterator[Finding]:
    """Each ``unsafe`` says directly above why it is sound, or what its caller has to see to."""
    for match in _UNSAFE.finditer(file.code):
        if _FN_POINTER.match(file.code, match.start()):
            continue
        line = file.line_of(match.start())
        declaration = bool(_DECLARATION.match(file.code, match.start()))
        column = match.start() - (file.code.rfind("\n", 0, match.start()) + 1)
        comment = _comment_above(file, line) + "\n" + file.comment_lines[line][:column]
        if not _has_safety(comment, declaration=declaration):
            wanted = "a `# Safety` section" if declaration else "a `// SAFETY:` comment"
            yield Finding(file.path, line + 1, f"`unsafe` without {wanted} directly above")


def misplaced_unsafe(file: RustFile) -> Iterator[Finding]:
    """``unsafe`` has two homes: the fence, and the driver."""
    if file.path.startswith(UNSAFE_HOMES):
        return
    for match in _UNSAFE.finditer(file.code):
        homes = " and ".join(UNSAFE_HOMES)
        yield Finding(file.path, file.line_of(match.start()) + 1, f"`unsafe` outside {homes}")


_ALLOWS_UNSAFE = re.compile(r"#!?\[\s*(?:allow|expect)\s*\([^)\]]*\bunsafe_code\b")
_FFI_MODULE = re.compile(r"\]\s*(?:pub(?:\([^)]*\))?\s+)?mod\s+ffi\b")


def unsafe_code_lint(file: RustFile) -> Iterator[Finding]:
    """The compiler holds the same homes, so far as its lints can say them."""
    wanted = {
        "crates/aioxide-core/src/lib.rs": r"#!\[\s*forbid\s*\([^)]*\bunsafe_code\b",
        "crates/aioxide/src/lib.rs": r"#!\[\s*deny\s*\([^)]*\bunsafe_code\b",
    }.get(file.path)
    if wanted is not None and not re.search(wanted, file.code):
        level = "forbid" if "forbid" in wanted else "deny"
        yield Finding(file.path, 1, f"`#![{level}(unsafe_code)]` is missing")
    if file.path.startswith(UNSAFE_HOMES):
        return
    for match in _ALLOWS_UNSAFE.finditer(file.code):
        # `#[allow(unsafe_code)] mod ffi;` is how the fence is built.
        if file.path == "crates/aioxide/src/lib.rs" and _FFI_MODULE.search(
            file.code, match.end(), match.end() + 40
        ):
            continue
        line = file.line_of(match.start()) + 1
        yield Finding(file.path, line, "`unsafe_code` is allowed outside its homes")


_UNWRAP = re.compile(r"\.\s*(?:unwrap|expect|unwrap_err|expect_err)\s*\(")


def unwrap(file: RustFile) -> Iterator[Finding]:
    """What cannot fail is written so; what can is handled. A panic is never the answer."""
    if file.is_test or file.path.endswith("/build.rs"):
        return
    for match in _UNWRAP.finditer(file.code):
        line = file.line_of(match.start())
        if line in file.test_lines:
            continue
        if (file.path, file.lines[line].strip()) in ALLOWED_UNWRAPS:
            continue
        call = "".join(match.group().split()) + ")"
        yield Finding(
            file.path, line + 1, f"`{call}` outside tests: handle it, or list it in allowed.py"
        )


RULES: tuple[Callable[[RustFile], Iterator[Finding]], ...] = (
    raw_cpython,
    undocumented_unsafe,
    misplaced_unsafe,
    unsafe_code_lint,
    unwrap,
)
