"""The cache of encoded images."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from uploads import scene

from app.inspector.cache import LatestUsed, content_hash


def test_equal_questions_at_the_same_time_compute_once():
    cache: LatestUsed[int] = LatestUsed(4)
    computed = []

    def compute() -> int:
        time.sleep(0.05)
        computed.append(threading.get_ident())
        return 7

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: cache.get("key", compute), range(8)))

    assert (answers, len(computed)) == ([7] * 8, 1)


def test_the_least_recently_used_value_goes_first():
    cache: LatestUsed[str] = LatestUsed(2)
    for key in ("a", "b", "a", "c"):
        cache.get(key, lambda key=key: key)
    assert len(cache) == 2
    assert [cache.get(key, lambda: "again") for key in ("a", "c", "b")] == ["a", "c", "again"]


def test_a_cache_of_no_size_keeps_nothing():
    cache: LatestUsed[int] = LatestUsed(0)
    values = iter(range(10))
    assert [cache.get("key", lambda: next(values)) for _ in range(3)] == [0, 1, 2]


def test_a_failure_is_not_kept():
    cache: LatestUsed[int] = LatestUsed(2)
    with pytest.raises(ZeroDivisionError):
        cache.get("key", lambda: 1 // 0)
    assert cache.get("key", lambda: 5) == 5


def test_the_hash_is_of_the_picture_and_not_of_its_shape_alone():
    assert content_hash(scene()) == content_hash(scene())
    other = scene()
    other.putpixel((0, 0), (1, 2, 3))
    assert len({content_hash(each) for each in (scene(), other, scene(64, 96))}) == 3
