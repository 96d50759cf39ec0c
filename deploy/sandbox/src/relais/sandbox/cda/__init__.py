"""Synthetic CDA R2 documents: invented patients, valid structure, any size, the same bytes for the same seed.

    document = generate(7, kind=Kind.N1)          # 51 KB, a real PDF inside
    document.body, document.identity, document.identifier

They validate against the extended CDA schema of the framework. They do not claim to satisfy the schematron of the model
whose template id they carry: what they are for is the road, not the medicine.
"""

from relais.sandbox.cda.generator import BENCH_BYTES as BENCH_BYTES
from relais.sandbox.cda.generator import Kind as Kind
from relais.sandbox.cda.generator import SyntheticDocument as SyntheticDocument
from relais.sandbox.cda.generator import generate as generate
from relais.sandbox.cda.people import INS_NIR as INS_NIR
from relais.sandbox.cda.people import INS_NIR_TEST as INS_NIR_TEST
from relais.sandbox.cda.types import DOCUMENT_TYPES as DOCUMENT_TYPES
