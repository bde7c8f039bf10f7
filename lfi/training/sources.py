"""The image sets that a `DataConfig` names: what to train on and what to validate on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from lfi.data.captions import image_captions
from lfi.data.coco import coco
from lfi.data.domains import domain_folders, leave_one_out
from lfi.data.folders import class_folders
from lfi.data.imageset import ImageSet
from lfi.data.scenes import Scenes
from lfi.data.shards import read_shards
from lfi.data.tinyimagenet import tiny_imagenet
from lfi.errors import DataError
from lfi.teachers.content import align, content_words
from lfi.teachers.words import WordTokenizer
from lfi.training.config import DataConfig


def image_sets(config: DataConfig) -> tuple[ImageSet, ImageSet]:
    """Training and validation images of a configuration, the former at its `fraction`.

    Raises:
        DataError: for data that is missing or not laid out as its `source` says.
    """
    root = Path(config.root)
    if config.source == "scenes":
        train = scenes(config, config.count, config.seed)
        validation = scenes(config, config.validation, config.validation_seed)
    elif config.source == "tiny-imagenet":
        train = tiny_imagenet(root, "train", size=config.size, limit=config.limit)
        validation = tiny_imagenet(root, "val", size=config.size, limit=config.limit)
    elif config.source == "domains":
        split = leave_one_out(
            domain_folders(root, size=config.size, limit=config.limit),
            config.held_out,
            seed=config.seed,
            validation=config.validation_share,
        )
        train, validation = split.train, split.validation
    elif config.validation_root:
        train = _read(config, root)
        other = replace(config, annotations=config.validation_annotations or config.annotations)
        validation = _read(other, Path(config.validation_root))
        if train.classes != validation.classes and train.classes and not train.multilabel:
            raise DataError(f"{config.validation_root} has other classes than {root}")
    else:
        train, validation = split_off(_read(config, root), config.validation_share, config.seed)
    return train.fraction(config.fraction, config.seed), validation


def scenes(config: DataConfig, count: int, seed: int) -> ImageSet:
    """Generated scenes as an image set."""
    return Scenes(count, seed, config.size, config.domains, config.objects).load(masks=False).image_set(str(seed))


def _read(config: DataConfig, root: Path) -> ImageSet:
    size, limit = config.size, config.limit
    if config.source == "folders":
        return class_folders(root, size=size, limit=limit)
    if config.source == "coco":
        captions = Path(config.captions) if config.captions else None
        return coco(root, Path(config.annotations), size=size, captions=captions, limit=limit)
    if config.source == "shards":
        found = read_shards(root, size=size, limit=limit)
        return found if found.classes else labelled_by_words(found)
    return labelled_by_words(image_captions(root, size=size, limit=limit))


def split_off(images: ImageSet, share: float, seed: int) -> tuple[ImageSet, ImageSet]:
    """All but a random share of the images, and that share.

    Raises:
        DataError: if either would be empty.
    """
    order = np.random.default_rng((seed, 5)).permutation(len(images))
    count = round(share * len(images))
    if not 0 < count < len(images):
        raise DataError(f"a validation share of {share} of {len(images)} images leaves one side empty")
    return images.take(np.sort(order[count:])), images.take(np.sort(order[:count]))


def labelled_by_words(images: ImageSet, fewest: int = 2) -> ImageSet:
    """A set with captions alone: its content words become what is asked of the teacher, and multi-labels.

    Args:
        fewest: captions that a word must occur in to be a label.

    Raises:
        DataError: if no word does.
    """
    words = images.words
    if not any(words):
        reader = WordTokenizer((), 0)
        words = tuple(
            tuple(dict.fromkeys(word.text for word in content_words(align(reader, caption))))
            for caption in images.captions
        )
    counts: dict[str, int] = {}
    for row in words:
        for word in row:
            counts[word] = counts.get(word, 0) + 1
    classes = tuple(sorted(word for word, count in counts.items() if count >= fewest))
    if not classes:
        raise DataError(f"no word occurs in {fewest} of the {len(images)} captions; there is nothing to learn from")
    place = {word: index for index, word in enumerate(classes)}
    labels = np.zeros((len(images), len(classes)), np.float32)
    for index, row in enumerate(words):
        labels[index, [place[word] for word in row if word in place]] = 1
    return replace(images, classes=classes, labels=labels, words=words)
