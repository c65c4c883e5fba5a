import {edit, go, line, replaceAll, show} from "./text.js";

const of = id => document.getElementById(id), text = of("text");
const meta = name => document.querySelector(`meta[name=${name}]`).content;
const served = meta("answers") === "server", PAUSE = 250, LONGEST = 1_000_000;
let last = "", untouched = "", answer = {diagnostics: [], hints: {}, variants: []}, asked = 0, drawn = "", waiting = 0, busy = false;
let file = null, ends = "\n", version = null, saved = null, base = null, name = "spec.yaml";

// --- who answers: this machine's Python, or archspec in a worker --------------------------------------------------------

function fromServer(request) {
  return fetch("ask", {method: "POST", body: JSON.stringify(request)}).then(reply => reply.json());
}

function fromWorker() {
  const worker = new Worker("worker.js", {type: "module"}), open = new Map();
  let number = 0, begin, fail;
  const ready = new Promise((done, failed) => { begin = done; fail = failed; });
  worker.onerror = event => fail(new Error(event.message || "the worker cannot be loaded"));
  worker.onmessage = ({data}) => {
    if (data.progress !== undefined) loading(data.progress, data.what);
    else if (data.ready) begin();
    else if (data.failed) fail(new Error(data.failed));
    else { open.get(data.number)(data.answer); open.delete(data.number); }
  };
  worker.postMessage({pyodide: new URL(meta("pyodide"), location.href).href});
  return request => ready.then(() => new Promise(done => {
    open.set(++number, done);
    worker.postMessage({number, request});
  }));
}

function loading(percent, what) {
  of("progress").hidden = percent >= 100;
  of("progress").value = percent;
  if (percent < 100) say(`Loading ${what} …`);
}

const ask = served ? fromServer : fromWorker();
const request = kind => ({ask: kind, text: text.value, variant: of("variant").value || null, base});

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
    const found = await ask(request("check"));
    if (found.error) throw new Error(found.error);
    if (number === asked) {
      answer = found;
      present();
      if (number === asked) waiting = setTimeout(() => complete(number), PAUSE);
    }
  } catch (error) {
    say(served ? `archspec serve does not answer: ${error.message}` : error.message, "wrong");
  } finally { busy = false; }
  if (number !== asked) check();
}

