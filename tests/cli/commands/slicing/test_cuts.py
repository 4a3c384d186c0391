"""``partway cuts`` of a real ONNX file."""

import json

import pytest

from partway.cli.main import main
from partway.partitioner.zoo import model_folder

pytest.importorskip("onnx")
MODEL = str(model_folder("mnist") / "stage0.onnx")


def test_cuts_are_listed_in_the_order_of_the_graph(capsys: pytest.CaptureFixture[str]) -> None:
    """The work before a cut grows from one to the next; the table shows useful cuts, or all of them."""
    assert main(["cuts", "--model", MODEL, "--json"]) == 0
    cuts = json.loads(capsys.readouterr().out)["cuts"]
    shares = [cut["work_share"] for cut in cuts]
    assert shares == sorted(shares) and 0 < shares[0] < shares[-1] <= 1
    useful = [cut for cut in cuts if cut["useful"]]
    assert len(useful) < len(cuts)
    assert main(["cuts", MODEL]) == 0
    table = capsys.readouterr().out
    assert f"({len(cuts)} legal)" in table
    assert table.count(" yes ") == len(useful)
    assert main(["cuts", MODEL, "--all"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(table.splitlines()) + len(cuts) - len(useful)
