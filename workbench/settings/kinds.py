"""Kinds of values that settings have: addresses, deployments, URLs, amounts of GRT, latencies, commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from decimal import Context, Decimal
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

from workbench.errors import ReceiptError, SettingsError
from workbench.keyring import COMMAND_HINT, is_key
from workbench.masking import shown
from workbench.ramp import FORM as RAMP_FORM
from workbench.ramp import Ramp, is_ramp
from workbench.receipts import address as addresses
from workbench.receipts.fields import U128_MAX
from workbench.thresholds.parse import parse_threshold

_MOST_DIGITS = 60  # 2^128 wei in GRT have 39
_EXACT = Context(prec=200)  # the default of 28 digits would round amounts
_NUMBER = r"\d+(\.\d+)?"
_POSTGRES_URL = re.compile(r"postgres(?:ql)?://\S+")
_PASSWORD = re.compile(r"(?<=://)([^\s:/@?]*):\S*(?=@)")
_PASSWORD_PARAMETER = re.compile(r"((?:^|[?&])(?:password|sslpassword)=)[^&\s]*", re.IGNORECASE)
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_LATENCY = re.compile(rf"(constant|exponential):{_NUMBER}|(uniform|lognormal):{_NUMBER}:{_NUMBER}")


def _check_address(text: str) -> str:
    try:
        addresses.parse_address(text)
    except ReceiptError as error:
        raise ValueError(str(error)) from None
    return text


def _check_deployment(text: str) -> str:
    """Convert a deployment id to the form Qm...: 64 hex digits could be a key, and keys are never shown."""
    try:
        return addresses.deployment_to_qm(addresses.parse_deployment(text))
    except ReceiptError as error:
        raise ValueError(str(error)) from None


def _check_url(text: str) -> str:
    parts = urlsplit(text)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in ("http", "https") or not parts.hostname or port == -1 or parts.username or "#" in text:
        raise ValueError(f"expected a URL such as http://127.0.0.1:7601, found {shown(text)}")
    return text.rstrip("/")


def _check_service_url(text: str) -> str:
    """Refuse anything after the port of a service's URL: it would be sent with every request, or be lost."""
    _check_url(text)
    parts = urlsplit(text)
    if parts.path not in ("", "/") or parts.query or "?" in text or "#" in text:
        raise ValueError(
            f"expected the address of a service without a path, query or fragment, found {shown(text)}; set the "
            "prefix of its paid route with url_prefix"
        )
    return text.rstrip("/")


def _check_scheduler(text: str) -> str:
    parts = urlsplit(text if "://" in text else f"tcp://{text}")
    try:
        port = parts.port
    except ValueError:
        port = None
    # schemes are not checked: gateways and plugins of Dask have their own
    if not parts.hostname or not port or parts.username:
        raise ValueError(f"expected an address such as tcp://127.0.0.1:8786, found {shown(text)}")
    return parts.geturl()


def check_threshold(text: str) -> str:
    """The text of a threshold, or ValueError with what is wrong and the nearest name."""
    try:
        parse_threshold(text)
    except SettingsError as error:
        raise ValueError(f"{error.what}. {error.hint}" if error.hint else error.what) from None
    return text


def _check_processes(value: object) -> object:
    text = str(value).strip()
    if text == "auto" or (text.isdecimal() and 1 <= int(text) <= 256):
        return text if text == "auto" else int(text)
    raise ValueError(f"expected a number of processes from 1 to 256 or auto, found {shown(text)}")


def _check_grt(value: Decimal) -> Decimal:
    if not value.is_finite():
        raise ValueError("expected an amount in GRT")
    if len(value.as_tuple().digits) > _MOST_DIGITS or (value and abs(value.adjusted()) > _MOST_DIGITS):
        raise ValueError("the amount must be from 0 to 2^128 - 1 wei, with 18 decimals at most")
    wei = value.scaleb(18, _EXACT)
    if wei != wei.to_integral_value(context=_EXACT):
        raise ValueError("GRT has at most 18 decimals")
    if not 0 <= wei <= U128_MAX:
        raise ValueError("the amount must be from 0 to 2^128 - 1 wei")
    return value


