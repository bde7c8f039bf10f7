"""Images to ask about, and a place for the answers."""

import pytest
from cached_answers import images


@pytest.fixture(scope="module")
def data():
    return images()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"
