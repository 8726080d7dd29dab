"""Named errors of the content layer."""

from tapeout.errors import TapeoutError


class GraphError(TapeoutError):
    """Base of the content layer's errors."""


class UnknownArtifact(GraphError):
    """A rule asks for an artifact that no rule makes."""


class UnstableParameter(GraphError):
    """A parameter has no canonical form, so that it cannot be part of an identity."""


class BrokenScript(GraphError):
    """The program of a rule, or a module that it imports, is missing or is not Python."""


class UntraceableImport(GraphError):
    """A module is imported in a way that the code closure cannot follow."""


class NotAPlainFile(GraphError):
    """An output holds a link, a device or a socket."""


class MissingOutput(GraphError):
    """A step ended well but did not make what its rule promises."""


class InputChanged(GraphError):
    """An input is not, or no longer, what the action says."""


class CodeChanged(GraphError):
    """The code of a step is not, or no longer, what the action says."""


class NotWritable(GraphError):
    """The store cannot be written by this user."""


class AmbiguousRule(GraphError):
    """A rule leaves open what a step is, so that its identity cannot be known."""


class DiskFull(GraphError):
    """No space is left where the layer writes."""


class StepFailed(GraphError):
    """The program of a step ended with an error."""


class MissingEnvironment(GraphError):
    """A step needs an environment that is not installed, or not wholly."""


class InvalidLock(GraphError):
    """An environment's lock file cannot be read, or lacks a hash."""


class InstallFailed(GraphError):
    """An environment could not be installed from its lock."""


class RunInProgress(GraphError):
    """Another run works in the same folder."""


class DamagedEntry(GraphError):
    """A file of the content layer cannot be read."""
