// What archspec says in Markdown, as elements: paragraphs, lists, code, bold words and addresses.
const element = (tag, content) => {
  const found = document.createElement(tag);
  found.append(...[content].flat());
  return found;
};

function inline(text) {
  return text.split(/(\*\*[^*]+\*\*|`[^`]+`|https?:\/\/[^\s)]+)/).filter(Boolean).map(part => {
    if (part.startsWith("**")) return element("strong", part.slice(2, -2));
    if (part.startsWith("`")) return element("code", part.slice(1, -1));
    if (!/^https?:/.test(part)) return part;
    const link = element("a", part);
    Object.assign(link, {href: part, target: "_blank", rel: "noopener noreferrer"});
    return link;
  });
}

export function markdown(text) {
  const found = element("div", []);
  found.className = "explained";
  for (const [at, piece] of text.split(/^```.*$/m).entries()) {
    if (at % 2) { found.append(element("pre", piece.trim())); continue; }
    for (const block of piece.split("\n\n").map(one => one.trim()).filter(Boolean)) {
      const lines = block.split("\n");
      if (lines.every(one => one.startsWith("- "))) found.append(element("ul", lines.map(one => element("li", inline(one.slice(2))))));
      else found.append(element("p", inline(block)));
    }
  }
  return found;
}
