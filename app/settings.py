"""What an operator can set, by environment variables that start with `LFI_` (`LFI_PORT=8000`)."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from limits import RateLimitItem
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.keys import ROLES, Key, digest, parse_keys
from app.limits import DEFAULT_RATES, ImageLimits, WordLimits, parse_rates
from lfi.errors import ConfigError
from lfi.shipped import MODELS, STATIC

MEGABYTE = 10**6
_PREFIX = "LFI_"
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/*]+")


class Settings(BaseSettings):
    """One object, checked when made. Sizes are bytes, times are seconds."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="forbid", populate_by_name=True)

    host: str = "127.0.0.1"
    port: int = Field(7860, ge=0, le=65535)
    root_path: str = ""
    """Path under which a proxy publishes the service, such as `/lfi`; empty at the root of a host."""
    address: str = ""
    """Where people find the service, such as `https://lab.example/lfi`: invitations to studies lead there."""
    log_level: Literal["critical", "error", "warning", "info", "debug"] = "info"
    log_format: Literal["text", "json"] = "text"
    """`json` writes one object per line, for machines."""
    otlp_endpoint: str = ""
    """Where spans of requests go, by OTLP over HTTP: `http://127.0.0.1:4318/v1/traces`. Needs the extra `otel`."""
    auth: Literal["auto", "off"] = "auto"
    """`auto` asks for a key where there is one, and refuses to listen for other machines without; `off` never asks."""
    api_keys: str = ""
    """`NAME:SCOPE+SCOPE:SHA256`, comma separated; `lfi keys new` writes them."""
    rate_limit: str | None = None
    """Requests that one key, or one client without, may send: `10/second; 240/minute`; empty for any number.
    Unset, it is 240/minute where other machines can reach the service, and none on this machine alone."""
    study_rate: str = "1200/minute"
    """Requests to raters' pages from one address, on this machine alone, too; empty for any number."""
    study_browser_rate: str = "20/second; 600/minute"
    """The same of one browser that is signed in: an answer and its pictures are four."""
    trusted_proxies: str = "127.0.0.1"
    """Addresses or networks, comma separated, whose X-Forwarded-For and -Proto are trusted."""
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Other origins whose pages may call the API, comma separated, `https://notebook.example`; `*` is every page on the
    web, which also reaches a service without keys that only this machine can; none by default."""
    mcp_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Names under which agents reach `/mcp`, comma separated: `lfi.example.org`; this machine's own always do."""

    static_dir: Path = STATIC
    models_dir: Path = MODELS
    """Every folder in it that holds a `card.json` is a trio."""
    trio: str = "photographs"
    """The trio used where a request names none."""
    device: str = "auto"
    """Where the models run: `cpu`, `cuda`, `cuda:1`; `auto` takes a GPU where there is one."""

    places: int = Field(64, ge=1)
    """Requests for maps that may be running or waiting at a time; any more are told to come back (503)."""
    jobs: int = Field(16, ge=1)
    """Of those, how many are decoded, answered and rendered at the same time."""
    request_seconds: float = Field(30.0, gt=0)
    """Time for one request, waiting included; a later one is given up (503)."""
    micro_batch: int = Field(8, ge=1, validation_alias=AliasChoices("LFI_MICRO_BATCH", "LFI_BATCH"))
    """Requests answered by one forward pass of the models, at most."""
    micro_batch_wait: float = Field(
        0.005, ge=0, validation_alias=AliasChoices("LFI_MICRO_BATCH_WAIT", "LFI_BATCH_WAIT")
    )
    """How long such a micro-batch waits for requests that are on their way. One that is alone never waits."""
    torch_threads: int = Field(1, ge=1)
    """Threads of one matrix product. Two were slower than one under contention on two cores."""
    pixels_in_work: int = Field(100_000_000, ge=1)
    """Pixels that are decoded at the same time, about 10 bytes each; a picture larger than this goes alone."""
    cached_images: int = Field(64, ge=0)
    """Encoded images kept, so that another word on the same image costs only the text side."""
    cached_bytes: int = Field(256 * MEGABYTE, ge=0)
    """Memory that they may take."""
    shutdown_seconds: float = Field(8.0, gt=0)
    """How long a service that was told to stop (SIGTERM) keeps answering the requests it has accepted."""

    study_folder: Path = Path("data/study")
    """Rendered stimuli of studies, and the database where no URL names another. Nothing serves it."""
    database_url: str = ""
    """Of studies: `sqlite:///FILE` or `postgresql+psycopg://...`; `study.db` in the folder by default."""
    study_page: Literal["gradio", "plain"] = "gradio"
    """What carries the raters' page: Gradio, or a plain document under a strict content policy."""
    min_free_bytes: int = Field(50 * MEGABYTE, ge=0)
    """With less room for studies than this, `/readyz` says no."""
    admin_token: SecretStr = SecretStr("")
    """Opens `/admin` to its holder, whom audit trails call `owner`; at least 16 characters."""
    owners: str = ""
    """More people at `/admin`, by name: `NAME:ROLE:SHA256`, comma separated; `lfi keys owner` writes them."""

    kept_folder: Path = Path("data/kept")
    """Pictures that visitors chose to keep, so that links to them work."""
    kept_days: float = Field(7, ge=0, le=365)
    """How long such a picture is kept; 0 keeps none."""
    kept_pictures: int = Field(200, ge=1)
    kept_bytes: int = Field(500 * MEGABYTE, ge=1)

    max_bytes: int = Field(20 * MEGABYTE, ge=1)
    max_pixels: int = Field(50_000_000, ge=1)
    max_aspect: float = Field(20.0, ge=1)
    max_words: int = Field(16, ge=1)
    max_phrase: int = Field(12, ge=1)
    """Single words in one phrase."""
    overlay_side: int = Field(1600, ge=16, le=16383)
    """Longest side of a rendered overlay in pixels; larger images are shown smaller. WebP ends at 16,383."""

    batches: int = Field(4, ge=0)
    """Batches of one key that may be waiting or running at a time, or of one client where no keys are asked for; 0
    accepts none."""
    batches_bytes: int | None = Field(None, ge=1)
    """Of all batches, sent and answered, that lie on disk; twenty times `max_batch_bytes` where nothing is said."""
    batch_images: int = Field(500, ge=1)
    """Images in one batch."""
    max_batch_bytes: int = Field(100 * MEGABYTE, ge=1)
    """Of everything sent for one batch. It is kept in the system's temporary folder until the batch is over."""
    batch_seconds: float = Field(3600.0, gt=0)
    """How long a batch's results are kept once it is over."""

    @field_validator("cors_origins", "mcp_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(f"holds {origin!r}; origins such as https://notebook.example were expected, or *")
        return value

    @field_validator("root_path")
    @classmethod
    def _rooted(cls, value: str) -> str:
        if value and not value.startswith("/"):
            raise ValueError("must start with a slash, such as /lfi")
        return value.rstrip("/")

    @field_validator("address")
    @classmethod
    def _absolute(cls, value: str) -> str:
        if value and not re.match(r"https?://[^\s/?#@]+(/[^\s?#]*)?$", value):
            raise ValueError("must be an address without a query, such as https://lab.example/lfi")
        return value.rstrip("/")

    @field_validator("admin_token")
    @classmethod
    def _unguessable(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value()) < 16:
            raise ValueError("must have at least 16 characters; `openssl rand -hex 16` makes some")
        return value

    @field_validator("api_keys")
    @classmethod
    def _parsed_keys(cls, value: str) -> str:
        parse_keys(value)
        return value

    @field_validator("owners")
    @classmethod
    def _parsed_owners(cls, value: str) -> str:
        parse_keys(value, ROLES)
        return value

    @field_validator("rate_limit", "study_rate", "study_browser_rate")
    @classmethod
    def _parsed_rate(cls, value: str | None) -> str | None:
        parse_rates(value or "")
        return value

    @property
    def keys(self) -> tuple[Key, ...]:
        """Of `api_keys`."""
        return parse_keys(self.api_keys)

    @property
    def accounts(self) -> tuple[Key, ...]:
        """Who may sign in at `/admin`: of `admin_token` and `owners`."""
        token = self.admin_token.get_secret_value()
        own = (Key("owner", frozenset(("owner",)), digest(token)),) if token else ()
        return own + parse_keys(self.owners, ROLES)

    @property
    def rates(self) -> tuple[RateLimitItem, ...]:
        """Of `rate_limit`."""
        default = "" if is_loopback(self.host) else DEFAULT_RATES
        return parse_rates(default if self.rate_limit is None else self.rate_limit)

    @property
    def study_database(self) -> str:
        """The URL of the studies' database."""
        return self.database_url or f"sqlite:///{self.study_folder / 'study.db'}"

    @property
    def image_limits(self) -> ImageLimits:
        return ImageLimits(self.max_bytes, self.max_pixels, self.max_aspect)

    @property
    def word_limits(self) -> WordLimits:
        return WordLimits(self.max_words, self.max_phrase)

    @property
    def max_body(self) -> int:
        """Bytes of a whole request: one image, its form fields and the multipart frame."""
        return self.max_bytes + MEGABYTE

    @property
    def max_agent_body(self) -> int:
        """Bytes of an agent's request, which holds its image in base64: four for three."""
        return self.max_bytes * 4 // 3 + MEGABYTE

    @model_validator(mode="after")
    def _room_for_one(self) -> Self:
        if self.batches_bytes is not None and self.batches_bytes < 2 * self.max_batch_body:
            raise ValueError(
                f"LFI_BATCHES_BYTES is {self.batches_bytes}; a batch needs twice LFI_MAX_BATCH_BYTES and "
                f"{2 * MEGABYTE:,} more while it is sent, so at least {2 * self.max_batch_body:,} was expected"
            )
        return self

    @property
    def batches_room(self) -> int:
        """Bytes of all batches on disk."""
        return self.batches_bytes or 20 * self.max_batch_body

    @property
    def max_batch_body(self) -> int:
        """Bytes of a whole request for a batch."""
        return self.max_batch_bytes + MEGABYTE


def read_settings(**given: object) -> Settings:
    """Settings from the environment, and from `given` where it holds a value.

    Raises:
        ConfigError: for a value that is out of range or of the wrong type, naming the variable.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        wrong = "; ".join(_wrong(item) for item in error.errors())
        raise ConfigError(wrong) from error


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        return False
    return all(ipaddress.ip_address(str(where[0]).partition("%")[0]).is_loopback for *_, where in found)


_SECRETS = ("admin_token", "api_keys", "owners")
"""Never repeated in an error: somebody may have typed a key itself."""


def _wrong(item: Mapping[str, Any]) -> str:
    if not item["loc"]:  # of several together
        return str(item["msg"]).removeprefix("Value error, ")
    name = "_".join(str(part) for part in item["loc"]).removeprefix(_PREFIX).lower()
    if name in _SECRETS:
        return f"{name.replace('_', ' ')} ({_PREFIX}{name.upper()}): {item['msg'].removeprefix('Value error, ')}"
    return f"{name.replace('_', ' ')} ({_PREFIX}{name.upper()}) is {item['input']!r}: {item['msg'].lower()}"
