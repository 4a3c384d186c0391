"""How similar poses are."""

import numpy as np
import pytest

from partway.tasks.arrays.keypoints import COCO_NAMES, COCO_SIGMAS, COCO_SKELETON, similarity


def _pose(count: int = 17) -> "np.ndarray":
    rng = np.random.default_rng(0)
    return np.concatenate([rng.random((count, 2)) * 100, np.ones((count, 1))], 1)


def test_a_pose_is_like_itself() -> None:
    """And unlike one far away, or of other points."""
    assert similarity(_pose(), _pose()) == 1
    assert similarity(_pose() + np.array([500, 0, 0]), _pose()) == pytest.approx(0, abs=1e-6)
    assert similarity(_pose(5), _pose()) == 0
    assert similarity(_pose(0), _pose(0)) == 0


def test_the_similarity_is_coco_s() -> None:
    """One point moved by d: exp(-d² / (2 area (2 sigma)²))."""
    box = np.array([0, 0, 100, 100.0])
    moved = _pose()
    moved[0, 0] += 10
    wanted = (16 + np.exp(-100 / (2 * 5300 * (2 * COCO_SIGMAS[0]) ** 2))) / 17
    assert similarity(moved, _pose(), box) == pytest.approx(wanted)


def test_only_visible_points_of_the_reference_count() -> None:
    """All if none is visible."""
    reference, moved = _pose(), _pose()
    reference[3, 2] = 0.1
    moved[3, :2] += 400
    assert similarity(moved, reference) == 1
    reference[:, 2] = 0
    assert similarity(moved, reference) < 1


def test_other_than_17_points_have_one_sigma() -> None:
    """Points in one place have a size, too."""
    assert similarity(_pose(5), _pose(5)) == 1
    same = np.array([[5, 5, 1.0], [5, 5, 1.0]])
    assert similarity(same, same) == 1


def test_the_skeleton_joins_named_points() -> None:
    """Each has a name and a sigma."""
    assert len(COCO_NAMES) == len(COCO_SIGMAS) == 17
    assert {point for bone in COCO_SKELETON for point in bone} == set(range(17))
