"""Patch words: which words each patch speaks to. The other direction of the interaction.

Rows of the teacher's cross-attention say where a word looks (`interaction`); its columns say which words look at a
patch. The formula is this project's. Labels for single patches go back to token labelling (Jiang et al. 2021, "All
Tokens Matter", arXiv 2104.10858).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lfi.objectives.counting import gathered, global_count

TEMPERATURE = 0.05
"""Of the softmax over words; maps that are read by columns use the same."""


def patch_words_loss(
    teacher: Tensor, patches: Tensor, bank: Tensor, names: Tensor, words: Tensor, temperature: float = TEMPERATURE
) -> Tensor:
    """`sum_p m_p KL(T[., p] / m_p || S[., p]) / sum_p m_p`, over all patches `p` of the batch.

    `m_p = sum_k T[k, p]` is how much the image's words look at a patch: patches that no word looks at say little. `S`
    is the softmax over the vocabulary of `cos(n_p, e_v) / tau`, with the patch's name `n` and the embeddings `e` of
    the vocabulary's words: all that were asked about in the batch (of all processes). A patch must be nearer to the
    words that look at it than to those of other patches and other images.

    Args:
        teacher: teacher maps of one layer `[batch, word, patch]`, each summing to 1 over patches.
        patches: the student's patch tokens in the text space `[batch, patch, text_dim]`.
        bank: text embeddings of all words `[vocabulary, text_dim]`.
        names: int64 `[batch, word]`: the words in `bank`.
        words: bool `[batch, word]`, False for padding.
    """
    here = torch.zeros(1, len(bank), dtype=torch.uint8, device=names.device)
    here[0, names[words]] = 1
    asked = gathered(here).amax(0).nonzero().flatten()
    target = columns(teacher, torch.searchsorted(asked, names), words, len(asked))
    mass = target.sum(1)  # [batch, patch]
    share = target / mass[:, None].clamp_min(torch.finfo(mass.dtype).tiny)
    logits = F.normalize(patches, dim=-1) @ F.normalize(bank[asked], dim=-1).T / temperature
    divergence = F.kl_div(logits.log_softmax(-1), share.transpose(1, 2), reduction="none").sum(-1)
    total = global_count(mass.sum())
    return (divergence * mass).sum() / torch.where(total > 0, total, 1)


def columns(teacher: Tensor, places: Tensor, words: Tensor, size: int) -> Tensor:
    """How much each word of a vocabulary looks at each patch, `[batch, size, patch]`; 0 where it was not asked about.

    Args:
        teacher: teacher maps of one layer `[batch, word, patch]`.
        places: int64 `[batch, word]`: where in the vocabulary the words are; whatever where `words` is False.
        words: bool `[batch, word]`.
        size: of the vocabulary.
    """
    image, word = words.nonzero(as_tuple=True)
    found = teacher.new_zeros(len(teacher), size, teacher.shape[2])
    return found.index_put_((image, places[image, word]), teacher[image, word], accumulate=True)
