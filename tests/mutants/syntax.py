"""The mechanical mutants of a C file, over its syntax tree: each condition negated, each comparison off by one, each statement
deleted, an early return too. What a macro has made, as an assertion, stays as it is."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any, Dict, Iterator, List, Optional, Tuple

import build
import clang.cindex as c
from catalogue import ROOT

K = c.CursorKind
CONDITIONAL = (K.IF_STMT, K.WHILE_STMT, K.CONDITIONAL_OPERATOR)
OFF_BY_ONE = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
DELETED = (K.CALL_EXPR, K.UNARY_OPERATOR, K.BINARY_OPERATOR, K.COMPOUND_ASSIGNMENT_OPERATOR, K.BREAK_STMT, K.CONTINUE_STMT,
           K.RETURN_STMT)  # fmt: skip
LISTS = (K.COMPOUND_STMT, K.CASE_STMT, K.DEFAULT_STMT)


@dataclasses.dataclass(frozen=True)
class Mechanical:
    """One change, at the bytes [start, end) of the file."""

    file: str
    function: str
    kind: str  # negated, off by one, deleted
    line: int
    start: int
    end: int
    outer: Tuple[int, int]  # the whole comparison, where start and end are its operator's; or else the same
    old: str
    new: str
    number: int  # among those of one function, kind and text

    @property
    def id(self) -> str:
        """The same as long as the function has the same text, wherever it moves to."""
        again = f" #{self.number}" if self.number > 1 else ""
        return f"{self.file}: {self.function}: {self.kind}: {' '.join(self.old.split())}{again}"

    @property
    def files(self) -> List[str]:
        return [self.file]

    def apply(self) -> Dict[str, str]:
        text = (ROOT / self.file).read_bytes()
        return {self.file: (text[: self.start] + self.new.encode() + text[self.end :]).decode()}


def _arguments(file: str) -> List[str]:
    """The compiler's, but for what it writes."""
    output = next(output for output in build.compile_commands() if build.source_of(output) == file)
    words = build.compile_commands()[output]
    return [word if not word.startswith("-I") else f"-I{build.RELEASE / word[2:]}" for word in words
            if word.startswith(("-I", "-D", "-std"))]  # fmt: skip


class _Finder:
    def __init__(self, file: str) -> None:
        self.file = file
        self.bytes = (ROOT / file).read_bytes()
        unit = c.Index.create().parse(str(ROOT / file), _arguments(file), options=c.TranslationUnit.PARSE_DETAILED_PROCESSING_RECORD)
        errors = [note for note in unit.diagnostics if note.severity >= c.Diagnostic.Error]
        if errors:
            raise build.Broken(f"{file}: {errors[0]}")
        self.root = unit.cursor
        self.macros = [self._span(cursor) for cursor in self.root.get_children()
                       if cursor.kind == K.MACRO_INSTANTIATION and self._is_here(cursor)]  # fmt: skip
        # Function, kind, start, end, outer, new text.
        self.found: List[Tuple[str, str, int, int, Tuple[int, int], str]] = []

    def _is_here(self, cursor: Any) -> bool:
        return cursor.location.file is not None and pathlib.Path(cursor.location.file.name) == ROOT / self.file

    @staticmethod
    def _span(cursor: Any) -> Tuple[int, int]:
        return cursor.extent.start.offset, cursor.extent.end.offset

    def _is_of_a_macro(self, span: Tuple[int, int]) -> bool:
        """Of one or of a part of one; one that is wholly inside, as a constant, does not matter."""
        return any(start < span[1] and span[0] < end and not (span[0] <= start and end <= span[1] and span != (start, end))
                   for start, end in self.macros)  # fmt: skip

    def _add(self, function: str, kind: str, span: Tuple[int, int], new: str, outer: Optional[Tuple[int, int]] = None) -> None:
        if span[0] < span[1] and not self._is_of_a_macro(outer or span):
            self.found.append((function, kind, span[0], span[1], outer or span, new))

    def _text(self, span: Tuple[int, int]) -> str:
        return self.bytes[span[0] : span[1]].decode()

    def _operator(self, cursor: Any) -> Tuple[str, Tuple[int, int]]:
        """A comparison and where it stands, between its two sides."""
        left, right = list(cursor.get_children())
        start, end = left.extent.end.offset, right.extent.start.offset
        between = self._text((start, end))
        operator = between.strip(" ()\n")
        at = start + between.find(operator)
        return operator, (at, at + len(operator))

    def _condition(self, cursor: Any, children: List[Any]) -> Optional[Any]:
        """Of an if, a loop, or a ternary operator."""
        if cursor.kind in CONDITIONAL and children:
            return children[0]
        if cursor.kind == K.FOR_STMT:
            start, end = self._span(cursor)
            first = self.bytes.find(b";", start, end)
            second = self.bytes.find(b";", first + 1, end)
            return next((child for child in children if first < child.extent.start.offset < second), None)
        return None

    def _visit(self, cursor: Any, function: str, last: Optional[Any]) -> None:
        """`last`: the function's last statement; if that is a return, it stays, for it may be the result."""
        if cursor.kind == K.STATIC_ASSERT:
            return  # the compiler's business
        children = list(cursor.get_children())
        condition = self._condition(cursor, children)
        if condition is not None:
            span = self._span(condition)
            self._add(function, "negated", span, f"!({self._text(span)})")
        if cursor.kind == K.BINARY_OPERATOR and len(children) == 2:
            operator, span = self._operator(cursor)
            if operator in OFF_BY_ONE:
                self._add(function, "off by one", span, OFF_BY_ONE[operator], self._span(cursor))
        for child in children if cursor.kind in LISTS else []:
            if child.kind in DELETED and (child.kind != K.RETURN_STMT or child != last):
                span = self._span(child)
                self._add(function, "deleted", span, "(void)0" + "\n" * self._text(span).count("\n"))
        for child in children:
            self._visit(child, function, last)

    def all(self) -> Iterator[Mechanical]:
        for cursor in self.root.get_children():
            if cursor.kind == K.FUNCTION_DECL and cursor.is_definition() and self._is_here(cursor):
                body = list(cursor.get_children())[-1]
                self._visit(body, cursor.spelling, next(reversed(list(body.get_children())), None))
        numbers: Dict[Tuple[str, str, str], int] = {}
        for function, kind, start, end, outer, new in sorted(set(self.found), key=lambda found: (found[2], found[1])):
            whole = self.bytes[self.bytes.rfind(b"\n", 0, start) + 1 : self.bytes.find(b"\n", end)].decode().strip()
            old = self._text((start, end)) if kind != "off by one" else whole
            numbers[function, kind, old] = number = numbers.get((function, kind, old), 0) + 1
            line = self.bytes.count(b"\n", 0, start) + 1
            yield Mechanical(self.file, function, kind, line, start, end, outer, old, new, number)


def mechanical(file: str) -> List[Mechanical]:
    return list(_Finder(file).all())
