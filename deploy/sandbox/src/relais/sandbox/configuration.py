"""The sandbox's configuration file (TOML): where it listens, and which partners it plays. Paths are relative to the file.

host = "127.0.0.1"
port = 9443
control_port = 9480
certificate_file = "sandbox.pem"
private_key_file = "sandbox.key"

[[partner]]
id = "lab"
keys_file = "lab.jwks"      # optional: verify signatures and open recipients
folder = "received/lab"     # optional: keep each document as a file
first = ["unavailable"]     # optional: what the first calls get
then = "ok"                 # optional: what every other call gets
seconds = 1.0               # optional: how long `slow` takes
"""

import ssl
import tomllib
from pathlib import Path

from relais.sandbox.partner import Partner, script_of
from relais.sandbox.server import OutsideWorld, PartnerSite
from relais.sandbox.verification import read_keys


class ConfigurationWrong(Exception):
    """The file does not say what the sandbox needs; the message names the entry."""


class SandboxConfiguration:
    """The file, read and checked once. Raises `ConfigurationWrong` by the name of what is missing or unknown."""

    def __init__(self, file: Path) -> None:
        with file.open("rb") as opened:
            content = tomllib.load(opened)
        self._folder = file.resolve().parent
        try:
            self.host = str(content.get("host", "127.0.0.1"))
            self.port = int(content["port"])
            self.control_port = int(content["control_port"])
            self._certificate = self._folder / content["certificate_file"]
            self._private_key = self._folder / content["private_key_file"]
            self._client_ca = content.get("client_ca_file")
            self._partners = list(content["partner"])
            self.world = OutsideWorld({str(entry["id"]): self._site(entry) for entry in self._partners})
        except KeyError as error:
            raise ConfigurationWrong(f"{file.name} does not say {error}") from None
        except ValueError as error:
            raise ConfigurationWrong(f"{file.name}: {error}") from None

    def tls(self) -> ssl.SSLContext:
        """The server's side of TLS; with `client_ca_file`, callers must show a certificate it signed."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._certificate, self._private_key)
        if self._client_ca is not None:
            context.load_verify_locations(self._folder / self._client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _site(self, entry: dict[str, object]) -> PartnerSite:
        first, then, seconds = entry.get("first", []), entry.get("then", "ok"), entry.get("seconds", 1.0)
        if not isinstance(first, list) or not isinstance(seconds, (int, float)):
            raise ConfigurationWrong(f"the script of partner {entry['id']} is not a list of words and a number of seconds")
        folder = None
        if "folder" in entry:
            folder = self._folder / str(entry["folder"])
            folder.mkdir(parents=True, exist_ok=True)
        keys = read_keys(self._folder / str(entry["keys_file"])) if "keys_file" in entry else None
        return PartnerSite(Partner(str(entry["id"]), script_of(first, str(then), float(seconds)), folder=folder), keys)
