"""CSV without formulas: cells that a spreadsheet would evaluate are escaped."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from mayfly.clock import rfc3339
from mayfly.metering.pricing import decimal_text

Cell = str | int | bool | Decimal | datetime | None

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Characters that begin a formula in a spreadsheet."""

_PLAIN = re.compile(r"[0-9A-Za-z\[{][ -~]*|")
"""Some texts that need no care: no control character, and no formula from the first one on."""

_BREAKS = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")


def line(cells: Iterable[Cell]) -> str:
    """A row with its line feed. Cells are quoted only if necessary; None is empty."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([cell(each) for each in cells])
    return text.getvalue()


def cell(value: Cell) -> str:
    """The text of a cell.

    Numbers stay numbers, negative ones too; text that begins like a formula is prefixed with an
    apostrophe, and text of several lines becomes one line.
    """
    match value:
        case str() if _PLAIN.fullmatch(value):  # nearly all are
            return value
        case str():
            # Spaces before it hide a formula from us, and not from a spreadsheet.
            flat = _BREAKS.sub(" ", value)
            formula = flat.startswith(FORMULA) or flat.lstrip().startswith(FORMULA)
            return f"'{flat}" if formula else flat
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case Decimal():
            return decimal_text(value)
        case datetime():
            return rfc3339(value)
