"""User-facing errors of the build graph, one class per subject; each instance states its cause and fix."""

from tapeout.errors import TapeoutError


class GraphError(TapeoutError):
    """Base class of the build graph's errors."""


class UnknownName(GraphError):
    """No artifact, action, run, rule or path has this name, or more than one does."""


class InvalidRule(GraphError):
    """A rule does not define its step: its program is missing, is not Python, or its imports cannot be traced."""


class InvalidEnvironment(GraphError):
    """An environment's lock cannot be used, or the environment is not completely installed."""


class NotAPlainFile(GraphError):
    """An artifact contains a link, a device or a socket."""


class InvalidFolder(GraphError):
    """A folder is something else, or its path has a character that a program which uses it does not support."""


class InputChanged(GraphError):
    """An input or the code does not match the digest in the action."""


class StepFailed(GraphError):
    """The program of a step failed, or did not write what its rule declares."""


class StepStopped(StepFailed):
    """The program of a step was stopped on request; the next run resumes or restarts it."""


class UnreadableState(GraphError):
    """A file in ``results/.graph`` is missing, damaged, or belongs to another run."""


class RunInProgress(GraphError):
    """Another run uses the same folder."""


class NotWritable(GraphError):
    """The user has no write permission for the store."""


class DiskFull(GraphError):
    """No space is left on the device."""


class NamedRunError(GraphError):
    """A named run cannot be created, changed or removed as requested."""


class RebuildError(GraphError):
    """A step cannot be built a second time."""


class GcError(GraphError):
    """Garbage collection cannot do what was requested."""


class RemoteError(GraphError):
    """The configuration of the remote store is invalid."""


class RemoteUnavailable(RemoteError):
    """The remote store does not exist or does not answer."""


class RemoteRefused(RemoteError):
    """The remote store does not permit the operation, or has no space left."""
