"""The image sets that a `DataConfig` names: what to train on and what to validate on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lfi.data.captions import image_captions
from lfi.data.coco import coco
from lfi.data.domains import domain_folders, leave_one_out
from lfi.data.folders import class_folders
from lfi.data.imageset import ImageSet
from lfi.data.notes import Notes, announce
from lfi.data.scenes import Scenes
from lfi.data.shards import NUMBERED, read_shards
from lfi.data.tinyimagenet import tiny_imagenet
from lfi.errors import DataError
from lfi.teachers.content import align, content_words
from lfi.teachers.words import WordTokenizer
from lfi.training.config import DataConfig


def image_sets(
    config: DataConfig, complete: Callable[[ImageSet], ImageSet] = lambda images: images
) -> tuple[ImageSet, ImageSet]:
    """Training and validation images of a configuration, the former at its `fraction`.

    A stream's samples are read while training (`streaming.py`): its validation images, of the same classes and words,
    stand here for both.

    Args:
        complete: adds what is not said of images that were just read (`written.py`).

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
    elif config.stream:
        train = validation = labelled(complete(_read(config, held_out=True)), config.most_classes)
    elif config.validation_root:
        train, validation = complete(_read(config)), complete(_read(config, held_out=True))
        by_words = not train.classes
        train = labelled(train, config.most_classes)
        validation = labelled_by_words(validation, train.classes) if by_words else labelled(validation)
        if train.classes != validation.classes:
            raise DataError(
                f"{config.validation_root} has other classes than {root}: "
                f"{_first_difference(train.classes, validation.classes)}"
            )
    else:
        images = labelled(complete(_read(config)), config.most_classes)
        train, validation = split_off(images, config.validation_share, config.seed)
    for images, what in ((train, "training"), (validation, "validation")):
        if not len(images):
            raise DataError(f"{config.root or config.source} leaves no image for {what}; it has too few of them")
    place = config.root or config.source
    if train is not validation:
        announce(train.notes, place)
    if config.validation_root or train is validation or validation.notes != train.notes:  # of a split they are the same
        announce(validation.notes, config.validation_root or f"{place}, validation")
    return train.fraction(config.fraction, config.seed).labelled(config.labelled, config.seed), validation


def _first_difference(ours: tuple[str, ...], theirs: tuple[str, ...]) -> str:
    if len(ours) != len(theirs):
        return f"{len(theirs)} and not {len(ours)}"
    return next(f"{there!r} in place of {here!r}" for here, there in zip(ours, theirs, strict=True) if here != there)


def scenes(config: DataConfig, count: int, seed: int) -> ImageSet:
    """Generated scenes as an image set."""
    return Scenes(count, seed, config.size, config.domains, config.objects).load(masks=False).image_set(str(seed))


def _read(config: DataConfig, held_out: bool = False) -> ImageSet:
    """What lies at `root`, or at `validation_root`."""
    size, limit = config.size, config.limit
    root = config.validation_root if held_out else config.root
    if config.source == "folders":
        return class_folders(Path(root), size=size, limit=limit)
    if config.source == "coco":
        annotations = (held_out and config.validation_annotations) or config.annotations
        said = (held_out and config.validation_captions) or config.captions
        captions = Path(said) if said else None
        return coco(Path(root), Path(annotations), size=size, captions=captions, limit=limit)
    if config.source == "shards":
        return read_shards(root, size=size, limit=limit)
    return image_captions(Path(root), size=size, limit=limit)


def split_off(images: ImageSet, share: float, seed: int) -> tuple[ImageSet, ImageSet]:
    """All but a random share of the images, and that share; all rows of a picture are on the same side.

    Raises:
        DataError: if either would be empty.
    """
    once = tuple(dict.fromkeys(images.keys))
    order = np.random.default_rng((seed, 5)).permutation(len(once))
    count = round(share * len(once))
    if not 0 < count < len(once):
        raise DataError(f"a validation share of {share} of {len(once)} images leaves one side empty")
    held = {once[index] for index in order[:count]}
    out = np.array([key in held for key in images.keys])
    return images.take(np.flatnonzero(~out)), images.take(np.flatnonzero(out))


