"""Which words of a text carry content, and which token position stands for each word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import regex
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

from lfi.teachers.scripts import INVISIBLE, SYMBOL, visible
from lfi.teachers.subwords import PlainTokenizer, SubwordTokenizer
from lfi.teachers.words import WordTokenizer

_STOP_WORDS = (
    # articles and determiners
    "a an the this that these those some any each every no "
    # prepositions
    "about above across after against along among around as at before behind below beneath beside between "
    "beyond by down during except for from in inside into like near next of off on onto out outside over "
    "past per since through to toward towards under until up upon via with within without "
    # conjunctions and adverbs that only connect
    "and but if nor or so than then there though while where when not very too also just "
    # pronouns
    "i me my mine we us our you your he him his she her hers it its they them their who whom whose which "
    "what itself himself herself themselves one "
    # auxiliaries, and what the tokeniser leaves of them before an apostrophe
    "am is are was were be been being do does did doing have has had having can could may might must shall "
    "should will would isn aren wasn weren don doesn didn hasn haven hadn couldn shouldn wouldn won"
)
STOP_WORDS = frozenset(_STOP_WORDS.split())

_BEGINS = regex.compile(rf"[\p{{L}}\p{{N}}]+|{SYMBOL}", regex.V1)
_QUOTED = regex.compile(r"'(?:[stmd]|re|ve|ll)(?=\p{L})")  # taken for the end of "we're": the 're of 'red'
_GOES_ON = regex.compile(rf"[\p{{L}}\p{{N}}]+|(?:\p{{M}}|{INVISIBLE})+", regex.V1)


def byte_pairs(context: int, **options: Any) -> SimpleTokenizer:
    """open_clip's byte pairs, of what can be seen of a text (`scripts.visible`)."""
    tokenizer = SimpleTokenizer(context_length=context, **options)
    clean = tokenizer.clean_fn
    tokenizer.clean_fn = lambda text: clean(visible(text))
    return tokenizer


class Tokenizer(Protocol):
    """What a teacher needs of a tokeniser: padded ids, int64 `[text, context_length]`."""

    def __call__(self, texts: list[str], context_length: int | None = None) -> Tensor: ...


@dataclass(frozen=True)
class Word:
    """A word of a text, lower-cased, and the position of its last token (the start token is at 0)."""

    text: str
    position: int


def align(tokenizer: Tokenizer, text: str) -> list[Word]:
    """The words of a text with the token position that stands for each.

    A byte-pair tokeniser may cut a word into several tokens. The word stands at its *last* one: the decoder
    is causal, and only there has it read the whole word ("sun" may still become "sunflower"). The positions
    come from tokenising word by word, along the tokeniser's own boundaries, so that they add up to the whole
    text's.

    Raises:
        TypeError: for a tokeniser that is neither open_clip's `SimpleTokenizer` nor one of ours.
    """
    if isinstance(tokenizer, SubwordTokenizer | PlainTokenizer):
        return [Word(word, position) for word, position in tokenizer.words(text)]
    if isinstance(tokenizer, WordTokenizer):
        return [Word(word, index) for index, word in enumerate(tokenizer.words(text), start=1)]
    if not isinstance(tokenizer, SimpleTokenizer):
        raise TypeError(f"words of {type(tokenizer).__name__} cannot be aligned with its tokens")
    words: list[Word] = []
    position, end = 0, -1
    cleaned = tokenizer.clean_fn(text)
    for match in tokenizer.pat.finditer(cleaned):
        piece, tokens = match.group(), tokenizer.encode(match.group())
        goes_on = match.start() == end and _GOES_ON.match(piece)
        begun = goes_on or _BEGINS.match(piece) or (match.start() != end and _QUOTED.match(cleaned, match.start()))
        if begun:
            part = begun.group().removeprefix("'")
            last = position + (len(tokens) if begun.group() == piece else _shared(tokens, tokenizer.encode(part)))
            if goes_on:  # the tokeniser cuts "b2b", "42" and the vowel signs of Hindi into pieces; they are one word
                words[-1] = Word(words[-1].text + part, last)
            else:
                words.append(Word(part, last))
            end = match.start() + len(begun.group())
        position += len(tokens)  # of punctuation, too, and of the "'s" of "dog's"
    return [Word(visible(word.text), word.position) for word in words]


def _shared(tokens: Sequence[int], start: Sequence[int]) -> int:
    """How many tokens of a piece are its first letters', all of them where they cannot be told apart."""
    return len(start) if list(tokens[: len(start)]) == list(start) else len(tokens)


def content_words(words: Sequence[Word]) -> list[Word]:
    """Those words that can be looked for in an image: no articles, prepositions, pronouns, auxiliaries."""
    return [word for word in words if word.text not in STOP_WORDS]
