"""Tests of slurm/ and of the submitter; a package, so that its conftest is not that of tests/."""
