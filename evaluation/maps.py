"""`lfi evaluate maps`: semantic consistency without people, and faithfulness, of every map that a trio can draw.

The trio's own answerers are asked, so these are the maps that it shows. Its peers stand in the same table. Every figure
has its floor (maps of another image, and a spot in the centre) and its ceiling (the teacher). The layers of
explanations, and which of the baseline's is its best, are chosen on images of their own.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from evaluation.metrics import METRICS, UndefinedWarning, of_category
from evaluation.metrics.grids import on_coarser
from evaluation.pointing import Cases, WordMaps, word_maps
from evaluation.results import Figure, Goal, Results, over_clusters, ratio_over_clusters
from evaluation.sanity import randomise
from evaluation.transfer_scores import similarity
from lfi.answerers import Answerer, ask
from lfi.data.scenes import CLASSES
from lfi.errors import DataError, UnknownWordError, UnsupportedModelError
from lfi.images import pictures, pixels
from lfi.peers import Peer, StudentPeer
from lfi.students import Student
from lfi.students.explanations import WORDLESS, explanations_of
from lfi.teachers.base import BaseTeacher
from lfi.trio import Trio

KINDS = ("shape", "colour", "colour and shape")
CASES = 200
"""Words whose maps are tried for faithfulness: one per image, of the kind that students classify."""
CENTRE = 0.25
"""Standard deviation of the spot in the centre, as a share of the grid."""
_HIT = "pointing game"
SIZES = {"small": (0.0, 0.05), "medium": (0.05, 0.25), "large": (0.25, 1.01)}
"""What share of the image a word's mask covers: at least, and less than."""

Score = Callable[[Tensor], Tensor]
"""From `n` images, normalised and of the size that a model reads, to how strongly it sees its word in each, `[n]`."""
Scorer = Callable[[Student, Sequence[str]], Score]
"""From a student and a phrase for each image to its score."""


@dataclass(frozen=True, eq=False)
class Column:
    """One way to draw a word's map.

    Attributes:
        answerer: draws all layers; `layer` is the one that counts.
        score: what insertion and deletion watch, for a phrase per image; None where the model scores no words.
        weights: what is replaced by noise to see whether the map falls with it; None where that is not tried.
        floor: whether these are another image's maps.
    """

    name: str
    answerer: Answerer[Any]
    layer: int
    score: Callable[[Sequence[str]], Score] | None = None
    weights: Student | None = None
    floor: bool = False


def evaluate_maps(
    trio: Trio,
    test: Cases,
    choice: Cases,
    command: str,
    seed: int,
    scorer: Scorer,
    title: str = "Maps of words against exact masks",
    by_size: bool = False,
) -> Results:
    """Measure everything on `test`; `choice` decides on layers and the baseline's best explanation.

    Args:
        scorer: what insertion and deletion watch of a student.
        by_size: also say how localisation is for words of each of `SIZES`.

    Raises:
        DataError: no word to choose on, or to measure on, has a mask.
    """
    for asked, what in ((choice, "chosen"), (test, "measured")):
        if not asked.masks.any():
            raise DataError(f"no word of the images that are {what} on has a mask; larger masks may keep small objects")
    columns, best = columns_of(trio, choice, scorer, test.phrases)
    left_out = {note.what: note.count for note in test.notes}
    results = Results(command, [seed], {"images": len(test.images)} | left_out, title=title)
    found = {
        column.name: word_maps(column.answerer, test, floor=column.floor)
        for column in tqdm(columns, desc="maps", unit="model", dynamic_ncols=True)
    }
    maps = {column.name: found[column.name].maps[column.layer] for column in columns}
    cases = found["teacher"]
    maps["centre"] = spot(maps["LFI"])
    results.n["words"] = len(cases.images)
    if missing := int((~cases.masks.flatten(1).any(1)).sum()):
        results.n["words too small for a mask"] = missing
    for name in maps:
        for metric in of_category("localisation"):
            results.figures[f"{name}: {metric.name}"] = figure(
                metric(maps[name], cases.masks), cases.images, metric.unit
            )
        for metric in of_category("agreement") if name != "teacher" else ():
            values = quiet(metric, *on_coarser(maps[name], maps["teacher"]))
            results.figures[f"{name}: {metric.name} with the teacher"] = figure(values, cases.images, metric.unit)
    if by_size:
        localised_by_size(maps, cases, results)
    faithfulness(columns, maps, cases, test, results)
    robustness(columns, cases, test, results)
    sanity(columns, cases, test, results)
    against(best, maps, cases, results)
    return results


