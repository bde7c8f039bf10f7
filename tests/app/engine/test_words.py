"""The words of a request."""

from __future__ import annotations

import pytest

from app.engine.engine import Engine
from app.engine.request import MapsRequest
from app.engine.words import close_words, parse_words, plain_words
from app.limits import WordLimits
from app.settings import read_settings
from lfi.errors import UnknownWordError, WordsError

LIMITS = WordLimits(words=4, phrase=3, characters=30)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (["red circle", "star"], ("red circle", "star")),
        (["red circle, star"], ("red circle", "star")),
        (["  red \t circle ,, star, "], ("red circle", "star")),
        (["star", "ring", "star"], ("star", "ring")),
        (["étoile"], ("étoile",)),
    ],
)
def test_words_come_one_per_field_or_with_commas_between(fields, words):
    assert parse_words(fields, LIMITS) == words


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([], "no words were given; type at least one word or short phrase, such as 'red circle'"),
        ([""], "word 1 is empty; type a word or a short phrase, such as 'red circle'"),
        (["star", " , "], "word 2 is empty; type a word or a short phrase, such as 'red circle'"),
        (["a,b,c,d,e"], "5 words were given; at most 4 can be compared at once"),
        (
            [" ".join(["a"] * 300)],
            "the phrase 'a a a a a a a a a a a a a a a a a a a a…' has 300 words and 599 characters; "
            "at most 3 words and 30 characters are read as one phrase",
        ),
        (["st\0ar"], "the word 'st\\x00ar' contains unprintable characters"),
    ],
)
def test_words_that_cannot_be_used_are_refused_with_what_would_be_right(fields, message):
    with pytest.raises(WordsError) as refused:
        parse_words(fields, LIMITS)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("word", "known", "close"),
    [
        ("cirle", ["circle", "red", "purple"], ["circle"]),
        ("triangel", ["triangle", "orange"], ["triangle"]),
        ("gray", ["grey", "green"], ["grey"]),
        ("dog", ["orange", "dotted", "diamond"], []),
        ("the", ["heart", "green", "square"], []),
        ("dog", [], []),
    ],
)
def test_only_words_that_are_spelled_almost_alike_are_offered(word, known, close):
    assert close_words({word: known}) == {word: close}


KNOWN = ("red", "circle", "star")


@pytest.mark.parametrize(
    ("phrases", "vocabulary", "words"),
    [
        (["the star", "A red circle"], KNOWN, ("star", "red circle")),
        (["a star on the circle"], KNOWN, ("star on circle",)),
        (["the star", "star", "an star"], KNOWN, ("star",)),
        (["the"], KNOWN, ("the",)),
        (["The Star"], KNOWN, ("Star",)),
        (["theatre"], KNOWN, ("theatre",)),
        (["a star", "the star"], (*KNOWN, "a"), ("a star", "star")),
        (["the star", "star"], (), ("the star", "star")),
    ],
)
def test_articles_are_left_out_where_the_models_know_none(phrases, vocabulary, words):
    assert plain_words(phrases, vocabulary) == words


def test_a_word_of_another_trio_is_refused_with_the_name_of_that_trio():
    engine = Engine(read_settings())
    for name in ("photographs", "scenes"):
        engine.trios.load_only(name)
    with pytest.raises(UnknownWordError, match=r"does not know .*'purple'.*; the trio scenes does") as caught:
        engine.question(MapsRequest(("purple star",)))
    assert caught.value.trios == ("scenes",)
    with pytest.raises(UnknownWordError, match="does not know") as caught:
        engine.question(MapsRequest(("purple star", "cirkle")))
    assert caught.value.trios == ()
    with pytest.raises(UnknownWordError, match="; the trio photographs does"):
        engine.question(MapsRequest(("golden retriever",), trio="scenes"))
