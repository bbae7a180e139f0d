"""Reading what a source spelled in its own way: JSON and calls in strings, types by other names."""
