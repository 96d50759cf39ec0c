"""Every limit of the reader, in one place. Bytes are of the document as sent; characters are of decoded text."""

from typing import Final

DOCUMENT_BYTES_MAXIMUM: Final = 100 * 1024 * 1024
"""The largest document taken in, as `UploadDocument` promises."""

BLOCK_BYTES: Final = 256 * 1024
"""What the parser is given at a time, counted from the first byte, whatever the cuts of the network were."""

TOKEN_BYTES_MAXIMUM: Final = 1024 * 1024
"""The largest single tag, comment or instruction. An unfinished token is held in memory and read again with each block."""

HEADER_BYTES_MAXIMUM: Final = 1024 * 1024
"""From the `ClinicalDocument` tag to its `component`; the largest header among the official samples has 61 KB."""

HEADER_ELEMENTS_MAXIMUM: Final = 4096
"""Header elements kept in memory; the official samples keep 146 at most."""

EXTRACT_BYTES_MAXIMUM: Final = 32 * 1024
"""The extract as JSON: it travels sealed inside facts, and a fact has at most 64 KiB."""

FIELD_CHARACTERS_MAXIMUM: Final = 2048
"""One kept value: a name, an identifier, a title (128 in the profile)."""

ATTRIBUTES_MAXIMUM: Final = 64
"""Attributes of one kept element; CDA defines fewer than ten on any."""

DEPTH_MAXIMUM: Final = 512
"""Levels of nested elements; official documents stay under 21, and some receivers' parsers stop at 256."""

BODY_ELEMENTS_MAXIMUM: Final = 2_000_000
"""Elements of a watched body: two seconds of one core at most."""

NAMES_MAXIMUM: Final = 16_384
"""Distinct names of elements and attributes in a document of several blocks: the parser remembers each of them."""

PREFIXES_MAXIMUM: Final = 1024
"""Distinct namespace prefixes in a document of several blocks: the parser remembers these too."""
