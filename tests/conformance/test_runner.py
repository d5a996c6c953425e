"""The runner itself: whatever can go wrong in a module of tests must come out as a failure."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from . import cli, suite
from .expectations import FILE, Expectation, ExpectationsError, load_expectations
from .implementations import CHOICES, Choice, Implementation
from .outcomes import Outcome, TestOutcome
from .report import Totals, failures_text, totals
from .session import DEFAULT_MAX_LOSSES, Session
from .suite import Suite
from .supervisor import Supervisor
from .verdicts import Judged, ModuleReport, Verdict, judge

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

#: Long enough for a test that ends, even on a busy machine; the price of each that does not.
TIMEOUT = 5.0

#: The modules in `fixtures/samples`.
SAMPLES = Suite(
    "samples",
    tuple(sorted(path.stem for path in (HERE / "fixtures" / "samples").glob("[a-z]*.py"))),
    str(HERE / "fixtures"),
)


@cache
def outcomes_of(
    module: str,
    only: Iterable[str] | None = None,
    patterns: Iterable[str] = (),
    max_losses: int = DEFAULT_MAX_LOSSES,
) -> Mapping[str, TestOutcome]:
    """The outcomes of a sample on stock asyncio. Once is enough: some take the whole time limit."""
    supervisor = Supervisor(SAMPLES, "stock", TIMEOUT, max_losses)
    return supervisor.run(module, only=only, patterns=patterns).tests


def run(module: str, **options: Any) -> dict[str, TestOutcome]:
    """The outcomes of a sample, by their names without the module."""
    outcomes = outcomes_of(module, **options)
    return {name.removeprefix(f"{module}."): outcome for name, outcome in outcomes.items()}


def report(module: str, *expectations: Expectation, implementation: str = "stock") -> ModuleReport:
    """The report about a sample."""
    return Session(SAMPLES, implementation, expectations, timeout=TIMEOUT).run_module(module)


def expect(pattern: str, outcome: Outcome = Outcome.FAILED) -> Expectation:
    """An expectation."""
    return Expectation(pattern, outcome, "divergence", "because")


def verdicts(judged: Iterable[Judged]) -> dict[str, Verdict]:
    """The verdicts, by the last part of the names."""
    return {each.test.rpartition(".")[2]: each.verdict for each in judged}


def test_every_ordinary_outcome() -> None:
    """Passing, failing, skipping, of tests, subtests, classes and what is around them."""
    outcomes = run("ordinary")
    assert {name: outcome.outcome for name, outcome in outcomes.items()} == {
        "Ordinary.test_passes": Outcome.PASSED,
        "Ordinary.test_fails": Outcome.FAILED,
        "Ordinary.test_errs": Outcome.FAILED,
        "Ordinary.test_skips": Outcome.SKIPPED,
        "Ordinary.test_fails_in_part": Outcome.FAILED,
        "Ordinary.test_unittest_expects_failure": Outcome.PASSED,
        "Ordinary.test_unittest_expects_failure_in_vain": Outcome.FAILED,
        "SkippedClass.test_one": Outcome.SKIPPED,
        "BrokenClass.test_one": Outcome.FAILED,
        "UntidyClass.test_one": Outcome.PASSED,
        "UntidyClass.tearDownClass": Outcome.FAILED,
    }
    assert "OSError: from the test" in outcomes["Ordinary.test_errs"].detail
    assert "number=1" in outcomes["Ordinary.test_fails_in_part"].detail
    assert "no set-up" in outcomes["BrokenClass.test_one"].detail
    assert outcomes["Ordinary.test_skips"].detail == "not here"


def test_crash_has_its_stack_and_the_others_their_run() -> None:
    """Two tests lose their process; those around them are not lost."""
    outcomes = run("crash")
    assert {name: outcome.outcome for name, outcome in outcomes.items()} == {
        "Crash.test_1_before": Outcome.PASSED,
        "Crash.test_2_abort": Outcome.CRASHED,
        "Crash.test_3_leave": Outcome.CRASHED,
        "Crash.test_4_after": Outcome.PASSED,
    }
    assert "SIGABRT" in outcomes["Crash.test_2_abort"].detail
    assert "in test_2_abort" in outcomes["Crash.test_2_abort"].detail
    assert "exit code 7" in outcomes["Crash.test_3_leave"].detail


def test_environment_is_the_one_the_session_began_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set while modules run reaches none of them, nor the call that starts them."""
    monkeypatch.setenv("CONFORMANCE_BEFORE", "1")
    session = Session(SAMPLES, "stock", timeout=TIMEOUT)
    monkeypatch.setenv("CONFORMANCE_AFTER", "1")
    made = session.run_module("environment")
    assert [each.outcome for each in made.tests] == [Outcome.PASSED] * 2


