"""Puts together what adapts while frames flow: the choice, the clouds it looks after, the window, the guard."""

from __future__ import annotations

from time import perf_counter

from partway.edge.audit import Auditor
from partway.edge.clouds import KnownClouds
from partway.edge.decision import Decision
from partway.edge.lookout import IDLE_S
from partway.edge.options import Options
from partway.edge.packing import Packer
from partway.edge.recut import Recut
from partway.partitioner.plan import Plan


def addresses(cloud: str) -> list[str]:
    """Those that ``--cloud`` names; none for auto, embedded and none."""
    return cloud.split(",") if ":" in cloud else []


def recut_of(decision: Decision, plan: Plan, options: Options, clouds: KnownClouds | None) -> Recut:
    """The choice before each frame: among what is admitted with ``--split auto``, else what was asked for.

    A link that was asked for (``--bandwidth``, ``--rtt``) fixes the choice, too.
    """
    free = options.split == "auto" and decision.link_measured
    link = decision.link if clouds is not None else None
    chosen = decision.chosen.candidate
    recut = Recut(decision.estimates, chosen, decision.ranking.objective, plan, link, free)
    recut.adapts_window = options.window is None
    if clouds is not None:
        recut.probes = clouds.probes
        if chosen.codec is not None or free:
            clouds.watch(link, lambda: perf_counter() - recut.link.updated_s > IDLE_S, recut.relinked)
    return recut


def auditor_of(options: Options, packer: Packer, clouds: KnownClouds | None) -> Auditor | None:
    """The guard on lossy codecs, where one is wanted and there is a cloud. It starts a thread; close it."""
    if not options.audit or clouds is None:
        return None
    calibrated = {(entry.get("k"), entry.get("codec")): entry.get("relative_error") for entry in packer.plan.candidates}
    return Auditor(
        packer,
        options.audit,
        1 - options.constraints.max_drop / 100,
        lambda: clouds.address,
        lambda candidate: calibrated.get((candidate.k, candidate.codec)),
        options.codec == "auto",
        clouds.access,
    )
