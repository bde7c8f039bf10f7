"""InteractionMaps checks itself, and its operations keep it a distribution."""

import pytest
import torch

from lfi.maps import InteractionMaps


def maps(batch=2, layers=3, queries=2, height=4, width=6, seed=0) -> InteractionMaps:
    scores = torch.rand(batch, layers, queries, 1 + height * width, generator=torch.Generator().manual_seed(seed))
    return InteractionMaps.from_scores(
        scores,
        grid=(height, width),
        queries=[[f"word {q}" for q in range(queries)]] * batch,
        layers=[f"layer {layer}" for layer in range(layers)],
        kind="cross-attention",
        model="test@0",
        prefix=1,
    )


def test_weights_sum_to_one_and_the_prefix_is_reported_as_outside():
    scores = torch.tensor([[[[1.0, 2.0, 1.0]]]])
    made = InteractionMaps.from_scores(
        scores, grid=(1, 2), queries=[["dog"]], layers=["last"], kind="self-attention", model="m@0", prefix=1
    )
    assert torch.allclose(made.weights, torch.tensor([2 / 3, 1 / 3]).view(1, 1, 1, 1, 2))
    assert torch.allclose(made.outside, torch.tensor([[[0.25]]]))


def test_a_row_without_mass_on_patches_is_uniform_and_wholly_outside():
    made = InteractionMaps.from_scores(
        torch.tensor([[[[5.0, 0.0, 0.0]]]]),
        grid=(1, 2),
        queries=[["dog"]],
        layers=["last"],
        kind="self-attention",
        model="m@0",
        prefix=1,
    )
    assert made.weights.flatten().tolist() == [0.5, 0.5]
    assert made.outside.item() == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "magic"}, "kind is 'magic'"),
        ({"weights": torch.ones(2, 3, 2, 24)}, "was expected"),
        ({"weights": torch.ones(2, 3, 2, 4, 6, dtype=torch.float64)}, "float32 was expected"),
        ({"weights": torch.ones(2, 3, 2, 4, 6)}, "sum to 1"),
        ({"weights": torch.full((2, 3, 2, 4, 6), float("nan"))}, "NaN"),
        ({"outside": torch.full((2, 3, 2), float("inf"))}, "infinity"),
        ({"outside": torch.full((2, 3, 2), 1.5)}, r"\[0, 1\]"),
        ({"outside": torch.zeros(2, 3, 1)}, "outside has shape"),
        ({"layers": ("only",)}, "layer names"),
        ({"queries": (("one",), ("two",))}, "name 2 queries"),
    ],
)
def test_what_breaks_the_contract_is_refused_when_made(change, message):
    good = maps()
    values = {name: getattr(good, name) for name in ("weights", "outside", "queries", "layers", "kind", "model")}
    with pytest.raises(ValueError, match=message):
        InteractionMaps(**{**values, **change})


def test_negative_weights_are_refused():
    good = maps()
    weights = good.weights.clone()
    weights[0, 0, 0, 0, :2] += torch.tensor([-1.0, 1.0])
    with pytest.raises(ValueError, match="negative"):
        InteractionMaps(weights, good.outside, good.queries, good.layers, good.kind, good.model)


def test_select_takes_layers_and_queries_in_the_order_asked():
    picked = maps().select(layers=[2, 0], queries=[1])
    assert picked.layers == ("layer 2", "layer 0")
    assert picked.queries == (("word 1",),) * 2
    assert torch.equal(picked.weights, maps().weights[:, [2, 0]][:, :, [1]])


def test_the_last_image_is_a_batch_of_one():
    assert torch.equal(maps().image(-1).weights, maps().weights[1:])


@pytest.mark.parametrize("grid", [(2, 3), (8, 12), (5, 5)])
def test_resizing_keeps_the_mass(grid):
    sums = maps().resized(grid).weights.sum((-2, -1))
    assert torch.allclose(sums, torch.ones_like(sums), atol=1e-5)


def test_on_a_coarser_grid_two_equal_patches_stay_equal():
    """One in the corner and one that lies across cells, on grids that do not divide."""
    weights = torch.zeros(1, 1, 1, 14, 14)
    weights[..., 0, 0] = weights[..., 4, 4] = 0.5
    one = InteractionMaps(weights, torch.zeros(1, 1, 1), (("word",),), ("layer",), "cross-attention", "m@0")
    found = one.resized((12, 12)).weights[0, 0, 0]
    assert found[0, 0].item() == pytest.approx(0.5)
    assert found[3:5, 3:5].sum().item() == pytest.approx(0.5)


def test_flipping_twice_changes_nothing():
    assert torch.equal(maps().flipped().flipped().weights, maps().weights)
    assert torch.equal(maps().flipped().weights[..., 0], maps().weights[..., -1])
