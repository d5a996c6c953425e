"""The rules themselves: each fires on a file that breaks it, and is quiet on one that does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.source import rules, text_rules, tree
from tests.source.allowed import ALLOWED_UNWRAPS
from tests.source.rust import RustFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.source.rules import Finding

CORE = "crates/aioxide-core/src/timers.rs"
CORE_LIB = "crates/aioxide-core/src/lib.rs"
DRIVER = "crates/aioxide-driver/src/sys.rs"
FENCE = "crates/aioxide/src/ffi/call.rs"
TASK = "crates/aioxide/src/task/step.rs"
LIB = "crates/aioxide/src/lib.rs"


def lines(rule: Callable[[RustFile], Iterator[Finding]], path: str, text: str) -> list[int]:
    """The lines, from 1, on which the rule finds something."""
    return [finding.line for finding in rule(RustFile(path, text))]


@pytest.mark.parametrize(
    "code",
    [
        "use pyo3::ffi;",
        "use pyo3::{\n    ffi, prelude::*};",
        "use pyo3_ffi as c;",
        "fn f(object: *mut ffi::Thing) {}",
        "fn f(object: *const ffi::Thing) {}",
        "fn f(object: PyObject) {}",
        "let x = c::Py_INCREF;",
        "let x = c::PyList_Append(a, b);",
        "let x = c::_PyObject_GC_New(t);",
    ],
)
def test_raw_cpython_fires(code: str) -> None:
    """Every way to name CPython's own is seen, outside the fence only."""
    assert lines(rules.raw_cpython, TASK, code)
    assert not lines(rules.raw_cpython, FENCE, code)


@pytest.mark.parametrize(
    "code",
    [
        "// pyo3::ffi is named in ffi/ only: PyObject, Py_INCREF",
        "/* outer /* pyo3::ffi */ PyObject */ let x = 1;",
        'let message = "PyObject \\" pyo3::ffi";',
        'let message = r#"PyObject " pyo3::ffi"#;',
        "use crate::ffi::{Object, Owned};",
        "use pyo3::prelude::*;\nfn f(x: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> { g(x) }",
        "#[cfg(all(Py_3_13, not(Py_GIL_DISABLED)))]\nfn f() -> char { '\"' }",
    ],
)
def test_raw_cpython_is_quiet(code: str) -> None:
    """Comments, strings, the fence's own types and PyO3's safe ones are no raw CPython."""
    assert not lines(rules.raw_cpython, TASK, code)


@pytest.mark.parametrize(
    ("code", "at"),
    [
        ("fn f() {\n    unsafe { g() }\n}", [2]),
        ("fn f() {\n    // Safe, trust me.\n    unsafe { g() }\n}", [3]),
        ("fn f() {\n    // SAFETY:\n    unsafe { g() }\n}", [3]),
        ("fn f() {\n    unsafe {\n        // SAFETY: too late.\n        g()\n    }\n}", [2]),
        (
            "fn f() {\n    // SAFETY: for the first.\n    unsafe { g() };\n    unsafe { g() };\n}",
            [4],
        ),
        ("fn f() {\n    // SAFETY: far away.\n\n    unsafe { g() }\n}", [4]),
        ('fn f() {\n    let s = "// SAFETY: a string";\n    unsafe { g(s) }\n}', [3]),
        ("unsafe impl Send for X {}", [1]),
        ("/// # Safety\n/// A declaration's words.\nunsafe impl Send for X {}", [3]),
        ("pub unsafe fn f() {}", [1]),
        ("/// Safety is important.\npub unsafe fn f() {}", [2]),
        ('pub unsafe extern "C" fn f() {}', [1]),
        ("pub unsafe trait T {}", [1]),
        ('unsafe extern "C" {\n    fn g();\n}', [1]),
        ("#[unsafe(no_mangle)]\npub extern fn f() {}", [1]),
        ("macro_rules! m {\n    () => {\n        unsafe { g() }\n    };\n}", [3]),
    ],
)
def test_undocumented_unsafe_fires(code: str, at: list[int]) -> None:
    """No `unsafe` goes without its reason, and a reason serves one."""
    assert lines(rules.undocumented_unsafe, FENCE, code) == at


