"""What an address in the configuration must be: a server's URL, or a private host with its port.

Pure: nothing is looked up or connected to. What was written may hold a password or a key, so no message quotes it.
"""

import re

# Patterns are compiled when they are first needed, which for most runs is never.
_HOST = r"[A-Za-z0-9._-]{1,253}"
_BRACKETED = r"\[[0-9A-Fa-f:.]+\](?::[0-9]*)?"
_LABEL = r"[a-z0-9_-]{1,63}"
_NUMBER = r"[0-9]+|0x[0-9a-f]*"


class AddressError(ValueError):
    """Say what was found instead of an address, without quoting it; to stand after "found"."""


def base_url(text: str) -> str:
    """Return a server's base address without its last slash.

    Raises:
        AddressError: It is none, or says more than where the server is.
    """
    from urllib.parse import urlsplit

    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise AddressError("white space or another character that has no place there")
    try:
        parts = urlsplit(text)
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
    except ValueError:
        raise AddressError("a host or port that is none") from None
    if scheme not in ("http", "https"):
        raise AddressError("no http:// or https:// at the start")
    if "@" in parts.netloc:
        raise AddressError("a user name or password")
    if "?" in text or "#" in text:
        raise AddressError("a query or fragment")
    if not (re.fullmatch(_HOST, host) or re.fullmatch(_BRACKETED, parts.netloc)) or port == 0:
        raise AddressError("no host" if not host else "a host or port that is none")
    return text.rstrip("/")


def host_and_port(text: str) -> str:
    """Return `host:port` in lower case, an address in its usual spelling: what is compared is what URLs become.

    Raises:
        AddressError: It is none, or more than that: a URL, a path, a wildcard, a user's name.
    """
    for sign, what in (("@", "a user name or password"), ("://", "a whole URL"), ("/", "a path"), ("*", "a wildcard")):
        if sign in text:
            raise AddressError(what)
    host, colon, port = text.lower().rpartition(":")
    if not text:
        raise AddressError("nothing")
    if not colon or not port or port.endswith("]"):  # which is the end of an IPv6 address
        raise AddressError("no port")
    if not re.fullmatch("[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise AddressError("a port that is none")
    return f"{_host(host)}:{int(port)}"


def keeps_secrets(url: str) -> bool:
    """Tell whether what is sent to a base address stays unread: over https, or within this machine."""
    from ipaddress import ip_address
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https" or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _host(text: str) -> str:
    """Return a host in the spelling in which URLs are compared with it."""
    from ipaddress import IPv4Address, IPv6Address

    labels = text.split(".")
    try:
        if re.fullmatch(r"\[[0-9a-f:.]+\]", text):
            return f"[{IPv6Address(text[1:-1])}]"
        if re.fullmatch(_NUMBER, labels[-1]):
            return str(IPv4Address(text))
    except ValueError:
        raise AddressError("a host that is none") from None
    if len(text) > 253 or not all(re.fullmatch(_LABEL, label) for label in labels):
        raise AddressError("a host that is none")
    return text
