"""Who is asked what: the trials of one rater as an assignment problem over the cells that still need answers.

A *cell* is what is counted: one item in one condition (a rating), or one item with a contrast of two (a pair). Every
cell has as many *slots* as answers are wanted, and an answer holds one of them, so a cell can never have too many.

Order. Ratings follow a balanced Latin square (Williams 1949): within a block of k trials every condition stands once;
over k raters (2k where k is odd) every condition stands equally often at every position, and follows every other
condition equally often. So neither fatigue nor the trial before favours a condition.

Choice. With the condition of every position given, the items are chosen by a minimum-cost assignment of positions to
pictures (Kuhn-Munkres): the cost of a cell is the number of its slots that are taken, so all cells fill level, and no
picture comes twice. Positions that stay empty because their condition has no free cell left are given to whatever is
still wanted: exact counts come before a rater's balance. Only then may a picture come a second time, in another
condition; the same picture in the same condition never does, whether in a rating or in a pair.

Sides. Which condition stands left is a property of the slot: even slots one way, odd slots the other, beginning
with either in turn from item to item. A full cell of an even number of slots is therefore counterbalanced exactly,
whoever dropped out on the way; of an odd number, one item's surplus is made up by the next one's. And a rater is given
slots of both kinds in turn.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

Exposure = tuple[str, str]
"""A picture in a condition."""


@dataclass(frozen=True)
class Cell:
    """One item in one condition, or with a contrast of two.

    Attributes:
        key: of the cell, whatever its owner uses.
        image: the picture of the item; several items may share one.
        conditions: one for a rating, two for a pair.
        free: numbers of the slots that nobody holds, rising.
        taken: how many slots are held or answered.
        turn: of a pair, its item's number plus its contrast's; tells which way the first slot goes.
    """

    key: int
    image: str
    conditions: tuple[str, ...]
    free: tuple[int, ...]
    taken: int
    turn: int = 0

    @property
    def exposures(self) -> tuple[Exposure, ...]:
        """What a rater who gets this cell has then seen."""
        return tuple((self.image, condition) for condition in self.conditions)


@dataclass(frozen=True)
class Place:
    """One slot of a cell, given to a rater. `flipped` puts the second condition of a pair on the left."""

    cell: int
    slot: int
    flipped: bool
    exposures: tuple[Exposure, ...]


def williams(count: int) -> list[list[int]]:
    """The rows of a balanced Latin square of `count` treatments; twice as many where `count` is odd.

    Source: E. J. Williams (1949), Experimental designs balanced for the estimation of residual effects of
    treatments. First row 0, 1, n-1, 2, n-2, ...; the others add 1 modulo n; for odd n also every row reversed.
    """
    first = [0]
    low, high = 1, count - 1
    while len(first) < count:
        first.append(low if len(first) % 2 else high)
        low, high = (low + 1, high) if len(first) % 2 == 0 else (low, high - 1)
    rows = [[(value + shift) % count for value in first] for shift in range(count)]
    return rows + [row[::-1] for row in rows] if count % 2 else rows


def is_flipped(cell: Cell, slot: int) -> bool:
    """Whether the slot's sides are swapped: every other slot, beginning with either kind from item to item."""
    return (cell.turn + slot) % 2 == 1


