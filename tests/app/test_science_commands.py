"""`lfi train`, `lfi scenes`, `lfi students` and `lfi evaluate`, typed as a user types them."""

import json
from pathlib import Path

import numpy as np
import pytest
from commandline import lfi
from PIL import Image
from scipy.io import savemat
from typer.main import get_command

from app.cli import cli
from app.commands.tables import deliver
from evaluation.results import Results
from lfi.errors import ConfigError

RECIPES = Path(__file__).parents[2] / "lfi/training/recipes"
TINY = [
    "data.count=64",
    "data.validation=32",
    "loop.epochs=1",
    "student.overrides={img_size=64, patch_size=8, embed_dim=24, depth=2, num_heads=2}",
]


def test_a_contact_sheet_is_a_picture(tmp_path):
    out = tmp_path / "sheet.png"
    assert lfi("scenes", "show", "--out", str(out), "--count", "3", "--domain", "sketch") == 0
    assert Image.open(out).size[0] > 300


def test_a_domain_that_does_not_exist_is_named(tmp_path, capsys):
    assert lfi("scenes", "show", "--out", str(tmp_path / "x.png"), "--domain", "photograph") == 2
    assert "unknown domain photograph; one of photo, painting, cartoon, sketch" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["s", "x.foo"])
def test_a_sheet_in_a_format_that_is_not_written_is_refused(name, capsys):
    assert lfi("scenes", "show", "--out", name) == 2
    said = capsys.readouterr().err
    assert said == f"lfi: the image is {name}; a name ending in .jpg, .png or .webp was expected\n"


def options(name, group=None):
    """Every option of that name, as `(command, option)`."""
    for word, command in (group or get_command(cli)).commands.items():
        if hasattr(command, "commands"):
            yield from options(name, command)
        else:
            yield from ((word, option) for option in command.params if option.name == name)


def test_no_seed_may_be_negative():
    seeds = list(options("seed"))
    assert len(seeds) > 8
    assert [command for command, option in seeds if option.min != 0] == []


@pytest.mark.parametrize("name", ["plot", "confusion"])
def test_a_plot_in_a_format_that_is_not_drawn_is_refused_before_any_work(name):
    for _, option in options(name):
        with pytest.raises(
            ConfigError, match=r"the plot is x\.foo; a name ending in \.pdf, \.png or \.svg was expected"
        ):
            option.callback(None, option, Path("x.foo"))


def test_a_table_is_printed_before_its_plot_is_drawn(tmp_path, capsys):
    results = Results("lfi evaluate", [0], {}, title="Table")
    results.add("score", 1.0, "%")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        deliver(results, None, tmp_path / "file" / "plot.svg")
    assert "| score |" in capsys.readouterr().out


def test_the_size_of_a_student_is_told(capsys):
    assert lfi("students", "describe", "vit_small_patch16_224") == 0
    out = capsys.readouterr().out
    assert "21,665,664 parameters" in out
    assert "(3.66%)" in out


def test_a_name_that_is_near_to_none_is_told_where_all_names_are(capsys):
    assert lfi("students", "describe", "x") == 2
    assert capsys.readouterr().err == "lfi: timm has no model 'x'; `timm.list_models()` names them all\n"


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "vit_smoll"])
def test_a_backbone_that_cannot_be_read_is_one_line_and_exit_2(name, capsys):
    assert lfi("students", "describe", name) == 2
    error = capsys.readouterr().err
    assert error.startswith("lfi: ")
    assert error.count("\n") == 1


