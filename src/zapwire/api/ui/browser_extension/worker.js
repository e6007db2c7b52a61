// Takes WhatsApp's question from the page on which a person clicked the button, asks for the passkey on a page of WhatsApp,
// and puts the answer into the first page. It knows no server and no token, keeps nothing, and sends nothing.

const PLACE = "https://web.whatsapp.com/robots.txt"; // of WhatsApp, with no WhatsApp running in it
const LOADING = 20000; // milliseconds
const AWAKE = 20000; // a worker that calls nothing for 30 s is ended, and a person needs longer than that

chrome.action.onClicked.addListener((tab) => answer(tab.id));

async function answer(tab) {
  const question = await inTab(tab, takeQuestion);
  await chrome.action.setBadgeText({ tabId: tab, text: question === null ? "none" : "" });
  if (!question) return;
  const found = await ask(question);
  await chrome.tabs.update(tab, { active: true });
  await inTab(tab, giveAnswer, [found]);
}

// The credential as JSON, or {"error": name} as JSON.
async function ask(question) {
  const awake = setInterval(chrome.runtime.getPlatformInfo, AWAKE);
  let tab = null;
  try {
    tab = (await chrome.tabs.create({ url: PLACE })).id;
    if (!(await isLoaded(tab)) || !(await isWhatsApp(tab))) return JSON.stringify({ error: "NotLoaded" });
    // in the page's own world: password managers take over what the page calls, not what an extension calls
    return (await inTab(tab, useCredential, [question], "MAIN")) ?? JSON.stringify({ error: "TabClosed" });
  } catch (error) {
    const isOpen = tab !== null && (await chrome.tabs.get(tab).then(() => true, () => false));
    return JSON.stringify({ error: isOpen || tab === null ? `${error}`.slice(0, 200) : "TabClosed" });
  } finally {
    clearInterval(awake);
    if (tab !== null) await chrome.tabs.remove(tab).catch(() => {});
  }
}

function isLoaded(tab) {
  return new Promise((resolve) => {
    const timer = setTimeout(() => done(false), LOADING);
    const look = (id, { status }) => id === tab && status === "complete" && done(true);
    const close = (id) => id === tab && done(false);
    function done(loaded) {
      clearTimeout(timer);
      chrome.tabs.onUpdated.removeListener(look);
      chrome.tabs.onRemoved.removeListener(close);
      resolve(loaded);
    }
    chrome.tabs.onUpdated.addListener(look);
    chrome.tabs.onRemoved.addListener(close);
    chrome.tabs.get(tab).then(({ status }) => status === "complete" && done(true), () => done(false));
  });
}

// Where the network sends it to another page, the extension has no right to that tab, and asks for nothing there.
async function isWhatsApp(tab) {
  return inTab(tab, () => location.origin === "https://web.whatsapp.com").catch(() => false);
}

async function inTab(tab, func, args = [], world = "ISOLATED") {
  const [{ result }] = await chrome.scripting.executeScript({ target: { tabId: tab }, func, args, world });
  return result;
}

// The functions below run in the tabs; they can use nothing of this file.

// Null when there is none, empty when the person does not want it. It asks here, as a page that means ill would not warn.
function takeQuestion() {
  const question = document.getElementById("passkey")?.dataset.question;
  if (!question || !["http:", "https:"].includes(location.protocol)) return null;
  const words = "asks for your WhatsApp passkey. Whose question it is, their device is linked to your account. Is this your own zapwire?";
  return confirm(`${location.origin} ${words}`) ? question : "";
}

// Only what a passkey of WhatsApp needs goes in and comes out, whatever else the page wanted of the browser.
async function useCredential(text) {
  try {
    const { challenge, timeout, rpId, allowCredentials, userVerification, extensions } = JSON.parse(text);
    const uvm = extensions?.uvm && { uvm: true };
    const question = { challenge, timeout, rpId, allowCredentials, userVerification, extensions: uvm };
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(JSON.parse(JSON.stringify(question)));
    const { id, rawId, type, response } = (await navigator.credentials.get({ publicKey })).toJSON();
    return JSON.stringify({ id, rawId, type, response });
  } catch (error) {
    return JSON.stringify({ error: error.name });
  }
}

function giveAnswer(text) {
  document.getElementById("passkey-answer").value = text;
  document.getElementById("passkey-form").requestSubmit();
}
