// A problem's page: the editor, submitting without leaving, and news while a grade is due.

import { replaceTextarea } from "./editor.js";

const SOON = 700; // milliseconds between two questions while a grade is due
const PATIENCE = 30 * 60 * 1000; // then the learner has to reload
const SLOWEST = 10_000;
const SOMEBODY_ELSE = "You are somebody else by now, in another tab. Copy your answer and reload the page.";

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
    if (isSomebodyElse(response)) return refuse(SOMEBODY_ELSE);
    if (!response.ok) throw new Error(`status ${response.status}`);
    const outcome = await response.json();
    if (!outcome.ok) refuse(outcome.message);
    document.querySelector("#position").scrollIntoView({ block: "nearest" });
    watch();
  } catch {
    refuse("Your answer could not be sent. It is still here: please try again.");
  } finally {
    sending = false;
    button.removeAttribute("aria-busy");
  }
}

/** Whether this page is of a learner who has left meanwhile, in another tab. */
function isSomebodyElse(response) {
  return response.redirected || response.status === 403;
}

/** What is wrong with the chosen files, or nothing. The problem says which it wants. */
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

/** Ask once; show what is new. Says whether more is to come. */
async function ask() {
  const response = await fetch(`${form.dataset.status}?seen=${seen}`);
  if (!response.ok) throw new Error(`status ${response.status}`);
  const news = await response.json();
  if (news.seen !== seen) {
    seen = news.seen;
    document.querySelector("#position").innerHTML = news.position;
    showAttempts(news.attempts);
    showMarks(news.problem);
  }
  return news.busy;
}

/** The newest list of attempts, with those open that were open. */
function showAttempts(html) {
  const list = document.querySelector("#attempts");
  const newestFirst = [...list.children].reverse().map((item) => item.firstElementChild.open);
  list.innerHTML = html;
  [...list.children].reverse().forEach((item, n) => (item.firstElementChild.open = newestFirst[n] ?? false));
  showLocalTimes();
}

/** Times as the reader's own clock shows them; without scripts they are UTC. */
function showLocalTimes() {
  for (const time of document.querySelectorAll("#attempts time")) {
    time.textContent = new Date(time.dateTime).toLocaleTimeString([], { timeStyle: "short" });
  }
}

/** Marks and feedback as the problem itself renders them; the learner's text stays as it is. */
function showMarks(html) {
  const fresh = document.createElement("template");
  fresh.innerHTML = html;
  for (const mark of fresh.content.querySelectorAll("[id^=status_]")) {
    document.getElementById(mark.id).replaceWith(mark);
  }
  const feedback = ".external-grader-message, .filesubmission > .message";
  const places = form.querySelectorAll(feedback);
  fresh.content.querySelectorAll(feedback).forEach((message, n) => places[n].replaceWith(message));
}

showEditors();
showLocalTimes();
form.addEventListener("submit", submit);
if (form.dataset.busy === "yes") watch();
