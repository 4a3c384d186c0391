"""The small plan that tests of decisions share."""

from __future__ import annotations

from pathlib import Path

import pytest

from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.plan_file import load_plan


@pytest.fixture
def plan(fake_plan: Path) -> Plan:
    """x (256 bytes) -> a (64) -> b (32) -> y (16) in three stages."""
    return load_plan(fake_plan)
