"""Where the model's pixels lie in the picture."""

import numpy as np

from partway.tasks.interface import Geometry


def test_points_go_back_to_the_picture() -> None:
    """A picture of 640 x 320 in the middle of a square input of 320, a quarter of it above."""
    letterbox = Geometry(640, 320, 320, 320, scale_x=0.5, scale_y=0.5, top=80)
    found = letterbox.to_picture(np.array([[0, 80], [160, 160], [320, 240], [400, 0]]))
    np.testing.assert_array_equal(found, [[0, 0], [320, 160], [640, 320], [640, 0]])
