// Starts `archspec lsp` once a spec is open, and lets it speak for all YAML files; it leaves those alone that are no specs.
const vscode = require("vscode");
const {LanguageClient, TransportKind} = require("vscode-languageclient/node");

let client = null;

const isSpec = document => document.languageId === "yaml" && /^archspec\s*:/m.test(document.getText());

async function start() {
  if (client) return;
  const [command, ...args] = vscode.workspace.getConfiguration("archspec").get("command");
  const server = {command, args, transport: TransportKind.stdio};
  const documents = ["file", "untitled"].map(scheme => ({scheme, language: "yaml"}));
  client = new LanguageClient("archspec", "archspec", server, {documentSelector: documents});
  try {
    await client.start();
  } catch (error) {
    const words = `\`${[command, ...args].join(" ")}\` cannot be started: ${error.message}. ` +
      "Run pip install 'archspec-nets[lsp]', or set archspec.command to where it is.";
    if (await vscode.window.showErrorMessage(words, "Open settings"))
      vscode.commands.executeCommand("workbench.action.openSettings", "archspec.command");
  }
}

async function stop() {
  const running = client;
  client = null;
  if (running?.isRunning()) await running.stop();
}

async function restart() {
  await stop();
  await start();
}

exports.activate = context => {
  const look = document => { if (isSpec(document)) start(); };
  context.subscriptions.push(
    vscode.workspace.onDidOpenTextDocument(look),
    vscode.workspace.onDidChangeTextDocument(event => look(event.document)),
    vscode.workspace.onDidChangeConfiguration(event => {
      if (client && event.affectsConfiguration("archspec.command")) restart();
    }),
    vscode.commands.registerCommand("archspec.restart", restart),
  );
  vscode.workspace.textDocuments.forEach(look);
};

exports.deactivate = stop;
