"""What went wrong, in the words of this package: exceptions and error statuses become failures."""

from __future__ import annotations

import re
import socket
import ssl
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from lawtags_client.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConflictError,
    ConnectionFailedError,
    DeadlineExceededError,
    DoubtfulOutcomeError,
    ErrorContext,
    LawtagsError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitedError,
    RequestContext,
    ServerError,
    TransportError,
    UnprocessableError,
)
from lawtags_client.settings import ServiceAddress
from lawtags_client.terminal import escape_controls
from lawtags_client.transport.body import UnreadableBody
from lawtags_client.transport.details import LONGEST_SECRET, detail_message, read_detail
from lawtags_client.transport.headers import request_id
from lawtags_client.transport.redact import Redactor
from lawtags_client.transport.retry import AttemptFailed, Failure, parse_retry_after, status_may_pass
from lawtags_client.transport.urls import shown

if TYPE_CHECKING:
    import httpx

_SHOWN = 200
# What is said of the first bytes of an answer that is not HTTP, such as a TLS server's to plain HTTP.
_NOT_HTTP = ("illegal request line", "illegal status line")
_TITLE = re.compile(rb"<title[^>]{0,100}>([^<]{1,200})</title>", re.IGNORECASE)
_DATASET_MISSING = re.compile(r"dataset \S{1,500} (not found|does not exist)", re.IGNORECASE)
_BY_STATUS: dict[int, type[APIError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    413: PayloadTooLargeError,
    422: UnprocessableError,
}
_PROXY_ASKS = 407
_WRONG_PLACE = (404, 405, 501)
"""What a server answers whose address belongs to another service, or has a path too many."""

_HINTS: dict[int, str] = {
    401: "Set LAWTAGS_TOKEN (or the service's own token) to a valid one, or name a file that holds it as "
    "LAWTAGS_TOKEN_FILE; it is read again when a token is refused.",
    403: "The token does not allow this; request the permission, or use another token.",
    407: "A proxy asks who you are. Put user and password into HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, or "
    "bypass it by adding the host to NO_PROXY.",
    413: "Send less at once, or raise the limit of the proxy in front of the service.",
    507: "The server's disk is full.",
}


@dataclass(frozen=True, slots=True)
class Context:
    """What an error message says about the request it concerns.

    Args:
        address: of the service.
        method: GET, POST and so on.
        url: where the call goes, fit to be shown.
        redactor: masks secrets.
        repeatable: doing it twice is the same as doing it once.
        with_token: whether a token is sent.
        may_use_proxy: whether the environment may have a proxy carry it.
        target: where a redirect led, fit to be shown.
    """

    address: ServiceAddress
    method: str
    url: str
    redactor: Redactor
    repeatable: bool
    with_token: bool = False
    may_use_proxy: bool = False
    target: str | None = None

    def fields(self, response: httpx.Response | None = None) -> RequestContext:
        """Keyword arguments for an error."""
        found: RequestContext = {"service": self.address.service, "url": self.url}
        if response is not None:
            found["status"] = response.status_code
            found["request_id"] = self.request_id(response)
        return found

    def request_id(self, response: httpx.Response) -> str | None:
        """The server's id for the request, fit to be shown."""
        sent = request_id(response.headers)
        return sent and self.shown(sent)

    def shown(self, text: str, length: int = _SHOWN) -> str:
        """The beginning of what a server sent, without control characters and the secrets that it repeats."""
        # Masked before it is cut, since half a secret would not be recognized.
        return escape_controls(self.redactor.text(text[: length + LONGEST_SECRET])[:length])


def of(error: Exception, context: Context) -> tuple[Failure, BaseException | None]:
    """The failure behind whatever ended an attempt, and what it comes from."""
    import httpx

    if isinstance(error, AttemptFailed):
        return error.failure, error.__cause__
    if isinstance(error, TimeoutError):
        return out_of_time(context), error
    if isinstance(error, httpx.HTTPError | httpx.InvalidURL):
        return from_exception(error, context), error
    if isinstance(error, UnreadableBody):
        return unreadable(error, context, passing=error.passing), error
    # What a server sends can break any library on the way; nobody should have to catch its errors.
    return unexpected(error, context), error


def from_exception(error: Exception, context: Context) -> Failure:
    """The failure behind an exception of the HTTP library."""
    import httpx

    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
        return _not_connected(error, context)
    if isinstance(error, httpx.PoolTimeout):
        message = "no connection became free in time"
        hint = "Send fewer requests at once, or raise max_connections."
        waiting = DeadlineExceededError(message, hint=hint, **context.fields())
        return Failure(waiting, passing=True, processed=False)
    if isinstance(error, httpx.DecodingError):
        return _no_sense(f"the body cannot be decoded: {error}", context)
    if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError | httpx.InvalidURL):
        wrong = ConfigurationError(context.redactor.text(f"the request cannot be sent: {error}"))
        return Failure(wrong, passing=False, processed=False)
    if not context.repeatable:
        return lost(context, what=type(error).__name__)
    if context.url.startswith("http://") and str(error).startswith(_NOT_HTTP):
        other = TransportError(
            f"{context.url} answers with something other than HTTP",
            hint="Write https:// if the service speaks TLS, and check the port. The address comes from "
            f"{context.address.origin}.",
            **context.fields(),
        )
        return Failure(other, passing=True)
    slow = isinstance(error, httpx.TimeoutException)
    kind: type[TransportError] = DeadlineExceededError if slow else TransportError
    text = "no answer in time" if slow else f"the connection broke: {error or type(error).__name__}"
    hint = "Raise read_timeout, or check the service's health." if slow else "Check the service's health."
    message = context.redactor.text(f"{context.method} {context.url}: {text}")
    return Failure(kind(message, hint=hint, **context.fields()), passing=True)


