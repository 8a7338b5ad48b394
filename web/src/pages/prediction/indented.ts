/** JSON with line breaks, without parsing it: numbers and text stay exactly as they are stored. */

const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g;

/** The same JSON, indented; text that is no JSON stays as it is. */
export function indented(json: string): string {
  let deep = 0;
  let text = "";
  let before = "";
  for (const [token] of json.matchAll(TOKENS)) {
    if (token === "}" || token === "]") {
      deep -= 1;
      text += before === "{" || before === "[" ? token : line(deep) + token;
    } else {
      if (before === "{" || before === "[") text += line(deep);
      text += token === ":" ? ": " : token;
      if (token === ",") text += line(deep);
      if (token === "{" || token === "[") deep += 1;
    }
    before = token;
  }
  return text;
}

function line(deep: number): string {
  return `\n${"  ".repeat(Math.max(0, deep))}`;
}
