// Who answers the page: this machine's Python, or archspec in a worker.
export function fromServer(request) {
  return fetch("ask", {method: "POST", body: JSON.stringify(request)}).then(reply => reply.json());
}

export function fromWorker(pyodide, loading) {
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
  worker.postMessage({pyodide});
  return request => ready.then(() => new Promise(done => {
    open.set(++number, done);
    worker.postMessage({number, request});
  }));
}
