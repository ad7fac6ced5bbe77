"""`python -m faultdx` is the installed command."""

import signal


def main() -> None:
    """Run the command line, and end the process; a Ctrl-C while it is still being imported ends it without a traceback.

    It does not return where the process can end at once (`cli.leaving.leave`).
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # nohup, or another's handler, stays in force
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from faultdx.cli import main as run
    from faultdx.cli.leaving import leave

    code: object = 0
    try:
        run()
    except SystemExit as end:
        code = end.code
    leave(code)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
