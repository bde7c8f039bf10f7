"""The page's handlers over the tests' tiny trio, and a picture that they have seen."""

from __future__ import annotations

import pytest
from page_handlers import Unhurried, form
from uploads import as_bytes, scene

from app.engine.kept import KeptPictures
from app.ui.samples import load_samples


@pytest.fixture
def handlers(engine, settings, tmp_path, monkeypatch) -> Unhurried:
    kept = KeptPictures(tmp_path / "kept", days=7, most=2, most_bytes=10**6)
    monkeypatch.setattr(engine, "kept", kept)
    return Unhurried(engine, load_samples(settings.static_dir / "samples"))


@pytest.fixture
def token(handlers) -> str:
    return handlers.compare(form({"words": []}, as_bytes(scene())))["picture"]["token"]
