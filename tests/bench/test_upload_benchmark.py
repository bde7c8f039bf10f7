"""`lfi benchmark upload` at its smallest."""

import json

import pytest

from app.cli import main


@pytest.mark.slow
def test_uploads_are_timed_and_recorded(tmp_path, capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["benchmark", "upload", "--megapixels", "0.1", "--rounds", "5", "--json", str(tmp_path / "a.json")])
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["n"] == {"uploads": 5}
    assert record["command"] == "lfi benchmark upload --megapixels 0.1 --rounds 5"
    # so small a file says nothing about which takes longer
    assert all(record["figures"][f"{name}, median"]["value"] > 0 for name in ("first maps", "another word"))
    assert set(record["goals"]) == {"first maps, p95, seconds, at most", "another word, p95, seconds, at most"}
    assert "| first maps, median |" in capsys.readouterr().out
