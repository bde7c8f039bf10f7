"""`lfi benchmark maps`: what maps of every layer and head cost next to the bare forward pass, ours and those of peers.

All variants take turns within one run on the same images. Weights are random: speed does not depend on them. Memory is
what the allocator holds at its peak beyond the bare pass, from one profiled call of each.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from typing import Any

import open_clip
import torch
from timm.utils import AttentionExtract
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils._pytree import tree_leaves

from bench.timing import median, ratio, take_turns
from evaluation.results import Goal, Results
from lfi.students import Student, StudentConfig
from lfi.students.explanations import explain
from lfi.students.reading import rows_of, self_attention

Variant = Callable[[int], Any]
OURS, ALL = "ours: the class token's rows", "ours: all rows"
ATTENTION_PEERS = ("timm AttentionExtract, fx", "timm AttentionExtract, hooks")
GRADIENT_PEERS = {"Captum, gradient x attention": "ours: gradient x attention"}
"""Those that need a backward pass, and which of ours does the same work."""
GRAD_CAM = "Grad-CAM, by pytorch-grad-cam"
"""Of every layer; there is no other of ours."""
OPEN_CLIP = "open_clip with need_weights"


def maps_speed(backbone: str, batch: int, rounds: int, device: str = "cpu") -> Results:
    """Seconds of every variant (medians), their ratios to the bare pass of the same model, and peak memory beyond it.

    Args:
        backbone: a timm ViT; open_clip's ViT-B-16 is compared with its own bare pass.
        rounds: calls of each variant that count; two more come first.
    """
    torch.manual_seed(0)
    student = Student(StudentConfig(backbone, classes=2, queries=0, text_dim=64, embed=True)).to(device).eval()
    student.requires_grad_(False)
    images = torch.randn(batch, 3, *student.image_size, device=device)
    variants = {**attention_variants(student, images), **gradient_variants(student, images), **clip_variants(images)}
    results = Results(
        f"lfi benchmark maps --backbone {backbone} --batch {batch} --rounds {rounds}",
        [0],
        {"rounds": rounds, "images": batch, "CPU threads": torch.get_num_threads()},
        title=f"{backbone}, {student.image_size[0]} px, {batch} images, float32, {device}",
    )
    bare = {name: "bare open_clip" if "open_clip" in name else "bare" for name in variants}
    memory = {name: peak_bytes(run, device) for name, run in variants.items()}
    seconds = take_turns(variants, rounds, device, "maps")
    for name in variants:
        results.figures[f"seconds: {name}"] = median(seconds[name], "s (95 % of rounds)")
        if name != bare[name]:
            results.figures[f"time: {name}"] = ratio(seconds[name], seconds[bare[name]])
            results.add(f"memory: {name}", (memory[name] - memory[bare[name]]) / 2**20, "MiB beyond the bare pass")
    judge(results)
    return results


def judge(results: Results) -> None:
    """The goals."""
    times = {name.removeprefix("time: "): f.value for name, f in results.figures.items() if name.startswith("time: ")}
    extra = {name.removeprefix("memory: "): f.value for name, f in results.figures.items() if name.startswith("mem")}
    results.goals["time of the class token's rows over the bare pass"] = Goal(times[OURS], 1.1, times[OURS] <= 1.1)
    less = extra[ALL] / max(extra[OURS], 1e-6)
    results.goals["memory of all maps over that of the class token's rows"] = Goal(less, 10, less >= 10)
    rivals = dict.fromkeys((*ATTENTION_PEERS, OPEN_CLIP), OURS) | GRADIENT_PEERS
    for peer, ours in rivals.items():
        if peer in times:
            slower = times[peer] / times[ours]
            results.goals[f"time of {peer} over {ours}"] = Goal(slower, 1.0, slower >= 1)


@torch.no_grad()
def attention_variants(student: Student, images: Tensor) -> dict[str, Variant]:
    """The bare pass, ours, and timm's extraction, which needs a model without fused attention."""
    backbone = student.backbone
    extracts = [AttentionExtract(unfused(student).backbone, method=method) for method in ("fx", "hook")]

    def rows(index: int) -> list[Tensor]:
        return rows_of(backbone, images)

    def every(index: int) -> list[Tensor]:
        with torch.no_grad(), self_attention(student) as attention:
            backbone(images)
            return attention()

    def of(module: nn.Module) -> Variant:
        def run(index: int) -> Any:
            with torch.no_grad():
                return module(images)

        return run

    return {
        "bare": of(backbone),
        OURS: rows,
        ALL: every,
        **{name: of(extract) for name, extract in zip(ATTENTION_PEERS, extracts, strict=True)},
    }


