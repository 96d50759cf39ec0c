"""Contexts: which platform, which tenant, as whom. A context is a file that says how to reach a platform, plus choices made for it.

The file has the form that the embedded stack writes:

    authority_file = "authority.pem"           # who signs the servers' certificates; relative to this file
    tenant = "north"                           # optional, as `site` and `credential`
    [services]
    ingestion = ["relais.example:443"]         # and identity, routing, delivery
    [credentials.operator]
    certificate_file = "operator.pem"          # with key_file; or token_file
    key_file = "operator.key"

Found in this order: `--context` (a name or a file), the current context, `.relais/configuration/context.toml` here or above.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import msgspec

from relais.cli.exits import UsageError
from relais.client.settings import CertificateCredential, ClientSettings, TokenCredential

EMBEDDED_FILE = Path(".relais") / "configuration" / "context.toml"

T = TypeVar("T")


class PlatformCredential(msgspec.Struct, frozen=True, kw_only=True):
    """How a platform file names a credential."""

    certificate_file: str = ""
    key_file: str = ""
    token_file: str = ""


class PlatformFile(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach a platform."""

    services: dict[str, list[str]]
    authority_file: str = ""
    tenant: str = ""
    site: str = ""
    credential: str = ""
    credentials: dict[str, PlatformCredential] = {}


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One named context: a platform file and what was chosen for it."""

    file: str
    tenant: str = ""
    site: str = ""
    credential: str = ""


class Contexts(msgspec.Struct, frozen=True, kw_only=True):
    """All named contexts, and the current one."""

    current: str = ""
    contexts: dict[str, Choice] = {}


@dataclass(frozen=True)
class Chosen:
    """The context of one run."""

    name: str
    file: Path
    platform: PlatformFile
    tenant: str
    site: str
    credential: str

    def settings(self) -> ClientSettings:
        """What the client needs. Raises `UsageError` when none of the file's credentials is chosen."""
        credential = self.platform.credentials.get(self.credential)
        if credential is None and (self.credential or self.platform.credentials):
            known = ", ".join(self.platform.credentials) or "-"
            raise UsageError(
                f"Quel compte ? Ajoutez --as NOM. Connus de ce contexte : {known}.", f"As whom? Add --as NAME. The context knows: {known}."
            )
        return ClientSettings(
            addresses={service: tuple(addresses) for service, addresses in self.platform.services.items()},
            tenant=self.tenant,
            authority_file=self._beside(self.platform.authority_file) if self.platform.authority_file else None,
            credential=self._credential(credential) if credential else None,
            user_agent="relais-cli",
        )

    def _credential(self, named: PlatformCredential) -> CertificateCredential | TokenCredential:
        if named.token_file:
            return TokenCredential(token_file=self._beside(named.token_file))
        return CertificateCredential(certificate_file=self._beside(named.certificate_file), key_file=self._beside(named.key_file))

    def _beside(self, name: str) -> Path:
        return self.file.parent / name


def contexts_folder(environment: Mapping[str, str]) -> Path:
    """Where named contexts are kept: RELAIS_CONFIG, else the user's configuration folder."""
    if environment.get("RELAIS_CONFIG"):
        return Path(environment["RELAIS_CONFIG"])
    return Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "relais"


def choose(wanted: str, tenant: str, credential: str, environment: Mapping[str, str], folder: Path) -> Chosen:
    """The context of this run. Raises `UsageError` when there is none, or its file cannot be read."""
    named = read_contexts(contexts_folder(environment))
    chosen = _find(wanted, named, folder)
    overridden = replace(chosen, tenant=tenant or chosen.tenant, credential=credential or chosen.credential)
    if not overridden.credential and len(overridden.platform.credentials) == 1:
        return replace(overridden, credential=next(iter(overridden.platform.credentials)))
    return overridden


def read_contexts(folder: Path) -> Contexts:
    """The named contexts; none where there is no file yet."""
    file = folder / "contexts.toml"
    return _read(file, Contexts) if file.exists() else Contexts()


def write_contexts(folder: Path, contexts: Contexts) -> None:
    """Replace the named contexts, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lines = [f"current = {_quoted(contexts.current)}"]
    for name, choice in contexts.contexts.items():
        lines += ["", f"[contexts.{_quoted(name)}]"]
        lines += [f"{field} = {_quoted(value)}" for field, value in msgspec.structs.asdict(choice).items() if value]
    fresh = folder / f"contexts.toml.{os.getpid()}"
    fresh.write_text("\n".join(lines) + "\n", "utf-8")
    fresh.replace(folder / "contexts.toml")


def from_file(name: str, file: Path) -> Chosen:
    """The context that a platform file is by itself."""
    platform = _read(file, PlatformFile)
    return Chosen(name=name, file=file, platform=platform, tenant=platform.tenant, site=platform.site, credential=platform.credential)


def _find(wanted: str, named: Contexts, folder: Path) -> Chosen:
    name = wanted or named.current
    if name in named.contexts:
        choice = named.contexts[name]
        found = from_file(name, Path(choice.file))
        return replace(
            found,
            tenant=choice.tenant or found.tenant,
            site=choice.site or found.site,
            credential=choice.credential or found.credential,
        )
    if wanted:
        if Path(wanted).is_file():
            return from_file(wanted, Path(wanted))
        raise UsageError(
            f"Ni contexte ni fichier de ce nom : {wanted}. Voir relais context list.", f"No context and no file of that name: {wanted}."
        )
    for parent in (folder, *folder.parents):
        if (parent / EMBEDDED_FILE).is_file():
            return from_file("embedded", parent / EMBEDDED_FILE)
    raise UsageError(
        "Aucun contexte. Démarrez une plateforme avec make up, ou : relais context add NOM FICHIER.",
        "No context. Start a platform with make up, or: relais context add NAME FILE.",
    )


def _read(file: Path, kind: type[T]) -> T:
    try:
        return msgspec.convert(tomllib.loads(file.read_text("utf-8")), kind)
    except OSError as error:
        raise UsageError(f"{file} est illisible : {error.strerror}.", f"{file} cannot be read.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise UsageError(f"{file} n'a pas la forme attendue : {error}", f"{file} does not have the expected form.") from None


def _quoted(text: str) -> str:
    # A JSON string without control characters is a TOML basic string.
    return json.dumps(text, ensure_ascii=False)
