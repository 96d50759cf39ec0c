"""The configuration of our nats-server: JetStream that syncs before it acknowledges, and one user a service with only its own rights."""

from pathlib import Path

from relais.contracts.subjects import stream_of
from relais.embedded.keys import Keys
from relais.embedded.ports import HOST
from relais.embedded.topology import SERVICES, Service

OPERATOR_USER = "operator"
MAX_PAYLOAD = "8MB"
FILE_STORE_MAXIMUM = "16GB"


def broker_configuration(store: Path, keys: Keys, monitor_port: int) -> str:
    """The text of nats-server.conf but for where it listens, which the launcher adds."""
    users = "\n".join(_user(keys.nkey_public(service.name), _may_publish(service)) for service in SERVICES)
    operator = f"    {{ nkey: {keys.nkey_public(OPERATOR_USER)} }}"
    return f"""
server_name: relais-embedded
max_payload: {MAX_PAYLOAD}
http: "{HOST}:{monitor_port}"
jetstream {{
  store_dir: "{store}"
  max_file_store: {FILE_STORE_MAXIMUM}
  sync_interval: always
}}
authorization {{
  users: [
{users}
{operator}
  ]
}}
"""


def _user(public_key: str, may_publish: list[str]) -> str:
    allowed = ", ".join(f'"{subject}"' for subject in may_publish)
    return f'    {{ nkey: {public_key}, permissions: {{ publish: [{allowed}], subscribe: ["_INBOX.>", "relais.bell.*"] }} }}'


def _may_publish(service: Service) -> list[str]:
    """What a service may say: its own facts and their bell, and the calls to JetStream it needs.

    It may make and mend only the streams it writes, and only read those it follows.
    """
    subjects = ["$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST"]
    for log in service.writes:
        stream = stream_of(log)
        subjects += [f"relais.{log}.>", f"relais.bell.{log}"]
        subjects += [f"$JS.API.STREAM.{verb}.{stream}" for verb in ("CREATE", "UPDATE", "DELETE", "PURGE", "MSG.DELETE")]
    for log in dict.fromkeys((*service.reads, *service.writes)):
        stream = stream_of(log)
        subjects += [f"$JS.API.STREAM.INFO.{stream}", f"$JS.API.STREAM.MSG.GET.{stream}", f"$JS.API.DIRECT.GET.{stream}"]
        subjects += [f"$JS.API.DIRECT.GET.{stream}.>", f"$JS.ACK.{stream}.>", f"$JS.FC.{stream}.>"]
        subjects += [f"$JS.API.CONSUMER.{verb}.{stream}" for verb in ("CREATE", "NAMES", "LIST")]
        subjects += [f"$JS.API.CONSUMER.{verb}.{stream}.>" for verb in ("CREATE", "DURABLE.CREATE", "INFO", "DELETE", "MSG.NEXT")]
    return subjects
