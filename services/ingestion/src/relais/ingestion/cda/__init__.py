"""CDA R2 documents at the door: one hardened XML entry point, the header reader, the type codes, HL7 times.

    header = read_header(document)                  # a whole document, the hot path
    reader = CdaReader()                            # or as it streams in
    async for chunk in upload: reader.feed(chunk)
    header = reader.close()

Everything raises `DocumentRefused`, whose code and field name what was wrong and never a value of the document.
"""

from relais.ingestion.cda.reader import CdaReader as CdaReader
from relais.ingestion.cda.reader import read_header as read_header
from relais.ingestion.cda.refusal import DocumentRefused as DocumentRefused
from relais.ingestion.cda.refusal import RefusalCode as RefusalCode
from relais.ingestion.cda.timestamp import TimestampMalformed as TimestampMalformed
from relais.ingestion.cda.timestamp import parse_timestamp as parse_timestamp
from relais.ingestion.cda.type_codes import is_known_type as is_known_type
from relais.ingestion.cda.type_codes import type_label as type_label
