"""Who is asked what: exact counts, level cells, balanced orders and sides, whatever raters do on the way."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.study.assignment import Cell, Place, is_flipped, plan_pairs, plan_ratings, williams

CONDITIONS = ("teacher", "lfi", "baseline", "shuffled")
CONTRASTS = (("lfi", "baseline"), ("teacher", "shuffled"))


@pytest.mark.parametrize("count", range(1, 10))
def test_a_williams_square_is_balanced_in_position_and_in_what_comes_before(count):
    rows = williams(count)
    assert all(sorted(row) == list(range(count)) for row in rows)
    for position in range(count):
        assert len(set(Counter(row[position] for row in rows).values())) == 1
    carried = Counter(pair for row in rows for pair in pairwise(row))
    assert len(carried) == count * (count - 1)
    assert len(set(carried.values())) <= 1


class Board:
    """A study in memory: who holds which slot of which cell, and who has seen what."""

    def __init__(self, images: int, overlap: int, pair_overlap: int = 0, words: int = 1, seed: int = 0):
        kinds = [((name,), overlap) for name in CONDITIONS] + [(pair, pair_overlap) for pair in CONTRASTS]
        items = [f"p{image}" for image in range(images) for _ in range(words)]
        cells = [(image, kind, target) for image in items for kind, target in kinds if target]
        self.cells = dict(enumerate(cells, 1))
        met: Counter[tuple[str, ...]] = Counter()
        self.turns: dict[int, int] = {}
        for key, (_, kind, _) in self.cells.items():
            self.turns[key] = met[kind]
            met[kind] += 1
        self.held: dict[int, dict[int, int]] = {key: {} for key in self.cells}
        self.seen: dict[int, set] = {}
        self.flips: dict[int, list[bool]] = {key: [] for key in self.cells}
        self.rng = np.random.default_rng(seed)

    def open_cells(self, pairs: bool) -> list[Cell]:
        return [
            Cell(
                key,
                image,
                kind,
                tuple(slot for slot in range(target) if slot not in self.held[key]),
                len(self.held[key]),
                self.turns[key],
            )
            for key, (image, kind, target) in self.cells.items()
            if (len(kind) == 2) == pairs
        ]

    def seat(self, rater: int, trials: int, pairs: int = 0) -> list[Place]:
        seen = self.seen.setdefault(rater, set())
        places = plan_ratings(self.open_cells(False), CONDITIONS, trials, rater, self.rng, seen)
        seen_then = seen | {exposure for place in places for exposure in place.exposures}
        places += plan_pairs(self.open_cells(True), pairs, self.rng, seen_then, rater)
        for place in places:
            assert place.slot not in self.held[place.cell], "two raters hold one slot"
            self.held[place.cell][place.slot] = rater
            assert seen.isdisjoint(place.exposures), "a rater meets a picture twice in one condition"
            seen.update(place.exposures)
        return places

    def leave(self, places: list[Place]) -> None:
        for place in places:
            del self.held[place.cell][place.slot]

    def counts(self) -> Counter:
        """How far cells are beyond their targets, and how many are."""
        return Counter(len(self.held[key]) - target for key, (_, _, target) in self.cells.items())

    @property
    def full(self) -> bool:
        return set(self.counts()) == {0}


@settings(max_examples=60, deadline=None)
@given(
    images=st.integers(2, 12),
    words=st.integers(1, 2),
    overlap=st.integers(1, 4),
    pair_overlap=st.integers(0, 3),
    trials=st.integers(1, 14),
    drop=st.floats(0, 0.7),
    seed=st.integers(0, 10_000),
)
def test_every_cell_ends_exactly_at_its_target_whoever_drops_out(
    images, words, overlap, pair_overlap, trials, drop, seed
):
    board = Board(images, overlap, pair_overlap, words, seed)
    rng = np.random.default_rng(seed)
    rater = 0
    while not board.full:
        places = board.seat(rater, trials, 3)
        assert places, "places are left, and somebody new gets none"
        if rng.random() < drop and rater < 200:
            done = int(rng.integers(0, len(places)))
            board.leave(places[done:])
        assert max(board.counts()) <= 0
        rater += 1
        assert rater < 2000


@settings(max_examples=30, deadline=None)
@given(
    images=st.integers(2, 10),
    half=st.integers(1, 3),
    drop=st.floats(0, 0.6),
    seed=st.integers(0, 10_000),
)
def test_a_full_cell_has_shown_each_side_equally_often_whoever_dropped_out(images, half, drop, seed):
    board = Board(images, 1, 2 * half, seed=seed)
    rng = np.random.default_rng(seed)
    rater = 0
    while not board.full:
        places = board.seat(rater, 4, 5)
        if rng.random() < drop and rater < 100:
            board.leave(places[int(rng.integers(0, len(places))) :])
        rater += 1
    for cell in board.open_cells(True):
        assert sum(is_flipped(cell, slot) for slot in board.held[cell.key]) == half


@settings(max_examples=30, deadline=None)
@given(blocks=st.integers(1, 6), raters=st.integers(1, 4), seed=st.integers(0, 10_000))
def test_without_drop_outs_every_rater_sees_all_conditions_equally_often_and_no_picture_twice(blocks, raters, seed):
    images = 4 * blocks
    board = Board(images, raters, seed=seed)
    for rater in range(4 * raters):
        places = board.seat(rater, images)
        assert Counter(place.exposures[0][1] for place in places) == dict.fromkeys(CONDITIONS, blocks)
        assert len({place.exposures[0][0] for place in places}) == images
        taken = [len(held) for held in board.held.values()]
        assert max(taken) - min(taken) <= 1, "cells do not fill level"
    assert board.full


def test_four_raters_see_every_condition_at_every_position_once():
    board = Board(images=12, overlap=3)
    sessions = [[place.exposures[0][1] for place in board.seat(rater, 12)] for rater in range(4)]
    for position in range(12):
        assert sorted(session[position] for session in sessions) == sorted(CONDITIONS)


def test_a_rater_sees_both_sides_of_pairs_in_turn():
    board = Board(images=16, overlap=1, pair_overlap=4)
    for rater in range(8):
        pairs = [place for place in board.seat(rater, 1, 8) if len(place.exposures) == 2]
        assert sum(place.flipped for place in pairs) == 4
        assert Counter(tuple(condition for _, condition in place.exposures) for place in pairs) == dict.fromkeys(
            CONTRASTS, 4
        )


def test_whoever_comes_back_gets_the_rest_and_nothing_again():
    board = Board(images=6, overlap=1)
    first = board.seat(0, 6)
    board.leave(first[2:])
    for place in first[3:]:  # shown were three; the others were never met
        board.seen[0] -= set(place.exposures)
    again = board.seat(0, 4)
    assert len(again) == 4
    assert not {place.exposures for place in again} & {place.exposures for place in first[:3]}