def labelled(images: ImageSet, most: int = 1000) -> ImageSet:
    """A set as students are trained on it: every image with words to ask about, and every set with classes.

    Images without words are asked about their classes; sets without classes are labelled by their words.

    Args:
        most: classes, where words become classes.

    Raises:
        DataError: an image of a set with classes has none, or no word is frequent enough.
    """
    if not images.classes:
        return labelled_by_words(images, most=most)
    if not images.multilabel and (images.labels < 0).any():
        row = int(np.flatnonzero(images.labels < 0)[0])
        raise DataError(
            f"{images.ids[row]} has no class, like {int((images.labels < 0).sum())} images of {len(images)}"
        )
    named = (
        words or classes_of(label, images.classes) for words, label in zip(images.words, images.labels, strict=True)
    )
    return replace(images, words=tuple(named))


def classes_of(label: np.ndarray, classes: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the class, or of the classes present, of one row of `ImageSet.labels`."""
    return tuple(classes[column] for column in (np.flatnonzero(label) if label.ndim else (int(label),)))


def said(caption: str) -> tuple[str, ...]:
    """A caption's content words, each once."""
    return tuple(dict.fromkeys(word.text for word in content_words(align(WordTokenizer((), 0), caption))))


def labelled_by_words(
    images: ImageSet,
    classes: tuple[str, ...] = (),
    *,
    fewest: int = 2,
    most: int = 1000,
    asked: Sequence[tuple[str, ...]] = (),
) -> ImageSet:
    """A set without classes: words become what is asked of the teacher, and multi-labels.

    Args:
        classes: words that are labels; without them the most frequent ones, in alphabetical order.
        fewest: captions that a word must occur in to be one of those.
        most: how many of them.
        asked: words of every image; without them those that it lists, or the content words of its caption.

    Raises:
        DataError: if no word is frequent enough.
    """
    words = asked or [own or said(text) for own, text in zip(images.words, images.captions, strict=True)]
    told = [row for row, caption in enumerate(images.captions) if caption.strip() or words[row]]
    if len(told) < len(images):
        notes = Notes(images.notes)
        for row in sorted(set(range(len(images))) - set(told)):
            notes.add("images left out, since no caption or word says what they show", images.ids[row])
        images, words = replace(images.take(told), notes=notes.all()), [words[row] for row in told]
    if not classes:
        counts = Counter(word for row in words for word in row)
        frequent = sorted((word for word in counts if counts[word] >= fewest), key=lambda word: (-counts[word], word))
        classes = tuple(sorted(frequent[:most]))
    if not classes:
        raise DataError(f"no word occurs in {fewest} of the {len(images)} captions; there is nothing to learn from")
    labels = np.stack([presence_of(row, classes) for row in words])
    return replace(images, classes=classes, labels=labels, words=tuple(words), by_words=True)


def check_names(images: ImageSet, *, words: bool, classes: bool) -> None:
    """Refuse to ask a teacher about classes that have numbers for names.

    Args:
        words: whether it is asked about the words of the images; classes: about the classes.
    """
    tables = [name for note in images.notes if note.what == NUMBERED for name, _ in note.names]
    if not tables:
        return
    numbers = set(images.classes)
    if classes or (words and any(word in numbers for row in images.words for word in row)):
        raise DataError(
            f"{tables[0]} is missing, so the teacher would be asked about {images.classes[0]!r} and other numbers of "
            'classes; write a JSON list of their names, ["tench", "goldfish", ...], that of class 0 first'
        )


def presence_of(words: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """1 for every class among the words, float32 `[class]`."""
    there = set(words)
    return np.array([name in there for name in classes], np.float32)
