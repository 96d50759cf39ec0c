"""A small PDF (ISO 32000-1) that every reader opens: one page, a few lines of text, and a grey picture of any size."""

from random import Random
from typing import Final

_ROW_BYTES: Final = 96
"""Width of the picture: one byte a pixel."""

_COMMENT_BYTES_MINIMUM: Final = 2
_PAGE: Final = (
    b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
    b" /Resources << /Font << /F1 5 0 R >> /XObject << /P1 6 0 R >> >> >>"
)
_FONT: Final = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"


def write_pdf(lines: tuple[str, ...], size_bytes: int, chance: Random) -> bytes:
    """A PDF of `size_bytes`, or as small as these lines allow where that is larger. At most one byte less than asked.

    The picture is noise, so that the bytes compress no better than those of a scan; a comment makes up the size.
    """
    without_picture = len(_assemble(lines, b"", b""))
    rows = max(1, (size_bytes - without_picture) // _ROW_BYTES - 1)
    picture = chance.randbytes(rows * _ROW_BYTES)
    missing = size_bytes - len(_assemble(lines, picture, b""))
    comment = b"%" + b"-" * (missing - _COMMENT_BYTES_MINIMUM) + b"\n" if missing >= _COMMENT_BYTES_MINIMUM else b""
    return _assemble(lines, picture, comment)


def _assemble(lines: tuple[str, ...], picture: bytes, comment: bytes) -> bytes:
    rows = len(picture) // _ROW_BYTES
    picture_entries = (
        f"/Type /XObject /Subtype /Image /Width {_ROW_BYTES} /Height {rows} /ColorSpace /DeviceGray /BitsPerComponent 8 ".encode("ascii")
    )
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        _PAGE,
        _stream(b"", _page_content(lines)),
        _FONT,
        _stream(picture_entries, picture),
    )
    parts = [b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"]
    offsets = []
    length = len(parts[0])
    for number, content in enumerate(objects, start=1):
        offsets.append(length)
        parts.append(b"%d 0 obj\n%b\nendobj\n" % (number, content))
        length += len(parts[-1])
    entries = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    parts.append(b"xref\n0 %d\n0000000000 65535 f \n%b" % (len(objects) + 1, entries))
    parts.append(b"trailer\n<< /Size %d /Root 1 0 R >>\n%bstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, comment, length))
    return b"".join(parts)


def _stream(entries: bytes, content: bytes) -> bytes:
    return b"<< %b/Length %d >>\nstream\n%b\nendstream" % (entries, len(content), content)


def _page_content(lines: tuple[str, ...]) -> bytes:
    shown = b" ".join(b"(%b) Tj T*" % _literal(line) for line in lines)
    return b"BT /F1 12 Tf 16 TL 56 780 Td %b ET q 200 0 0 200 56 320 cm /P1 Do Q" % shown


def _literal(line: str) -> bytes:
    return line.encode("cp1252", "replace").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
