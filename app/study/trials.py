"""What a trial shows: its entry in the plan, and which condition is on which side."""

from __future__ import annotations

from app.database.models import Cell
from app.study.plan import Item, Known, StudyPlan

KNOWN = ("practice", "catch")
"""Kinds of cells whose right answer is known."""


def item_key(number: int) -> str:
    """The key of the plan's item `number`, from 0."""
    return f"i{number + 1:03}"


def known_key(kind: str, number: int) -> str:
    """The key of a practice or catch trial, from 0."""
    return f"{kind}{number + 1:02}"


def entry_of(plan: StudyPlan, cell: Cell) -> Item | Known:
    """The plan's entry of a cell."""
    if cell.kind in KNOWN:
        return known_trial(plan, cell)
    return plan.items[int(cell.item.removeprefix("i")) - 1]


def known_trial(plan: StudyPlan, cell: Cell) -> Known:
    """The plan's entry of a practice or catch cell."""
    trials = plan.practice if cell.kind == "practice" else plan.catch
    return trials[int(cell.item.removeprefix(cell.kind)) - 1]


def conditions_shown(cell: Cell, flipped: bool) -> tuple[str, str]:
    """The conditions on the left and on the right; of a trial with one map, its own and none."""
    return (cell.second, cell.first) if cell.kind == "pair" and flipped else (cell.first, cell.second)