def test_a_student_is_trained_and_resumed(tmp_path, capsys):
    settings = [part for value in TINY for part in ("--set", value)]
    command = ["train", str(RECIPES / "lfi.toml"), *settings, "--out", str(tmp_path), "--device", "cpu"]
    assert lfi(*command) == 0
    out = capsys.readouterr().out
    assert "% on validation images" in out
    assert "mAP" in out
    before = (tmp_path / "student.safetensors").read_bytes()
    assert lfi(*command, "--resume") == 0
    assert (tmp_path / "student.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nowhere.toml"], "cannot read the configuration nowhere.toml: no such file or directory\n"),
        (["train", str(RECIPES / "lfi.toml"), "--set", "objective.naning=1"], "did you mean objective.naming?"),
        (["train", str(RECIPES / "lfi.toml"), "--set", "teacher.model='nowhere'"], "nowhere"),
        (["train", "lfi", "--set", "loop.seed=-1"], "loop.seed is -1; 0 or more was expected"),
        (["train", "lfi", "--set", "data.seed=-1"], "data.seed is -1; 0 or more was expected"),
        (["train", "lfi", "--set", "data.validation_seed=-1"], "data.validation_seed is -1; 0 or more was expected"),
        (["train", str(RECIPES / "lfi.toml"), "--set", "vlm.layers=2"], 'write task = "teacher", and [pretraining]'),
        (["train", str(RECIPES / "lfi.toml"), "--set", "task=vlm"], 'write task = "teacher", and [pretraining]'),
        (["evaluate", "scenes", "--method", "magic"], "unknown method 'magic'"),
        (
            ["evaluate", "photographs", "--tiny-imagenet", "x", "--teacher", "no"],
            "'no' is neither an open_clip architecture nor a folder",
        ),
        (
            ["benchmark", "tune", "--tiny-imagenet", "x", "--photographs", "no"],
            "'no' is neither an open_clip architecture nor a folder",
        ),
        (["benchmark", "transfer", "--pacs", "x", "--photographs", "no"], "'no' is neither an open_clip architecture"),
        (["results", "--folder", "nowhere"], "there is no nowhere/scenes.json"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(arguments, message, capsys):
    assert lfi(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_maps_are_measured_into_json_and_a_plot(tmp_path, capsys):
    record, picture = tmp_path / "maps.json", tmp_path / "maps.png"
    assert lfi("evaluate", "maps", "--scenes", "10", "--json", str(record), "--plot", str(picture)) == 0
    found = json.loads(record.read_text())
    assert found["n"]["images"] == 10
    assert "LFI: pointing game" in found["figures"]
    assert picture.is_file()
    assert "| pointing game, share of maps |" in capsys.readouterr().out


def test_a_folder_without_a_trio_is_one_line_and_exit_2(tmp_path, capsys):
    assert lfi("evaluate", "maps", str(tmp_path)) == 2
    assert "has no card.json" in capsys.readouterr().err


def test_a_report_is_one_file(tmp_path, trio_folder):
    out = tmp_path / "new" / "report.html"
    image = Path("static/samples/paper.jpg").resolve()
    arguments = ["results/scenes.json", "--trio", str(trio_folder), "--example", f"{image}=star", "--out", str(out)]
    assert lfi("report", *arguments) == 0
    page = out.read_text()
    assert "lfi evaluate scenes --seeds 3" in page
    assert "data:image/png;base64," in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["results/none.json"], "cannot read results/none.json"),
        (["README.md"], "README.md is not JSON"),
        (["results/scenes.json", "--example", "a.jpg=cat"], "--example needs --trio"),
        (["results/scenes.json", "--trio", "static/models/scenes", "--example", "cat"], "IMAGE=WORD was expected"),
    ],
)
def test_a_wrong_report_is_one_line_and_exit_2(arguments, message, tmp_path, capsys):
    assert lfi("report", *arguments, "--out", str(tmp_path / "x.html")) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_models_are_compared_on_a_folder_of_classes(tmp_path, trio_folder, capsys):
    for name, colour in {"red": (200, 20, 20), "blue": (20, 20, 200)}.items():
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(20):
            shade = tuple(min(255, part + 2 * number) for part in colour)
            Image.new("RGB", (32, 32), shade).save(tmp_path / "data" / name / f"{number}.png")
    record, picture = tmp_path / "found.json", tmp_path / "confusion.png"
    models = [str(trio_folder / "baseline"), str(trio_folder / "lfi"), "timm:test_vit:random"]
    data = ["--source", "folders", "--root", str(tmp_path / "data"), "--size", "32", "--teacher"]
    outputs = ["--json", str(record), "--confusion", str(picture), "--plot", str(tmp_path / "figures.svg")]
    assert lfi("evaluate", "classification", *models, *data, str(trio_folder / "teacher"), *outputs) == 0
    figures = json.loads(record.read_text())["figures"]
    for model in models:
        assert figures[f"{model}: linear probe, top-1"]["value"] == 1
    assert f"{models[1]}: zero-shot, top-1" in figures
    assert f"{models[2]}: zero-shot, top-1" not in figures
    assert picture.is_file()
    assert "linear probe, top-1" in (tmp_path / "figures.svg").read_text()
    assert "| linear probe, ECE, probability |" in capsys.readouterr().out
    again = [f"ours={models[0]}", f"ours={models[0]}", models[1]]
    assert lfi("evaluate", "classification", *again, *data[:-1], "--epochs", "1", "--json", str(record)) == 0
    found = json.loads(record.read_text())
    assert {"ours: fine-tuned, top-1", f"{models[1]}: fine-tuned, top-1"} <= set(found["figures"])
    assert found["command"].endswith("--seed 0 --epochs 1")
    assert found["seeds"] == [0, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--source", "folders", "--root", "tests"], "'nowhere' is not a model"),
        (["static/models/scenes/lfi", "--source", "folders", "--root", "none"], "none"),
        (["x", "--source", "folders", "--root", "tests", "--prompt", "a photo"], "it needs {} where"),
    ],
)
def test_mistakes_of_a_comparison_are_one_line_and_exit_2(arguments, message, capsys):
    assert lfi("evaluate", "classification", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_domains_are_left_out_one_by_one(tmp_path, trio_folder, capsys):
    for domain, light in {"art": 0, "photo": 40, "sketch": 80}.items():
        for name, colour in {"red": (160, 20, 20), "blue": (20, 20, 160)}.items():
            folder = tmp_path / "data" / domain / name
            folder.mkdir(parents=True)
            for number in range(10):
                shade = tuple(part + light + number for part in colour)
                Image.new("RGB", (32, 32), shade).save(folder / f"{number}.png")
    model, teacher = str(trio_folder / "baseline"), str(trio_folder / "teacher")
    data = ["--root", str(tmp_path / "data"), "--size", "32"]
    assert lfi("evaluate", "domains", model, *data, "--seeds", "2", "--json", str(tmp_path / "probe.json")) == 0
    figures = json.loads((tmp_path / "probe.json").read_text())["figures"]
    assert set(figures) == {f"{model}: {part}" for part in ("art", "photo", "sketch", "mean over domains")}
    assert lfi("evaluate", "domains", model, *data, "--way", "zero-shot", "--teacher", teacher) == 0
    out = capsys.readouterr().out
    assert "data at 32 px: linear probe of frozen features, one domain left out" in out
    assert "data at 32 px: no labels, class names alone" in out
    tuned = [f"ours={model}", "--way", "fine-tuned", "--epochs", "1", "--seeds", "1", "--untaught"]
    outputs = ["--json", str(tmp_path / "tuned.json"), "--plot", str(tmp_path / "tuned.png")]
    assert lfi("evaluate", "domains", *tuned, *data, *outputs) == 0
    found = json.loads((tmp_path / "tuned.json").read_text())
    assert set(found["figures"]) == {f"ours: {part}" for part in ("art", "photo", "sketch", "mean over domains")}
    assert found["n"]["images"] == 30, "every second image"
    assert "the whole model trained further for 1 epochs, one domain left out" in found["title"]
    assert (tmp_path / "tuned.png").is_file()
    capsys.readouterr()
    assert lfi("evaluate", "domains", model, *data, "--way", "zero-shot") == 2
    assert "zero-shot needs --teacher" in capsys.readouterr().err


def test_scenes_are_written_as_coco(tmp_path, capsys):
    assert lfi("scenes", "write", str(tmp_path / "set"), "--count", "2", "--size", "32", "--domain", "sketch") == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "set" / "instances.json")
    assert len(list((tmp_path / "set" / "images").iterdir())) == 2
    assert lfi("scenes", "write", str(tmp_path / "set")) == 2
    assert "already holds a set" in capsys.readouterr().err


