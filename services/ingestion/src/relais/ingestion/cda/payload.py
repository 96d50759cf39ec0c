"""The Base64 of an unstructured body, checked as it streams by: strict alphabet, missing padding forgiven, nothing decoded.

Official messages hold payloads whose padding was cut off, which every decoder can put back (DOMAIN §5.2); it is the only
thing forgiven. Line breaks and blanks are part of the format (RFC 2045 §6.8).
"""

from typing import Final

from relais.ingestion.cda.refusal import DocumentRefused, RefusalCode

_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BLANKS: Final = b" \t\r\n"
_PADDING: Final = b"="


class Base64Check:
    """Takes the text piece by piece, in any cuts, and says at the end whether it decodes. Holds counts, never the text."""

    __slots__ = ("_digits", "_field", "_paddings")

    def __init__(self, field: str) -> None:
        self._field = field
        self._digits = 0
        self._paddings = 0

    def take(self, piece: str) -> None:
        """Check one piece. Raises DocumentRefused (BAD_BASE64)."""
        if not piece.isascii():
            raise DocumentRefused(RefusalCode.BAD_BASE64, self._field)
        self.take_bytes(piece.encode("ascii"))

    def take_bytes(self, characters: bytes) -> None:
        """Check one piece as it stands in the document, where nothing of it is markup. Raises DocumentRefused (BAD_BASE64)."""
        # Deleting the alphabet first leaves so little (line breaks, mostly) that every later step costs nothing.
        others = characters.translate(None, _ALPHABET)
        digits = len(characters) - len(others)
        paddings = others.translate(None, _BLANKS)
        if (digits and self._paddings) or paddings.strip(_PADDING):
            raise DocumentRefused(RefusalCode.BAD_BASE64, self._field)
        if paddings:
            after_first_padding = characters[characters.index(_PADDING) :]
            if after_first_padding.translate(None, _PADDING + _BLANKS):
                raise DocumentRefused(RefusalCode.BAD_BASE64, self._field)
        self._digits += digits
        self._paddings += len(paddings)

    def finish(self) -> None:
        """Say that the text is complete. Raises DocumentRefused (BAD_BASE64), for an empty payload too."""
        missing = -self._digits % 4
        if self._digits == 0 or missing == 3 or self._paddings > missing:
            raise DocumentRefused(RefusalCode.BAD_BASE64, self._field)
