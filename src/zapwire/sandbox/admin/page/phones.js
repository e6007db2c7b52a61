import { call, element, onSubmit } from "./api.js";
import { Chats, FILES, PICTURES, words } from "./chats.js";
import { showPasskey } from "./passkey.js";

const WAIT = 25; // seconds that the server may hold an answer back until something happens
const PAUSE = 2000; // milliseconds after an error, and without typing before "stopped typing"
const SHOWN = 200; // messages of a chat on the screen; older ones are in the log
const $ = (id) => document.getElementById(id);

let phones = [];
let current = null; // { phone, chats, open, poll, groups: address -> subject }
let drawn = "";

async function refresh() {
  ({ phones } = await call("GET", "/phones"));
  const news = JSON.stringify([current?.phone, phones]);
  if (news === drawn) return; // a button that is drawn again loses the keyboard
  drawn = news;
  $("phones").replaceChildren(...phones.map(phoneItem));
  $("numbers").replaceChildren(...phones.map((phone) => element("option", phone.push_name, { value: phone.phone })));
  const shown = phones.find((phone) => phone.phone === current?.phone);
  if (shown) showDevices(shown);
}

function phoneItem(phone) {
  const button = element("button", phone.push_name || phone.phone, { "aria-current": phone.phone === current?.phone });
  const linked = phone.devices.length - 1;
  button.append(element("small", `${phone.phone}${linked ? `, ${linked} linked` : ""}`));
  button.addEventListener("click", () => choose(phone.phone));
  const item = document.createElement("li");
  item.append(button);
  return item;
}

function showDevices(phone) {
  $("who").textContent = phone.push_name ? `${phone.push_name} (${phone.phone})` : phone.phone;
  $("devices").replaceChildren(
    ...phone.devices.filter((device) => device !== 0).map((device) => {
      const button = element("button", `device ${device}: log out`);
      button.addEventListener("click", async () => {
        await call("DELETE", `/phones/${phone.phone}/devices/${device}`);
        await refresh();
      });
      const item = document.createElement("li");
      item.append(button);
      return item;
    }),
  );
}

async function choose(phone) {
  current?.poll.abort();
  current = { phone, chats: new Chats(), open: null, poll: new AbortController(), groups: new Map() };
  $("phone").hidden = false;
  $("link").open = false;
  await refresh();
  await showPasskey(phone);
  draw();
  follow(current);
}