def lost(context: Context, *, what: str, response: httpx.Response | None = None) -> Failure:
    """A create whose answer did not arrive."""
    error = DoubtfulOutcomeError(
        f"{context.method} {context.url} was sent but its answer was lost ({what}): "
        "it may or may not have happened",
        hint="Check whether it took effect before you repeat it.",
        **context.fields(response),
    )
    return Failure(error, passing=False)


def out_of_time(context: Context) -> Failure:
    """The time for the whole call ran out while an answer was awaited."""
    if not context.repeatable:
        return lost(context, what="no answer in time")
    message = f"{context.method} {context.url}: no complete answer within the time for the whole call"
    error = DeadlineExceededError(message, hint="Raise total_timeout.", **context.fields())
    return Failure(error, passing=False)


def from_response(response: httpx.Response, body: bytes, context: Context, now: datetime) -> Failure:
    """The failure that an error status stands for."""
    status = response.status_code
    told = {"true": True, "false": False}.get(response.headers.get("x-should-retry", "").lower())
    after = parse_retry_after(response.headers, now)
    if not context.repeatable and status in (408, 502, 504):
        # A gateway gave up waiting; the service behind it may well have gone on.
        return lost(context, what=f"HTTP {status}", response=response)
    error = _api_error(response, body, context, after)
    # Only a "too many requests" is known to have changed nothing; any other status may be a late failure.
    return Failure(error, status_may_pass(status), processed=status != 429, retry_after=after, told=told)


def not_json(response: httpx.Response, body: bytes, context: Context) -> Failure:
    """A success status with a body that is not the promised JSON."""
    kind = context.shown(response.headers.get("content-type", "no content type").partition(";")[0])
    start = context.redactor.text(body[:LONGEST_SECRET].decode("utf-8", "replace"))[:_SHOWN]
    if is_page(response, body):
        return _intermediary(f"{_page(body, context) or kind}, beginning with {start!r},", response, context)
    if not context.repeatable:
        return lost(context, what="its body is cut off or not JSON", response=response)
    if not start.strip():
        return _intermediary("an empty body", response, context)
    return _no_sense(
        f"expected JSON, got {kind} with {len(body)} bytes, beginning with {start!r}", context, response
    )


