"""The patterns of values.schema.json: what they take can be read by those who read it."""

import json
import re
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kubernetes.utils.quantity import parse_quantity

CHART = Path(__file__).parents[2] / "charts" / "mayfly"
DEFINED = json.loads((CHART / "values.schema.json").read_text())["definitions"]


def taken(name: str, text: str) -> bool:
    """Whether helm takes a text, by a pattern that Go and Python read alike."""
    return re.fullmatch(DEFINED[name]["pattern"], text) is not None


ADDRESSES = st.ip_addresses().filter(
    # Python writes these with an IPv4 address in them; the chart takes them in hexadecimal only.
    lambda each: not (isinstance(each, IPv6Address) and "." in str(each))
)
NEARLY = st.from_regex(r"[0-9a-f:.]{0,24}(/[0-9]{1,3})?", fullmatch=True)
GROUPS = st.lists(st.sampled_from(["", "0", "fd00", "12345", "1"]), max_size=10).map(":".join)


@given(ADDRESSES, st.data())
def test_every_range_is_taken(address, data):
    prefix = data.draw(st.integers(0, address.max_prefixlen))
    assert taken("cidr", f"{address}/{prefix}")
    assert taken("cidr", f"{address.exploded}/{prefix}")
    assert taken("ip", str(address))
    assert taken("ip", address.exploded.upper())


@given(NEARLY | st.builds("{}/{}".format, GROUPS | NEARLY, st.integers(0, 200)))
@example("1:2:3:4:5:6:7::1:2/64")
@example("1::2::3/64")
@example("::1%eth0/64")
@example("010.0.0.1/8")
def test_what_is_taken_as_a_range_is_one(text):
    if taken("cidr", text):
        ip_network(text, strict=False)


@given(NEARLY | GROUPS)
@example("1.2.3")
@example("[::1]")
@example("::1\n")
def test_what_is_taken_as_an_address_is_one(text):
    if taken("ip", text):
        ip_address(text)


@given(
    st.from_regex(r"[0-9]{0,3}(\.[0-9]{0,3})?([a-zA-Z]{0,2}|[eE][-+]?[0-9]{0,2})", fullmatch=True)
)
def test_what_is_taken_as_a_quantity_is_one_of_kubernetes(text):
    for name in ("quantities", "runQuantities"):
        if re.fullmatch(DEFINED[name]["additionalProperties"]["pattern"], text):
            assert parse_quantity(text) >= 0


@pytest.mark.parametrize("text", ["100m", "0.5", "2Gi", "1e9", "1500M", "1"])
def test_quantities_that_people_write(text):
    assert re.fullmatch(DEFINED["quantities"]["additionalProperties"]["pattern"], text)
