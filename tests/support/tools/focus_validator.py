"""Runs the official FOCUS validator on a file, offline."""

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from support.tools import interpreter

from mayfly.metering import focus

LOCKS = Path(__file__).parent / "focus"

APPLICABLE = (
    "ACCOUNT_NAMING_SUPPORTED",
    "BILLING_BASED_ON_PROVISIONED_RESOURCES_SUPPORTED",
    "MULTIPLE_PRICING_CATEGORIES_SUPPORTED",
    "NEGOTIATED_PRICING_SUPPORTED",
    "PRICING_BILLING_CURRENCY_DIFFERENCES_SUPPORTED",
    "PUBLIC_PRICE_LIST_SUPPORTED",
    "RESOURCE_TYPE_ASSIGNMENT_SUPPORTED",
    "SUB_ACCOUNT_SUPPORTED",
    "TAGGING_SUPPORTED",
    "UNIT_PRICING_SUPPORTED",
    "USAGE_MEASUREMENT_SUPPORTED",
)
"""Features of our export. Not supported: regions, commitments, reservations, currencies."""

EITHER = {"InvoiceId-C-003-C": {"InvoiceId-C-004-C", "InvoiceId-C-005-C"}}
"""A rule that holds if one of two contradicting rules (null, not null) holds; the validator also
reports the other one as a failure of its own, for every file."""


@dataclass
class Verdict:
    """The validator's result.

    Attributes:
        passed: ids of the rules that pass.
        failed: ids of the rules that fail.
        output: its messages.
    """

    passed: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    output: str = ""

    @property
    def failures(self) -> set[str]:
        """The failures that are the file's fault."""
        found = set(self.failed)
        for rule, alternatives in EITHER.items():
            if rule in self.passed and len(alternatives & found) < len(alternatives):
                found -= alternatives
        return found


def validate(data: Path) -> Verdict:
    """Validate a CSV file."""
    python = interpreter.with_packages(
        interpreter.at_least((3, 12)), LOCKS / "wheels.txt", "focus", LOCKS / "source.txt"
    )
    done = subprocess.run(
        [
            *(str(python), "-m", "focus_validator.main", "--data-file", str(data)),
            *("--validate-version", focus.VERSION, "--block-download"),
            *("--focus-dataset", "CostAndUsage"),
            *("--applicability-criteria", ",".join(APPLICABLE)),
        ],
        cwd=python.parent / "site",  # it looks for its list of currencies from here
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    verdict = Verdict(output=done.stdout)
    for rule, word in re.findall(r"^\S+ ([A-Za-z0-9-]+): (PASS|FAIL)", done.stdout, re.MULTILINE):
        (verdict.passed if word == "PASS" else verdict.failed).add(rule)
    total = re.search(r"Pass: (\d+) \| Fail: (\d+)", done.stdout)
    assert total, done.stdout
    assert (len(verdict.passed), len(verdict.failed)) == (int(total[1]), int(total[2]))
    return verdict
