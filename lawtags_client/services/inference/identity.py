"""Which inference server answers, as far as it says so itself."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lawtags_client.errors import LawtagsError
from lawtags_client.json_value import JsonValue
from lawtags_client.services.inference.dialects import Dialect
from lawtags_client.services.parsing import parse
from lawtags_client.settings import Settings
from lawtags_client.transport.call import Call
from lawtags_client.transport.http import ServiceTransport
from lawtags_client.types.inference import ChatCompletion, Completion

logger = logging.getLogger(__name__)

# To know the version is a convenience: a server that does not answer these at once is asked otherwise.
_PATIENCE = 5.0
_NUMBERS = re.compile(r"v?(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Server:
    """A server that has said what it is.

    Args:
        name: product and version, for messages.
        dialect: how it wants constraints.
    """

    name: str
    dialect: Dialect


async def identify(http: ServiceTransport, models_path: str, settings: Settings, model: str) -> Server | None:
    """Ask a server what it is: ``/v1/version`` (NIM), ``/version`` (vLLM), and who owns the model.

    Args:
        http: the way to it.
        models_path: where it lists its models.
        settings: the time limits; so that a silent server costs a small part of them.
        model: the model that is going to be asked.

    Returns:
        None, where it does not say, or nothing known.
    """
    patience = min(_PATIENCE, settings.read_timeout, settings.total_timeout / 4)
    paths = ("/v1/version", "/version", models_path)
    nim, vllm, models = await asyncio.gather(*(_asked(http, path, patience) for path in paths))
    server = _server(nim, vllm, _owner(models, model))
    if server is not None:
        logger.debug("inference is served by %s", server.name)
    return server


async def probe(http: ServiceTransport, model: str, chat: bool, fields: Mapping[str, JsonValue]) -> str:
    """What a model says to a short request with some fields added, in a chat or not.

    Raises:
        APIError: the service refused the request.
    """
    said: Mapping[str, JsonValue] = (
        {"messages": [{"role": "user", "content": "Hello"}]} if chat else {"prompt": "Hello"}
    )
    path = "/v1/chat/completions" if chat else "/v1/completions"
    body = {"model": model, "max_tokens": 16, "temperature": 0.0, **said, **fields}
    data = await http.json(Call("POST", path, json=body, repeatable=True, max_retries=0))
    if chat:
        return (await parse(ChatCompletion, data, http)).text
    return (await parse(Completion, data, http)).text


async def _asked(http: ServiceTransport, path: str, patience: float) -> JsonValue:
    call = Call("GET", path, max_retries=0, read_timeout=patience, total_timeout=patience)
    try:
        return await http.json(call)
    except LawtagsError:
        return None


def _owner(models: object, model: str) -> str | None:
    listed = models.get("data") if isinstance(models, Mapping) else None
    for each in listed if isinstance(listed, Sequence) and not isinstance(listed, str) else ():
        if isinstance(each, Mapping) and each.get("id") == model and isinstance(each.get("owned_by"), str):
            return str(each["owned_by"])
    return None


def _server(nim: object, vllm: object, owner: str | None) -> Server | None:
    if owner == "sglang":
        # A NIM of 2.1 may bundle it, too.
        return Server("SGLang", Dialect.SGLANG)
    if isinstance(nim, Mapping) and isinstance(nim.get("release"), str):
        release = nim["release"]
        if nim.get("product") == "lawtags":
            return Server(f"lawtags {release}", Dialect.STRUCTURED)
        if (numbers := _version(release)) is not None and numbers[0] >= 1:
            return Server(f"NIM {release}", Dialect.NVEXT if numbers[0] == 1 else Dialect.STRUCTURED)
    if isinstance(vllm, Mapping) and owner in ("vllm", None):
        # A build of one's own may call itself 0.1.dev1, and says nothing by that.
        numbers = _version(vllm.get("version"))
        if numbers is not None and numbers >= (0, 4):
            known = Dialect.GUIDED if numbers < (0, 11) else Dialect.STRUCTURED
            return Server(f"vLLM {vllm['version']}", known)
    if owner is not None and owner.startswith("openai"):
        return Server("OpenAI", Dialect.RESPONSE_FORMAT)
    return None


def _version(text: object) -> tuple[int, int] | None:
    found = _NUMBERS.match(text) if isinstance(text, str) else None
    return (int(found[1]), int(found[2])) if found else None
