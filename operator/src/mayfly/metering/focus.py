"""Usage records as rows of FOCUS, the FinOps Open Cost and Usage Specification, version 1.2.

A record becomes one row a meter that it was charged by, because a FOCUS row has one price and one
quantity whose product is its cost; a record that cost nothing is one row of its active time. A
correction is one row of its difference. The sum of `BilledCost` is the sum of the records' costs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from mayfly.clock import rfc3339_seconds
from mayfly.metering.periods import Month
from mayfly.metering.pricing import Charge, Meter, decimal_text
from mayfly.metering.records import UsageRecord
from mayfly.metering.sheets import Cell, line
from mayfly.metering.tables import RUN

VERSION = "1.2"

ISSUER = "Mayfly"
ACCOUNT = "mayfly"

UNITS = {
    Meter.PREDICT_SECONDS: "Seconds",
    Meter.PREDICTION: "Predictions",
    Meter.OUTPUT_ITEMS: "Items",
    Meter.INPUT_TOKENS: "Tokens",
    Meter.OUTPUT_TOKENS: "Tokens",
}

COLUMNS = (
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "CommitmentDiscountStatus",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceId",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingCurrency",
    "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyEffectiveCost",
    "PricingCurrencyListUnitPrice",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "SkuId",
    "SkuMeter",
    "SkuPriceDetails",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "Tags",
    "x_RecordId",
)

HEADER = line(COLUMNS)

SECOND = timedelta(seconds=1)


def lines(record: UsageRecord, corrected: UsageRecord | None = None) -> Iterator[str]:
    """The CSV lines of a record.

    Args:
        record: the record.
        corrected: the bill that it corrects; None where it is a bill itself.
    """
    for row in rows(record, corrected):
        yield line(row[column] for column in COLUMNS)


def rows(record: UsageRecord, corrected: UsageRecord | None = None) -> list[dict[str, Cell]]:
    """The rows of a record, by column; the arguments are those of `lines`."""
    common = _common(record)
    if record.corrects is not None:
        return [{**common, **_correction(record, corrected)}]
    every = record.charges
    time = next((each for each in every if each.meter is Meter.PREDICT_SECONDS), None)
    free = time or Charge(Meter.PREDICT_SECONDS, Decimal(record.active_ms) / 1000, Decimal(0))
    charged = [each for each in every if each.amount] or [free]
    return [{**common, **_charge(record, each)} for each in charged]


def _common(record: UsageRecord) -> dict[str, Cell]:
    month = Month.of(record.recorded_at)
    period = _whole_seconds(record)
    is_run = record.kind == RUN
    return {
        "BillingAccountId": ACCOUNT,
        "BillingAccountName": ISSUER,
        "BillingCurrency": record.currency,
        "BillingPeriodStart": rfc3339_seconds(month.start),
        "BillingPeriodEnd": rfc3339_seconds(month.end),
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": rfc3339_seconds(period[0]),
        "ChargePeriodEnd": rfc3339_seconds(period[1]),
        "CommitmentDiscountStatus": None,
        # Of the month, before and after its close: what makes an invoice of it may go by this.
        "InvoiceId": f"{ACCOUNT}-{month}",
        "InvoiceIssuerName": ISSUER,
        "PricingCurrency": record.currency,
        "ProviderName": ISSUER,
        "PublisherName": ISSUER,
        "ResourceId": record.id,
        "ResourceName": record.model,
        "ResourceType": "Pipeline Run" if is_run else "Model Prediction",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "Mayfly Pipelines" if is_run else "Mayfly Models",
        "ServiceSubcategory": "AI Platforms",
        "SubAccountId": record.namespace,
        "SubAccountName": record.namespace,
        "Tags": json.dumps(_tags(record), separators=(",", ":")),
        "x_RecordId": record.record_id,
    }


def _tags(record: UsageRecord) -> dict[str, str]:
    words = {
        "model": record.model,
        "name": record.name,
        "version": record.version,
        "root": record.root_uid,
        "parent": record.parent_uid or "",
        "outcome": record.outcome,
        "reason": record.reason,
    }
    return {f"mayfly.dev/{key}": word for key, word in words.items() if word}


def _whole_seconds(record: UsageRecord) -> tuple[datetime, datetime]:
    """Start and end in whole seconds, as FOCUS requires; the end is exclusive."""
    end = record.completed_at or record.recorded_at
    start = (record.started_at or end).replace(microsecond=0)
    whole = end.replace(microsecond=0)
    if whole != end:
        whole += SECOND
    return start, max(whole, start + SECOND)


def _charge(record: UsageRecord, charge: Charge) -> dict[str, Cell]:
    price, unit = decimal_text(charge.unit_price), UNITS[charge.meter]
    ended = f"{record.outcome} ({record.reason})" if record.reason else record.outcome
    meter = charge.meter.value
    return {
        **_costs(charge.amount),
        "ChargeCategory": "Usage",
        "ChargeClass": None,
        "ChargeDescription": f"{record.model}: {meter} of a prediction, {ended}",
        "ConsumedQuantity": charge.quantity,
        "ConsumedUnit": unit,
        **_unit_prices(charge.unit_price),
        "PricingCategory": "Standard",
        "PricingQuantity": charge.quantity,
        "PricingUnit": unit,
        "SkuId": f"{record.kind}/{meter}",
        "SkuMeter": meter,
        "SkuPriceDetails": None,
        "SkuPriceId": f"{record.kind}/{meter}/{price}",
    }


def _correction(record: UsageRecord, corrected: UsageRecord | None) -> dict[str, Cell]:
    """The ChargeClass: `Correction` only if the corrected month was over."""
    was = record.recorded_at if corrected is None else corrected.recorded_at
    earlier = Month.of(was) != Month.of(record.recorded_at)
    unit = UNITS[Meter.PREDICT_SECONDS] if earlier else None
    quantity = Decimal(record.active_ms) / 1000 if earlier else None
    meter = Meter.PREDICT_SECONDS.value if earlier else None
    return {
        **_costs(record.cost),
        "ChargeCategory": "Usage" if earlier else "Adjustment",
        "ChargeClass": "Correction" if earlier else None,
        "ChargeDescription": f"Correction of {record.corrects}: {record.why}",
        "ConsumedQuantity": quantity,
        "ConsumedUnit": unit,
        **_unit_prices(None),
        "PricingCategory": "Standard" if earlier else None,
        "PricingQuantity": quantity,
        "PricingUnit": unit,
        "SkuId": f"{record.kind}/{meter}" if earlier else None,
        "SkuMeter": meter,
        "SkuPriceDetails": None,
        "SkuPriceId": None,
    }


def _costs(amount: Decimal) -> dict[str, Cell]:
    """The four cost columns: list, contracted, effective and billed cost are the same."""
    names = ("BilledCost", "ContractedCost", "EffectiveCost", "ListCost")
    return dict.fromkeys((*names, "PricingCurrencyEffectiveCost"), amount)


def _unit_prices(price: Decimal | None) -> dict[str, Cell]:
    names = ("ContractedUnitPrice", "ListUnitPrice")
    currency = ("PricingCurrencyContractedUnitPrice", "PricingCurrencyListUnitPrice")
    return dict.fromkeys((*names, *currency), price)