def is_page(response: httpx.Response, body: bytes) -> bool:
    """Whether an answer is a page for people, as gateways and login servers show it."""
    return "html" in response.headers.get("content-type", "").lower() or body.lstrip()[:1] == b"<"


def _intermediary(got: str, response: httpx.Response, context: Context) -> Failure:
    """An answer that looks like that of a program in front of the service."""
    answered = shown(response.url)
    redirected = f" after a redirect to {answered}" if answered != context.url else ""
    server = context.shown(response.headers.get("server", ""), 40)
    error = ProtocolError(
        f"expected JSON from {context.url}, got {got}{redirected}".rstrip(",")
        + (f"; the answer names the server {server!r}" if server else ""),
        hint=f"Check the address; it comes from {context.address.origin}. A login page or a proxy may be "
        "answering instead of the service.",
        **context.fields(response),
    )
    # A gateway may show a page only while the service restarts; a login page that it redirects to stays.
    return Failure(error, passing=not redirected)


def unreadable(error: Exception, context: Context, *, passing: bool = False) -> Failure:
    """A body that is too large, or is not what its headers say."""
    if not context.repeatable:
        return lost(context, what=f"its answer cannot be read: {error}")
    wrong = ProtocolError(
        context.redactor.text(f"{context.method} {context.url}: the answer cannot be read: {error}"),
        hint=f"Check the address; it comes from {context.address.origin}.",
        **context.fields(),
    )
    return Failure(wrong, passing=passing)


def unexpected(error: Exception, context: Context) -> Failure:
    """An answer on which a library stumbled in a way that nobody foresaw."""
    return unreadable(ValueError(f"{type(error).__name__}: {context.shown(str(error))}"), context)


def refused_redirect(what: str, context: Context, response: httpx.Response) -> Failure:
    """A redirect that would carry a request where it must not go."""
    error = ProtocolError(
        f"a redirect that {what} is not followed",
        hint=f"Check the address; it comes from {context.address.origin}. If the service has moved, or "
        "answers only over https://, set its new address. If it leads to a login page, sign in there first.",
        **context.fields(response),
    )
    return Failure(error, passing=False, processed=False)


def _no_sense(what: str, context: Context, response: httpx.Response | None = None) -> Failure:
    if not context.repeatable:
        return lost(context, what=what, response=response)
    message = context.redactor.text(what)
    return Failure(
        ProtocolError(
            message,
            hint="A proxy or another program in between may be corrupting the answers.",
            **context.fields(response),
        ),
        passing=True,
    )


def _not_connected(error: Exception, context: Context) -> Failure:
    import httpx

    origin = f"The address comes from {context.address.origin}."
    problem = _tls_problem(error)
    if problem is not None and _no_certificate_shown(problem):
        secure = "https://" + context.url.partition("://")[2]
        message = f"{secure} does not speak TLS: {problem}"
        hint = f"{origin} Use http:// where the service has no certificate."
        return Failure(
            ConnectionFailedError(message, hint=hint, **context.fields()), passing=False, processed=False
        )
    if problem is not None:
        message = f"{context.url}: the TLS certificate is not accepted: {problem}"
        hint = f"{origin} For a private authority, set ca_file (or SSL_CERT_FILE) to its certificate."
        refused = ConnectionFailedError(message, hint=hint, **context.fields())
        refused.passing = False
        return Failure(refused, passing=False, processed=False)
    reason = context.redactor.text(str(error) or type(error).__name__)
    if isinstance(error, httpx.ProxyError):
        message = f"the proxy cannot reach {context.address.service} at {context.url}: {reason}"
        hint = (
            "The proxy comes from HTTPS_PROXY, HTTP_PROXY or ALL_PROXY. Check it, or bypass it by adding the "
            "host to NO_PROXY."
        )
        return Failure(
            ConnectionFailedError(message, hint=hint, **context.fields()), passing=False, processed=False
        )
    message = f"{context.address.service} cannot be reached at {context.url}: {reason}"
    if context.target is not None:
        message = f"{context.url} redirects to {context.target}, which cannot be reached: {reason}"
        hint = f"{origin} Ask who runs the service where it is, and set that address."
    elif context.may_use_proxy:
        hint = (
            f"{origin} Check it, and the proxy: the environment names one in HTTPS_PROXY, HTTP_PROXY or "
            "ALL_PROXY. To bypass it, add the host to NO_PROXY."
        )
    elif _is_of_name(error):
        hint = f"{origin} Check the host name: it has no address in DNS, as seen from this machine."
    else:
        hint = (
            f"{origin} Check that the service is running. `lawtags local up` starts one on this machine, for "
            "--profile local."
        )
    return Failure(
        ConnectionFailedError(message, hint=hint, **context.fields()), passing=True, processed=False
    )


