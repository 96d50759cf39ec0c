"""From options and a sidecar file to a submission.

What the sender declares about the patient comes from a file, never from the command line: that is kept in the shell's history and seen
by every process of the machine.

A sidecar is TOML or JSON. It is given with `--with FILE`, or lies beside the document under its name (`letter.xml` → `letter.relais.toml`):

    site = "site-a"
    opposition = "NO"                                  # UNKNOWN, NO or YES
    [patient]
    ins = "…"                                          # and ins_oid, ins_status, birth_family_name … as in DeclaredIdentity
    [professional]
    identifier = "810000000001"
    [flags]
    DESTDMP = "Y"
    rest = "N"                                         # every flag that is not named; without it each must be
    [[recipients]]
    kind = "PROFESSIONAL"
    address = "…"
"""

import contextlib
import hmac
import os
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import msgspec

from relais.cli.exits import UsageError
from relais.client.document_records import Submission
from relais.contracts.submission import DeclaredIdentity, Flags, Opposition, Professional, Recipient, RecipientKind

FLAG_NAMES = tuple(name.upper() for name in Flags.__struct_fields__)
SIDECAR_BYTES_MAXIMUM = 256 * 1024
REQUEST_KEY_BYTES = 32
_YES_NO = {"Y": True, "YES": True, "O": True, "OUI": True, "N": False, "NO": False, "NON": False}
# Spellings that other versions of the volet and its examples use.
_ALIASES = {
    "INVISIBLE_REPRENSANTS_LEGAUX": "INVISIBLE_REP_LEGAUX",
    "INVISIBLE_REPRESENTANTS_LEGAUX": "INVISIBLE_REP_LEGAUX",
    "MODIF_CONFIDENTIALITYCODE": "MODIF_CONF_CODE",
}


T = TypeVar("T")


