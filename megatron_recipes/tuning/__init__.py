"""Stage 3: documents with masks, packed samples, and what is refused before the first step."""
