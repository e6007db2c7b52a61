// Small pieces of the page.

export const $ = (id) => document.getElementById(id);

// An element with properties, data attributes and children; text is never taken as markup.
export function el(tag, properties = {}, ...children) {
  const { data = {}, ...rest } = properties;
  const made = Object.assign(document.createElement(tag), rest);
  Object.assign(made.dataset, data);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// Show text in an element, or hide it when there is none.
export function say(element, text) {
  element.textContent = text ?? "";
  element.hidden = !text;
}

// Text with `code` in it.
export const prose = (text) => el("span", {}, ...text.split("`").map((part, i) => (i % 2 ? el("code", {}, part) : part)));

// Words of the API, which begin small and end without a stop, as a sentence.
export const sentence = (words) => words[0].toUpperCase() + words.slice(1) + (/[.!?]$/.test(words) ? "" : ".");

const WORDS = {
  stopped: "Stopped",
  starting: "Starting",
  pairing: "Waiting for a phone",
  pairing_timed_out: "Pairing timed out",
  connected: "Connected",
  reconnecting: "Reconnecting",
  logged_out: "Logged out",
  blocked: "Blocked",
};

// Who or what blocks a bot, by the code of its state.
const BLOCKED = {
  banned: "Banned by WhatsApp",
  locked: "Blocked by WhatsApp",
  refused: "Blocked by WhatsApp",
  outdated: "Blocked: update needed",
  replaced: "Session used elsewhere",
  silent: "WhatsApp does not answer",
  passkey: "Passkey needed",
  "codes-differ": "Somebody in between",
  importing: "Import not finished",
  "row-damaged": "Row in the database damaged",
  "auth-damaged": "Auth state damaged",
  "auth-missing": "Auth state missing",
  "auth-foreign": "Auth state of another bot",
};

const TONE = {
  connected: "good",
  starting: "busy",
  pairing: "busy",
  reconnecting: "busy",
  pairing_timed_out: "bad",
  logged_out: "bad",
  blocked: "bad",
};

// What a pairing waits for, where it is no scan.
const STEPS = {
  passkey: "Passkey needed",
  phone: "Accept on the phone",
  compare: "Compare the codes",
};

export const stateWords = (bot) =>
  (bot.state === "pairing" && STEPS[bot.pairing?.step]) || (bot.state === "blocked" && BLOCKED[bot.code]) || (WORDS[bot.state] ?? bot.state);

// A connected bot with something the matter is not shown as a good one, and nothing is while the daemon does not answer.
export function badge(bot, isLive = true) {
  const ill = bot.state === "connected" && bot.code;
  const words = ill ? "Connected, but not well" : stateWords(bot);
  if (!isLive) return el("span", { className: "badge still", title: "Last known state" }, `Last known: ${words}`);
  return el("span", { className: `badge ${ill ? "bad" : TONE[bot.state] ?? "still"}` }, words);
}

// What is the matter with a bot that looks connected, for the alert on the page.
export function alarm(bot) {
  if (bot.state === "connected" && bot.code) return `Not well: ${bot.reason}`;
  const limit = bot.state === "connected" ? bot.restriction : null;
  return limit ? limit.reason + (limit.until ? `; next try at ${clock(limit.until)}` : "") : null;
}

const MESSAGE_WORDS = {
  queued: "waiting to be sent",
  sending: "sending",
  sent: "sent ✓",
  delivered: "delivered ✓✓",
  read: "read ✓✓",
  played: "played ✓✓",
  failed: "not sent",
  expired: "too late to be sent",
  cancelled: "cancelled",
  unknown: "not known whether it was sent",
};

export const messageWords = (message) =>
  (MESSAGE_WORDS[message.state] ?? message.state) + (message.reason ? `: ${message.reason}` : "");

// What runs, and which version of WhatsApp Web its bots say they are.
export function versionWords({ version, whatsapp_version: { announced, newest, engine_built, problem } }) {
  const words = [`zapwire ${version}`, announced && `WhatsApp Web ${announced}`];
  if (newest && newest !== announced) words.push(`newest known ${newest}`);
  return [...words, engine_built && `engine of ${engine_built}`, problem].filter(Boolean).join(", ");
}

export const clock = (iso) => new Date(iso).toLocaleTimeString([], { hour12: false });

// How a person or group is called in short.
export const partyName = (party) => party?.phone ?? party?.jid?.replace(/@.*/, "") ?? "?";

// What an event says, in a few words.
export function gist(event) {
  const data = event.data;
  switch (event.type) {
    case "bot.state":
      return stateWords(data) + (data.reason && data.reason !== stateWords(data).toLowerCase() ? `: ${data.reason}` : "");
    case "bot.created":
      return `created: ${data.name}`;
    case "bot.deleted":
      return `deleted: ${data.name}`;
    case "bot.unhealthy":
      return `not answered: ${data.reason}`;
    case "bot.healthy":
      return "answered again";
    case "bot.qr":
      return `QR code no. ${data.attempt}`;
    case "bot.passkey":
      return (STEPS[data.step] ?? data.step).toLowerCase();
    case "message.received":
    case "message.edited":
    case "message.deleted":
    case "message.reaction":
    case "poll.voted":
      return `${data.from_me ? "me" : data.push_name || partyName(data.sender)}: ${data.text ?? `(${data.type})`}`;
    case "message.undecryptable":
      return `${data.from_me ? "me" : data.push_name || partyName(data.sender)}: (cannot be shown: ${data.kind ?? data.reason})`;
    case "message.status":
      return `to ${partyName(data.to)}: ${messageWords(data)}`;
    case "daemon.alert":
      return data.state === "raised" ? `${data.kind}: ${data.detail}` : `${data.kind}: over`;
    case "webhook.gap":
      return `${data.webhook} missed ${data.count} events`;
    default:
      return data.detail ?? data.reason ?? "";
  }
}
