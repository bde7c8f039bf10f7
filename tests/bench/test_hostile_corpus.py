"""The hostile corpus: the same for the same seed."""

from __future__ import annotations

from bench.hostile import hostile_uploads


def test_the_corpus_is_the_same_for_the_same_seed_and_another_for_another():
    kinds = ["truncated", "bits flipped", "odd exif", "polyglot", "other format"]
    first, again, longer = (list(hostile_uploads(count, 3, "star", kinds)) for count in (10, 10, 12))
    assert first == again == longer[:10]
    assert first != list(hostile_uploads(10, 4, "star", kinds))
    assert len({upload.data for upload in first}) == 10
