// One pane: a client with its transport, and the display of both.

import { CostChart } from "./cost-chart.js";
import { DelayChart } from "./delay-chart.js";
import { Feed } from "./feed.js";
import { Log } from "./log.js";
import { $, duration, whole } from "./page.js";
import { announce, voiceMessage } from "./voice.js";

const STATES = {
  connecting: "Connecting…",
  live: "Live",
  paused: "Paused",
  lost: "Connection lost, trying again…",
};

// A notice disappears after this many live messages; the mark in the log remains.
const NOTICE_MESSAGES = 10;

export class Pane {
  name;
  costs;
  #part;
  #section;
  #transport;
  #delays;
  #log;
  #feed;
  #wasLost = false;
  #heardSinceNotice = 0;

  /** Fills a section of the page; `connect` creates the transport of its feed. */
  constructor(section, connect) {
    section.append($("pane").content.cloneNode(true));
    this.#section = section;
    this.#part = (name) => section.querySelector(`.${name}`);
    this.name = section.querySelector("h2").textContent;
    this.#delays = new DelayChart(this.#part("delays"));
    this.costs = new CostChart(this.#part("costs"));
    this.#log = new Log(this.#part("log"));
    this.#feed = new Feed({
      onState: (state) => this.#showState(state),
      onMessage: (message, how) => this.#add(message, how),
      onGap: () => this.#sayGap("Some messages are gone."),
      onAnew: () => this.#sayGap("The server has restarted; some messages may be gone."),
      onSpent: (heads, payload) => this.costs.add(heads, payload),
    });
    section.dataset.client = this.#feed.client;
    this.#part("log").setAttribute("aria-label", `Messages by ${this.name}`);
    this.#part("pause-name").textContent = this.name;
    this.#part("pause").onclick = () => this.#toggle();
    this.#showState(this.#feed.state);
    this.#transport = connect(this.#feed);
    this.#transport.open();
  }

  /** Retries without waiting. */
  hurry() {
    if (this.#feed.state !== "paused") this.#transport.hurry();
  }

  /** Closes the connection when the page is left, unless a pause has closed it. */
  leave() {
    if (this.#feed.state !== "paused") this.#transport.close();
  }

  /** Reconnects when the page is shown again. */
  comeBack() {
    if (this.#feed.state !== "paused") this.#resume();
  }

  /** Returns the current numbers. */
  numbers() {
    const { requests, messages, payload, heads } = this.#feed.tally;
    const cost = messages === 0 ? null : Math.round((payload + heads) / messages);
    return { latency: this.#delays.median, cost, requests, messages, payload, heads };
  }

  draw(topCost) {
    const { latency, cost, requests, messages, payload, heads } = this.numbers();
    this.#show("latency", latency, duration);
    this.#show("cost", cost, whole);
    this.#show("requests", requests, whole);
    this.#show("messages", messages, whole);
    this.#show("payload", payload, (bytes) => `${whole(bytes)} B`);
    this.#show("heads", heads, (bytes) => `${whole(bytes)} B`);
    this.#delays.draw();
    this.costs.draw(topCost);
  }

  #show(name, value, words) {
    this.#part(name).dataset.value = value ?? "";
    this.#part(name).textContent = value === null ? "–" : words(value);
  }

  #toggle() {
    if (this.#feed.state === "paused") {
      this.#resume();
    } else {
      this.#transport.close();
      this.#feed.paused();
    }
  }

  #resume() {
    this.#feed.resumed();
    this.#transport.open();
  }

  #showState(state) {
    this.#section.dataset.state = state === "connecting" ? "lost" : state;
    this.#part("state-text").textContent = STATES[state];
    this.#part("pause-text").textContent = state === "paused" ? "Resume" : "Pause";
    if (state === "live") this.#part("gap").hidden = true;
    if (state === "live" && this.#wasLost) announce(this.name, "live again");
    if (state === "lost") announce(this.name, "connection lost");
    this.#wasLost = state === "lost";
  }

  #add(message, { delay, isLate, isAfterGap, missing }) {
    if (delay !== null) this.#delays.add(delay, isLate);
    if (missing !== null) this.#part("gap").textContent = `Some messages are gone: ${whole(missing)} of them.`;
    this.#log.add(message, { delay, isAfterGap });
    if (isLate) return;
    voiceMessage(message);
    if (++this.#heardSinceNotice === NOTICE_MESSAGES) this.#part("gap").hidden = true;
  }

  #sayGap(words) {
    this.#part("gap").textContent = words;
    this.#part("gap").hidden = false;
    this.#heardSinceNotice = 0;
    announce(this.name, "some messages are gone");
  }
}
