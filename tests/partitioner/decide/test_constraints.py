"""What may not be chosen, and why."""

from dataclasses import replace

import pytest

from partway.errors import InputError
from partway.partitioner.cuts.crossing import Cut
from partway.partitioner.decide.constraints import Constraints, admitted, device_bytes, excluded, parse_bytes
from partway.partitioner.decide.estimate import Candidate, Link, Speeds
from partway.partitioner.plan.plan import Plan

SPEEDS = Speeds(device_s=(0.010, 0.020, 0.040), cloud_s=(0.001, 0.002, 0.004))


LINK = Link(1e6, 0.05)


def test_memory_counts_the_prefix_and_the_most_that_is_alive_at_once(plan: Plan) -> None:
    """Stage files of the prefix only, and the values before and after the stage that needs most."""
    files = [stage.size_bytes for stage in plan.stages]
    assert device_bytes(plan, 0) == 256
    assert device_bytes(plan, 1) == files[0] + 256 + 64
    assert device_bytes(plan, 3) == sum(files) + 256 + 64


def test_a_value_that_stays_on_the_device_rules_out_every_candidate_that_sends_it(plan: Plan) -> None:
    """Whatever the codec, pixels and pictures of the input too; what sends nothing is never ruled out."""
    candidates = [
        Candidate(0, "raw"),
        Candidate(0, "jpeg75"),
        Candidate(1, "raw"),
        Candidate(2, "fp16"),
        Candidate(3, None),
    ]
    for word in ("input", "x"):
        assert [c.k for c in admitted(candidates, Constraints(keep_on_device=(word,)), plan)] == [1, 2, 3]
    assert [c.k for c in admitted(candidates, Constraints(keep_on_device=("a", "b")), plan)] == [0, 0, 3]


def test_what_is_answered_on_the_device_sends_nothing(plan: Plan) -> None:
    """Even a model's output may be kept: all on the device hands it to nobody."""
    alone = Candidate(3, None)
    assert admitted([alone], Constraints(keep_on_device=("x", "a", "b", "y")), plan) == [alone]


def test_an_input_that_also_crosses_later_stays_as_well(plan: Plan) -> None:
    """A long skip connection from the input does not smuggle it out at a later cut."""
    cuts = (plan.cuts[0], Cut(("a", "x")), *plan.cuts[2:])
    left = admitted(
        [Candidate(1, "raw"), Candidate(2, "raw")], Constraints(keep_on_device=("input",)), replace(plan, cuts=cuts)
    )
    assert [c.k for c in left] == [2]


def test_a_misspelt_value_is_refused_rather_than_sent(plan: Plan) -> None:
    """Nobody's input may leave because of a typing error."""
    with pytest.raises(InputError, match="did you mean input"):
        admitted([Candidate(0, "raw")], Constraints(keep_on_device=("inptu",)), plan)


def test_each_excluded_candidate_is_told_why(plan: Plan) -> None:
    """The first constraint that a candidate breaks is named as the command line writes it."""
    lossy = Candidate(1, "q8", lossless=False, agreement=0.95)
    limits = Constraints(device_bytes(plan, 1), ("input",), 1.0)
    assert excluded([Candidate(0, "raw"), lossy, Candidate(1, "raw"), Candidate(3, None)], limits, plan) == {
        Candidate(0, "raw"): "--keep-on-device input",
        lossy: "--max-drop 1",
        Candidate(3, None): f"--max-device-memory {device_bytes(plan, 1)} B",
    }


def test_an_impossible_set_of_constraints_says_which_excludes_what(plan: Plan) -> None:
    """Codecs are named only where not all of a split's are meant."""
    lossy = Candidate(1, "q8", lossless=False, agreement=0.5)
    candidates = [Candidate(0, "raw"), Candidate(0, "u8"), lossy, Candidate(1, "raw"), Candidate(3, None)]
    limits = Constraints(10, ("input",), 1.0)
    with pytest.raises(InputError) as caught:
        admitted(candidates, limits, plan)
    assert str(caught.value) == (
        "no candidate is left: --keep-on-device input excludes all in the cloud; --max-drop 1 excludes split 1 with q8;"
        " --max-device-memory 10 B excludes split 1 with raw, all on the device; relax one of them"
    )


@pytest.mark.parametrize(("text", "size"), [("64MB", 64e6), ("1.5 GiB", 1.5 * 2**30), ("10kb", 1e4), ("7 B", 7)])
def test_sizes_are_read_with_their_unit(text: str, size: float) -> None:
    """Thousands and powers of two are kept apart."""
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["64", "0MB", "-1MB", "MB", "64 Mbps", "1e9MB", ""])
def test_a_size_without_a_unit_is_refused(text: str) -> None:
    """Nobody should guess whether 64 is bytes or megabytes."""
    with pytest.raises(InputError, match="for example 64MB"):
        parse_bytes(text)
