"""The command line `preprocess`: one subcommand a stage, in the order of the data."""

from preprocess.cli.commands import app
from preprocess.cli.options import STAGES
from preprocess.cli.program import main

__all__ = ["STAGES", "app", "main"]
