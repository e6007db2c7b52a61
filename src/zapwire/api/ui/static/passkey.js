// Linking an account that demands a passkey: what WhatsApp asks goes to a browser on its own page, the answer comes back.

import { bot as path, call } from "./api.js";
import { $, say } from "./view.js";

const LONGEST = 65536; // of an answer, as the daemon takes it

const TITLES = {
  passkey: "WhatsApp wants the passkey of this account",
  phone: "WhatsApp took the passkey",
  compare: "Compare the codes",
};

// What browsers call it when nothing was signed, and the extension.
const FAILURES = {
  NotAllowedError:
    "The passkey was not used: cancelled, timed out, or there is none for whatsapp.com on this computer. Choose “phone” if yours is there.",
  SecurityError: "The question was asked on another page than web.whatsapp.com.",
  TabClosed: "WhatsApp's tab was closed before the passkey was used.",
  NotLoaded: "web.whatsapp.com could not be opened in this browser.",
};

export const STOP = "Stop: somebody else is in between. Nothing was linked.";

// The text of an answer as the object to hand in; throws an Error in words for people.
export function readAnswer(text) {
  let answer = null;
  try {
    if (text.length <= LONGEST) answer = JSON.parse(text);
  } catch {}
  if (answer === null || typeof answer !== "object" || Array.isArray(answer)) {
    throw new Error("That is not the answer of a passkey: copy all of it, from { to }.");
  }
  if (typeof answer.error === "string") {
    throw new Error(FAILURES[answer.error] ?? `The browser could not use the passkey (${answer.error.slice(0, 40)}).`);
  }
  return answer;
}

// What a person runs in the console of web.whatsapp.com. That page forbids it to reach us in any other way than to come back.
export function script({ question, origin }, bot, page) {
  return `(async () => {
  const origin = ${JSON.stringify(origin)};
  if (location.origin !== origin) throw new Error("open " + origin + " first");
  const question = ${JSON.stringify(question)};
  let answer;
  try {
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(question);
    answer = (await navigator.credentials.get({ publicKey })).toJSON();
  } catch (error) {
    answer = { error: error.name };
  }
  const text = JSON.stringify(answer);
  await navigator.clipboard.writeText(text).catch(() => {});
  location.href = ${JSON.stringify(`${page}#bot=${encodeURIComponent(bot)}&passkey=`)} + encodeURIComponent(text);
})();`;
}

// An answer that the script brought back behind the "#", which is taken from the address; null when there is none.
export function takeFromAddress() {
  const found = new URLSearchParams(location.hash.slice(1));
  if (!found.has("passkey")) return null;
  history.replaceState(null, "", location.pathname);
  return { bot: found.get("bot"), text: found.get("passkey") };
}

// The panel of the page; `attempt` runs what a button asks for, `onBot` takes the bot that an answer of the daemon tells.
export function panel({ attempt, onBot }) {
  let shown = null; // id of the bot
  let step = null;
  let loading = 0;
  let expires = null;
  let code = null;

  // Show how far this bot is; null or a bot that is not at it: nothing.
  function draw(bot) {
    const stage = bot?.state === "pairing" && bot.pairing?.step !== "scan" ? bot.pairing : null;
    $("passkey").hidden = !stage;
    if (!stage) return clear();
    if (shown !== bot.id || step !== stage.step) begin(bot.id, stage.step);
    expires = Date.parse(stage.expires_at);
    tick();
  }

  function begin(id, next) {
    clear();
    [shown, step] = [id, next];
    say($("passkey-title"), TITLES[step]);
    $("passkey-ask").hidden = step !== "passkey";
    $("passkey-code").hidden = step === "passkey";
    $("passkey-compare").hidden = true;
    load();
  }

  function clear() {
    shown = step = code = expires = null;
    loading++;
    delete $("passkey").dataset.question;
    $("passkey-script").value = "";
    $("passkey-form").reset();
    for (const id of ["passkey-code-text", "passkey-code-words"]) say($(id), null);
  }

  // Get the question or the code; what is asked anew replaces what was shown.
  async function load() {
    const [mine, id] = [++loading, shown];
    if (id === null) return;
    let found;
    try {
      found = await call("GET", path(id, "/passkey"));
    } catch {
      // the state of the bot says why there is none; a phone that has not answered yet has given no code
      if (mine === loading && step === "phone") say($("passkey-code-words"), "Open WhatsApp on the phone and accept there.");
      return;
    }
    if (mine !== loading) return;
    expires = Date.parse(found.expires_at);
    if (found.question) showQuestion(id, found);
    else showCode(found);
    tick();
  }

  function showQuestion(id, found) {
    $("passkey").dataset.question = JSON.stringify(found.question); // where the extension finds it
    $("passkey-script").value = script(found, id, location.origin + location.pathname);
    $("passkey-place").href = `${found.origin}/`;
  }

  function showCode(found) {
    code = found.code;
    say($("passkey-code-text"), code);
    say($("passkey-code-words"), found.needed
      ? "The phone shows a code, too. Is it the same?"
      : "Accept on the phone; it may show this code. If it shows another one, do not accept there:");
    $("passkey-compare").hidden = false;
    $("passkey-same").hidden = !found.needed;
  }

  function tick() {
    if (shown === null) return;
    const left = Math.max(0, Math.round((expires - Date.now()) / 1000));
    const clock = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    say($("passkey-left"), left > 0 ? `You have ${clock}.` : "The time is up.");
  }

  // Hand an answer in for a bot; throws an Error in words for people.
  async function handIn(id, text) {
    try {
      onBot(await call("POST", path(id, "/passkey"), { answer: readAnswer(text) }));
    } catch (error) {
      if (id === shown) load();
      throw error;
    } finally {
      $("passkey-form").reset();
    }
  }

  async function confirm(told) {
    onBot(await call("POST", path(shown, "/passkey/confirm"), { code: told })); // a refusal says what came of it
    if (told === null) throw new Error(STOP);
  }

  $("passkey-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = $("passkey-answer").value;
    attempt($("passkey-form").querySelector("button"), () => handIn(shown, text));
  });
  $("passkey-copy").addEventListener("click", () => attempt($("passkey-copy"), async () => {
    $("passkey-script").select();
    if (navigator.clipboard) await navigator.clipboard.writeText($("passkey-script").value);
    else document.execCommand("copy"); // over plain HTTP from another machine browsers give no clipboard
  }));
  $("passkey-same").addEventListener("click", () => attempt($("passkey-same"), () => confirm(code)));
  $("passkey-other").addEventListener("click", () => attempt($("passkey-other"), () => confirm(null)));

  return { draw, tick, handIn, load: (id) => id === shown && load() };
}
