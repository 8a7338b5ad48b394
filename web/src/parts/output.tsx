/** What a prediction gave, shown as what it is. */

import "./output/output.css";
import { Copy } from "./copy";
import { Json, JsonView, Keep, LongText } from "./json";
import { isFileLink } from "./output/links";
import { FileLink } from "./output/media";

/** A longer text is cut, until all of it is asked for. */
const LONG = 50_000;
/** Items that are shown at once, of a list of texts or files. */
const ITEMS = 500;

interface Schema {
  type?: string;
  format?: string;
  items?: Schema;
  "x-cog-array-type"?: string;
  "x-cog-array-display"?: string;
}

/**
 * @param value the output as it was parsed; undefined while there is none
 * @param live whether more of it may come
 * @param schema the Output schema of the version, where known
 */
export function Output({ value, live = false, schema }: { value: unknown; live?: boolean; schema?: unknown }) {
  const told = (schema ?? {}) as Schema;
  if (value === undefined || value === null || (live && Array.isArray(value) && value.length === 0)) {
    return <p class="quiet">{live ? "No output yet." : "No output."}</p>;
  }
  if (typeof value === "string") {
    return isFileLink(value, told.format === "uri") ? <FileLink link={value} /> : <Text text={value} live={live} />;
  }
  if (Array.isArray(value) && value.length > 0) {
    const strings = value.every((each) => typeof each === "string");
    if (strings && told["x-cog-array-display"] === "concatenate") return <Text text={value.join("")} live={live} />;
    if (strings && value.every((each) => isFileLink(each, told.items?.format === "uri"))) return <Files links={value} />;
    if (told["x-cog-array-type"] === "iterator") return <Items items={value} live={live} />;
  }
  return <JsonView value={value} name="output" />;
}

/** Text as it is, with buttons to keep it. */
function Text({ text, live }: { text: string; live: boolean }) {
  return (
    <div class="output">
      {text === "" ? (
        <p class="quiet">An empty text.</p>
      ) : (
        <div class={live ? "output-text output-live" : "output-text"}>
          <LongText text={text} cap={LONG} />
        </div>
      )}
      {!live && text !== "" && (
        <div class="output-bar">
          <Copy text={text} />
          <Keep text={() => text} name="output.txt" />
        </div>
      )}
    </div>
  );
}

function Files({ links }: { links: string[] }) {
  return (
    <div class="output">
      <div class={links.length > 1 ? "output-grid" : undefined}>
        {links.slice(0, ITEMS).map((each, index) => <FileLink key={`${index} ${each}`} link={each} />)}
      </div>
      {links.length > ITEMS && <JsonView value={links} name="output" />}
    </div>
  );
}

function Item({ value }: { value: unknown }) {
  if (typeof value !== "string") return <Json value={value} />;
  if (isFileLink(value)) return <FileLink link={value} />;
  return <div class="output-text"><LongText text={value} cap={LONG} /></div>;
}

/** Items that came one by one. */
function Items({ items, live }: { items: unknown[]; live: boolean }) {
  const first = items.slice(0, ITEMS);
  return (
    <div class="output">
      <ol class="output-items">
        {first.map((each, index) => (
          <li key={index}>
            <Item value={each} />
          </li>
        ))}
      </ol>
      {live && <p class="quiet small">More may come.</p>}
      {!live && (items.length > ITEMS ? <JsonView value={items} name="output" /> : (
        <div class="output-bar">
          <Copy text={() => JSON.stringify(items, null, 2)} label="Copy as JSON" />
          <Keep text={() => JSON.stringify(items, null, 2)} name="output.json" type="application/json" />
        </div>
      ))}
    </div>
  );
}
