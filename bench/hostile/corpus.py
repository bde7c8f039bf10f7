"""The whole corpus: every kind in turn, with the names, media types and words that people could send along."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bench.hostile import bombs, damage, oddities, strangers

Maker = Callable[[np.random.Generator], bytes]

_MAKERS: tuple[Maker, ...] = (
    damage.truncated,
    damage.bits_flipped,
    damage.header_flipped,
    damage.overwritten,
    damage.shuffled,
    damage.joined,
    damage.png_of_another_size,
    damage.jpeg_of_another_size,
    damage.gif_of_another_size,
    damage.bmp_of_another_size,
    damage.box_of_another_length,
    damage.tiff_of_other_tags,
    damage.png_of_odd_chunks,
    bombs.pixel_bomb,
    bombs.tile_bomb,
    bombs.nearly_too_many_pixels,
    bombs.data_bomb,
    bombs.profile_bomb,
    bombs.many_texts,
    bombs.scan_bomb,
    bombs.many_segments,
    bombs.animated,
    bombs.frame_bomb,
    bombs.long_and_thin,
    oddities.cmyk,
    oddities.deep,
    oddities.palette,
    oddities.transparent,
    oddities.tiny,
    oddities.profiled,
    oddities.turned,
    oddities.odd_exif,
    oddities.polyglot,
    strangers.nothing,
    strangers.noise,
    strangers.noise_with_a_beginning,
    strangers.archive,
    strangers.drawing,
    strangers.document,
    strangers.other_format,
)
KINDS: dict[str, Maker] = {maker.__name__.replace("_", " "): maker for maker in _MAKERS}
"""What the corpus is made of, by name."""

_NAMES = (
    "photo.jpg",
    "photo.png",
    "photo.svg",
    "photo",
    "../../etc/passwd",
    "CON.png",
    "a" * 3000 + ".png",
    "\u202egnp.exe",
    "photo.png\r\nX-Injected: 1",
    "photo\0.png",
    'photo";x="y.png',
)
_MEDIA_TYPES = (
    "image/png",
    "image/jpeg",
    "image/svg+xml",
    "text/html",
    "application/octet-stream",
    "nonsense",
    "x/" * 500,
)
_WORDS = (
    "",
    " ,, ,",
    "\0",
    "star\0",
    "\u202ecircle",
    "🟥",
    "é" * 300,
    "a," * 5000,
    "../../etc/passwd",
    "{{7*7}}",
    "' OR 1=1 --",
    "<script>alert(1)</script>",
    "ſtar ﬁ Ⅷ",
    "star\nring",
)


@dataclass(frozen=True)
class Upload:
    """One request for maps.

    Attributes:
        kind: a key of `KINDS`.
        name, media_type: what the form says of the file.
        words: the form's field; a sensible one three times out of four.
    """

    kind: str
    name: str
    media_type: str
    data: bytes
    words: str


def hostile_uploads(count: int, seed: int, known: str, kinds: Sequence[str] = tuple(KINDS)) -> Iterator[Upload]:
    """`count` uploads, the kinds in turn; the same ones each time for the same arguments.

    Each has a generator of its own, so that upload 700 is the same however many there are.

    Args:
        known: a word that the service knows: whoever asks for another one is refused, whatever the image is like.
    """
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        kind = kinds[number % len(kinds)]
        data = KINDS[kind](rng)
        words = known if rng.random() < 0.75 else _WORDS[rng.integers(len(_WORDS))]
        name = _NAMES[rng.integers(len(_NAMES))]
        yield Upload(kind, name, _MEDIA_TYPES[rng.integers(len(_MEDIA_TYPES))], data, words)
