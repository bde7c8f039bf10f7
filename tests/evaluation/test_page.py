"""The report: one file, nothing fetched, every number with where it comes from."""

import json
import re

import pytest
from PIL import Image

from evaluation.drawing import colour_of
from evaluation.page import report_page
from evaluation.results import Figure, Goal, Results
from lfi.errors import DataError
from lfi.trio import Trio


def record(tmp_path, name="one", **changes):
    results = Results("lfi evaluate <thing> --seeds 3", [0, 1, 2], {"images": 1234}, title="A <b>table</b>")
    results.figures["LFI"] = Figure(21.0, 19.5, 22.5, "% mAP")
    results.figures["logit KD, $x$"] = Figure(16.0, float("nan"), float("nan"), "% mAP")
    results.figures["queries only"] = Figure(15.0, 14.0, 16.0, "% mAP")
    results.goals["gain"] = Goal(6.0, 3.3, True)
    for field, value in changes.items():
        setattr(results, field, value)
    results.write(tmp_path / f"{name}.json")
    return tmp_path / f"{name}.json"


def run(tmp_path):
    folder = tmp_path / "my run"
    folder.mkdir()
    lines = [
        {"step": 10, "images/s": 50.0, "loss": 2.0},
        {"step": 10, "mAP": 12.0},
        {"step": 20, "images/s": 50.0, "loss": 1.0},
        {"step": 20, "mAP": 15.0},
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "config.json").write_text('{"loop": {"seed": 7}}')
    return folder


def test_every_number_stands_with_where_it_comes_from(tmp_path):
    page = report_page([record(tmp_path)])
    assert "21.0" in page
    assert "19.5 to 22.5" in page
    assert "lfi evaluate &lt;thing&gt; --seeds 3" in page
    assert "seeds 0, 1, 2; 1,234 images" in page
    assert "CPU cores" in page or "GPU" in page
    assert "<td>met</td>" in page
    assert "<small>1 of 1 goals met</small>" in page, "the contents say so, too"


def test_nothing_is_fetched_and_nothing_runs(tmp_path, trio_folder):
    examples = [(Image.new("RGB", (64, 64), "red"), "red")]
    page = report_page([record(tmp_path), run(tmp_path)], Trio.load(trio_folder), examples)
    assert "<script" not in page
    assert "<b>table" not in page
    assert "A &lt;b&gt;table" in page
    sources = re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?([^"\')>\s]+)', page)
    assert sources
    assert all(source.startswith(("#", "data:")) for source in sources)
    assert 'alt="Where teacher, LFI student and baseline look for “red”"' in page


def test_figures_of_one_unit_share_a_plot(tmp_path):
    page = report_page([record(tmp_path)])
    assert page.count("<svg") == 1, "those two that have an interval"
    assert "% mAP; 95 % interval" in page


def test_curves_of_a_run_with_its_settings(tmp_path):
    page = report_page([run(tmp_path)])
    assert 'aria-label="Losses and evaluations of my run over 20 steps"' in page
    assert "mAP (evaluation)" in page
    assert "&quot;seed&quot;: 7" in page


def test_sections_are_linked(tmp_path):
    page = report_page([record(tmp_path), record(tmp_path, "two", title="")])
    for anchor in re.findall(r'href="#([^"]+)"', page):
        assert f'id="{anchor}"' in page
    assert "<h2>lfi evaluate &lt;thing&gt;</h2>" in page


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"cannot read .*x\.json: no such file"),
        ("{", "is not JSON"),
        ("[1]", "is not a record"),
        ('{"command": "x"}', "is not a record"),
    ],
)
def test_what_is_no_record_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "x.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message):
        report_page([path])


def test_what_is_no_run_is_refused_by_name(tmp_path):
    with pytest.raises(DataError, match=r"no metrics\.jsonl"):
        report_page([tmp_path])
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(DataError, match="has not logged anything"):
        report_page([tmp_path])
    (tmp_path / "metrics.jsonl").write_text("{'step'")
    with pytest.raises(DataError, match="is damaged"):
        report_page([tmp_path])


def test_a_record_without_a_title_is_called_by_its_command(tmp_path):
    page = report_page([record(tmp_path, title="")])
    assert "<h2>lfi evaluate &lt;thing&gt;</h2>" in page


@pytest.mark.parametrize(
    ("colour", "names"),
    [
        ("#0072b2", ("LFI: AUC", "mAP, LFI", "LFI less shuffled maps", "LFI + logit KD: fine-tuned, top-1")),
        ("#d55e00", ("DIST: AUC", "baseline, rollout: AUC", "steps of DIST over those of LFI")),
        ("#767676", ("LFI, another image's: AUC", "mAP, shuffled maps", "timm:x:random: k-NN, ECE")),
        ("#009e73", ("teacher: AUC",)),
    ],
)
def test_ours_others_floors_and_the_teacher_have_a_colour_each(colour, names):
    assert [colour_of(name) for name in names] == [colour] * len(names)
