"""The power a device draws while it computes, sends and waits, and the energy of a frame.

The shipped values come from published measurements of whole boards with nothing plugged in. Boards, supplies, firmware,
radios and coolers differ by tens of percent: measure your own with a USB power meter where the answer matters, and give
it with ``--power``.

* Raspberry Pi 4 B: idle 540 mA (2.7 W), four busy cores 1280 mA (6.4 W) at 5 V: Jeff Geerling,
  https://www.pidramble.com/wiki/benchmarks/power-consumption. Raspberry Pi's own table says 0.6 A idle and 1.2 A under
  stress at 5.1 V (https://www.raspberrypi.com/documentation/computers/raspberry-pi.html#typical-power-requirements).
* Raspberry Pi 5 (8 GB, C1 stepping): idle 3.2 W, ``stress-ng`` 9.8 W; the 2 GB board of the D0 stepping 2.4 W and
  8.9 W: Jeff Geerling, https://www.jeffgeerling.com/blog/2024/new-2gb-pi-5-has-33-smaller-die-30-idle-power-savings.
  Linear algebra on all cores takes more, 11 W: https://github.com/geerlingguy/top500-benchmark/issues/18.
* Sending: nobody seems to have published what an upload alone takes. A Pi 4 that serves web pages, network and
  processor both busy, draws 5.1 W (the first source); the value here is the middle between that and idle, an
  *assumption*, and the Pi 5 gets the same 1.2 W above its idle power.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from partway.errors import InputError
from partway.partitioner.decide.estimate import Estimate


@dataclass(frozen=True, slots=True)
class Power:
    """Watts of the whole device while it computes, while it sends or receives, and while it waits for the cloud."""

    name: str
    compute_w: float
    send_w: float
    wait_w: float

    def __str__(self) -> str:
        return f"{self.name}: {self.compute_w:g} W computing, {self.send_w:g} W sending, {self.wait_w:g} W waiting"


POWERS = {
    "pi4": Power("Raspberry Pi 4", compute_w=6.4, send_w=3.9, wait_w=2.7),
    "pi5": Power("Raspberry Pi 5", compute_w=9.8, send_w=4.4, wait_w=3.2),
}
"""Shipped models by their ``--power`` name; the module's docstring gives sources and uncertainties."""

_PART = re.compile(r"(compute|send|wait)\s*=\s*([0-9]*\.?[0-9]+)\s*(m?)W", re.IGNORECASE)
_EXAMPLE = "compute=6.4W,send=4.1W,wait=2.7W"


def parse_power(text: str) -> Power:
    """``pi4``, ``compute=6.4W,send=4.1W,wait=2.7W``, or a shipped model with parts replaced: ``pi5,send=5W``.

    Raises InputError on anything else: an unknown name or part, a missing unit or part, a power that is not above zero.
    """
    first, *rest = (part.strip() for part in text.split(","))
    base = POWERS.get(first.lower())
    powers = dict(_part(part, text) for part in (rest if base else [first, *rest]))
    if base is not None:
        return replace(base, name=f"{base.name}, adapted", **powers) if powers else base
    missing = [name for name in ("compute", "send", "wait") if f"{name}_w" not in powers]
    if missing:
        raise InputError(f"power {text!r} lacks {' and '.join(missing)}; give all three, for example {_EXAMPLE}")
    return Power("the given device", powers["compute_w"], powers["send_w"], powers["wait_w"])


def _part(part: str, text: str) -> tuple[str, float]:
    match = _PART.fullmatch(part)
    watts = float(match[2]) * (1e-3 if match[3] else 1.0) if match else math.nan
    if match is None or not 0 < watts < math.inf:
        names = ", ".join(POWERS)
        raise InputError(f"power {text!r} is neither of {names} nor written like {_EXAMPLE} (watts above zero)")
    return f"{match[1].lower()}_w", watts


def power_of(machine: str) -> Power | None:
    """The shipped model of a machine by the name in its profile (``Raspberry Pi 5 Model B …``), None if there is none.

    Compute Modules and keyboards (400, 500) draw other currents than the boards measured and get none.
    """
    match = re.match(r"Raspberry Pi ([45]) Model B", machine)
    return POWERS[f"pi{match[1]}"] if match else None


def energy_j(estimate: Estimate, power: Power, rtt_s: float = 0.0) -> float:
    """Joules the device spends on one frame: computing, sending and receiving, waiting; idle power included.

    ``rtt_s`` is the link's round trip: of the time on the link that much is waiting and the rest transfer. Without it
    all of it counts as transfer, which errs upwards.
    """
    waits_s = min(rtt_s, estimate.link_s)
    busy_s = estimate.device_s
    return (
        busy_s * power.compute_w
        + (estimate.link_s - waits_s) * power.send_w
        + (waits_s + estimate.cloud_s) * power.wait_w
    )


def show_j(joules: float) -> str:
    """Joules for people."""
    return f"{joules:.3g} J" if joules >= 0.9995 else f"{joules * 1e3:.3g} mJ"
