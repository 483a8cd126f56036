"""The one exception for everything that a user can cause and mend."""

import sys


class UserError(Exception):
    """A wrong option, file or machine.

    Its message is one line that names the file or the option and says what to do. The entry points
    print it and exit with code 2 (see :func:`exit_on_user_error`); no traceback is shown.
    """


def exit_on_user_error(program, main, *args):
    """Return ``main(*args)``; turn a :class:`UserError` into one line on stderr and exit code 2."""
    try:
        return main(*args)
    except UserError as error:
        message = " ".join(str(error).split())
        print(f"{program}: {message}", file=sys.stderr)
        return 2
