"""What the sequences of measured steps hold: tokens of documents, padding, pairs that attend."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """Of some sequences together."""

    tokens: int
    """Inputs that belong to documents: padding is not counted."""

    squares: int
    """Sum of the squares of the documents' lengths: full attention computes as many pairs."""

    padding: int
    """Inputs that only fill sequences."""

    @property
    def attended_tokens(self) -> float:
        """The length of documents that would attend to as many pairs, were all equally long."""
        return self.squares / self.tokens if self.tokens else 0.0
