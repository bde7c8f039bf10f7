"""The words of a request."""

from __future__ import annotations

import pytest

from app.engine import words
from app.engine.engine import Engine
from app.engine.request import MapsRequest
from app.engine.words import close_words, parse_words, plain_words
from app.limits import WordLimits
from app.settings import read_settings
from lfi.errors import ConfigError, UnknownModelError, UnknownWordError, WordsError

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
            [" ".join(["a"] * 30)],
            "the phrase 'a a a a a a a a a a a a a a a a a a a a…' has 30 words and 59 characters; "
            "at most 3 words and 30 characters are read as one phrase",
        ),
        (
            [" ".join(["a"] * 300)],
            "the phrase 'a a a a a a a a a a a a a a a a a a a a…' has 599 characters; "
            "at most 3 words and 30 characters are read as one phrase",
        ),
        (["star," * 1000], "1,001 words were given; at most 4 can be compared at once"),
        (["star"] * 1000, "1,000 words were given; at most 4 can be compared at once"),
        (["st\0ar"], "the word 'st\\x00ar' contains unprintable characters"),
    ],
)
def test_words_that_cannot_be_used_are_refused_with_what_would_be_right(fields, message):
    with pytest.raises(WordsError) as refused:
        parse_words(fields, LIMITS)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    "field", ["é," * 500_000, "é" * 1_000_000, "a" + "\u0301\u0316" * 500_000], ids=["pieces", "a piece", "accents"]
)
def test_a_megabyte_of_words_is_refused_before_it_is_normalised(field, monkeypatch):
    normalised = []
    monkeypatch.setattr(words, "visible", lambda text: normalised.append(text) or text)
    with pytest.raises(WordsError) as refused:
        parse_words([field], WordLimits())
    assert not normalised
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("layers", "kept"), [(["0,1,0", "1"], (0, 1)), (["2", "0", "2"], (2, 0)), (["0", "00"], (0,)), ([""], None)]
)
def test_a_layer_that_is_repeated_counts_once(layers, kept):
    assert MapsRequest.from_fields(LIMITS, ["star"], layers=layers).layers == kept


def test_a_model_that_is_repeated_counts_once():
    assert MapsRequest.from_fields(LIMITS, ["star"], ["lfi,teacher", "lfi"]).models == ("lfi", "teacher")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"layers": ["0," * 500_000]}, "500,001 layers were given; at most 1,000 are read"),
        ({"layers": ["0"] * 1001}, "1,001 layers were given; at most 1,000 are read"),
        ({"models": ["x," * 500_000]}, "500,001 models were given; at most 1,000 are read"),
        ({"layers": ["1_0"]}, "layers are '1_0'; whole numbers from 0 were expected"),
        ({"layers": ["\uff11"]}, "layers are '\uff11'; whole numbers from 0 were expected"),
        ({"layers": ["9" * 1_000_000]}, f"layers are '{'9' * 40}…'; whole numbers from 0 were expected"),
    ],
)
def test_a_megabyte_of_layers_or_models_is_refused_in_a_short_sentence(fields, message):
    with pytest.raises(ConfigError) as refused:
        MapsRequest.from_fields(LIMITS, ["star"], **fields)
    assert str(refused.value) == message


@pytest.mark.parametrize("field", [{"models": ("x" * 1_000_000,)}, {"trio": "x" * 1_000_000}])
def test_an_unknown_name_of_a_megabyte_is_not_repeated_in_full(engine, field):
    with pytest.raises(UnknownModelError) as refused:
        engine.question(MapsRequest(("star",), **field))
    assert len(str(refused.value)) < 1000


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
