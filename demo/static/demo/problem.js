// A problem's page: the editor, submitting without a reload, and polling while a grade is missing.

import { replaceTextarea } from "./editor.js";

const SOON = 700; // milliseconds between two requests while a grade is missing
const PATIENCE = 30 * 60 * 1000; // milliseconds until polling ends
const SLOWEST = 10_000;
const USER_CHANGED = "Another tab has logged in another user. Copy your answer and reload the page.";

const form = document.querySelector("#answer");
const button = form.querySelector("button[type=submit]");
const refused = document.querySelector("#refused");
const unreachable = document.querySelector("#unreachable");

let seen = form.dataset.seen;
let asking = false;
let sending = false;

function showEditors() {
  for (const textarea of form.querySelectorAll("textarea")) {
    const label = textarea.parentElement.querySelector("label");
    const leaving = textarea.parentElement.querySelector(".cm-editor-exit-message");
    label.id = `label-${textarea.id}`;
    const view = replaceTextarea(textarea, {
      labelledBy: label.id,
      describedBy: leaving.id,
      onSubmit: () => form.requestSubmit(),
    });
    label.addEventListener("click", () => view.focus());
    form.querySelector(".keys").hidden = false;
  }
}

async function submit(event) {
  event.preventDefault();
  if (sending) return;
  const missing = wrongFiles();
  if (missing) return refuse(missing);
  sending = true;
  button.setAttribute("aria-busy", "true");
  refused.hidden = true;
  try {
    const response = await fetch(location.href, {
      method: "POST",
      body: new FormData(form),
      headers: { Accept: "application/json" },
    });
    if (hasUserChanged(response)) return refuse(USER_CHANGED);
    if (!response.ok) throw new Error(`status ${response.status}`);
    const outcome = await response.json();
    if (!outcome.ok) refuse(outcome.message);
    document.querySelector("#position").scrollIntoView({ block: "nearest" });
    document.dispatchEvent(new Event("xqueue-status-refresh"));
    watch();
  } catch {
    refuse("Your answer could not be sent. It is still here: please try again.");
  } finally {
    sending = false;
    button.removeAttribute("aria-busy");
  }
}

/** Whether another tab has logged this page's learner out. */
function hasUserChanged(response) {
  return response.redirected || response.status === 403;
}

/** Return a message about the chosen files, or "". The problem names the files that it needs. */
function wrongFiles() {
  const input = form.querySelector("input[type=file]");
  if (!input) return "";
  const chosen = [...input.files].map((file) => file.name);
  const required = JSON.parse(input.dataset.required_files);
  const allowed = JSON.parse(input.dataset.allowed_files);
  const missing = required.filter((name) => !chosen.includes(name));
  if (missing.length) return `Please choose ${missing.join(", ")} first.`;
  const unasked = allowed.length ? chosen.filter((name) => !allowed.includes(name)) : [];
  return unasked.length ? `Only ${allowed.join(", ")} can be handed in.` : "";
}

function refuse(message) {
  refused.textContent = message;
  refused.hidden = false;
}

async function watch() {
  if (asking) return;
  asking = true;
  const end = Date.now() + PATIENCE;
  let pause = SOON;
  for (let busy = true; busy && Date.now() < end; ) {
    try {
      busy = await ask();
      pause = SOON;
      unreachable.hidden = true;
    } catch {
      pause = Math.min(pause * 2, SLOWEST);
      unreachable.textContent = "The course cannot be reached. Trying again…";
      unreachable.hidden = false;
    }
    if (busy) await new Promise((wake) => setTimeout(wake, pause));
  }
  asking = false;
}

/** Request the status once and show the changes. Return whether to poll again. */
async function ask() {
  const response = await fetch(`${form.dataset.status}?seen=${seen}`);
  if (!response.ok) throw new Error(`status ${response.status}`);
  const update = await response.json();
  if (update.seen !== seen) {
    seen = update.seen;
    document.querySelector("#position").innerHTML = update.position;
    showAttempts(update.attempts);
    showMarks(update.problem);
  }
  return update.busy;
}

/** Show the new list of attempts, and keep opened ones open. */
function showAttempts(html) {
  const list = document.querySelector("#attempts");
  const newestFirst = [...list.children].reverse().map((item) => item.firstElementChild.open);
  list.innerHTML = html;
  [...list.children].reverse().forEach((item, n) => (item.firstElementChild.open = newestFirst[n] ?? false));
  showLocalTimes();
}

/** Show times in the browser's time zone; without JavaScript they are UTC. */
function showLocalTimes() {
  for (const time of document.querySelectorAll("#attempts time")) {
    time.textContent = new Date(time.dateTime).toLocaleTimeString([], { timeStyle: "short" });
  }
}

/** Replace marks and feedback by the rendered ones; keep the learner's text. */
function showMarks(html) {
  const fresh = document.createElement("template");
  fresh.innerHTML = html;
  for (const mark of fresh.content.querySelectorAll("[id^=status_]")) {
    document.getElementById(mark.id).replaceWith(mark);
  }
  const feedback = ".external-grader-message, .filesubmission > .message";
  const targets = form.querySelectorAll(feedback);
  fresh.content.querySelectorAll(feedback).forEach((message, n) => targets[n].replaceWith(message));
}

showEditors();
showLocalTimes();
form.addEventListener("submit", submit);
if (form.dataset.busy === "yes") watch();
