"""Training a small CoCa teacher so that its words point, on generated scenes or on photographs.

Captions in reading order ground whole sentences, but not single words: there a word's place in the sentence already
tells where its object is. So every image also comes with *presence statements*, phrases that are true of one of its
objects or false of all of them, mostly by one attribute ("red circle" beside a red star and a blue circle). They can
only be judged by looking where the phrase points. The losses, no mask or box among them:

- caption: cross-entropy of the next word (CoCa, Yu et al. 2022, arXiv 2205.01917) and image-caption contrast;
- answer: cross-entropy of `yes` or `no` after the phrase's last word;
- dense contrast: the log-sum-exp over patches of phrase-patch similarity tells presence;
- vocabulary (photographs): cross-entropy of the class among all class names, from the image's latent and from the
  log-sum-exp of its patches: what images of one object each can teach of it;
- interaction contrast: so does the log-sum-exp of the phrase's *cross-attention scores*, in every decoder layer and
  head: the attention itself is the evidence (multiple-instance learning; Ilse et al. 2018, arXiv 1802.04712).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from open_clip.coca_model import CoCa
from torch import Tensor, nn

from lfi.data.objects import COLOURS, SIZES, TEXTURES
from lfi.data.scenes import DOMAINS, RELATIONS, SceneBatch
from lfi.data.shapes import SHAPES
from lfi.errors import UnsupportedModelError
from lfi.images import normalise
from lfi.teachers import CoCaTeacher
from lfi.teachers.explicit import decode, encode_image, encode_text
from lfi.teachers.words import END, PAD, START, WordTokenizer

CONTEXT = 40
ANSWERS = ("no", "yes")
VOCABULARY = (
    *(word for word in (*SIZES, *TEXTURES) if word),
    *COLOURS,
    *SHAPES,
    *DOMAINS,
    *dict.fromkeys(word for relation in RELATIONS for word in relation.split()),
    "a",
    *ANSWERS,
)
_ATTRIBUTES = (SIZES, TEXTURES, tuple(COLOURS), SHAPES)
_PHRASE = 4  # words in the longest phrase


@dataclass(frozen=True)
class TeacherConfig:
    """Size of the CoCa and weights of its losses."""

    image_size: int = 64
    patch_size: int = 8
    width: int = 128
    layers: int = 6
    text_layers: int = 2
    decoder_layers: int = 2
    head_width: int = 32
    context: int = CONTEXT
    words: tuple[str, ...] = VOCABULARY
    statements: int = 8
    caption: float = 1.0
    contrast: float = 0.25
    answer: float = 1.0
    dense: float = 1.0
    interaction: float = 1.0
    vocabulary: float = 0.0

    def model_config(self) -> dict[str, Any]:
        """`model_cfg` of an open_clip CoCa."""
        heads = self.width // self.head_width
        text = {
            "context_length": self.context,
            "vocab_size": len(self.words) + 3,
            "width": self.width,
            "heads": heads,
        }
        return {
            "embed_dim": self.width,
            "vision_cfg": {
                "image_size": self.image_size,
                "patch_size": self.patch_size,
                "width": self.width,
                "layers": self.layers,
                "head_width": self.head_width,
                "output_tokens": True,
            },
            "text_cfg": {**text, "layers": self.text_layers, "embed_cls": True, "output_tokens": True},
            "multimodal_cfg": {**text, "layers": self.decoder_layers},
            "custom_text": True,  # open_clip's own loader looks for a CoCa only then
        }

    def build(self) -> CoCa:
        """A freshly initialised model; open_clip leaves the decoder's output projection to us."""
        parts = self.model_config()
        model = CoCa(*(parts[name] for name in ("embed_dim", "multimodal_cfg", "text_cfg", "vision_cfg")))
        nn.init.normal_(model.text_decoder.text_projection, std=self.width**-0.5)
        return model


