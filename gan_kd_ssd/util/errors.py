"""The exception for every mistake that a user can cause and correct."""

import sys


class UserError(Exception):
    """A wrong option, a wrong file, or a machine that lacks something.

    The message is one line that names the option or file and the remedy. The command lines print it
    without a traceback and exit with code 2.
    """


def exit_on_user_error(program, main, *args):
    """Return ``main(*args)``; print a :class:`UserError` as one line on stderr and return 2."""
    try:
        return main(*args)
    except UserError as error:
        message = " ".join(str(error).split())
        print(f"{program}: {message}", file=sys.stderr)
        return 2
