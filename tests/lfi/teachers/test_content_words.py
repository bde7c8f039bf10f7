"""Words of a text, the tokens that stand for them, and which of them can be looked for."""

from __future__ import annotations

import pytest
from open_clip.tokenizer import SimpleTokenizer

from lfi.teachers.content import Word, align, content_words
from lfi.teachers.words import WordTokenizer

TEXTS = [
    "a red circle left of a star",
    "Two  Axolotls, swimming -- and a dog's bone!",
    "don't drink 42 b2b coffees & 3.5 teas",
    "naïve café, l’été; 日本 and Страна",
    "it&#39;s an &amp; sign #hashtag @someone's",
]


@pytest.mark.parametrize("text", TEXTS)
def test_every_word_stands_at_its_last_token(text: str, tokenizer: SimpleTokenizer) -> None:
    tokens = [None, *tokenizer.encode(text)]
    for word in align(tokenizer, text):
        size = len(tokenizer.encode(word.text))
        assert tokens[word.position - size + 1 : word.position + 1] == tokenizer.encode(word.text)


def test_a_word_of_several_tokens_is_read_at_the_last(tokenizer: SimpleTokenizer) -> None:
    assert len(tokenizer.encode("axolotl")) == 4
    assert align(tokenizer, "an axolotl swims") == [Word("an", 1), Word("axolotl", 5), Word("swims", 6)]


def test_pieces_without_a_space_between_are_one_word(tokenizer: SimpleTokenizer) -> None:
    words = [word.text for word in align(tokenizer, "The dog's b2b-coffee, 42 (cups)!")]
    assert words == ["the", "dog", "b2b", "coffee", "42", "cups"]


def test_words_of_a_small_vocabulary_are_one_token_each() -> None:
    tokenizer = WordTokenizer(["red", "circle", "left", "of", "star"], 10)
    assert align(tokenizer, "Red circle, left of star") == [
        Word("red", 1),
        Word("circle", 2),
        Word("left", 3),
        Word("of", 4),
        Word("star", 5),
    ]


def test_content_words_are_what_can_be_looked_for(tokenizer: SimpleTokenizer) -> None:
    text = "There is a small red circle to the left of the star, and it has been painted by an artist."
    words = [word.text for word in content_words(align(tokenizer, text))]
    assert words == ["small", "red", "circle", "left", "star", "painted", "artist"]


def test_a_tokeniser_we_cannot_align_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot be aligned"):
        align(str.split, "a star")  # type: ignore[arg-type]
