"""Tables as people save them: every row is read, or refused by its line; what is not read is named."""

import pytest

from lfi.data.captions import image_captions
from lfi.errors import DataError


@pytest.fixture
def read(tmp_path, picture):
    for number in range(1, 7):
        picture(tmp_path / f"{number}.png", number)

    def write_and_read(content, name="list.csv"):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return image_captions(tmp_path / name, size=8)

    return write_and_read


def noted(images) -> dict[str, list[str]]:
    return {note.what: note.listed() for note in images.notes}


def test_a_stray_quote_between_tabs_is_text_and_eats_no_row(read):
    rows = ["image\tcaption", "1.png\ta red square", '2.png\t"green, said the painter', '3.png\t19" screen', "4.png\tx"]
    images = read("\n".join(rows), "list.tsv")
    assert images.captions == ("a red square", '"green, said the painter', '19" screen', "x")
    assert noted(images) == {"lines whose quotes are read as text": ["line 3"]}


REFUSED = {
    "a comma without quotes": (
        "image,caption\n1.png,a\n2.png,a dog, asleep\n",
        "line 3: 3 cells, and the header",
    ),
    "too few cells": ("image,caption,url\n1.png,a,u\n2.png,b\n", "line 3: 2 cells, and the header has 3"),
    "a quote that is never closed": ('image,caption\n1.png,a\n2.png,"b\n3.png,c\n', "line 3: a quote .* never closed"),
    "a quote that another closes": ('image,caption\n1.png,"a\n2.png,b"\n', "line 2: the quote .* takes in line 3"),
    "text behind a quoted cell": ('image,caption\n1.png,"a" b\n', "line 2: a quote"),
    "a caption that is huge for a quote": ('image,caption\n1.png,"' + "x" * 200_000, "line 2: a quote"),
    "a caption that is huge": ("image,caption\n1.png," + "x" * 200_000, "line 2: .* more than 131,072 characters"),
    "no image": ("image,caption\n1.png,a\n,b\n", "line 3: .* no image"),
    "a column twice": ("image,caption,caption\n1.png,a,b\n", "line 1: 2 columns are called 'caption'"),
    "another charset": ("image,caption\n1.png,a\n2.png,grün\n".encode("latin-1"), "line 3 is not UTF-8"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_row_that_does_not_fit_is_refused_by_its_line(read, case):
    content, message = REFUSED[case]
    with pytest.raises(DataError, match=message):
        read(content)


READ = {
    "byte order mark and carriage returns": "\ufeffimage,caption\r\n1.png,a\r\n\r\n2.png,b\r\n",
    "semicolons": "image;caption\n1.png;a\n2.png;b\n",
    "a header with blanks and capitals": '"Image" , Caption \n1.png,a\n 2.png ,"b"\n',
    "a blank before a quote": 'image,caption\n1.png, "a"\n2.png,b\n',
    "UTF-16": "image\tcaption\n1.png\ta\n2.png\tb\n".encode("utf-16"),
    "old Macs": "image,caption\r1.png,a\r2.png,b\r",
}


@pytest.mark.parametrize("case", READ)
def test_what_spreadsheets_write_is_read(read, case):
    images = read(READ[case])
    assert (images.ids, images.captions, images.notes) == (("1.png", "2.png"), ("a", "b"), ())


def test_a_caption_may_have_several_lines_and_commas(read):
    assert read('image,caption\n1.png,"a, b\nand c"\n2.png,d\n').captions == ("a, b and c", "d")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.csv", "image,caption,url\n1.png,,u\n2.png,NULL,u\n3.png,nan,u\n4.png,x,u\n"),
        (
            "list.jsonl",
            "\r\n".join(
                f'{{"image":"{number}.png","caption":{said},"url":1}}'
                for number, said in ((1, "null"), (2, '""'), (3, '" "'), (4, '"x"'))
            ),
        ),
    ],
)
def test_nothing_is_no_caption_and_columns_that_are_not_read_are_said(read, name, content):
    images = read(content, name)
    assert images.captions == ("", "", "", "x")
    assert {what: len(names) for what, names in noted(images).items()} == {
        "images without a caption": 3,
        "values in columns that are not read": 1,
    }
    assert noted(images)["values in columns that are not read"] == ["url (4)"]


def test_a_line_separator_within_json_is_no_end_of_a_line(read):
    assert read('{"image":"1.png","caption":"a\u2028b"}\n', "list.jsonl").captions == ("a b",)
