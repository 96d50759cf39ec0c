"""The bytes the parser is looking at."""


class Block:
    """One slice of the document: where it starts (bytes from the beginning) and whether the document ends with it."""

    __slots__ = ("content", "is_last", "start")

    def __init__(self) -> None:
        self.content: bytes | bytearray = b""
        self.start = 0
        self.is_last = False

    @property
    def end(self) -> int:
        return self.start + len(self.content)
