"""Where words begin and end, in every script.

A word is a run of letters, marks and digits: `grün`, `звезда`, `हिन्दी`. Scripts that put no spaces between words
(Chinese, Japanese, Thai, Lao, Khmer, Burmese) are cut by ICU's dictionaries (Unicode Standard Annex #29, tailored).
Letters that look alike are written alike: composed (NFC), lower-cased, and without characters that nobody sees.
"""

from __future__ import annotations

import re
import unicodedata

import regex

_ASCII = re.compile(r"[a-z0-9']+")

_SPACELESS = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tai_Tham}"
_JOINED = (  # scripts that write a word differently with a joiner (RFC 5892, appendix A)
    r"\p{Arabic}\p{Syriac}\p{Mongolian}\p{Nko}\p{Devanagari}\p{Bengali}\p{Gurmukhi}\p{Gujarati}\p{Oriya}\p{Tamil}"
    r"\p{Telugu}\p{Kannada}\p{Malayalam}\p{Sinhala}\p{Tibetan}"
)
SYMBOL = r"[\p{So}--[©®°]--[\p{Letterlike_Symbols}]]"
"""Pattern (of `regex`, version 1) of what means something, such as a star or a smiley, unlike punctuation."""

INVISIBLE = r"[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e01ef]"
"""Pattern of characters that nobody sees, zero-width spaces and joiners among them."""

_LETTER = rf"[\p{{L}}\p{{M}}\p{{N}}'--[{_SPACELESS}]]"
_WORD = regex.compile(
    rf"(?V1)(?P<run>[[{_SPACELESS}]&&[\p{{L}}\p{{M}}\p{{N}}]]+)"
    rf"|{_LETTER}(?:{_LETTER}|[\u200c\u200d](?={_LETTER}))*"
    rf"|{SYMBOL}"
)
_NEVER_SEEN = regex.compile(rf"[{INVISIBLE}--[\u200b-\u200d]]", regex.V1)
_SEPARATOR = regex.compile(rf"(?<=[{_SPACELESS}])\u200b+(?=[{_SPACELESS}])")
_STRAY_JOINER = regex.compile(rf"(?<![{_JOINED}{_SPACELESS}])[\u200c\u200d]")
_APOSTROPHE = regex.compile(r"(?<=\p{L})[’＇](?=\p{L})")


def visible(text: str) -> str:
    """A text without characters that nobody sees, composed (NFC), with one kind of apostrophe in words.

    Joiners stay in scripts that need them; a zero-width space is a space where words have none, and nothing elsewhere.
    """
    if text.isascii():
        return text
    text = _NEVER_SEEN.sub("", unicodedata.normalize("NFC", text))
    text = _STRAY_JOINER.sub("", _SEPARATOR.sub(" ", text).replace("\u200b", ""))
    return unicodedata.normalize("NFC", _APOSTROPHE.sub("'", text))


def words_of(text: str) -> list[str]:
    """The words of a text, lower-cased, in their order. Symbols such as a star are words; punctuation is not."""
    if text.isascii():
        return _ASCII.findall(text.lower())
    words: list[str] = []
    for match in _WORD.finditer(unicodedata.normalize("NFC", visible(text).lower())):
        words += _cut(match.group()) if match.group("run") else [match.group()]
    return words


def _cut(run: str) -> list[str]:
    """A run without spaces as words."""
    from icu4py.breakers import WordBreaker

    return [word for word in WordBreaker(run, "root") if any(letter.isalnum() for letter in word)]
