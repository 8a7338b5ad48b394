/** Typing over a selection, without the browser: it would keep the look by `style` attributes. */

import { EditorView } from "@codemirror/view";

/**
 * Puts text that is typed over a selection in the document itself. Left to the browser, the new text
 * gets the old one's colours as inline styles, which the content security policy refuses.
 */
export const typingOver = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const { from, to, empty } = view.state.selection.main;
    const text = event.data;
    const plain = event.inputType === "insertText" && text && !event.isComposing;
    if (!plain || empty || view.composing || view.state.readOnly) return false;
    event.preventDefault();
    const over = () => view.state.update(view.state.replaceSelection(text), { userEvent: "input.type", scrollIntoView: true });
    // What else listens to typing comes first: a bracket is put around the selection.
    const taken = view.state.facet(EditorView.inputHandler).some((each) => each(view, from, to, text, over));
    if (!taken) view.dispatch(over());
    return true;
  },
});
