"""What may be fetched: which URLs, which host names, which addresses; everything else is refused in one line.

Pure: it looks nothing up and connects to nothing, so that a name which passes says nothing yet of where it leads.
Both the model that chose the URL and the page that redirects to it are taken to be hostile.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Collection, Sequence
from typing import NamedTuple
from urllib.parse import urljoin

import httpx

MAX_URL_CHARS = 2000
_MAX_HOST_CHARS = 253
_DEFAULT_PORTS = {"http": 80, "https": 443}

# Names that lead nowhere in public, whatever the local resolver makes of them (RFC 6761, 6762, 7686, 8375; ICANN's
# `internal`, under which clouds keep their metadata).
_LOCAL_NAMES = ("localhost", "local", "internal", "home.arpa", "onion")

# IANA's registries of special-purpose addresses, as of 2025, where the first match tells the kind. Written out, since
# `ipaddress` differs between releases of Python and calls many of these global.
_REFUSED: tuple[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, str], ...] = tuple(
    (ipaddress.ip_network(network), kind)
    for kind, networks in {
        "a cloud's metadata": "169.254.169.254 168.63.129.16 100.100.100.200 fd00:ec2::254",
        "this network": "0.0.0.0/8 ::/128",
        "loopback": "127.0.0.0/8 ::1/128",
        "private": "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7",
        "shared by a provider's customers": "100.64.0.0/10",
        "link-local": "169.254.0.0/16 fe80::/10",
        "site-local": "fec0::/10",
        "for protocols": "192.0.0.0/24 2001::/23",
        "for documentation": "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20",
        "for benchmarks": "198.18.0.0/15",
        "for tunnels": "192.88.99.0/24 2002::/16",
        "multicast": "224.0.0.0/4 ff00::/8",
        "reserved": "240.0.0.0/4",
    }.items()
    for network in networks.split()
)
_GLOBAL_V6 = ipaddress.ip_network("2000::/3")
# Addresses that only carry an IPv4 address: mapped (RFC 4291) and NAT64 (RFC 6052), through which a network without
# IPv4 of its own reaches every public IPv4 server.
_CARRIERS = tuple(ipaddress.ip_network(network) for network in ("::ffff:0:0/96", "64:ff9b::/96"))
_ISATAP = 0x5EFE

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_URL = re.compile(r"https?://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?:#.*)?", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[^:\[\]%]+))(?::(?P<port>[0-9]{0,5}))?", re.IGNORECASE)
_LABEL = re.compile(r"[a-z0-9_-]{1,63}")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


class WebError(Exception):
    """Say in one line, which the model reads, why there is no page."""


class Target(NamedTuple):
    """A URL that may be asked for, once it is known where its name leads.

    Attributes:
        url: Normalised, without a fragment; the same page asked for in two spellings has one.
        scheme: `http` or `https`.
        host: Lower case and ASCII, or an address in its usual spelling, without brackets.
        port: Always there, also where the URL does not name it.
    """

    url: str
    scheme: str
    host: str
    port: int


def check_url(
    url: str,
    *,
    allow_hosts: Collection[str] = (),
    allowed_domains: Sequence[str] = (),
    blocked_domains: Sequence[str] = (),
) -> Target:
    """Return what a URL asks for, if that may be fetched at all.

    Args:
        url: What the model or a redirect wrote.
        allow_hosts: `host:port` as in a URL, such as `localhost:8000` or `[::1]:8000`: where the user wants the rules
            for ports, names and addresses not to hold. An address stands for all its spellings, a name for itself.
        allowed_domains: Unless empty, only these and their subdomains.
        blocked_domains: Not these, nor their subdomains.

    Raises:
        WebError: It may not be fetched, or it is not a URL.
    """
    target = read_url(url)
    if not is_exempt(target, allow_hosts):
        if target.port not in _DEFAULT_PORTS.values():
            raise WebError(f"port {target.port} is not fetched from: only 80 and 443 are")
        _check_host(target.host)
    check_domains(target.host, allowed_domains, blocked_domains)
    return target


def read_url(url: str) -> Target:
    """Return what a URL asks for, whether or not that may be fetched; `check_url` says so.

    Raises:
        WebError: It is not a URL, or one that could be read in two ways.
    """
    if len(url) > MAX_URL_CHARS:
        raise WebError(f"the URL is longer than {MAX_URL_CHARS:,} characters")
    _check_characters(url)
    scheme = _SCHEME.match(url)
    if not scheme or scheme[1].lower() not in _DEFAULT_PORTS:
        raise WebError("only full URLs that begin with http:// or https:// can be fetched")
    parts = _URL.fullmatch(url)
    if not parts:
        raise WebError("the URL has no // before its host")
    if "@" in parts["authority"]:
        raise WebError("the URL holds a user name or password, which is never sent")
    authority = _AUTHORITY.fullmatch(parts["authority"])
    if not authority:
        raise WebError("the URL's host and port cannot be read")
    kind = scheme[1].lower()
    host = _address_v6(authority["v6"]) if authority["v6"] else normalise_host(authority["name"])
    port = int(authority["port"] or _DEFAULT_PORTS[kind])
    shown = f"[{host}]" if ":" in host else host
    if port != _DEFAULT_PORTS[kind]:
        shown += f":{port}"
    normalised = _normalised(f"{kind}://{shown}{_without_dots(parts['path'])}{parts['query'] or ''}", host)
    return Target(normalised, kind, host, port)


def is_exempt(target: Target, allow_hosts: Collection[str]) -> bool:
    """Say whether the user named exactly this host and port as one for which the rules do not hold."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    return f"{host}:{target.port}" in {entry.lower() for entry in allow_hosts}


