// archspec under Pyodide: it takes requests, one after the other, and gives what `archspec.page.answers` answers.
let answer;

const progress = (percent, what) => postMessage({progress: percent, what});

async function begin(pyodide) {
  progress(5, "Python");
  const {loadPyodide} = await import(`${pyodide}pyodide.mjs`);
  const [python, packages] = await Promise.all([
    loadPyodide({indexURL: pyodide}),
    fetch("archspec.zip").then(reply => {
      if (!reply.ok) throw new Error(`archspec.zip: ${reply.status}`);
      return reply.arrayBuffer();
    }),
  ]);
  progress(70, "archspec");
  python.unpackArchive(packages, "zip", {extractDir: "/archspec"});
  python.runPython("import sys; sys.path.insert(0, '/archspec')");
  answer = python.pyimport("archspec.page.browser").answer_json;
  progress(90, "the first spec");
  answer(JSON.stringify({ask: "gallery"}));
  progress(100, "");
  postMessage({ready: true});
}

onmessage = async ({data}) => {
  if (data.pyodide) {
    try { await begin(data.pyodide); } catch (error) { postMessage({failed: `Python cannot be loaded: ${error.message}`}); }
    return;
  }
  let found;
  try { found = JSON.parse(answer(JSON.stringify(data.request))); }
  catch (error) { found = {error: `Python has stopped: ${error.message}. Reload the page; the text is kept.`}; }
  postMessage({number: data.number, answer: found});
};
