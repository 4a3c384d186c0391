"""What a model file does not say: guessed from its tensors, or taken from the user."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from partway.errors import InputError
from partway.partitioner.cuts.crossing import Cut
from partway.partitioner.formats.model_metadata import described
from partway.partitioner.plan.chain import Chain
from partway.partitioner.plan.model_format import Facts
from partway.partitioner.plan.plan import Plan, Stage, plan_to_json
from partway.partitioner.plan.plan_file import plan_from_json
from partway.partitioner.plan.preprocess import Preprocess
from partway.partitioner.plan.wishes import Wishes
from partway.proto.tensors import Quantization, TensorSpec

SCORES = np.array([[-1.0, 2.0, 0.5]], np.float32)


class Answers:
    """A stage that answers the same to everything, or refuses."""

    def __init__(self, answer: np.ndarray | InputError) -> None:
        self.inputs, self.outputs, self._answer = (), (), answer

    def run(self, values: Mapping[str, Any]) -> dict[str, Any]:
        if isinstance(self._answer, InputError):
            raise self._answer
        return {"y": self._answer}


def made(
    answer: np.ndarray | InputError = SCORES,
    shape: tuple[int | None, ...] = (None, 3, 8, 6),
    dtype: str = "float32",
    meaning: Quantization | None = None,
    output_meaning: Quantization | None = None,
) -> tuple[Plan, Chain]:
    """A plan of one stage from ``x`` of this shape to ``y``, and its chain."""
    x = TensorSpec("x", dtype, shape, meaning)
    size = answer.shape[-1:] if isinstance(answer, np.ndarray) else (3,)
    kind = answer.dtype.name if isinstance(answer, np.ndarray) else "float32"
    y = TensorSpec("y", kind, (None, *size), output_meaning)
    stage = Stage("stage0.onnx", "0" * 64, 1, (x,), (y,), 1)
    plan = Plan("m", "0" * 64, "onnx", (stage,), (Cut(("x",)), Cut(("y",))), {"x": x, "y": y}, ("x",), ("y",))
    return plan, Chain(plan, [Answers(answer)])  # type: ignore[list-item]


def preprocess(wishes: Wishes, **fields: Any) -> Preprocess:
    """The input entry that comes of some wishes."""
    entry = described(*made(**fields), wishes).input
    found = Preprocess.from_json(entry)
    assert found is not None
    return found


def test_a_picture_and_a_classifier_are_guessed() -> None:
    """Pictures scaled to 0..1, logits that want a softmax."""
    plan = described(*made(), Wishes())
    assert Preprocess.from_json(plan.input) == Preprocess("x", 8, 6, 3)
    assert plan.output == {"kind": "classify", "value": "y", "softmax": True, "classes": 3}
    assert len(plan.guesses) == 2 and plan.guesses[1].startswith("task classify (") and "--task" in plan.guesses[1]


def test_an_input_that_is_no_picture_gets_no_entry() -> None:
    """Nor does one of several inputs."""
    assert described(*made(shape=(None, 16)), Wishes()).input == {}
    plan, chain = made()
    two = replace(plan, inputs=("x", "y"), cuts=(Cut(("x", "y")), plan.cuts[1]))
    assert described(two, chain, Wishes()).input == {}


@pytest.mark.parametrize(
    ("wishes", "mean", "std"),
    [
        (Wishes(mean=(0.5,)), (0.5,), (1.0,)),
        (Wishes(mean=(0.1, 0.2, 0.3)), (0.1, 0.2, 0.3), (1.0, 1.0, 1.0)),
        (Wishes(mean=(0.5,), std=(1.0, 2.0, 4.0)), (0.5, 0.5, 0.5), (1.0, 2.0, 4.0)),
    ],
)
def test_one_number_stands_for_every_channel(wishes: Wishes, mean: Any, std: Any) -> None:
    """Mean and deviation have as many numbers as the longer of the two."""
    found = preprocess(wishes)
    assert (found.mean, found.std) == (mean, std)


def test_what_the_user_says_of_pictures_is_taken() -> None:
    """The fit alone changes nothing else; a scale comes with no mean."""
    assert preprocess(Wishes(fit="crop")) == Preprocess("x", 8, 6, 3, fit="crop")
    assert preprocess(Wishes(scale=1.0)).scale == 1.0


@pytest.mark.parametrize(("wishes", "says"), [
    (Wishes(mean=(0.1, 0.2)), "--mean needs 1 or 3 numbers, 2 were given"),
    (Wishes(std=(1.0,) * 4), "--std needs 1 or 3 numbers, 4 were given"),
    (Wishes(labels=("a", "b")), "--labels: 2 labels do not fit a model of 3 classes"),
])  # fmt: skip
def test_numbers_and_labels_that_do_not_fit_are_refused(wishes: Wishes, says: str) -> None:
    """One sentence that names the option."""
    with pytest.raises(InputError, match=says):
        described(*made(), wishes)


def test_a_mean_of_a_quantised_input_is_that_of_what_its_integers_stand_for() -> None:
    """Pixels become the very integers that a quantiser would make of the normalised floats."""
    step, zero = 0.02, 3
    found = preprocess(Wishes(mean=(0.5,), std=(0.25,)), dtype="int8", meaning=Quantization((step,), (zero,)))
    pixels = np.arange(144, dtype=np.uint8).reshape(8, 6, 3)
    floats = (pixels.transpose(2, 0, 1)[None] / 255 - 0.5) / 0.25
    expected = np.clip(np.rint(floats / step + zero), -128, 127).astype(np.int8)
    assert np.abs(found.tensor(pixels).astype(int) - expected).max() <= 1
    assert (found.tensor(pixels) == expected).mean() > 0.99


@pytest.mark.parametrize(
    ("answer", "meaning", "softmax"),
    [
        (np.array([[0.2, 0.5, 0.3]], np.float32), None, False),
        (np.array([[0.2, 0.5, 0.4]], np.float32), None, True),
        (np.array([[-0.5, 1.0, 0.5]], np.float32), None, True),
        (np.array([[51, 128, 76]], np.uint8), Quantization((1 / 255,), (0,)), False),
        (np.array([[51, 128, 255]], np.uint8), Quantization((1 / 255,), (0,)), True),
        (np.array([[3, 9, 1]], np.int32), None, False),
    ],
)
def test_values_that_already_are_probabilities_get_no_softmax(
    answer: np.ndarray, meaning: Quantization | None, softmax: bool
) -> None:
    """Those are not negative and add up to one; integers without a meaning are left as they are."""
    plan = described(*made(answer, output_meaning=meaning), Wishes(task="classify"))
    assert plan.output["softmax"] is softmax


@pytest.mark.parametrize("answer", [np.zeros((1, 1), np.float32), np.zeros((1, 4, 4), np.float32), np.float32(1)])
def test_an_output_that_is_no_row_of_classes_is_no_classification(answer: Any) -> None:
    """One number, a mask or a scalar."""
    assert described(*made(np.asarray(answer)), Wishes()).output.get("kind") != "classify"


@pytest.mark.parametrize(
    ("wishes", "kind"),
    [
        (Wishes(task="classify"), "classify"),
        (Wishes(task="embed"), "embed"),
        (Wishes(task="scores"), "scores"),
        (Wishes(task="tensors"), "tensors"),
        (Wishes(), "classify"),
    ],
)
def test_the_task_that_the_user_names_counts(wishes: Wishes, kind: str) -> None:
    """And it is no guess."""
    plan = described(*made(), wishes)
    assert plan.output["kind"] == kind
    assert (wishes.task is None) == any(guess.startswith("task") for guess in plan.guesses)


def test_a_task_that_cannot_read_the_outputs_is_refused() -> None:
    """With the outputs' shapes."""
    with pytest.raises(InputError, match=r"--task detect cannot read outputs like y \[1, 3\]; give another task"):
        described(*made(), Wishes(task="detect"))


