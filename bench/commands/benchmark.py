"""`lfi benchmark ...`: long measurements, each recorded with what it ran on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.commands import hostile, serve, study, upload
from evaluation.plots import plot_path

commands = typer.Typer()
benchmark = typer.Typer(help="Long measurements; every table can go to JSON.", no_args_is_help=True)
commands.add_typer(benchmark, name="benchmark")
for module in (serve, study, hostile, upload):
    benchmark.add_typer(module.commands)


@benchmark.command()
def transfer(
    scale: Annotated[
        str,
        typer.Option(
            help="tiny (a test), small (2 cores, 2 hours), photographs (a quarter of an hour of a core for each run: "
            "choose --part and --method), medium or full (a GPU)."
        ),
    ] = "small",
    tiny_imagenet: Annotated[
        str, typer.Option(help="Folder with TinyImageNet's wnids.txt; skipped if not given.")
    ] = "",
    pacs: Annotated[str, typer.Option(help="Folder with PACS's domains; skipped if not given.")] = "",
    vlcs: Annotated[str, typer.Option(help="Folder with VLCS's domains; skipped if not given.")] = "",
    photographs: Annotated[
        str, typer.Option(help="Teacher for photographs, trained on at most every second image of PACS.")
    ] = "photographs",
    scenes: Annotated[
        str, typer.Option(help="Teacher for scenes: a folder, or the one that comes with LFI.")
    ] = "scenes",
    runs: Annotated[Path, typer.Option(help="Keeps finished runs and caches; resumes from there.")] = Path(
        "runs/transfer"
    ),
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds, counted from 0.")] = 3,
    method: Annotated[list[str] | None, typer.Option(help="Only these methods; repeatable.")] = None,
    part: Annotated[list[str] | None, typer.Option(help="Only these parts; repeatable.")] = None,
    ablation: Annotated[bool, typer.Option("--ablation", help="Instead, train LFI with one thing changed.")] = False,
    tuned: Annotated[Path | None, typer.Option(help="Train the methods of a `lfi benchmark tune` record.")] = None,
    epochs: Annotated[int, typer.Option(min=0, help="Epochs of every part.", show_default="the scale's")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Runs at a time; each takes its share of the cores.")] = 2,
    json: Annotated[Path | None, typer.Option(help="Also write the figures here.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the scores with their intervals here.", callback=plot_path)
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda; cuda where there is one.")] = "",
) -> None:
    """13 methods, or those named: TinyImageNet, PACS and VLCS leave-one-domain-out and zero-shot, scenes."""
    from evaluation.report import markdown
    from evaluation.results import Results
    from evaluation.runs import check_known
    from evaluation.transfer import COMPARED, TransferSetup, fewer
    from evaluation.transfer import transfer as run_all
    from evaluation.transfer_pointing import FLOORS, POINTING, floors
    from evaluation.transfer_scales import SCALES
    from evaluation.transfer_table import plot as draw
    from evaluation.transfer_table import summarise
    from evaluation.transfer_teacher import teacher_scores
    from lfi.data.domains import stored_side
    from lfi.data.tinyimagenet import tiny_imagenet as validation
    from lfi.devices import best_device
    from lfi.errors import ConfigError
    from lfi.methods import ABLATIONS
    from lfi.teachers import load_teacher

    check_known("scale", [scale], SCALES)
    if ablation and tuned:
        raise ConfigError("--ablation and --tuned are two tables; one of them was expected")
    if tiny_imagenet or pacs or vlcs:
        load_teacher(photographs)  # before hours of work
    setup = TransferSetup(
        scale,
        tiny_imagenet,
        pacs,
        photographs,
        scenes,
        str(runs),
        device or best_device(),
        str(tuned or ""),
        vlcs,
        epochs,
    )
    methods = method or list(setup.methods if tuned else ABLATIONS if ablation else COMPARED)
    done = run_all(setup, range(seeds), methods, part or list(setup.parts), workers)
    only = [f"--tuned {tuned}"] * bool(tuned) + [f"--epochs {epochs}"] * bool(epochs)
    only += [f'--part "{each}"' for each in part or ()] + [f'--method "{each}"' for each in method or ()]
    of = "LFI with one thing changed; " if ablation else "weights tuned on source validation; " if tuned else ""
    title = f"{of}{setup.at}"
    for name, root in setup.roots.items():
        if any(each.startswith(name) for each in part or setup.parts):
            title += f"; {name} at {stored_side(Path(root))} px"
    results = Results(
        command=" ".join(
            [f"lfi benchmark transfer --scale {scale} --seeds {seeds}", *["--ablation"] * ablation, *only]
        ),
        seeds=list(range(seeds)),
        n={"runs": len(done)},
        title=title,
    )
    for name, score in teacher_scores(setup).items():
        results.add(f"{name}: the teacher itself, zero-shot", score, "% top-1")
    summarise(done, results)
    if any(name in run.scores for run in done for name in FLOORS):
        images = validation(Path(tiny_imagenet), "val")
        for name, share in floors(fewer(images) if scale == "tiny" else images).items():
            results.add(f"{POINTING[name]}: {FLOORS[name]}", share, "% of words")
    if json:
        results.write(json)
    print(markdown(results.record()))
    if plot:
        draw(done, plot, title)


@benchmark.command()
def tune(
    tiny_imagenet: Annotated[str, typer.Option(help="Folder with TinyImageNet's wnids.txt.")],
    scale: Annotated[
        str, typer.Option(help="tiny (a test), small or photographs (2 cores), medium or full (a GPU).")
    ] = "small",
    photographs: Annotated[str, typer.Option(help="Teacher for photographs.")] = "photographs",
    runs: Annotated[Path, typer.Option(help="Keeps trials and caches; resumes from there.")] = Path("runs/transfer"),
    trials: Annotated[
        int, typer.Option(min=1, help="Students to train for each method; twice as many for a rival of LFI.")
    ] = 12,
    method: Annotated[list[str] | None, typer.Option(help="Only these methods; repeatable.")] = None,
    epochs: Annotated[
        int, typer.Option(min=0, help="Epochs of each trial; fewer make it cheaper.", show_default="the scale's")
    ] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Methods at a time; each takes its share of the cores.")] = 2,
    json: Annotated[Path | None, typer.Option(help="Write what was found here, for `transfer --tuned`.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda; cuda where there is one.")] = "",
) -> None:
    """Weights, queries and taps of the strongest methods, on a fifth of TinyImageNet's training images."""
    from evaluation.report import markdown
    from evaluation.results import Results
    from evaluation.runs import check_known
    from evaluation.transfer import TransferSetup
    from evaluation.transfer_scales import SCALES
    from evaluation.tuning import CONTENDERS, SEED, write
    from evaluation.tuning import tune as search
    from lfi.devices import best_device
    from lfi.teachers import load_teacher

    check_known("scale", [scale], SCALES)
    check_known("method", method or (), CONTENDERS)
    load_teacher(photographs)  # before hours of work
    setup = TransferSetup(scale, tiny_imagenet, "", photographs, "", str(runs), device or best_device(), epochs=epochs)
    part = setup.parts[0]
    methods = tuple(dict.fromkeys(method or CONTENDERS))
    found = search(setup, part, trials, workers, methods)
    only = "".join(f' --method "{each}"' for each in methods) if method else ""
    results = Results(
        command=f"lfi benchmark tune --scale {scale} --trials {trials}{f' --epochs {epochs}' if epochs else ''}{only}",
        seeds=[SEED],
        n={"trials": sum(each.trials for each in found)},
        title=f"{part}: what {trials} trials for each method found on source validation (twice as many for LFI's "
        f"rivals, from whose first half it inherits); {setup.at}",
    )
    write(found, setup.at.student[2], results, json)
    print(markdown(results.record()))


