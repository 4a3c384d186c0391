"""The counters of a real server in Prometheus' format."""

import numpy as np
from tests.support.pages import Pages
from tests.support.served import Client, request

from partway.cloud.models.repository import ServedModel
from partway.proto import messages as m

X = np.ones((1, 4), np.float32)


def test_frames_and_refusals_are_counted(pages: Pages) -> None:
    """By model, cut and codec; refusals by model and status."""
    before = pages.numbers()
    assert ("partway_frames_total", ("double", "0", "raw")) not in before
    with Client(pages.cloud.port) as client:
        for _ in range(3):
            client.infer(request("double", {"x": X}))
        client.stream([request("slow", {"x": X}, str(i)).SerializeToString() for i in range(4)])
        client.refusal("ModelInfer", request("nowhere", {"x": X}).SerializeToString())
        client.stream([request("slowly-broken", {"x": X}).SerializeToString(), b"\xff"])
    numbers = pages.numbers()
    assert numbers["partway_frames_total", ("double", "0", "raw")] == 3
    assert numbers["partway_frames_total", ("slow", "0", "raw")] == 4
    assert numbers["partway_frame_suffix_seconds_total", ("slow", "0", "raw")] > 0
    assert numbers["partway_refused_total", ("", "NOT_FOUND")] == 1
    assert numbers["partway_refused_total", ("slowly-broken", "INTERNAL")] == 1
    assert numbers["partway_refused_total", ("", "INVALID_ARGUMENT")] == 1
    assert numbers["partway_ready", ()] == 1
    assert numbers["partway_queue_seconds", ()] >= 0
    assert numbers["process_open_fds", ()] > 0


def test_audits_are_counted(pages: Pages, mnist: ServedModel) -> None:
    """The frames compared, and those with equal answers."""
    x = {mnist.plan.inputs[0]: np.zeros((1, 1, 28, 28), np.float32)}
    frame = request("mnist", x).SerializeToString()
    with Client(pages.cloud.port) as client:
        audit = m.AuditRequest(coded=frame, exact=frame).SerializeToString()
        client.call("Audit", audit, m.SPLIT_SERVICE)
    numbers = pages.numbers()
    assert numbers["partway_audit_frames_total", ("mnist", "0", "raw")] == 1
    assert numbers["partway_audit_agreed_total", ("mnist", "0", "raw")] == 1