async function follow(shown) {
  let wait = 0;
  while (shown === current) {
    try {
      const answer = await fetch(`/admin/phones/${shown.phone}/log?after=${shown.chats.after}&wait=${wait}`, {
        signal: shown.poll.signal,
      });
      if (!answer.ok) throw new Error(answer.status);
      shown.chats.take((await answer.json()).entries);
      wait = WAIT;
      await nameGroups(shown);
      if (shown === current) await markRead(shown);
      if (shown === current) draw();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }
}

async function nameGroups(shown) {
  if (![...shown.chats.byName.keys()].some((name) => name.endsWith("@g.us") && !shown.groups.has(name))) return;
  const { groups } = await call("GET", `/phones/${shown.phone}/groups`);
  for (const { group, subject } of groups) shown.groups.set(group, subject);
}

function title(chat) {
  if (chat.name.includes("@")) return chat.subject || current.groups.get(chat.name) || chat.name;
  const name = phones.find((phone) => phone.phone === chat.name)?.push_name;
  return name ? `${name} (${chat.name})` : chat.title;
}

// A chat that is open on the screen is read, as on a real phone.
async function markRead(shown) {
  const chat = shown.open && shown.chats.chat(shown.open);
  if (!chat?.unread || document.hidden) return;
  chat.unread = 0;
  await call("POST", `/phones/${shown.phone}/read`, { chat: chat.name });
}

function draw() {
  const { chats, open } = current;
  $("chats").replaceChildren(...[...chats.byName.values()].map(chatItem));
  const chat = open && chats.chat(open);
  $("peer").textContent = chat ? title(chat) : "No chat is open";
  $("typing").textContent = chat?.typing ? `${title(chat)}: ${chat.typing === "recording" ? "recording" : "is typing"} …` : "";
  for (const field of $("write").elements) field.disabled = !chat;
  const list = $("messages");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.replaceChildren(...(chat ? chat.messages.slice(-SHOWN).map(messageItem) : []));
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function chatItem(chat) {
  const button = element("button", title(chat) + (chat.unread ? ` (${chat.unread})` : ""));
  button.setAttribute("aria-current", chat.name === current.open);
  const last = chat.messages.at(-1);
  if (last) button.append(element("small", words(last)));
  button.addEventListener("click", () => openChat(chat.name));
  const item = document.createElement("li");
  item.append(button);
  return item;
}

function messageItem(entry) {
  const item = element("li", "");
  if (entry.kind === "group") item.className = "event";
  else if (entry.from_me) item.className = "mine";
  else if (entry.name && entry.chat.includes("@")) item.append(element("b", entry.name));
  if (PICTURES.has(entry.type)) {
    const path = `/admin/phones/${current.phone}/messages/${encodeURIComponent(entry.id)}/file`;
    item.append(element("img", "", { src: path, alt: "", loading: "lazy" }));
  }
  item.append(words(entry));
  if (FILES.has(entry.type)) {
    const path = `/admin/phones/${current.phone}/messages/${encodeURIComponent(entry.id)}/file`;
    item.append(" ", element("a", "save", { href: path, download: entry.filename ?? "" }));
  }
  if (entry.timestamp) {
    const foot = element("small", "");
    const tick = current.chats.tick(entry.id);
    if (tick) foot.append(element("span", tick.text, { class: `ticks ${tick.state}`, title: tick.state }));
    foot.append(" ", new Date(entry.timestamp * 1000).toLocaleTimeString([], { timeStyle: "short" }));
    item.append(foot);
  }
  return item;
}

async function openChat(name) {
  current.open = name;
  draw();
  await markRead(current);
  draw();
  $("write").elements.text.focus();
}

let typingTimer = 0;

async function typing() {
  const { phone, open } = current;
  const tell = (state) => call("POST", `/phones/${phone}/typing`, { to: open, state }).catch(() => {});
  if (!typingTimer) tell("composing");
  clearTimeout(typingTimer);
  typingTimer = setTimeout(() => {
    typingTimer = 0;
    tell("paused");
  }, PAUSE);
}

onSubmit("create", async (fields) => {
  const made = await call("POST", "/phones", fields);
  await choose(made.phone);
});
onSubmit("scan", async ({ qr }) => {
  await call("POST", `/phones/${current.phone}/scan`, { qr });
  $("link").open = false;
  await refresh();
  await showPasskey(current.phone);
});
onSubmit("code", async ({ code }) => {
  await call("POST", `/phones/${current.phone}/enter-code`, { code });
  $("link").open = false;
  await refresh();
  await showPasskey(current.phone);
});
onSubmit("open", async ({ to }) => openChat(to.includes("@") ? to.trim() : to.replace(/[\s+().-]/g, "")));
onSubmit("write", async ({ text }) => {
  clearTimeout(typingTimer);
  typingTimer = 0;
  await call("POST", `/phones/${current.phone}/send`, { to: current.open, text });
});
$("write").elements.text.addEventListener("input", typing);

async function keepFresh() {
  try {
    await refresh();
    // a contact's phone rather than a bot's own
    const first = phones.find((phone) => phone.devices.length === 1) ?? phones[0];
    if (!current && first) await choose(first.phone);
    if (current) await showPasskey(current.phone);
  } catch {
    // shown in the header; retried
  }
  setTimeout(keepFresh, PAUSE * 2);
}

keepFresh();