def localised_by_size(maps: dict[str, Tensor], cases: WordMaps, results: Results) -> None:
    """The pointing game for words whose masks are small, medium and large; sizes that no word has are left out."""
    share = cases.masks.float().mean((-2, -1)).numpy()
    [metric] = [each for each in of_category("localisation") if each.name == _HIT]
    for size, (least, below) in SIZES.items():
        rows = np.flatnonzero((share > 0) & (share >= least) & (share < below))
        results.n[f"words of {size} regions"] = len(rows)
        for name, drawn in maps.items() if len(rows) else ():
            hits = metric(drawn[rows], cases.masks[rows])
            results.figures[f"{name}: {_HIT}, {size} regions"] = figure(hits, cases.images[rows], metric.unit)


def columns_of(trio: Trio, choice: Cases, scorer: Scorer, phrases: Sequence[str] = ()) -> tuple[list[Column], str]:
    """All ways to draw a map, and the name of the baseline's best by hits on `choice`.

    Args:
        phrases: what will be asked besides: a peer that does not know all of it is asked by no word.
    """
    explained, rates = [], {}
    for column in tqdm(
        [*_explanations(trio, partial(scorer, trio.baseline)), *_peers(trio, (*choice.phrases, *phrases))],
        desc="choosing layers",
        unit="explanation",
        dynamic_ncols=True,
    ):
        tried = word_maps(column.answerer, choice)
        hits = torch.stack([quiet(METRICS[_HIT], layer, tried.masks).nanmean() for layer in tried.maps])
        layer = METRICS[_HIT].best(hits)
        explained.append(replace(column, layer=layer))
        rates[column.name] = float(hits[layer])
    best = max((name for name in rates if name.startswith("baseline, ")), key=lambda name: rates[name])
    chosen = next(column for column in explained if column.name == best)
    teacher, lfi = (trio.answerers[model] for model in ("teacher", "lfi"))
    ours = Column("LFI", lfi, trio.default_layer["lfi"], partial(scorer, trio.lfi), trio.lfi)
    return [
        Column("teacher", teacher, trio.default_layer["teacher"]),
        ours,
        *explained,
        *(
            replace(column, name=f"{name}, another image's", floor=True)
            for name, column in (("LFI", ours), ("baseline", chosen))
        ),
    ], best


def _explanations(trio: Trio, score: Callable[[Sequence[str]], Score]) -> Iterator[Column]:
    """The baseline's, before their layers are chosen."""
    for explanation in explanations_of(trio.baseline):
        answerer = trio.answerers[f"baseline:{explanation}"]
        yield Column(f"baseline, {explanation}", answerer, 0, score, trio.baseline)


def _peers(trio: Trio, phrases: Sequence[str]) -> Iterator[Column]:
    """Explanations of peers; of one that does not know the phrases, those that need none."""
    for name, peer in trio.peers.items():
        try:
            peer.check(list(dict.fromkeys(phrases)))
            possible, score = peer.explanations, partial(peer_score, peer) if peer.scores_words else None
        except UnknownWordError:
            possible, score = tuple(each for each in peer.explanations if each in WORDLESS), None
        for explanation in possible:
            # dense similarity runs through the whole CLIP, whose tower is the peer's in another form
            weights = peer.student if isinstance(peer, StudentPeer) and explanation != "dense-similarity" else None
            yield Column(f"{name}, {explanation}", trio.answerers[f"{name}:{explanation}"], 0, score, weights)


def peer_score(peer: Peer, phrases: Sequence[str]) -> Score:
    """A classifier's probability of the phrase's class, or the cosine of CLIP's image with the phrase."""
    texts = peer.embed(phrases)

    @torch.no_grad()
    def score(images: Tensor) -> Tensor:
        found = peer.project(peer.read(images))
        return ((found.softmax(-1) if peer.clip is None else found) * texts).sum(-1)

    return score


