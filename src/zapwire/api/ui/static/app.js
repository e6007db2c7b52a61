// The page: what the daemon says is drawn, what is clicked is asked of the daemon.

import { bot as path, call, follow, OFFLINE, token } from "./api.js";
import { panel, takeFromAddress } from "./passkey.js";
import { listen, offer } from "./tabs.js";
import { $, alarm, badge, clock, el, gist, messageWords, partyName, say, sentence, versionWords } from "./view.js";

const HISTORY = 200; // events read from the journal when the page opens
const SHOWN = 50; // rows and messages kept on the page

const bots = new Map();
const talks = new Map(); // bot id -> Map(message id -> message), oldest first
let selected = null;
let sandbox = null;
let stopFollowing = null;
let qrExpires = null;
let opened = 0; // the journal's end when the page opened
const INCOMING = new Set(["message.received", "message.edited", "message.deleted", "message.reaction", "poll.voted"]);

let brought = null; // an answer to a passkey's question that this tab came back with, and could not hand in yet
let isLive = true; // does the daemon answer; else what is shown is what was last known

// ---- entering and leaving

async function enter() {
  say($("notice"), null);
  let page;
  try {
    page = await call("GET", "/v1/events?limit=1");
  } catch (error) {
    return leave(error.status === 401 ? "That token does not work." : error.message);
  }
  opened = page.last_seq;
  await loadSandbox();
  for (const one of (await call("GET", "/v1/bots")).bots) bots.set(one.id, one);
  $("login").hidden = true;
  $("desk").hidden = $("forget").hidden = false;
  select(selected ?? bots.keys().next().value ?? null);
  stopFollowing = follow(Math.max(0, opened - HISTORY), {
    onEvent: take,
    onLive: showLive,
    onRefused: () => leave("The token was revoked."),
  });
  if (brought) handIn(brought);
  brought = null;
}

// An answer that came back from WhatsApp's page; what became of it is told as when a person pastes it.
function handIn({ bot, text }) {
  if (!bots.has(bot)) return void say($("notice"), "The passkey's answer is for a bot that is not here.");
  select(bot);
  attempt($("passkey-form").querySelector("button"), () => passkey.handIn(selected, text));
}

async function showLive(live) {
  const isBack = live && !isLive;
  if (live !== isLive) {
    say($("offline"), live ? null : `The daemon has not answered since ${clock(new Date())}. What is shown is what was last known.`);
    isLive = live;
    drawBots();
    drawBot();
  }
  say($("live"), live ? "live" : "connection lost, trying again");
  $("live").classList.toggle("off", !live);
  if (!isBack) return;
  await loadSandbox(); // a restarted daemon has its sandbox elsewhere
  await loadBots();
  drawTalk();
}

// What happened while the page was away may be more than the events that still come.
async function loadBots() {
  const { bots: all } = await call("GET", "/v1/bots");
  bots.clear();
  for (const one of all) bots.set(one.id, one);
  if (selected !== null && !bots.has(selected)) return select(bots.keys().next().value ?? null);
  drawBots();
  drawBot();
}

function leave(why, forget = why !== OFFLINE) {
  stopFollowing?.();
  stopFollowing = null;
  if (forget) token.forget();
  bots.clear();
  talks.clear();
  selected = null;
  $("desk").hidden = $("forget").hidden = true;
  isLive = true;
  say($("live"), null);
  say($("offline"), null);
  $("login").hidden = false;
  $("token").value = "";
  $("token").focus();
  say($("notice"), why);
}

