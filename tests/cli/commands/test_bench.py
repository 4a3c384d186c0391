"""``partway bench``: a trace replayed through real processes."""

import json
from pathlib import Path

import pytest

from partway.cli.commands.bench import add_arguments
from partway.cli.main import main
from partway.edge.options import BENCH, Options
from partway.system.arguments import Parser
from partway.system.option_table import rows


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Twelve Mbit/s for a second: one opportunity a millisecond."""
    path = tmp_path / "steady.up"
    path.write_text("\n".join(str(ms) for ms in range(1, 1001)) + "\n")
    return path


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a replay."""
    code = main(["bench", *arguments])
    output = capsys.readouterr()
    return code, output.out, output.err


def test_a_replay_is_reported_as_json_and_picture(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Frames go to a cloud in another process and back over the link: none is faster than its round trip."""
    pytest.importorskip("matplotlib")
    options = ("--trace", str(trace), "--rtt", "10ms", "--seconds", "0.6", "--split", "1", "--codec", "raw")
    code, out, _ = run("mnist", *options, "--json", "-", "--png", str(tmp_path / "p.png"), capsys=capsys)
    report = json.loads(out)
    figures = report["summary"]
    assert code == 0
    assert figures["frames"] == len(report["frames"]) == figures["by_cloud"] > 5
    assert report["splits"][0]["frames"] == figures["frames"]
    assert min(frame["total_s"] for frame in report["frames"]) >= 0.01
    assert {frame["cut"] for frame in report["frames"]} == {1}
    moments = [frame["at_s"] for frame in report["frames"]]
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


def test_the_options_of_a_run_are_those_of_the_table() -> None:
    """Flags and metavars are edge-run's; what differs are a replay's own defaults."""
    parser = Parser("bench")
    add_arguments(parser)
    args = vars(parser.parse_args(["mnist"]))
    table = rows(Options, BENCH)
    assert {row.flag for row in table} == {
        *("--model", "--split", "--input", "--codec", "--deadline"),
        *("--when-behind", "--window", "--threads", "--cache"),
    }
    assert {name: args[name] for name in ("threads", "window", "when_behind", "split", "codec", "inputs")} == {
        **{"threads": 1, "window": None, "when_behind": None, "split": "auto", "codec": "auto", "inputs": []}
    }
    flags = {action.dest: (action.option_strings, action.metavar) for action in parser._actions}
    assert all(flags[row.name] == ([row.flag], row.metavar) for row in table if not row.required)


@pytest.mark.parametrize(
    "words", [("--codec", "zip9"), ("--threads", "-1"), ("--window", "0"), ("--when-behind", "wait")]
)
def test_values_are_checked_as_edge_run_checks_them(words: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence names the flag or the value."""
    code, _, err = run("mnist", "--rate", "1Mbps", *words, capsys=capsys)
    assert code == 2 and err.count("\n") == 1
    assert words[0] in err or words[1] in err