def check_domains(host: str, allowed: Sequence[str], blocked: Sequence[str]) -> None:
    """Refuse a host, in the spelling of `Target.host`, that two lists of domains keep from being fetched.

    Raises:
        WebError: It is blocked, or not among those allowed, or something in a list is no domain.
    """
    if any(_is_within(host, _domain(entry)) for entry in blocked):
        raise WebError(f"{host} is blocked in this run")
    # Every entry is read, so that one which cannot be is told of at once.
    if allowed and True not in [_is_within(host, _domain(entry)) for entry in allowed]:
        raise WebError(f"{host} is not among the domains that this run may fetch from: {', '.join(allowed)[:300]}")


def redirected(target: Target, location: str) -> str:
    """Return the URL that a redirect leads to, unchecked but for its characters.

    Args:
        target: What was asked for.
        location: The redirect's Location header; a space in it is written as browsers do.

    Raises:
        WebError: It cannot be read.
    """
    location = location.strip(" ").replace(" ", "%20")
    _check_characters(location)  # before `urljoin`, which drops some of them in silence
    try:
        return urljoin(target.url, location)
    except ValueError:
        raise WebError("the URL cannot be read") from None


def check_address(ip: str) -> None:
    """Refuse an address that is not public, and one that carries such an address.

    Args:
        ip: An IPv4 or IPv6 address in its usual spelling.

    Raises:
        WebError: It is not public; names the address and its kind.
    """
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        raise WebError("an address cannot be read") from None
    if kind := _kind(address):
        raise WebError(f"{address} is not a public address ({kind})")


def normalise_host(name: str) -> str:
    """Return a host name in lower case and ASCII without its last dot, or the address that it spells.

    Raises:
        WebError: It cannot be the name of a host.
    """
    host = unicodedata.normalize("NFC", name).lower() if len(name) <= _MAX_HOST_CHARS + 1 else ""
    if not host.isascii():
        try:
            host = httpx.URL(scheme="http", host=host).raw_host.decode("ascii")
        except (httpx.InvalidURL, ValueError):
            raise WebError("the URL's host cannot be encoded: write it in ASCII, as xn--...") from None
    host = host.removesuffix(".")
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _address_v4(labels)
    if len(host) > _MAX_HOST_CHARS or not all(_LABEL.fullmatch(label) for label in labels):
        raise WebError("the URL's host is not a name that a host can have")
    return host


def _check_characters(url: str) -> None:
    """Refuse what parsers disagree on: white space, control and format characters, halves of pairs, backslashes."""
    if "\\" in url or any(unicodedata.category(character)[0] in "CZ" for character in url):
        raise WebError("the URL holds white space, a backslash or an invisible character: percent-encode it")


def _without_dots(path: str) -> str:
    """Return a path as RFC 3986, section 5.2.4, reads its `.` and `..`; the client would drop a last slash."""
    segments = path.split("/")[1:] or [""]
    kept: list[str] = []
    for segment in segments:
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def _normalised(url: str, host: str) -> str:
    """Return the URL as the client will send it, which has to be one for the same host."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise WebError("the URL cannot be read") from None
    if parsed.raw_host.decode("ascii") != host or parsed.userinfo:
        raise WebError("the URL can be read in two ways")
    return str(parsed)


def _address_v4(labels: list[str]) -> str:
    """Return the address that numbers spell: one to four of them, each decimal, octal or hexadecimal (as `inet_aton`).

    Raises:
        WebError: They spell none.
    """
    try:
        numbers = [int(label[2:] or "0", 16) if label[:2] == "0x" else _decimal_or_octal(label) for label in labels]
    except ValueError:
        numbers = []
    *leading, last = numbers or [-1]
    if not 1 <= len(numbers) <= 4 or max(leading, default=0) > 255 or last >= 256 ** (5 - len(numbers)):
        raise WebError("the URL's host is a number that is no address")
    value = last + sum(number << (24 - 8 * place) for place, number in enumerate(leading))
    return str(ipaddress.IPv4Address(value))


def _decimal_or_octal(label: str) -> int:
    if not re.fullmatch("[0-9]+", label):
        raise ValueError(label)
    return int(label, 8 if label[0] == "0" else 10)


def _address_v6(text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise WebError("the URL's host is not an IPv6 address") from None


def _check_host(host: str) -> None:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if "." not in host or any(_is_within(host, name) for name in _LOCAL_NAMES):
            raise WebError(f"{host} is not the name of a public host") from None
    else:
        check_address(host)


def _domain(entry: str) -> str:
    """Return a domain as it stands in a list; one that cannot be read is an error, since it would block nothing."""
    try:
        _check_characters(entry)
        return normalise_host(entry.removeprefix("*.").removeprefix("."))
    except WebError:
        raise WebError("a list of domains holds something that is none, so that nothing is fetched") from None


def _is_within(host: str, domain: str) -> bool:
    # An address has no subdomains: a numeric `domain` is a whole address, which no other address ends with.
    return host == domain or host.endswith(f".{domain}")


def _kind(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str | None:
    """Return the kind of an address that is not public, or None."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return "with a zone"
        inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if any(address in carrier for carrier in _CARRIERS):
            return _kind(inner)
        if int(address) >> 32 & 0xFDFF_FFFF == _ISATAP and (kind := _kind(inner)):
            return kind
    for network, kind in _REFUSED:
        if address in network:
            return kind
    if address.version == 6 and address not in _GLOBAL_V6:
        return "reserved"
    return None if address.is_global else "not global"