async function loadSandbox() {
  sandbox = null;
  const ready = await call("GET", "/readyz").catch(() => null);
  say($("version"), ready && versionWords(ready));
  say($("warnings"), ready?.warnings.length ? `Warning: ${ready.warnings.join("; ")}.` : null);
  if (!ready || ready.whatsapp_server === "WhatsApp") return say($("banner"), null);
  sandbox = await call("GET", "/v1/sandbox").catch(() => null);
  say($("banner"), `${sandbox ? "Sandbox: this" : "This"} is not WhatsApp. All bots talk to ${ready.whatsapp_server}. `);
  if (sandbox) $("banner").append(el("a", { href: sandbox.page, target: "_blank", rel: "noopener" }, "Open the virtual phones"));
  $("sandbox-scan").hidden = $("sandbox-passkey").hidden = !sandbox;
}

// ---- events

function take(event) {
  if (event.type !== "stream.gap") drawEvent(event);
  const { type, bot, data } = event;
  const isNews = event.seq > opened; // what happened before is in the list of bots already
  if (type === "stream.gap") return void loadBots();
  if ((type === "bot.state" || type === "bot.created") && isNews) takeBot(data);
  if (type === "bot.deleted" && isNews) dropBot(bot);
  if (type === "bot.qr" && isNews && bot === selected) showQr();
  if (type === "bot.passkey" && isNews) passkey.load(bot);
  if (INCOMING.has(type)) remember(bot, { ...data, mine: data.from_me, who: partyName(data.sender) });
  if (type === "message.status") remember(bot, { ...data, mine: true, timestamp: data.created_at });
}

// A bot that the page does not know was created elsewhere, or was deleted a moment ago.
function takeBot(next) {
  if (!bots.has(next.id)) return refresh(next.id);
  bots.set(next.id, next);
  drawBots();
  if (next.id === selected) {
    drawBot();
    drawTalk();
  }
}

function dropBot(id) {
  bots.delete(id);
  talks.delete(id);
  if (id === selected) return select(bots.keys().next().value ?? null);
  drawBots();
}

async function refresh(id) {
  try {
    bots.set(id, await call("GET", path(id)));
  } catch (error) {
    if (error.status !== 404) throw error;
    return dropBot(id);
  }
  drawBots();
  if (id === selected) drawBot();
}

function remember(id, message) {
  if (!talks.has(id)) talks.set(id, new Map());
  const talk = talks.get(id);
  talk.set(message.id, message);
  if (talk.size > SHOWN) talk.delete(talk.keys().next().value);
  if (id === selected) drawTalk();
}

// ---- drawing

function select(id) {
  if (id !== selected) $("send").reset(); // what was typed was meant for the other bot
  selected = id;
  say($("code"), null);
  $("code-hint").hidden = true;
  drawBots();
  drawBot();
  drawTalk();
}

function drawBots() {
  $("no-bots").hidden = bots.size > 0;
  const rows = [...bots.values()].map((one) =>
    el("li", {}, el("button", { type: "button", className: "bot-row", ariaCurrent: one.id === selected ? "true" : null,
      data: { bot: one.id }, onclick: () => select(one.id) }, el("span", { className: "bot-id" }, one.name), badge(one, isLive))));
  const focused = document.activeElement?.dataset?.bot;
  $("bots").replaceChildren(...rows);
  if (focused) $("bots").querySelector(`[data-bot="${CSS.escape(focused)}"]`)?.focus();
}

function drawBot() {
  const one = bots.get(selected);
  $("welcome").hidden = Boolean(one);
  $("bot").hidden = !one;
  $("talk").hidden = !one || !(one.phone || talks.get(selected)?.size);
  passkey.draw(one);
  if (!one) return void ($("pairing").hidden = true);
  $("bot-name").textContent = one.name;
  $("bot-account").textContent = [one.id, one.phone, one.push_name].filter((x, i, all) => x && x !== one.name && all.indexOf(x) === i).join(" · ");
  $("bot-state").replaceChildren(badge(one, isLive));
  const alert = alarm(one);
  say($("bot-alert"), alert && sentence(alert));
  tickReason();
  say($("bot-action"), one.action && sentence(one.action));
  for (const button of $("bot").querySelectorAll("[data-do]")) {
    button.hidden = !one.actions.includes(button.dataset.do);
    // what the bot does by itself, sooner or later, is not put forward
    if (button.dataset.do === "connect") button.classList.toggle("quiet", Boolean(one.next_attempt_at));
  }
  const pairing = one.state === "pairing" && (one.pairing?.step ?? "scan") === "scan";
  if (pairing && ($("pairing").hidden || $("qr").dataset.bot !== one.id)) showQr();
  $("pairing").hidden = !pairing;
}

