// The editor: a text area, under which its text is shown with colours, what is wrong, and hints at the ends of lines.
const text = document.getElementById("text"), shown = document.getElementById("shown");
const gutter = document.getElementById("gutter");

const part = (kind, content) => {
  const found = document.createElement("span");
  found.className = kind;
  found.textContent = content;
  return found;
};

// A line of YAML as pieces [kind, text]: comments, keys and formulas have colours of their own.
function pieces(line) {
  const found = [];
  const pattern = /((?:^|\s)#.*$)|("(?:[^"\\]|\\.)*"|'[^']*')|([\w.-]+)(?=:(?:\s|$))|((?<=[\s{[,:])=[^,}\]#]+)/g;
  let at = 0;
  for (const match of line.matchAll(pattern)) {
    if (match.index > at) found.push(["", line.slice(at, match.index)]);
    found.push([match[1] ? "comment" : match[3] ? "key" : match[4] || match[2].slice(1, 2) === "=" ? "formula" : "", match[0]]);
    at = match.index + match[0].length;
  }
  if (at < line.length) found.push(["", line.slice(at)]);
  return found;
}

// A line with what is wrong in it underlined; places count characters, from 0.
function lineOf(content, marks) {
  const row = part("row", "");
  let at = 0;
  for (const [kind, piece] of pieces(content)) {
    for (const character of piece) {
      const wrong = marks.some(([start, stop]) => start <= at && at < stop);
      const name = [kind, wrong ? "wrong-text" : ""].filter(Boolean).join(" ");
      const last = row.lastChild;
      if (last && last.className === name) last.textContent += character;
      else row.append(part(name, character));
      at += 1;
    }
  }
  if (marks.some(([start]) => start >= at)) row.append(part("wrong-text", " "));
  return row;
}

let rows = [];  // of each line its key, and what shows it: a line that did not change is kept

// Show the text with an answer's diagnostics and hints: those of other lines, if it has been edited since.
export function show(diagnostics, hints) {
  const lines = text.value.split("\n"), marks = new Map();
  for (const one of diagnostics) {
    if (!marks.has(one.line)) marks.set(one.line, []);
    if (one.length) marks.get(one.line).push([one.column - 1, one.column - 1 + one.length]);
  }
  const before = rows;
  rows = lines.map((content, at) => {
    const key = JSON.stringify([content, marks.get(at + 1), hints[at + 1]]);
    if (before[at]?.key === key) return before[at];
    const row = lineOf(content, marks.get(at + 1) ?? []);
    if (hints[at + 1]) row.append(part("hint", hints[at + 1]));
    return {key, row};
  });
  shown.replaceChildren(...rows.map(one => one.row));
  gutter.replaceChildren(...lines.flatMap((_, at) => [
    part(marks.has(at + 1) ? "wrong" : "", String(at + 1)), document.createTextNode("\n"),
  ]));
  follow();
}

export const line = () => text.value.slice(0, text.selectionStart).split("\n").length;

function follow() {
  const here = line() - 1;
  rows.forEach(({row}, at) => row.classList.toggle("here", at === here));
}
document.addEventListener("selectionchange", () => { if (document.activeElement === text) follow(); });

// Offsets count units of UTF-16, columns count characters.
function offset(number, column) {
  const lines = text.value.split("\n");
  const before = lines.slice(0, number - 1).reduce((sum, one) => sum + one.length + 1, 0);
  return before + [...(lines[number - 1] ?? "")].slice(0, column - 1).join("").length;
}

export function go(number, column = 1) {
  const at = offset(number, column);
  text.focus({preventScroll: true});
  text.setSelectionRange(at, at);
  rows[number - 1]?.row.scrollIntoView({block: "center", inline: "nearest"});
  follow();
}

// Put a text in place of a part, so that Ctrl+Z brings back what was there.
function put(start, stop, content) {
  text.focus({preventScroll: true});
  text.setSelectionRange(start, stop);
  const done = content ? document.execCommand("insertText", false, content) : document.execCommand("delete");
  if (!done && start !== stop + content.length) {
    text.setRangeText(content, start, stop, "end");
    text.dispatchEvent(new Event("input"));
  }
}

export function edit(edits) {
  const placed = edits.map(([number, start, stop, content]) => [offset(number, start), offset(number, stop), content]);
  for (const one of placed.sort((a, b) => b[0] - a[0])) put(...one);
}

// Another text: set as a whole, since browsers take seconds to insert hundreds of lines.
export function replaceAll(content) {
  text.value = content;
  text.setSelectionRange(0, 0);
  document.getElementById("editor").scrollTo(0, 0);
}

// Enter keeps the indentation; Ctrl+] and Ctrl+[ change that of the lines selected; Tab goes on to the next control.
text.addEventListener("keydown", event => {
  const start = text.value.lastIndexOf("\n", text.selectionStart - 1) + 1;
  if (event.key === "Enter" && !event.ctrlKey && !event.isComposing) {
    event.preventDefault();
    const before = text.value.slice(start, text.selectionStart);
    const deeper = /:\s*$/.test(before) ? "  " : "";
    put(text.selectionStart, text.selectionEnd, "\n" + before.match(/^ */)[0] + deeper);
  } else if ((event.ctrlKey || event.metaKey) && (event.key === "]" || event.key === "[")) {
    event.preventDefault();
    const end = text.value.indexOf("\n", text.selectionEnd), stop = end < 0 ? text.value.length : end;
    const lines = text.value.slice(start, stop).split("\n");
    const moved = lines.map(one => event.key === "]" ? "  " + one : one.replace(/^ {1,2}/, "")).join("\n");
    put(start, stop, moved);
    text.setSelectionRange(start, start + moved.length);
  }
});
