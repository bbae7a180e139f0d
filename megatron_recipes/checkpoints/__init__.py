"""Checkpoints of a training: taken, written, read again at any layout."""
