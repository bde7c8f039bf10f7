"""The ten goals that say most, from all records, as README shows them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from evaluation.results import read
from lfi.errors import DataError
from lfi.methods import BEST_OWN_WORDS, UNSHUFFLED


class Row(NamedTuple):
    """A goal: what to call it, its record and its name there, and the figure with its interval."""

    label: str
    record: str
    goal: str
    figure: str


_POINTS = f"TinyImageNet 10% of labels: {UNSHUFFLED} less"
_HELD_OUT = f"PACS, mean of held-out domains: {UNSHUFFLED} less DIST + feature KD"
_STEPS = f"TinyImageNet 10% of labels: steps of DIST + feature KD over those of {UNSHUFFLED} to the same score"
_HITS = "hit rate of LFI over the baseline's best explanation, both less the floor"
ROWS = (
    Row(
        "drawn scenes: LFI over the best result-oriented student, points of mAP",
        "scenes",
        "LFI minus best result-oriented (logit + feature KD)",
        "LFI minus best result-oriented (logit + feature KD)",
    ),
    Row(
        "photographs: the teacher finds the named photograph on a canvas, %",
        "photographs",
        "teacher: pointing on canvases",
        "pointing on canvases: teacher",
    ),
    Row("photographs: LFI finds it, %", "photographs", "lfi: pointing on canvases", "pointing on canvases: lfi"),
    Row(
        "photographs: hits of LFI's maps over the baseline's, both less chance (one pair)", "photographs", _HITS, _HITS
    ),
    Row(
        "TinyImageNet, 10 % of labels: LFI over the best result-oriented student, both tuned, points",
        "transfer-photographs-tuned",
        f"{_POINTS} DIST + feature KD",
        f"{_POINTS} DIST + feature KD",
    ),
    Row(
        "the same, over LFI with another image's maps and its own words, points",
        "transfer-photographs-tuned-controls",
        f"{_POINTS} {BEST_OWN_WORDS}",
        f"{_POINTS} {BEST_OWN_WORDS}",
    ),
    Row("the same, steps of that student over LFI's to its score", "transfer-photographs-tuned", _STEPS, _STEPS),
    Row("PACS, held-out domains: the same lead, points", "transfer-photographs-tuned-pacs", _HELD_OUT, _HELD_OUT),
    Row(
        "detection: the lead of LFI as a fine-tuned backbone, median of seeds, points of box mAP",
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
            figure = record["figures"][row.figure]
        except KeyError as error:
            raise DataError(f"the summary shows {error} of {path}, which does not have it") from error
        interval = "" if figure["low"] is None else f"{shown(figure['low'])} to {shown(figure['high'])}"
        verdict = "met" if goal["holds"] else "**missed**"
        lines.append(f"| {row.label} | {shown(goal['goal'])} | {shown(goal['value'])} | {interval} | {verdict} |")
    return "\n".join(lines)
