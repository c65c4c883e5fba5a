import {fromServer, fromWorker} from "./ask.js";
import {link, unlink} from "./link.js";
import {
  caret, edit, focus, follow as keepInSight, go, make as makeEditor, replaceAll, selected, show, showHints, sight, text,
} from "./text.js";
import {markdown} from "./words.js";

const of = id => document.getElementById(id);
const meta = name => document.querySelector(`meta[name=${name}]`).content;
const served = meta("answers") === "server", PAUSE = 250, LONG = 1000, AROUND = 200;
let last = "", untouched = "", sound = "", answer = {diagnostics: [], hints: {}, variants: []}, asked = 0, drawn = "", waiting = 0, busy = false, fetching = false;
let bases = "[]", trouble = "", disputed = null, file = null, ends = "\n", version = null, saved = null, base = null, name = "spec.yaml", toggled = new Set();

const ask = served ? fromServer : fromWorker(new URL(meta("pyodide"), location.href).href, loading);
function loading(percent, what) {
  of("progress").hidden = percent >= 100;
  of("progress").value = percent;
  if (percent < 100) say(`Loading ${what} …`);
}

const request = kind => ({ask: kind, text: text(), variant: of("variant").value || null, base});

// Of a long text, hints are made for the lines in sight and some around them, and for the caret's.
function near() {
  const [first, last, all] = sight(), here = caret().line;
  if (all <= LONG) return {};
  const inSight = here >= first - AROUND && here <= last + AROUND;
  return {first: Math.max(1, first - AROUND), last: last + AROUND, ...(inSight ? {} : {here})};
}

// --- what is shown ------------------------------------------------------------------------------------------------------

function say(words, kind = "") {
  if (of("status").textContent !== words) of("status").textContent = words;
  of("status").className = kind;
}

const make = (tag, content, kind = "") => {
  const found = document.createElement(tag);
  found.textContent = content;
  found.className = kind;
  return found;
};

function button(words, act, kind = "") {
  const found = make("button", words, kind);
  found.onclick = act;
  return found;
}

// One request at a time: what is typed meanwhile is asked for afterwards, once.
async function check() {
  const number = ++asked;
  clearTimeout(waiting);
  if (busy) return;
  busy = true;
  try {
    const asking = text(), lines = near(), found = await ask({...request("check"), ...lines});
    if (found.error) throw new Error(found.error);
    if (number === asked) {
      answer = {...found, lines};
      if (found.yaml) sound = asking;
      present();
      if (number === asked) waiting = setTimeout(() => complete(number), PAUSE);
    }
  } catch (error) {
    say(served ? `archspec serve does not answer: ${error.message}` : error.message, "wrong");
  } finally { busy = false; }
  if (number !== asked) check(); else more();
}

async function more() {
  const [first, last] = sight(), number = asked, {lines} = answer;
  if (busy || fetching || !lines?.first || (first >= lines.first && last <= lines.last)) return;
  fetching = true;
  try {
    const wanted = near(), found = await ask({...request("hints"), ...wanted});
    if (number !== asked || !found.hints) return;
    answer.hints = found.hints;
    answer.lines = wanted;
    showHints(answer.hints);
    tell();
  } finally { fetching = false; }
  more();  // what was scrolled to meanwhile
}

// What takes longer comes once nothing has been typed for a moment: the drawing, the table, and the other variants, one
// after the other, so that the next edit waits for none but one.
async function complete(number) {
  const key = JSON.stringify(request(""));
  const {symbols} = await ask(request("outline"));
  if (number !== asked) return;
  if (symbols?.length) of("symbols").replaceChildren(outline(symbols));
  if (answer.totals && key !== drawn) {
    const picture = await ask({...request("draw"), toggled: [...toggled]});
    if (picture.svg && number === asked) draw(picture, key);
  }
  const name = one => JSON.stringify([one.line, one.column, one.code, one.message]);
  for (const variant of ["", ...answer.variants]) {
    if (number !== asked) return;
    if (variant === of("variant").value) continue;
    const {diagnostics = []} = await ask({...request("check"), variant: variant || null});
    if (number !== asked) return;
    const known = new Set(answer.diagnostics.map(name)), more = diagnostics.filter(one => !known.has(name(one)));
    if (!more.length) continue;
    answer.diagnostics = [...answer.diagnostics, ...more].sort((a, b) => a.line - b.line || a.column - b.column);
    present();
  }
}

