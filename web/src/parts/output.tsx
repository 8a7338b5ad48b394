/** What a prediction gave, shown as what it is. */

/**
 * @param value the output as it was parsed; undefined while there is none
 * @param live whether more of it may come
 * @param schema the Output schema of the version, where known
 */
export function Output({ value, live = false }: { value: unknown; live?: boolean; schema?: unknown }) {
  if (value === undefined || value === null) return <p class="quiet">{live ? "No output yet." : "No output."}</p>;
  return <pre class="command">{typeof value === "string" ? value : JSON.stringify(value, null, 2)}</pre>;
}
