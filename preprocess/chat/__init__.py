"""Chat templates: which one a run uses, those in Jinja, and the way back from a rendering."""
