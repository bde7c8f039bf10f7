"""Two processes with half a batch each train exactly as one with the whole batch."""

import os

import pytest
import torch
import torch.distributed
import torch.multiprocessing
from objective_inputs import distributions, normal
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from lfi.objectives import (
    activation_attention_loss,
    attention_transfer_loss,
    dist,
    feature_kd,
    gathered,
    global_count,
    interaction_loss,
    logit_kd,
    masked_mean,
    multilabel_kd,
    naming_loss,
    patch_words_loss,
    relation_loss,
    relational_kd,
    supervision,
    token_labelling_loss,
)

LOSSES = {
    "interaction": lambda out, b: interaction_loss(b["maps"], out.view(-1, 2, 3, 4).log_softmax(-1), b["words"]),
    "relation": lambda out, b: relation_loss(b["maps"], out.view(-1, 2, 3, 4).softmax(-1), b["words"]),
    "a single word": lambda out, b: interaction_loss(b["maps"], out.view(-1, 2, 3, 4).log_softmax(-1), b["single"]),
    "no words": lambda out, b: interaction_loss(b["maps"], out.view(-1, 2, 3, 4).log_softmax(-1), b["words"] & False),
    "naming": lambda out, b: naming_loss(out.view(-1, 4, 6), normal(5, 6), normal(6, seed=1), b["targets"]),
    "patch_words": lambda out, b: patch_words_loss(
        b["maps"][:, 0], out.view(-1, 4, 6), normal(5, 6), b["targets"][:, :3].clamp_min(0), b["words"]
    ),
    "patch_words of words that are padded otherwise": lambda out, b: patch_words_of_the_second_padded(out, b),
    "token_labelling": lambda out, b: token_labelling_loss(
        b["maps"][:, 0], out.view(-1, 4, 6), b["targets"][:, :3].clamp_min(0), b["words"]
    ),
    "logit_kd": lambda out, b: logit_kd(out, b["logits"]),
    "multilabel_kd": lambda out, b: multilabel_kd(out, b["logits"]),
    "feature_kd": lambda out, b: feature_kd(out, b["logits"]),
    "activation_attention": lambda out, b: activation_attention_loss(
        out.view(-1, 2, 12), b["logits"].view(-1, 2, 12).exp()
    ),
    "attention_transfer": lambda out, b: attention_transfer_loss(b["maps"], out.view(-1, 2, 3, 4).log_softmax(-1)),
    "relational_kd distance": lambda out, b: relational_kd(out, b["embedding"], 1, 0),
    "relational_kd angle": lambda out, b: relational_kd(out, b["embedding"], 0, 1),
    "dist inter": lambda out, b: dist(out, b["logits"], intra=0),
    "dist intra": lambda out, b: dist(out, b["logits"], inter=0),
    "supervision": lambda out, b: supervision(out, b["labels"], 0.1),
    "supervision of some": lambda out, b: supervision(out, torch.where(b["known"], b["labels"], -1), 0.1),
    "supervision of presences": lambda out, b: supervision(out, (b["logits"] > 0).double()),
    # contrast of a share's rows with the whole batch: every process computes another part of the loss
    "contrast": lambda out, b: nn.functional.cross_entropy(out @ gathered(out.tanh()).T, b["row"], reduction="mean"),
}


def patch_words_of_the_second_padded(out, b):
    """A stream asks about its own samples, so the processes' words may not have one width."""
    maps, names, words = b["maps"][:, 0], b["targets"][:, :3].clamp_min(0), b["words"]
    if torch.distributed.is_initialized() and torch.distributed.get_rank() == 1:
        maps = torch.cat([maps, maps[:, :2]], 1)
        names, words = (nn.functional.pad(each, (0, 2)) for each in (names, words))
    return patch_words_loss(maps, out.view(-1, 4, 6), normal(5, 6), names, words)


class Model(nn.Module):
    """Everything trainable in one forward, as DDP wants it."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 24).double()
        self.linear.weight.data, self.linear.bias.data = normal(24, 6, seed=3), normal(24, seed=4)

    def forward(self, batch, name):
        return LOSSES[name](self.linear(batch["images"]), batch)


def whole_batch():
    words = torch.zeros(6, 3, dtype=torch.bool)
    words[:3] = True  # the first share holds nine words, the second one
    words[4, 1] = True
    single = torch.zeros(6, 3, dtype=torch.bool)
    single[5, 2] = True
    targets = torch.full((6, 4), -1)
    targets[0], targets[5, 1] = torch.arange(4), 4
    return {
        "images": normal(6, 6),
        "maps": distributions(6, 2, 3, 4),
        "words": words,
        "single": single,
        "targets": targets,
        "logits": normal(6, 24, seed=5),
        "embedding": normal(6, 5, seed=6),
        "labels": torch.tensor([0, 23, 4, 4, 7, 11]),
        "known": torch.tensor([True, True, False, False, True, False]),  # two in the first share, one in the second
        "row": torch.arange(6),
    }


def process(rank, folder):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    share = {key: value[3 * rank : 3 * rank + 3] for key, value in whole_batch().items()}
    found = {}
    for name in LOSSES:
        model = DistributedDataParallel(Model())
        loss = model(share, name)
        loss.backward()
        mean = loss.detach().clone()
        torch.distributed.all_reduce(mean)
        found[name] = (mean / 2, model.module.linear.weight.grad, model.module.linear.bias.grad)
    found["gathered"] = gathered(torch.tensor([rank, 10 + rank]))
    found["count"] = global_count(torch.tensor([1, 4][rank]))
    found["mean"] = masked_mean(torch.tensor([[1.0, 5.0], [3.0, 7.0]][rank]), torch.tensor([True, rank == 1]))
    torch.save(found, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        torch.multiprocessing.spawn(process, (str(folder),), nprocs=2)
    finally:
        os.environ.pop("OMP_NUM_THREADS") if before is None else os.environ.update(OMP_NUM_THREADS=before)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSES)
def test_two_halves_give_the_loss_and_the_gradient_of_the_whole(two_processes, name):
    model = Model()
    loss = model(whole_batch(), name)
    loss.backward()
    for found, weight, bias in (result[name] for result in two_processes):
        torch.testing.assert_close(found, loss.detach(), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(weight, model.linear.weight.grad, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(bias, model.linear.bias.grad, rtol=1e-10, atol=1e-12)
    assert (model.linear.weight.grad.abs().max() > 1e-6) == (name != "no words")


@pytest.mark.slow
def test_rows_are_gathered_in_the_order_of_the_processes(two_processes):
    assert [result["gathered"].tolist() for result in two_processes] == [[0, 10, 1, 11]] * 2


@pytest.mark.slow
def test_every_process_divides_by_the_same_count(two_processes):
    assert [result["count"].item() for result in two_processes] == [2.5, 2.5]
    assert sum(result["mean"].item() for result in two_processes) / 2 == pytest.approx((1 + 3 + 7) / 3)


def test_alone_nothing_is_exchanged():
    values = normal(3, 2)
    assert gathered(values) is values
    assert global_count(torch.tensor(7)).item() == 7
