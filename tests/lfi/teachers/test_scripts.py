"""Words of every script are whole words, however they are written."""

import pytest
from open_clip.tokenizer import SimpleTokenizer

from lfi.errors import UnknownWordError
from lfi.teachers.content import align, byte_pairs
from lfi.teachers.scripts import visible, words_of
from lfi.teachers.words import WordTokenizer

WORDS = {
    "Red circle, o'lantern": ["red", "circle", "o'lantern"],
    "red звезда": ["red", "звезда"],
    "ein grünes Quadrat über Weiß": ["ein", "grünes", "quadrat", "über", "weiß"],
    "cafe\u0301 GRU\u0308N": ["café", "grün"],
    "re\u200bd cir\u00adcle \ufeffstar": ["red", "circle", "star"],
    "re\u200dd": ["red"],
    "می\u200cخواهم سرخ": ["می\u200cخواهم", "سرخ"],
    "हिन्दी, लाल": ["हिन्दी", "लाल"],
    "한국어 빨간": ["한국어", "빨간"],
    "‘red’ l’été": ["red", "l'été"],
    "red ⭐": ["red", "⭐"],
    "redзвезда": ["redзвезда"],
    "© 20° – “red”!": ["20", "red"],
}


@pytest.mark.parametrize("text", WORDS)
def test_a_text_is_cut_into_whole_words(text):
    assert words_of(text) == WORDS[text]


def test_scripts_without_spaces_are_cut_by_dictionaries():
    pytest.importorskip("icu4py")
    assert words_of("一个红色的圆 in red") == ["一个", "红色", "的", "圆", "in", "red"]
    assert words_of("แมวดำ") == ["แมว", "ดำ"]
    assert words_of("ខ្មែរ\u200bភាសា") == ["ខ្មែរ", "ភាសា"]


def test_a_known_word_before_an_unknown_one_of_another_script_does_not_stand_for_both():
    with pytest.raises(UnknownWordError, match="'звезда'"):
        WordTokenizer(("red", "star"), 8).check(["red звезда"])


def test_a_vocabulary_knows_its_words_composed_or_not():
    assert WordTokenizer(("cafe\u0301",), 8).encode("CAFÉ") == WordTokenizer(("café",), 8).encode("cafe\u0301")


@pytest.mark.parametrize(
    "text", ["हिन्दी, लाल", "می\u200cخواهم سرخ", "re\u200bd circle", "red ⭐", "café 'stop' dog 's"]
)
def test_byte_pairs_cut_no_word_either(text):
    words = [word.text for word in align(SimpleTokenizer(), text)]
    assert words == [word.strip("'") for word in words_of(text) if word != "'s"]
    tokenizer = byte_pairs(77)
    assert (tokenizer(text) == tokenizer(visible(text))).all()
