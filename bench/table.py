"""Figures as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """One figure of ours, what it is compared with beside it, and what was hoped for."""

    what: str
    ours: float
    bare: float
    unit: str
    goal: str = ""


@dataclass
class Table:
    """Rows in the order they were measured."""

    rows: list[Row] = field(default_factory=list)
    columns: tuple[str, str] = ("zapwire", "bare neonize")

    def add(self, what: str, figures: Sequence[float], unit: str, goal: str = "") -> None:
        """Take in one figure, *figures* being those of the two columns, and print it."""
        row = Row(what, figures[0], figures[1], unit, goal)
        self.rows.append(row)
        print(_line(row), flush=True)

    def markdown(self) -> str:
        head = [f"| figure | {self.columns[0]} | {self.columns[1]} | ratio | goal |", "|---|---|---|---|---|"]
        return "\n".join([*head, *map(_line, self.rows)])


def _line(row: Row) -> str:
    ratio = f"{row.ours / row.bare:.2f}" if row.bare else "-"
    return f"| {row.what} | {row.ours:,.1f} {row.unit} | {row.bare:,.1f} {row.unit} | {ratio} | {row.goal} |"


def percentile(values: list[float], share: float) -> float:
    """The value below which this share (0..1) of *values* lies; nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(frozen=True)
class Figure:
    """One figure without anything to compare it with."""

    what: str
    value: float
    unit: str
    goal: str = ""

    def line(self) -> str:
        return f"| {self.what} | {self.value:,.1f} {self.unit} | {self.goal} |"


@dataclass
class Figures:
    """Figures in the order they were measured; printed at once, as a long run may fail late."""

    rows: list[Figure] = field(default_factory=list)

    def add(self, what: str, value: float, unit: str, goal: str = "") -> None:
        self.rows.append(Figure(what, value, unit, goal))
        print(self.rows[-1].line(), flush=True)

    def markdown(self) -> str:
        return "\n".join(["| figure | measured | goal |", "|---|---|---|", *(row.line() for row in self.rows)])
