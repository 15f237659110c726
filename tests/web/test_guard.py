"""Promises of `web.guard`: what a URL, a host and an address are taken to be, and which of them pass."""

import ipaddress
import random

import httpx
import pytest

from fusion_cli.web.guard import Target, WebError, check_address, check_url, is_exempt, redirected


@pytest.mark.parametrize(
    ("url", "normalised"),
    [
        ("http://good.example", "http://good.example/"),
        ("HTTPS://Good.Example./A?B=c#d", "https://good.example/A?B=c"),
        ("https://good.example:443/", "https://good.example/"),
        ("https://good.example:0443/", "https://good.example/"),
        ("http://good.example:/", "http://good.example/"),
        ("https://good.example:80/", "https://good.example:80/"),
        ("http://good.example?q=1", "http://good.example/?q=1"),
        ("http://good.example/a/../b/./c", "http://good.example/b/c"),
        ("http://good.example/../a/b/..", "http://good.example/a/"),
        ("http://good.example/.", "http://good.example/"),
        ("http://good.example/.//other.example", "http://good.example//other.example"),
        ("http://good.example/Zwölf?ü=ß", "http://good.example/Zw%C3%B6lf?%C3%BC=%C3%9F"),
        ("http://good.example/%7e%2F", "http://good.example/%7e%2F"),
        ("http://Bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://bu\u0308cher.example/", "http://xn--bcher-kva.example/"),
        ("http://straße.example/", "http://xn--strae-oqa.example/"),
        ("http://a_b.good--1.example/", "http://a_b.good--1.example/"),
        ("http://8.8.8.8/", "http://8.8.8.8/"),
        ("http://0x08080808/", "http://8.8.8.8/"),
        ("http://[2606:4700:0::1111]/", "http://[2606:4700::1111]/"),
        ("http://good.example/?at=@&u=http://127.0.0.1/", "http://good.example/?at=@&u=http://127.0.0.1/"),
    ],
)
def test_spellings_of_one_page_have_one_url(url: str, normalised: str) -> None:
    """A URL is normalised, and a second time changes nothing."""
    target = check_url(url)
    assert target.url == normalised
    assert check_url(target.url) == target
    assert httpx.URL(target.url).raw_host.decode() == target.host


@pytest.mark.parametrize(
    "url",
    [
        "http://good..example/",
        "http://.good.example/",
        "http://good.example../",
        "http://./",
        f"http://{'a' * 64}.example/",
        f"http://{'a.' * 127}example/",
        f"http://{'1' * 1500}/",
        "http://good,example.com/",
        "http://good.example;.com/",
        "http://good%2eexample/",
        "http://xn--ü.example/",
        "http://１２７.0.0.1/",  # noqa: RUF001 - digits of another width
        "http://good.exampl\u0435\u0301\u200d/",
        "http://1.2.3.4.5/",
        "http://256.1.1.1/",
        "http://1.2.65536/",
        "http://4294967296/",
        "http://09.1.1.1/",
        "http://good.example.0x/",
        "http://good.example.1/",
        "http://[1::2::3]/",
        "http://[::1/",
        "http://[v1.a]/",
        "http://[8.8.8.8]/",
        "http://[]/",
        "http://good.example:99999/",
        "http://good.example:-80/",
        "http://good.example:+80/",
        "http://good.example:٨٠/",
        "http://@good.example/",
        "http://:@good.example/",
        "ws://good.example/",
        "http//good.example/",
        "hTTp:///good.example/",
        "http://good.example/\ud800",
        "http://good.example/\ufeff",
        "http://good.example/a b",
        "http://good.example/\x00",
        "http://good.example/\x7f",
        "http://good.example/\u2028",
    ],
)
def test_what_parsers_could_disagree_on_is_refused(url: str) -> None:
    """There is no second reading of a URL that passes."""
    with pytest.raises(WebError) as caught:
        check_url(url)
    assert str(caught.value).isprintable()


def test_a_url_has_a_length() -> None:
    """Two thousand characters pass, and one more does not."""
    start = "http://good.example/"
    assert check_url(start + "a" * (2000 - len(start)))
    with pytest.raises(WebError, match=r"longer than 2,000 characters"):
        check_url(start + "a" * (2001 - len(start)))