def test_convergence_is_told_from_runs(tmp_path, capsys):
    for seed in (0, 1):
        for method, scores, step in (("LFI", (10, 20, 30), 0.2), ("logit KD", (5, 10, 15), 0.1)):
            record = {"method": method, "seed": seed, "step": step, "scores": {"top-1": scores[-1]}}
            curve = [[10 * (number + 1), score + seed] for number, score in enumerate(scores)]
            (tmp_path / f"{method}-{seed}.json").write_text(json.dumps({**record, "curve": curve}))
    runs = [str(path) for path in sorted(tmp_path.glob("*.json"))]
    outputs = ["--json", str(tmp_path / "out" / "found.json"), "--plot", str(tmp_path / "out" / "curves.png")]
    assert lfi("evaluate", "convergence", *runs, *outputs) == 0
    out = capsys.readouterr().out
    assert "steps of logit KD over those of LFI to the same score" in out
    assert "seconds of logit KD over those of LFI to the same score" in out
    assert (tmp_path / "out" / "curves.png").is_file()
    assert lfi("evaluate", "convergence", *runs, "--ours", "magic") == 2
    assert "no run of 'magic'; there are runs of LFI, logit KD" in capsys.readouterr().err


@pytest.mark.slow
def test_maps_are_measured_on_real_layouts(tmp_path, capsys):
    drawn, record = tmp_path / "set", tmp_path / "found.json"
    assert lfi("scenes", "write", str(drawn), "--count", "12", "--size", "64") == 0
    coco = ["static/models/scenes", "--root", str(drawn / "images"), "--annotations", str(drawn / "instances.json")]
    small = ["--scenes", "6", "--size", "64", "--json", str(record)]
    assert lfi("evaluate", "maps", *coco, *small) == 0
    found = json.loads(record.read_text())
    assert found["n"]["images"] == 6
    teacher, centre = (found["figures"][f"{name}: pointing game"]["value"] for name in ("teacher", "centre"))
    assert teacher > centre
    words = {size: found["n"][f"words of {size} regions"] for size in ("small", "medium", "large")}
    assert sum(words.values()) == found["n"]["words"]
    hits = sum(
        count * found["figures"][f"teacher: pointing game, {size} regions"]["value"]
        for size, count in words.items()
        if count
    )
    assert hits / found["n"]["words"] == pytest.approx(teacher, abs=1e-3)
    assert lfi("evaluate", "maps", "--source", "coco") == 2
    assert "--source coco needs --annotations" in capsys.readouterr().err
    assert lfi("evaluate", "maps", "--source", "tiny-imagenet") == 2
    assert "--source tiny-imagenet needs --root" in capsys.readouterr().err


