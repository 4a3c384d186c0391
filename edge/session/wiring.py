"""Puts together what adapts while frames flow: the choice, the clouds it looks after, the window, the guard."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from partway.edge.decision.decision import Decision
from partway.edge.decision.split_controller import Recut
from partway.edge.discovery.neighbours import Neighbours
from partway.edge.options import Options
from partway.edge.pipeline.encoder import Packer
from partway.edge.session.startup import Opened
from partway.partitioner.plan.plan import Plan

if TYPE_CHECKING:
    from partway.edge.decision.audit import Auditor
    from partway.edge.transport.failover import KnownClouds


def addresses(cloud: str) -> list[str]:
    """Those that ``--cloud`` names; none for auto, embedded and none."""
    return cloud.split(",") if ":" in cloud else []


def clouds_of(opened: Opened, options: Options) -> KnownClouds | None:
    """Those that were named, or those that zeroconf finds, now and later; None without a cloud."""
    reached, plan = opened.reached, opened.chain.plan
    if reached is None:
        return None
    from partway.edge.transport.failover import KnownClouds

    found = None if opened.search is None else Neighbours(opened.search, plan, options.access)
    return KnownClouds(reached.client, addresses(options.cloud), plan, found, opened.embedded)


def recut_of(
    decision: Decision, plan: Plan, options: Options, clouds: KnownClouds | None, waiting: Callable[[], bool]
) -> Recut:
    """The choice before each frame: among what is admitted with ``--split auto``, else what was asked for.

    A link that was asked for (``--bandwidth``, ``--rtt``) fixes the choice, too. The link is probed when frames tell
    nothing of it and none is ``waiting`` for its answer: behind a long frame of ours, a probe would find a slow link.
    """
    free = options.split == "auto" and decision.link_measured
    link = decision.link if clouds is not None else None
    chosen = decision.chosen.candidate
    recut = Recut(decision.estimates, chosen, decision.ranking.objective, plan, link, free)
    recut.adapts_window = options.window is None
    if clouds is not None:
        recut.probes = clouds.probes
        if chosen.codec is not None or free:
            clouds.watch(link, lambda: not waiting() and recut.idle(), recut.relinked, recut.reach)
    return recut


def auditor_of(options: Options, packer: Packer, clouds: KnownClouds | None) -> Auditor | None:
    """The guard on lossy codecs, where one is wanted and there is a cloud. It starts a thread; close it."""
    if not options.audit or clouds is None:
        return None
    from partway.edge.decision.audit import Auditor

    calibrated = {(entry.get("k"), entry.get("codec")): entry.get("relative_error") for entry in packer.plan.candidates}
    return Auditor(
        packer,
        options.audit,
        1 - options.constraints.max_drop / 100,
        lambda: clouds.address,
        lambda candidate: calibrated.get((candidate.k, candidate.codec)),
        options.codec == "auto",
        lambda: clouds.access,
    )
