"""`Input(...)`: what an author says about an input. Read from the source, not at run time."""

from typing import Any, NamedTuple


class InputInfo(NamedTuple):
    """The words of one `Input(...)`; None where nothing was said."""

    default: Any
    description: str | None
    minimum: float | None
    maximum: float | None
    min_length: int | None
    max_length: int | None
    regex: str | None
    choices: list[Any] | None
    deprecated: bool | None


def Input(  # noqa: N802 cog's name
    default: Any = ...,
    *,
    description: str | None = None,
    min: float | None = None,  # noqa: A002 the reference's word
    max: float | None = None,  # noqa: A002 the reference's word
    ge: float | None = None,
    le: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    regex: str | None = None,
    choices: list[Any] | None = None,
    deprecated: bool | None = None,
) -> Any:
    """Describe an input; `min` and `max` are the reference's words for cog's `ge` and `le`.

    Raises:
        TypeError: both words for one bound.
    """
    if (min is not None and ge is not None) or (max is not None and le is not None):
        raise TypeError("Input() takes min or ge, max or le, not both")
    return InputInfo(
        default=default,
        description=description,
        minimum=ge if min is None else min,
        maximum=le if max is None else max,
        min_length=min_length,
        max_length=max_length,
        regex=regex,
        choices=choices,
        deprecated=deprecated,
    )
