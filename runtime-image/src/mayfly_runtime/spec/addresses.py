"""Which IP addresses are public: one rule for the agent, the gateway and the NetworkPolicy.

IPv6 has ranges that stand for IPv4 addresses: mapped, NAT64 and 6to4 ones. They are judged by the
IPv4 address that is embedded in them. With NAT64, every IPv4 server is reached so.
"""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NOT_PUBLIC_V4 = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
)
"""IANA's special-purpose IPv4 blocks: private, link-local (cloud metadata), shared, multicast."""

NOT_PUBLIC_V6 = (
    "::/96",
    "64:ff9b:1::/48",
    "2001::/32",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
)
"""The same for IPv6, with addresses that embed IPv4 ones and are never sent or can't be judged."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_REFUSED_V6 = tuple(ipaddress.IPv6Network(each) for each in NOT_PUBLIC_V6)


def judged(address: Address) -> Address:
    """The IPv4 address embedded in a mapped, NAT64 or 6to4 one; any other address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def is_public(address: Address) -> bool:
    """Whether an address is on the public internet, in whatever notation it is written."""
    address = judged(address)
    if isinstance(address, ipaddress.IPv6Address) and any(address in each for each in _REFUSED_V6):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def within(address: Address, networks: tuple[Network, ...]) -> bool:
    """Whether networks hold an address, or the IPv4 address embedded in it."""
    return any(each in network for network in networks for each in (address, judged(address)))


def embedded(network: str) -> list[str]:
    """The NAT64 and 6to4 ranges of a range of IPv4 addresses; none of IPv6 ones."""
    inner = ipaddress.ip_network(network)
    if isinstance(inner, ipaddress.IPv6Network):
        return []
    first, length = int(inner.network_address), inner.prefixlen
    nat64 = ipaddress.IPv6Network((int(_NAT64.network_address) | first, 96 + length))
    sixtofour = ipaddress.IPv6Network(((0x2002 << 112) | (first << 80), 16 + length))
    return [str(nat64), str(sixtofour)]
