// Keeps the operator's figures fresh while somebody looks at them.

const PAUSE = 3000; // milliseconds
const SLOWEST = 60_000;

const figures = document.querySelector("#figures");
const lost = document.querySelector("#lost");
let pause = PAUSE;

async function refresh() {
  if (document.hidden) return wait();
  try {
    const response = await fetch(figures.dataset.source);
    // Signed out meanwhile: the answer is a login page, not figures.
    if (!response.ok || response.redirected) throw new Error(`status ${response.status}`);
    show(await response.text());
    pause = PAUSE;
    lost.textContent = "";
  } catch {
    pause = Math.min(pause * 2, SLOWEST);
    lost.textContent = "These figures are old: the site does not answer. Trying again…";
  }
  wait();
}

function show(html) {
  const hadFocus = figures.contains(document.activeElement);
  figures.innerHTML = html;
  if (hadFocus) figures.querySelector("[tabindex]")?.focus();
  showLocalTime();
}

function showLocalTime() {
  const time = figures.querySelector("time");
  time.textContent = new Date(time.dateTime).toLocaleTimeString();
}

function wait() {
  setTimeout(refresh, pause);
}

showLocalTime();
wait();
