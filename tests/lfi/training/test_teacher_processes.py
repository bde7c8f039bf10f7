"""A teacher over two processes with half a batch each learns exactly what one learns from the whole batch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed
import torch.multiprocessing
from caption_data import COLOURS, SIZE, TINY
from torch import Tensor, nn

from lfi.data.imageset import ImageSet
from lfi.training.caption_sentences import CaptionSentences, vocabulary_of
from lfi.training.clip import ClipTask
from lfi.training.distributed import Processes
from lfi.training.parallel import Parallel
from lfi.training.sentences import tokenizer_of
from lfi.training.teacher import TeacherTask

TASKS: dict[str, Any] = {"coca": TeacherTask, "clip": ClipTask}
CPU = torch.device("cpu")


def batch() -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Eight images; captions of different lengths, and an image without a class, so that shares are unlike."""
    captions = ["a red wall", "red", *(f"a {colour} wall beside a red door of a house" for colour in COLOURS), "blue"]
    captions.append("white door")
    count = len(captions)
    images = ImageSet(
        np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8),
        tuple(map(str, range(count))),
        tuple(COLOURS),
        np.array([0, 0, 0, 1, 2, -1, 2, -1]),
        tuple(captions),
        ((),) * count,
    )
    words = vocabulary_of(images, TINY.prompt)
    data = CaptionSentences(images, tokenizer_of(words, TINY.context), TINY.context, count, 0, statements=4)
    return data.batch(0), words


def task(arch: str, words: tuple[str, ...]) -> nn.Module:
    torch.manual_seed(3)
    return TASKS[arch](TINY, words)


def process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    whole, words = batch()
    share = Processes(rank, 2, CPU).rows(whole, frozenset(CaptionSentences.shared))
    found = {}
    for arch in TASKS:
        module = task(arch, words)
        parallel = Parallel(module, Processes(rank, 2, CPU))  # DDP's backward needs it alive
        loss, _ = parallel(share)
        loss.backward()
        mean = loss.detach().clone()
        torch.distributed.all_reduce(mean)
        gradients = {name: each.grad for name, each in module.named_parameters() if each.grad is not None}
        found[arch] = {"loss": mean / 2, **gradients}
    torch.save(found, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Tensor]]]:
    folder: Path = tmp_path_factory.mktemp("processes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "OMP_NUM_THREADS", "1")
        torch.multiprocessing.spawn(process, (str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize("arch", TASKS)
def test_two_halves_give_the_loss_and_the_gradients_of_the_whole(
    arch: str, two_processes: list[dict[str, dict[str, Tensor]]]
) -> None:
    whole, words = batch()
    module = task(arch, words)
    losses = module(whole)
    losses["loss"].backward()
    gradients = {name: each.grad for name, each in module.named_parameters() if each.grad is not None}
    for found in (result[arch] for result in two_processes):
        torch.testing.assert_close(found.pop("loss"), losses["loss"].detach(), rtol=1e-5, atol=1e-6)
        assert found.keys() == gradients.keys()
        for name, gradient in gradients.items():
            scale = float(gradient.abs().max())
            torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5 * max(scale, 1e-2), msg=name)
