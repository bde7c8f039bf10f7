"""`lfi benchmark training`: what a step of LFI costs, next to plain training, an online teacher and timm's own step.

All variants take turns within one run, step by step, on the same images, so a machine that slows down slows all of
them; ratios are of medians, their intervals from resampled rounds. Weights are random: speed does not depend on them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import open_clip
import timm
import timm.loss
import timm.optim
import torch
from timm.layers import set_fused_attn
from torch import Tensor, nn
from torchvision.transforms.v2 import RandomResizedCrop

from bench.timing import median, ratio, take_turns
from evaluation.results import Goal, Results
from lfi.data.imageset import ImageSet
from lfi.data.scenes import Scenes
from lfi.images import normalise
from lfi.methods import METHODS
from lfi.teachers.coca import CoCaTeacher
from lfi.training import cache
from lfi.training.config import DataConfig, LoopConfig, StudentSource, TeacherSource, TrainConfig
from lfi.training.loop import parameter_groups
from lfi.training.optimizers import optimizer
from lfi.training.run import Prepared, cache_settings, target_spec
from lfi.training.student import StudentTask
from lfi.training.targets import Questions
from lfi.training.views import TargetViews

GOALS = {"LFI from the cache over plain": (1.15, False), "online over the cache": (2.0, True)}
TIMM = "images/s of our plain step over timm's"


def training_speed(backbone: str, batch: int, rounds: int, device: str = "cpu", autocast: bool = False) -> Results:
    """Median seconds of a step of each variant and the ratios that matter.

    Args:
        backbone: a timm ViT for 224 px images; the teacher is open_clip's `coca_ViT-B-32`.
        rounds: steps of each variant that count; two more come first.
    """
    torch.manual_seed(0)
    if device == "cpu":
        set_fused_attn(False)
    images = pictures(4 * batch)
    teacher = random_teacher(device)
    config = TrainConfig(
        data=DataConfig(size=224, crop=0.6),
        teacher=TeacherSource(model="coca_ViT-B-32", layers=(0,)),
        student=StudentSource(backbone=backbone, overrides={}),
        loop=LoopConfig(batch_size=batch, learning_rate=1e-4, autocast=autocast),
    )
    questions = Questions(teacher, config.teacher, images, ("maps",))
    with TemporaryDirectory() as folder:
        settings = cache_settings(questions)
        cache.build(
            Path(folder),
            images,
            settings,
            lambda rows: {name: value.numpy() for name, value in questions.ask(rows).items()},
        )
        store = cache.open_store(Path(folder), images, settings)
        plain = replace(config, student=replace(config.student, queries=0))
        ours = replace(config, objective=METHODS["LFI"].objective)
        steps = {
            "plain": step_of(Prepared(plain, teacher, images, images, questions, store), device),
            "LFI from the cache": step_of(Prepared(ours, teacher, images, images, questions, store), device),
            "LFI with the teacher online": step_of(Prepared(ours, teacher, images, images, questions, None), device),
            "timm": timm_step(backbone, images, config, device),
        }
        seconds = take_turns(steps, rounds, device, "training speed")
    results = Results(
        command=f"lfi benchmark training --backbone {backbone} --batch {batch} --rounds {rounds}",
        seeds=[0],
        n={"rounds": rounds, "images per step": batch, "CPU threads": torch.get_num_threads()},
        title=f"{backbone}, 224 px, teacher coca_ViT-B-32, {'bfloat16 autocast' if autocast else 'float32'}, {device}",
    )
    for name, taken in seconds.items():
        results.figures[f"step: {name}"] = median(taken, "s (95 % of steps)")
    ratios = {
        "LFI from the cache over plain": ("LFI from the cache", "plain"),
        "online over the cache": ("LFI with the teacher online", "LFI from the cache"),
        TIMM: ("timm", "plain"),
    }
    for name, (above, below) in ratios.items():
        figure = ratio(seconds[above], seconds[below])
        results.figures[name] = figure
        goal, at_least = (0.95, True) if name == TIMM else GOALS[name]
        results.goals[name] = Goal(figure.value, goal, figure.value >= goal if at_least else figure.value <= goal)
    return results


def pictures(count: int) -> ImageSet:
    """Generated scenes at 224 px with one label each: what they show does not matter here."""
    drawn = Scenes(count, 0, 224).load(masks=False).image_set("0")
    return replace(drawn, labels=drawn.labels.argmax(1))


def random_teacher(device: str) -> CoCaTeacher:
    """open_clip's CoCa ViT-B-32 without trained weights."""
    model = open_clip.create_model("coca_ViT-B-32", device=device)
    return CoCaTeacher(model, open_clip.get_tokenizer("coca_ViT-B-32"), name="coca_ViT-B-32, random")


def step_of(prepared: Prepared, device: str) -> Callable[[int], None]:
    """One step as `lfi train` takes it: batch, losses, gradient, clipping, update."""
    config = prepared.config
    task = StudentTask(config.student, config.objective, target_spec(prepared)).to(device).train()
    data = TargetViews(prepared.images, prepared.questions, prepared.answers, config, task.student.grid, device)
    stepper = optimizer(parameter_groups(task, config.loop.weight_decay), config.loop)

    def step(index: int) -> None:
        batch = {name: value.to(device) for name, value in data.batch(index).items()}
        with torch.autocast(device, torch.bfloat16, enabled=config.loop.autocast):
            losses = task(batch)
        update(losses["loss"], task, stepper)

    return step


def timm_step(backbone: str, images: ImageSet, config: TrainConfig, device: str) -> Callable[[int], None]:
    """The same with timm's own model, loss, parameter groups and normalised random-crop batches of ours."""
    model = timm.create_model(backbone, num_classes=len(images.classes)).to(device).train()
    criterion = timm.loss.LabelSmoothingCrossEntropy(0.0)
    optimizer = timm.optim.create_optimizer_v2(model, "adamw", lr=1e-4, weight_decay=config.loop.weight_decay)
    pixels, labels = torch.from_numpy(images.images), torch.from_numpy(images.labels)
    crop = RandomResizedCrop(224, (0.6, 1.0), antialias=False)

    def step(index: int) -> None:
        rows = torch.randperm(len(pixels))[: config.loop.batch_size]
        batch = torch.stack([crop(image) for image in normalise(pixels[rows])]).to(device)
        with torch.autocast(device, torch.bfloat16, enabled=config.loop.autocast):
            loss = criterion(model(batch), labels[rows].to(device))
        update(loss, model, optimizer)

    return step


def update(loss: Tensor, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Gradient, clipping, update."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    optimizer.step()
