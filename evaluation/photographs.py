"""`lfi evaluate photographs`: recognition by name, pointing, and telling present words from absent ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch import Tensor
from tqdm import tqdm

from evaluation.presence import Statements, evidence, state
from evaluation.results import Figure, Goal, Results, over_clusters, ratio_over_clusters
from lfi.accuracy import among_best
from lfi.answerers import Answerer, TeacherAnswerer, ask, dense_answerers
from lfi.data.canvases import Canvases, compose
from lfi.data.domains import domain_folders
from lfi.data.imageset import ImageSet
from lfi.data.tinyimagenet import tiny_imagenet, wnids_of
from lfi.presence import Presence
from lfi.students import Student
from lfi.teachers.base import BaseTeacher
from lfi.teachers.names import NameTokenizer
from lfi.training.photographs.bank import Truth, own_name
from lfi.trio import Trio

CANVASES, SEED = 400, 5
BATCH = 100
SMALL = {"any size": np.inf, "under half of the image": 0.5, "under a quarter of the image": 0.25}
POINTING = {"teacher": (1.03, 1.15, 1.5), "lfi": (None, None, 1.3)}
"""How often the peak should lie in boxes of each of `SMALL`, over the rate of the image's centre."""
ON_CANVASES = {"teacher": 88.0, "lfi": 75.0}
TOP1, AUC, RATIO = 55.0, 0.93, 2.7


@dataclass(frozen=True, eq=False)
class Shown:
    """An answerer with the layer that is shown of it."""

    answerer: Answerer[Any]
    layer: int
    presence: Presence | None = None


def shown_by(models: Trio | BaseTeacher) -> dict[str, Shown]:
    """What is measured: the models of a trio, or a teacher's own maps and its dense similarity, where that differs."""
    if isinstance(models, Trio):
        return {
            name: Shown(models.answerers[name], models.default_layer[name], models.presence.get(name))
            for name in models.models
        }
    return {
        "teacher": Shown(TeacherAnswerer(models), models.default_layers[0]),
        **{each.name: Shown(each, 0) for each in dense_answerers(models)},
    }