def test_hang_has_its_stack_and_the_others_their_run() -> None:
    """A test without end is ended."""
    outcomes = run("hang")
    assert {name: outcome.outcome for name, outcome in outcomes.items()} == {
        "Hang.test_1_before": Outcome.PASSED,
        "Hang.test_2_waits_for_nothing": Outcome.HUNG,
        "Hang.test_3_after": Outcome.PASSED,
    }
    assert "in test_2_waits_for_nothing" in outcomes["Hang.test_2_waits_for_nothing"].detail


@pytest.mark.parametrize(
    ("module", "name", "outcome", "detail"),
    [
        ("unimportable", "unimportable", Outcome.FAILED, "OSError: while importing"),
        ("crash_at_import", "crash_at_import", Outcome.CRASHED, "SIGABRT"),
        ("elsewhere", "elsewhere", Outcome.SKIPPED, "only elsewhere"),
        ("crash_at_exit", "exit", Outcome.CRASHED, "SIGABRT"),
        ("hang_at_exit", "exit", Outcome.HUNG, "_shutdown"),
    ],
)
def test_trouble_outside_of_tests(module: str, name: str, outcome: Outcome, detail: str) -> None:
    """Before the first test and after the last one."""
    outcomes = run(module)
    assert outcomes[name].outcome is outcome
    assert detail in outcomes[name].detail
    assert all(other.outcome is Outcome.PASSED for key, other in outcomes.items() if key != name)


def test_module_that_loses_every_process_is_given_up() -> None:
    """What never ran is not taken for passed."""
    outcomes = run("crash", max_losses=1)
    assert outcomes["crash"].outcome is Outcome.NOT_RUN
    assert "Crash.test_4_after" not in outcomes


def test_selection() -> None:
    """By exact ids for the control, by patterns for the user."""
    assert set(run("ordinary", only=("ordinary.Ordinary.test_passes",))) == {"Ordinary.test_passes"}
    assert set(run("ordinary", patterns=("test_passes",))) == {"Ordinary.test_passes"}
    assert set(run("ordinary", patterns=("*dClass.test_*",))) == {"SkippedClass.test_one"}


def test_failing_test_fails_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    """A failure, and the traceback on the screen."""
    failing = report("ordinary")
    assert failing.gated
    assert verdicts(failing.failures)["test_errs"] is Verdict.FAILED
    assert "OSError: from the test" in failures_text([failing])
    assert totals([failing]) == Totals(passed=3, failed=6, skipped=2)
    assert cli.conclude([failing], 1.0) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "3 passed, 6 failed, 2 skipped"


@pytest.mark.parametrize("module", ["crash", "hang", "unimportable", "hang_at_exit"])
def test_trouble_fails_the_run(module: str) -> None:
    """An expected failure is not an expected crash or hang, and a crash cannot be expected."""
    expectations = [expect(f"{module}.*")] if module != "unimportable" else []
    judged = judge(outcomes_of(module).values(), expectations, None)
    assert cli.conclude([ModuleReport(module, True, 1.0, tuple(judged))], 1.0) == 1
    troubled = [each for each in judged if each.outcome.is_failure]
    assert {each.verdict for each in troubled} == {Verdict.FAILED}


