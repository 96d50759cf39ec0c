"""Reading environment variables so that everything wrong is collected and said at once."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TEXT_CHARACTERS_MAXIMUM = 4096


@dataclass(frozen=True, slots=True)
class Problem:
    """One variable that cannot be used. Its value is never repeated: it may be a secret."""

    variable: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.variable} {self.what}. {self.remedy}"


class EnvironmentRefused(Exception):
    """The process cannot start with this environment; `problems` says why, one per variable."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class Environment:
    """Reads variables one by one and remembers what is wrong; a wrong variable reads as something harmless until `refuse_if_wrong`."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._problems: list[Problem] = []

    def complain(self, variable: str, what: str, remedy: str) -> None:
        """Remember that a variable cannot be used."""
        self._problems.append(Problem(variable, what, remedy))

    def refuse_if_wrong(self) -> None:
        """Raise `EnvironmentRefused` when anything was wrong."""
        if self._problems:
            raise EnvironmentRefused(self._problems)

    def text(self, variable: str, remedy: str, characters_maximum: int = TEXT_CHARACTERS_MAXIMUM) -> str:
        """A required text."""
        value = self._variables.get(variable, "").strip()
        if not value:
            self.complain(variable, "is not set", remedy)
        elif len(value) > characters_maximum:
            self.complain(variable, f"has more than {characters_maximum} characters", remedy)
        return value

    def optional_text(self, variable: str) -> str | None:
        """A text that may be absent."""
        return self._variables.get(variable, "").strip() or None

    def choice(self, variable: str, choices: Sequence[str], remedy: str, default: str | None = None) -> str:
        """One of a few words; required without a default."""
        value = self.text(variable, remedy) if default is None else self.optional_text(variable) or default
        if value in choices:
            return value
        if value:
            self.complain(variable, f"is none of {', '.join(choices)}", remedy)
        return choices[0]

    def share(self, variable: str, default: float) -> float:
        """A number from 0 to 1."""
        text = self.optional_text(variable)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0.0 <= value <= 1.0:
            self.complain(variable, "is not a number from 0 to 1", "For instance 0.01 for one in a hundred.")
            return default
        return value

    def file(self, variable: str, remedy: str) -> Path:
        """A required file that can be read."""
        path = Path(self.text(variable, remedy))
        if variable in self._variables and self._variables[variable].strip():
            self._check_readable(variable, path, remedy)
        return path

    def optional_file(self, variable: str) -> Path | None:
        """A file that can be read, if one is named."""
        text = self.optional_text(variable)
        if text is None:
            return None
        self._check_readable(variable, Path(text), "Name a file that this process can read, or unset it.")
        return Path(text)

    def optional_path(self, variable: str) -> Path | None:
        """A file to write, if one is named; its folder must be there."""
        text = self.optional_text(variable)
        if text is None:
            return None
        if not Path(text).parent.is_dir():
            self.complain(variable, "names a file in a folder that does not exist", "Make the folder, or unset it.")
        return Path(text)

    def _check_readable(self, variable: str, path: Path, remedy: str) -> None:
        if not path.is_file():
            self.complain(variable, "names no file", remedy)
        elif not os.access(path, os.R_OK):
            self.complain(variable, "names a file that this process may not read", remedy)
