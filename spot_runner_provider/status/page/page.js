"use strict";

const AIRFLOW = new URL("../", document.baseURI);
const SECONDS_BETWEEN = { running: 5, queued: 5 };
const SECONDS_OTHERWISE = 30;
const SECONDS_AT_MOST = 20;

const OUTCOMES = {
  corrected_ready: "Corrected to ready",
  corrected_failed: "Corrected to failed",
  still_building: "Still building",
  stuck: "Build stuck",
  superseded: "Newer state kept",
  finished: "Earlier repair finished",
  pipeline_not_found: "No such pipeline",
  pipeline_ambiguous: "Several pipelines",
  no_images: "Pipeline has no images",
  no_usable_ami: "No usable AMI",
  config_invalid: "Parameter invalid",
  refused: "Refused by AWS",
  drifted: "Parameter drifted",
  error: "Error",
};

const PROBLEMS = {
  401: "Your session has ended. Log in to Airflow again, then reload this page.",
  403: "You may not see this DAG. Ask your Airflow administrator for permission to read its runs and XCom.",
};

const RUN_ICONS = { success: "success", failed: "cross", running: "running", queued: "queued" };

/* The theme follows Airflow's own switch, which is stored in the local storage of this origin. */

function followTheme() {
  const theme = localStorage.getItem("theme");
  document.documentElement.dataset.theme = ["light", "dark"].includes(theme) ? theme : "system";
}

followTheme();
addEventListener("storage", followTheme);

/* Elements. Values from outside become text or an attribute, never markup. */

function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

function badge(status) {
  return el("span", { class: `badge ${status}` }, icon(status), status);
}

function time(text) {
  const moment = new Date(text);
  return el("time", { datetime: text, title: moment.toLocaleString() }, ago(moment));
}