class Sidecar(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a sidecar may hold; everything may be left to the options, except the patient."""

    site: str = ""
    opposition: Opposition | None = None
    patient: DeclaredIdentity | None = None
    professional: Professional | None = None
    flags: dict[str, str | bool] = {}
    recipients: tuple[Recipient, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What the options say; it goes before what a sidecar says."""

    site: str = ""
    identity: Path | None = None
    sidecar: Path | None = None
    professional: str = ""
    opposition: Opposition | None = None
    flags: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    request_id: str = ""


def build_submission(declared: Declared, document: Path, body_sha256: bytes, site: str, request_key: bytes) -> Submission:
    """The submission of one document. Raises `UsageError` that names everything still missing; never a value."""
    sidecar = _sidecar_of(declared, document)
    patient = read_file(declared.identity, DeclaredIdentity) if declared.identity else sidecar.patient
    professional = Professional(identifier=declared.professional) if declared.professional else sidecar.professional
    opposition = declared.opposition or sidecar.opposition
    chosen_site = declared.site or sidecar.site or site
    missing = [
        option
        for option, value in (
            ("--site", chosen_site),
            ("--identity", patient),
            ("--professional", professional),
            ("--opposition", opposition),
        )
        if not value
    ]
    if missing or patient is None or professional is None or opposition is None:
        raise UsageError(
            f"{document.name} : il manque {', '.join(missing)} (ou un fichier {_beside(document, 'toml').name}).",
            f"{document.name}: missing {', '.join(missing)} (or a file {_beside(document, 'toml').name}).",
        )
    submission = Submission(
        request_id=declared.request_id,
        site=chosen_site,
        patient=patient,
        flags=decided_flags({**sidecar.flags, **_flag_options(declared.flags)}),
        opposition=opposition,
        professional=professional,
        recipients=tuple(map(_recipient_option, declared.recipients)) or sidecar.recipients,
    )
    return submission if declared.request_id else replace(submission, request_id=_derived_request_id(submission, body_sha256, request_key))


def decided_flags(given: dict[str, str | bool]) -> Flags:
    """Every flag, decided. Raises `UsageError` naming those that are not; a flag left out is never read as N."""
    decided: dict[str, bool] = {}
    for name, value in given.items():
        official = _ALIASES.get(name.upper(), name.upper())
        if official != "REST" and official not in FLAG_NAMES:
            raise UsageError(f"Indicateur inconnu : {name}. Connus : {', '.join(FLAG_NAMES)}.", f"Unknown flag: {name}.")
        if official in decided and decided[official] != _yes(name, value):
            raise UsageError(f"Indicateur donné deux fois : {official}.", f"A flag is given twice: {official}.")
        decided[official] = _yes(name, value)
    rest = decided.pop("REST", None)
    undecided = [name for name in FLAG_NAMES if name not in decided]
    if undecided and rest is None:
        raise UsageError(
            f"Indicateurs non décidés : {', '.join(undecided)}. Décidez chacun (--flag NOM=Y|N), ou tous les autres (--flag rest=N).",
            "Undecided flags: decide each (--flag NAME=Y|N), or all the others (--flag rest=N).",
        )
    return Flags(**{name.lower(): decided.get(name, bool(rest)) for name in FLAG_NAMES})


def request_key(folder: Path) -> bytes:
    """The secret of this user under which request ids are derived: made at the first use, kept beside the contexts.

    The same command gives the same request_id, and so the same receipt; but a request_id stands in the clear in the record, and
    without the key nobody can try out on it whose document it was.
    """
    file = folder / "request.key"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = folder / f"request.key.{os.getpid()}"
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
            opened.write(os.urandom(REQUEST_KEY_BYTES))
        # Linking fails where another run was first, and then its key is the one.
        with contextlib.suppress(FileExistsError):
            os.link(fresh, file)
        fresh.unlink()
    return file.read_bytes()


def _derived_request_id(submission: Submission, body_sha256: bytes, key: bytes) -> str:
    said = msgspec.msgpack.encode((msgspec.to_builtins(submission), body_sha256))
    digest = bytearray(hmac.digest(key, said, "sha256")[:16])
    digest[6] = digest[6] & 0x0F | 0x80  # RFC 9562 version 8: made by a rule of our own.
    digest[8] = digest[8] & 0x3F | 0x80
    return str(UUID(bytes=bytes(digest)))


def _sidecar_of(declared: Declared, document: Path) -> Sidecar:
    if declared.sidecar:
        return read_file(declared.sidecar, Sidecar)
    for kind in ("toml", "json"):
        if _beside(document, kind).is_file():
            return read_file(_beside(document, kind), Sidecar)
    return Sidecar()


def _beside(document: Path, kind: str) -> Path:
    return document.with_name(f"{document.stem}.relais.{kind}")


def read_file(file: Path, kind: type[T]) -> T:
    """A TOML or JSON file as this kind of record. Raises `UsageError`."""
    try:
        if file.stat().st_size > SIDECAR_BYTES_MAXIMUM:
            raise UsageError(f"{file} est trop grand.", f"{file} is too large.")
        content = file.read_bytes()
        raw = msgspec.json.decode(content) if file.suffix == ".json" else tomllib.loads(content.decode())
        return msgspec.convert(raw, kind)
    except OSError as error:
        raise UsageError(f"{file} est illisible : {error.strerror}.", f"{file} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise UsageError(f"{file} n'a pas la forme attendue : {error}", f"{file} does not have the expected form: {error}") from None


def _flag_options(options: tuple[str, ...]) -> dict[str, str | bool]:
    flags: dict[str, str | bool] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise UsageError(f"--flag {option} : écrivez NOM=Y ou NOM=N.", f"--flag {option}: write NAME=Y or NAME=N.")
        flags[name.strip().upper()] = value.strip()
    return flags


def _yes(name: str, value: str | bool) -> bool:
    decided = value if isinstance(value, bool) else _YES_NO.get(value.upper())
    if decided is None:
        raise UsageError(f"Indicateur {name} : Y ou N.", f"Flag {name}: Y or N.")
    return decided


def _recipient_option(option: str) -> Recipient:
    kind, colon, address = option.partition(":")
    try:
        if not colon or not address:
            raise ValueError(kind)
        return Recipient(kind=RecipientKind(kind.strip().upper()), address=address.strip())
    except ValueError:
        kinds = ", ".join(RecipientKind)
        raise UsageError(
            f"--to : écrivez GENRE:ADRESSE, où GENRE est {kinds}.", f"--to: write KIND:ADDRESS, where KIND is {kinds}."
        ) from None