function present() {
  const {diagnostics, hints, variants, totals, title} = answer;
  show(diagnostics, hints);
  const count = diagnostics.length;
  say(count ? `${count} ${count === 1 ? "error" : "errors"} (F8: next)` : "No errors", count ? "wrong" : "sound");
  const before = of("problems").offsetHeight;
  of("problems").replaceChildren(...diagnostics.map(problem), ...answer.notes.map(note));
  if (of("problems").offsetHeight > before) keepInSight();
  of("right").classList.toggle("stale", !totals);
  if (totals) last = `${title}: ${totals}`;
  of("totals").textContent = last && !totals ? `${last} (before the errors)` : last;
  for (const kind of ["svg", "html", "python"]) of(`get-${kind}`).disabled = !totals;
  const chosen = of("variant").value;
  if ([...of("variant").options].slice(1).map(one => one.value).join("\n") !== variants.join("\n")) offer(variants, chosen);
  tell();
  if (of("variant").value !== chosen) changed();  // it has gone
}

function offer(variants, chosen) {
  of("variant").replaceChildren(new Option("none", ""), ...variants.map(one => new Option(one, one)));
  of("variant").value = variants.includes(chosen) ? chosen : "";
  of("variant").parentElement.hidden = !variants.length;
}

function outline(symbols) {
  const list = document.createElement("ul");
  for (const one of symbols) {
    const item = document.createElement("li");
    item.append(button(one.name, () => go(one.line)));
    if (one.detail) item.append(make("span", ` ${one.detail}`, "kind"));
    if (one.children.length) item.append(outline(one.children));
    list.append(item);
  }
  return list;
}

function problem(one) {
  const item = document.createElement("li");
  const lead = button("", () => go(one.line, one.column), "go");
  lead.append(make("b", `line ${one.line}: `), one.message);
  item.append(lead);
  if (one.more) item.append(make("pre", one.more));
  const fixes = document.createElement("div");
  fixes.append(...one.fixes.map(fix => button(fix.title, () => edit(fix.edits), "fix")));
  if (one.fixes.length) item.append(fixes);
  return item;
}

function note(one) {
  const item = document.createElement("li");
  item.append(button(`note, line ${one.line}: ${one.message}`, () => go(one.line), "go"));
  return item;
}

function draw(picture, key) {
  drawn = key;
  const found = new DOMParser().parseFromString(picture.svg, "image/svg+xml").documentElement;
  of("drawing").replaceChildren(drawing(document.importNode(found, true)));
  of("rows").replaceChildren(...picture.rows.map(row => {
    const made = document.createElement("tr"), first = make("td", row.part), place = document.createElement("td");
    first.style.paddingLeft = `${.8 + row.level}rem`;
    first.append(make("span", ` ${row.kind}${row.times > 1 ? ` ×${row.times}` : ""}`, "kind"));
    if (row.line) {
      place.append(button(row.line, () => go(row.line)));
      made.dataset.line = row.line;
    }
    const figures = [row.output, row.params.toLocaleString("en"), row.macs.toLocaleString("en")];
    made.append(first, place, ...figures.map(one => make("td", one)));
    return made;
  }));
  if (picture.left_out) {
    const made = document.createElement("tr");
    made.append(make("td", `… and ${picture.left_out.toLocaleString("en")} more`));
    of("rows").append(made);
  }
  tell();
}

// Groups of the drawing are buttons: they open, and close by the name of what is open.
function drawing(found) {
  found.setAttribute("role", "group");
  for (const one of found.querySelectorAll("[data-key]")) {
    const words = [...one.querySelectorAll("text")].map(each => each.textContent).join(" ");
    const name = `${words}, ${one.querySelector("title").textContent}`;
    for (const [key, value] of [["role", "button"], ["tabindex", "0"], ["aria-expanded", one.dataset.open], ["aria-label", name]])
      one.setAttribute(key, value);
    one.addEventListener("click", () => toggle(one.dataset.key));
    one.addEventListener("keydown", event => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); toggle(one.dataset.key); }
    });
  }
  return found;
}

