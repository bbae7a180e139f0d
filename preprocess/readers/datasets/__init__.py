"""Datasets of agent data that corpora are made of, one reader a module."""
