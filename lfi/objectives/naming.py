"""Naming: which word each query stands for. The formula is this project's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lfi.objectives.counting import global_count


def naming_loss(
    names: Tensor, bank: Tensor, nothing: Tensor, targets: Tensor, temperature: float = 0.05, unmatched: float = 0.2
) -> Tensor:
    """Cross-entropy of the word a query stands for, by cosine to every word's text embedding.

    `L_name = -sum_m w_m log softmax_v(cos(n_m, e_v) / tau)[y_m] / sum_m w_m` over all queries `m` of the batch (of all
    processes), with names `n`, embeddings `e` of the bank's words and of `nothing`, and `y_m` the query's word, else
    `nothing`; `w_m` is 1 for a query with a word and `unmatched` for one without.

    A matched query's name must be nearer to its own word than to any other; a query without a word must be nearest to
    a learned `nothing`. (`1 - cos` to the own word alone, tried first, leaves queries between words of one colour.)

    Args:
        names: projected final queries `[batch, query, text_dim]`.
        bank: text embeddings of all words that the training captions hold `[vocabulary, text_dim]`.
        nothing: `[text_dim]`.
        targets: int64 `[batch, query]`: the word of every query in `bank`, -1 for none.
        temperature: `tau`.
        unmatched: weight of queries without a word, of which there are more.
    """
    words = F.normalize(torch.cat([bank, nothing[None]]), dim=-1)
    logits = F.normalize(names, dim=-1) @ words.T / temperature
    weight = torch.where(targets < 0, unmatched, 1.0).to(logits.dtype)
    targets = torch.where(targets < 0, len(bank), targets)
    losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    total = global_count(weight.sum())
    return (losses * weight.flatten()).sum() / torch.where(total > 0, total, 1)
