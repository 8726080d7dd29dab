"""Named errors: every failure that a user can cause or mend says its cause and its fix in one sentence each."""


class TapeoutError(Exception):
    """Base of all named errors.

    Subclasses live beside the code that raises them, so that a new error never changes the code identity of an
    unrelated step.

    Args:
        cause: one sentence, what is wrong, with the names and values that matter.
        fix: one sentence, what the reader can do about it.
    """

    def __init__(self, cause: str, fix: str) -> None:
        super().__init__(cause)
        self.cause = cause
        self.fix = fix

    def __str__(self) -> str:
        return f"{type(self).__name__}: {self.cause}\n  fix: {self.fix}"