@benchmark.command()
def detection(
    scale: Annotated[str, typer.Option(help="tiny (a test), small (2 cores, 40 minutes) or full (a GPU).")] = "small",
    teacher: Annotated[
        str, typer.Option(help="A folder, one that comes with LFI, or open_clip's NAME:TAG; with --coco it is needed.")
    ] = "",
    coco: Annotated[
        str, typer.Option(help="Folder with COCO's train2017, val2017 and annotations, instead of generated scenes.")
    ] = "",
    runs: Annotated[Path, typer.Option(help="Keeps scenes, students and finished runs; resumes from there.")] = Path(
        "runs/detection"
    ),
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds, counted from 0.")] = 3,
    method: Annotated[list[str] | None, typer.Option(help="Only these methods; repeatable.")] = None,
    way: Annotated[list[str] | None, typer.Option(help="fine-tuned or frozen; both without it.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Runs at a time; each takes its share of the cores.")] = 2,
    json: Annotated[Path | None, typer.Option(help="Also write the figures here.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the scores with their intervals here.", callback=plot_path)
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda; cuda where there is one.")] = "",
) -> None:
    """Mask R-CNN on backbones trained by every method: box mAP and mask AP on generated scenes, or on COCO."""
    from evaluation.detection_benchmark import COMPARED, WAYS, DetectionSetup
    from evaluation.detection_benchmark import detection as run_all
    from evaluation.detection_table import plot as draw
    from evaluation.detection_table import summarise
    from evaluation.report import markdown
    from evaluation.results import Results
    from lfi.devices import best_device
    from lfi.errors import ConfigError

    if coco and not teacher:
        raise ConfigError(
            "--coco needs a --teacher that knows COCO's classes, such as coca_ViT-B-32:laion2b_s13b_b90k; "
            "those that come with LFI do not"
        )
    setup = DetectionSetup(scale, teacher or "scenes", str(runs), device or best_device(), coco)
    known = setup.known
    done = run_all(setup, range(seeds), method or [each for each in COMPARED if each in known], way or WAYS, workers)
    on = "COCO" if coco else f"generated scenes (categories by {setup.at.by})"
    counts = {
        "labelled scenes for students": setup.at.labelled,
        "scenes for detectors": setup.at.train,
        "test scenes": setup.at.test,
    }
    only = (
        ["--coco DIR"] * bool(coco)
        + [f"--teacher {teacher}"] * bool(teacher)
        + [f"--way {each}" for each in way or ()]
        + [f'--method "{each}"' for each in method or ()]
    )
    results = Results(
        command=" ".join([f"lfi benchmark detection --scale {scale} --seeds {seeds}", *only]),
        seeds=list(range(seeds)),
        n={"detectors": len(done)} | ({} if coco else counts),
        title=f"Mask R-CNN on {on}, by how its backbone was trained",
    )
    summarise(done, results)
    if json:
        results.write(json)
    print(markdown(results.record()))
    if plot:
        draw(done, plot, f"Mask R-CNN on {'COCO' if coco else 'generated scenes'}")


@benchmark.command()
def training(
    backbone: Annotated[str, typer.Option(help="A timm ViT for 224 px images.")] = "vit_tiny_patch16_224",
    batch: Annotated[int, typer.Option(min=1, help="Images per step.")] = 16,
    rounds: Annotated[int, typer.Option(min=3, help="Steps of each variant that count.")] = 20,
    autocast: Annotated[bool, typer.Option("--autocast", help="bfloat16.")] = False,
    json: Annotated[Path | None, typer.Option(help="Also write the figures here.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda; cuda where there is one.")] = "",
) -> None:
    """A step of LFI from the cache against plain training, an online teacher and timm's own step."""
    from bench.training_speed import training_speed
    from evaluation.report import markdown
    from lfi.devices import best_device

    found = training_speed(backbone, batch, rounds, device or best_device(), autocast)
    if json:
        found.write(json)
    print(markdown(found.record()))


@benchmark.command()
def maps(
    backbone: Annotated[str, typer.Option(help="A timm ViT.")] = "vit_base_patch16_224",
    batch: Annotated[int, typer.Option(min=1, help="Images per call.")] = 4,
    rounds: Annotated[int, typer.Option(min=3, help="Calls of each variant that count.")] = 10,
    json: Annotated[Path | None, typer.Option(help="Also write the figures here.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda; cuda where there is one.")] = "",
) -> None:
    """Maps of every layer and head: time and memory next to the bare forward pass, and to other libraries."""
    from bench.maps_speed import maps_speed
    from evaluation.report import markdown
    from lfi.devices import best_device

    found = maps_speed(backbone, batch, rounds, device or best_device())
    if json:
        found.write(json)
    print(markdown(found.record()))
