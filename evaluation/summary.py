"""The goals that say most, from all records, as README shows them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from evaluation.results import read
from lfi.errors import DataError
from lfi.methods import BEST_OWN_WORDS, OWN_WORDS, SHUFFLED, UNSHUFFLED


class Row(NamedTuple):
    """A goal: what to call it, its record and its name there, and the figure with its interval, if it has one."""

    label: str
    record: str
    goal: str
    figure: str = ""


_POINTS = f"TinyImageNet 10% of labels: {UNSHUFFLED} less"
_HELD_OUT = f"PACS, mean of held-out domains: {UNSHUFFLED} less DIST + feature KD"
ROWS = (
    Row(
        "drawn scenes: LFI over the best result-oriented student, points of mAP",
        "scenes",
        "LFI minus best result-oriented (logit + feature KD)",
        "LFI minus best result-oriented (logit + feature KD)",
    ),
    Row(
        "drawn scenes: steps of the best baseline's whole run over LFI's to the same score",
        "scenes",
        "convergence",
        "convergence: steps of logit + feature KD over steps of LFI to its final score",
    ),
    Row(
        "drawn scenes: hits of LFI's maps over the baseline's, both less chance (one pair)",
        "maps",
        "hit rate of LFI over baseline, gradient, both less the floor",
        "hit rate of LFI over baseline, gradient, both less the floor",
    ),
    Row(
        "photographs: the teacher finds the named photograph on a canvas, %",
        "photographs",
        "teacher: pointing on canvases",
        "pointing on canvases: teacher",
    ),
    Row(
        "photographs: LFI finds it, %",
        "photographs",
        "lfi: pointing on canvases",
        "pointing on canvases: lfi",
    ),
    Row(
        "photographs: hits of LFI's maps over the baseline's, both less chance (one pair)",
        "photographs",
        "hit rate of LFI over the baseline's best explanation, both less the floor",
        "hit rate of LFI over the baseline's best explanation, both less the floor",
    ),
    Row(
        "photographs: gain on TinyImageNet, 10 % of labels, both sides tuned, points",
        "transfer-photographs-tuned",
        f"{_POINTS} DIST + feature KD",
        f"{_POINTS} DIST + feature KD",
    ),
    Row(
        "photographs: the same before tuning, points",
        "transfer-photographs",
        f"{_POINTS} DIST + feature KD",
        f"{_POINTS} DIST + feature KD",
    ),
    Row(
        "photographs: gain on PACS, held-out domains, before tuning, points",
        "transfer-photographs-pacs",
        _HELD_OUT,
        _HELD_OUT,
    ),
    Row(
        "photographs: gain over LFI with another image's maps and words, before tuning, points",
        "transfer-photographs",
        f"{_POINTS} {SHUFFLED}",
        f"{_POINTS} {SHUFFLED}",
    ),
    Row(
        "photographs: gain over LFI with another image's maps and its own words, before tuning, points",
        "transfer-photographs",
        f"{_POINTS} {OWN_WORDS}",
        f"{_POINTS} {OWN_WORDS}",
    ),
    Row(
        "photographs: the same with both sides tuned, points",
        "transfer-photographs-tuned-controls",
        f"{_POINTS} {BEST_OWN_WORDS}",
        f"{_POINTS} {BEST_OWN_WORDS}",
    ),
    Row(
        "photographs: accuracy of the best student, %",
        "transfer-photographs-tuned",
        "TinyImageNet 10% of labels: the best student",
        f"TinyImageNet 10% of labels: {UNSHUFFLED}",
    ),
    Row(
        "detection: gain of LFI as a fine-tuned backbone, median of seeds, points of box mAP",
        "detection-patch-words",
        f"{UNSHUFFLED} minus best result-oriented, box mAP",
        f"{UNSHUFFLED} minus best result-oriented (DIST + feature KD), box mAP, fine-tuned, median of seeds",
    ),
    Row(
        "cost of a training step over a plain one, ViT-Ti/16 at 224 px, at most",
        "training",
        "LFI from the cache over plain",
        "LFI from the cache over plain",
    ),
    Row(
        "study: answers lost of those acknowledged (SQLite), at most", "study-load", "sqlite: acknowledged answers lost"
    ),
    Row(
        "study: 95 % intervals that cover the truth, 30 raters, %",
        "study",
        "two-way covers at least 93 %: 30 raters, 40 items, all conditions",
        "coverage, two-way: 30 raters, 40 items, all conditions",
    ),
)


def summary(folder: Path, shown: Callable[[float | None], str]) -> str:
    """The rows as a Markdown table.

    Args:
        folder: of the records.
        shown: how a number is written.

    Raises:
        DataError: a record, a goal or a figure is missing.
    """
    lines = ["| goal | target | measured | 95 % interval | |", "|---|---:|---:|---:|---|"]
    for row in ROWS:
        path = folder / f"{row.record}.json"
        if not path.is_file():
            raise DataError(f"the summary shows results of {row.record}, but there is no {path}")
        record = read(path)
        try:
            goal = record["goals"][row.goal]
            figure = record["figures"][row.figure] if row.figure else {"low": None}
        except KeyError as error:
            raise DataError(f"the summary shows {error} of {path}, which does not have it") from error
        interval = "" if figure["low"] is None else f"{shown(figure['low'])} to {shown(figure['high'])}"
        verdict = "met" if goal["holds"] else "**missed**"
        lines.append(f"| {row.label} | {shown(goal['goal'])} | {shown(goal['value'])} | {interval} | {verdict} |")
    return "\n".join(lines)
