"""`python -m faultdx` is the installed command."""

from faultdx.cli import main

if __name__ == "__main__":
    main()