// Why the bot is in its state; instead of the moment of the next try, which the words name in UTC, the seconds until then.
function tickReason() {
  const { reason, next_attempt_at } = bots.get(selected) ?? {};
  const left = next_attempt_at ? Math.max(0, Math.ceil((Date.parse(next_attempt_at) - Date.now()) / 1000)) : null;
  const words = left === null ? reason : reason?.replace(/;? *next attempt in .*$/, "");
  say($("bot-reason"), words && sentence(words) + (left === null ? "" : left > 0 ? ` Next try in ${left} s.` : " Trying now …"));
}

async function showQr() {
  const id = selected;
  if ($("qr").dataset.bot !== id) $("qr").removeAttribute("src");
  $("qr").dataset.bot = id;
  try {
    const qr = await call("GET", path(id, "/qr?wait=5"));
    if (id !== selected) return;
    $("qr").src = qr.image;
    $("qr").classList.remove("old");
    qrExpires = Date.parse(qr.expires_at);
  } catch {
    qrExpires = null; // the state says why there is none
  }
  tickQr();
}

function tickQr() {
  const left = qrExpires === null ? 0 : Math.ceil((qrExpires - Date.now()) / 1000);
  $("qr").classList.toggle("old", left <= 0);
  $("qr-note").textContent = left > 0 ? `Renews itself in ${left} s` : "Waiting for the next code";
}

function drawTalk() {
  const talk = [...(talks.get(selected)?.values() ?? [])];
  $("no-messages").hidden = talk.length > 0;
  const number = bots.get(selected)?.phone;
  if (sandbox && number) {
    $("no-messages").replaceChildren("Nothing yet. Open the ",
      el("a", { href: sandbox.page, target: "_blank", rel: "noopener" }, "virtual phones"),
      `, pick Ana or make one of your own, and write to ${number.slice(1)}. What comes in appears here; click it to answer.`);
  }
  $("messages").replaceChildren(...talk.map((one) =>
    el("li", { className: one.mine ? "mine" : "theirs", data: { state: one.state ?? "received" } },
      el("button", { type: "button", title: "Answer", onclick: () => answerTo(one) },
        el("span", { className: "who" }, one.mine ? `to ${partyName(one.to ?? one.chat)}` : one.push_name || one.who),
        el("span", { className: "words" }, one.text ?? `(${one.type})`),
        el("span", { className: "when" }, [clock(one.timestamp), one.state && messageWords(one)].filter(Boolean).join(" · "))))));
  $("messages").scrollTop = $("messages").scrollHeight;
  if (talk.length) $("talk").hidden = false;
}

function answerTo(message) {
  $("to").value = message.mine && message.to ? message.to.phone ?? message.to.jid : message.chat.phone ?? message.chat.jid;
  $("text").focus();
}

function drawEvent(event) {
  $("events").prepend(el("tr", { data: { type: event.type } }, el("td", {}, String(event.seq)), el("td", {}, clock(event.timestamp)),
    el("td", {}, event.bot), el("td", {}, el("code", {}, event.type)), el("td", {}, gist(event))));
  if ($("events").rows.length > SHOWN) $("events").lastElementChild.remove();
}

// ---- what is clicked

// Run what a button or form asks for: disabled meanwhile, trouble is shown in words.
async function attempt(control, work) {
  control.disabled = true;
  say($("notice"), null);
  try {
    return await work();
  } catch (error) {
    if (error.status === 401) return leave("The token was revoked.");
    say($("notice"), error.message.replaceAll("`", ""));
  } finally {
    control.disabled = false;
  }
}

