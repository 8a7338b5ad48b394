/** What the editor offers beside Python's own words: cog's types, and what Input(...) takes. */

import { type Completion, type CompletionContext, type CompletionResult, snippetCompletion } from "@codemirror/autocomplete";

const COG: readonly Completion[] = [
  ["Input", "describes a parameter: help, bounds, choices"],
  ["Path", "a file, in or out"],
  ["Secret", "a text that is shown nowhere"],
  ["File", "a file, open for reading"],
  ["ConcatenateIterator", "text, piece by piece"],
  ["Iterator", "outputs, one after the other"],
].map(([label = "", detail]) => ({ label, detail, type: "class", boost: 2 }));

const OPTIONS: readonly Completion[] = [
  ["description", "help beside the field"],
  ["default", "its value if it is left out"],
  ["choices", "a list of what it may be"],
  ["ge", "the smallest number"],
  ["le", "the largest number"],
  ["min_length", "of a text"],
  ["max_length", "of a text"],
  ["regex", "a pattern of a text"],
  ["deprecated", "whether it is shown as old"],
].map(([label = "", detail]) => ({ label, detail, apply: `${label}=`, type: "property", boost: 3 }));

const SNIPPETS: readonly Completion[] = [
  snippetCompletion('replicate.use("${owner/name}")', {
    label: "replicate.use",
    detail: "a model or pipeline to call",
    type: "function",
  }),
];

const INSIDE_INPUT = /\bInput\((?:[^()"']|"[^"\n]*"|'[^'\n]*')*$/;

/** Completions of a source of pipelines; null where there are none. */
export function complete(context: CompletionContext): CompletionResult | null {
  const word = context.matchBefore(/[\w.]+/);
  if (!word && !context.explicit) return null;
  const from = word?.from ?? context.pos;
  const before = context.state.sliceDoc(Math.max(0, from - 500), from);
  const options = INSIDE_INPUT.test(before) ? OPTIONS : [...COG, ...SNIPPETS];
  return { from, options, validFor: /^[\w.]*$/ };
}
