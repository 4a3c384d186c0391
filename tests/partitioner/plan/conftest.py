"""The small plan that tests of plans share."""

from __future__ import annotations

from pathlib import Path

import pytest

from partway.partitioner.plan.plan import Plan
from partway.partitioner.plan.plan_file import load_plan


@pytest.fixture
def plan(fake_plan: Path) -> Plan:
    """Three fake stages: x -> a -> b -> y."""
    return load_plan(fake_plan)
