"""User-facing errors of the build graph, one class per subject; each instance states its cause and fix."""

from tapeout.errors import TapeoutError
from tapeout.program import StepFailed


class UnknownName(TapeoutError):
    """No artifact, action, run, rule or path has this name, or more than one does."""


class InvalidRule(TapeoutError):
    """A rule does not define its step: its program is missing, is not Python, or its imports cannot be traced."""


class InvalidEnvironment(TapeoutError):
    """An environment's lock cannot be used, or the environment is not completely installed."""


class EnvironmentChanged(InvalidEnvironment):
    """A file of an installed environment, or of the Python that it uses, is not as it was installed."""


class NotAPlainFile(TapeoutError):
    """A file of an artifact or a run is a link, a pipe, a device or a socket."""


class InvalidFolder(TapeoutError):
    """A folder cannot be used: it is something else, has an unsupported path, or is on a disk without file times."""


class InputChanged(TapeoutError):
    """An input or the code does not match the digest in the action."""


class StepStopped(StepFailed):
    """The program of a step was stopped on request; the next run resumes or restarts it."""


class UnreadableState(TapeoutError):
    """A file in ``results/.graph`` is missing, damaged, or belongs to another run."""


class RunInProgress(TapeoutError):
    """Another run uses the same folder."""


class NotWritable(TapeoutError):
    """A file or folder cannot be read or written: permissions, the disk or the file system refuse it."""


class RequestRefused(TapeoutError):
    """An operation on named runs, artifacts or the store cannot be carried out as requested."""


class InvalidKey(TapeoutError):
    """A file has no key for signatures, or the policy of trusted keys cannot be read."""


class RemoteError(TapeoutError):
    """The configuration of the remote store is invalid."""


class RemoteUnavailable(RemoteError):
    """The remote store does not exist or does not answer."""


class RemoteRefused(RemoteError):
    """The remote store does not permit the operation, or has no space left."""
