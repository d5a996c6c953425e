"""Just enough of Rust's lexical grammar to tell code from comments and strings.

A rule that searched the plain text would find ``unsafe`` in a sentence, and miss ``.unwrap()``
behind a string with a quote in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

_TOKEN = re.compile(
    r"""
      (?P<line_comment>//[^\n]*)
    | (?P<block_comment>/\*)
    | (?P<raw_string>\b(?:b|c)?r(?P<hashes>\#*)")
    | (?P<string>\b[bc]?"|")
    | (?P<char>b?'(?:\\(?:x[0-9a-fA-F]{2}|u\{[0-9a-fA-F_]+\}|.)|[^\\'\n])')
    """,
    re.VERBOSE,
)
_STRING_END = re.compile(r'(?:\\.|[^"\\])*"', re.DOTALL)
_BLOCK_EDGE = re.compile(r"/\*|\*/")
_TEST_ATTRIBUTE = re.compile(
    r"#\[\s*(?:cfg\s*\(\s*(?:all\s*\(\s*)?(?:test|loom)\b[^\]]*|test|\w+::test)\s*\]"
)
_MODULE_FILE = re.compile(r"\s*(?:#\[[^\]]*\]\s*)*(?:pub(?:\([^)]*\))?\s+)?mod\s+(\w+)\s*;")


def _blank(text: str) -> str:
    """As many spaces as ``text`` has characters, its line breaks kept."""
    return re.sub(r"[^\n]", " ", text)


def _end_of_block_comment(text: str, start: int) -> int:
    depth = 0
    for edge in _BLOCK_EDGE.finditer(text, start):
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(text)


@dataclass(frozen=True)
class RustFile:
    """A source file split into its code and its comments, character by character in place."""

    path: str
    text: str
    # Whether another file declares this one under `#[cfg(test)]`.
    declared_for_tests: bool = False

    @cached_property
    def _split(self) -> tuple[str, str]:
        text, code, comments = self.text, [], []
        position = 0
        while match := _TOKEN.search(text, position):
            start, end = match.span()
            is_comment = False
            match match.lastgroup:
                case "line_comment":
                    is_comment = True
                case "block_comment":
                    is_comment = True
                    end = _end_of_block_comment(text, start)
                case "raw_string" | "hashes":
                    closing = '"' + match["hashes"]
                    found = text.find(closing, end)
                    end = len(text) if found < 0 else found + len(closing)
                case "string":
                    closed = _STRING_END.match(text, end)
                    end = len(text) if closed is None else closed.end()
            between, token = text[position:start], text[start:end]
            code.append(between + (_blank(token) if is_comment else self._hollow(token)))
            comments.append(_blank(between) + (token if is_comment else _blank(token)))
            position = end
        code.append(text[position:])
        comments.append(_blank(text[position:]))
        return "".join(code), "".join(comments)

    @staticmethod
    def _hollow(literal: str) -> str:
        """A string or character literal with its quotes and without its contents."""
        quote = literal[-1] if literal[-1] in "\"'" else '"'
        first = literal.find(quote)
        last = literal.rfind(quote)
        if first == last:
            return literal[: first + 1] + _blank(literal[first + 1 :])
        return literal[: first + 1] + _blank(literal[first + 1 : last]) + literal[last:]

    @property
    def code(self) -> str:
        """The text with comments and the contents of strings blanked."""
        return self._split[0]

    @cached_property
    def lines(self) -> list[str]:
        """The lines as written."""
        return self.text.splitlines()

    @cached_property
    def code_lines(self) -> list[str]:
        """The lines of ``code``."""
        return self._split[0].splitlines()

    @cached_property
    def comment_lines(self) -> list[str]:
        """The lines with everything but comments blanked."""
        return self._split[1].splitlines()

    def line_of(self, offset: int) -> int:
        """The number, from 0, of the line that holds this character."""
        return self.text.count("\n", 0, offset)

    @cached_property
    def is_test(self) -> bool:
        """Whether the whole file is compiled for tests, benchmarks or examples only."""
        folders = set(self.path.split("/")[:-1])
        return self.declared_for_tests or bool({"tests", "benches", "examples", "fuzz"} & folders)

    @property
    def test_modules(self) -> frozenset[str]:
        """The names of the modules in files of their own that this one declares for tests."""
        return frozenset(
            declared[1]
            for attribute in _TEST_ATTRIBUTE.finditer(self.code)
            if (declared := _MODULE_FILE.match(self.code, attribute.end()))
        )

    @cached_property
    def test_lines(self) -> frozenset[int]:
        """The lines, from 0, of items under ``#[cfg(test)]`` or ``#[test]``."""
        lines: set[int] = set()
        for attribute in _TEST_ATTRIBUTE.finditer(self.code):
            end = self._end_of_item(attribute.end())
            lines.update(range(self.line_of(attribute.start()), self.line_of(end) + 1))
        return frozenset(lines)

    def _end_of_item(self, offset: int) -> int:
        """Where the item that begins at ``offset`` ends: its closing brace, or its semicolon."""
        braces = 0
        others = 0
        for index in range(offset, len(self.code)):
            match self.code[index]:
                case "{":
                    braces += 1
                case "}":
                    braces -= 1
                    if braces == 0:
                        return index
                case "(" | "[":
                    others += 1
                case ")" | "]":
                    others -= 1
                case ";" if braces == 0 and others == 0:
                    return index
        return max(len(self.code) - 1, 0)