async function toggle(key) {
  if (!toggled.delete(key)) toggled.add(key);
  const number = asked, picture = await ask({...request("draw"), toggled: [...toggled]});
  if (!picture.svg || number !== asked) return;
  draw(picture, drawn);
  [...of("drawing").querySelectorAll("[data-key]")].find(one => one.dataset.key === key)?.focus();
}

// What the caret's line makes, and its rows in the table.
function tell() {
  const here = caret().line, wrong = answer.diagnostics.filter(one => one.line === here).map(one => one.message);
  of("about").textContent = [...wrong, answer.hints[here]].filter(Boolean).join(" · ");
  for (const row of of("rows").rows) row.classList.toggle("here", row.dataset.line === String(here));
}

// --- texts: the gallery, links, downloads, the file ---------------------------------------------------------------------

function open(content, variant = null, from = null, undoable = false) {
  base = from;
  toggled.clear();
  offer(variant ? [variant] : [], variant);
  replaceAll(content, undoable);
  changed();
}

function changed() {
  of("save").disabled = text() === saved;
  try { if (!served) sessionStorage.setItem("draft", JSON.stringify([text(), of("variant").value, base])); } catch { /* no room */ }
  check();
}

async function start(bundled) {
  const found = await ask({ask: "spec", name: bundled});
  if (found.error) return warn(found.error);
  const before = [text(), of("variant").value, base, name], edited = text() !== untouched;
  name = found.file;
  open(found.text, found.variant, found.base);
  untouched = found.text;
  of("banner").hidden = true;
  if (edited) warn("Your text was replaced.", ["Bring it back", () => { open(...before); name = before[3]; }]);
}

function download(content, ending) {
  const target = document.createElement("a");
  target.href = URL.createObjectURL(new Blob([content], {type: "text/plain"}));
  target.download = name.replace(/\.ya?ml$/, "") + ending;
  target.click();
  setTimeout(() => URL.revokeObjectURL(target.href), 10_000);
}

function warn(words, ...buttons) {
  of("banner").replaceChildren(words, ...buttons.map(([label, act]) => button(label, () => { of("banner").hidden = true; act(); })));
  of("banner").hidden = false;
}

async function save() {
  if (!file) return download(text(), ".yaml");
  const sent = text();
  try {
    const reply = await fetch("file", {method: "PUT", body: JSON.stringify({text: sent.replaceAll("\n", ends), version})});
    const found = await reply.json();
    if (found.conflict) return conflict(found);
    if (found.error) return warn(found.error);
    [saved, version] = [sent, found.version];
    of("banner").hidden = true;
    of("save").disabled = text() === saved;
  } catch (error) { warn(`It was not saved: archspec serve does not answer (${error.message}).`); }
}

function conflict(found) {
  const keep = () => { version = found.version; saved = plain(found.text ?? ""); of("save").disabled = false; };
  disputed = found.version;
  if (found.removed) return warn(`${found.file} is no longer there; the text still is. `, ["Write it again", () => { keep(); save(); }]);
  warn(
    `${found.file} has changed on disk since it was read. `,
    ["Take the file's text", () => take(found)],
    ["Keep mine", keep],
  );
}

const plain = content => content.replace(/\r\n?/g, "\n");  // as the editor has it

function take(found, undoable = true) {
  [saved, version, bases] = [plain(found.text), found.version, JSON.stringify(found.bases)];
  ends = found.text.includes("\r\n") ? "\r\n" : "\n";
  open(saved, of("variant").value, null, undoable);
}

