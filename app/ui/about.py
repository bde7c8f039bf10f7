"""The cards of a trio in the page's words: what each model is and learned from, its figures and limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.ui.view import KINDS
from lfi.comparison import MODELS, model_of
from lfi.presence import Presence
from lfi.rendering import LONG_TITLES, TITLES
from lfi.trio import Trio

_FACTS = (
    ("data", "Learned from"),
    ("steps", "Training steps"),
    ("seed", "Seed"),
    ("parameters", "Parameters"),
    ("fingerprint", "Fingerprint"),
)


def trio_view(trio: Trio) -> dict[str, Any]:
    """A trio as the page describes it."""
    return {
        "name": trio.name,
        "vocabulary": list(trio.vocabulary),
        "queries": trio.lfi.config.queries,
        "note": _note(trio.cards),
        "models": [_model_view(trio, key) for key in trio.models],
        "columns": list(MODELS),
        "answers": [_answer_view(trio, answer) for answer in trio.layers],
    }


def name_of(trio: Trio, model: str) -> str:
    """What people call a model: its part in the trio, or a peer's title."""
    return LONG_TITLES.get(model) or _text(trio.cards[model]["title"])


def _role(model: str) -> str:
    """How a model is drawn: as its part in the trio, or as a peer."""
    return model if model in MODELS else "peer"


def _answer_view(trio: Trio, answer: str) -> dict[str, Any]:
    """Something that a column can show: a model, or a post-hoc explanation of one (`baseline:rollout`)."""
    model, explanation = model_of(answer), answer.partition(":")[2]
    name = name_of(trio, model)
    return {
        "key": answer,
        "role": _role(model),
        "name": name,
        "choice": f"{TITLES.get(model, name)}: {KINDS[explanation]}" if explanation else name,
        "explained": bool(explanation),
        "hits": _hits(trio, answer),
        "measured": _measured(trio, answer),
        "layers": len(trio.layers[answer]),
    }


_HITS = "map peaks in "


def _hits(trio: Trio, answer: str) -> str:
    """How often a map's peak is where it should be, as the card measured it: no judgement without this number."""
    if answer not in trio.models:
        return "not measured; its layer was chosen on validation data" if answer in trio.card["default_layer"] else ""
    figures = trio.cards[answer].get("figures") or {}
    for name, value in figures.items():
        if name.startswith(_HITS):
            what, _, where = name.removeprefix(_HITS).partition(", ")
            count = figures.get("test scenes")
            share = value["value"] if isinstance(value, Mapping) else value
            tested = where or (f"{count:,} test scenes" if count else "test images")
            return f"peaks in {what}: {100 * share:.0f} % of {tested}"
    return ""


def _measured(trio: Trio, answer: str) -> str:
    """Whether the images of `_hits` are others than those of the choices; older cards do not say so."""
    figures = (trio.cards[answer].get("figures") or {}) if answer in trio.models else {}
    if not any(name.startswith(_HITS) for name in figures):
        return ""
    if "test scenes" in figures or trio.card.get("measured_apart"):
        return "Measured on test images; the layer and the explanation were chosen on others."
    return "Measured on the images that the layer and the explanation were chosen on, so it may be too high."


def _model_view(trio: Trio, key: str) -> dict[str, Any]:
    card, judge = trio.cards[key], trio.presence.get(key)
    facts = [(label, _text(card[name])) for name, label in _FACTS if card.get(name) not in (None, "")]
    return {
        "key": key,
        "role": _role(key),
        "name": LONG_TITLES.get(key) or _text(card["title"]),
        "title": _text(card.get("title", LONG_TITLES.get(key))),
        "summary": _text(card.get("summary", "")),
        "facts": [list(fact) for fact in [*facts, ("Layers", str(len(trio.layers[key]))), *_judging(judge)]],
        "figures": [[name, _figure(value)] for name, value in (card.get("figures") or {}).items()],
        "limits": _sentences(card.get("limits")),
    }


def _judging(presence: Presence | None) -> list[tuple[str, str]]:
    """How often a model is wrong where it says that a word is, or is not, in a picture."""
    if presence is None:
        return []
    wrong = f"misses {presence.misses:.0%} of what is there, reports {presence.false_alarms:.0%} of what is not"
    return [("Is it there?", wrong)]


def _note(cards: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What the models' limits mean for what a visitor sees, each thing said once; the data are on the cards."""
    return list(dict.fromkeys(limit for card in cards.values() for limit in _sentences(card.get("limits"))))


def _figure(value: Any) -> str:
    """A measured value with its interval, where it has one."""
    if not isinstance(value, Mapping):
        return _text(value)
    unit = f" {value['unit']}" if value.get("unit") else ""
    spread = ""
    if value.get("low") is not None and value.get("high") is not None:
        spread = f" ({_text(value['low'])} to {_text(value['high'])})"
    return f"{_text(value['value'])}{unit}{spread}"


def _text(value: Any) -> str:
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_text(item) for item in value)
    return str(value)


def _sentences(limits: Any) -> list[str]:
    if not limits:
        return []
    return [_text(limit) for limit in limits] if isinstance(limits, list | tuple) else [_text(limits)]
