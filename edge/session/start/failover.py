"""If a cloud is lost before frames flow, the next one replaces it, or else the device goes on alone."""

from __future__ import annotations

import logging
from dataclasses import replace

from partway.edge.decision.constraints import may_answer_on_device
from partway.edge.pipeline.runner import Runner
from partway.edge.session.start.startup import Opened, Reached
from partway.errors import LinkLost
from partway.partitioner.decide.constraints import Constraints

log = logging.getLogger("partway.edge")


def fail_over(opened: Opened, runner: Runner, constraints: Constraints, error: LinkLost) -> Opened:
    """What to start with after the cloud is lost: ``reached`` is the next one, or None for the device alone.

    Raises LinkLost if the device may not or cannot answer alone.
    """
    serving = runner.next_cloud(error)
    if serving is not None:
        log.warning("%s; starting with the one at %s", error, serving.client.address)
        return replace(opened, reached=Reached(serving.client, serving.described, serving.client.address))
    if not opened.chain.complete or not may_answer_on_device(opened.chain.plan, constraints):
        raise LinkLost(f"{error}; there is no other cloud, and this device cannot answer alone")
    log.warning("%s; starting on the device alone", error)
    return replace(opened, reached=None)