async function follow() {
  try {
    const found = await fetch("file").then(reply => reply.json());
    if (found.error) { if (trouble !== found.error) warn(trouble = found.error); return; }
    if (trouble || (disputed !== null && found.version !== disputed)) of("banner").hidden = true;  // it is no longer so
    trouble = "";
    if (of("banner").hidden) disputed = null;
    if (found.version !== version && of("banner").hidden) {
      if (found.removed) conflict(found);
      else if (text() === saved) take(found);
      else if (plain(found.text) !== text()) conflict(found);
      else {
        [saved, version] = [text(), found.version];
        of("save").disabled = true;
      }
    }
    if (found.bases && JSON.stringify(found.bases) !== bases) {
      bases = JSON.stringify(found.bases);
      drawn = "";
      check();
    }
  } catch { say("archspec serve has ended; the text is still here", "wrong"); }
}

// --- events -------------------------------------------------------------------------------------------------------------

const explained = async place => {
  const {text: words} = await ask({...request("hover"), ...place});
  return words ? markdown(words) : null;
};

makeEditor({
  parent: of("editor"), nonce: meta("nonce"), changed, moved: tell, scrolled: more, explain: explained,
  complete: place => ask({...request("complete"), ...place, sound}),
});

async function explain() {
  const found = await explained(selected());
  of("explained").replaceChildren(found ?? "There is nothing to explain here.");
  of("explained").hidden = false;
}

of("explain").onclick = explain;
of("variant").onchange = changed;
of("gallery").onchange = event => { start(event.target.value); event.target.value = ""; };
of("save").onclick = save;
of("get-yaml").onclick = () => download(text(), ".yaml");
for (const [kind, ending] of [["svg", ".svg"], ["html", ".html"], ["python", ".py"]]) {
  of(`get-${kind}`).onclick = async () => {
    const found = await ask(request(kind));
    if (found.content) download(found.content, ending); else warn(found.error ?? "The spec has errors.");
  };
}
of("share").onclick = async () => {
  history.replaceState(null, "", await link(text(), of("variant").value, base));
  try { await navigator.clipboard.writeText(location.href); say("The link is copied; it holds the spec itself"); }
  catch { say("The link stands in the address bar; it holds the spec itself"); }
};
document.addEventListener("keydown", event => {
  if ((event.ctrlKey || event.metaKey) && event.key === "s") { event.preventDefault(); save(); }
  if (event.key === "F1") { event.preventDefault(); explain(); }
  if (event.key === "Escape" && of("help").open) of("help").open = false;
  if (event.key === "Escape" && !of("explained").hidden) { of("explained").hidden = true; focus(); }
  if (event.key === "F8" && answer.diagnostics.length) {
    event.preventDefault();
    const after = answer.diagnostics.find(one => one.line > caret().line) ?? answer.diagnostics[0];
    go(after.line, after.column);
  }
});
window.addEventListener("beforeunload", event => { if (file && text() !== saved) event.preventDefault(); });
window.addEventListener("hashchange", () => { if (!served) begin(); });

async function begin() {
  if (served) {
    const found = await fetch("file").then(reply => reply.json());
    if (found.error || found.removed) return warn(found.error ?? `${found.file} is no longer there.`);
    if (!found.file) return start(found.start);
    file = found.file;
    name = file.split(/[\\/]/).pop();
    document.title = `${name} · archspec`;
    of("save").hidden = false;
    of("gallery").parentElement.hidden = true;
    take(found, false);
    setInterval(() => { if (!document.hidden) follow(); }, 1000);
    return undefined;
  }
  let draft = null;
  try {
    if (location.hash.length > 1) draft = await unlink(location.hash);
    else draft = JSON.parse(sessionStorage.getItem("draft"));
  } catch (error) { warn(`The link holds no spec that can be read: ${error.message}`); }
  return draft ? open(...draft) : start("digits");
}

of("variant").parentElement.hidden = true;
of("share").hidden = served;
try {
  await begin();
  const {names} = await ask({ask: "gallery"});
  const groups = new Map();
  for (const one of names) {
    const folder = one.split("/").slice(0, -1).join("/") || "various";
    if (!groups.has(folder)) groups.set(folder, Object.assign(document.createElement("optgroup"), {label: folder}));
    groups.get(folder).append(new Option(one.split("/").pop(), one));
  }
  of("gallery").append(...groups.values());
} catch (error) { say(`The page cannot start: ${error.message}`, "wrong"); }
