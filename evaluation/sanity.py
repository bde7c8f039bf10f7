"""Does a map depend on what the model learned? Adebayo et al. 2018 (arXiv 1810.03292): cascading randomisation.

The weights of a model are replaced by noise, part by part from the output to the input, and the maps are compared with
the first ones by rank correlation. A map that survives shows edges of the image, or the centre, rather than the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from scipy.stats import rankdata
from torch import Tensor, nn

from evaluation.metrics.correlation import correlation

SURVIVES = 0.5
"""Mean rank correlation above which the map of a randomised model counts as unchanged."""


@dataclass(frozen=True)
class Sanity:
    """Rank correlation with the trained model's maps.

    Attributes:
        parts: what was randomised, cumulatively, output first.
        correlations: float32 `[part, n]`.
    """

    parts: tuple[str, ...]
    correlations: Tensor

    @property
    def survives(self) -> bool:
        """Whether the maps are still the same when everything is noise."""
        return bool(self.correlations[-1].nanmean() >= SURVIVES)


def randomise(
    model: nn.Module, parts: Sequence[tuple[str, nn.Module]], explain: Callable[[], Tensor], seed: int = 0
) -> Sanity:
    """Maps under cascading randomisation; the model's weights are restored afterwards, even after an error.

    Args:
        model: holds all `parts`.
        parts: names and modules, output first; together all that has learned weights.
        explain: maps `[n, rows, columns]` of the model as it is now.
    """
    with _restored(model):
        first, found = _ranks(explain()), []
        generator = torch.Generator().manual_seed(seed)
        for _, part in parts:
            _noise(part, generator)
            found.append(correlation(_ranks(explain()), first))
    return Sanity(tuple(name for name, _ in parts), torch.stack(found))


@contextmanager
def _restored(model: nn.Module) -> Iterator[None]:
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    try:
        yield
    finally:
        model.load_state_dict(kept)


@torch.no_grad()
def _noise(part: nn.Module, generator: torch.Generator) -> None:
    """Replace every weight by normal noise of the same mean and spread, so that activations stay in their range."""
    for weights in part.parameters():
        spread = weights.std(correction=0)
        noise = torch.randn(weights.shape, generator=generator).to(weights)
        weights.copy_(weights.mean() + spread * noise)


def _ranks(maps: Tensor) -> Tensor:
    return torch.from_numpy(rankdata(maps.flatten(1).cpu().numpy(), axis=1))[:, None]