def plan_ratings(
    cells: Sequence[Cell],
    conditions: Sequence[str],
    trials: int,
    row: int,
    rng: np.random.Generator,
    seen: Collection[Exposure] = (),
) -> list[Place]:
    """The ratings of one rater, in order; fewer than `trials` where fewer are wanted of somebody who has `seen` these.

    Args:
        row: which row of the Latin square; number the raters.
        rng: breaks ties between cells that are equally full.
    """
    rows = williams(len(conditions))
    blocks = -(-trials // len(conditions))
    order = [conditions[rows[(row + block) % len(rows)][k]] for block in range(blocks) for k in range(len(conditions))]
    wanted: list[tuple[str, ...] | None] = [(condition,) for condition in order[:trials]]
    return _fill(cells, wanted, rng, seen)


def plan_pairs(
    cells: Sequence[Cell], trials: int, rng: np.random.Generator, seen: Collection[Exposure] = (), row: int = 0
) -> list[Place]:
    """The pairs of one rater, in order, contrasts and sides as even as the free slots allow."""
    contrasts = sorted({cell.conditions for cell in cells})
    if not contrasts:
        return []
    wanted: list[tuple[str, ...] | None] = [contrasts[(row + trial) % len(contrasts)] for trial in range(trials)]
    return _even_sides(cells, _fill(cells, wanted, rng, seen), row)


def _fill(
    cells: Sequence[Cell],
    wanted: Sequence[tuple[str, ...] | None],
    rng: np.random.Generator,
    seen: Collection[Exposure],
) -> list[Place]:
    """A place for as many positions as possible, in three rounds, each with fewer wishes than the one before."""
    exposed = set(seen)
    images = {image for image, _ in exposed}
    chosen: dict[int, Place] = {}
    for strict, fresh in ((True, True), (False, True), (False, False)):
        while True:
            empty = [position for position in range(len(wanted)) if position not in chosen]
            open_cells = [
                cell
                for cell in cells
                if cell.free and exposed.isdisjoint(cell.exposures) and not (fresh and cell.image in images)
            ]
            found = _match(open_cells, [wanted[position] if strict else None for position in empty], rng)
            for number, cell in found.items():
                chosen[empty[number]] = Place(cell.key, cell.free[0], is_flipped(cell, cell.free[0]), cell.exposures)
                exposed.update(cell.exposures)
                images.add(cell.image)
            if fresh or not found:  # one match gives each picture once, which is all that a fresh round can
                break
    return [chosen[position] for position in sorted(chosen)]


def _match(
    cells: Sequence[Cell], wanted: Sequence[tuple[str, ...] | None], rng: np.random.Generator
) -> dict[int, Cell]:
    """Positions to cells, as many as can be, no picture twice, at the least sum of slots already taken."""
    if not cells or not wanted:
        return {}
    images = {image: column for column, image in enumerate(dict.fromkeys(cell.image for cell in cells))}
    jitter = rng.random(len(cells)) / (len(wanted) + 1)  # all of it together weighs less than one slot taken
    best: dict[tuple[tuple[str, ...] | None, int], tuple[float, Cell]] = {}
    for cell, noise in zip(cells, jitter, strict=True):
        offer = (cell.taken + noise, cell)
        for kind in (cell.conditions, None):
            key = (kind, images[cell.image])
            if key not in best or offer[0] < best[key][0]:
                best[key] = offer
    never = 1e3 * (1 + max(cell.taken for cell in cells)) * max(len(wanted), len(images))
    cost = np.full((len(wanted), len(images)), never)
    for row, kind in enumerate(wanted):
        for column in range(len(images)):
            if (kind, column) in best:
                cost[row, column] = best[kind, column][0]
    rows, columns = linear_sum_assignment(cost)
    return {
        int(row): best[wanted[row], int(column)][1]
        for row, column in zip(rows, columns, strict=True)
        if cost[row, column] < never
    }


def _even_sides(cells: Sequence[Cell], places: Sequence[Place], row: int) -> list[Place]:
    """The same cells in the same order, with slots of both kinds in turn as far as they are free."""
    by_key = {cell.key: cell for cell in cells}
    swapped, even = 0, []
    for number, place in enumerate(places):
        want = 2 * swapped < number + (row % 2)  # an odd row begins with a swapped one
        cell = by_key[place.cell]
        slots = [slot for slot in cell.free if is_flipped(cell, slot) == want]
        if slots:
            place = replace(place, slot=slots[0], flipped=want)
        swapped += place.flipped
        even.append(place)
    return even
