"""The pages' scripts: every module is reached and preloaded, and no browser runs one of another version."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.settings import STATIC
from app.web.assets import FreshFiles, modules, preloads

STANDALONE = {"theme", "gallery", "study-admin"}
"""Scripts that are no modules: before the first paint, inside a file that people keep, one alone."""


def test_every_script_belongs_to_a_page():
    pages = {name for page in ("inspector", "study", "batch") for name in modules(STATIC, page)}
    assert pages | STANDALONE == {path.stem for path in (STATIC / "js").glob("*.js")}


@pytest.mark.parametrize("page", ["inspector", "study", "batch"])
def test_a_page_preloads_what_its_modules_import(page):
    links = preloads(STATIC, "../", page)
    for name in modules(STATIC, page):
        imported = [
            line.rpartition('"./')[2].removesuffix('.js";')
            for line in (STATIC / "js" / f"{name}.js").read_text().splitlines()
            if line.startswith("import ")
        ]
        for each in (name, *imported):
            assert f'<link rel="modulepreload" href="../static/js/{each}.js" />' in links


def test_a_browser_asks_before_it_uses_a_script_again():
    app = FastAPI()
    app.mount("/js", FreshFiles(directory=STATIC / "js"))
    with TestClient(app) as client:
        first = client.get("/js/elements.js")
        assert (first.status_code, first.headers["Cache-Control"]) == (200, "no-cache")
        assert first.headers["Content-Type"].startswith("text/javascript")
        again = client.get("/js/elements.js", headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.headers["Cache-Control"]) == (304, "no-cache")
