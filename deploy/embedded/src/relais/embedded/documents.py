"""The files an embedded stack writes for others to read: who its first operators are, where deliveries go, and how a client gets in."""

import json
import tomllib
from collections.abc import Mapping
from typing import Any

from relais.embedded.certificates import Authority
from relais.embedded.keys import TOKEN_ISSUER, Keys
from relais.embedded.ports import HOST
from relais.embedded.state import StateFolder, write_whole
from relais.embedded.topology import ENDPOINTS, SERVICES

OPERATOR = "operator"
DEMO_SENDER = "demo-sender"

# What a client does without being told: kept from one start to the next, because somebody chose it.
_DEFAULTS = ("tenant", "site", "credential")
_CONTEXT_TITLE = "# How to reach this stack.\n"


def write_documents(state: StateFolder, authority: Authority, keys: Keys, ports: Mapping[str, int], replicas: int) -> None:
    """Write operators.toml, endpoints.toml, sandbox.toml and context.toml anew: they follow from certificates, keys and ports."""
    write_whole(state.configuration / "operators.toml", _operators(authority).encode())
    write_whole(state.configuration / "endpoints.toml", _endpoints(authority, keys, ports["sandbox"]).encode())
    write_whole(state.configuration / "sandbox.toml", _sandbox(state, authority, keys, ports).encode())
    context = _with_defaults(_context(authority, ports, replicas), _defaults(state))
    write_whole(state.configuration / "context.toml", context.encode())


def choose_defaults(state: StateFolder, defaults: Mapping[str, str]) -> None:
    """Let context.toml say which `tenant`, `site` and `credential` are meant where a client names none; later starts keep it."""
    file = state.configuration / "context.toml"
    kept = "".join(line for line in file.read_text().splitlines(keepends=True) if line.partition(" ")[0] not in _DEFAULTS)
    write_whole(file, _with_defaults(kept, defaults).encode())


def _defaults(state: StateFolder) -> dict[str, str]:
    """What was chosen; nothing where the file is new, or was changed by hand into something else."""
    try:
        known: dict[str, Any] = tomllib.loads((state.configuration / "context.toml").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return {name: value for name in _DEFAULTS if isinstance(value := known.get(name), str)}


def _with_defaults(context: str, defaults: Mapping[str, str]) -> str:
    lines = "".join(f"{name} = {_quoted(value)}\n" for name, value in defaults.items() if name in _DEFAULTS)
    return context.replace(_CONTEXT_TITLE, _CONTEXT_TITLE + lines, 1)


def _operators(authority: Authority) -> str:
    """Credentials that work before the registry holds any: the certificate of the operator, and tokens with that subject."""
    fingerprint = authority.client(OPERATOR).fingerprint()
    return f"""# The first operators of this stack. Everybody else is registered as facts, through the API.
[[operator]]
name = {_quoted(OPERATOR)}
credential = {_quoted(f"x509:{fingerprint}")}
tenant = "*"
permissions = ["*"]

[[operator]]
name = {_quoted(f"{OPERATOR} with a token")}
credential = {_quoted(f"jwt:{TOKEN_ISSUER}:{OPERATOR}")}
tenant = "*"
permissions = ["*"]
"""


def _endpoints(authority: Authority, keys: Keys, port: int) -> str:
    """The HTTPS destinations: all of them the sandbox's, each with an address and keys of its own."""
    tables = []
    for name in ENDPOINTS:
        tables.append(
            f"[endpoints.{name}]\n"
            'deployment = "test"\n'
            f"url = {_quoted(f'https://{HOST}:{port}/{name}')}\n"
            f"ca_file = {_quoted(str(authority.pair.certificate))}\n"
            f"keys_file = {_quoted(str(keys.endpoint(name)))}\n"
        )
    return "# Where the HTTPS connector delivers; a site's policy names these endpoints.\n" + "\n".join(tables)


def _sandbox(state: StateFolder, authority: Authority, keys: Keys, ports: Mapping[str, int]) -> str:
    """The partners the sandbox plays, behind the same names as the endpoints."""
    pair = authority.server("sandbox")
    lines = [f"host = {_quoted(HOST)}", f"port = {ports['sandbox']}", f"control_port = {ports['sandbox.control']}"]
    lines += [f"certificate_file = {_quoted(str(pair.certificate))}", f"private_key_file = {_quoted(str(pair.key))}"]
    for name in ENDPOINTS:
        lines += ["", "[[partner]]", f"id = {_quoted(name)}", f"keys_file = {_quoted(str(keys.endpoint(name)))}"]
        lines.append(f"folder = {_quoted(str(state.sandbox / name))}")
    return "\n".join(lines) + "\n"


def _context(authority: Authority, ports: Mapping[str, int], replicas: int) -> str:
    """What a client needs: every service's addresses, the authority, and the certificates of a demo sender and of the operator."""
    lines = [_CONTEXT_TITLE.rstrip("\n"), f"authority_file = {_quoted(str(authority.pair.certificate))}", "", "[services]"]
    for service in SERVICES:
        addresses = [f"{HOST}:{ports[f'{service.name}-{replica}.grpc']}" for replica in range(1, replicas + 1)]
        lines.append(f"{service.name} = {json.dumps(addresses)}")
    for name in (DEMO_SENDER, OPERATOR):
        pair = authority.client(name)
        lines += [
            "",
            f"[credentials.{name}]",
            f"certificate_file = {_quoted(str(pair.certificate))}",
            f"key_file = {_quoted(str(pair.key))}",
        ]
        lines.append(f"certificate_sha256 = {_quoted(pair.fingerprint())}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    # A JSON string without control characters is a TOML basic string.
    return json.dumps(text, ensure_ascii=False)
