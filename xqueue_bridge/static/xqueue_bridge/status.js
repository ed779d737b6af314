// Keeps the status of a learner's answers up to date: <div data-xqueue-status="URL">.
//
// A page that sends an answer without a reload dispatches the event "xqueue-status-refresh" on the
// document afterwards. The element may be empty: its first status is then requested at once.

const SLOWEST = 60_000; // milliseconds between two requests
const SLOWER = 1.25; // times longer after each request without a change
const PATIENCE = 2 * 60 * 60 * 1000; // milliseconds until the script stops asking
const STREAM_PAUSE = 15_000; // milliseconds until a stream that was refused is tried again; doubles
const LONGEST_PAUSE = 10 * 60 * 1000;
const AFTER_EVENT = 3; // requests after an event for which a final status is no reason to stop

class Status {
  constructor(element) {
    this.element = element;
    this.answers = element.querySelector(".xqueue-answers") ?? element.appendChild(document.createElement("div"));
    this.live = element.querySelector(".xqueue-live") ?? this.addLive();
    this.timer = undefined;
    this.asking = false;
    this.isPushed = false; // the last status came by the stream, so nothing is scheduled
    this.nextStream = 0;
    this.streamPause = STREAM_PAUSE;
    this.announced = element.dataset.announcement;
    const seconds = element.dataset.refresh;
    if (seconds === undefined) this.start();
    else if (seconds) {
      this.start(seconds * 1000);
      this.listen();
    }
    document.addEventListener("xqueue-status-refresh", () => this.start(0, AFTER_EVENT));
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && this.timer !== undefined) this.schedule(0);
    });
  }

  addLive() {
    const live = document.createElement("p");
    live.className = "xqueue-live";
    live.setAttribute("role", "status");
    return this.element.appendChild(live);
  }

  start(milliseconds = 0, keepAsking = 0) {
    this.end = Date.now() + PATIENCE;
    this.factor = 1;
    this.keepAsking = keepAsking;
    this.schedule(milliseconds);
  }

  /** Let the gateway push the status. Where it cannot, and while it is gone, requests go on. */
  listen() {
    if (this.stream || !("xqueueEvents" in this.element.dataset) || Date.now() < this.nextStream) return;
    const stream = (this.stream = new EventSource(this.element.dataset.xqueueStatus));
    stream.onmessage = (event) => {
      clearTimeout(this.timer);
      this.isPushed = true;
      this.streamPause = STREAM_PAUSE;
      if (this.show(JSON.parse(event.data)) !== null) {
        this.keepAsking = 0;
        return;
      }
      stream.close();
      this.stream = undefined;
      this.isPushed = false;
      if (this.keepAsking-- > 0) this.schedule(1000);
      else this.stop();
    };
    stream.onerror = () => {
      // A browser opens a stream that has ended again, but not one that was refused, as by a proxy whose
      // gateway is gone.
      if (stream.readyState === EventSource.CLOSED) {
        this.stream = undefined;
        this.nextStream = Date.now() + this.streamPause;
        this.streamPause = Math.min(this.streamPause * 2, LONGEST_PAUSE);
      }
      // Only after a status, because the browser's attempts would postpone the request again and again.
      if (this.isPushed) {
        this.isPushed = false;
        this.schedule(5000);
      }
    };
  }

  schedule(milliseconds) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.refresh(), milliseconds);
  }

  stop(text) {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (text) this.say(text, true);
  }

  async refresh() {
    if (Date.now() > this.end) return this.stop(this.live.dataset.ended);
    // A hidden tab requests nothing; visibilitychange goes on.
    if (document.hidden || this.asking) return;
    this.asking = true;
    let seconds;
    try {
      const response = await fetch(this.element.dataset.xqueueStatus, { headers: { Accept: "application/json" } });
      // Logged out, or not this learner's any more: asking again does not help.
      if ([401, 403, 404].includes(response.status) || response.redirected) return this.stop(this.live.dataset.ended);
      if (!response.ok) throw new Error(`status ${response.status}`);
      seconds = this.show(await response.json());
    } catch {
      this.say(this.live.dataset.lost ?? "", true);
      seconds = 5;
      this.factor *= 2;
    } finally {
      this.asking = false;
    }
    if (seconds !== null) this.keepAsking = 0; // the new answer is there
    else if (this.keepAsking-- > 0) seconds = 1;
    else return this.stop();
    this.listen();
    this.schedule(Math.min(seconds * 1000 * this.factor, SLOWEST));
  }

  /** Show a status and return the seconds until the next one, null if it is final. */
  show(status) {
    if (this.live.classList.contains("xqueue-visible")) this.say("", false);
    if (this.html !== status.html) {
      this.html = status.html;
      this.answers.innerHTML = status.html;
      this.factor = 1;
    } else {
      this.factor *= SLOWER;
    }
    if (this.announced !== status.announcement) {
      if (this.announced !== undefined) this.say(status.announcement, false);
      this.announced = status.announcement;
      this.element.dispatchEvent(new CustomEvent("xqueue-status-change", { bubbles: true, detail: status }));
    }
    return status.refresh_seconds;
  }

  /** Let a screen reader say a text; sighted learners see it only if it is not on the page yet. */
  say(text, isVisible) {
    this.live.classList.toggle("xqueue-visible", isVisible);
    if (this.live.textContent !== text) this.live.textContent = text;
  }
}

for (const element of document.querySelectorAll("[data-xqueue-status]")) new Status(element);
