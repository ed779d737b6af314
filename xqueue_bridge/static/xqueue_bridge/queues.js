// Reloads the table of the queue page every few seconds while the page is visible.

const INTERVAL = 3000; // milliseconds
const MAX_INTERVAL = 60_000;

const table = document.querySelector("#queue-table");
const lost = document.querySelector("#connection-lost");
let interval = INTERVAL;

async function refresh() {
  if (document.hidden) return schedule();
  try {
    const response = await fetch(table.dataset.source);
    // After a logout the response is the login page, not the table.
    if (!response.ok || response.redirected) throw new Error(`status ${response.status}`);
    show(await response.text());
    interval = INTERVAL;
    lost.textContent = "";
  } catch {
    interval = Math.min(interval * 2, MAX_INTERVAL);
    lost.textContent = lost.dataset.text;
  }
  schedule();
}

function show(html) {
  const hadFocus = table.contains(document.activeElement);
  table.innerHTML = html;
  if (hadFocus) table.querySelector("[tabindex]")?.focus();
  showLocalTime();
}

function showLocalTime() {
  const time = table.querySelector("time");
  time.textContent = new Date(time.dateTime).toLocaleTimeString(document.documentElement.lang);
}

function schedule() {
  setTimeout(refresh, interval);
}

showLocalTime();
schedule();
