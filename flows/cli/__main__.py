"""`python -m flows.cli`: the command where its script is not installed."""

from flows.cli import main

if __name__ == "__main__":
    main()
