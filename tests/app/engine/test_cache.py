"""The cache of encoded images."""

from __future__ import annotations

from uploads import scene

from app.engine.cache import LatestUsed, content_hash


def test_the_least_recently_used_value_goes_first():
    cache: LatestUsed[str] = LatestUsed(2)
    cache.keep("a", "of a")
    cache.keep("b", "of b")
    assert cache.find("a") == "of a"
    cache.keep("c", "of c")
    assert [cache.find(key) for key in ("a", "b", "c")] == ["of a", None, "of c"]


def test_a_cache_of_no_size_keeps_nothing():
    cache: LatestUsed[int] = LatestUsed(0)
    cache.keep("key", 1)
    assert (cache.find("key"), len(cache)) == (None, 0)


def test_values_together_are_no_heavier_than_was_said():
    cache: LatestUsed[str] = LatestUsed(9, weight=6, weigh=len)
    for value in ("one", "two", "x"):
        cache.keep(value, value)
    assert [cache.find(value) for value in ("one", "two", "x")] == [None, "two", "x"]
    cache.keep("whole", "too heavy by itself")
    assert [cache.find(value) for value in ("two", "x", "whole")] == ["two", "x", None]


def test_the_hash_is_of_the_picture_and_not_of_its_shape_alone():
    assert content_hash(scene()) == content_hash(scene())
    other = scene()
    other.putpixel((0, 0), (1, 2, 3))
    assert len({content_hash(each) for each in (scene(), other, scene(64, 96))}) == 3
