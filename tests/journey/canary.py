"""A patient who exists nowhere else, and the search for every byte of theirs."""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from relais.contracts.submission import DeclaredIdentity
from relais.sandbox.cda import INS_NIR_TEST, Kind, SyntheticDocument, generate
from relais.sandbox.cda.people import ins_with_key

FAMILY: Final = "ZYQUAVARELLE"
GIVEN: Final = "OXALINDEBRUNE"
STREET: Final = "Impasse du Canari Mauve"
LOCAL_ID: Final = "CANARI778812093"
ADDRESS: Final = "oxalindebrune@zyquavarelle.mssante.fr"
NIR: Final = "2710375056987"
INS: Final = ins_with_key(NIR)
IDENTITY: Final = DeclaredIdentity(
    ins=INS,
    ins_oid=INS_NIR_TEST,
    birth_family_name=FAMILY,
    first_birth_given_name=GIVEN,
    given_names=GIVEN,
    sex="F",
    birth_date="19710314",
    birth_place="75056",
    local_id=LOCAL_ID,
    local_id_authority="2.999.1.1",
)


@dataclass(frozen=True)
class CanaryDocument:
    """A document of the canary. Its own id and its hash are the patient's too: whoever has a copy could recognise it by them."""

    body: bytes
    document: SyntheticDocument

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(self.body).digest()


def canary_document(seed: int, *, kind: Kind = Kind.N3, size_bytes: int = 20_000) -> CanaryDocument:
    """A document in which name, matricule, address and local id stand wherever a document has them, title and text included."""
    document = generate(seed, kind=kind, size_bytes=size_bytes)
    who = document.identity
    body = document.body
    for old, new in (
        (who.ins, INS),
        (f'qualifier="BR">{who.birth_family_name}<', f'qualifier="BR">{FAMILY}<'),
        (f'qualifier="BR">{who.first_birth_given_name}<', f'qualifier="BR">{GIVEN}<'),
        (f"<given>{who.given_names}<", f"<given>{GIVEN}<"),
        (f'<birthTime value="{who.birth_date}"', f'<birthTime value="{IDENTITY.birth_date}"'),
        (f'administrativeGenderCode code="{who.sex}"', 'administrativeGenderCode code="F"'),
        (who.local_id, LOCAL_ID),
        ("Rue de l'Écluse", STREET),
        ("</title>", f" de {FAMILY} {GIVEN}</title>"),
        ("<paragraph>", f"<paragraph>Patiente : {GIVEN} {FAMILY}, {INS}. "),
    ):
        if kind is Kind.N1 and old == "<paragraph>":
            continue
        assert old.encode() in body, old
        body = body.replace(old.encode(), new.encode())
    return CanaryDocument(body, msgspec.structs.replace(document, body=body, identity=_with_status(who)))


def _with_status(who: DeclaredIdentity) -> DeclaredIdentity:
    return msgspec.structs.replace(IDENTITY, ins_status=who.ins_status)


def needles(documents: Iterable[CanaryDocument] = ()) -> dict[str, bytes]:
    """What must be found nowhere, by a name for the message: lower-case text in several encodings, and raw bytes of hashes."""
    words = [FAMILY, GIVEN, NIR, LOCAL_ID, ADDRESS, STREET]
    for document in documents:
        words += [document.document.identifier.root, document.sha256.hex()]
    found: dict[str, bytes] = {}
    for word in words:
        lower = word.lower()
        found[word] = lower.encode()
        found[f"{word} in UTF-16"] = lower.encode("utf-16-le")
        found[f"{word} in an URL"] = lower.replace(" ", "%20").replace("@", "%40").encode()
    return found


def exact_needles(documents: Iterable[CanaryDocument] = ()) -> dict[str, bytes]:
    """What is looked for as it is: hashes as bytes, and words inside Base64, at each of the three places where they may begin."""
    found = {f"SHA-256 of {each.document.identifier.root[-6:]}": each.sha256 for each in documents}
    for word in (FAMILY, GIVEN, NIR):
        for shift in range(3):
            encoded = base64.b64encode(b"\x00" * shift + word.encode())
            # The first and the last group depend on what stands around the word.
            found[f"{word} in Base64 at {shift}"] = encoded[4 if shift else 0 : -4]
    return found


def traces_in(content: bytes, documents: Iterable[CanaryDocument] = ()) -> list[str]:
    """What of the canary is in these bytes."""
    documents = list(documents)
    lower = content.lower()
    return [name for name, needle in needles(documents).items() if needle in lower] + [
        name for name, needle in exact_needles(documents).items() if needle in content
    ]


def files_below(folder: Path, *, without: Iterable[Path] = ()) -> Iterator[Path]:
    """Every file of a folder, apart from some folders of it."""
    left_out = tuple(without)
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not any(file.is_relative_to(place) for place in left_out):
            yield file
