"""Finding the ink of a digit takes one thread's time, whatever BLAS would like."""

import os
import subprocess
import sys

import numpy as np
import pytest

from partway.partitioner.plan.mnist_ink import greys, ink_of

MEASURED = """
import time
import numpy as np
from PIL import Image
from partway.partitioner.plan.mnist_digit import digit_from_image

grain = np.random.default_rng(0).integers(0, 40, (160, 200, 3), dtype=np.uint8)
grain[40:120, 90:110] = 230
picture = Image.fromarray(grain)
digit_from_image(picture)
process_s, thread_s = time.process_time(), time.thread_time()
for _ in range(10):
    digit_from_image(picture)
print((time.process_time() - process_s) / (time.thread_time() - thread_s))
"""


def test_a_picture_costs_no_more_than_the_thread_that_reads_it() -> None:
    """No other thread spins meanwhile: least squares over BLAS threads took three times the processor time."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", MEASURED], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert float(done.stdout) < 1.3


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (90, 70)])
def test_uneven_paper_is_no_ink(size: tuple[int, int]) -> None:
    """A page that is only lit from one side holds no ink, a page of a single line or column included."""
    from PIL import Image

    height, width = size
    page = 60 + 90 * np.linspace(0, 1, height)[:, None] * np.linspace(0, 1, width)
    assert ink_of(greys(Image.fromarray(page.astype(np.uint8)))) is None