function onSubmit(id, work) {
  $(id).addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(event.submitter ?? $(id).querySelector("button"), () => work(Object.fromEntries(new FormData($(id)))));
  });
}

onSubmit("login-form", async ({ token: given }) => {
  token.set(given.trim());
  await enter();
});

onSubmit("create", async ({ id }) => {
  const made = await create({ id });
  $("create").reset();
  if (!bots.has(made.id)) bots.set(made.id, made);
  select(made.id);
});

async function create(fields) {
  try {
    return await call("POST", "/v1/bots", fields);
  } catch (error) {
    const known = `There is the auth state of a bot called ${fields.id}, which this database does not know. Go on as the account it is linked to?`;
    if (error.code !== "auth-state-found" || !confirm(known)) throw error;
    return call("POST", "/v1/bots", { ...fields, auth_state: "adopt" });
  }
}

onSubmit("code-form", async ({ phone }) => {
  say($("code"), "Asking WhatsApp …");
  try {
    const { code } = await call("POST", path(selected, "/pairing-code"), { phone });
    say($("code"), code);
    $("code-hint").hidden = false;
  } catch (error) {
    say($("code"), null);
    throw error;
  }
});

onSubmit("send", async ({ to, text }) => {
  const message = await call("POST", path(selected, "/messages"), { to, type: "text", text });
  const known = talks.get(message.bot)?.get(message.id);
  if (!known) remember(message.bot, { ...message, mine: true, timestamp: message.created_at });
  $("text").value = "";
});

$("bot").addEventListener("click", (event) => {
  const what = event.target.dataset.do;
  if (!what) return;
  const id = selected;
  if (what === "delete" && !confirm(`Delete ${id}, its link to the phone and its messages?`)) return;
  if (what === "logout" && !confirm(`Unlink ${id} from its account? It has to be paired again afterwards.`)) return;
  attempt(event.target, async () => {
    if (what === "delete") return remove(id);
    await call("POST", path(id, `/${what}`));
    await refresh(id);
  });
});

async function remove(id) {
  try {
    await call("DELETE", path(id));
  } catch (error) {
    const anyway = "Delete it all the same? The phone lists this device until you remove it there, under Linked devices.";
    if (error.code !== "not-unlinked" || !confirm(`WhatsApp cannot be notified now. ${anyway}`)) throw error;
    await call("DELETE", path(id, "?force=true"));
  }
  dropBot(id);
}

$("scan").addEventListener("click", () =>
  attempt($("scan"), () => call("POST", "/v1/sandbox/scan", { bot: selected, passkey: $("scan-passkey").checked })));

$("play-passkey").addEventListener("click", () =>
  attempt($("play-passkey"), () => call("POST", "/v1/sandbox/passkey", { bot: selected })));

const passkey = panel({ attempt, onBot: takeBot });
listen(() => stopFollowing !== null, handIn);

$("forget").addEventListener("click", () => leave(null));
setInterval(() => {
  if (!$("pairing").hidden) tickQr();
  passkey.tick();
  if (bots.get(selected)?.next_attempt_at) tickReason();
}, 1000);

// The printed link, opened in a tab that shows this page already, changes only what is behind the "#": nothing is loaded.
addEventListener("hashchange", () => {
  const answer = takeFromAddress();
  if (answer) return void (stopFollowing ? handIn(answer) : (brought = answer));
  if (token.takeFromAddress()) (leave(null, false), enter());
});

async function open() {
  brought = takeFromAddress();
  token.takeFromAddress();
  if (token.get()) return enter();
  if (brought && (await offer(brought))) return void ($("brought").hidden = false);
  leave(brought && "Give your token, then the passkey's answer is handed in.");
}

open();