def gradient_variants(student: Student, images: Tensor) -> dict[str, Variant]:
    """Maps of one score, ours and those of peers that are installed."""
    word = nn.functional.normalize(torch.randn(1, 64, device=images.device), dim=-1)

    def ours(explanation: str) -> Variant:
        return lambda index: explain(student, explanation, images, ["word"], word, heads=True, model="random").weights

    variants = {GRAD_CAM: ours("grad-cam"), "ours: gradient x attention": ours("gradient")}
    try:
        from captum.attr import LayerGradientXActivation

        explicit = unfused(student)
        blocks: Any = explicit.backbone.blocks
        attention = [block.attn.attn_drop for block in blocks]
        relevance = LayerGradientXActivation(Score(explicit, word), attention)
        variants["Captum, gradient x attention"] = lambda index: relevance.attribute(
            images.clone().requires_grad_(True), target=0
        )
    except ImportError:
        print("Captum is not installed (the extra `captum` has it); left out", file=sys.stderr)
    return variants


class Score(nn.Module):
    """The cosine of images with one word as a model of one class, `[batch, 1]`, which is what peers explain."""

    def __init__(self, student: Student, word: Tensor):
        super().__init__()
        self.student, self.word = student, word

    def forward(self, images: Tensor) -> Tensor:
        embedding = self.student(images).embedding
        assert embedding is not None
        return nn.functional.normalize(embedding, dim=-1) @ self.word.T


def clip_variants(images: Tensor) -> dict[str, Variant]:
    """open_clip's image tower, bare and with every block's attention handed out."""
    if images.shape[-1] != 224:
        return {}
    tower: Any = open_clip.create_model("ViT-B-16", device=images.device).visual.eval()
    found: list[Tensor] = []
    attention = [block.attn for block in tower.transformer.resblocks]
    bare = [module.forward for module in attention]

    def handing_out(forward: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            output, weights = forward(*args, **{**options, "need_weights": True, "average_attn_weights": False})
            found.append(weights)
            return output, weights

        return run

    def plain(index: int) -> Tensor:
        with torch.no_grad():
            return tower(images)

    def every(index: int) -> list[Tensor]:
        for module, forward in zip(attention, bare, strict=True):
            module.forward = handing_out(forward)
        try:
            plain(index)
            return list(found)
        finally:
            found.clear()
            for module, forward in zip(attention, bare, strict=True):
                module.forward = forward

    return {"bare open_clip": plain, OPEN_CLIP: every}


def unfused(student: Student) -> Student:
    """The same model with attention written out, as hooks and graphs need it."""
    explicit = copy.deepcopy(student)
    for block in explicit.backbone.blocks:
        attention: Any = block.attn
        attention.fused_attn = False
    return explicit


def peak_bytes(run: Variant, device: str) -> int:
    """What one call holds at its peak, its result included, beyond what was held before."""
    run(0)
    if device == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        kept = run(0)
        torch.cuda.synchronize()
        return max(torch.cuda.max_memory_allocated() - before, held(kept))
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        kept = run(0)
    steps = [
        (event.start_ns(), event.nbytes())
        for event in profiled.profiler.kineto_results.events()  # type: ignore[union-attr]
        if event.name() == "[memory]"
    ]
    now = peak = 0
    for _, change in sorted(steps):
        now += change
        peak = max(peak, now)
    return max(peak, held(kept))


def held(result: Any) -> int:
    """Bytes of the tensors in a result."""
    return sum(leaf.untyped_storage().nbytes() for leaf in tree_leaves(result) if isinstance(leaf, Tensor))
