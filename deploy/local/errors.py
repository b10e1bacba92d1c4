"""What ends a start, as one line for a person.

StackError          what is wrong, with which value, and what to do; the exit code is 1
└── SettingError    an environment variable cannot be taken; the exit code is 2
"""


class StackError(Exception):
    """The local stack cannot start or go on. Its text is the line the user reads."""

    exit_code = 1


class SettingError(StackError):
    """A setting from the environment is impossible."""

    exit_code = 2