def _is_of_name(error: BaseException | None) -> bool:
    """Whether a connection failed because the name of the host could not be resolved."""
    while error is not None:
        if isinstance(error, socket.gaierror):
            return True
        error = error.__cause__ or error.__context__
    return False


def _tls_problem(error: BaseException | None) -> BaseException | None:
    while error is not None:
        if isinstance(error, ssl.SSLError) or "CERTIFICATE_VERIFY_FAILED" in str(error):
            return error
        error = error.__cause__ or error.__context__
    return None


def _no_certificate_shown(problem: BaseException) -> bool:
    """Whether the other side spoke no TLS at all, as a plain HTTP server does."""
    reasons = ("WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "RECORD_LAYER", "HTTP_REQUEST")
    return any(reason in str(problem) for reason in reasons)


def _api_error(
    response: httpx.Response, body: bytes, context: Context, retry_after: float | None
) -> LawtagsError:
    status = response.status_code
    detail = read_detail(body, context.redactor)
    page = _page(body, context)
    reason = context.shown(response.reason_phrase) or "the service refused"
    # Programs print and log errors as they are.
    message = escape_controls(page or detail_message(detail) or reason)
    fields: ErrorContext = {**context.fields(response), "detail": detail, "hint": _HINTS.get(status)}
    if page is not None and status != _PROXY_ASKS:
        fields["hint"] = (
            f"Check the address; it comes from {context.address.origin}. A proxy or another server may be "
            "answering instead of the service."
        )
    elif status == 401 and context.with_token:
        fields["hint"] = f"The token was refused; it comes from {context.address.token_origin}. {_HINTS[401]}"
    elif status == 404 and _DATASET_MISSING.match(message):
        fields["hint"] = "Check its name, or upload it with: lawtags upload FOLDER NAMESPACE/NAME"
    elif status in _WRONG_PLACE:
        fields["hint"] = f"{_asked_at(context)}{_where_to_look(context.url)}"
    if status == 429:
        return RateLimitedError(message, retry_after=retry_after, **fields)
    if status in _BY_STATUS:
        return _BY_STATUS[status](message, **fields)
    return (ServerError if status >= 500 else APIError)(message, **fields)


def _page(body: bytes, context: Context) -> str | None:
    """What a page for people is called, where a server sends one instead of JSON."""
    start = body[: 16 << 10].lstrip().lower()
    if not start.startswith((b"<!doctype html", b"<html", b"<head")):
        return None
    title = _TITLE.search(body[: 16 << 10])
    words = " ".join(title[1].decode("utf-8", "replace").split()) if title else ""
    return f"an HTML page titled {context.shown(words)!r}" if words else "an HTML page"


def _asked_at(context: Context) -> str:
    """The URL of a request that this server has no answer for, and where its address comes from."""
    return f"The request went to {context.url}; the address comes from {context.address.origin}."


def _where_to_look(url: str) -> str:
    """What lists the things of which one was not found."""
    if url.endswith("/completions"):
        return " List the served models with: lawtags models ls"
    return " List jobs with: lawtags jobs ls" if "/customization/jobs/" in url else ""
