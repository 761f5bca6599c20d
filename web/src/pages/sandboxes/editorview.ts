import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { javascript } from "@codemirror/lang-javascript";
import { json } from "@codemirror/lang-json";
import { markdown } from "@codemirror/lang-markdown";
import { python } from "@codemirror/lang-python";
import {
  bracketMatching,
  HighlightStyle,
  indentOnInput,
  StreamLanguage,
  syntaxHighlighting,
} from "@codemirror/language";
import { dockerFile } from "@codemirror/legacy-modes/mode/dockerfile";
import { shell } from "@codemirror/legacy-modes/mode/shell";
import { toml } from "@codemirror/legacy-modes/mode/toml";
import { yaml } from "@codemirror/legacy-modes/mode/yaml";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { EditorState, type Extension } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";

export interface EditorHandle {
  text: () => string;
  close: () => void;
}

interface Callbacks {
  onChange: () => void;
  onSave: () => void;
}

const languages: [names: RegExp, language: () => Extension][] = [
  [/\.(m|c)?jsx?$/, () => javascript({ jsx: true })],
  [/\.(m|c)?tsx?$/, () => javascript({ jsx: true, typescript: true })],
  [/\.py$/, python],
  [/\.(json|ipynb)$/, json],
  [/\.(md|markdown)$/, markdown],
  [/\.(sh|bash|zsh)$|\/\.(bash|zsh|profile)/, () => StreamLanguage.define(shell)],
  [/(^|\/)Dockerfile/, () => StreamLanguage.define(dockerFile)],
  [/\.ya?ml$/, () => StreamLanguage.define(yaml)],
  [/\.toml$/, () => StreamLanguage.define(toml)],
];

const look = EditorView.theme({
  "&": {
    height: "100%",
    color: "var(--text)",
    backgroundColor: "var(--surface)",
    fontSize: "13px",
  },
  ".cm-scroller": { fontFamily: "var(--mono)" },
  ".cm-gutters": { backgroundColor: "var(--sunken)", color: "var(--muted)", borderRight: "1px solid var(--line)" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "var(--hover)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  "&.cm-focused": { outline: "none" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    background: "light-dark(#bcdcd8, #2b5652)",
  },
  ".cm-panels": { backgroundColor: "var(--sunken)", color: "var(--text)" },
});

const colours = HighlightStyle.define([
  { tag: [tags.keyword, tags.modifier, tags.operatorKeyword], color: "light-dark(#7a2e8d, #d6a1e6)" },
  { tag: [tags.string, tags.special(tags.string), tags.regexp], color: "light-dark(#1d6b2f, #8fd19e)" },
  { tag: [tags.number, tags.bool, tags.null, tags.atom], color: "light-dark(#8a4b08, #e2a35c)" },
  { tag: [tags.comment, tags.meta], color: "var(--muted)", fontStyle: "italic" },
  {
    tag: [tags.function(tags.variableName), tags.definition(tags.variableName), tags.propertyName],
    color: "var(--accent)",
  },
  { tag: [tags.typeName, tags.className], color: "light-dark(#1f4f9c, #9dbdf5)" },
  { tag: tags.heading, fontWeight: "600" },
  { tag: tags.link, color: "var(--accent)", textDecoration: "underline" },
]);

/** Opens an editor of a text at a place of the page. */
export function openEditor(
  place: HTMLElement,
  path: string,
  text: string,
  { onChange, onSave }: Callbacks,
): EditorHandle {
  const language = languages.find(([names]) => names.test(path))?.[1];
  // In a shadow root CodeMirror's styles are constructed style sheets, which the page's
  // Content-Security-Policy allows.
  const root = place.shadowRoot ?? place.attachShadow({ mode: "open" });
  const view = new EditorView({
    parent: root,
    root,
    state: EditorState.create({
      doc: text,
      extensions: [
        lineNumbers(),
        history(),
        drawSelection(),
        indentOnInput(),
        bracketMatching(),
        highlightActiveLine(),
        highlightSelectionMatches(),
        syntaxHighlighting(colours),
        look,
        language?.() ?? [],
        EditorState.lineSeparator.of(text.includes("\r\n") ? "\r\n" : "\n"),
        EditorView.contentAttributes.of({ "aria-label": path }),
        keymap.of([
          {
            key: "Mod-s",
            run: () => {
              onSave();
              return true;
            },
          },
          // Esc, then Tab leaves the editor.
          indentWithTab,
          ...defaultKeymap,
          ...historyKeymap,
          ...searchKeymap,
        ]),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) onChange();
        }),
      ],
    }),
  });
  view.focus();
  return { text: () => view.state.sliceDoc(), close: () => view.destroy() };
}
