"""Every error that this package raises on purpose.

    RStarError
    ├── UserError                 the caller can mend it: the message says what happened and what to do
    │   ├── ConfigError           a recipe or an option has an unknown key or a value out of range
    │   ├── DataError             a file of problems, trees or pairs cannot be read (names file and line)
    │   ├── ModelError            a model folder is missing, incomplete, or unfit for the step format
    │   ├── RunError              a run folder belongs to another recipe, is in use, or was changed since it was made
    │   └── PathError             a path cannot be read, made or written to (names it, and why)
    ├── DiskFullError             no room for what was to be written (names the file)
    ├── FormatError               text is not in the step format
    ├── EngineError               a policy or reward model could not answer
    │   └── ContextLengthError    the text is longer than the model's context
    ├── SandboxError              step execution itself is broken (never the program's own failure)
    └── GradingError              the grading worker itself is broken (never a wrong answer)

Code written by a model that fails is data (`Execution.status`), not an exception.
"""

from __future__ import annotations


class RStarError(Exception):
    """Base of all errors raised on purpose by rstar_math."""


class UserError(RStarError):
    """Something that the caller can mend; shown by the command line without a traceback."""


class ConfigError(UserError):
    """A recipe or an option has an unknown key or a value that is not allowed."""


class DataError(UserError):
    """A file of problems, trees or pairs cannot be read; the message names the file and the line."""


class ModelError(UserError):
    """A model folder is missing, incomplete, or its model is unfit for the step format."""


class RunError(UserError):
    """A run folder was made by another recipe, is in use by another process, or was changed since it was made."""


class PathError(UserError):
    """A path cannot be read, made or written to; the message names it and says why."""


class DiskFullError(RStarError):
    """There is no room for what was to be written; what was finished before is kept."""


class FormatError(RStarError):
    """Text is not in the step format of `rstar_math.steps`."""


class EngineError(RStarError):
    """A policy or reward model could not answer a request."""


class ContextLengthError(EngineError):
    """A text leaves no room in the model's context; a search ends there, as at its depth limit."""


class SandboxError(RStarError):
    """Step execution itself is broken or refused; says nothing about the program that was to run."""


class GradingError(RStarError):
    """The grading worker itself is broken; says nothing about the answer that was to be graded."""
