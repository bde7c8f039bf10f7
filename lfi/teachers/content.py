"""Which words of a text carry content, and which token position stands for each word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

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
        TypeError: for a tokeniser that is neither open_clip's `SimpleTokenizer` nor a `WordTokenizer`.
    """
    if isinstance(tokenizer, WordTokenizer):
        return [Word(word, index) for index, word in enumerate(tokenizer.words(text), start=1)]
    if not isinstance(tokenizer, SimpleTokenizer):
        raise TypeError(f"words of {type(tokenizer).__name__} cannot be aligned with its tokens")
    words: list[Word] = []
    position, end = 0, -1
    for match in tokenizer.pat.finditer(tokenizer.clean_fn(text)):
        piece = match.group()
        position += len(tokenizer.encode(piece))
        if not piece[0].isalnum():  # punctuation, or the "'s" of "dog's"
            continue
        if match.start() == end:  # the tokeniser cuts "b2b" and "42" into pieces; they are one word
            words[-1] = Word(words[-1].text + piece, position)
        else:
            words.append(Word(piece, position))
        end = match.end()
    return words


def content_words(words: Sequence[Word]) -> list[Word]:
    """Those words that can be looked for in an image: no articles, prepositions, pronouns, auxiliaries."""
    return [word for word in words if word.text not in STOP_WORDS]
