"""The HTTPS side of the outside world: partners that receive, each by its own script, and a control port on the loopback interface."""

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from dataclasses import asdict

from aiohttp import web

from relais.sandbox.partner import Behaviour, Partner, Received, script_of
from relais.sandbox.verification import NotBelieved, SharedKeys, open_recipient, verify_digest, verify_signature

BODY_BYTES_MAXIMUM = 128 * 1024 * 1024
RECEIVED_PAGE_MAXIMUM = 1000
_LIE = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"


class PartnerSite:
    """One partner behind one path, with the keys it shares with Relais (without keys it verifies the digest only)."""

    def __init__(self, partner: Partner, keys: SharedKeys | None) -> None:
        self.partner = partner
        self._keys = keys

    async def receive(self, request: web.Request) -> web.StreamResponse:
        """One delivery, treated as the script says."""
        self.partner.calls += 1
        behaviour = self.partner.script.next()
        if behaviour is Behaviour.RESET:
            await request.content.readany()
            return _break_off(request)
        body = await request.read()
        early = _answer_without_keeping(behaviour)
        if early is not None:
            return early
        if behaviour is Behaviour.HANG:
            return await _never(request)
        if behaviour is Behaviour.GARBAGE:
            return _babble(request)
        if behaviour is Behaviour.SLOW:
            await asyncio.sleep(self.partner.script.seconds)
        return await self._take_in(request, body, behaviour)

    async def _take_in(self, request: web.Request, body: bytes, behaviour: Behaviour) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            digest = verify_digest(headers, body)
            recipient = {}
            if self._keys is not None:
                verify_signature(request.method, str(request.url), headers, self._keys)
                recipient = open_recipient(headers, self._keys)
        except NotBelieved as error:
            self.partner.disbelieved.append(error.code)
            return web.Response(status=400, text=error.code)
        received = Received(
            key=headers.get("idempotency-key", "").strip('"'),
            document=headers.get("ce-subject", ""),
            sha256=digest,
            size=len(body),
            recipient=recipient,
            headers=headers,
        )
        repeat = self.partner.keep(received, body)
        if behaviour is Behaviour.SWALLOW:
            return await _never(request)
        if behaviour is Behaviour.RESET_AFTER:
            return _break_off(request)
        answer = {"Relais-Received-Digest": _LIE if behaviour is Behaviour.LIE else f"sha-256=:{digest}:"}
        if repeat:
            answer["Idempotent-Replayed"] = "true"
        return web.Response(status=200, headers=answer)


def _answer_without_keeping(behaviour: Behaviour) -> web.Response | None:
    match behaviour:
        case Behaviour.UNAVAILABLE:
            return web.Response(status=503, headers={"Retry-After": "1"})
        case Behaviour.BUSY:
            return web.Response(status=429)
        case Behaviour.ERROR:
            return web.Response(status=500)
        case Behaviour.REFUSE:
            return web.Response(status=422)
        case Behaviour.FORBID:
            return web.Response(status=403)
        case Behaviour.REDIRECT:
            return web.Response(status=308, headers={"Location": "https://elsewhere.invalid/"})
        case _:
            return None


async def _never(request: web.Request) -> web.StreamResponse:
    """Hold the call until the caller gives up, which cancels this handler."""
    await asyncio.Event().wait()
    return _break_off(request)


def _break_off(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _babble(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.write(b"220 this is not the protocol you are looking for\r\n\r\n")
        request.transport.close()
    return web.Response()


class OutsideWorld:
    """All partners of one sandbox on one TLS port, each under the path of its own name, and the control port."""

    def __init__(self, sites: Mapping[str, PartnerSite]) -> None:
        self.sites = dict(sites)
        self.port = 0
        self.control_port = 0
        self._stack = contextlib.AsyncExitStack()

    def partner(self, identifier: str) -> Partner:
        """One partner by its name."""
        return self.sites[identifier].partner

    async def start(self, host: str, port: int, control_port: int, tls: ssl.SSLContext | None) -> None:
        """Listen; port 0 chooses a free one."""
        outside = web.Application(client_max_size=BODY_BYTES_MAXIMUM)
        for identifier, site in self.sites.items():
            outside.router.add_post(f"/{identifier}", site.receive)
        self.port = await self._listen(outside, host, port, tls)
        control = web.Application()
        control.router.add_get("/partners", self._list)
        control.router.add_get("/partners/{id}/received", self._received)
        control.router.add_put("/partners/{id}/script", self._script)
        control.router.add_delete("/partners/{id}/received", self._forget)
        self.control_port = await self._listen(control, "127.0.0.1", control_port, None)

    async def stop(self) -> None:
        """Stop listening and break what is still open."""
        await self._stack.aclose()

    async def _listen(self, application: web.Application, host: str, port: int, tls: ssl.SSLContext | None) -> int:
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, host, port, ssl_context=tls)
        await site.start()
        return int(runner.addresses[0][1])

    async def _list(self, request: web.Request) -> web.Response:  # noqa: ARG002
        return web.json_response({identifier: site.partner.counts() for identifier, site in self.sites.items()})

    async def _received(self, request: web.Request) -> web.Response:
        offset = int(request.query.get("offset", "0"))
        page = self._named(request).received()[offset : offset + RECEIVED_PAGE_MAXIMUM]
        entries = []
        for entry in page:
            fields = asdict(entry)
            # A body is fetched from the folder, never from the control port: nobody wants it in a terminal.
            del fields["body"]
            entries.append(fields)
        return web.json_response(entries)

    async def _script(self, request: web.Request) -> web.Response:
        wish = await request.json()
        try:
            script = script_of(wish.get("first", []), wish.get("then", "ok"), float(wish.get("seconds", 1.0)))
        except ValueError as error:
            raise web.HTTPBadRequest(text=str(error)) from None
        self._named(request).script = script
        return web.json_response({})

    async def _forget(self, request: web.Request) -> web.Response:
        self._named(request).forget()
        return web.json_response({})

    def _named(self, request: web.Request) -> Partner:
        site = self.sites.get(request.match_info["id"])
        if site is None:
            raise web.HTTPNotFound
        return site.partner
