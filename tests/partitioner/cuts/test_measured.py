"""Costs measured by running a model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.support.tflite_nets import chain, save

from partway.engines.registry import engine_for
from partway.partitioner.cuts import measured
from partway.partitioner.cuts.candidates import legal_cuts
from partway.partitioner.cuts.costs import LEVELS, estimated_costs
from partway.partitioner.cuts.measured import coded_sizes, measured_costs, with_times
from partway.partitioner.cuts.samples import sample_attempts
from partway.partitioner.slicing import open_model
from partway.proto.codecs.packing import pack


def costs_of(path: Path, **changes: object) -> measured.Costs:
    """Measured on generated inputs."""
    source = replace(open_model(path), **changes)
    samples, what = next(sample_attempts(source.graph))
    return measured_costs(source, engine_for(source.engine), samples, what)


def test_bytes_and_times_are_measured(saved) -> None:
    """Of an ONNX model: every operator that does anything takes time, every value of a cut is coded."""
    path = saved("inception")
    costs, graph = costs_of(path), open_model(path).graph
    assert costs.times_from == "measured here, operator by operator"
    assert costs.bytes_from.startswith("measured on 2 generated")
    assert sum(costs.operator_s) > 0
    prior = estimated_costs(graph)
    names = {name for one in legal_cuts(graph) for name in one.cut.values}
    assert sum(costs.coded[1][name] != prior.coded[1][name] for name in names) > len(names) / 2


def test_measured_bytes_are_those_of_the_codecs() -> None:
    """What a device would send, integers by steps, and the time is one codec's."""
    array = np.random.default_rng(0).standard_normal((1, 8, 16, 16)).astype(np.float32)
    sizes, seconds = coded_sizes("x", array)
    assert sizes == tuple(float(len(pack(codec, "x", array)[1])) for codec in LEVELS)
    assert seconds > 0
    integers, _ = coded_sizes("x", (array * 40).astype(np.int8))
    assert list(integers) == sorted(integers, reverse=True) and integers[3] < integers[0]
    flags, _ = coded_sizes("x", array > 0)
    assert len(set(flags)) == 1


def test_a_model_without_a_profiler_is_timed_in_pieces(tmp_path: Path) -> None:
    """TFLite: the pieces' times are real, and what lies within one is shared out."""
    costs = costs_of(save(tmp_path / "m.tflite", chain()))
    assert "pieces" in costs.times_from
    assert sum(costs.operator_s) > 0
    assert costs.bytes_from.startswith("measured")


def test_a_model_too_large_to_profile_is_timed_in_pieces(saved, monkeypatch: pytest.MonkeyPatch) -> None:
    """In about the same time in all."""
    source = open_model(saved("densenet"))
    samples, _ = next(sample_attempts(source.graph))
    engine, prior = engine_for("onnx"), estimated_costs(source.graph)
    monkeypatch.setattr(measured, "MOST_PROFILED_BYTES", 0)
    costs = with_times(prior, source, engine, samples[0].values)
    assert "pieces" in costs.times_from
    assert len(costs.operator_s) == len(source.graph.operators)
    assert all(seconds >= 0 for seconds in costs.operator_s) and sum(costs.operator_s) > 0


def test_bytes_stay_estimated_where_a_format_hands_out_no_values(saved) -> None:
    """A format of another package; the costs say so, and the picture is measured still."""
    costs = costs_of(saved("inception"), write_watched=None)
    assert costs.bytes_from == "estimated by kind of operator and depth"


def test_values_are_measured_in_pieces_that_fit_into_memory(saved, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same result."""
    path = saved("chain")
    whole = costs_of(path)
    monkeypatch.setattr(measured, "AT_ONCE_BYTES", 1)
    assert costs_of(path).coded == whole.coded
