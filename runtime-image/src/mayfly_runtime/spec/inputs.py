"""Checks an input against its version's schema, and converts it for `main()`.

`check` is pure and is what controller and gateway call; `prepare` is the worker's: it fills in
defaults, makes an int of 3.0, and lists the files to fetch. JSON keeps what it said: 1.0 stays
1.0, long integers stay whole, the order of keys stays.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from mayfly_runtime.spec import strict_json
from mayfly_runtime.spec.pointer import Pointer, pick

MAX_ITEM_BYTES = 65_536
"""Maximum size of one item of a list of strings, in UTF-8."""

SECRET_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
SECRET_KEY = re.compile(r"(?!\.\.?\Z)[-._a-zA-Z0-9]{1,253}")
"""Valid names and keys of Kubernetes Secrets. No other text may get into a request's path."""

SEALED = re.compile(r"mayfly-secret:[0-9a-hjkmnp-tv-z]{26}")
"""The reference to a secret that a caller of the API sent as text, and the gateway stores."""

_YAML_BOOLEANS = {"y": "true", "yes": "true", "on": "true", "n": "false", "no": "false",
                  "off": "false"}  # fmt: skip
"""Names that YAML 1.1, which kubectl reads, takes for true and false, in whatever case."""

_MAX_COMPARED = 50
"""Unknown names that are compared with a missing one."""

FILE_SCHEMES = ("http://", "https://", "data:", "mayfly-file:")


class Problem(NamedTuple):
    """What is wrong with one field; the message follows the field's name."""

    field: str
    message: str

    def sentence(self) -> str:
        """As a sentence: `width: must be at least 64`."""
        return f"{self.field}: {self.message}" if self.field else self.message


class FileRef(NamedTuple):
    """A file input to be fetched: where it goes, and its URL."""

    pointer: Pointer
    url: str


class Prepared:
    """Keyword arguments for `main()`, except those that only the pod can create."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.files: list[FileRef] = []
        self.secrets: list[Pointer] = []


def parse(text: str) -> object:
    """Parse an input's JSON text, strictly.

    Raises:
        ValueError: with words for the author of the input.
    """
    return strict_json.parse(text, "the input")


def check(
    schema: Mapping[str, Any], value: object, *, references: bool = False, literals: bool = False
) -> list[Problem]:
    """Every problem of an input; none means that it is valid. No conversion, no I/O.

    Args:
        schema: the version's document.
        value: the input.
        references: it is the input of a PipelineRun, which names Secrets and never holds one;
            otherwise it is the pod's, where the gateway has put their values in.
        literals: with `references`: it comes from a caller of the API, who may give secrets as they
            are too.
    """
    if not isinstance(value, dict):
        return [Problem("", f"the input must be an object, not {_kind(value)}")]
    problems: list[Problem] = []
    required = set(_input(schema).get("required", []))
    for name, fragment in _properties(schema).items():
        if name in value:
            resolved = _resolved(schema, fragment)
            problems.extend(
                _check(resolved, value[name], name, references=references, literals=literals)
            )
        elif name in required:
            given = [each for each in value if each not in _properties(schema)]
            problems.append(Problem(name, f"is required{_near_miss(name, given)}"))
    return problems


def unknown(schema: Mapping[str, Any], value: object) -> list[str]:
    """Names in the input that the pipeline does not have: ignored, with a warning."""
    if not isinstance(value, dict):
        return []
    known = _properties(schema)
    return [name for name in value if name not in known]


def has_patterns(schema: Mapping[str, Any]) -> bool:
    """Whether `check` may run an author's regular expression; then its time must be limited."""
    # A property may refer to any schema of the document.
    schemas = schema["components"]["schemas"].values()
    return any(_has_pattern(each) for each in (*_properties(schema).values(), *schemas))


def has_secrets(schema: Mapping[str, Any]) -> bool:
    """Whether an input may contain secrets."""
    fragments = _properties(schema).values() if "components" in schema else ()
    return any(_is_secret(f) or _is_secret(_items(f)) for f in fragments)


def secret_places(schema: Mapping[str, Any], value: object) -> list[Pointer]:
    """The places of secrets and references in an input; nulls are left out."""
    if not isinstance(value, dict) or not has_secrets(schema):
        return []
    found: list[Pointer] = []
    for name, fragment in _properties(schema).items():
        given = value.get(name)
        if _is_secret(fragment) and given is not None:
            found.append((name,))
        elif _is_secret(_items(fragment)) and isinstance(given, list):
            found += [(name, index) for index, item in enumerate(given) if item is not None]
    return found


