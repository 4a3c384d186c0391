"""The options of edge-run and of Session: one table, and the checked values that a run uses.

The fields of ``Options``, ``Wishes``, ``DecisionOptions`` and ``AccessOptions`` carry the table. ``partway.edge.main``
builds its parser from it, ``Session`` has arguments of the same names, ``scripts/option-docs`` writes docs/options.md.
Values are checked before anything is loaded. This module does not import NumPy before it checks values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from partway.edge.sources.source import SourceSettings
from partway.edge.transport.access.access import OPEN, Access
from partway.edge.transport.access.options import AccessOptions, access_options
from partway.edge.transport.address import parse_address
from partway.engines.registry import engine_names
from partway.errors import InputError
from partway.partitioner.decide.constraints import Constraints
from partway.partitioner.decide.objectives import Objective, objective
from partway.partitioner.decide.options import MAX_DROP, DecisionOptions, decision_options
from partway.partitioner.plan.model_file.wishes import MODEL_OPTIONS, NO_WISHES, Wishes, wishes_of
from partway.system.option_table import Option, amount, checked, one_of, option, path, rows, switch, text, texts, whole
from partway.units import parse_bps, parse_s

BENCH = "partway bench"
_both, _edge_run = partial(option, programs=("edge-run", "Session")), partial(option, programs=("edge-run",))
_also_bench = partial(option, programs=("edge-run", "Session", BENCH))
_not_session = partial(option, programs=("edge-run", BENCH))
MOST_WINDOW = 64
CLOUD_WORDS = ("auto", "embedded", "none")
CODEC_HELP = "raw, fp16, zstd, qBITS, cBITS, sSTEP, tPERCENT; at split 0 also u8, png, webp-lossless, jpegQ, webpQ"
"""A copy of the registry's ``codec_help``, because parsing options must not import NumPy."""


def _cloud(value: Any, flag: str) -> str:
    """One of CLOUD_WORDS, or addresses with ports: text with commas, or a sequence of texts."""
    from partway.plugins import did_you_mean

    if value in CLOUD_WORDS:
        return str(value)
    addresses = value.split(",") if isinstance(value, str) else list(texts(value, flag))
    for address in addresses:
        if ":" not in address and (near := did_you_mean(address, CLOUD_WORDS)):
            raise InputError(f"{flag} {address!r} is neither {', '.join(CLOUD_WORDS)} nor HOST:PORT{near}")
    return ",".join(parse_address(address) for address in addresses)


def _codec(value: Any, flag: str) -> str:
    from partway.proto.codecs.registry import check_codec

    codec = text(value, flag)
    check_codec(codec)
    return codec


def _share(value: Any, flag: str) -> float:
    """``1%`` or ``0.01``, 0 to 1."""
    share_text = str(value)
    number, scale = (share_text[:-1], 100.0) if share_text.endswith("%") else (share_text, 1.0)
    try:
        share = float(number) / scale
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise InputError(f"{flag} is a share of the frames, for example 1%, not {value!r}")
    return share


def _window(value: Any, flag: str) -> int | None:
    return None if value == "auto" else int(whole(1, MOST_WINDOW, ", or auto")(value, flag))


def _shape(value: Any, flag: str) -> tuple[int, ...]:
    from partway.edge.sources.stdin import parse_shape

    return parse_shape(text(value, flag))


def _hop(value: Any, flag: str) -> tuple[int, int]:
    """``512`` or ``512+64``: new samples, and samples repeated from before."""
    from partway.edge.sources.audio.waveform import parse_hop

    return parse_hop(text(value, flag), flag)


def _order(value: Any, flag: str) -> bool:
    return bool(one_of("source", "as-answered")(value, flag) == "source")