def _check_latency(text: str) -> str:
    if not _LATENCY.fullmatch(text):
        raise ValueError(
            f"expected constant:MS, uniform:LOW:HIGH, exponential:MEAN or lognormal:MEDIAN:SIGMA, found {shown(text)}"
        )
    return text


def _check_arrivals(text: str) -> str:
    if is_ramp(text):
        Ramp.parse(text)
    elif text not in ("constant", "poisson"):
        raise ValueError(f"must be constant, poisson or {RAMP_FORM}, found {shown(text)}")
    return text


def _check_flags(text: str) -> str:
    try:
        shlex.split(text)
    except ValueError as error:
        raise ValueError(f"flags are written as in a shell: {str(error).lower()}, found {shown(text)}") from None
    return text


def _check_command(text: str) -> str:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"a command is written as in a shell: {str(error).lower()}, found {shown(text)}") from None
    if not words:
        raise ValueError("expected a command, found nothing")
    if any(is_key(word) for word in words):
        raise ValueError(f"a command must not hold anything that looks like a private key. {COMMAND_HINT}")
    if without_passwords(text) != text:
        raise ValueError(
            "a command is stored with the run and must not hold a password, found one in a database URL; export it as "
            "a variable, the services get the environment"
        )
    return text


def _check_postgres(text: str) -> str:
    parts = urlsplit(text)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in ("postgres", "postgresql") or port == -1 or not parts.path.strip("/"):
        raise ValueError("expected a URL such as postgresql://postgres@127.0.0.1:5432/indexer_components_1")
    return text


def without_password(url: str) -> str:
    """A URL that can be shown. PostgreSQL also accepts a password as a parameter of the URL."""
    try:
        parts = urlsplit(url)
    except ValueError:  # not a URL, so the end of its password is not known
        return _PASSWORD_PARAMETER.sub(r"\1***", _PASSWORD.sub(r"\1:***", url))
    shown = parts._replace(query=_PASSWORD_PARAMETER.sub(r"\1***", parts.query))
    if parts.password is not None:
        shown = shown._replace(netloc=f"{parts.username or ''}:***@{parts.netloc.rpartition('@')[2]}")
    return url if shown == parts else shown.geturl()


def without_passwords(text: str) -> str:
    """A text, such as a command line, with the passwords of the PostgreSQL URLs in it replaced by ``***``."""
    return _POSTGRES_URL.sub(lambda found: without_password(found[0]), text)


ProfilerMode = Literal["none", "flamegraph", "massif", "callgrind", "strace", "pprofile"]
Processes = Annotated[int | Literal["auto"], BeforeValidator(_check_processes)]
SchedulerUrl = Annotated[str, AfterValidator(_check_scheduler)]
Address = Annotated[str, AfterValidator(_check_address)]
Deployment = Annotated[str, AfterValidator(_check_deployment)]
Url = Annotated[str, AfterValidator(_check_url)]
ServiceUrl = Annotated[str, AfterValidator(_check_service_url)]
Grt = Annotated[Decimal, AfterValidator(_check_grt)]
Version = Annotated[Literal[1, 2], BeforeValidator(lambda text: {"1": 1, "2": 2}.get(text, text))]
Arrivals = Annotated[str, AfterValidator(_check_arrivals)]
Latency = Annotated[str, AfterValidator(_check_latency)]
Flags = Annotated[str, AfterValidator(_check_flags)]
Command = Annotated[str, AfterValidator(_check_command)]
PostgresUrl = Annotated[str, AfterValidator(_check_postgres)]


def apart(words: Sequence[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The variables before a command (``RUST_LOG=info service --config a.toml``), and the command itself, from its
    words in a shell."""
    variables: dict[str, str] = {}
    rest = list(words)
    while rest and (match := _VARIABLE.fullmatch(rest[0])):
        variables[match[1]] = match[2]
        rest.pop(0)
    return variables, tuple(rest)


def to_wei(grt: Decimal) -> int:
    """An amount of GRT in wei (1e-18 GRT)."""
    return int(grt.scaleb(18, _EXACT))