def faithfulness(
    columns: Sequence[Column], maps: dict[str, Tensor], cases: WordMaps, test: Cases, results: Results
) -> None:
    """Insertion and deletion of the model's own score of the word, on what it reads of each picture."""
    rows = one_word_each(cases, CASES)
    shown = pictures_of(test, cases.images[rows])
    phrases = [cases.phrases[row] for row in rows]
    results.n["words for faithfulness"] = len(rows)
    for column in tqdm(columns, desc="faithfulness", unit="model", dynamic_ncols=True):
        if column.score is None:
            continue
        score, images = column.score(phrases), pixels(shown, column.answerer.image_size)
        for metric in of_category("faithfulness"):
            values = metric(maps[column.name][rows], images, score)
            results.figures[f"{column.name}: {metric.name}"] = figure(values, cases.images[rows], metric.unit)


def scene_probability(student: Student, phrases: Sequence[str]) -> Callable[[Tensor], Tensor]:
    """A student's own probability of the class that each phrase names, for students of scenes."""
    classes = torch.tensor([CLASSES.index(phrase) for phrase in phrases])
    return lambda images: student(images).logits.sigmoid().gather(1, classes[:, None])[:, 0]


def scene_scorer(trio: Trio) -> Scorer:
    """A student's probability of a scene's class where both students know these, else its likeness to the word."""
    known = trio.lfi.config.classes == trio.baseline.config.classes == len(CLASSES)
    return scene_probability if known else text_likeness(trio.teacher)


def text_likeness(teacher: BaseTeacher) -> Scorer:
    """Cosine of a student's image, or of its nearest query's name, with each phrase in the teacher's text space."""

    def scorer(student: Student, phrases: Sequence[str]) -> Callable[[Tensor], Tensor]:
        if student.name is None and student.embed is None:
            raise UnsupportedModelError(
                "a student that projects nothing into the teacher's space has no score for a word; feature KD gives one"
            )
        texts = teacher.embed_texts(phrases)

        def score(images: Tensor) -> Tensor:
            out = student(images)
            return similarity(out.names, out.embedding, texts).diagonal()

        return score

    return scorer


