"""SIGTERM on a command line, in this process."""

import os
import signal
import threading

import pytest

from partway.system.sigterm import Sigterm


def test_before_frames_flow_it_interrupts_or_ends_as_told() -> None:
    """KeyboardInterrupt for a run, an exit with code 0 for a service; afterwards the handler is the one before."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), Sigterm():
        os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(SystemExit) as ended, Sigterm(early=lambda: SystemExit(0)):
        os.kill(os.getpid(), signal.SIGTERM)
    assert ended.value.code == 0
    assert signal.getsignal(signal.SIGTERM) is before


def test_while_frames_flow_it_calls_what_ends_the_input() -> None:
    """Nothing is raised: the frames that were read are answered first."""
    called = []
    with Sigterm() as sigterm:
        sigterm.on_end(lambda: called.append(1))
        assert not sigterm.received
        os.kill(os.getpid(), signal.SIGTERM)
        assert sigterm.received
    assert called == [1]


def test_outside_the_main_thread_it_leaves_signals_alone() -> None:
    """Python allows handlers in the main thread only."""
    seen = []

    def use() -> None:
        with Sigterm():
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert seen == [before]
