"""The design of a study: one frozen and hashed value (`app.study.planfile` reads it from `study.toml`).

Everything that decides what raters see and how the answers will be analysed is in the plan, the pictures by their
SHA-256. Its hash is stored when the study opens, so a later change cannot pass for the original.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from app.study.texts import LANGUAGES
from evaluation.study.plan import AnalysisPlan, canonical_json
from evaluation.study.ratings import CONDITIONS
from lfi.configuration import build
from lfi.errors import ConfigError

ENTRIES = ("signed", "listed", "open")
"""Ways in from Prolific."""
_ADDED: dict[str, dict[str, Any]] = {
    "rules": {"entry": "", "max_too_fast": -1},
    "completion": {
        f"{kind}_{part}": "" for kind in ("no_consent", "screened_out", "full") for part in ("code", "redirect")
    },
}
"""Keys of sections that came later, and what plans mean by them that were stored before."""
MAX_COMMENT = 2000
"""Characters of one comment."""


@dataclass(frozen=True)
class RatingPlan:
    """How well does the highlighted region match the word?

    Attributes:
        overlap: valid ratings wanted of every item in every condition; 0 asks for none.
        trials: most ratings of one rater.
        scale: 5 labelled points, or 3 (not consistent, partly, consistent).
    """

    overlap: int = 0
    trials: int = 24
    scale: int = 5

    def __post_init__(self) -> None:
        _at_least("rating.overlap", self.overlap, 0)
        _at_least("rating.trials", self.trials, 1)
        if self.scale not in (3, 5):
            raise ConfigError(f"rating.scale is {self.scale}; 5 or 3 was expected")


@dataclass(frozen=True)
class PairPlan:
    """Which of two highlighted regions matches the word better?

    Attributes:
        overlap: valid answers wanted of every item and contrast; 0 asks for none.
        trials: most pairs of one rater.
        contrasts: pairs of conditions that are compared; which stands left is counterbalanced.
    """

    overlap: int = 0
    trials: int = 8
    contrasts: tuple[tuple[str, str], ...] = (("lfi", "baseline"),)

    def __post_init__(self) -> None:
        _at_least("pair.overlap", self.overlap, 0)
        _at_least("pair.trials", self.trials, 1)
        for one, other in self.contrasts:
            if one == other:
                raise ConfigError(f"pair.contrasts compares {one!r} with itself; two conditions were expected")
        if len({frozenset(contrast) for contrast in self.contrasts}) < len(self.contrasts):
            raise ConfigError("pair.contrasts names the same two conditions twice")


@dataclass(frozen=True)
class Item:
    """A picture and a word that the models are asked about.

    Attributes:
        image: path, relative to the plan's file; every word on one picture is an item of its own.
        shown: the word in other languages, `{de = "Hund"}`; the word itself where there is none.
    """

    image: str
    word: str
    shown: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Known:
    """A trial whose right answer is known: practice, or a catch trial among the others.

    Attributes:
        box: the highlighted region: left, top, right, bottom as shares of the picture.
        expected: ratings that count as right.
        feedback: per language, what is said after a practice trial was answered.
    """

    image: str
    word: str
    box: tuple[float, ...]
    expected: tuple[int, ...]
    shown: dict[str, str] = field(default_factory=dict)
    feedback: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        inside = len(self.box) == 4 and all(0 <= edge <= 1 for edge in self.box)
        if not inside or self.box[0] >= self.box[2] or self.box[1] >= self.box[3]:
            raise ConfigError(
                f"the box of {self.word!r} is {list(self.box)}; left, top, right, bottom within 0 to 1 were expected"
            )
        if not self.expected:
            raise ConfigError(f"{self.word!r} has no expected answer; a list such as [4, 5] was expected")


@dataclass(frozen=True)
class Texts:
    """What raters read in one language, Markdown. `thanks` stands above the completion code."""

    title: str
    consent: str
    instructions: str
    thanks: str


@dataclass(frozen=True)
class Check:
    """A question about the instructions, answered before the first trial.

    Attributes:
        question, answers: per language.
        right: number of the right answer, from 1.
    """

    question: dict[str, str]
    answers: dict[str, list[str]]
    right: int

    def __post_init__(self) -> None:
        counts = {len(answers) for answers in self.answers.values() if isinstance(answers, list)}
        if len(counts) != 1 or len(self.answers) != len(self.question) or not 1 <= self.right <= min(counts):
            raise ConfigError("a check needs a question and the same number of answers per language, one of them right")


@dataclass(frozen=True)
class CompletionPlan:
    """What a rater gets at the end: a code to show, an address to go back to (Prolific's), or both or none.

    Whoever does not consent, does not understand the instructions, or consented and then finds all places taken or the
    study closed (`full`), gets codes and addresses of their own.
    """

    code: str = ""
    redirect: str = ""
    no_consent_code: str = ""
    no_consent_redirect: str = ""
    screened_out_code: str = ""
    screened_out_redirect: str = ""
    full_code: str = ""
    full_redirect: str = ""

    def __post_init__(self) -> None:
        for name in ("redirect", "no_consent_redirect", "screened_out_redirect", "full_redirect"):
            address = getattr(self, name)
            if address and not re.match(r"https://[^\s\"'<>]+$", address):
                raise ConfigError(f"completion.{name} is {address!r}; an https address was expected")


@dataclass(frozen=True)
class RulesPlan:
    """Who may take part, and for how long a place is kept.

    Attributes:
        prolific: whether anybody may enter with a PROLIFIC_PID; otherwise invitations alone.
        prolific_study: the STUDY_ID that Prolific sends; needed, so that nobody enters from another study.
        entry: who may enter from there: `signed`, by the link that `lfi study link` prints; `listed`, whose ids
            `lfi study admit` was given; `open`, anybody who writes some ids into the address.
        max_too_fast: a rater is excluded, and replaced, after more answers that came sooner than
            `analysis.min_response_ms` by the service's own clock, whatever the browser says; -1 excludes nobody.
        lease_minutes: a rater's places are given to others after so long without an answer.
    """

    prolific: bool = False
    prolific_study: str = ""
    lease_minutes: float = 30.0
    entry: str = ""
    max_too_fast: int = -1

    def __post_init__(self) -> None:
        if not self.lease_minutes > 0:
            raise ConfigError(f"rules.lease_minutes is {self.lease_minutes:g}; more than 0 was expected")
        if self.entry not in ("", *ENTRIES):
            raise ConfigError(f"rules.entry is {self.entry!r}; one of {', '.join(ENTRIES)} was expected")
        _at_least("rules.max_too_fast", self.max_too_fast, -1)


@dataclass(frozen=True)
class StudyPlan:
    """A whole study. See the classes of its sections.

    Attributes:
        name: lower-case letters, digits and dashes; names folders and exports.
        languages: offered to raters, the first by default.
        seed: of everything that is drawn by lot.
        trio: the models, by name in `LFI_MODELS_DIR`.
        maps: which other explanation a condition shows, `{baseline = "baseline:rollout"}`, or which peer of the trio,
            `{baseline = "clip:legrad"}`; a condition that is not named shows the model's own maps, which for the
            baseline is the explanation that its trio's card chose.
        side: longest side of a rendered picture in pixels.
        texts: per language a `Texts`.
        check: questions about the instructions; a rater has two attempts at them.
        analysis: what the report will test, written down before there are data; a rater who fails more than its
            `max_failed_catch` catch trials is excluded on finishing, and the cells are filled again.
        pictures: SHA-256 of every picture, by its path in the plan; filled in when the plan is read.
    """

    name: str
    items: tuple[Item, ...]
    texts: dict[str, Any]
    languages: tuple[str, ...] = ("en",)
    seed: int = 0
    trio: str = "scenes"
    conditions: tuple[str, ...] = CONDITIONS
    maps: dict[str, str] = field(default_factory=dict)
    side: int = 640
    rating: RatingPlan = field(default_factory=RatingPlan)
    pair: PairPlan = field(default_factory=PairPlan)
    practice: tuple[Known, ...] = ()
    catch: tuple[Known, ...] = ()
    check: tuple[Check, ...] = ()
    completion: CompletionPlan = field(default_factory=CompletionPlan)
    rules: RulesPlan = field(default_factory=RulesPlan)
    analysis: AnalysisPlan = field(default_factory=AnalysisPlan)
    pictures: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,59}", self.name):
            raise ConfigError(f"name is {self.name!r}; lower-case letters, digits and dashes were expected")
        _at_least("side", self.side, 64)
        _at_least("seed", self.seed, 0)
        if not self.items:
            raise ConfigError("items is empty; at least one image with a word was expected")
        pairs = [(item.image, item.word) for item in self.items]
        if len(set(pairs)) < len(pairs):
            twice = next(pair for pair in pairs if pairs.count(pair) > 1)
            raise ConfigError(f"items holds {twice[1]!r} on {twice[0]} twice")
        if not self.rating.overlap and not self.pair.overlap:
            raise ConfigError("neither rating.overlap nor pair.overlap is above 0, so nobody would be asked anything")
        self._check_conditions()
        self._check_languages()
        for trial in (*self.practice, *self.catch):
            wrong = [level for level in trial.expected if not 1 <= level <= self.rating.scale]
            if wrong:
                raise ConfigError(f"{trial.word!r} expects {wrong[0]}; 1 to {self.rating.scale} was expected")

    def _check_conditions(self) -> None:
        for name in self.conditions:
            if name not in CONDITIONS:
                raise ConfigError(f"unknown condition {name!r}; known: {', '.join(CONDITIONS)}")
        if len(set(self.conditions)) < len(self.conditions) or not self.conditions:
            raise ConfigError(f"conditions are {list(self.conditions)}; each once, at least one, was expected")
        named = [name for contrast in self.pair.contrasts for name in contrast] if self.pair.overlap else []
        compared = (self.analysis.numerator, self.analysis.denominator) if self.rating.overlap else ()
        for name in (*named, *compared):
            if name not in self.conditions:
                raise ConfigError(f"{name!r} is compared but is not one of the conditions {', '.join(self.conditions)}")
        check_texts("maps", self.maps)
        for name, shown in self.maps.items():
            if name not in self.conditions or name == "shuffled":
                raise ConfigError(f"maps names {name!r}; a model among the conditions was expected")
            model, _, explanation = shown.partition(":")
            if (model == name and not explanation) or (model != name and model in CONDITIONS):
                raise ConfigError(
                    f"maps.{name} is {shown!r}; an explanation such as '{name}:rollout', or a peer of the trio such as "
                    "'clip' or 'clip:legrad', was expected"
                )
        if "shuffled" in self.conditions and len({item.image for item in self.items}) < 2:
            raise ConfigError("shuffled maps come from another image; at least two images were expected")

    def _check_languages(self) -> None:
        if not self.languages:
            raise ConfigError("languages is empty; at least one was expected")
        for language in self.languages:
            if language not in LANGUAGES:
                raise ConfigError(f"the page has no texts in {language!r}; it has {', '.join(LANGUAGES)}")
            if language not in self.texts:
                raise ConfigError(f"texts.{language} is missing")
            if any(language not in check.question or language not in check.answers for check in self.check):
                raise ConfigError(f"a check has no question or no answers in {language!r}")
        for language, texts in self.texts.items():
            if not isinstance(texts, Texts):
                raise ConfigError(f"texts.{language} is {texts!r}; a section was expected")

    @property
    def hash(self) -> str:
        """SHA-256 of the plan, in hex; the same for the same plan on any machine."""
        return hashlib.sha256(canonical(self).encode()).hexdigest()

    def shown_word(self, item: Item | Known, language: str) -> str:
        """The word as a rater of this language reads it."""
        return item.shown.get(language, item.word)


def extended(plan: StudyPlan, items: Sequence[Item], pictures: Mapping[str, str]) -> StudyPlan:
    """The plan with more items, as if they stood at the end of its file.

    Args:
        pictures: SHA-256 of what the items show, by path.

    Raises:
        ConfigError: an item is there already.
    """
    known = plan.pictures | dict(pictures)
    all_items = (*plan.items, *items)
    shown: tuple[Item | Known, ...] = (*all_items, *plan.practice, *plan.catch)
    return replace(plan, items=all_items, pictures={each.image: known[each.image] for each in shown})


def plan_of(raw: dict[str, Any]) -> StudyPlan:
    """The plan of plain values, as TOML or `canonical` gives them."""
    texts = raw.get("texts", {})
    if not isinstance(texts, dict):
        raise ConfigError(f"texts is {texts!r}; a section per language was expected")
    built = {
        language: build(Texts, section, f"texts.{language}.") if isinstance(section, dict) else section
        for language, section in texts.items()
    }
    return build(StudyPlan, {**raw, "texts": built})


def canonical(plan: StudyPlan) -> str:
    """The plan as JSON with sorted keys; what is stored and hashed.

    What came later is left out where it says nothing, so plans from before there was such a key keep their hash.
    """
    content = {name: value for name, value in asdict(plan).items() if name not in ("maps", "check") or value}
    content["analysis"] = plan.analysis.content
    for section, added in _ADDED.items():
        content[section] = {name: value for name, value in content[section].items() if value != added.get(name, ...)}
    return canonical_json(content)


def check_texts(where: str, table: Mapping[str, object]) -> None:
    """Whether a table holds texts alone.

    Raises:
        ConfigError: names where it does not.
    """
    for name, text in table.items():
        if not isinstance(text, str):
            raise ConfigError(f"{where} has something else than a text under {name!r}")


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(f"{name} is {value}; {least} or more was expected")
