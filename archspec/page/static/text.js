// The editor, made of CodeMirror: lines and columns count from 1, columns in characters, as archspec's do.
import {
  Compartment, Decoration, EditorSelection, EditorState, EditorView, HighlightStyle, MatchDecorator, StateEffect,
  StateField, Transaction, ViewPlugin, WidgetType, autocompletion, closeBrackets, closeBracketsKeymap, codeFolding,
  completionKeymap, defaultKeymap, drawSelection, foldGutter, foldKeymap, highlightActiveLine, highlightActiveLineGutter,
  highlightSelectionMatches, history, historyKeymap, hoverTooltip, indentService, indentUnit, isolateHistory, keymap,
  lineNumbers, lintGutter, search, searchKeymap, setDiagnostics, syntaxHighlighting, tags, yaml,
} from "./codemirror.js";

const dark = matchMedia("(prefers-color-scheme: dark)"), shade = new Compartment(), access = new Compartment(),
  past = new Compartment();
let view;

// --- places -------------------------------------------------------------------------------------------------------------

const units = (text, count) => { let at = 0; for (const one of text) { if (!count--) break; at += one.length; } return at; };

function offset(number, column) {
  const found = view.state.doc.line(Math.min(Math.max(number, 1), view.state.doc.lines));
  return found.from + units(found.text, column - 1);
}

function place(at) {
  const found = view.state.doc.lineAt(at);
  return {line: found.number, column: [...found.text.slice(0, at - found.from)].length + 1};
}

export const text = () => view.state.doc.toString();
export const caret = () => place(view.state.selection.main.head);
export const selected = () => place(view.state.selection.main.from);
export const focus = () => view.focus();

// Keep the caret in sight where the room for the text has changed.
export function follow() {
  if (view.hasFocus) view.dispatch({effects: EditorView.scrollIntoView(view.state.selection.main.head)});
}

// The first and the last line that are in sight, and how many there are.
export function sight() {
  const {from, to} = view.viewport, {doc} = view.state;
  return [doc.lineAt(from).number, doc.lineAt(to).number, doc.lines];
}

// --- colours and hints ---------------------------------------------------------------------------------------------------

const colours = HighlightStyle.define([
  {tag: [tags.propertyName, tags.definition(tags.propertyName)], class: "key"},
  {tag: tags.comment, class: "comment"},
]);

