/** Pipelines to begin from: each is a real main.py. */

import call from "./templates/call.py?raw";
import choices from "./templates/choices.py?raw";
import fanout from "./templates/fanout.py?raw";
import file from "./templates/file.py?raw";
import stream from "./templates/stream.py?raw";
import text from "./templates/text.py?raw";

export interface Template {
  title: string;
  words: string;
  source: string;
}

export const TEMPLATES: readonly Template[] = [
  { title: "Text in, text out", words: "The smallest one that does something.", source: text },
  { title: "Streamed text", words: "Words are shown while the rest is still being made.", source: stream },
  { title: "A file in, a file out", words: "Makes a picture smaller with Pillow.", source: file },
  { title: "Call a model", words: "Asks a model for a picture, and gives it on.", source: call },
  { title: "Many calls at once", words: "One call for each prompt, all at the same time.", source: fanout },
  { title: "Lists, choices, bounds", words: "Every kind of field that a form has.", source: choices },
];