def test_labels_of_the_file_count_unless_the_user_gives_others(caplog: pytest.LogCaptureFixture) -> None:
    """The file's may fail to fit; then they are left out with a warning."""
    assert described(*made(), Wishes(), Facts(labels=("a", "b", "c"))).output["labels"] == ["a", "b", "c"]
    own = described(*made(), Wishes(labels=("x", "y", "z")), Facts(labels=("a", "b", "c")))
    assert own.output["labels"] == ["x", "y", "z"]
    assert "labels" not in described(*made(), Wishes(), Facts(labels=("a",))).output
    assert "the labels in the model file are not used" in caplog.text


def test_labels_without_a_task_are_refused() -> None:
    """They would be ignored."""
    with pytest.raises(InputError, match="--labels"):
        described(*made(np.zeros((1, 4, 4, 4, 4), np.float32)), Wishes(labels=("a",)))


def test_the_task_that_the_file_names_is_no_guess() -> None:
    """If it can read the outputs."""
    plan = described(*made(), Wishes(), Facts(task="classify"))
    assert plan.output["kind"] == "classify"
    assert not any(guess.startswith("task") for guess in plan.guesses)


def test_guesses_do_not_change_a_plans_digest() -> None:
    """Nor its meaning: a plan with them and one without are the same model."""
    plan = described(*made(), Wishes())
    assert plan.guesses
    assert replace(plan, guesses=()).digest == plan.digest
    assert plan_from_json(plan_to_json(plan)).guesses == plan.guesses


def test_labels_go_into_the_plan() -> None:
    """One a class, in order."""
    assert described(*made(), Wishes(labels=("a", "b", "c"))).output["labels"] == ["a", "b", "c"]


def test_a_model_that_does_not_run_at_these_sizes_says_which_option_helps() -> None:
    """The engine's own sentence is in it."""
    with pytest.raises(InputError, match=r"m does not run at these sizes \(odd\); give others by --shape"):
        described(*made(InputError("odd")), Wishes())
