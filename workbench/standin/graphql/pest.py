"""A PEG parser with pest's error messages: what was expected at the furthest position reached.

Attempts are tracked as in pest 2.8, whose messages the service's cost model API passes on.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

Expression = Callable[["Machine"], bool]


class SyntaxProblem(Exception):
    """The text does not match the grammar: pest's message, with line and character counted from 1."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.message, self.line, self.column = message, line, column


@dataclass(slots=True)
class Node:
    """A rule that matched, with the rules that matched inside it."""

    rule: str
    start: int
    end: int = 0
    children: list[Node] = field(default_factory=list)


class Machine:
    """The state of one parse."""

    def __init__(self, text: str, skipped: re.Pattern[str], order: tuple[str, ...]) -> None:
        self.text = text
        self.at = 0
        self.nodes: list[Node] = []
        self.looking: bool | None = None
        self.atomicity = "none"
        self._skipped = skipped
        self._order = order
        self._attempt_at = 0
        self._expected: list[str] = []
        self._unexpected: list[str] = []

    def skip(self) -> None:
        """Skip what may stand between two parts, if the rule allows it."""
        if self.atomicity == "none" and (match := self._skipped.match(self.text, self.at)):
            self.at = match.end()

    def rule(self, name: str, expression: Expression) -> bool:
        """Match a rule and record the attempt."""
        start, kept = self.at, self.nodes
        counts = (len(self._expected), len(self._unexpected)) if start == self._attempt_at else (0, 0)
        before = self._attempts(start)
        self.nodes = []
        matched = expression(self)
        children, self.nodes = self.nodes, kept
        if matched != (self.looking is not False):
            self._track(name, start, counts, before)
        if matched and self.looking is None and self.atomicity != "atomic":
            kept.append(Node(name, start, self.at, children))
        return matched

    def problem(self) -> SyntaxProblem:
        """The error for a text that does not match."""
        at = self._attempt_at
        start = self.text.rfind("\n", 0, at) + 1
        line, column = self.text.count("\n", 0, at) + 1, at - start + 1
        source = self.text[start:].partition("\n")
        shown = source[0].replace("\r", "")
        if self.text[at : at + 1] in ("\n", "\r"):
            shown = (source[0] + source[1]).replace("\n", "␊").replace("\r", "␍")
        room = " " * len(str(line))
        marker = "".join("\t" if character == "\t" else " " for character in source[0][: column - 1]) + "^---"
        lines = [f"{room}--> {line}:{column}", f"{room} |", f"{line} | {shown}", f"{room} | {marker}", f"{room} |"]
        return SyntaxProblem("\n".join([*lines, f"{room} = {self._said()}"]), line, column)

    def _attempts(self, at: int) -> int:
        return len(self._expected) + len(self._unexpected) if at == self._attempt_at else 0

    def _track(self, name: str, at: int, counts: tuple[int, int], before: int) -> None:
        if self.atomicity == "atomic" or self._attempts(at) - before == 1:
            return
        if at == self._attempt_at:
            del self._expected[counts[0] :], self._unexpected[counts[1] :]
        elif at > self._attempt_at:
            self._expected, self._unexpected, self._attempt_at = [], [], at
        if at == self._attempt_at:
            (self._unexpected if self.looking is False else self._expected).append(name)

    def _said(self) -> str:
        expected, unexpected = self._listed(self._expected), self._listed(self._unexpected)
        parts = [f"unexpected {unexpected}"] if unexpected else []
        parts += [f"expected {expected}"] if expected else []
        return "; ".join(parts) or "unknown parsing error"

    def _listed(self, names: list[str]) -> str:
        names = sorted(set(names), key=self._order.index)
        if len(names) > 2:
            return ", ".join(names[:-1]) + f", or {names[-1]}"
        return " or ".join(names)


def text(literal: str) -> Expression:
    """Exactly this text."""

    def match(machine: Machine) -> bool:
        if not machine.text.startswith(literal, machine.at):
            return False
        machine.at += len(literal)
        return True

    return match


def pattern(expression: str) -> Expression:
    """A regular expression, for a part without inner rules."""
    compiled = re.compile(expression)

    def match(machine: Machine) -> bool:
        found = compiled.match(machine.text, machine.at)
        machine.at = found.end() if found else machine.at
        return found is not None

    return match


def sequence(*parts: Expression) -> Expression:
    """All parts in sequence; nothing if one fails."""

    def match(machine: Machine) -> bool:
        at, count = machine.at, len(machine.nodes)
        for index, part in enumerate(parts):
            if index:
                machine.skip()
            if not part(machine):
                machine.at = at
                del machine.nodes[count:]
                return False
        return True

    return match


def choice(*parts: Expression) -> Expression:
    """The first part that fits."""
    return lambda machine: any(part(machine) for part in parts)


def optional(part: Expression) -> Expression:
    """The part or nothing."""
    return lambda machine: part(machine) or True


def repeated(part: Expression) -> Expression:
    """The part any number of times."""

    def again(machine: Machine) -> bool:
        at = machine.at
        machine.skip()
        if part(machine):
            return True
        machine.at = at
        return False

    def match(machine: Machine) -> bool:
        if part(machine):
            while again(machine):
                pass
        return True

    return match


def some(part: Expression) -> Expression:
    """The part once or more."""
    return sequence(part, repeated(part))


def never(part: Expression) -> Expression:
    """Matches nothing, if the part does not match."""

    def match(machine: Machine) -> bool:
        at, looking = machine.at, machine.looking
        machine.looking = looking is False
        found = part(machine)
        machine.at, machine.looking = at, looking
        return not found

    return match


def within(atomicity: str, part: Expression) -> Expression:
    """The part without skipping; ``atomic`` hides inner rules, ``compound`` does not."""

    def match(machine: Machine) -> bool:
        before, machine.atomicity = machine.atomicity, atomicity
        found = part(machine)
        machine.atomicity = before
        return found

    return match
