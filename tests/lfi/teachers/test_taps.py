"""Passive taps read what the model attends to, and change nothing."""

from __future__ import annotations

import threading
from copy import deepcopy

import pytest
import torch
from teacher_models import CONFIGS, hooks, native_weights, sharp
from torch import Tensor, nn

from lfi.errors import UnsupportedModelError
from lfi.teachers.coca import cross_attentions, pooler_attention
from lfi.teachers.taps import attention_weights, inputs_of, tap, values

KINDS = pytest.mark.parametrize("kind", ["pooled", "direct"])


def captions() -> Tensor:
    """Ids of three captions of different lengths, padded with 0."""
    ids = torch.randint(1, 49000, (3, 16), generator=torch.Generator().manual_seed(2))
    for row, length in enumerate((16, 9, 5)):
        ids[row, length:] = 0
    return ids


@KINDS
def test_tapped_weights_are_the_models_own(kind: str, images: Tensor) -> None:
    model = sharp(CONFIGS[kind])
    tapped = cross_attentions(model) + [attention for attention in [pooler_attention(model)] if attention]
    with native_weights(tapped) as native, tap(tapped, average=False) as readings, torch.no_grad():
        model(images, captions())
    for index, truth in enumerate(native()):
        assert truth.amax(-1).mean() > 0.5, "weights are too flat for this test to mean anything"
        torch.testing.assert_close(readings[index], truth, atol=1e-5, rtol=0)


@KINDS
def test_the_check_on_weights_notices_a_wrong_head(kind: str, images: Tensor) -> None:
    model = sharp(CONFIGS[kind])
    cross = cross_attentions(model)
    with (
        native_weights(cross) as native,
        tap(cross, heads=[1, 0, 2, 3], average=False) as readings,
        torch.no_grad(),
    ):
        model(images, captions())
    truth = torch.stack(native(), 1)
    torch.testing.assert_close(readings.stack()[:, :, [1, 0, 2, 3]], truth, atol=1e-5, rtol=0)
    with pytest.raises(AssertionError, match="Mismatched elements"):
        torch.testing.assert_close(readings.stack(), truth, atol=1e-5, rtol=0)


@KINDS
def test_selected_rows_and_heads_are_those_of_the_whole(kind: str, images: Tensor) -> None:
    model = sharp(CONFIGS[kind])
    cross = cross_attentions(model)
    rows = torch.tensor([[3, 0], [7, 7], [4, 14]])
    with (
        tap(cross, average=False) as whole,
        tap(cross, rows=rows, heads=[2, 0]) as some,
        tap(cross, rows=torch.tensor([5])) as same,
        torch.no_grad(),
    ):
        model(images, captions())
    wanted = whole.stack()[:, :, [2, 0]].mean(2).gather(2, rows[:, None, :, None].expand(-1, 3, -1, whole[0].shape[-1]))
    torch.testing.assert_close(some.stack(), wanted, atol=1e-6, rtol=0)
    torch.testing.assert_close(same.stack(), whole.stack()[:, :, :, 5:6].mean(2), atol=1e-6, rtol=0)


@KINDS
def test_logits_are_bit_identical_with_and_without_taps(kind: str, images: Tensor) -> None:
    model = sharp(CONFIGS[kind])
    with torch.no_grad():
        before = model(images, captions())
        with tap(cross_attentions(model), rows=torch.tensor([1])), inputs_of(model.visual):
            during = model(images, captions())
    assert before["logits"].std() > 0.1, "an uninitialised projection would make this test vacuous"
    for name in ("logits", "image_features", "text_features"):
        assert torch.equal(before[name], during[name])


