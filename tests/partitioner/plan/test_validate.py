"""Whether the parts of a plan fit together."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from partway.errors import InputError
from partway.partitioner.plan.plan import Plan, Stage, StageFile
from partway.partitioner.plan.validate import check_plan

Change = Callable[[Plan], Plan]


def staged(index: int, **fields: object) -> Change:
    """Replace fields of one stage."""

    def change(plan: Plan) -> Plan:
        stages: list[Stage] = list(plan.stages)
        stages[index] = replace(stages[index], **fields)  # type: ignore[arg-type]
        return replace(plan, stages=tuple(stages))

    return change


def with_cut(k: int, *values: str) -> Change:
    """Replace the values of one cut."""
    return lambda plan: replace(
        plan, cuts=tuple(replace(cut, values=values) if at == k else cut for at, cut in enumerate(plan.cuts))
    )


def test_a_plan_as_it_is_written_fits(plan: Plan) -> None:
    """No complaint, with or without files of twins."""
    check_plan(plan, "the plan")
    twin = StageFile("stage0.tflite", "1" * 64, 5)
    check_plan(staged(0, twins={"litert": twin})(plan), "the plan")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda plan: replace(plan, stages=()), "has 0 stages and 4 cuts, there must be one cut more"),
        (lambda plan: replace(plan, cuts=plan.cuts[1:]), "has 3 stages and 3 cuts"),
        (staged(1, file="stage0.json"), "names the file stage0.json for two stages"),
        (staged(1, data=StageFile("stage0.json", "1" * 64, 5)), "names the file stage0.json for two stages"),
        (staged(2, twins={"litert": StageFile("stage1.json", "1" * 64, 5)}), "names the file stage1.json"),
        (lambda plan: replace(plan, outputs=("z",)), "does not describe z"),
        (lambda plan: replace(plan, inputs=()), "has no inputs or no outputs"),
        (lambda plan: replace(plan, outputs=()), "has no inputs or no outputs"),
        (with_cut(0, "a"), "sends a at split 0, but the model reads x"),
        (with_cut(3, "b"), "has b after the last stage, but the model answers y"),
        (with_cut(1, "x"), "lets stage1.json read a, which the cut before it (x) does not hold"),
        (with_cut(2, "y"), "hands on y after stage1.json, which nothing before makes"),
        (staged(0, outputs=()), "hands on a after stage0.json, which nothing before makes"),
    ],
)
def test_parts_that_do_not_fit_are_named(plan: Plan, change: Change, says: str) -> None:
    """One sentence says what does not fit, of which plan, and how to mend it."""
    with pytest.raises(InputError) as caught:
        check_plan(change(plan), "there/plan.json")
    sentence = str(caught.value)
    assert sentence.startswith(f"there/plan.json {says}")
    assert sentence.endswith("write it again with `partway plan`")
    assert "\n" not in sentence


def test_a_value_has_one_description(plan: Plan) -> None:
    """A stage that calls a tensor by another type than the plan is no part of it."""
    other = replace(plan.stages[1].inputs[0], dtype="uint8")
    with pytest.raises(InputError, match="describes a in two ways"):
        check_plan(staged(1, inputs=(other,))(plan), "the plan")


def test_a_value_may_pass_through_a_stage(plan: Plan) -> None:
    """The input, carried along past the first stage, may be read by the second."""
    x, a = plan.tensors["x"], plan.tensors["a"]
    carried = staged(1, inputs=(a, x))(with_cut(1, "a", "x")(plan))
    check_plan(carried, "the plan")
    with pytest.raises(InputError, match=r"lets stage1\.json read x"):
        check_plan(staged(1, inputs=(a, x))(plan), "the plan")


def test_a_value_that_was_dropped_at_a_cut_does_not_come_back(plan: Plan) -> None:
    """What a cut leaves out is not there for the cut after it."""
    with pytest.raises(InputError, match=r"hands on x after stage1\.json"):
        check_plan(with_cut(2, "b", "x")(plan), "the plan")


def test_an_early_answer_need_not_cross(plan: Plan) -> None:
    """A model output that the first stage makes stays where it is until the end."""
    early = replace(with_cut(3, "y", "a")(plan), outputs=("y", "a"))
    check_plan(early, "the plan")


def test_stages_that_were_only_measured_may_all_lack_a_file(plan: Plan) -> None:
    """No file is not the same file."""
    bare = plan
    for index in range(3):
        bare = staged(index, file="", digest="")(bare)
    check_plan(bare, "the plan")
