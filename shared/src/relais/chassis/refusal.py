"""Why a process does not start."""


class StartRefused(Exception):
    """Something that the process needs is not there or cannot be used.

    The message is ours alone, so that it may be shown and logged: it says what is wrong and what to do, and quotes nothing.
    """
