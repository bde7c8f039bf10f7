"""A class's name in a sentence: `a photo of a {}` and `umbrella` make `a photo of an umbrella`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lfi.errors import DataError

_CONSONANT_SOUND = ("uni", "uku", "use", "usu", "eu", "ute", "ura", "one", "once")  # written with a vowel: a unicorn
_VOWEL_SOUND = ("hour", "honest", "heir", "honor", "honour")  # written with a consonant: an hourglass
_SAID_AS_LETTERS = re.compile(r"([A-Z])(?:[A-Z]*\d*|-\w+)(?:[ -]|$)")  # CD player, MP3, X-ray


def article(name: str) -> str:
    """`a` or `an`, by how an English name sounds; a rule of thumb with the usual exceptions."""
    letters = _SAID_AS_LETTERS.match(name)
    if letters:
        return "an" if letters[1] in "AEFHILMNORSX" else "a"
    lower = name.lower()
    if lower.startswith(("unin", "unim")):
        return "an"
    vowel = lower[:1] in tuple("aeiou") and not lower.startswith(_CONSONANT_SOUND)
    return "an" if vowel or lower.startswith(_VOWEL_SOUND) else "a"


def fill(prompt: str, name: str, domain: str = "") -> str:
    """`prompt` with `{}` replaced by the name, an `a` before it made right, and `{domain}` by the domain's phrase.

    Raises:
        DataError: for a prompt without `{}`.
    """
    if "{}" not in prompt:
        raise DataError(f"the prompt {prompt!r} has no {{}} where the class's name goes")
    text = re.sub(r"\b([Aa])n? \{\}", lambda found: found[1] + article(name)[1:] + " {}", prompt)
    return text.replace("{domain}", domain).replace("{}", name)


def article_varies(prompt: str) -> bool:
    """Whether `fill` makes an article of the prompt right."""
    return fill(prompt, "apple") != fill(prompt, "pear").replace("pear", "apple")


def listed(names: Sequence[str]) -> str:
    """Names as a sentence lists them, each with its article: `a cat, an apple and a dog`."""
    parts = [f"{article(name)} {name}" for name in names]
    return " and ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)