@pytest.mark.parametrize(
    ("url", "entry"),
    [
        ("http://localhost:8000/", "localhost:8000"),
        ("http://LOCALHOST:8000/", "LocalHost:8000"),
        ("http://127.1:3000/", "127.0.0.1:3000"),
        ("http://[::1]:3000/", "[::1]:3000"),
        ("http://router/", "router:80"),
        ("https://metadata.google.internal/", "metadata.google.internal:443"),
    ],
)
def test_the_user_can_name_a_host_of_their_own(url: str, entry: str) -> None:
    """Only host and port together make an exception, and for no other port, host or spelling trick."""
    assert is_exempt(check_url(url, allow_hosts=[entry]), [entry])
    host, _, port = entry.rpartition(":")
    for other in (f"http://{host}:{int(port) + 1}/", f"http://x{host.strip('[]')}:{port}/", f"ftp://{host}:{port}/"):
        with pytest.raises(WebError):
            check_url(other, allow_hosts=[entry])
    with pytest.raises(WebError):
        check_url(url, allow_hosts=[host])


def test_an_exception_is_none_for_the_lists_or_for_a_password() -> None:
    """A host of the user's own is still subject to what the run may fetch from."""
    with pytest.raises(WebError, match="not among"):
        check_url("http://localhost:8000/", allow_hosts=["localhost:8000"], allowed_domains=["good.example"])
    with pytest.raises(WebError, match="password"):
        check_url("http://me@localhost:8000/", allow_hosts=["localhost:8000"])


@pytest.mark.parametrize("entry", ["good.example", "GOOD.example.", "*.good.example", ".good.example"])
def test_a_domain_stands_for_itself_and_its_subdomains(entry: str) -> None:
    """Whatever only ends or begins like the domain is another one."""
    for host in ("good.example", "www.good.example", "a.b.good.example"):
        url = f"http://{host}/"
        assert check_url(url, allowed_domains=["other.example", entry]).host == host
        with pytest.raises(WebError, match="blocked in this run"):
            check_url(url, blocked_domains=["other.example", entry])
    for host in ("notgood.example", "good.example.com", "example.com", "8.8.8.8"):
        url = f"http://{host}/"
        assert check_url(url, blocked_domains=[entry]).host == host
        with pytest.raises(WebError, match="not among"):
            check_url(url, allowed_domains=[entry])


def test_a_domain_is_compared_as_it_is_looked_up() -> None:
    """Letters beyond ASCII and numbers in odd spellings are no way round a list."""
    for url, entry in (
        ("http://xn--bcher-kva.example/", "bücher.example"),
        ("http://BÜCHER.example/", "xn--bcher-kva.example"),
        ("http://0x08080808/", "8.8.8.8"),
    ):
        with pytest.raises(WebError, match="blocked"):
            check_url(url, blocked_domains=[entry])


@pytest.mark.parametrize("entry", ["", "*", "https://good.example", "good.example/blog", "a b", "good.example:80"])
def test_a_list_that_cannot_be_read_lets_nothing_pass(entry: str) -> None:
    """An entry that would silently block nothing is an error, in either list."""
    for lists in ({"blocked_domains": [entry]}, {"allowed_domains": ["other.example", entry]}):
        with pytest.raises(WebError, match="a list of domains"):
            check_url("http://other.example/", **lists)


def carriers(value: int) -> list[str]:
    """Return the IPv6 addresses that carry an IPv4 one: mapped, compatible, translated, NAT64, 6to4, Teredo, ISATAP."""
    low, high = f"{value >> 16:x}:{value & 0xFFFF:x}", value ^ 0xFFFF_FFFF
    return [
        *(f"{start}{low}" for start in ("::ffff:", "::", "::ffff:0:", "64:ff9b::", "64:ff9b:1::")),
        *(f"2002:{low}::1", f"2001:0:{low}::1", f"2001:0:808:808:0:0:{high >> 16:x}:{high & 0xFFFF:x}"),
        *(f"2606:4700::{start}5efe:{low}" for start in ("", "200:")),
    ]