def secret_values(schema: Mapping[str, Any], text: str) -> list[str]:
    """The secrets in an input's text; none if the text is not an input."""
    if not has_secrets(schema):
        return []
    try:
        value = parse(text)
    except ValueError:
        return []
    values = [pick(value, pointer) for pointer in secret_places(schema, value)]
    return [each for each in values if isinstance(each, str)]


def prepare(schema: Mapping[str, Any], value: Mapping[str, Any]) -> Prepared:
    """Arguments for `main()`, from a valid input."""
    prepared = Prepared()
    for name, fragment in _properties(schema).items():
        resolved = _resolved(schema, fragment)
        if name in value:
            given = value[name]
        elif "default" in fragment:
            given = fragment["default"]
        else:
            given = False if resolved.get("type") == "boolean" else None
            given = None if resolved.get("nullable") else given
        prepared.values[name] = _convert(resolved, given, (name,), prepared)
    return prepared


def _near_miss(name: str, given: list[str]) -> str:
    """What a caller may have written for a name that is missing; "" if nothing is like it."""
    from difflib import get_close_matches  # noqa: PLC0415 only where an input is wrong

    as_yaml = _YAML_BOOLEANS.get(name.lower())
    if as_yaml in given:
        why = f"YAML reads the key {name} as {as_yaml}"
        return f' (you gave "{as_yaml}": {why}, so quote it: "{name}")'
    lower = {each.lower(): each for each in given[:_MAX_COMPARED] if len(each) <= 100}
    found = get_close_matches(name.lower(), lower, n=1)
    return f" (you gave {lower[found[0]]})" if found else ""


