"""The student: any plain timm vision transformer, with Interaction Queries or without (the baselines)."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from timm.models.vision_transformer import Attention, VisionTransformer
from torch import Tensor, nn

from lfi.errors import CheckpointError, UnknownModelError, UnsupportedModelError
from lfi.hub import STUDENT, pretrained
from lfi.images import pixels
from lfi.students.queries import Feedback, InteractionQueries
from lfi.weights import plain_names


@dataclass(frozen=True, eq=False)
class StudentOutput:
    """What a student computes from images.

    Attributes:
        logits: `[batch, class]`.
        features: what the head reads: CLS, or CLS and the mean query, `[batch, dim]` or `[batch, 2 * dim]`.
        patches: final normalised patch tokens `[batch, patch, dim]`.
        queries: final states of the Interaction Queries `[batch, query, dim]`, None without queries.
        attention: what the queries attend to, mean over heads, float32 `[batch, layer, query, patch]`, or None.
        names: final queries in the teacher's text space `[batch, query, text_dim]`, not normalised, or None.
        embedding: the image in the teacher's space `[batch, text_dim]`, not normalised, or None.
        read: patch tokens `[batch, patch, dim]` after each of the blocks that `forward` was asked for.
    """

    logits: Tensor
    features: Tensor
    patches: Tensor
    queries: Tensor | None
    attention: Tensor | None
    names: Tensor | None
    embedding: Tensor | None
    read: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class StudentConfig:
    """Architecture of a student.

    Attributes:
        backbone: a timm vision transformer's name.
        classes: width of the head.
        queries: number of Interaction Queries; 0 for a plain student.
        taps: blocks whose output the queries read, rising, counted from 0; empty for all.
        text_dim: width of the teacher's text space; 0 where nothing is projected into it.
        by_name: whether the head also reads, for every class, how near the nearest query's name is to the class's text
            embedding (`Student.labels`, to be filled in by the caller).
        feedback: whether patches read the queries after every tapped block, through a gate that begins closed. An
            ablation: it changes the backbone's features, and brought nothing.
        embed: whether the image as a whole is projected into the teacher's space (feature KD).
        patch_words: whether the head that names queries was trained to name patches as well.
        overrides: keyword arguments for `timm.create_model`, such as `img_size` or `depth`.
    """

    backbone: str = "vit_tiny_patch16_224"
    classes: int = 80
    queries: int = 8
    taps: tuple[int, ...] = ()
    text_dim: int = 0
    embed: bool = False
    by_name: bool = False
    feedback: bool = False
    patch_words: bool = False
    overrides: dict[str, Any] | None = None


def create_backbone(name: str, overrides: dict[str, Any] | None = None) -> VisionTransformer:
    """A plain timm vision transformer without a head.

    Raises:
        UnknownModelError: timm knows no such model; names the nearest.
        UnsupportedModelError: it is not a plain vision transformer (rotary positions, windows, not a ViT at all).
    """
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models("*vit*"), 3)
        hint = f"nearest: {', '.join(near)}" if near else "`timm.list_models()` names them all"
        raise UnknownModelError(f"timm has no model {name!r}; {hint}")
    try:
        model = timm.create_model(name, num_classes=0, **(overrides or {}))
    except (TypeError, AssertionError, ValueError, RuntimeError, ArithmeticError, IndexError) as error:
        raise UnsupportedModelError(f"timm cannot build {name} with {overrides}: {error}") from error
    if not len(getattr(model, "blocks", (True,))):
        raise UnsupportedModelError(f"{name} with {overrides} has no blocks; a depth of at least 1 was expected")
    if (overrides or {}).get("in_chans", 3) != 3:
        raise UnsupportedModelError(f"in_chans is {(overrides or {})['in_chans']}; images have 3 channels here")
    return plain(model, name)


def is_plain(model: Any) -> bool:
    """Whether a model is a plain vision transformer: no rotary positions, no windows."""
    return type(model) is VisionTransformer and isinstance(getattr(model.blocks[0], "attn", None), Attention)


def plain(model: nn.Module, name: str) -> VisionTransformer:
    """The model itself, if its attention can be read.

    Raises:
        UnsupportedModelError: it is not a plain vision transformer (rotary positions, windows, not a ViT at all).
    """
    if type(model) is not VisionTransformer:
        raise UnsupportedModelError(
            f"{name} is a {type(model).__name__}, not a plain vision transformer (ViT, DeiT, DINO or AugReg)"
        )
    attention = getattr(model.blocks[0], "attn", None)
    if not isinstance(attention, Attention):
        raise UnsupportedModelError(
            f"{name} has blocks with {type(attention).__name__}; plain self-attention was expected"
        )
    return model


class Student(nn.Module):
    """A backbone, its Interaction Queries and its heads. The queries do not change the backbone's features."""

    labels: Tensor

    def __init__(self, config: StudentConfig, backbone: VisionTransformer | None = None):
        super().__init__()
        self.config = config
        self.backbone = backbone or create_backbone(config.backbone, config.overrides)
        depth, dim = len(self.backbone.blocks), self.backbone.embed_dim
        self.taps = config.taps or tuple(range(depth))
        if list(self.taps) != sorted(set(self.taps)):
            raise UnsupportedModelError(f"taps are {self.taps}; rising numbers of blocks were expected")
        if self.taps[-1] >= depth or self.taps[0] < 0:
            raise UnsupportedModelError(f"{config.backbone} has blocks 0 to {depth - 1}; taps are {self.taps}")
        attention: Any = self.backbone.blocks[0].attn
        self.queries = InteractionQueries(dim, config.queries, attention.num_heads) if config.queries else None
        self.feedback = Feedback(dim, attention.num_heads) if config.queries and config.feedback else None
        width = 2 * dim if config.queries else dim
        self.head = nn.Linear(width, config.classes)
        self.embed = nn.Linear(width, config.text_dim) if config.embed else None
        self.name = nn.Linear(dim, config.text_dim) if config.queries and config.text_dim else None
        if config.patch_words and self.name is None:
            raise UnsupportedModelError("patches that are named need queries and a text space to name them in")
        if config.by_name:
            if self.name is None:
                raise UnsupportedModelError("a head that reads names needs queries and a text space to name them in")
            self.register_buffer("labels", torch.zeros(config.classes, config.text_dim))
            self.evidence = nn.Parameter(torch.tensor((10.0, -5.0)))  # slope and offset of the nearest cosine

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return tuple(self.backbone.patch_embed.grid_size)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return tuple(self.backbone.patch_embed.img_size)

    @property
    def readers(self) -> slice:
        """The tokens whose mean stands for the whole image: CLS alone, or all patches where there is none."""
        return slice(0, 1) if self.backbone.has_class_token else slice(self.backbone.num_prefix_tokens, None)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the tapped blocks, counted from 1."""
        return tuple(f"block {tap + 1}" for tap in self.taps)

    def preprocess(self, images: Sequence[Image.Image]) -> Tensor:
        """Images as the student expects them, float32 `[batch, 3, height, width]`; the whole image stays visible."""
        return pixels(images, self.image_size)

    def forward(self, images: Tensor, read: Sequence[int] = ()) -> StudentOutput:
        """Compute everything.

        Args:
            images: `[batch, 3, height, width]`, as from `preprocess`.
            read: blocks, counted from 0, whose patch tokens are wanted as well.
        """
        states, attended, patches = self.run(images, read)
        prefix = self.backbone.num_prefix_tokens
        tokens, queries = states
        features = self.features(tokens, queries)
        attention = None if queries is None else torch.stack(attended, 1).mean(3)
        names = self.name(queries) if self.name is not None and queries is not None else None
        logits = self.head(features)
        if self.config.by_name and names is not None:
            nearest = (F.normalize(names.float(), dim=-1) @ self.labels.T).max(1).values
            logits = logits + self.evidence[0] * nearest + self.evidence[1]
        return StudentOutput(
            logits=logits,
            features=features,
            patches=tokens[:, prefix:],
            queries=queries,
            attention=attention,
            names=names,
            embedding=self.embed(features) if self.embed is not None else None,
            read=tuple(patches[block] for block in read),
        )

    def features(self, tokens: Tensor, queries: Tensor | None) -> Tensor:
        """What the head reads: CLS (or the mean patch), and the mean query, `[batch, dim]` or `[batch, 2 * dim]`.

        Args:
            tokens, queries: final ones, as from `run`.
        """
        pooled = tokens[:, self.readers].mean(1)
        return pooled if queries is None else torch.cat([pooled, queries.mean(1)], -1)

    def run(
        self, images: Tensor, read: Sequence[int] = ()
    ) -> tuple[tuple[Tensor, Tensor | None], list[Tensor], dict[int, Tensor]]:
        """Final tokens (normalised, prefix included) and queries; per tap what the queries attend to, `[batch, query,
        head, patch]`; patch tokens by block.

        Args:
            read: blocks besides the taps whose patch tokens are wanted.
        """
        if self.feedback is not None:
            return self._run_with_feedback(images)
        blocks = sorted({*self.taps, *read} if self.queries is not None else {*read}) or [self.taps[-1]]
        found: Any = self.backbone.forward_intermediates(images, indices=blocks, output_fmt="NLC")
        tokens, patches = found[0], dict(zip(blocks, found[1], strict=True))
        if self.queries is None:
            return (tokens, None), [], patches
        queries = self.queries.initial(images.shape[0])  # `len` would fix the batch of an export
        attended = []
        for tap in self.taps:
            queries, layer = self.queries(queries, patches[tap])
            attended.append(layer)
        return (tokens, queries), attended, patches

    def _run_with_feedback(
        self, images: Tensor
    ) -> tuple[tuple[Tensor, Tensor | None], list[Tensor], dict[int, Tensor]]:
        assert self.queries is not None
        assert self.feedback is not None
        backbone, prefix = self.backbone, self.backbone.num_prefix_tokens
        tokens = backbone.norm_pre(backbone.patch_drop(backbone._pos_embed(backbone.patch_embed(images))))
        queries = self.queries.initial(images.shape[0])  # `len` would fix the batch of an export
        attended, patches = [], {}
        for index, block in enumerate(backbone.blocks):
            tokens = block(tokens)
            patches[index] = tokens[:, prefix:]
            if index in self.taps:
                queries, layer = self.queries(queries, patches[index])
                attended.append(layer)
                tokens = torch.cat([tokens[:, :prefix], self.feedback(patches[index], queries)], 1)
        return (backbone.norm(tokens), queries), attended, patches

    def project(self, features: Tensor) -> Tensor:
        """Into the space where words are compared, unit norm: `[..., width of the head]` to `[..., text_dim]`."""
        assert self.embed is not None
        return F.normalize(self.embed(features), dim=-1)

    def named(self, tokens: Tensor) -> Tensor:
        """Final queries or patch tokens by the words' text embeddings, unit norm: `[..., dim]` to `[..., text_dim]`."""
        assert self.name is not None
        return F.normalize(self.name(tokens).float(), dim=-1)

    def save(self, path: Path, dtype: torch.dtype = torch.float32) -> None:
        """Weights as safetensors with the configuration in its header.

        With `dtype` float16 the file is half as large; it is read back into float32, rounded.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {name: tensor.to(dtype).contiguous() for name, tensor in self.state_dict().items()}
        save_file(tensors, path, {"student": json.dumps(self.config.__dict__)})

    @classmethod
    def load(cls, path: Path) -> Student:
        """A student in eval mode.

        Raises:
            CheckpointError: the file is missing, truncated, or none that `save` wrote.
        """
        from safetensors import safe_open

        try:
            with safe_open(path, framework="pt") as file:
                config = json.loads((file.metadata() or {})["student"])
            config["taps"] = tuple(config["taps"])
            student = cls(StudentConfig(**config))
            student.load_state_dict(plain_names(load_file(path), str(path)))
        except KeyError as error:
            raise CheckpointError(
                f"{path} has no student configuration in its header; was it written by lfi?"
            ) from error
        except (OSError, SafetensorError, TypeError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise CheckpointError(f"cannot read the student {path}: {reason}") from error
        return student.eval()

    @classmethod
    def from_pretrained(cls, name: str | Path) -> Student:
        """A student from its file or folder, or from a repository of the Hugging Face hub, `ORG/NAME`.

        Raises:
            CheckpointError: as `load`, or it cannot be fetched.
        """
        found = pretrained(name)
        return cls.load(found / STUDENT if found.is_dir() else found)


@dataclass(frozen=True)
class Description:
    """Size of a student, in parameters. `queries` and `names` are what LFI adds."""

    backbone: str
    image_size: tuple[int, int]
    grid: tuple[int, int]
    blocks: int
    dim: int
    parameters: int
    queries: int
    names: int

    @property
    def overhead(self) -> float:
        """Share of parameters that Interaction Queries and the naming head add to the backbone."""
        return (self.queries + self.names) / self.parameters


def describe(backbone: str, queries: int = 8, text_dim: int = 512) -> Description:
    """Parameters of a backbone and of what LFI adds to it; nothing is allocated."""
    with torch.device("meta"):
        student = Student(StudentConfig(backbone, classes=0, queries=queries, text_dim=text_dim))

    def count(module: nn.Module | None) -> int:
        return sum(parameter.numel() for parameter in module.parameters()) if module else 0

    return Description(
        backbone=backbone,
        image_size=student.image_size,
        grid=student.grid,
        blocks=len(student.backbone.blocks),
        dim=student.backbone.embed_dim,
        parameters=count(student.backbone),
        queries=count(student.queries),
        names=count(student.name),
    )