def evaluate_photographs(models: Trio | BaseTeacher, tiny: Path, pacs: Path | None, most: int = 10_000) -> Results:
    """Recognition by name, the pointing game and presence, on images that trio and teacher were not trained on.

    The classes are those that they learnt. Whether the teacher's frozen tower saw these images in ImageNet is unknown.

    A word's map hits where its largest patch has its centre in the box of the object that the image is named after; on
    canvases, in the photograph of that class. The floor is the centre of the image, or another canvas's map; the
    ceiling 100 %.

    Args:
        models: a trio, or a teacher alone.
        tiny: TinyImageNet, of which the validation images are used; pacs: of which every second image is used.
        most: validation images at most, evenly taken.
    """
    images = tiny_imagenet(tiny, "val")
    images = images.take(np.arange(0, len(images), -(-len(images) // most)))
    results = Results(
        command=f"lfi evaluate photographs --images {most}",
        seeds=[SEED],
        n={"validation images": len(images)},
        title="TinyImageNet's validation images, and PACS at 112 px" if pacs else "TinyImageNet's validation images",
        models=models.fingerprints if isinstance(models, Trio) else {"teacher": models.fingerprint},
    )
    shown = shown_by(models)
    teacher = models.teacher if isinstance(models, Trio) else models
    students = {"lfi": models.lfi, "baseline": models.baseline} if isinstance(models, Trio) else {}
    recognise(results, "TinyImageNet", teacher, students, images)
    first = results.figures["top-1 by class names, TinyImageNet: teacher"].value
    results.goals["teacher: top-1 by class names, TinyImageNet"] = Goal(first, TOP1, first >= TOP1)
    in_boxes(results, shown, images)
    answerers = models.answerers if isinstance(models, Trio) else {}
    rivals = [each for name, each in answerers.items() if name.startswith("baseline:")]
    on_canvases(results, shown, images, rivals)
    if isinstance(models, Trio) and isinstance(teacher.tokenizer, NameTokenizer) and models.presence:
        judge(results, shown, teacher.tokenizer, tiny, images)
    if pacs:
        drawn = domain_folders(pacs, size=64)
        drawn = drawn.take(np.arange(1, len(drawn), 2))
        for domain in sorted(set(drawn.domains)):
            of = drawn.take(np.flatnonzero(np.array(drawn.domains) == domain))
            recognise(results, f"PACS {domain}", teacher, students, of, top5=False)
    return results


@torch.inference_mode()
def recognise(
    results: Results,
    where: str,
    teacher: BaseTeacher,
    students: Mapping[str, Student],
    images: ImageSet,
    top5: bool = True,
) -> None:
    """Accuracy by the cosine of image and class name, of the teacher and of students in its space."""
    texts = teacher.embed_texts(list(images.classes))
    right = torch.from_numpy(images.labels)
    found: dict[str, list[Tensor]] = {}
    for start in tqdm(range(0, len(images), BATCH), desc=f"recognising {where}", unit="batch", dynamic_ncols=True):
        pictures = [Image.fromarray(each) for each in images.images[start : start + BATCH]]
        encoded = teacher.encode(teacher.preprocess(pictures).to(teacher.device))
        found.setdefault("teacher", []).append(encoded.latent @ texts.T)
        for name, student in students.items():
            embedding = student(student.preprocess(pictures)).embedding
            if embedding is not None:
                found.setdefault(name, []).append(F.normalize(embedding.float(), dim=-1) @ texts.T)
    for name, parts in found.items():
        scores = torch.cat(parts)
        for k in (1, 5)[: 1 + top5]:
            add_share(results, f"top-{k} by class names, {where}: {name}", among_best(scores, right, k).numpy())


def in_boxes(results: Results, shown: Mapping[str, Shown], images: ImageSet) -> None:
    """Do the maps of the images' names peak in their boxes?"""
    assert images.boxes is not None
    area = (images.boxes[:, 2:] - images.boxes[:, :2]).prod(1) / 64**2
    centre = hits(np.full((len(images), 2), 32.0), images.boxes, 64)
    inside = {"the centre": centre}
    for name, each in shown.items():
        words = [row[:1] for row in images.words]
        points = peaks(each, images.images, words)
        inside[name] = hits(np.concatenate(points), images.boxes, 64)
    for number, (size, below) in enumerate(SMALL.items()):
        some = area < below
        results.n[f"boxes {size}"] = int(some.sum())
        for name, found in inside.items():
            add_share(results, f"pointing, boxes of {size}: {name}", found[some])
            wanted = POINTING.get(name, (None,) * len(SMALL))[number]
            if wanted is not None and centre[some].any():
                ratio = float(found[some].mean() / centre[some].mean())
                results.goals[f"{name}: pointing over the centre's rate, boxes of {size}"] = Goal(
                    ratio, wanted, ratio >= wanted
                )


def on_canvases(
    results: Results, shown: Mapping[str, Shown], images: ImageSet, rivals: Sequence[Answerer[Any]] = ()
) -> None:
    """Does the map of every class on a canvas of several photographs peak in its photograph? Insets are left out.

    Args:
        rivals: LFI is compared with the best layer of the best of these, found on these very canvases, so that no lead
            is due to a poor choice.
    """
    rng = np.random.default_rng(SEED)
    canvases = compose(np.asarray(images.images), rng.integers(len(images), size=(CANVASES, 4)), rng)
    words = [tuple(images.words[row][0] for row in own if row >= 0) for own in canvases.rows]
    asked = words_alone(canvases, words)
    results.n["words on canvases"] = len(asked)
    if not len(asked):
        return
    clusters = asked[:, 0]
    share = 100 * right_share(canvases, asked)
    results.add("pointing on canvases: share of the canvas that is right", share, "%")

    def rate(each: Shown) -> np.ndarray:
        return found_words(each.answerer, canvases, words)[each.layer]

    found = {name: rate(each) for name, each in shown.items()}
    for name, right in found.items():
        add_share(results, f"pointing on canvases: {name}", right, clusters)
        if name in ON_CANVASES:
            value = 100 * float(right.mean())
            results.goals[f"{name}: pointing on canvases"] = Goal(value, ON_CANVASES[name], value >= ON_CANVASES[name])
    if "lfi" not in found or not rivals:
        return
    tried = {
        (answerer, layer): right
        for answerer in rivals
        for layer, right in enumerate(found_words(answerer, canvases, words))
    }
    best, layer = max(tried, key=lambda way: tried[way].mean())
    found = {"lfi": found["lfi"], "rival": tried[best, layer]}
    add_share(results, "pointing on canvases: the baseline's best in hindsight", found["rival"], clusters)
    others = replace(canvases, images=np.roll(canvases.images, 1, 0))
    floor = {
        name: found_words(each.answerer, others, words)[each.layer]
        for name, each in (("lfi", shown["lfi"]), ("rival", Shown(best, layer)))
    }
    for name, title in (("lfi", "lfi"), ("rival", f"{best.name}, layer {layer + 1}, the baseline's best in hindsight")):
        results.add(f"pointing on canvases, another canvas's maps: {title}", 100 * float(floor[name].mean()), "%")
    gain = {name: found[name].astype(float) - floor[name] for name in floor}
    name = "hit rate of LFI over the baseline's best explanation, both less the floor"
    results.figures[name] = figure = ratio_over_clusters(gain["lfi"], gain["rival"], clusters, seed=SEED)
    results.goals[name] = Goal(figure.value, RATIO, figure.value >= RATIO)


def words_alone(canvases: Canvases, words: Sequence[Sequence[str]]) -> np.ndarray:
    """Canvas and place of every word that is there once, `[word, 2]`; photographs with an inset are left out."""
    return np.array(
        [
            (index, place)
            for index, own in enumerate(words)
            for place, word in enumerate(own)
            if own.count(word) == 1 and not covers_all(canvases, index)
        ],
        int,
    ).reshape(-1, 2)


def right_share(canvases: Canvases, asked: np.ndarray) -> float:
    """How much of its canvas the photograph of a word takes, on average: the chance that any point lies in it.

    Args:
        asked: as from `words_alone`.
    """
    regions = canvases.regions[asked[:, 0], asked[:, 1]]
    return float((regions[:, 2:] - regions[:, :2]).prod(1).mean()) / 64**2


def found_words(answerer: Answerer[Any], canvases: Canvases, words: Sequence[Sequence[str]]) -> np.ndarray:
    """Which of `words_alone` each layer's peak finds, bool `[layer, word]`."""
    points = layer_peaks(answerer, canvases.images, words)
    asked = words_alone(canvases, words)
    regions = canvases.regions[asked[:, 0], asked[:, 1]]
    peaks = np.stack([points[index][:, place] for index, place in asked], 1)
    return np.stack([hits(layer, regions, 64) for layer in peaks])


def covers_all(canvases: Canvases, index: int) -> bool:
    """Whether a canvas is one photograph with another inset."""
    return tuple(canvases.regions[index, 0]) == (0, 0, 64, 64)


def judge(results: Results, shown: Mapping[str, Shown], tokenizer: NameTokenizer, tiny: Path, images: ImageSet) -> None:
    """Can present words be told from absent ones, by the evidence and by the card's thresholds?"""
    statements = statements_of(tokenizer, tiny, images)
    results.n["statements"] = int(statements.truth.size)
    for name, each in shown.items():
        if each.presence is None:
            continue
        likely = each.presence.probability(torch.from_numpy(evidence(each.answerer, statements))).numpy()
        auc = float(roc_auc_score(statements.truth.ravel(), likely.ravel()))
        results.add(f"presence, AUC: {name}", auc, "area under the ROC curve")
        said = likely >= each.presence.threshold
        for what, wrong, true in (
            ("absent words that are not said to be", said, False),
            ("present words that are said to be absent", ~said, True),
        ):
            asked = statements.truth == true
            add_share(results, f"presence, {what}: {name}", wrong[asked], np.nonzero(asked)[0])
        gap = calibration_gap(likely.ravel(), statements.truth.ravel())
        results.add(f"presence, calibration error: {name}", 100 * gap, "points")
        if name == "teacher":
            results.goals["teacher: presence, AUC"] = Goal(auc, AUC, auc >= AUC)


def statements_of(tokenizer: NameTokenizer, tiny: Path, images: ImageSet) -> Statements:
    """Two true and two false words of every validation image."""
    names = tokenizer.names
    leaf = {each: number for number, (each, _) in enumerate(names.leaves)}
    labels = np.array([own_name(names, leaf[wnid]) for wnid in wnids_of(tiny)])[images.labels]
    return state(np.asarray(images.images), labels[:, None], Truth(names), SEED)


def calibration_gap(likely: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error: mean gap of probability and share, over bins of equal width (Guo et al. 2017)."""
    place = np.minimum((likely * bins).astype(int), bins - 1)
    gaps = [
        (place == each).mean() * abs(likely[place == each].mean() - right[place == each].mean())
        for each in range(bins)
        if (place == each).any()
    ]
    return float(np.sum(gaps))


def peaks(each: Shown, pictures: np.ndarray, words: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """For every picture the peaks of its own words in the layer that is shown, `[word, 2]`, in pixels of 64."""
    return [found[each.layer] for found in layer_peaks(each.answerer, pictures, words)]


def layer_peaks(answerer: Answerer[Any], pictures: np.ndarray, words: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """For every picture the peaks of its own words in every layer, `[layer, word, 2]`, in pixels of a 64 px image."""
    found = []
    for start in tqdm(range(0, len(pictures), BATCH), desc=f"asking {answerer.name}", unit="batch", dynamic_ncols=True):
        shown = [Image.fromarray(picture) for picture in pictures[start : start + BATCH]]
        found += [peak(maps.weights[0]) for maps in ask(answerer, shown, words[start : start + BATCH])]
    return found


def peak(maps: Tensor) -> np.ndarray:
    """Centre of the largest patch of maps `[..., height, width]` in pixels of a 64 px image, `[..., 2]`: x, y."""
    height, width = maps.shape[-2:]
    best = maps.flatten(-2).argmax(-1).numpy()
    return np.stack([(best % width + 0.5) * 64 / width, (best // width + 0.5) * 64 / height], -1)


def hits(points: np.ndarray, boxes: np.ndarray, size: int) -> np.ndarray:
    """Whether points `[n, 2]` lie in boxes `[n, 4]`."""
    assert points.max(initial=0) <= size
    inside: np.ndarray = (points >= boxes[:, :2]) & (points < boxes[:, 2:])
    return np.asarray(inside.all(axis=1))


def add_share(results: Results, name: str, right: np.ndarray, clusters: np.ndarray | None = None) -> None:
    """A share in percent with its bootstrap interval over images; left out where nothing was asked."""
    if not len(right):
        return
    figure = over_clusters(right.astype(float), np.arange(len(right)) if clusters is None else clusters, "%")
    results.figures[name] = Figure(100 * figure.value, 100 * figure.low, 100 * figure.high, "%")
