"""Token labelling: every patch gets a label of its own.

After Jiang et al., "All Tokens Matter: Token Labeling for Training Better Vision Transformers", NeurIPS 2021 (arXiv
2104.10858), equation 4, whose labels come from a convolutional annotator; here they come from the teacher's words.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lfi.objectives.counting import global_count
from lfi.objectives.patch_words import columns


def token_labelling_loss(teacher: Tensor, logits: Tensor, names: Tensor, words: Tensor) -> Tensor:
    """`-sum_p m_p sum_c T[c, p] / m_p log softmax_c(z_p)[c] / sum_p m_p`, over all patches `p` of the batch.

    `m_p = sum_c T[c, p]` is how much the image's classes look at a patch, where the paper's labels weigh all alike.

    Args:
        teacher: teacher maps of one layer `[batch, word, patch]`, each summing to 1 over patches.
        logits: `z`, from the student's patch tokens, `[batch, patch, class]`.
        names: int64 `[batch, word]`: which words these are; the classes come first, and other words do not count.
        words: bool `[batch, word]`, False for padding.
    """
    classes = logits.shape[-1]
    target = columns(teacher, names, words & (names < classes), classes)
    total = global_count(target.sum())
    entropy = -(target.transpose(1, 2) * logits.log_softmax(-1)).sum()
    return entropy / torch.where(total > 0, total, 1)
