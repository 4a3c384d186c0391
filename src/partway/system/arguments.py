"""The parser of every command line: no abbreviations, "did you mean", one sentence per mistake, no secret printed."""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NoReturn

from partway.system.command import print_error

_SECRET = re.compile(r"token|key|secret|password|credential", re.IGNORECASE)
_NEGATIVE = re.compile(r"-\d+|-\d*\.\d+")


class Parser(argparse.ArgumentParser):
    """An argument parser that takes options by their full names only and explains a mistake in one sentence.

    A mistake ends the program with exit code 2. The sub-parsers of a Parser are Parsers too. The value of an option
    whose name looks like a secret's never appears in a message.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **options})
        self._named: dict[str, argparse.Action] = {}

    def add_named(self, name: str, **options: Any) -> argparse.Action:
        """Add a positional argument that can also be given as ``--NAME VALUE``."""
        metavar = options.setdefault("metavar", name.upper())
        options["help"] = f"{options.get('help', '')} (also as --{name} {metavar})".strip()
        self._named[f"--{name}"] = self.add_argument(name, **options)
        return self._named[f"--{name}"]

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Like argparse, except that an unknown flag is an error, which is reported before any other."""
        if args is None:
            import sys

            args = sys.argv[1:]
        words = list(args)
        self._refuse_unknown(words)
        return super().parse_known_args(self._positional(words), namespace)

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Like argparse; words that belong to no argument are an error."""
        parsed, unexpected = self.parse_known_args(args, namespace)
        if unexpected:
            self.error(f"unexpected argument {unexpected[0]!r:.80}")
        return parsed

    def error(self, message: str) -> NoReturn:
        """Print one sentence to standard error and exit with code 2."""
        sentence = " ".join(message.split())
        hint = "" if "did you mean" in sentence else f"; see `{self.prog} --help`"
        print_error(self.prog, f"{sentence}{hint}")
        self.exit(2)

    def _print_message(self, message: str, file: Any = None) -> None:
        """Like argparse, except that output that cannot be written is an error."""
        if message and file is not None:
            file.write(message)

    def _refuse_unknown(self, words: Sequence[str]) -> None:
        """End the program at the first unknown flag. Its value may be a secret, so it is not printed."""
        for word in _own_words(words, self._subparsers is not None):
            flag = word.split("=", 1)[0]
            if flag not in self._option_string_actions and flag not in self._named and not self._is_short(word):
                flags = [*self._option_string_actions, *self._named]
                self.error(f"unknown option {flag:.80}{_suggestion(flag, flags)}")

    def _is_short(self, word: str) -> bool:
        """Whether a word is a one-letter flag with its value attached, as ``-n5``."""
        return not word.startswith("--") and word[:2] in self._option_string_actions

    def _positional(self, words: list[str]) -> list[str]:
        """The words with ``--NAME VALUE`` of the named positionals replaced by ``VALUE``."""
        result: list[str] = []
        rest = iter(words)
        for word in rest:
            if word == "--":
                return [*result, word, *rest]
            flag, equals, value = word.partition("=")
            if flag not in self._named:
                result.append(word)
                continue
            value = value if equals else next(rest, "")
            if not value or value.startswith("-"):
                self.error(f"argument {flag}: expected one argument")
            result.append(value)
        return result

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        choices = [str(choice) for choice in action.choices]
        if isinstance(action, argparse._SubParsersAction):
            what = f"unknown {(action.metavar or 'command').lower()} {value!r:.80}"  # type: ignore[union-attr]
        elif _SECRET.search(action.dest):
            what = f"{_name(action)} has a value that is not allowed"
        else:
            what = f"{_name(action)} cannot be {value!r:.80}"
        self.error(f"{what}{_suggestion(str(value), choices) or f'; choose {_listed(choices)}'}")


def _own_words(words: Iterable[str], has_verbs: bool) -> list[str]:
    """The words that are flags of this parser: those before ``--``, and before the verb where there are verbs."""
    flags: list[str] = []
    for word in words:
        is_flag = word.startswith("-") and word != "-" and " " not in word and not _NEGATIVE.fullmatch(word)
        if word == "--" or (has_verbs and not is_flag):
            break
        if is_flag:
            flags.append(word)
    return flags


def _suggestion(word: str, names: Collection[str]) -> str:
    """``; did you mean --model?`` if a name is close to ``word``."""
    from partway.plugins import did_you_mean  # only a mistake pays for it

    return did_you_mean(word, names).replace("'", "")


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _name(action: argparse.Action) -> str:
    return "/".join(action.option_strings) or str(action.metavar or action.dest)
