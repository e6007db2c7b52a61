// What one phone's log says, as chats: messages in order, their ticks, who types.

const ORDER = ["sent", "delivered", "read", "played"];
const TICKS = { sent: "✓", delivered: "✓✓", read: "✓✓", played: "✓✓" };

export class Chats {
  constructor() {
    this.after = 0;
    this.byName = new Map();
    this.ticks = new Map();
  }

  chat(name) {
    if (!this.byName.has(name)) this.byName.set(name, { name, title: name, subject: "", messages: [], unread: 0, typing: "" });
    return this.byName.get(name);
  }

  take(entries) {
    for (const entry of entries) {
      this.after = Math.max(this.after, entry.seq);
      if (entry.kind === "message" || entry.kind === "sent") this.#message(entry);
      else if (entry.kind === "receipt") for (const id of entry.ids) this.#tick(id, entry.receipt);
      else if (entry.kind === "typing") this.chat(entry.chat).typing = entry.state === "paused" ? "" : entry.state;
      else if (entry.kind === "group") this.#group(entry);
    }
  }

  #message(entry) {
    const chat = this.chat(entry.chat);
    chat.messages.push(entry);
    chat.typing = "";
    if (!entry.from_me && entry.name && !entry.chat.includes("@")) chat.title = `${entry.name} (${entry.chat})`;
    if (entry.kind === "message" && !entry.read) chat.unread += 1;
    if (entry.kind === "sent") this.#tick(entry.id, "sent");
  }

  #group(entry) {
    const chat = this.chat(entry.chat);
    chat.messages.push(entry);
    if (entry.subject) chat.subject = entry.subject;
  }

  #tick(id, state) {
    if (ORDER.indexOf(state) > ORDER.indexOf(this.ticks.get(id) ?? "")) this.ticks.set(id, state);
  }

  tick(id) {
    const state = this.ticks.get(id);
    return state ? { state, text: TICKS[state] } : null;
  }
}

const GROUP_CHANGES = {
  create: "The group was made.",
  add: "Came in:",
  remove: "Gone:",
  promote: "Now admin:",
  demote: "No longer admin:",
  subject: "New name:",
  description: "New description.",
};

// One entry in words; files are links to the decrypted file.
export function words(entry) {
  if (entry.kind === "group") {
    const change = GROUP_CHANGES[entry.change] ?? `group: ${entry.change}`;
    return [change, entry.subject, entry.members.join(", ")].filter(Boolean).join(" ");
  }
  switch (entry.type) {
    case "text": return entry.text;
    case "reaction": return entry.emoji ? `reacted ${entry.emoji}` : "took a reaction back";
    case "edit": return `edited: ${entry.text}`;
    case "revoke": return "deleted a message";
    case "location": return `place: ${entry.latitude}, ${entry.longitude}`;
    case "contact": return `contact: ${entry.name}`;
    default: return [entry.type, entry.filename, entry.caption].filter(Boolean).join(" · ");
  }
}

export const PICTURES = new Set(["image", "sticker"]);
export const FILES = new Set(["image", "video", "audio", "document", "sticker"]);
