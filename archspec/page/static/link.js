// Links that hold a spec.
const LONGEST = 1_000_000;

async function packed(bytes, stream) {
  const reader = new Blob([bytes]).stream().pipeThrough(stream).getReader(), parts = [];
  for (let size = 0; ;) {
    const {done, value} = await reader.read();
    if (done) return new Uint8Array(await new Blob(parts).arrayBuffer());
    if ((size += value.length) > LONGEST) throw new Error("it is too long");
    parts.push(value);
  }
}

// A text, its variant and its base as the part of an address behind the `#`.
export async function link(...parts) {
  const content = new TextEncoder().encode(JSON.stringify(parts));
  const bytes = await packed(content, new CompressionStream("deflate-raw"));
  const code = btoa(Array.from(bytes, one => String.fromCharCode(one)).join(""));
  return "#" + code.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

export async function unlink(hash) {
  const code = atob(hash.slice(1).replaceAll("-", "+").replaceAll("_", "/"));
  const bytes = await packed(Uint8Array.from(code, one => one.charCodeAt(0)), new DecompressionStream("deflate-raw"));
  const [content, variant, from] = JSON.parse(new TextDecoder().decode(bytes));
  if (typeof content !== "string") throw new Error("it holds no spec");
  return [content, typeof variant === "string" ? variant : "", typeof from === "string" ? from : null];
}