const formulas = new MatchDecorator({
  regexp: /(?:(?<=[:[{,-]\s)|(?<=[[{,]))(?:=[^,}\]#]*|"=[^"]*"|'=[^']*')/g,
  decoration: Decoration.mark({class: "formula"}),
});
const formulaColours = ViewPlugin.define(
  one => ({
    found: formulas.createDeco(one),
    update(change) { this.found = formulas.updateDeco(change, this.found); },
  }),
  {decorations: plugin => plugin.found},
);

class Hint extends WidgetType {
  constructor(words) { super(); this.words = words; }
  eq(other) { return other.words === this.words; }
  toDOM() {
    const found = document.createElement("span");
    found.className = "hint";
    found.textContent = this.words;
    return found;
  }
}

// Hints move with their lines while the answer to an edit is on its way.
const setHints = StateEffect.define();
const hints = StateField.define({
  create: () => Decoration.none,
  update(found, change) {
    for (const effect of change.effects) if (effect.is(setHints)) return effect.value;
    return found.map(change.changes);
  },
  provide: field => EditorView.decorations.from(field),
});

// Show an answer's diagnostics, with buttons that mend them, and its hints.
export function show(diagnostics, shown) {
  view.dispatch(setDiagnostics(view.state, marks(diagnostics)), {effects: setHints.of(ends(shown))});
}

// Show the hints of more lines.
export function showHints(shown) { view.dispatch({effects: setHints.of(ends(shown))}); }

function marks(diagnostics) {
  return diagnostics.map(one => {
    const from = offset(one.line, one.column), end = view.state.doc.lineAt(from).to;
    const actions = one.fixes.map(fix => ({name: fix.title, apply: () => edit(fix.edits)}));
    const to = Math.min(Math.max(from, offset(one.line, one.column + one.length)), end);
    return {from, to, severity: "error", message: [one.message, one.more].filter(Boolean).join("\n"), actions};
  });
}

function ends(shown) {
  const {doc} = view.state, lines = Object.entries(shown).filter(([number]) => number <= doc.lines);
  return Decoration.set(lines.map(([number, words]) =>
    Decoration.widget({widget: new Hint(words), side: 1}).range(doc.line(Number(number)).to)), true);
}

// --- edits ---------------------------------------------------------------------------------------------------------------

export function go(number, column = 1) {
  const at = offset(number, column);
  view.dispatch({selection: EditorSelection.cursor(at), effects: EditorView.scrollIntoView(at, {y: "center"})});
  view.focus();
}

export function edit(edits) {
  const changes = edits.map(([number, start, stop, insert]) => ({from: offset(number, start), to: offset(number, stop), insert}));
  view.dispatch({changes, userEvent: "input.fix"});
  view.focus();
}

// Another text; what is the same at both ends stays, and the caret there. Undoing leads back where it is `undoable`, and
// else to nothing that was before.
export function replaceAll(content, undoable) {
  const before = text();
  let from = 0, same = 0;
  while (from < Math.min(before.length, content.length) && before[from] === content[from]) from++;
  while (same < Math.min(before.length, content.length) - from && before.at(-1 - same) === content.at(-1 - same)) same++;
  view.dispatch({
    changes: {from, to: before.length - same, insert: content.slice(from, content.length - same)},
    userEvent: "open", annotations: [Transaction.addToHistory.of(undoable), isolateHistory.of("full")],
    effects: access.reconfigure(EditorView.editable.of(true)),
  });
  if (undoable) return;
  view.dispatch({effects: past.reconfigure([])});
  view.dispatch({effects: past.reconfigure(history())});
}

// A new line is indented as the one above, and deeper behind a colon.
const indents = indentService.of((context, at) => {
  const above = context.state.doc.lineAt(Math.max(0, at - 1)).text.slice(0, 1000);
  const line = context.lineAt(at, -1).text || above;
  return line.match(/^ */)[0].length + (/:\s*(#.*)?$/.test(line) ? 2 : 0);
});

// --- what is explained and offered ----------------------------------------------------------------------------------------

const KINDS = {
  layer: "class", block: "interface", keyword: "keyword", argument: "property", value: "constant", variable: "variable",
  function: "function", tensor: "text", part: "namespace", file: "text",
};

function offers(complete) {
  return async context => {
    const word = context.matchBefore(/[\w.]*/);
    if (!context.explicit && word.from === word.to) return null;
    const {words = []} = await complete(place(context.pos));
    const options = words.map((one, at) => ({
      label: one.word, type: KINDS[one.kind], detail: one.kind, info: one.doc || undefined, boost: -Math.min(99, at),
    }));
    return {from: word.from, options, validFor: /^[\w.]*$/};
  };
}

function explains(explain) {
  return hoverTooltip(async (_, at) => {
    const found = await explain(place(at));
    return found && {pos: at, above: true, create: () => ({dom: found})};
  });
}

/* Make the editor.
   parent: where it stands; nonce: of its style sheets; changed, moved, scrolled: called after an edit, and when the caret
   has moved or other lines are in sight;
   complete: gives what may be written at a place; explain: a promise of an element about a place, or of null. */
export function make({parent, nonce, changed, moved, scrolled, complete, explain}) {
  view = new EditorView({
    parent,
    state: EditorState.create({extensions: [
      EditorView.cspNonce.of(nonce),
      lineNumbers(), foldGutter(), lintGutter(), past.of(history()), codeFolding(), drawSelection(), highlightActiveLine(),
      highlightActiveLineGutter(), highlightSelectionMatches(), closeBrackets(), search({top: true}),
      indentUnit.of("  "), indents, yaml(), syntaxHighlighting(colours), formulaColours, hints,
      autocompletion({override: [offers(complete)], selectOnOpen: false}), explains(explain),
      shade.of(EditorView.darkTheme.of(dark.matches)), access.of(EditorView.editable.of(false)),
      keymap.of([...closeBracketsKeymap, ...searchKeymap, ...foldKeymap, ...completionKeymap, ...historyKeymap, ...defaultKeymap]),
      EditorView.contentAttributes.of({
        id: "text", "aria-label": "The spec, in YAML", "aria-describedby": "status about", spellcheck: "false",
        tabindex: "0",
      }),
      EditorView.updateListener.of(update => {
        if (update.docChanged && !update.transactions.some(one => one.isUserEvent("open"))) changed();
        if (update.docChanged || update.selectionSet) moved();
        if (update.viewportChanged) scrolled();
      }),
    ]}),
  });
  dark.addEventListener("change", () => view.dispatch({effects: shade.reconfigure(EditorView.darkTheme.of(dark.matches))}));
}