def robustness(columns: Sequence[Column], cases: WordMaps, test: Cases, results: Results) -> None:
    """Whether maps follow an image that is shifted by pixels of the masks, and then asked for as any other."""
    rows = one_word_each(cases, CASES // 4)
    images = pixels(pictures_of(test, cases.images[rows]), (cases.masks.shape[-2], cases.masks.shape[-1]))
    results.n["words for shifts"] = len(rows)
    for column in tqdm(columns, desc="shifts", unit="model", dynamic_ncols=True):
        if column.floor:
            continue
        explain = explainer(column, [cases.phrases[row] for row in rows])
        for metric in of_category("robustness"):
            values = quiet(metric, lambda moved, explain=explain: explain(pictures(moved)), images)
            results.figures[f"{column.name}: {metric.name}"] = figure(values, cases.images[rows], metric.unit)


def sanity(columns: Sequence[Column], cases: WordMaps, test: Cases, results: Results) -> None:
    """Whether maps fall with the weights of their model."""
    rows = one_word_each(cases, CASES // 4)
    shown = pictures_of(test, cases.images[rows])
    results.n["words for randomised weights"] = len(rows)
    tried = [column for column in columns if column.weights is not None and not column.floor]
    for column in tqdm(tried, desc="randomised weights", unit="model", dynamic_ncols=True):
        assert column.weights is not None
        explain = explainer(column, [cases.phrases[row] for row in rows])
        found = randomise(column.weights, parts_of(column.weights), partial(explain, shown))
        for part, values in zip(found.parts, found.correlations, strict=True):
            name = f"{column.name}: rank correlation with its map after noise in {part}"
            results.figures[name] = figure(values, cases.images[rows], "Spearman's rho")
        last = float(found.correlations[-1].nanmean())
        results.goals[f"{column.name}: its map falls with its weights (rank correlation under .5)"] = Goal(
            last, 0.5, not found.survives
        )


def against(best: str, maps: dict[str, Tensor], cases: WordMaps, results: Results) -> None:
    """The hit rate of LFI over the baseline's best, each less what its own maps of another image hit."""
    known = cases.masks.flatten(1).any(1)
    ours, theirs = (
        torch.sub(*(METRICS[_HIT](maps[each][known], cases.masks[known]) for each in (name, floor))).numpy()
        for name, floor in (("LFI", "LFI, another image's"), (best, "baseline, another image's"))
    )
    name = f"hit rate of LFI over {best}, both less the floor"
    results.figures[name] = found = ratio_over_clusters(ours, theirs, cases.images[known.numpy()])
    results.goals[name] = Goal(found.value, 2.7, found.value >= 2.7)


def parts_of(student: Student) -> list[tuple[str, nn.Module]]:
    """What is randomised, output first; the last is everything, so tokens and positions too."""
    heads = [module for module in (student.head, student.embed, student.name) if module is not None]
    blocks = list(student.backbone.blocks)
    parts: list[tuple[str, nn.Module]] = [("the heads", nn.ModuleList(heads))]
    if student.queries is not None:
        parts.append(("the queries", student.queries))
    parts += [(f"block {number + 1}", blocks[number]) for number in reversed(range(len(blocks)))]
    return [*parts, ("everything", student)]


def explainer(column: Column, phrases: Sequence[str]) -> Callable[[Sequence[Image.Image]], Tensor]:
    """Maps of pictures for a phrase each, `[n, rows, columns]`."""

    def explain(shown: Sequence[Image.Image]) -> Tensor:
        found = ask(column.answerer, shown, [[phrase] for phrase in phrases])
        return torch.stack([maps.weights[0, column.layer, 0].cpu() for maps in found])

    return explain


def one_word_each(cases: WordMaps, most: int) -> list[int]:
    """The first case of every image that asks for a class: of scenes, for a colour and a shape."""
    first: dict[int, int] = {}
    for row in np.flatnonzero(np.isin(cases.kinds, ("colour and shape", "class"))):
        first.setdefault(int(cases.images[row]), int(row))
    return list(first.values())[:most]


def pictures_of(cases: Cases, rows: np.ndarray) -> list[Image.Image]:
    """The pictures of these rows."""
    return [Image.fromarray(cases.images[int(row)]) for row in rows]


def spot(maps: Tensor) -> Tensor:
    """As many Gaussians in the centre of the grid: what a map shows that knows how photographs are taken."""
    rows, columns = maps.shape[-2:]
    down, right = (torch.linspace(-0.5 + 0.5 / n, 0.5 - 0.5 / n, n) for n in (rows, columns))
    one = torch.exp(-(down[:, None] ** 2 + right**2) / (2 * CENTRE**2))
    return (one / one.sum()).expand_as(maps)


def figure(values: Tensor, images: np.ndarray, unit: str) -> Figure:
    """Mean with its bootstrap interval over images, of the values that are defined."""
    known = ~torch.isnan(values).numpy()
    if not known.any():
        return Figure(float("nan"), float("nan"), float("nan"), unit)
    return over_clusters(values.numpy()[known].astype(float), images[known], unit)


def quiet(metric: Callable[..., Tensor], *inputs: object) -> Tensor:
    """Values of a metric; no warning that some maps are even, as floors may be."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedWarning)
        return metric(*inputs)


def plot(results: Results, path: Path) -> None:
    """Localisation of every column with its interval, one panel a metric."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    metrics = of_category("localisation")
    names = list(dict.fromkeys(name.split(": ")[0] for name in results.figures if name.endswith(f": {_HIT}")))
    figure_, axes = plt.subplots(
        1, len(metrics), figsize=(2.3 * len(metrics) + 2, 0.34 * len(names) + 1.4), sharey=True, layout="constrained"
    )
    for axis, metric in zip(axes, metrics, strict=True):
        for row, name in enumerate(names):
            value = results.figures[f"{name}: {metric.name}"]
            reach = [[value.value - value.low], [value.high - value.value]]
            colour = {"teacher": "#009e73", "LFI": "#0072b2"}.get(name, "#d55e00")
            floor = name == "centre" or name.endswith("another image's")
            axis.errorbar(
                value.value, row, xerr=reach, fmt="o", color="#777777" if floor else colour, capsize=3, markersize=4
            )
        axis.set_title(metric.name, fontsize=9)
        axis.set_xlabel(metric.unit, fontsize=8)
        axis.grid(axis="x", alpha=0.3)
    axes[0].set_yticks(range(len(names)), names, fontsize=8)
    axes[0].invert_yaxis()
    figure_.suptitle(f"{results.title}: mean and 95 % interval over {results.n['images']:,} images", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure_.savefig(path, dpi=120)
    plt.close(figure_)
