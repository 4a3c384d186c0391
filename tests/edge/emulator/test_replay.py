"""partway bench: a trace replayed through real processes, and the figures made of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from partway.cli.main import main
from partway.edge.emulator.relay import Relay
from partway.edge.emulator.shaper import Shape, TracePace, capacity, read_trace
from partway.engines.fake import FakeEngine, fake_stage
from partway.engines.throttled import SlowEngine
from partway.proto.tensors import TensorSpec


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Twelve Mbit/s for a second: one opportunity a millisecond."""
    path = tmp_path / "steady.up"
    path.write_text("\n".join(str(ms) for ms in range(1, 1001)) + "\n")
    return path


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main(["bench", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_replay_is_reported_as_json_and_picture(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Frames go to a cloud in another process and back over the link: none is faster than its round trip."""
    pytest.importorskip("matplotlib")
    options = ("--trace", str(trace), "--rtt", "10ms", "--seconds", "0.6", "--split", "1", "--codec", "raw")
    code, out, _ = run("mnist", *options, "--json", "-", "--png", str(tmp_path / "p.png"), capsys=capsys)
    said = json.loads(out)
    figures = said["summary"]
    assert code == 0
    assert figures["frames"] == len(said["frames"]) == figures["by_cloud"] > 5
    assert said["splits"][0]["frames"] == figures["frames"]
    assert min(frame["total_s"] for frame in said["frames"]) >= 0.01
    assert {frame["cut"] for frame in said["frames"]} == {1}
    moments = [frame["at_s"] for frame in said["frames"]]
    assert moments == sorted(moments)
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_on_a_slow_link_a_fast_device_keeps_its_frames(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The decision is edge-run's: with 60 ms of round trip a tiny model stays here, and the table says so."""
    code, out, _ = run("mnist", "--trace", str(trace), "--rtt", "60ms", "--seconds", "0.3", capsys=capsys)
    assert code == 0
    assert "3 device" in out
    assert "steady.up, 60 ms round trip, split auto" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "either --trace FILE or --rate RATE"),
        (("--rate", "1Mbps", "--trace", "x"), "either --trace FILE or --rate RATE"),
        (("--trace", "nowhere.up"), "nowhere.up cannot be read"),
        (("--rate", "fast"), "needs a number and a unit"),
        (("--rate", "1Mbps", "--seconds", "0"), "--seconds must be greater than zero"),
        (("--rate", "1Mbps", "--fps", "-1"), "--fps must be greater than zero"),
        (("--rate", "1Mbps", "--fps", "5", "--when-behind", "block"), "does not wait: --when-behind"),
        (("--rate", "1Mbps", "--slow", "0"), "--slow must be 1 or more"),
        (("--rate", "1Mbps", "--split", "9", "--seconds", "1"), "split 9 is out of range"),
        (("--rate", "1Mbps", "--png", "no/where.png"), "there is no folder no"),
    ],
)
def test_what_cannot_be_replayed_is_one_sentence(
    arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, one line that says what to do."""
    code, out, err = run("mnist", *arguments, capsys=capsys)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


def test_a_camera_on_a_link_that_is_too_thin_drops_frames(capsys: pytest.CaptureFixture[str]) -> None:
    """A hundred frames a second over a link for twenty: what is not taken is dropped and counted, the rest answered."""
    options = ("--rate", "400kbps", "--fps", "100", "--seconds", "1", "--split", "1", "--codec", "raw", "--window", "1")
    code, out, _ = run("mnist", *options, "--json", "-", capsys=capsys)
    figures = json.loads(out)["summary"]
    assert code == 0
    assert figures["dropped"] > 10
    offered = 100  # fewer when the machine is late: the replay ends with its time
    assert offered * 0.6 <= figures["frames"] + figures["dropped"] <= offered
    assert figures["unanswered"] == 0


def test_a_trace_starts_over_when_told() -> None:
    """After rewind the first data meets the trace's beginning, whatever has passed."""
    pace = TracePace([1.0, 2.0, 10.0])
    assert pace.depart(100.0, 10) == 101.0
    assert pace.depart(105.0, 10) == 110.0
    pace.rewind()
    assert pace.depart(107.0, 10) == 108.0


def test_the_relay_rewinds_its_traces_and_leaves_rates_alone() -> None:
    """Both directions, through the relay's own command."""
    up, down = TracePace([0.5, 1.0]), TracePace([0.5, 1.0])
    up.depart(50.0, 10)
    with Relay(("127.0.0.1", 9), Shape(up), Shape(down)) as relay:
        relay.rewind()
    assert up.depart(60.0, 10) == 60.5


def test_what_a_trace_offers_is_counted_in_bins(trace: Path) -> None:
    """Twelve Mbit/s in every bin, round and round."""
    begins, rates = capacity(read_trace(trace), 3.0, 0.5)
    assert begins == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
    assert rates == pytest.approx([12e6] * 6, rel=0.01)


def test_a_slow_device_gives_the_same_answers_later() -> None:
    """The engine runs a stage as often as told, and nothing else changes."""
    runs: list[int] = []

    class Counting(FakeEngine):
        def load(self, stage: bytes) -> Any:
            loaded = super().load(stage)

            class Stage:
                inputs, outputs = loaded.inputs, loaded.outputs

                def run(self, values: Any) -> Any:
                    runs.append(1)
                    return loaded.run(values)

            return Stage()

    spec = TensorSpec("x", "float32", (None, 4)), TensorSpec("y", "float32", (None, 4))
    body, values = fake_stage(spec[:1], spec[1:]), {"x": np.ones((1, 4), np.float32)}
    slow = SlowEngine(Counting(), 5)
    found = slow.load(body).run(values)
    assert len(runs) == 5
    np.testing.assert_array_equal(found["y"], FakeEngine().load(body).run(values)["y"])
    assert (slow.name, slow.threads, slow.version) == ("fake", FakeEngine().threads, FakeEngine().version)
