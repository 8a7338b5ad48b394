/** CodeMirror, in a chunk of its own: what `code.tsx` loads when an editor is opened. */

import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { python, pythonLanguage } from "@codemirror/lang-python";
import {
  bracketMatching,
  defaultHighlightStyle,
  indentOnInput,
  indentUnit,
  syntaxHighlighting,
} from "@codemirror/language";
import { type Diagnostic, lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, type Extension } from "@codemirror/state";
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSpecialChars,
  keymap,
  lineNumbers,
} from "@codemirror/view";
import type { Wrong } from "./checking";
import { complete } from "./completions";
import { highlight, theme } from "./theme";
import { typingOver } from "./typing-over";

export interface Told {
  /** The text of the open file was changed by the author. */
  changed: (name: string, text: string) => void;
  /** The author asked to save: Ctrl+S. */
  save: () => void;
}

/** An editor of several files, one of which is open; each file keeps its own undo. */
export class CodeView {
  readonly #view: EditorView;
  readonly #states = new Map<string, EditorState>();
  readonly #told: Told;
  readonly #fixed = new Compartment();
  #name = "";
  #readOnly = false;
  #wrong: readonly Wrong[] = [];

  constructor(host: HTMLElement, told: Told) {
    this.#told = told;
    // In a shadow root, CodeMirror adopts its style sheets instead of writing <style>, which the
    // content security policy refuses.
    const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
    this.#view = new EditorView({ root, parent: root });
  }

  /** Show a file. */
  open(name: string, text: string): void {
    if (this.#name) this.#states.set(this.#name, this.#view.state);
    this.#name = name;
    const known = this.#states.get(name);
    const state = known?.doc.toString() === text ? known : this.#made(name, text);
    this.#view.setState(state);
    this.#view.dispatch({ effects: this.#fixed.reconfigure(this.#fixedly()) });
    this.#mark();
  }

  /** Replace the open file's text; the author can undo that. */
  replace(text: string): void {
    const { doc } = this.#view.state;
    this.#view.dispatch({ changes: { from: 0, to: doc.length, insert: text }, selection: { anchor: 0 } });
  }

  /** Forget a file that was removed or renamed. */
  forget(name: string): void {
    this.#states.delete(name);
    if (this.#name === name) this.#name = "";
  }

  /** Whether the text can't be changed. */
  fix(readOnly: boolean): void {
    this.#readOnly = readOnly;
    this.#view.dispatch({ effects: this.#fixed.reconfigure(this.#fixedly()) });
  }

  /** Mark the lines that are wrong. */
  mark(wrong: readonly Wrong[]): void {
    this.#wrong = wrong;
    this.#mark();
  }

  /** Put the cursor at the beginning of a line. */
  goTo(line: number): void {
    const { doc } = this.#view.state;
    const at = doc.line(Math.min(Math.max(line, 1), doc.lines)).from;
    this.#view.dispatch({
      selection: { anchor: at },
      effects: EditorView.scrollIntoView(at, { y: "center" }),
    });
    this.#view.focus();
  }

  close(): void {
    this.#view.destroy();
  }

  #mark(): void {
    const { state } = this.#view;
    this.#view.dispatch(setDiagnostics(state, diagnostics(state, this.#name, this.#wrong)));
  }

  #fixedly(): Extension {
    return [
      EditorState.readOnly.of(this.#readOnly),
      EditorView.contentAttributes.of({
        "aria-label": `${this.#name}: Tab indents; Escape, then Tab, leaves the editor`,
        // It can be focused without; what looks for scrollable places without a focus asks for it.
        tabindex: "0",
        "aria-readonly": String(this.#readOnly),
      }),
    ];
  }

  #made(name: string, text: string): EditorState {
    const heard = EditorView.updateListener.of((update) => {
      if (update.docChanged) this.#told.changed(name, update.state.doc.toString());
    });
    const save = keymap.of([
      {
        key: "Mod-s",
        run: () => {
          this.#told.save();
          return true;
        },
      },
    ]);
    return EditorState.create({
      doc: text,
      extensions: [save, this.#fixed.of(this.#fixedly()), heard, ...common(name)],
    });
  }
}

function common(name: string): Extension[] {
  return [
    lineNumbers(),
    lintGutter(),
    highlightActiveLineGutter(),
    highlightSpecialChars(),
        typingOver,
    history(),
    drawSelection(),
    EditorState.allowMultipleSelections.of(true),
    indentUnit.of("    "),
    indentOnInput(),
    syntaxHighlighting(highlight),
    syntaxHighlighting(defaultHighlightStyle, { fallback: true }),
    bracketMatching(),
    closeBrackets(),
    autocompletion(),
    highlightActiveLine(),
    highlightSelectionMatches(),
    search({ top: true }),
    keymap.of([
      ...closeBracketsKeymap,
      ...defaultKeymap,
      ...searchKeymap,
      ...historyKeymap,
      ...completionKeymap,
      ...lintKeymap,
      indentWithTab,
    ]),
    name.endsWith(".py") ? [python(), pythonLanguage.data.of({ autocomplete: complete })] : [],
    theme,
  ];
}

function diagnostics(state: EditorState, name: string, wrong: readonly Wrong[]): Diagnostic[] {
  return wrong
    .filter((each) => each.file === name && each.line !== undefined)
    .map((each) => {
      const line = state.doc.line(Math.min(Math.max(each.line ?? 1, 1), state.doc.lines));
      const indent = line.text.length - line.text.trimStart().length;
      return { from: line.from + indent, to: line.to, severity: "error", message: each.detail };
    });
}
