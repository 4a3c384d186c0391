"""A plan written over an earlier one: what is kept, what is refused, what is left on the disk."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from partway.errors import InputError
from partway.partitioner.plan.cut import Cut
from partway.partitioner.plan.new_folder import NewFolder, difference, new_folder
from partway.partitioner.plan.plan import Plan, StageFile
from partway.partitioner.plan.plan_file import load_plan, save_plan


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder."""
    out = tmp_path / "out"
    out.mkdir()
    return out


CODECS = {"codecs": ({"value": "a", "codec": "t4"},), "candidates": ({"k": 1, "codec": "t4", "agreement": 0.99},)}


def calibrated(plan: Plan) -> Plan:
    return replace(plan, codecs=CODECS["codecs"], candidates=CODECS["candidates"])


def with_twins(plan: Plan) -> Plan:
    stages = (
        replace(stage, twins={"onnx-int8": StageFile(f"int8.{k}", "1" * 64, 3)}) for k, stage in enumerate(plan.stages)
    )
    return replace(plan, stages=tuple(stages), twin_agreement={"onnx-int8": (1.0,) * len(plan.cuts)})


def over(earlier: Plan | None, force: bool = False) -> NewFolder:
    return NewFolder(Path("out"), Path("out/.part"), earlier, force)


def test_the_same_model_and_cuts_keep_all_that_was_measured(plan: Plan) -> None:
    """Codecs, candidates, int8 stages and profiles of that digest; the user is told of it."""
    earlier = with_twins(calibrated(plan))
    earlier = replace(earlier, profiles=({"plan": earlier.digest}, {"plan": "another"}))
    new = over(earlier)
    assert new.inherit(plan) == replace(earlier, profiles=({"plan": earlier.digest},))
    assert new.notes == ["kept from the earlier plan in out: calibrated codecs, int8 stages"]


def test_what_is_measured_again_is_not_kept(plan: Plan) -> None:
    """Nor does it count as lost."""
    new = over(with_twins(calibrated(plan)))
    assert new.inherit(plan, calibrates=True, quantizes=True)
    assert new.notes == []


OTHERS: list[tuple[Callable[[Plan], Plan], str]] = [
    (lambda plan: replace(plan, model_digest="2" * 64), "the model file differs"),
    (lambda plan: replace(plan, cuts=(plan.cuts[0], Cut(("b",)), *plan.cuts[2:])), "its cuts differ"),
    (lambda plan: replace(plan, input={"kind": "image"}), "other --mean, --std, --scale, --fit or --channels"),
    (lambda plan: replace(plan, output={"labels": ["x"]}), "other --labels"),
]


@pytest.mark.parametrize(("change", "why"), OTHERS)
@pytest.mark.parametrize(("measured", "what"), [(calibrated, "calibrated codecs"), (with_twins, "int8 stages")])
def test_what_would_be_lost_is_refused_unless_forced(
    change: Callable[[Plan], Plan], why: str, measured: Callable[[Plan], Plan], what: str, plan: Plan
) -> None:
    """The sentence says what, why, and both ways out."""
    earlier, other = measured(plan), change(plan)
    with pytest.raises(InputError, match=f"with {what}, which would be lost because .*{why}.*--out, or --force"):
        over(earlier).inherit(other)
    forced = over(earlier, force=True)
    assert forced.inherit(other) == other
    assert what in forced.notes[0]


def test_another_model_is_refused_even_if_nothing_was_measured(plan: Plan) -> None:
    """A newer version of the same model is not: it is what a nightly build writes."""
    newer = replace(plan, model_digest="2" * 64)
    assert over(plan).inherit(newer) == newer
    with pytest.raises(InputError, match="with stages of another model"):
        over(plan).inherit(replace(newer, model="resnet"))


def test_a_name_alone_is_no_difference(plan: Plan) -> None:
    """Nor are measurements."""
    assert difference(replace(plan, model="new name"), calibrated(plan)) == ""


def written(out: Path, plan: Plan, force: bool = False, names: str = "stage") -> list[str]:
    with new_folder(out, force) as new:
        plan = new.inherit(plan)
        for stage in plan.stages:
            (new.folder / stage.file).write_text(names)
        save_plan(plan, new.folder)
    return new.notes


def test_files_of_the_earlier_plan_go_and_others_stay(plan: Plan, folder: Path) -> None:
    """Stages and int8 files that the new plan does not name; a profile of the old plan is named, not removed."""
    written(folder, plan)
    save_plan(with_twins(plan), folder)
    old = load_plan(folder)
    for stage in old.stages:
        (folder / stage.twins["onnx-int8"].file).write_text("int8")
    (folder / "pi.json").write_text(f'{{"plan": "{old.digest}"}}')
    (folder / "notes.json").write_text("[1]")
    renamed = tuple(replace(stage, file=f"new{k}") for k, stage in enumerate(plan.stages))
    notes = written(folder, replace(plan, model_digest="2" * 64, stages=renamed), force=True)
    assert {path.name for path in folder.iterdir()} == {
        "plan.json",
        "pi.json",
        "notes.json",
        *(stage.file for stage in renamed),
    }
    assert "pi.json; make them again with `partway profile`" in notes[-1]


def test_int8_files_that_are_kept_stay(plan: Plan, folder: Path) -> None:
    """They are in the folder already, and the new plan names them."""
    written(folder, plan)
    save_plan(with_twins(plan), folder)
    for k in range(len(plan.stages)):
        (folder / f"int8.{k}").write_text("int8")
    written(folder, plan)
    assert load_plan(folder).stages[0].twins
    assert (folder / "int8.0").is_file()


def test_a_failure_leaves_the_earlier_plan(plan: Plan, folder: Path) -> None:
    """Stage files and plan.json, and nothing beside them."""
    written(folder, plan, names="old")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(KeyboardInterrupt), new_folder(folder) as new:
        (new.folder / plan.stages[0].file).write_text("new")
        raise KeyboardInterrupt
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_plan_that_cannot_be_read_is_replaced_by_force_only(plan: Plan, folder: Path) -> None:
    """It may be of a later version, or no plan at all."""
    (folder / "plan.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds a plan.json already.*--force"):
        written(folder, plan)
    assert (folder / "plan.json").read_text() == "{}"
    written(folder, plan, force=True)
    assert load_plan(folder).digest == plan.digest


def test_a_stage_never_overwrites_its_own_model(plan: Plan, folder: Path) -> None:
    """`partway slice stage0.onnx --out .` in the folder of that file."""
    model = folder / plan.stages[0].file
    model.write_text("the model")
    with pytest.raises(InputError, match="would overwrite the model"), new_folder(folder, model=model) as new:
        for stage in plan.stages:
            (new.folder / stage.file).write_text("stage")
        save_plan(plan, new.folder)
    assert model.read_text() == "the model"