def test_gaze_is_compared_with_maps(tmp_path, trio_folder, capsys):
    cell = np.empty((1, 3), object)
    for number in range(3):
        Image.new("RGB", (80, 60), (40 * number, 90, 20)).save(tmp_path / f"{number}.png")
        people = np.empty((1, 2), object)
        for each in range(2):
            x, y = np.full(5, 20.0 * number + each), np.full(5, 30.0)
            people[0, each] = {"fix_x": x, "fix_y": y, "fix_duration": np.full(5, 200.0)}
        cell[0, number] = {"img": f"{number}.png", "subjects": people}
    savemat(tmp_path / "fixations.mat", {"fixations": cell})
    (tmp_path / "words.json").write_text(json.dumps({f"{number}.png": ["star", "red circle"] for number in range(3)}))
    data = ["--fixations", str(tmp_path / "fixations.mat"), "--images", str(tmp_path)]
    outputs = ["--json", str(tmp_path / "found.json"), "--plot", str(tmp_path / "found.png")]
    words = ["--words", str(tmp_path / "words.json"), "--models", "lfi,baseline:rollout"]
    assert lfi("evaluate", "gaze", str(trio_folder), *data, *words, *outputs) == 0
    figures = json.loads((tmp_path / "found.json").read_text())["figures"]
    assert {"lfi: NSS", "baseline:rollout: NSS", "half of the observers: NSS"} <= set(figures)
    assert (tmp_path / "found.png").is_file()
    assert lfi("evaluate", "gaze", str(trio_folder / "teacher"), *data, "--word", "star") == 0
    assert "where people look in other images" in capsys.readouterr().out
    assert lfi("evaluate", "gaze", str(trio_folder), *data) == 2
    assert "either --word WORD or --words FILE was expected; neither was given" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["scenes", "photographs", "maps", "classification", "domains", "gaze", "convergence"])
def test_every_evaluation_writes_json_and_a_plot(name, capsys):
    assert lfi("evaluate", name, "--help") == 0
    out = capsys.readouterr().out
    assert "--json" in out
    assert "--plot" in out
