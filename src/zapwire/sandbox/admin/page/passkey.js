// The phone's passkey: does the account demand it, a pairing that waits for it, and the code that its owner compares.

import { call, element } from "./api.js";

const $ = (id) => document.getElementById(id);

let phone = null;
let drawn = "";

export async function showPasskey(of) {
  const found = await call("GET", `/phones/${of}/passkey`);
  const news = JSON.stringify([of, found.demanded, found.pairing]);
  if (news === drawn) return; // a button that is drawn again loses the keyboard
  [phone, drawn] = [of, news];
  $("demanded").checked = found.demanded;
  $("pairing").replaceChildren(...parts(found.pairing));
}

function parts(pairing) {
  if (pairing === null) return [];
  if (pairing.outcome === "paired") return [element("p", "Linked with the passkey.")];
  if (pairing.outcome !== null) return [element("p", `Nothing was linked: ${pairing.outcome}.`)];
  if (pairing.question !== null) return [element("p", "A device that is being linked waits for this account's passkey."), useButton()];
  const shown = pairing.code === null ? [] : [element("p", "This phone shows"), element("output", pairing.code)];
  if (!pairing.waits_for_owner) return [...shown, element("p", "The passkey was accepted; the device goes on.")];
  return [...shown, element("p", "Does the device show the same code?"), answerButton("The same code", true), answerButton("Another code", false)];
}

function useButton() {
  const button = element("button", "Use the passkey");
  button.addEventListener("click", async () => {
    const { answer } = await call("POST", `/phones/${phone}/passkey/answer`, {});
    const text = element("textarea", JSON.stringify(answer), { readonly: "", rows: 3, "aria-label": "Answer of the passkey" });
    button.replaceWith(element("p", "Copy the passkey's answer, and paste it on the bot's page:"), text);
    text.focus();
    text.select();
  });
  return button;
}

function answerButton(words, same) {
  const button = element("button", words);
  button.addEventListener("click", async () => {
    await call("POST", `/phones/${phone}/passkey/compare`, { same });
    await showPasskey(phone);
  });
  return button;
}

$("demanded").addEventListener("change", async ({ target }) => {
  await call("PUT", `/phones/${phone}/passkey`, { demanded: target.checked });
});
