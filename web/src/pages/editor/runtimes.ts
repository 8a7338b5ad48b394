/** The runtimes that the installation has: what code may import, on what hardware, for how much. */

import { ask } from "../../api/client";

export interface Runtime {
  name: string;
  python: string;
  /** Each "name==version". */
  packages: string[];
  cpu: string | null;
  memory: string | null;
  prices: { meter: string; price: string; currency: string }[];
  default: boolean;
}

const METERS: Record<string, string> = {
  predictSeconds: "second",
  prediction: "run that succeeds",
  outputItems: "item of the output",
  inputTokens: "input token",
  outputTokens: "output token",
};

export function runtimes(signal: AbortSignal): Promise<Runtime[]> {
  return ask<Runtime[]>("/runtimes", "", { signal });
}

/** The runtime of a pipeline that names this one; "" and "cpu" mean the default. */
export function runtimeOf(known: readonly Runtime[], hardware: string): Runtime | undefined {
  const named = known.find((each) => each.name === hardware);
  return named ?? known.find((each) => each.default) ?? known[0];
}

/** What a runtime costs: "0.000025 USD a second". */
export function priceOf(runtime: Runtime): string {
  const parts = runtime.prices.map(
    ({ meter, price, currency }) => `${price} ${currency} a ${METERS[meter] ?? meter}`,
  );
  return parts.join(", ") || "free";
}

/** A runtime in a list of choices: "default: 1 CPU, 2Gi". */
export function titleOf(runtime: Runtime): string {
  const size = [runtime.cpu && `${runtime.cpu} CPU`, runtime.memory].filter(Boolean).join(", ");
  return size ? `${runtime.name}: ${size}` : runtime.name;
}

/** Packages that a search finds, as name and version. */
export function packagesOf(runtime: Runtime, search: string): [string, string][] {
  const wanted = search.trim().toLowerCase().replaceAll("_", "-");
  return runtime.packages
    .map((line): [string, string] => {
      const [name = line, version = ""] = line.split(/==| @ /, 2);
      return [name, version];
    })
    .filter(([name]) => name.toLowerCase().replaceAll("_", "-").includes(wanted));
}