def test_internals_are_shown_but_never_fail_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same failures, in a module that does not count."""
    monkeypatch.setattr(suite, "INTERNALS", {"ordinary"})
    failing = report("ordinary")
    assert cli.conclude([failing], 1.0) == 0
    assert totals([failing]) == Totals(passed=0, failed=0, skipped=0)
    assert "OSError: from the test" in failures_text([failing])


def test_expected_failure_does_not_fail_the_run() -> None:
    """Nor does an expected skip where asyncio does not skip."""
    patterns = ("*.test_fails*", "*.test_errs", "*_in_vain", "BrokenClass.*", "*.tearDownClass")
    expected = report("ordinary", *(expect(f"ordinary.{pattern}") for pattern in patterns))
    assert not expected.failures
    assert expected.count(Verdict.EXPECTED) == 6
    assert cli.conclude([expected], 1.0) == 0


def test_expected_hang() -> None:
    """A test that is known to hang costs a few seconds, and no process of those allowed."""
    module = "hang"
    known = f"{module}.*.test_2_waits_for_nothing"
    supervisor = Supervisor(SAMPLES, "stock", TIMEOUT, max_losses=1, brief=(known,))
    outcomes = supervisor.run(module).tests
    assert outcomes["hang.Hang.test_3_after"].outcome is Outcome.PASSED
    assert not ModuleReport(
        module, True, 1.0, tuple(judge(outcomes.values(), [expect(known, Outcome.HUNG)], None))
    ).failures


def test_exceptions_of_an_expectation() -> None:
    """A broad pattern can leave out what passes."""
    expectation = replace(expect("m.*.test_ssl*"), but_not=("m.*.test_ssl_none", "m.A.*"))
    assert expectation.names("m.B.test_ssl_one")
    assert not expectation.names("m.B.test_ssl_none")
    assert not expectation.names("m.A.test_ssl_one")


def test_unexpected_success_fails_the_run() -> None:
    """A pattern may not cover a test that passes, whatever else it covers."""
    covered = report("ordinary", expect("ordinary.Ordinary.test_[pf]*"))
    judged = verdicts(covered.tests)
    assert judged["test_passes"] is Verdict.UNEXPECTED_SUCCESS
    assert judged["test_fails"] is Verdict.EXPECTED
    assert cli.conclude([covered], 1.0) == 1


def test_unused_expectation_fails_the_run() -> None:
    """A pattern must name a test, unless it is not known what tests there are."""
    unused = expect("elsewhere.Nobody.test_nothing")
    assert verdicts(report("elsewhere", unused).failures) == {"test_nothing": Verdict.UNUSED}
    assert set(verdicts(report("unimportable", expect("unimportable.*.test")).tests)) == {
        "unimportable"
    }
    partial = Session(SAMPLES, "stock", (unused,), patterns=("something",), timeout=TIMEOUT)
    assert not partial.run_module("elsewhere").failures


def test_control_tells_the_machine_from_the_implementation() -> None:
    """What fails or is skipped on stock asyncio too does not count; what is skipped here does."""
    judged = report("control", implementation="subclass")
    assert verdicts(judged.tests) == {
        "test_fails_off_stock": Verdict.FAILED,
        "test_skips_off_stock": Verdict.UNEXPECTED_SKIP,
        "test_fails_everywhere": Verdict.ENVIRONMENT,
        "test_skips_everywhere": Verdict.SKIPPED,
        "test_substituted": Verdict.PASSED,
    }
    explained = report(
        "control",
        expect("control.*.test_fails_off_stock"),
        expect("control.*.test_skips_off_stock", Outcome.SKIPPED),
        implementation="subclass",
    )
    assert not explained.failures


def test_failure_of_the_control_does_not_excuse_a_crash() -> None:
    """A hang where asyncio merely fails is a failure of ours."""

    def judged(ours: Outcome, stock: Outcome) -> Verdict:
        control = {"m.test": TestOutcome("m.test", stock)}
        return judge([TestOutcome("m.test", ours)], [], lambda _tests: control)[0].verdict

    assert judged(Outcome.HUNG, Outcome.FAILED) is Verdict.FAILED
    assert judged(Outcome.HUNG, Outcome.CRASHED) is Verdict.ENVIRONMENT
    assert judged(Outcome.FAILED, Outcome.FAILED) is Verdict.ENVIRONMENT
    assert judged(Outcome.FAILED, Outcome.SKIPPED) is Verdict.FAILED
    assert judged(Outcome.SKIPPED, Outcome.PASSED) is Verdict.UNEXPECTED_SKIP


def test_pythons_of_an_expectation(tmp_path: Path) -> None:
    """An entry can be about some versions only."""
    path = tmp_path / "expectations.toml"
    path.write_text(
        '[[divergence]]\ntests = ["test_a.*"]\nreason = "r"\npythons = ["3.11", ">=3.14"]\n'
        'upstream = "https://example.org"\n'
        '[[not_implemented]]\ntests = ["test_b.*"]\nreason = "r"\noutcome = "skip"\n'
    )

    def modules(*version: int) -> list[str]:
        return [entry.module for entry in load_expectations(path, (version[0], version[1]))]

    assert modules(3, 11) == modules(3, 15) == ["test_a", "test_b"]
    assert modules(3, 13) == ["test_b"]
    assert load_expectations(path, (3, 11))[0].explanation == "r (https://example.org)"
    assert load_expectations(path, (3, 11))[1].outcome is Outcome.SKIPPED


@pytest.mark.parametrize(
    "text",
    [
        '[[diverge]]\ntests = ["test_a.*"]\nreason = "r"\n',
        '[[divergence]]\ntests = ["test_a.*"]\n',
        '[[divergence]]\nreason = "r"\n',
        '[[divergence]]\ntests = ["*.test_a"]\nreason = "r"\n',
        '[[divergence]]\ntests = ["test_a.*"]\nreason = "r"\noutcome = "crash"\n',
        '[[divergence]]\ntests = ["test_a.*"]\nreason = "r"\npythons = ["3"]\n',
        '[[divergence]]\ntests = ["test_a.*"]\nreason = "r"\npython = ["3.11"]\n',
    ],
)
def test_expectations_with_a_mistake_are_refused(text: str, tmp_path: Path) -> None:
    """A mistake in the file must not silently expect nothing, or everything."""
    path = tmp_path / "expectations.toml"
    path.write_text(text)
    with pytest.raises(ExpectationsError):
        load_expectations(path, (3, 11))


def test_expectations_name_modules_that_exist_somewhere() -> None:
    """The file itself can be read for every supported Python."""
    for minor in range(11, 16):
        for expectation in load_expectations(FILE, (3, minor)):
            assert expectation.module.startswith("test_")


@pytest.mark.parametrize("how", [["-m", "tests.conformance"], [str(HERE / "run.py")]])
def test_command_line(how: list[str], tmp_path: Path) -> None:
    """Both ways in run a real module, end in one plain line and leave a record."""
    path = tmp_path / "record.json"
    options = ["--impl", "stock", "--module", "test_context", "--json", str(path), "-v"]
    ended = subprocess.run(
        [sys.executable, *how, *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    match = re.fullmatch(r"(\d+) passed, 0 failed, 0 skipped", ended.stdout.splitlines()[-1])
    record = json.loads(path.read_text())
    assert match is not None
    assert record["totals"] == {"passed": int(match[1]), "failed": 0, "skipped": 0}
    assert len(record["modules"][0]["tests"]) == int(match[1]) > 0


def test_no_suite(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Debian splits `test` from Python: one line, exit code 2."""
    monkeypatch.setattr(suite, "PACKAGE", "test.test_asyncio_is_not_there")
    assert cli.main(["--impl", "stock"]) == 2
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 1
    assert "libpython3-testsuite" in captured.err


@pytest.mark.parametrize("options", [["--module", "test_nothing"], ["--timeout", "0"]])
def test_wrong_option(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit code 2."""
    assert cli.main(["--impl", "stock", *options]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_implementation_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit code 2."""
    absent = Choice("no_such_distribution", lambda: Implementation("uvloop"))
    monkeypatch.setitem(CHOICES, "uvloop", absent)
    assert cli.main(["--impl", "uvloop"]) == 2
    assert "not installed" in capsys.readouterr().err