@pytest.mark.parametrize(
    "code",
    [
        "fn f() {\n    // SAFETY: g has no precondition.\n    unsafe { g() }\n}",
        "fn f() {\n    // SAFETY: the first line\n    // and the second.\n    unsafe { g() }\n}",
        "fn f() {\n    // SAFETY: g is sound.\n    let x = h(\n        unsafe { g() },\n    );\n}",
        "fn f() {\n    let x =\n        // SAFETY: g is sound here.\n        unsafe { g() };\n}",
        "fn f() {\n    // SAFETY: g is sound.\n    #[rustfmt::skip]\n    unsafe { g() }\n}",
        "fn f() {\n    /* SAFETY: g is sound. */ unsafe { g() }\n}",
        "// SAFETY: X holds no pointer.\nunsafe impl Send for X {}",
        "/// Calls g.\n///\n/// # Safety\n/// The GIL is held.\n#[inline]\npub unsafe fn f() {}",
        "/// # Safety\n/// The layout is the base's.\npub unsafe trait T {}",
        'type Slot = unsafe extern "C" fn(*mut u8) -> i32;',
        "fn f(slot: unsafe fn()) {}",
        "// unsafe in words only",
        'fn f() -> &\'static str { "unsafe" }',
        "fn f<'a>(x: &'a str) -> char { '\\'' }",
    ],
)
def test_undocumented_unsafe_is_quiet(code: str) -> None:
    """A reason is found where rustfmt and clippy let it stand."""
    assert not lines(rules.undocumented_unsafe, FENCE, code)


@pytest.mark.parametrize("path", [CORE, TASK, LIB, "crates/aioxide/build.rs"])
def test_misplaced_unsafe_fires(path: str) -> None:
    """However well documented, it is in the wrong file."""
    code = "// SAFETY: well argued.\nunsafe impl Send for X {}"
    assert lines(rules.misplaced_unsafe, path, code) == [2]


@pytest.mark.parametrize("path", [FENCE, DRIVER, "crates/aioxide-driver/tests/reactor.rs"])
def test_misplaced_unsafe_is_quiet(path: str) -> None:
    """The fence and the driver are its homes."""
    assert not lines(rules.misplaced_unsafe, path, "unsafe impl Send for X {}")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (CORE_LIB, "//! Pure.\n"),
        (CORE_LIB, "// #![forbid(unsafe_code)]\n"),
        (CORE_LIB, "#![deny(unsafe_code)]\n"),
        (LIB, "mod ffi;\n"),
        (LIB, "#![deny(unsafe_code)]\n#[allow(unsafe_code)]\nmod task;\n"),
        (TASK, "#![allow(unsafe_code)]\n"),
        (TASK, "#[expect(dead_code, unsafe_code)]\nfn f() {}\n"),
    ],
)
def test_unsafe_code_lint_fires(path: str, code: str) -> None:
    """The compiler's lint is on, and is opened for the fence only."""
    assert lines(rules.unsafe_code_lint, path, code)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (CORE_LIB, "#![forbid(unsafe_code)]\n"),
        (LIB, "#![deny(unsafe_code)]\n#[allow(unsafe_code)]\npub(crate) mod ffi;\n"),
        (FENCE, "#![allow(unsafe_code)]\n"),
    ],
)
def test_unsafe_code_lint_is_quiet(path: str, code: str) -> None:
    """As the crates should be."""
    assert not lines(rules.unsafe_code_lint, path, code)


@pytest.mark.parametrize(
    ("code", "at"),
    [
        ("fn f() { g().unwrap(); }", [1]),
        ('fn f() { g().expect("never"); }', [1]),
        ("fn f() {\n    g()\n        .unwrap();\n}", [3]),
        ("fn f() { g().unwrap_err(); }", [1]),
        ("#[cfg(test)]\nmod tests {\n    fn t() {}\n}\nfn f() { g().unwrap(); }", [5]),
        ("#[cfg(test)]\nuse x::y;\nfn f() { g().unwrap(); }", [3]),
        ("#[cfg(not(test))]\nfn f() { g().unwrap(); }", [2]),
    ],
)
def test_unwrap_fires(code: str, at: list[int]) -> None:
    """A panic waiting for its day is found, and only what is for tests is spared."""
    assert lines(rules.unwrap, CORE, code) == at


