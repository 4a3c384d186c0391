"""From a model file to a profile per operator, as a user makes one."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partway.cli.commands import explain as explain_command
from partway.cli.commands import profile as profile_command
from partway.engines.interface import OperatorTiming
from partway.errors import InputError
from partway.partitioner.plan.plan_file import load_plan
from partway.partitioner.profile.file import OVERHEAD, load_profile
from partway.partitioner.profile.operators import fitted
from partway.partitioner.zoo import model_folder
from partway.system.arguments import Parser

ROOMS = Path(__file__).parents[3] / "src"
BLOCKED = ("onnx", "torch", "scipy", "networkx", "matplotlib")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that runs tests is a busy one; what the limit does has tests of its own."""
    monkeypatch.setattr("partway.partitioner.profile.measure.BUSY_SPREAD", math.inf)
    monkeypatch.setattr("partway.partitioner.profile.measure.BUSY_WAIT", math.inf)


@pytest.fixture
def profile() -> Callable[..., int]:
    """``partway profile`` with these arguments."""

    def call(*arguments: str) -> int:
        parser = Parser()
        profile_command.add_arguments(parser)
        return profile_command.run(parser.parse_args([*arguments, "--runs", "20", "--threads", "1"]))

    return call


Profile = Callable[..., int]


def test_the_shipped_model_has_a_profile_per_operator(
    profile: Profile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every operator by the model's name, adding up to each stage; printed as a table, the overhead too."""
    assert profile("mnist", "--operators", "--out", str(tmp_path / "p.json")) == 0
    plan = load_plan(model_folder("mnist"))
    read = load_profile(tmp_path / "p.json", plan)
    for k, seconds in enumerate(read.stage_s):
        mine = [one for one in read.operators if one.stage == k]
        assert sum(one.time_s for one in mine) == pytest.approx(seconds)
        named = {name for one in mine for name in (one.fused or [one.name]) if name}
        assert len(named) == plan.stages[k].operators
        assert [one.kind for one in mine].count(OVERHEAD) == 1
    conv = next(one for one in read.operators if one.name == "conv5")
    assert (conv.kind, conv.stage) == ("Conv", 1)
    out = capsys.readouterr().out
    assert "conv5" in out and "slowest of" in out and "longer" in out


def test_the_profile_can_be_had_as_json_alone(profile: Profile, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json nothing else is printed; without --operators there are none."""
    assert profile("--model", "mnist", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["model"], len(data["stage_s"]), "operators" in data) == ("mnist", 3, False)


def test_a_model_file_is_sliced_for_its_profile(profile: Profile, tmp_path: Path) -> None:
    """Its operators keep the names that they have in the model, or get the graph's; nothing else is left behind."""
    onnx = pytest.importorskip("onnx")
    from tests.support.architectures import residual

    from partway.partitioner.slicing import read_graph

    model = residual().model
    model.graph.node[4].name = ""
    onnx.save(model, tmp_path / "net.onnx")
    assert profile(str(tmp_path / "net.onnx"), "--operators", "--out", str(tmp_path / "p.json")) == 0
    data = json.loads((tmp_path / "p.json").read_text())
    named = {name for one in data["operators"] for name in (one["fused"] or [one["name"]]) if name}
    assert named == {operator.name for operator in read_graph(tmp_path / "net.onnx").operators}
    assert "Relu_4" in named


def test_explain_draws_the_operators_of_a_real_profile(
    profile: Profile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page has the chart of time per operator."""
    pytest.importorskip("matplotlib")
    path = tmp_path / "p.json"
    profile("mnist", "--operators", "--out", str(path))
    parser = Parser()
    explain_command.add_arguments(parser)
    page = tmp_path / "page.html"
    given_ = ["mnist", "--profile", str(path), "--cloud-profile", str(path), "--html", str(page)]
    assert explain_command.run(parser.parse_args(given_)) == 0
    text = page.read_text(encoding="utf-8")
    assert "Time per operator" in text
    capsys.readouterr()


NO_TOOLING = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {BLOCKED!r}:
            raise ImportError(f"{{name}} is not on this device")
sys.meta_path.insert(0, Blocked())
from partway.partitioner.profile import measure as profile
profile.BUSY_SPREAD = profile.BUSY_WAIT = 1e9
from partway.cli.main import main
code = main(sys.argv[1:])
assert not {{name.split(".")[0] for name in sys.modules}} & set({BLOCKED!r})
sys.exit(code)
"""


def test_a_device_without_model_tooling_profiles_operators(tmp_path: Path) -> None:
    """Only ONNX Runtime and numpy: importing onnx or torch would fail."""
    arguments = ["profile", "mnist", "--operators", "--runs", "10", "--out", str(tmp_path / "p.json")]
    done = subprocess.run(
        [sys.executable, "-c", NO_TOOLING, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PYTHONPATH": str(ROOMS), "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    assert load_profile(tmp_path / "p.json", load_plan(model_folder("mnist"))).operators


def test_a_busy_machine_gives_no_profile(profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of either kind: the sentence says what to do, and no file is written."""
    monkeypatch.setattr("partway.partitioner.profile.measure.BUSY_SPREAD", -1.0)
    for more in ([], ["--operators"]):
        with pytest.raises(InputError, match=r"machine was busy.*stop other work and try again"):
            profile("mnist", "--out", str(tmp_path / "p.json"), *more)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nosuch"], "unknown model 'nosuch'"),
        (["mnist", "--seconds", "nan"], "--seconds more than 0"),
        (["mnist", "--out", "/nowhere/p.json"], "give another --out"),
    ],
)
def test_bad_input_is_one_sentence(profile: Profile, arguments: list[str], says: str) -> None:
    """An InputError that says what was wrong."""
    with pytest.raises(InputError, match=says):
        profile(*arguments)


@pytest.mark.parametrize("runs", ["0", "4", "100001"])
def test_the_number_of_runs_has_bounds(runs: str) -> None:
    """Fewer would have no spread to speak of."""
    parser = Parser()
    profile_command.add_arguments(parser)
    with pytest.raises(InputError, match="--runs must be 5 to 100000"):
        profile_command.run(parser.parse_args(["mnist", "--runs", runs]))


def test_an_engine_that_cannot_time_operators_says_so(profile: Profile, fake_plan: Path) -> None:
    """The fake engine's stages have none."""
    with pytest.raises(InputError, match="engine fake does not time operators; leave out --operators"):
        profile(str(fake_plan), "--operators")
    assert profile(str(fake_plan)) == 0


def test_what_a_stage_takes_besides_its_operators_is_overhead() -> None:
    """Operators that take less than the stage are left as they are."""
    rows = fitted(
        2, [OperatorTiming("a", "Conv", 3.0, 1, ("a", "b")), OperatorTiming(None, "ReorderOutput", 1.0, 1)], 5.0
    )
    assert [(row.name, row.kind, row.time_s, row.stage) for row in rows] == [
        ("a", "Conv", 3.0, 2),
        (None, "ReorderOutput", 1.0, 2),
        (None, OVERHEAD, 1.0, 2),
    ]
    assert rows[0].fused == ("a", "b")


def test_the_profilers_own_cost_is_taken_off_every_kernel() -> None:
    """The same from each call while that is plausible, the rest in proportion."""
    seen = [
        OperatorTiming("a", "Conv", 10.0, 1),
        OperatorTiming("b", "Relu", 2.0, 1),
        OperatorTiming("c", "Block", 4.0, 2),
    ]
    assert [row.time_s for row in fitted(0, seen, 12.0)] == pytest.approx([9.0, 1.0, 2.0, 0.0])
    assert [row.time_s for row in fitted(0, seen, 4.0)] == pytest.approx([4.0, 0.0, 0.0, 0.0])


TIMES = st.floats(0, 10, allow_subnormal=False)


@given(seen=st.lists(st.tuples(TIMES, st.integers(0, 3)), max_size=6), stage_s=TIMES)
def test_operators_and_overhead_always_add_up_to_the_stage(seen: list[tuple[float, int]], stage_s: float) -> None:
    """Whatever the profiler saw, nothing is negative and nothing is lost."""
    given_: list[Any] = [OperatorTiming(str(at), "Conv", s, calls) for at, (s, calls) in enumerate(seen)]
    rows = fitted(0, given_, stage_s)
    assert len(rows) == len(seen) + 1
    assert all(row.time_s >= 0 for row in rows)
    assert sum(row.time_s for row in rows) == pytest.approx(stage_s, abs=1e-9)
