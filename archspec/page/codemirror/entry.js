// What the page takes of CodeMirror: `npm install && npm run build` writes it to static/codemirror.js.
export {autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap} from "@codemirror/autocomplete";
export {defaultKeymap, history, historyKeymap, isolateHistory} from "@codemirror/commands";
export {yaml} from "@codemirror/lang-yaml";
export {
  HighlightStyle, codeFolding, foldGutter, foldKeymap, indentUnit, indentService, syntaxHighlighting,
} from "@codemirror/language";
export {lintGutter, setDiagnostics} from "@codemirror/lint";
export {highlightSelectionMatches, search, searchKeymap} from "@codemirror/search";
export {Compartment, EditorSelection, EditorState, StateEffect, StateField, Transaction} from "@codemirror/state";
export {
  Decoration, EditorView, MatchDecorator, ViewPlugin, WidgetType, drawSelection, highlightActiveLine,
  highlightActiveLineGutter, hoverTooltip, keymap, lineNumbers,
} from "@codemirror/view";
export {tags} from "@lezer/highlight";
