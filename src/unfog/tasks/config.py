"""The resolved configuration of a run: what config.json holds, and everything that loading needs to
know.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from unfog.errors import ArgumentError, RunError
from unfog.registry import unknown
from unfog.version import FORMAT, __version__


class Part(BaseModel):
    """Base of all parts: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TrainConfig(Part):
    """How the net is trained.

    Attributes:
        micro: rows of a batch that are computed at once; None = all.
        recompute: activations inside blocks are not kept but computed again in the backward pass.
        memory: bytes that the run may hold at its peak (on cuda: on the device); None = what there
            is.
        compile: a way of `model.compiled` in which updates go through torch's compiler; "auto"
            leaves it to the plan, "no" goes without.
        known: share of the training rows in which some columns, drawn at random, are known, so that
            the model can fill; tables only.
        augmentations: which of the kind's; all where empty.
        crop: share of the batches that are random crops, for nets on a grid, which are told where
            each lies.     crop_sizes: of a crop's sides over the grid's.
        looks: how often watchers look at the run, at even shares of its steps; 0 = never.
        choose: which weights the run ends with: the "last", or those of the lowest "heldout" loss
            where the last are clearly worse.
        stop_at: "copying" ends the run where samples begin to copy training items, with the weights
            from before; "never" only watches.
        weaker: share of the steps after which the averaged weights are stored as the weaker model
            that autoguidance turns away from; 0 = never.
        calibrate: rows, at most, that are drawn at the end to calibrate the marginals of a table's
            draws, and of a flow map its numbers' correlations; 0 = never.
        snapshots: how often the running average and a longer one are stored, so that the average
            over any length can be made afterwards; 0 = never.
        stable: targets that are means over the items of the batch that a noised state could have
            come from, in place of the one item's.
    """

    steps: int = Field(ge=1)
    batch: int = Field(ge=1)
    micro: int | None = Field(default=None, ge=1)
    recompute: bool = False
    memory: float | None = Field(default=None, gt=0)
    lr: float = Field(gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    betas: tuple[float, float] = (0.9, 0.99)
    clip: float = Field(default=1.0, gt=0)
    ema: float = Field(default=0.05, ge=0.001, le=0.28)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    augment: float = Field(default=0.0, ge=0, le=1)
    augmentations: tuple[str, ...] = ()
    known: float = Field(default=0.0, ge=0, le=1)
    crop: float = Field(default=0.0, ge=0, le=1)
    crop_sizes: tuple[float, ...] = (0.5, 0.25)
    precision: str = Field(default="float32", pattern="^(float32|bfloat16)$")
    compile: str = Field(default="auto", pattern="^(auto|no|kernels|graphs)$")
    threads: int = Field(default=1, ge=1)
    budget: float | None = Field(default=None, gt=0)
    shard: str = Field(default="ddp", pattern="^(ddp|fsdp)$")
    log_every: int = Field(default=20, ge=1)
    checkpoint_seconds: float = Field(default=60.0, gt=0)
    looks: int = Field(default=12, ge=0, le=1000)
    choose: str = Field(default="last", pattern="^(last|heldout)$")
    stop_at: str = Field(default="copying", pattern="^(copying|never)$")
    weaker: float = Field(default=0.0, ge=0, lt=1)
    calibrate: int = Field(default=0, ge=0)
    stable: bool = False
    snapshots: int = Field(default=0, ge=0, le=1000)


class ReflowConfig(Part):
    """A flow trained twice, on data and then on pairs that it drew itself.

    Attributes:
        first: share of the run's time or steps for the training on data.     draw: share of its
            training items' number of net evaluations that drawing pairs may take.
        solver_steps: of the two-step solver that draws pairs.
        pairs, before, after: how many pairs were drawn, and the straightness of the paths before
            and after, once they are known.
    """

    first: float = Field(default=0.55, gt=0, lt=1)
    draw: float = Field(default=0.1, gt=0, lt=1)
    solver_steps: int = Field(default=20, ge=1)
    pairs: int | None = Field(default=None, ge=1)
    before: float | None = None
    after: float | None = None


class FillingConfig(Part):
    """How holes in columns of categories are revealed.

    Attributes:
        schedule: of the masked share, a `Masking` schedule: "linear" as the model was trained, or
            "cosine", which keeps holes masked for longer.     reveal: which of a row's holes next.
    """

    schedule: str = Field(default="linear", pattern="^(linear|cosine)$")
    reveal: dict[str, Any] = {"name": "ancestral"}


class PlainConfig(Part):
    """Steps and their times, of draws whose marginals are corrected at each step."""

    steps: int = Field(ge=1)
    grid: dict[str, Any]


class DataConfig(Part):
    """Where the data came from and how it was read; the splits hold its fingerprint.

    Attributes:
        shown: of a table on disk, the rows that the run could come to: about so many are encoded.
    """

    source: str | None = None
    reading: dict[str, Any] = {}
    count: int = 0
    item: list[int] = []
    notes: list[str] = []
    origin: dict[str, Any] = {}
    shown: int | None = None


class Config(Part):
    """Everything, resolved. Families name their members by registry name.

    Attributes:
        filling: how `fill` reveals categories; runs of before it was here, as they were trained.
        plain: how a draw is made of which nothing is asked and whose marginals are calibrated;
            None = as any other.
        sampling_precision: what the net computes in to draw, on machines that are quick in it.
        scale: of guidance by conditions.     autoguidance: strength of guidance away from the
            weaker model of `train.weaker`; 1 = none.     interval: times between which that acts.
        path, target: of the state, or of its number fields where `fields` says that it is a dict.
        shape: of a state that is one tensor.
        fields: of a state that is a dict: name -> {"type": "number", "size": n} or {"type":
            "category", "sizes": [k, ...]}.
        start: where the weights began, if another run's: its folder, the SHA-256 of its manifest,
            its data, how many tensors were taken and which are new.
        flowmap: the objective that connects two times; None = an ordinary model.
        teacher: whose flow a flow map learns, if a run's: its folder, the SHA-256 of its manifest,
            and the guidance scale and autoguidance that are learnt with it.
    """

    format: int = FORMAT
    version: str = __version__
    kind: str
    given: list[str] = []
    recipe: str
    seed: int = 0
    device: str = "cpu"
    path: dict[str, Any]
    target: dict[str, Any]
    times: dict[str, Any]
    weight: dict[str, Any]
    coupling: dict[str, Any] = {"name": "independent"}
    schedule: dict[str, Any]
    grid: dict[str, Any]
    solver: dict[str, Any]
    corrector: dict[str, Any] = {"name": "none"}
    reveal: dict[str, Any] = {"name": "ancestral"}
    filling: FillingConfig = FillingConfig()
    sampling_steps: int = Field(ge=1)
    plain: PlainConfig | None = None
    sampling_precision: str = Field(default="float32", pattern="^(float32|bfloat16)$")
    eta: float = Field(default=0.0, ge=0, le=1)
    scale: float = Field(default=1.0, ge=0)
    autoguidance: float = Field(default=1.0, ge=1)
    interval: tuple[float, float] = (0.0, 1.0)
    net: dict[str, Any]
    space: dict[str, Any]
    sigma_data: float = Field(gt=0)
    shape: list[int]
    fields: dict[str, dict[str, Any]] = {}
    train: TrainConfig
    reflow: ReflowConfig | None = None
    flowmap: dict[str, Any] | None = None
    teacher: dict[str, Any] = {}
    data: DataConfig
    start: dict[str, Any] = {}
    versions: dict[str, str] = {}
    reasons: list[str] = []
    plan: dict[str, Any] = {}

    @field_validator("interval")
    @classmethod
    def _two_times(cls, value: tuple[float, float]) -> tuple[float, float]:
        return checked_interval(*value)

    @property
    def plain_steps(self) -> int:
        """Of a draw of which nothing is asked, where its marginals are calibrated."""
        return self.sampling_steps if self.plain is None else self.plain.steps

    @property
    def steps_said(self) -> str:
        """How many steps a draw takes, in words."""
        said = f"{self.sampling_steps} steps"
        if self.plain is None or not self.train.calibrate:
            return said
        return f"{self.plain.steps} steps ({self.sampling_steps} where anything is asked)"

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


def checked_interval(low: float, high: float) -> tuple[float, float]:
    """Two times between which a guide acts. Raises ArgumentError."""
    if not 0 <= low < high <= 1:
        raise ArgumentError(
            f"interval is two times, 0 <= low < high <= 1, 0 = data; got {low:g}, {high:g}"
        )
    return float(low), float(high)


def complaint(error: ValidationError) -> str:
    """The first thing that does not fit, in one line: which key, what is wrong, what it was."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}; got {first['input']!r}"


def parse(content: Any, source: str) -> Config:
    """The configuration in a config.json. Raises RunError for a newer format, an unknown or bad
    key.
    """
    if not isinstance(content, dict):
        raise RunError(f"{source} is not a configuration; the file was altered")
    written = content.get("format")
    if isinstance(written, int) and written > FORMAT:
        raise RunError(
            f"{source} was written by unfog {content.get('version')} in run format {written}; "
            f"this is unfog {__version__}, which reads up to format {FORMAT}: update unfog"
        )
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        raise RunError(
            f"{source} does not fit: {complaint(error)}; the file was altered"
        ) from error


def resolved(content: dict[str, Any]) -> Config:
    """The configuration of this content. Raises ArgumentError for what a user asked wrongly."""
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        raise ArgumentError(f"the configuration does not fit: {complaint(error)}") from error


def override(content: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """A configuration dict with `--set` values put in: dotted keys, for example net.width.

    Naming a family's member afresh (`path=cosine` or `path.name=cosine`) drops its former options.
    Raises: UnknownName or ArgumentError for a key that is not there.
    """
    content = json.loads(json.dumps(content))
    for key, value in settings.items():
        *way, last = key.split(".")
        place = content
        for part in way:
            if not isinstance(place.get(part), dict):
                raise ArgumentError(unknown("setting", key, _keys(content)))
            place = place[part]
        inside_member = bool(way) and "name" in place
        if not inside_member and last not in place:
            raise ArgumentError(unknown("setting", key, _keys(content)))
        if isinstance(place.get(last), dict) and "name" in place[last] and isinstance(value, str):
            place[last] = {"name": value}
        elif last == "name" and inside_member and place["name"] != value:
            place.clear()
            place["name"] = value
        else:
            place[last] = value
    return content


def _keys(content: dict[str, Any], before: str = "") -> list[str]:
    keys = []
    for key, value in content.items():
        keys.append(before + key)
        if isinstance(value, dict):
            keys += _keys(value, f"{before}{key}.")
    return keys


def setting(text: str) -> tuple[str, Any]:
    """One `key=value` of --set; the value is JSON where it can be, else a string."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ArgumentError(f"--set takes key=value, for example net.width=128; got {text!r}")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


def seconds(budget: str | float) -> float:
    """A duration such as 90s, 10m, 1.5h (or a number of seconds), in seconds."""
    if isinstance(budget, (int, float)):
        amount, unit = float(budget), "s"
    else:
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|m|h|)\s*", budget)
        if not match:
            raise ArgumentError(f"a budget is a duration such as 90s, 10m or 2h; got {budget!r}")
        amount, unit = float(match[1]), match[2] or "s"
    total = amount * {"s": 1, "m": 60, "h": 3600}[unit]
    if not 1 <= total <= 30 * 24 * 3600:
        raise ArgumentError(f"a budget lies between 1s and 720h; got {budget!r}")
    return total
