"""The user's mistakes, apart from ours.

The command line prints an `InputError` as one line and ends with status 2; any other exception is
a defect of the package and keeps its traceback.
"""


class InputError(ValueError):
    """What the user gave cannot be used. The message names it and says what to do."""