@pytest.mark.parametrize(
    ("networks", "kind"),
    [
        ("169.254.169.254 fd00:ec2::254 168.63.129.16 100.100.100.200", "a cloud's metadata"),
        ("0.0.0.0/8 ::", "this network"),
        ("127.0.0.0/8 ::1", "loopback"),
        ("10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7", "private"),
        ("100.64.0.0/10", "shared"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("192.0.0.0/24 2001::/32 2001:2::/48 2001:10::/28 2001:20::/28", "for protocols"),
        ("192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20", "for documentation"),
        ("198.18.0.0/15", "for benchmarks"),
        ("2002::/16 192.88.99.0/24", "for tunnels"),
        ("224.0.0.0/4 ff00::/8", "multicast"),
        ("240.0.0.0/4 ::/96 64:ff9b:1::/48 100::/64 5f00::/16 4000::/3 ::ffff:0:0:0/96", "reserved|network|loopback"),
    ],
)
def test_no_special_network_is_fetched_from(networks: str, kind: str) -> None:
    """First and last address of each network that is not public are refused, also where IPv6 carries them."""
    for network in map(ipaddress.ip_network, networks.split()):
        for address in (network[0], network[-1]):
            with pytest.raises(WebError, match=f"not a public address .*({kind})"):
                check_address(str(address))
            if address.version == 4:
                for carried in carriers(int(address)):
                    with pytest.raises(WebError):
                        check_address(carried)


@pytest.mark.parametrize(
    "ip",
    [
        *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.0.0.1", "128.0.0.1"),
        *("172.15.0.1", "172.32.0.1", "192.167.1.1", "198.17.0.1", "198.20.0.1", "223.255.255.255"),
        *("2606:4700::1111", "2001:4860:4860::8888", "2a00:1450:4001::200e", "64:ff9b::808:808", "::ffff:8.8.8.8"),
    ],
)
def test_a_public_address_passes(ip: str) -> None:
    """What stands next to a special network is public, and so is a public address that IPv6 carries."""
    check_address(ip)


@pytest.mark.parametrize(
    "ip", ["", "8.8.8", "0x8.8.8.8", "8.8.8.8 ", "good.example", "2606:4700::1111%eth0", "fe80::1%1"]
)
def test_what_is_no_plain_address_is_refused(ip: str) -> None:
    """A resolver that answers in riddles is not believed."""
    with pytest.raises(WebError):
        check_address(ip)


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/b?c", "https://good.example/b?c"),
        ("b", "https://good.example/a/b"),
        ("?q", "https://good.example/a/?q"),
        ("//other.example/", "https://other.example/"),
        ("http://other.example/", "http://other.example/"),
        (" /two words ", "https://good.example/two%20words"),
        ("", "https://good.example/a/"),
    ],
)
def test_a_redirect_may_be_relative(location: str, url: str) -> None:
    """A Location is read relative to the page that sent it."""
    assert check_url(redirected(Target("https://good.example/a/", "https", "good.example", 443), location)).url == url


@pytest.mark.parametrize("location", ["\thttp://a.example/", "/\\evil.example", "ht\ntp://a.example", "http://[::1"])
def test_a_redirect_hides_nothing(location: str) -> None:
    """Characters that a parser drops in silence are refused before it sees them."""
    with pytest.raises(WebError):
        redirected(Target("https://good.example/", "https", "good.example", 443), location)


def test_any_text_is_a_target_or_an_error() -> None:
    """Bits of URLs put together at random never lead anywhere that is not public, and break nothing."""
    dice = random.Random(7)  # noqa: S311 - nothing is secret here
    bits = [
        *"/:@?#[]%.\\- 0x1",
        "http",
        "https",
        "://",
        "//",
        "127.1",
        "8.8.8.8",
        "good.example",
        "::1",
        "80",
        "ü",
        "。",
    ]
    passed = 0
    for _ in range(20_000):
        url = "http://" * dice.randrange(2) + "".join(dice.choices(bits, k=dice.randrange(1, 6)))
        try:
            target = check_url(url)
        except WebError:
            continue
        passed += 1
        parsed = httpx.URL(target.url)
        assert (parsed.scheme, parsed.raw_host.decode()) == (target.scheme, target.host)
        assert not parsed.userinfo
        assert check_url(target.url) == target
    assert passed > 100
