"""What the gain depends on: differences from several records side by side, as `docs/results.md` shows them.

python -m evaluation.dependence results docs/dependence.svg
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NamedTuple

import matplotlib as mpl
import typer
from matplotlib.figure import Figure as Drawing

from evaluation.drawing import STYLE
from evaluation.results import read
from evaluation.transfer_pointing import POINTING
from lfi.errors import DataError
from lfi.methods import (
    BEST_HEAD,
    BEST_OWN_WORDS,
    BEST_QUERIES,
    BEST_SHUFFLED,
    HEAD_ALONE,
    OWN_WORDS,
    PATCHES,
    SHUFFLED,
    UNSHUFFLED,
    WIDER,
)


class Point(NamedTuple):
    """A difference: what to call it, its record and its name there."""

    label: str
    record: str
    figure: str


_SCENES, _TINY = "scenes without sketch", "TinyImageNet 10% of labels"
_PACS = "PACS, mean of held-out domains"
_TUNED = "LFI + DIST + feature KD less"
_OURS = f"{UNSHUFFLED} less"
_FEW, _ADAMW = "transfer-photographs-labelled", "transfer-photographs-adamw"
_BOXES, _CANVASES = POINTING["boxes"], POINTING["canvases"]
REACH = (-6, 27)
"""Of the scale, in points."""
PANELS: dict[str, tuple[Point, ...]] = {
    "whether the teacher points: LFI less\nthe best result-oriented": (
        Point("drawn scenes (87 % of words hit)", "scenes", "LFI minus best result-oriented (logit + feature KD)"),
        Point("drawn scenes, another style", "transfer", f"{_SCENES}: LFI less DIST"),
        Point("TinyImageNet, pretrained teacher", "transfer-photographs-tuned", f"{_TINY}: {_OURS} DIST + feature KD"),
        Point("TinyImageNet, teacher from nothing", "transfer-tuned", f"{_TINY}: {_TUNED} DIST + feature KD"),
    ),
    "whether it points: LFI less\nanother image's maps and words": (
        Point("drawn scenes (87 % of words hit)", "scenes", "LFI minus shuffled maps"),
        Point("drawn scenes, another style", "transfer", f"{_SCENES}: LFI less shuffled maps"),
        Point("TinyImageNet, pretrained teacher", "transfer-photographs", f"{_TINY}: {_OURS} {SHUFFLED}"),
        Point("TinyImageNet, teacher from nothing", "transfer-tuned", f"{_TINY}: {_TUNED} the best LFI, shuffled maps"),
    ),
    "losses: without one, less LFI": (
        Point("no naming", "ablation", f"{_SCENES}: no naming less LFI"),
        Point("no maps", "ablation", f"{_SCENES}: no maps less LFI"),
        Point("no relation", "ablation", f"{_SCENES}: no relation less LFI"),
    ),
    "queries and taps: changed, less LFI\n(8 queries, every block)": (
        Point("4 queries", "ablation", f"{_SCENES}: 4 queries less LFI"),
        Point("16 queries", "ablation", f"{_SCENES}: 16 queries less LFI"),
        Point("every second block tapped", "ablation", f"{_SCENES}: every second block tapped less LFI"),
        Point("last block tapped", "ablation", f"{_SCENES}: last block tapped less LFI"),
        Point("one assignment per layer", "ablation", f"{_SCENES}: one assignment per layer less LFI"),
        Point("feedback into the patches", "ablation", f"{_SCENES}: feedback into the patches less LFI"),
    ),
    "what else gives the gain (TinyImageNet):\nLFI less": (
        Point("another image's maps and words", "transfer-photographs", f"{_TINY}: {_OURS} {SHUFFLED}"),
        Point("another image's maps, own words", "transfer-photographs", f"{_TINY}: {_OURS} {OWN_WORDS}"),
        Point("its head, no maps", "transfer-photographs", f"{_TINY}: {_OURS} {HEAD_ALONE}"),
        Point("token labelling, labelled images alone", _FEW, f"{_TINY}: {_OURS} {PATCHES}"),
    ),
    "the same, both sides tuned:\nLFI less": tuple(
        Point(title, "transfer-photographs-tuned-controls", f"{_TINY}: {_OURS} {control}")
        for title, control in (
            ("another image's maps and words", BEST_SHUFFLED),
            ("another image's maps, own words", BEST_OWN_WORDS),
            ("its head, no maps", BEST_HEAD),
            ("its queries alone", BEST_QUERIES),
            ("a wider backbone without queries", WIDER),
        )
    ),
    "the weights of both sides:\nLFI less DIST + feature KD": (
        Point("TinyImageNet, as first set", "transfer-photographs", f"{_TINY}: {_OURS} DIST + feature KD"),
        Point("TinyImageNet, both tuned", "transfer-photographs-tuned", f"{_TINY}: {_OURS} DIST + feature KD"),
        Point("PACS, as first set", "transfer-photographs-pacs", f"{_PACS}: {_OURS} DIST + feature KD"),
        Point(
            "PACS, both tuned on TinyImageNet", "transfer-photographs-tuned-pacs", f"{_PACS}: {_OURS} DIST + feature KD"
        ),
    ),
    "how long both sides train (tuned):\nLFI less DIST + feature KD": (
        Point("4 epochs (26 and 28 %)", "transfer-photographs-tuned", f"{_TINY}: {_OURS} DIST + feature KD"),
        Point("12 epochs (33 and 34 %)", "transfer-photographs-tuned-long", f"{_TINY}: {_OURS} DIST + feature KD"),
    ),
    "images without labels (TinyImageNet):\nLFI less DIST + feature KD": (
        Point("10,000 labelled images, 50,000 views", _FEW, f"{_TINY}: {_OURS} DIST + feature KD"),
        Point("40,000 more without labels, 200,000 views", _ADAMW, f"{_TINY}: {_OURS} DIST + feature KD"),
    ),
    "the optimiser (TinyImageNet): LFI less": tuple(
        Point(f"{title}, {optimizer}", record, f"{_TINY}: {_OURS} {method}")
        for title, method in (
            ("DIST + feature KD", "DIST + feature KD"),
            ("its head, no maps", HEAD_ALONE),
            ("another image's maps and words", SHUFFLED),
        )
        for optimizer, record in (("AdamW", _ADAMW), ("Muon", "transfer-photographs"))
    ),
    "where words peak (photographs):\nLFI less": (
        Point("another image's maps, small objects", "transfer-photographs", f"{_BOXES}: {_OURS} {OWN_WORDS}"),
        Point("no maps, small objects", "transfer-photographs", f"{_BOXES}: {_OURS} {HEAD_ALONE}"),
        Point("another image's maps, canvases", "transfer-photographs", f"{_CANVASES}: {_OURS} {OWN_WORDS}"),
        Point("no maps, canvases", "transfer-photographs", f"{_CANVASES}: {_OURS} {HEAD_ALONE}"),
    ),
    "training: LFI less DIST + feature KD\nafter a share of the steps (TinyImageNet)": tuple(
        Point(share, "transfer-photographs", f"{_TINY}, after {share} of the steps: {_OURS} DIST + feature KD")
        for share in ("20%", "40%", "60%", "80%", "100%")
    ),
}
"""By what it depends on."""


def gathered(folder: Path) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """The figures of every panel.

    Raises:
        DataError: a record or a figure is missing.
    """
    found: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for title, points in PANELS.items():
        for point in points:
            path = folder / f"{point.record}.json"
            if not path.is_file():
                raise DataError(f"there is no {path}, from which {point.label!r} is drawn")
            figures = read(path)["figures"]
            if point.figure not in figures:
                raise DataError(f"{path} has no figure {point.figure!r}")
            found.setdefault(title, []).append((point.label, figures[point.figure]))
    return found


def draw(panels: dict[str, list[tuple[str, dict[str, Any]]]], path: Path) -> None:
    """One panel a question, a row a difference, with its 95 % interval where there is one; all on one scale."""
    with mpl.rc_context(STYLE):
        lines = -(-len(panels) // 2)
        drawing = Drawing(figsize=(11, 2.1 * lines), layout="constrained")
        axes = list(drawing.subplots(lines, 2, sharex=True).flat)
        for spare in axes[len(panels) :]:
            spare.remove()
        for axis, (title, rows) in zip(axes, panels.items(), strict=False):
            for row, (_, each) in enumerate(rows):
                known = each["low"] is not None
                reach = [[each["value"] - each["low"]], [each["high"] - each["value"]]] if known else None
                axis.errorbar(each["value"], row, xerr=reach, fmt="o", color="#0072b2", capsize=2, markersize=4)
            axis.axvline(0, color="#767676", linewidth=0.8)
            axis.set_yticks(range(len(rows)), [label for label, _ in rows])
            axis.set_ylim(len(rows) - 0.4, -0.6)
            axis.set_xlim(*REACH)
            axis.set_title(title, fontsize=9)
            axis.tick_params(labelbottom=True)
            axis.grid(axis="x", alpha=0.3)
            axis.spines[["top", "right"]].set_visible(False)
        drawing.supxlabel("points; 95 % interval over seeds", fontsize=9)
        path.parent.mkdir(parents=True, exist_ok=True)
        drawing.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main(
    results: Annotated[Path, typer.Argument(help="Folder of the records.")],
    figure: Annotated[Path, typer.Argument(help="Where the figure goes; its ending names the format.")],
) -> None:
    """What the gain depends on: differences from several records side by side."""
    try:
        draw(gathered(results), figure)
    except DataError as error:
        raise typer.BadParameter(str(error)) from None


if __name__ == "__main__":
    typer.run(main)
