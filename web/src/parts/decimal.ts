/** Sums of money, exact: amounts are decimal text, and a float would lose digits. */

/** The exact sum of decimal texts, without zeros at its end. */
export function sum(amounts: Iterable<string>): string {
  const all = [...amounts];
  const digits = all.reduce((most, each) => Math.max(most, each.split(".")[1]?.length ?? 0), 0);
  const total = all.reduce((so, each) => so + scaled(each, digits), 0n);
  return text(total, digits);
}

function scaled(amount: string, digits: number): bigint {
  const [whole = "0", part = ""] = amount.split(".");
  return BigInt(whole + part.padEnd(digits, "0"));
}

function text(value: bigint, digits: number): string {
  const sign = value < 0n ? "-" : "";
  const all = (value < 0n ? -value : value).toString().padStart(digits + 1, "0");
  const whole = all.slice(0, all.length - digits);
  const part = all.slice(all.length - digits).replace(/0+$/, "");
  return part ? `${sign}${whole}.${part}` : `${sign}${whole}`;
}
