"""The shipped MNIST plan with another entry for its input: of pictures that are stretched, or of plain tensors."""

from typing import Any

from partway.partitioner.plan.plan import Plan, plan_to_json
from partway.partitioner.plan.plan_file import load_plan, plan_from_json
from partway.partitioner.zoo import model_folder


def mnist_plan(**change: Any) -> Plan:
    """The plan with these fields of its ``input`` changed; without any, a plan whose input is no picture."""
    data = plan_to_json(load_plan(model_folder("mnist")))
    return plan_from_json({**data, "input": {**data["input"], **change} if change else {}})


PICTURES, TENSORS = mnist_plan(fit="stretch"), mnist_plan()
