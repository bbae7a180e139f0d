"""Benchmarks: read for decontamination and evaluation, never for training; one reader a module."""
