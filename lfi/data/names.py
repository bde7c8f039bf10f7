"""Names of things: the list that comes along (ImageNet's classes and what is above them), and images named by it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lfi.data.imageset import ImageSet
from lfi.teachers.names import Names

IMAGENET_NAMES = Path(__file__).with_name("imagenet-names.json.gz")
"""Names for ImageNet's classes and for what is above them, as `wordnet.py` finds them."""


def with_names_above(images: ImageSet, names: Names, most: int = 3) -> ImageSet:
    """The images with more words: after their own those above the first of them, which are as true of the image.

    Args:
        most: of an image; a dog's are retriever, sporting dog and hunting dog, not mammal.
    """

    def said(words: tuple[str, ...]) -> tuple[str, ...]:
        number = names.number(words[0]) if words else None
        return words if number is None else tuple(dict.fromkeys((*words, *names.above(number, most))))

    every = {words: said(words) for words in set(images.words)}
    return replace(images, words=tuple(every[words] for words in images.words))
