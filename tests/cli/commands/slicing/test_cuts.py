"""``partway cuts`` of a real ONNX file."""

import json

import pytest

from partway.cli.main import main
from partway.partitioner.zoo import model_folder

pytest.importorskip("onnx")
MODEL = str(model_folder("mnist") / "stage0.onnx")


def test_cuts_are_listed_in_the_order_of_the_graph(capsys: pytest.CaptureFixture[str]) -> None:
    """The time before a cut grows from one to the next, and every cut has its bytes at every level."""
    assert main(["cuts", "--model", MODEL, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    shares = [cut["time_share"] for cut in found["cuts"]]
    assert shares == sorted(shares) and 0 <= shares[0] < shares[-1] <= 1
    for cut in found["cuts"]:
        assert list(cut["coded_bytes"]) == found["levels"]
        assert 0 < cut["coded_bytes"]["q4"] < cut["bytes"]
    assert found["bytes_from"] == "measured on 2 generated pictures"
    assert found["times_from"] == "measured here, operator by operator"
    assert found["picture_bytes"]["jpeg75"] < 28 * 28
    assert {row["objective"] for row in found["regrets"]} == {"latency", "frames/s"}


def test_a_model_that_no_cut_pays_for_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """It takes a tenth of a millisecond; all legal cuts are shown when asked for."""
    assert main(["cuts", MODEL]) == 0
    assert "no cut pays" in capsys.readouterr().out
    assert main(["cuts", MODEL, "--all"]) == 0
    assert "(7 legal)" in capsys.readouterr().out


def test_calibration_inputs_that_are_missing_are_an_input_error(capsys: pytest.CaptureFixture[str]) -> None:
    """As for `partway plan`."""
    assert main(["cuts", MODEL, "--calibrate", "nowhere"]) == 2
    assert "--calibrate nowhere is no folder" in capsys.readouterr().err
