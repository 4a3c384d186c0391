"""Foreign exceptions become our own at the border."""

import pytest

from partway.errors import CodecError, InputError, LinkLost, PartwayError, Refused, WireError, mapped


def test_only_usage_errors_end_with_two() -> None:
    """What the user can change ends a command with 2, everything else with 1."""
    assert InputError.exit_code == 2
    assert {kind.exit_code for kind in (PartwayError, WireError, CodecError, LinkLost, Refused)} == {1}


def test_a_foreign_exception_becomes_ours() -> None:
    """The sentence says what was done and what went wrong; the cause is kept."""
    with (
        pytest.raises(InputError, match=r"^reading x\.png: no such thing$") as caught,
        mapped({KeyError: WireError, OSError: InputError}, "reading x.png"),
    ):
        raise FileNotFoundError("no such thing")
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_the_first_entry_that_fits_decides() -> None:
    """The table is read from the top, so that the narrower exception goes first."""
    with pytest.raises(LinkLost), mapped({FileNotFoundError: LinkLost, OSError: InputError}):
        raise FileNotFoundError
    with pytest.raises(InputError), mapped({FileNotFoundError: LinkLost, OSError: InputError}):
        raise PermissionError


def test_an_exception_without_words_is_named() -> None:
    """The sentence is never empty."""
    with pytest.raises(InputError, match=r"^TimeoutError$"), mapped({OSError: InputError}):
        raise TimeoutError


def test_our_own_and_unlisted_exceptions_pass() -> None:
    """An error that has its sentence already keeps it, and a bug stays a bug."""
    ours = WireError("mine")
    with pytest.raises(WireError) as caught, mapped({Exception: InputError}, "doing"):
        raise ours
    assert caught.value is ours
    with pytest.raises(ZeroDivisionError), mapped({OSError: InputError}):
        _ = 1 // 0


def test_nothing_happens_where_nothing_is_raised() -> None:
    """A block that ends well is left alone."""
    with mapped({Exception: InputError}):
        done = True
    assert done
