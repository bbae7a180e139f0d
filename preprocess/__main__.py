"""Run the command line as `python -m preprocess`."""

from preprocess.cli import main

main()