def _input(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = schema["components"]["schemas"]["Input"]
    return found


def _properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = _input(schema).get("properties", {})
    return found


def _resolved(schema: Mapping[str, Any], fragment: Mapping[str, Any]) -> dict[str, Any]:
    """A property with its `allOf` references (choices) merged into it."""
    merged: dict[str, Any] = {}
    for part in fragment.get("allOf", []):
        merged |= schema["components"]["schemas"][part["$ref"].rsplit("/", 1)[-1]]
    return merged | dict(fragment)


def _check(
    fragment: Mapping[str, Any], value: object, name: str, *, references: bool, literals: bool
) -> Iterator[Problem]:
    if value is None:
        if not (fragment.get("nullable") or _is_any(fragment)):
            yield Problem(name, "must not be null")
        return
    if references and _is_secret(fragment) and not (literals and isinstance(value, str)):
        wrong = wrong_reference(value)
        if wrong:
            yield Problem(name, wrong)
        return
    wrong = _wrong_type(fragment, value)
    if wrong:
        yield Problem(name, wrong)
        return
    if "enum" in fragment and not any(_same(value, choice) for choice in fragment["enum"]):
        choices = ", ".join(json.dumps(choice, ensure_ascii=False) for choice in fragment["enum"])
        yield Problem(name, f"must be one of {choices} (got {_shown(value)})")
    if isinstance(value, str):
        yield from (Problem(name, message) for message in _string_problems(fragment, value))
    elif isinstance(value, list):
        yield from _list_problems(fragment, value, name, references=references, literals=literals)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from (Problem(name, message) for message in _range_problems(fragment, value))


def _wrong_type(fragment: Mapping[str, Any], value: object) -> str | None:
    expected = fragment.get("type")
    if expected == "string":
        return None if isinstance(value, str) else f"must be a string, not {_kind(value)}"
    if expected == "boolean":
        return None if isinstance(value, bool) else f"must be true or false, not {_kind(value)}"
    if expected == "array":
        return None if isinstance(value, list) else f"must be a list, not {_kind(value)}"
    if expected == "object":
        return None if isinstance(value, dict) else f"must be an object, not {_kind(value)}"
    if expected in {"integer", "number"}:
        return _wrong_number(expected, value)
    return None


def _wrong_number(expected: str, value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        noun = "an integer" if expected == "integer" else "a number"
        return f"must be {noun}, not {_kind(value)}"
    if expected == "integer" and isinstance(value, float) and not value.is_integer():
        return f"must be an integer (got {value})"
    if expected == "number" and isinstance(value, int):
        try:
            float(value)
        except OverflowError:
            return "is too large for a float"
    return None


def _range_problems(fragment: Mapping[str, Any], value: float) -> Iterator[str]:
    if "minimum" in fragment and value < fragment["minimum"]:
        yield f"must be at least {fragment['minimum']} (got {_shown(value)})"
    if "maximum" in fragment and value > fragment["maximum"]:
        yield f"must be at most {fragment['maximum']} (got {_shown(value)})"


def _string_problems(fragment: Mapping[str, Any], value: str) -> Iterator[str]:
    if fragment.get("format") == "uri" and not _is_file(value):
        from mayfly_runtime.spec.urls import without_credentials  # noqa: PLC0415 rarely needed

        given = _shown(without_credentials(value))
        yield f"must be the URL of a file (http, https or data), not {given}"
    if len(value) < fragment.get("minLength", 0):
        yield f"must have at least {fragment['minLength']} characters (got {len(value)})"
    if "maxLength" in fragment and len(value) > fragment["maxLength"]:
        yield f"must have at most {fragment['maxLength']} characters (got {len(value)})"
    if "pattern" in fragment and re.search(fragment["pattern"], value) is None:
        told = "" if _is_secret(fragment) else f" (got {_shown(value)})"
        why = f": {fragment['description']}" if "description" in fragment else ""
        yield f"must match {fragment['pattern']}{told}{why}"


def _is_file(value: str) -> bool:
    # In any case and after blanks, as browsers read URLs.
    return value[:100].lstrip().lower().startswith(FILE_SCHEMES)


def _list_problems(
    fragment: Mapping[str, Any],
    value: list[object],
    name: str,
    *,
    references: bool,
    literals: bool,
) -> Iterator[Problem]:
    low, high = fragment.get("minItems", 0), fragment.get("maxItems", len(value))
    if not low <= len(value) <= high:
        wanted = f"{low}" if low == high else f"{low} to {high}"
        yield Problem(name, f"must have {wanted} items (got {len(value)})")
    items = fragment.get("items", {})
    if _is_any(items):
        return  # nothing can be wrong below, however deep it goes
    limited = items.get("type") == "string" and items.get("format") is None
    for index, item in enumerate(value):
        yield from _check(items, item, f"{name}[{index}]", references=references, literals=literals)
        if limited and isinstance(item, str):
            size = len(item.encode("utf-8", "surrogatepass"))
            if size > MAX_ITEM_BYTES:
                yield Problem(f"{name}[{index}]", f"has {size} bytes, over {MAX_ITEM_BYTES}")


def _convert(fragment: Mapping[str, Any], value: Any, pointer: Pointer, into: Prepared) -> Any:
    if value is None:
        return None
    kind = fragment.get("type")
    if kind == "integer":
        return int(value)
    if kind == "number":
        return float(value)
    if kind == "array":
        items = fragment.get("items", {})
        return [_convert(items, item, (*pointer, index), into) for index, item in enumerate(value)]
    if kind == "string" and fragment.get("format") == "uri":
        into.files.append(FileRef(pointer, value))
    elif kind == "string" and fragment.get("format") == "password":
        into.secrets.append(pointer)
    return value


def _is_any(fragment: Mapping[str, Any]) -> bool:
    return "type" not in fragment and "enum" not in fragment


def _is_secret(fragment: Mapping[str, Any]) -> bool:
    return fragment.get("format") == "password" or fragment.get("x-cog-secret") is True


def _has_pattern(fragment: object) -> bool:
    if not isinstance(fragment, Mapping):
        return False
    return "pattern" in fragment or _has_pattern(fragment.get("items"))


def _items(fragment: Mapping[str, Any]) -> Mapping[str, Any]:
    found = fragment.get("items")
    return found if isinstance(found, dict) else {}


def wrong_reference(value: object) -> str | None:
    """What is wrong with a secret reference. The value is not repeated: it may be a secret."""
    form = '{"secretKeyRef": {"name": …, "key": …}}'
    if isinstance(value, str) and SEALED.fullmatch(value):
        return None
    if not isinstance(value, dict):
        return (
            f"is a secret: a PipelineRun is readable, so name a Secret of its namespace as "
            f"{form} instead of giving {_kind(value)}"
        )
    reference = value.get("secretKeyRef")
    if set(value) != {"secretKeyRef"} or not isinstance(reference, dict):
        return f"is a secret and must be {form}"
    if set(reference) != {"name", "key"}:
        return f"must name a Secret and a key in it: {form}"
    if not isinstance(reference["name"], str) or not SECRET_NAME.fullmatch(reference["name"]):
        return "secretKeyRef.name is not the name of a Secret"
    if not isinstance(reference["key"], str) or not SECRET_KEY.fullmatch(reference["key"]):
        return "secretKeyRef.key is not the key of a Secret"
    return None


def _same(value: object, choice: object) -> bool:
    # In Python True == 1; in JSON it is not.
    return value == choice and isinstance(value, bool) == isinstance(choice, bool)


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "an object"


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}…"
