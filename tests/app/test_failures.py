"""How the service answers errors: each kind once, all of them in one module."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest

import app.main  # noqa: F401 -- loads every module that could define an error
import lfi.errors
from app import failures
from app.failures import Kind, kind_of, plain
from lfi.errors import CheckpointError, DataError, ImageError, LFIError, UnknownWordError, WordsError


def all_below(parent: type[LFIError]) -> Iterator[type[LFIError]]:
    for child in parent.__subclasses__():
        yield child
        yield from all_below(child)


def own(module) -> list[type[LFIError]]:
    found = inspect.getmembers(module, inspect.isclass)
    return [each for _, each in found if issubclass(each, LFIError) and each.__module__ == module.__name__]


def test_every_error_of_the_service_is_defined_in_failures():
    of_app = {each.__module__ for each in all_below(LFIError) if each.__module__.partition(".")[0] == "app"}
    assert of_app == {"app.failures"}


@pytest.mark.parametrize("error", own(failures), ids=lambda each: each.__name__)
def test_an_error_of_the_service_says_how_it_is_answered(error):
    assert isinstance(vars(error)["kind"], Kind)


@pytest.mark.parametrize("error", own(lfi.errors), ids=lambda each: each.__name__)
def test_every_error_of_the_science_has_an_answer_of_its_own(error):
    parents = [kind_of(parent) for parent in error.__mro__[1:] if issubclass(parent, LFIError)]
    assert 400 <= kind_of(error).status < 500
    assert kind_of(error) not in parents


def test_names_and_titles_of_kinds_are_not_used_twice():
    kinds = {kind_of(each) for each in (*own(failures), *own(lfi.errors))}
    kinds |= {each for each in vars(failures).values() if isinstance(each, Kind)}
    names = sorted(kind.name for kind in kinds)
    assert names == sorted(set(names))


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (failures.NotAnImageError("x"), 415, "not-an-image"),
        (ImageError("x"), 422, "image"),
        (UnknownWordError({"cirle": ["circle"]}), 422, "unknown-word"),
        (WordsError("x"), 422, "words"),
        (failures.ConflictError("x"), 409, "conflict"),
        (failures.GoneError("x"), 499, "gone"),
        (type("DamagedError", (CheckpointError,), {})("x"), 422, "checkpoint"),
        (type("StrangeError", (LFIError,), {})("x"), 422, "error"),
        (DataError("x"), 422, "data"),
    ],
)
def test_an_error_is_answered_as_its_nearest_parent_says(error, status, name):
    assert (kind_of(error).status, kind_of(error).name) == (status, name)


def test_a_plain_status_has_the_title_of_http_and_no_name():
    assert plain(405) == Kind(405, "", "Method Not Allowed")