/* The same format as in the message above the table, which comes from the server. */
function clock(text) {
  return `${new Date(text).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

function ago(moment) {
  const seconds = (Date.now() - moment) / 1000;
  if (Math.abs(seconds) < 45) return "just now";
  const [size, unit] = [[86400, "day"], [3600, "hour"], [60, "minute"]].find(([size]) => Math.abs(seconds) >= size) ?? [60, "minute"];
  return new Intl.RelativeTimeFormat("en", { numeric: "always" }).format(-Math.round(seconds / size), unit);
}

function airflowLink(path, ...children) {
  return el("a", { href: new URL(path, AIRFLOW) }, ...children);
}

function byId(id) {
  return document.getElementById(id);
}

/* Change an element only if its content has changed, so that nothing flickers or loses the focus. */

const shown = new WeakMap();

function show(element, value, ...children) {
  const key = JSON.stringify(value);
  if (shown.get(element) === key) return;
  shown.set(element, key);
  element.replaceChildren(...children.map((child) => (typeof child === "function" ? child() : child)).flat());
}

/* What the endpoint said. */

let current = null;

function render(status) {
  current = status;
  show(byId("overall"), status.status, () => badge(status.status));
  show(byId("message"), status.message, status.message);
  renderDeployments(status);
  renderNotice(status);
  renderSource(status);
  renderHistory(status.runs);
  renderPresets(status.presets);
  renderMalformed(status.malformed, status.malformedCounts);
  applyFilter();
}

function renderDeployments({ dagId, dagIds }) {
  const label = byId("deployment");
  label.hidden = dagIds.length < 2;
  const select = label.querySelector("select");
  show(select, dagIds, () => dagIds.map((id) => el("option", { value: id }, id)));
  select.value = dagId;
}

const HEADLINES = {
  running: ["running", "A run is under way"],
  stale: ["degraded", "No run for longer than the schedule"],
  queued: ["queued", "A run waits to begin"],
  failed: ["cross", "The last run failed"],
  empty: ["queued", "No run yet"],
};

/* Only the headline is announced, because the text after it says how long ago, which changes all the time. */
function renderNotice(status) {
  const { state, dagId, paused, due, runs: [last] } = status;
  const notice = byId("notice");
  notice.className = `notice ${state}`;
  notice.hidden = state === "current";
  const [image, headline] = dagId ? HEADLINES[state] ?? [] : ["queued", "No deployment yet"];
  show(notice.querySelector("b"), headline, () => (headline ? [icon(image), headline] : []));
  show(notice.querySelector("span"), { state, dagId, paused, due, last, late: isPast(due) }, () => describe(status));
}

function describe({ state, dagId, paused, due, presets, runs: [last] }) {
  const dag = dagId && airflowLink(`dags/${encodeURIComponent(dagId)}`, "Open the DAG");
  const run = last && airflowLink(last.path, "Open the run");
  const older = presets.length ? " What is shown is from an earlier run." : "";
  switch (state) {
    case "running":
      return [", begun ", time(last.beganAt), ...(isPast(due) ? [". It takes long: the next was due ", time(due)] : []), `.${older} `, run];
    case "stale":
      return [
        last.endedAt ? ". The last one began " : ". One waits, queued ", time(last.beganAt), ", the next was due ", time(due),
        paused ? ". The DAG is paused. " : ". Is the scheduler running? ", dag,
      ];
    case "queued":
      return [", queued ", time(last.beganAt), paused ? `. The DAG is paused: unpause it, and the run begins.${older} ` : `.${older} `, dag];
    case "failed":
      return [" ", time(last.endedAt), ". ", run];
    case "empty":
      if (!dagId) return [". A DAG is found by its tag ", el("code", {}, "spot-runner"), "."];
      return [paused ? ". The DAG is paused: unpause it. " : ". Wait for the schedule, or trigger one. ", dag];
    default:
      return [];
  }
}

function isPast(moment) {
  return Boolean(moment) && new Date(moment) < Date.now();
}

function renderSource({ reportedBy, checkedAt, runs }) {
  const run = runs.find(({ runId }) => runId === reportedBy);
  show(byId("source"), [reportedBy, checkedAt, Boolean(run)], () =>
    run ? ["The table was read ", time(checkedAt), ` (${clock(checkedAt)}) by the run `, airflowLink(run.path, reportedBy), "."] : []);
}

function renderHistory(runs) {
  const section = byId("history");
  section.hidden = runs.length === 0;
  show(section.querySelector("ol"), runs, () => runs.toReversed().map((run) => {
    const took = run.endedAt ? `, took ${Math.round((new Date(run.endedAt) - new Date(run.beganAt)) / 1000)} s` : "";
    const words = `${run.state}, began ${new Date(run.beganAt).toLocaleString()}${took}`;
    const link = airflowLink(run.path, icon(RUN_ICONS[run.state] ?? "queued"));
    link.className = `run ${run.state}`;
    link.title = `${run.runId}: ${words}`;
    link.setAttribute("aria-label", `Run ${words}`);
    return el("li", {}, link);
  }));
}

/* Column -> what its cell depends on, and how it is drawn. */
const CELLS = {
  name: [({ name }) => name, ({ name }) => [el("span", { class: "name" }, name)]],
  status: [({ status }) => status, ({ status }) => [badge(status)]],
  ami: [({ name, amiId }) => [name, amiId], ({ name, amiId }) => [amiId ? copyButton(name, amiId) : el("span", { class: "quiet" }, "none")]],
  since: [({ updatedAt }) => updatedAt, drawSince],
  outcome: [({ outcome, detail, dryRun, needsAttention }) => [outcome, detail, dryRun, needsAttention], drawOutcome],
  links: [({ name, logPath, console }) => [name, logPath, console], drawLinks],
};

const rows = new Map();

function renderPresets(presets) {
  const body = byId("presets").querySelector("tbody");
  byId("presets").hidden = byId("filter").hidden = presets.length === 0;
  const names = new Set(presets.map(({ name }) => name));
  for (const [name, row] of rows) {
    if (names.has(name)) continue;
    row.remove();
    rows.delete(name);
  }
  presets.forEach((preset, position) => {
    let row = rows.get(preset.name);
    if (!row) {
      row = el("tr", {}, ...Object.keys(CELLS).map((column) => el(column === "name" ? "th" : "td", { class: `column-${column}`, ...(column === "name" && { scope: "row" }) })));
      rows.set(preset.name, row);
    }
    Object.values(CELLS).forEach(([depends, draw], index) => show(row.cells[index], depends(preset), () => draw(preset)));
    if (body.rows[position] !== row) body.insertBefore(row, body.rows[position] ?? null);
  });
}

/* A record may have a timestamp that browsers cannot parse. */
function drawSince({ updatedAt }) {
  if (Number.isNaN(Date.parse(updatedAt))) return [updatedAt];
  return [time(updatedAt), " ", el("span", { class: "exact" }, clock(updatedAt))];
}

function drawOutcome({ outcome, detail, dryRun, needsAttention }) {
  const words = outcome ? OUTCOMES[outcome] ?? outcome.replaceAll("_", " ") : "Not stale, left alone";
  const parts = [...(needsAttention ? [icon("degraded")] : []), dryRun ? `Dry run: ${words}` : words];
  const head = el("span", { class: outcome ? "outcome" : "quiet" }, ...parts);
  return detail ? [head, el("span", { class: "detail" }, detail)] : [head];
}

function drawLinks({ name, logPath, console }) {
  const links = logPath ? [airflowLink(logPath, "log")] : [];
  links[0]?.setAttribute("aria-label", `log of ${name}`);
  for (const [what, address] of Object.entries(console)) {
    const attributes = { href: address, target: "_blank", rel: "noreferrer", "aria-label": `${what} of ${name} in the AWS console` };
    links.push(el("a", attributes, what));
  }
  return [el("span", { class: "links" }, ...links)];
}

function copyButton(name, amiId) {
  const button = el("button", { type: "button", class: "copy", title: "Copy", "aria-label": `Copy ${amiId} of ${name}` }, amiId, icon("copy"));
  button.addEventListener("click", () => copy(button, amiId));
  return button;
}

async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    copyBySelection(text);
  }
  button.classList.add("copied");
  say(`Copied ${text}`);
  setTimeout(() => button.classList.remove("copied"), 2000);
}

/* Without TLS, browsers give pages no clipboard; with TLS, a policy may forbid it. */
function copyBySelection(text) {
  const focused = document.activeElement;
  const area = document.body.appendChild(el("textarea", { class: "unseen" }, text));
  area.select();
  document.execCommand("copy");
  area.remove();
  focused?.focus();
}

function renderMalformed(malformed, counts) {
  const section = byId("malformed");
  section.hidden = byId("to-malformed").hidden = malformed.length === 0;
  const total = Object.values(counts).reduce((sum, number) => sum + number, 0);
  const reasons = Object.entries(counts).map(([reason, number]) => `${number} × ${reason}`);
  byId("unlisted").hidden = total === malformed.length;
  byId("unlisted").textContent = `The first ${malformed.length} of ${total} are listed. By reason: ${reasons.join("; ")}`;
  show(section.querySelector("ul"), malformed, () => malformed.map(({ jobId, presetName, reason }) =>
    el("li", {}, el("code", {}, jobId ?? presetName ?? "no key"), " ", reason)));
}

/* The filter. */

function applyFilter() {
  const form = byId("filter");
  const { status, name } = Object.fromEntries(new FormData(form));
  const wanted = name.trim().toLowerCase();
  const matches = (preset, value) => !value || (value === "attention" ? preset.needsAttention : preset.status === value);
  let count = 0;
  for (const preset of current.presets) {
    const visible = matches(preset, status) && preset.name.toLowerCase().includes(wanted);
    rows.get(preset.name).hidden = !visible;
    count += visible;
  }
  for (const input of form.elements.status) {
    input.nextElementSibling.querySelector("b").textContent = current.presets.filter((preset) => matches(preset, input.value)).length;
  }
  say(`${count} of ${current.presets.length} presets`);
}

function say(text) {
  const output = byId("filter").querySelector("output");
  if (output.textContent !== text) output.textContent = text;
}

/* The filter and the deployment are part of the address, so that a reload keeps them. Inside Airflow, the frame is
   loaded from a fixed address, so the tab's session storage keeps them there. */

const KEPT = "spot-runner-presets";

function recall() {
  const kept = sessionStorage.getItem(KEPT);
  if (parent !== window && kept !== null) history.replaceState(history.state, "", location.pathname + kept);
}

function remember(values) {
  const address = new URL(location);
  for (const [name, value] of Object.entries(values)) {
    if (value) address.searchParams.set(name, value);
    else address.searchParams.delete(name);
  }
  history.replaceState(history.state, "", address);
  sessionStorage.setItem(KEPT, address.search);
}

/* Fetch again and again, even after errors: more often while a run is in progress, not while the page is hidden. */

let timer = null;
let fetching = new AbortController();

async function refresh(news = "") {
  clearTimeout(timer);
  fetching.abort();
  const { signal } = (fetching = new AbortController());
  let response = null;
  try {
    const dag = new URLSearchParams(location.search).get("dag_id");
    const limited = AbortSignal.any([signal, AbortSignal.timeout(1000 * SECONDS_AT_MOST)]);
    response = await fetch(dag ? `status?dag_id=${encodeURIComponent(dag)}` : "status", { signal: limited });
    if (dag && [403, 404].includes(response.status)) {
      remember({ dag_id: "" });
      return await refresh(`There is no deployment ${dag} that you may see. Another one is shown instead.`);
    }
    if (response.ok) render(await response.json());
    report(response.ok ? news : PROBLEMS[response.status] ?? `Airflow answered ${response.status}; trying again.`);
  } catch (error) {
    if (!signal.aborted) report(explain(error, response));
  } finally {
    if (!signal.aborted) {
      tick();
      if (!document.hidden) timer = setTimeout(refresh, 1000 * (SECONDS_BETWEEN[current?.state] ?? SECONDS_OTHERWISE));
    }
  }
}

function explain(error, response) {
  if (error.name === "TimeoutError") return `Airflow has not answered within ${SECONDS_AT_MOST} seconds; trying again.`;
  if (!response) return "Airflow does not answer; trying again.";
  if (error instanceof SyntaxError) return "Something else answered in place of Airflow, perhaps a page to log in: reload this page. Trying again.";
  return `This page cannot show what Airflow answered (${error.message}); trying again.`;
}

function tick() {
  for (const element of document.querySelectorAll("time")) {
    const text = ago(new Date(element.dateTime));
    if (element.textContent !== text) element.textContent = text;
  }
}

function report(problem) {
  byId("problem").hidden = !problem;
  show(byId("problem"), problem, () => [icon("degraded"), problem]);
  byId("summary").hidden = current ? current.state === "empty" : Boolean(problem);
}

/* Airflow shows the page in a frame that may not open windows or navigate; the document around it may. */

function follow(event) {
  const link = event.target.closest?.("a[href]");
  if (!link || parent === window || link.getAttribute("href").startsWith("#")) return;
  event.preventDefault();
  const outside = parent.document.createElement("a");
  outside.href = link.href;
  outside.rel = "noreferrer";
  outside.target = link.target || (event.ctrlKey || event.metaKey || event.shiftKey ? "_blank" : "_self");
  outside.click();
}

addEventListener("DOMContentLoaded", () => {
  recall();
  const form = byId("filter");
  const params = new URLSearchParams(location.search);
  form.elements.status.value = params.get("status") ?? "";
  form.elements.name.value = params.get("name") ?? "";
  form.addEventListener("input", () => {
    remember(Object.fromEntries(new FormData(form)));
    applyFilter();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  byId("deployment").addEventListener("change", (event) => {
    remember({ dag_id: event.target.value });
    refresh();
  });
  document.addEventListener("click", follow);
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));
  refresh();
});
