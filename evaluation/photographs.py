"""`lfi evaluate photographs`: does a teacher know photographs, and do its words point in them?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from evaluation.results import Figure, Goal, Results, over_clusters
from lfi.answerers import Answerer, DenseAnswerer, TeacherAnswerer, ask
from lfi.data.canvases import compose
from lfi.data.domains import domain_folders
from lfi.data.imageset import ImageSet
from lfi.data.tinyimagenet import tiny_imagenet
from lfi.teachers import EncodedImages
from lfi.teachers.openclip import OpenClipTeacher

CANVASES, SEED = 400, 5
BATCH = 100
SMALL = {"any size": np.inf, "under half of the image": 0.5, "under a quarter of the image": 0.25}


@torch.inference_mode()
def evaluate_photographs(teacher: OpenClipTeacher, tiny: Path, pacs: Path | None, most: int = 10_000) -> Results:
    """Zero-shot accuracy and the pointing game on images that the teacher was not trained on.

    A word's map hits where its largest patch has its centre in the box of the object that the image is named after; on
    canvases, in the photograph of that class. The floor is the centre of the image, the ceiling 100 %.

    Args:
        tiny: TinyImageNet, of which the validation images are used; pacs: of which every second image is used.
        most: validation images at most, evenly taken.
    """
    images = tiny_imagenet(tiny, "val")
    images = images.take(np.arange(0, len(images), max(1, len(images) // most)))
    results = Results(command="lfi evaluate photographs", seeds=[SEED], n={"validation images": len(images)})
    ranks, peaks, dense = ask_teacher(teacher, images)
    add_share(results, "zero-shot top-1, TinyImageNet", ranks == 0)
    add_share(results, "zero-shot top-5, TinyImageNet", ranks < 5)
    assert images.boxes is not None
    inside = np.stack([hits(peaks[:, layer], images.boxes, 64) for layer in range(peaks.shape[1])])
    close = hits(dense, images.boxes, 64)
    centre = hits(np.full((len(images), 2), 32.0), images.boxes, 64)
    area = (images.boxes[:, 2:] - images.boxes[:, :2]).prod(1) / 64**2
    layer = teacher.default_layers[0]
    for size, below in SMALL.items():
        some = area < below
        results.n[f"boxes {size}"] = int(some.sum())
        for name, found in (
            (teacher.layers[layer], inside[layer]),
            ("dense similarity", close),
            ("the centre", centre),
        ):
            add_share(results, f"pointing, boxes of {size}: {name}", found[some])
        ratio = float(max(inside[layer][some].mean(), close[some].mean()) / centre[some].mean())
        results.goals[f"pointing over the centre's rate, boxes of {size}"] = Goal(ratio, 1.3, ratio >= 1.3)
    on_canvases(TeacherAnswerer(teacher), layer, images, results)
    if pacs:
        drawn = domain_folders(pacs, size=64)
        drawn = drawn.take(np.arange(1, len(drawn), 2))
        ranks, _, _ = ask_teacher(teacher, drawn, maps=False)
        for domain in sorted(set(drawn.domains)):
            add_share(results, f"zero-shot top-1, PACS {domain}", ranks[np.array(drawn.domains) == domain] == 0)
    return results


def ask_teacher(
    teacher: OpenClipTeacher, images: ImageSet, maps: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ranks of the right classes `[n]`, peaks in pixels of the first words' maps `[n, layer, 2]` and dense ones."""
    own_maps, dense_maps = TeacherAnswerer(teacher), DenseAnswerer(teacher)
    ranks: list[np.ndarray] = []
    peaks: list[np.ndarray] = []
    dense: list[np.ndarray] = []
    for start in tqdm(range(0, len(images), BATCH), desc="asking the teacher", unit="batch", dynamic_ncols=True):
        rows = np.arange(start, min(start + BATCH, len(images)))
        encoded = own_maps.encode(own_maps.preprocess([Image.fromarray(images.images[row]) for row in rows]))
        logits = teacher.classify(EncodedImages.cat(encoded), list(images.classes))
        own = logits.gather(1, torch.from_numpy(images.labels[rows])[:, None])
        ranks.append((logits > own).sum(1).numpy())
        if maps:
            words = [images.words[row][:1] for row in rows]
            for answerer, found in ((own_maps, peaks), (dense_maps, dense)):
                answers = answerer.answer(encoded, words)
                found.append(peak(torch.cat([answer.maps.weights[:, :, 0] for answer in answers])))
    nothing = np.zeros((0, 1, 2))
    return np.concatenate(ranks), np.concatenate(peaks or [nothing]), np.concatenate(dense or [nothing])[:, 0]


def peak(maps: torch.Tensor) -> np.ndarray:
    """Centre of the largest patch of maps `[..., height, width]` in pixels of a 64 px image, `[..., 2]`: x, y."""
    height, width = maps.shape[-2:]
    best = maps.flatten(-2).argmax(-1).numpy()
    return np.stack([(best % width + 0.5) * 64 / width, (best // width + 0.5) * 64 / height], -1)


def hits(points: np.ndarray, boxes: np.ndarray, size: int) -> np.ndarray:
    """Whether points `[n, 2]` lie in boxes `[n, 4]`."""
    assert points.max(initial=0) <= size
    inside: np.ndarray = (points >= boxes[:, :2]) & (points < boxes[:, 2:])
    return np.asarray(inside.all(axis=1))


def on_canvases(answerer: Answerer[Any], layer: int, images: ImageSet, results: Results) -> None:
    """Does the map of every class on a canvas of several photographs peak in its photograph? Insets are left out.

    Args:
        layer: of the answerer's maps.
    """
    rng = np.random.default_rng(SEED)
    canvases = compose(np.asarray(images.images), rng.integers(len(images), size=(CANVASES, 4)), rng)
    found, clusters, share = [], [], []
    for start in range(0, CANVASES, BATCH):
        rows = canvases.rows[start : start + BATCH]
        words = [[images.words[row][0] for row in own if row >= 0] for own in rows]
        shown = [Image.fromarray(each) for each in canvases.images[start : start + BATCH]]
        points = [peak(maps.weights[0, layer]) for maps in ask(answerer, shown, words)]
        for index, own in enumerate(words):
            regions = canvases.regions[start + index]
            whole = tuple(regions[0]) == (0, 0, 64, 64)
            for place, word in enumerate(own):
                if own.count(word) == 1 and not whole:
                    found.append(hits(points[index][place][None], regions[place][None], 64)[0])
                    share.append((regions[place][2:] - regions[place][:2]).prod() / 64**2)
                    clusters.append(start + index)
    order = np.unique(clusters, return_inverse=True)[1]
    results.n["words on canvases"] = len(found)
    add_share(results, "pointing on canvases", np.array(found), order)
    results.add("pointing on canvases: share of the canvas that is right", 100 * float(np.mean(share)), "%")


def add_share(results: Results, name: str, right: np.ndarray, clusters: np.ndarray | None = None) -> None:
    """A share in percent with its bootstrap interval over images."""
    figure = over_clusters(right.astype(float), np.arange(len(right)) if clusters is None else clusters, "%")
    results.figures[name] = Figure(100 * figure.value, 100 * figure.low, 100 * figure.high, "%")