// What takes longer comes once nothing has been typed for a moment: the drawing, the table, and the other variants, one
// after the other, so that the next edit waits for none but one.
async function complete(number) {
  const key = JSON.stringify(request(""));
  if (answer.totals && key !== drawn) {
    const picture = await ask(request("draw"));
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
  of("problems").replaceChildren(...diagnostics.map(problem), ...answer.notes.map(note));
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

function problem(one) {
  const item = document.createElement("li");
  const lead = button("", () => go(one.line, one.column), "go");
  lead.append(make("b", `line ${one.line}: `), one.message);
  item.append(lead);
  if (one.more) item.append(make("pre", one.more));
  item.append(...one.fixes.map(fix => button(fix.title, () => edit(fix.edits), "fix")));
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
  of("drawing").replaceChildren(document.importNode(found, true));
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
  if (picture.left_out) of("rows").append(make("tr", "")).append(make("td", `… and ${picture.left_out} more`));
  tell();
}

// What the caret's line makes, and its rows in the table.
function tell() {
  const here = line(), wrong = answer.diagnostics.filter(one => one.line === here).map(one => one.message);
  of("about").textContent = [...wrong, answer.hints[here]].filter(Boolean).join(" · ");
  for (const row of of("rows").rows) row.classList.toggle("here", row.dataset.line === String(here));
}

// --- texts: the gallery, links, downloads, the file ---------------------------------------------------------------------

function open(content, variant = null, from = null) {
  base = from;
  offer(variant ? [variant] : [], variant);
  text.disabled = false;
  replaceAll(content);
  changed();
}

function changed() {
  show(answer.diagnostics.filter(one => one.line < line()), {});  // until the answer comes
  of("save").disabled = text.value === saved;
  try { if (!served) sessionStorage.setItem("draft", JSON.stringify([text.value, of("variant").value, base])); } catch { /* no room */ }
  check();
}

async function start(bundled) {
  const found = await ask({ask: "spec", name: bundled});
  if (found.error) return warn(found.error);
  const before = [text.value, of("variant").value, base, name], edited = text.value !== untouched;
  name = found.file;
  open(found.text, found.variant, found.base);
  untouched = found.text;
  of("banner").hidden = true;
  if (edited) warn("Your text was replaced.", ["Bring it back", () => { open(...before); name = before[3]; }]);
}

async function packed(bytes, stream) {
  const reader = new Blob([bytes]).stream().pipeThrough(stream).getReader(), parts = [];
  for (let size = 0; ;) {
    const {done, value} = await reader.read();
    if (done) return new Uint8Array(await new Blob(parts).arrayBuffer());
    if ((size += value.length) > LONGEST) throw new Error("it is too long");
    parts.push(value);
  }
}

async function link() {
  const content = new TextEncoder().encode(JSON.stringify([text.value, of("variant").value, base]));
  const bytes = await packed(content, new CompressionStream("deflate-raw"));
  const code = btoa(Array.from(bytes, one => String.fromCharCode(one)).join(""));
  return "#" + code.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

async function unlink(hash) {
  const code = atob(hash.slice(1).replaceAll("-", "+").replaceAll("_", "/"));
  const bytes = await packed(Uint8Array.from(code, one => one.charCodeAt(0)), new DecompressionStream("deflate-raw"));
  const [content, variant, from] = JSON.parse(new TextDecoder().decode(bytes));
  if (typeof content !== "string") throw new Error("it holds no spec");
  return [content, typeof variant === "string" ? variant : "", typeof from === "string" ? from : null];
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
  if (!file) return download(text.value, ".yaml");
  const sent = text.value;
  try {
    const reply = await fetch("file", {method: "PUT", body: JSON.stringify({text: sent.replaceAll("\n", ends), version})});
    const found = await reply.json();
    if (found.conflict) return conflict(found);
    if (found.error) return warn(found.error);
    [saved, version] = [sent, found.version];
    of("banner").hidden = true;
    of("save").disabled = text.value === saved;
  } catch (error) { warn(`It was not saved: archspec serve does not answer (${error.message}).`); }
}

function conflict(found) {
  warn(
    `${found.file} has changed on disk since it was read. `,
    ["Take the file's text", () => take(found)],
    ["Keep mine", () => { version = found.version; saved = plain(found.text); of("save").disabled = false; }],
  );
}

const plain = content => content.replace(/\r\n?/g, "\n");  // as a text area has it

function take(found) {
  [saved, version, ends] = [plain(found.text), found.version, found.text.includes("\r\n") ? "\r\n" : "\n"];
  open(saved, of("variant").value);
}

async function follow() {
  try {
    const found = await fetch("file").then(reply => reply.json());
    if (found.error) warn(found.error);
    else if (found.version !== version && of("banner").hidden) {
      if (text.value === saved) take(found); else if (plain(found.text) !== text.value) conflict(found);
    }
  } catch { say("archspec serve has ended; the text is still here", "wrong"); }
}

// --- events -------------------------------------------------------------------------------------------------------------

text.addEventListener("input", changed);
document.addEventListener("selectionchange", tell);
of("variant").onchange = changed;
of("gallery").onchange = event => { start(event.target.value); event.target.value = ""; };
of("save").onclick = save;
of("get-yaml").onclick = () => download(text.value, ".yaml");
for (const [kind, ending] of [["svg", ".svg"], ["html", ".html"], ["python", ".py"]]) {
  of(`get-${kind}`).onclick = async () => {
    const found = await ask(request(kind));
    if (found.content) download(found.content, ending); else warn(found.error ?? "The spec has errors.");
  };
}
of("share").onclick = async () => {
  history.replaceState(null, "", await link());
  try { await navigator.clipboard.writeText(location.href); say("The link is copied; it holds the spec itself"); }
  catch { say("The link stands in the address bar; it holds the spec itself"); }
};
document.addEventListener("keydown", event => {
  if ((event.ctrlKey || event.metaKey) && event.key === "s") { event.preventDefault(); save(); }
  if (event.key === "F8" && answer.diagnostics.length) {
    event.preventDefault();
    const after = answer.diagnostics.find(one => one.line > line()) ?? answer.diagnostics[0];
    go(after.line, after.column);
  }
});
window.addEventListener("beforeunload", event => { if (file && text.value !== saved) event.preventDefault(); });
window.addEventListener("hashchange", () => { if (!served) begin(); });

async function begin() {
  if (served) {
    const found = await fetch("file").then(reply => reply.json());
    if (found.error) return warn(found.error);
    if (!found.file) return start(found.start);
    file = found.file;
    name = file.split(/[\\/]/).pop();
    document.title = `${name} · archspec`;
    of("save").hidden = false;
    of("gallery").parentElement.hidden = true;
    take(found);
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
  of("gallery").append(...names.map(one => new Option(one, one)));
} catch (error) { say(`The page cannot start: ${error.message}`, "wrong"); }
