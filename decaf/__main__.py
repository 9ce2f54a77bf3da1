"""`python -m decaf`."""

from decaf.cli.app import main

if __name__ == "__main__":
    main()