def statements(attributes: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Presence statements about scenes, about half of them true.

    Args:
        attributes: int64 `[scene, object, 4]`, -1 where there is no object.
        count: statements per scene.

    Returns:
        Phrases, int64 `[scene, count, 4]`: attribute values, or -1 where the phrase does not mention that attribute;
        and whether they hold, float32 `[scene, count]`.
    """
    scenes = len(attributes)
    present = attributes[..., 3] >= 0
    rows = np.arange(scenes)[:, None]

    def some_object() -> np.ndarray:
        return attributes[rows, (rng.random((scenes, count)) * present.sum(1)[:, None]).astype(int)]

    phrase = some_object()
    style = rng.choice(4, (scenes, count), p=(0.3, 0.1, 0.4, 0.2))  # shape, colour, both, all that is said of it
    shown = np.stack([style == 3, style == 3, style != 0, style != 1], -1)
    shown[..., :2] &= phrase[..., :2] > 0  # size and texture have an unnamed value
    false = rng.random((scenes, count)) < 0.8  # some of these turn out true
    # a wrong attribute: another object's where that makes a hard case, else any
    part = (rng.random((scenes, count, 4)) * shown).argmax(-1)
    low = np.array([1, 1, 0, 0])[part]
    high = np.array([len(values) for values in _ATTRIBUTES])[part]
    anything = low + (rng.random((scenes, count)) * (high - low)).astype(int)
    borrowed = np.take_along_axis(some_object(), part[..., None], -1)[..., 0]
    wrong = np.where((rng.random((scenes, count)) < 0.5) & (borrowed >= low), borrowed, anything)
    swapped = phrase.copy()
    np.put_along_axis(swapped, part[..., None], wrong[..., None], -1)
    phrase = np.where(false[..., None], swapped, phrase)
    fits = (~shown[:, :, None] | (phrase[:, :, None] == attributes[:, None])).all(-1) & present[:, None]
    return np.where(shown, phrase, -1), fits.any(-1).astype(np.float32)


class TeacherTask(nn.Module):
    """Owns the model and its losses; `forward` takes a batch of `SceneSentences` and returns named losses."""

    def __init__(self, config: TeacherConfig):
        super().__init__()
        self.config = config
        self.model = config.build()
        # presence = scale * (log-sum-exp - log patches) + bias, one pair for the dense and one for each decoder layer
        self.presence_scale = nn.Parameter(torch.zeros(1 + config.decoder_layers))
        self.presence_bias = nn.Parameter(torch.zeros(1 + config.decoder_layers))

    def presence(self, scores: Tensor, index: int) -> Tensor:
        """Presence logits `[...]` from scores over patches `[..., patch]`."""
        pooled = torch.logsumexp(scores.float(), -1) - math.log(scores.shape[-1])
        return pooled * self.presence_scale[index].exp() + self.presence_bias[index]

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        model, weights = self.model, self.config
        latent, patches = encode_image(model, batch["images"])
        captions, ids, last, truth = batch["captions"], batch["statements"], batch["last"], batch["truth"]
        scenes, count, _ = ids.shape

        caption_latent, states = encode_text(model, captions)
        states, _ = decode(model, states[:, None, :-1], patches)
        words = states[:, 0] @ model.text_decoder.text_projection
        caption = F.cross_entropy(words.float().flatten(0, 1), captions[:, 1:].flatten(), ignore_index=PAD)

        image, text = F.normalize(latent.float(), dim=-1), F.normalize(caption_latent.float(), dim=-1)
        logits = image @ text.T * model.logit_scale.exp().clamp(max=100)
        own = torch.arange(scenes, device=logits.device)
        contrast = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2

        phrases, which = ids.flatten(0, 1).unique(dim=0, return_inverse=True)  # each is read once
        phrase_latent, states = encode_text(model, phrases)
        phrase_latent, states = phrase_latent[which], states[:, : _PHRASE + 1][which]
        states, layers = decode(model, states.unflatten(0, (scenes, count)), patches)
        at = last[..., None, None]
        final = states.gather(2, at.expand(-1, -1, 1, states.shape[-1]))[:, :, 0]
        answers = (final @ model.text_decoder.text_projection).float()
        answer = F.cross_entropy(answers.flatten(0, 1), batch["answers"].flatten())

        interaction = answer.new_zeros(())
        for index, scores in enumerate(layers):
            row = at[:, None].expand(-1, scores.shape[1], -1, 1, scores.shape[-1])
            evidence = self.presence(scores.gather(3, row)[:, :, :, 0], 1 + index)  # [scene, head, statement]
            interaction = interaction + F.binary_cross_entropy_with_logits(evidence, truth[:, None].expand_as(evidence))
        interaction = interaction / len(layers)

        similar = F.normalize((patches @ model.visual.proj).float(), dim=-1) @ F.normalize(
            phrase_latent.float().view(scenes, count, -1), dim=-1
        ).transpose(1, 2)
        evidence = self.presence(similar.transpose(1, 2) * model.logit_scale.exp(), 0)
        dense = F.binary_cross_entropy_with_logits(evidence, truth)
        vocabulary = {"vocabulary": self.vocabulary(image, patches, batch)} if weights.vocabulary else {}

        yes, no = batch["yes_no"][0], batch["yes_no"][1]
        judged = (answers[..., yes] > answers[..., no]).float()
        losses = {
            "caption": caption,
            "contrast": contrast,
            "answer": answer,
            "dense": dense,
            "interaction": interaction,
            **vocabulary,
        }
        loss = sum(getattr(weights, name) * value for name, value in losses.items())
        return {"loss": loss, **losses, "answers right": (judged == truth).float().mean().detach()}

    def vocabulary(self, image: Tensor, patches: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Cross-entropy of the classes that are there among all: of the image's latent, and of its best patches.

        `batch["bank"]` holds the ids of all class names, `batch["named"]` `[scene, class]` shares that sum to 1 (to 0
        where an image says nothing of them), `batch["open"]` bool: classes that an image might also show.
        """
        model, named = self.model, batch["named"]
        bank = F.normalize(encode_text(model, batch["bank"])[0].float(), dim=-1)
        scale = model.logit_scale.exp().clamp(max=100)
        similar = F.normalize((patches @ model.visual.proj).float(), dim=-1) @ bank.T * scale
        total = image.new_zeros(())
        for logits in (image @ bank.T * scale, torch.logsumexp(similar, 1) - math.log(similar.shape[1])):
            chance = logits.masked_fill(batch["open"], -1e4).log_softmax(-1)
            total = total - (named * chance).sum() / named.sum().clamp_min(1)
        return total / 2


@torch.no_grad()
def warm_start(task: TeacherTask, teacher: CoCaTeacher) -> None:
    """Begin with the weights of a teacher of the same size; words that it does not know begin afresh.

    Raises:
        UnsupportedModelError: if it has other sizes, or no vocabulary of whole words.
    """
    if not isinstance(teacher.tokenizer, WordTokenizer):
        raise UnsupportedModelError(
            f"{teacher.name} reads byte pairs; a teacher with a vocabulary of words was expected"
        )
    known = {word: index for index, word in enumerate(teacher.tokenizer.vocabulary)}
    shared = [(index, known[word]) for index, word in enumerate(task.config.words) if word in known]
    own = torch.tensor([0, 1, 2, *(3 + index for index, _ in shared)])
    theirs = torch.tensor([0, 1, 2, *(3 + index for _, index in shared)])
    begun, given = task.model.state_dict(), teacher.model.state_dict()
    for name, tensor in begun.items():
        if name == "text.token_embedding.weight":
            tensor[own] = given[name][theirs]
        elif name == "text_decoder.text_projection":
            tensor[:, own] = given[name][:, theirs]
        elif tensor.shape != given[name].shape:
            raise UnsupportedModelError(
                f"{teacher.name}: {name} is {tuple(given[name].shape)}; {tuple(tensor.shape)} was expected"
            )
        else:
            tensor.copy_(given[name])


class SceneSentences:
    """Batches of scenes, captions and statements. Batch `step` depends on `(seed, step)` alone."""

    def __init__(
        self, scenes: SceneBatch, batch_size: int, seed: int, count: int, tokenizer: WordTokenizer | None = None
    ):
        self.scenes, self.batch_size, self.seed, self.count = scenes, batch_size, seed, count
        self.tokenizer = tokenizer or WordTokenizer(VOCABULARY, CONTEXT)
        self.captions = self.tokenizer(scenes.captions).numpy()
        ids = {word: int(self.tokenizer.encode(word)[1]) for word in VOCABULARY}
        self.answers = np.array([ids[word] for word in ANSWERS])
        self.words = np.full((4, max(len(values) for values in _ATTRIBUTES)), PAD)
        for part, values in enumerate(_ATTRIBUTES):
            self.words[part, : len(values)] = [ids.get(value, PAD) for value in values]

    @property
    def steps_per_epoch(self) -> int:
        return len(self.scenes) // self.batch_size

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of a step: images `[b, 3, s, s]`, caption ids, statement ids `[b, m, 7]`, truth, answers."""
        rows = self.rows(step)
        rng = np.random.default_rng((self.seed, *divmod(step, self.steps_per_epoch)))
        phrases, truth = statements(self.scenes.attributes[rows], self.count, rng)
        ids, last = self.phrase_ids(phrases)
        return {
            "images": normalise(torch.from_numpy(self.scenes.images[rows])),
            "captions": torch.from_numpy(self.captions[rows]),
            "statements": torch.from_numpy(ids),
            "last": torch.from_numpy(last),
            "truth": torch.from_numpy(truth),
            "answers": torch.from_numpy(self.answers[truth.astype(int)]),
            "yes_no": torch.from_numpy(self.answers[::-1].copy()),
        }

    def rows(self, step: int) -> np.ndarray:
        """The scenes of a step's batch."""
        epoch, position = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.scenes))
        return np.sort(order[position * self.batch_size : (position + 1) * self.batch_size])

    def phrase_ids(self, phrases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ids `[..., 7]` of phrases `[..., 4]` (start, words, end, padding) and the position of their last word."""
        said = phrases >= 0
        words = self.words[np.arange(4), np.maximum(phrases, 0)]
        ids = np.full((*phrases.shape[:-1], _PHRASE + 3), PAD)
        ids[..., 0] = START
        place = np.cumsum(said, -1)
        for part in range(4):
            where = np.nonzero(said[..., part])
            ids[(*where, place[..., part][where])] = words[..., part][where]
        last = place[..., -1]
        np.put_along_axis(ids, last[..., None] + 1, END, -1)
        return ids, last