def test_taps_read_masked_self_attention() -> None:
    model = sharp(CONFIGS["direct"])
    attentions = [block.attn for block in model.text_decoder.resblocks]
    with native_weights(attentions) as native, tap(attentions, average=False) as readings, torch.no_grad():
        model(torch.randn(3, 3, 32, 32), captions())
    torch.testing.assert_close(readings.stack(), torch.stack(native(), 1), atol=1e-5, rtol=0)
    assert (readings.stack().triu(1) == 0).all()


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("per_head_mask", [True, False])
def test_taps_honour_every_kind_of_mask(batch_first: bool, per_head_mask: bool) -> None:
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(8, 2, batch_first=batch_first, bias=False)
    query, key = (torch.randn(3, length, 8) for length in (4, 5))
    if not batch_first:
        query, key = query.transpose(0, 1), key.transpose(0, 1)
    mask = torch.rand(6, 4, 5) < 0.3 if per_head_mask else torch.rand(4, 5) < 0.3
    mask[..., 0] = False
    padding = torch.tensor([[False] * 5, [False] * 3 + [True] * 2, [False] * 4 + [True]])
    truth = attention(query, key, key, key_padding_mask=padding, attn_mask=mask, average_attn_weights=False)[1]
    rows = torch.tensor([2, 1])
    read = attention_weights(attention, query, key, rows=rows, heads=[1], attn_mask=mask, key_padding_mask=padding)
    torch.testing.assert_close(read, truth[:, 1:, rows], atol=1e-6, rtol=0)


def test_weights_of_a_bfloat16_model_are_computed_in_float32() -> None:
    attention = cross_attentions(sharp(CONFIGS["direct"]))[0].bfloat16()
    query, key = torch.randn(2, 3, 32).bfloat16(), torch.randn(2, 6, 32).bfloat16()
    exact = deepcopy(attention).float()
    truth = exact(query.float(), key.float(), key.float(), average_attn_weights=False)[1]
    with torch.autocast("cpu", torch.bfloat16):
        read = attention_weights(attention, query, key)
    torch.testing.assert_close(read, truth, atol=1e-5, rtol=0)


def test_a_tap_leaves_nothing_behind_not_even_after_an_error(images: Tensor) -> None:
    model = sharp(CONFIGS["pooled"])
    with tap(cross_attentions(model)), inputs_of(model.visual):
        assert hooks(model) == 4
    assert hooks(model) == 0
    with pytest.raises(IndexError), tap(cross_attentions(model), rows=torch.tensor([0]), heads=[99]):
        model(images, captions())
    assert hooks(model) == 0


def test_an_attention_that_did_not_run_is_an_error_not_an_empty_map() -> None:
    with tap(cross_attentions(sharp(CONFIGS["direct"]))) as readings:
        pass
    with pytest.raises(RuntimeError, match="attention 0 of 3 did not run"):
        readings.stack()


def test_an_attention_with_keys_of_its_own_is_refused() -> None:
    with (
        pytest.raises(UnsupportedModelError, match="adds keys"),
        tap([nn.MultiheadAttention(8, 2, add_bias_kv=True)]),
    ):
        pass


def test_a_tap_does_not_hear_another_threads_images() -> None:
    attention = cross_attentions(sharp(CONFIGS["direct"]))[0]
    mine, other, key = torch.randn(1, 2, 32), torch.randn(1, 2, 32), torch.randn(1, 4, 32)
    with torch.no_grad(), tap([attention]) as readings:
        attention(mine, key, key)
        thread = threading.Thread(target=lambda: attention(other, key, key))
        thread.start()
        thread.join()
    torch.testing.assert_close(readings[0], attention(mine, key, key)[1], atol=1e-6, rtol=0)


@KINDS
def test_values_are_what_an_attention_answers_when_it_sees_one_position_only(kind: str) -> None:
    model = sharp(CONFIGS[kind])
    attention = pooler_attention(model) or cross_attentions(model)[0]
    inputs, query = torch.randn(2, 5, attention.kdim), torch.randn(2, 1, attention.embed_dim)
    alone = [attention(query, inputs[:, [place]], inputs[:, [place]])[0] for place in range(5)]
    torch.testing.assert_close(values(attention, inputs), torch.cat(alone, 1), atol=1e-5, rtol=0)