@pytest.mark.parametrize(
    "code",
    [
        "fn f() { g().unwrap_or(0); g().unwrap_or_default(); g().expected(); }",
        "/// ```\n/// g().unwrap();\n/// ```\nfn f() {}",
        "#[cfg(test)]\nmod tests {\n    fn t() { let x = [1; 2]; g().unwrap(); }\n}",
        '#[test]\nfn t() {\n    let brace = "}";\n    g().unwrap();\n}',
        "#[cfg(all(test, not(loom)))]\nmod tests {\n    fn t() { g().unwrap(); }\n}",
    ],
)
def test_unwrap_is_quiet(code: str) -> None:
    """What cannot panic, examples in documentation, and tests."""
    assert not lines(rules.unwrap, CORE, code)


def test_unwrap_knows_test_files() -> None:
    """A folder of tests, a build script, and a module that is declared for tests."""
    code = "fn f() { g().unwrap(); }"
    assert not lines(rules.unwrap, "crates/aioxide-core/tests/model.rs", code)
    assert not lines(rules.unwrap, "crates/aioxide/build.rs", code)
    declaring = RustFile(CORE, "#[cfg(test)]\nmod model;\nmod heap;")
    model = RustFile("crates/aioxide-core/src/timers/model.rs", code)
    heap = RustFile("crates/aioxide-core/src/timers/heap.rs", code)
    _, model, heap = tree.with_test_modules([declaring, model, heap])
    assert not list(rules.unwrap(model))
    assert [finding.line for finding in rules.unwrap(heap)] == [1]


def test_unwrap_allows_what_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception holds for its file and its line."""
    line = "let x = g().unwrap();"
    monkeypatch.setitem(ALLOWED_UNWRAPS, (CORE, line), "a test")
    assert not lines(rules.unwrap, CORE, f"fn f() {{\n    {line}\n}}")
    assert lines(rules.unwrap, TASK, f"fn f() {{\n    {line}\n}}") == [2]
    assert lines(rules.unwrap, CORE, "fn f() {\n    let y = g().unwrap();\n}") == [2]


def test_long_file() -> None:
    """700 lines are the most, of what somebody reads."""
    assert [f.line for f in text_rules.long_file("a/b.rs", "\n" * 701)] == [701]
    assert not list(text_rules.long_file("a/b.rs", "\n" * 700))
    assert not list(text_rules.long_file("Cargo.lock", "\n" * 5000))


@pytest.mark.parametrize("folder", ["work", "root", "home", "Users"])
def test_machine_path(folder: str) -> None:
    """A folder of the writer's machine is found, a part of an address is not."""
    path = f"/{folder}/me/x"
    for text in (path, f'"{path}"', f"see {path}", f"PATH={path}:b"):
        assert [f.line for f in text_rules.machine_path("a.md", f"first\n{text}")] == [2], text
    assert not list(text_rules.machine_path("a.md", f"https://example.org{path} ~{path} x{path}"))


@pytest.mark.parametrize(
    "text",
    [
        "url = https://crates.example." + "internal/api",
        "https://" + "10.1.2.3:8080/simple",
        "https://user@" + "192.168.0.7/simple",
        "pip install --index" + "-url https://example.org/simple x",
        "ENV PIP_INDEX" + "_URL=https://example.org",
        "replace" + '-with = "mirror"',
    ],
)
def test_registry_host_fires(text: str) -> None:
    """A mirror of one house does not get into the repository."""
    assert [f.line for f in text_rules.registry_host("a.toml", f"first\n{text}")] == [2]


def test_registry_host_of_the_lock_file() -> None:
    """Everything locked comes from crates.io."""
    ours = 'source = "registry+https://github.com/rust-lang/crates.io-index"\n'
    other = 'source = "git+https://example.org/x"\n'
    assert not list(text_rules.registry_host("Cargo.lock", ours))
    assert [f.line for f in text_rules.registry_host("Cargo.lock", ours + other)] == [2]
    assert not list(text_rules.registry_host("a.md", "http://127.0.0.1:8080/ https://pypi.org/"))
