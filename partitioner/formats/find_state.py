"""Which outputs of a model are inputs of the next frame: as the user says, or by names and shapes without a doubt."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace

from partway.errors import InputError
from partway.partitioner.plan.inputs import example_values
from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.state import StateLink, compatible, initial_bytes
from partway.proto.tensors import TensorSpec

log = logging.getLogger("partway.partitioner")
NONE = "none"
ROLES = re.compile("in|input|i|prev|previous|past|last|old|cur|current|init|initial|out|output|o|next|new|present|n|t")
"""Words that say whether a name is the state before or after a frame."""
STATES = re.compile("states?|h|c|hx|cx|r|hidden|cell|cache[sd]?|mems?|memory|rnn|gru|lstm|recurrent|past|buffer")
"""Words of which a state's name has at least one."""


def with_state(plan: Plan, given: Sequence[str] = ()) -> Plan:
    """The plan with the state that ``given`` names (``OUT=IN``, or ``none``), else with what names and shapes show.

    What the model file itself says stays. An example of a state's input is its first value. What was found is logged,
    because it is a guess. Raises InputError where ``given`` does not fit the model, and where a state's output cannot
    be told.
    """
    if plan.state:
        log.warning(
            "state: %d variables of the file are carried from frame to frame, as outputs and inputs", len(plan.state)
        )
    links = _given(plan, given) if given else _found(plan)
    examples = example_values(plan)
    for link in links:
        _check_size(plan.tensors[link.input])
    started = [replace(link, initial=initial_bytes(examples.get(link.input))) for link in links]
    others = {name: entry for name, entry in plan.examples.items() if name not in {link.input for link in links}}
    return replace(plan, state=(*plan.state, *started), examples=others) if links else plan


def _given(plan: Plan, given: Sequence[str]) -> list[StateLink]:
    if list(given) == [NONE]:
        return []
    links = []
    for text in given:
        pairs = [(a, b) for a in plan.outputs for b in plan.inputs if text == f"{a}={b}"]
        if not pairs:
            raise InputError(
                f"--state {text!r:.200} is not OUTPUT=INPUT of this model; its outputs: {', '.join(plan.outputs)}; its"
                f" inputs: {', '.join(plan.inputs)}"
            )
        output, name = pairs[0]
        source, target = plan.tensors[output], plan.tensors[name]
        if not compatible(source, target):
            raise InputError(
                f"--state {text}: the output is {source.dtype} {_shape(source)}, the input {target.dtype}"
                f" {_shape(target)}; a state has one type and one shape"
            )
        links.append(StateLink(output, name))
    if len({link.input for link in links}) < len(links):
        raise InputError("--state feeds two outputs back to one input; give each input once")
    if len(links) == len(plan.inputs):
        raise InputError("--state leaves no input for frames; name the pairs that are state only")
    return links


def _found(plan: Plan) -> list[StateLink]:
    known = plan.state_values
    inputs = [plan.tensors[name] for name in plan.inputs if name not in known]
    outputs = [plan.tensors[name] for name in plan.outputs if name not in known]
    links = []
    for spec in inputs:
        if not any(map(STATES.fullmatch, _words(spec.name))):
            continue
        fitting = [other for other in outputs if compatible(other, spec)]
        named = [other for other in fitting if _same_name(other.name, spec.name)]
        back = [other for other in inputs if len(named) == 1 and compatible(named[0], other)]
        if len(named) == 1 and [o for o in back if _same_name(named[0].name, o.name)] == [spec]:
            links.append(StateLink(named[0].name, spec.name))
        elif fitting:
            raise InputError(_question(spec, [other.name for other in fitting]))
    if len(links) == len(inputs):  # nothing would be left for a frame to bring
        return []
    for link in links:
        log.warning(
            "state, found by names and shapes: output %s of a frame is input %s of the next (--state none if not)",
            link.output,
            link.input,
        )
    return links


def _question(spec: TensorSpec, outputs: Sequence[str]) -> str:
    asked = " or ".join(f"--state {output}={spec.name}" for output in outputs[:3])
    return (
        f"input {spec.name} seems to be a state, and its output is not clear; give `partway plan` {asked}, or"
        " --state none if a frame does not depend on the one before"
    )


def _words(name: str) -> list[str]:
    """``in_cacheN0`` as in, cache, n, 0."""
    apart = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return re.findall(r"[a-z]+|[0-9]+", apart.lower())


def _same_name(output: str, name: str) -> bool:
    """Whether two names differ only in which of the two they are: stateN and state, h0 and hn, cache_1_out and _in."""
    after, before = ([word for word in _words(one) if not ROLES.fullmatch(word)] for one in (output, name))
    if after == before and after:
        return True
    first, second = ("".join(_words(one)) for one in (output, name))
    return any(first == f"{stem}{end}" for stem in {second, second.removesuffix("0")} for end in ("n", "out", "o"))


def _check_size(spec: TensorSpec) -> None:
    """A first value needs known sizes; one open size is the batch, and a stream is a batch of one."""
    if sum(size is None for size in spec.usual or spec.shape) > 1:
        raise InputError(f"state {spec.name} has open sizes {_shape(spec)}; give them with --shape {spec.name}=SIZES")


def _shape(spec: TensorSpec) -> str:
    return f"[{', '.join('?' if size is None else str(size) for size in spec.shape)}]"