@dataclass(frozen=True, slots=True)
class Options:
    """The checked options of a run. ``cloud``: auto, embedded, none or addresses with ports.

    ``window`` None adapts it. ``in_order`` False yields results as soon as they are answered. ``audit`` is the share of
    coded frames, 0 to 1, whose answers the cloud compares with those to exact values. ``notes`` state assumptions.
    ``wishes`` describe a model file.
    ``patient`` waits for a camera that cannot be reached yet.
    """

    model: str = field(
        metadata=_also_bench(
            "--model",
            text,
            "a name (see `partway models`), an .onnx or .tflite file, a plan's folder, or a name the cloud knows",
            "MODEL",
        )
    )
    random_weights: bool = field(
        default=False,
        metadata=_both("--random-weights", switch, "a model by name with random weights: no download"),
    )
    split: str = field(
        default="auto",
        metadata=_also_bench(
            "--split", text, "where to cut (default: auto, by measurement)", "auto|device|cloud|K|VALUE"
        ),
    )
    cloud: str = field(
        default="auto",
        metadata=_both(
            "--cloud",
            _cloud,
            "default: look for one by zeroconf, else embedded; the port is 8001 unless given; of several, the next"
            " takes over when one is lost",
            "auto|embedded|none|HOST[:PORT][,HOST[:PORT]…]",
        ),
    )
    inputs: tuple[str, ...] = field(
        default=(),
        metadata=_not_session(
            "--input",
            texts,
            "pictures, folders, a watched folder, IDX, .npz, videos, audio, a camera, a microphone, standard input"
            " (repeatable)",
            "FILE|DIR|watch:DIR|camera:N|URL|mic:N|-",
        ),
    )
    stdin_shape: tuple[int, ...] | None = field(
        default=None,
        metadata=_edge_run(
            "--stdin-shape", _shape, "--input - is raw uint8 pictures of this shape (default: .npy after .npy)", "HxWxC"
        ),
    )
    hop: tuple[int, int] | None = field(
        default=None,
        metadata=_edge_run(
            "--hop",
            _hop,
            "samples of audio that each frame adds, and samples before them that it repeats (default: by the model)",
            "SAMPLES[+BEFORE]",
        ),
    )
    rate_hz: int | None = field(
        default=None,
        metadata=_edge_run(
            "--rate", whole(1000, 768_000), "the sample rate in Hz that the model expects of audio", "HZ"
        ),
    )
    frames: int | None = field(
        default=None,
        metadata=_edge_run(
            "--frames", whole(1), "number of frames, cycling through the input (default: each once)", "N"
        ),
    )
    codec: str = field(
        default="auto",
        metadata=_also_bench("--codec", _codec, f"{CODEC_HELP} (default: auto)", "NAME"),
    )
    bandwidth_bps: float | None = field(
        default=None,
        metadata=_both(
            "--bandwidth",
            amount(parse_bps, "bits per second"),
            "decide for this bandwidth instead of the measured one, for example 2Mbps",
            "RATE",
        ),
    )
    rtt_s: float | None = field(
        default=None,
        metadata=_both(
            "--rtt",
            amount(parse_s, "seconds", zero=True),
            "decide for this round trip instead of the measured one, for example 40ms",
            "TIME",
        ),
    )
    deadline_s: float | None = field(
        default=None,
        metadata=_also_bench(
            "--deadline",
            amount(parse_s, "seconds", zero=True),
            "time limit of a frame; the half that can keep it answers, otherwise the frame is missed",
            "TIME",
        ),
    )
    when_behind: str = field(
        default="block",
        metadata=_not_session(
            "--when-behind",
            one_of("block", "drop-oldest", "drop-newest"),
            "when frames come faster than they are answered (default: block: the source waits)",
            "block|drop-oldest|drop-newest",
        ),
    )
    in_order: bool = field(
        default=True,
        metadata=_edge_run("--order", _order, "the order of the results (default: source)", "source|as-answered"),
    )
    window: int | None = field(
        default=None,
        metadata=_also_bench("--window", _window, "requests in flight at once (default: by the link)", "auto|N"),
    )
    batch: int = field(
        default=1, metadata=_both("--batch", whole(1, 64), "frames per request, for throughput (default: 1)", "N")
    )
    threads: int = field(
        default=0,
        metadata=_also_bench(
            "--threads", whole(0, note=" (all cores)"), "threads per inference (default: all cores)", "N"
        ),
    )
    engine: str = field(
        default="auto",
        metadata=_both(
            "--engine",
            text,
            "engine of the device's stages (default: by the model; the cloud chooses its own)",
            "|".join(("auto", *engine_names())),
        ),
    )
    cache: Path | None = field(
        default=None,
        metadata=_also_bench("--cache", path, "where fetched stages are kept (default: ~/.cache/partway)", "DIR"),
    )
    timeout_s: float = field(
        default=5.0,
        metadata=_both(
            "--timeout",
            amount(parse_s, "seconds", zero=True),
            "how long to wait for a cloud to answer (default: 5s)",
            "TIME",
        ),
    )
    audit: float = field(
        default=0.0,
        metadata=_both(
            "--audit",
            _share,
            "send this share of lossily coded frames again without loss, and withdraw a codec whose answers differ more"
            " often than --max-drop allows, for example 1% (default: none)",
            "SHARE",
        ),
    )
    objective: Objective = objective()  # noqa: RUF009 - frozen
    constraints: Constraints = Constraints(max_drop=MAX_DROP)  # noqa: RUF009 - frozen
    notes: tuple[str, ...] = ()
    access: Access = OPEN
    wishes: Wishes = NO_WISHES
    patient: bool = False

    def source_settings(self) -> SourceSettings:
        """What these options say about reading inputs."""
        return SourceSettings(self.stdin_shape, self.hop, self.rate_hz, self.patient)


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """How edge-run prints its results, and what it writes of them."""

    json: str | None = field(
        default=None,
        metadata=_edge_run(
            "--json",
            text,
            "write everything as one JSON object; - is standard output, and prints nothing else",
            "FILE|-",
        ),
    )
    service: bool = field(
        default=False,
        metadata=_edge_run("--service", switch, "run until SIGTERM, a line a frame (of JSON with --json); for systemd"),
    )
    save_outputs: Path | None = field(
        default=None,
        metadata=_edge_run(
            "--save-outputs",
            path,
            "write the model's outputs, one .npz a frame; --json names the file, without the values of tensors",
            "DIR",
        ),
    )
    save_pictures: Path | None = field(
        default=None,
        metadata=_edge_run("--save-pictures", path, "draw each answer on its picture and write it as .jpg", "DIR"),
    )

    @property
    def saves(self) -> bool:
        """Whether files of frames are to be written."""
        return self.save_outputs is not None or self.save_pictures is not None


OUTPUT: tuple[Option, ...] = rows(OutputOptions)
TABLE: tuple[Option, ...] = (*rows(Options), *MODEL_OPTIONS, *rows(DecisionOptions), *rows(AccessOptions))
"""Every option of a run."""


def output_of(values: Mapping[str, Any]) -> OutputOptions:
    """Check how results are printed and written. Raises InputError."""
    return OutputOptions(**checked(OUTPUT, values))


def options_of(values: Mapping[str, Any]) -> Options:
    """Check values by option name; each is text, as on a command line, or a Python value. Raises InputError."""
    own, decision, wishes = checked(rows(Options), values), decision_options(values), wishes_of(values)
    from partway.partitioner.profile.measure import machine_name

    chosen_objective, notes = decision.objective_on(machine_name())
    access = OPEN if own["cloud"] in ("embedded", "none") else access_options(values).access()
    constraints = decision.constraints()
    return Options(
        **own, objective=chosen_objective, constraints=constraints, notes=notes, access=access, wishes=wishes
    )
