// From a tab that was brought back by the script, and has no token, to the tab in which a person is logged in.

const channel = new BroadcastChannel("zapwire-passkey");
const PATIENCE = 1500; // milliseconds in which another tab has to say that it is there

// Offer an answer to the other tabs; says whether one has taken it. Only the first that replies gets it.
export function offer(brought) {
  const id = crypto.getRandomValues(new Uint32Array(2)).join("-");
  return new Promise((resolve) => {
    const timer = setTimeout(() => done(false), PATIENCE);
    function done(taken) {
      clearTimeout(timer);
      channel.removeEventListener("message", hear);
      resolve(taken);
    }
    function hear({ data }) {
      if (data.ready !== id) return;
      channel.postMessage({ to: data.tab, ...brought });
      done(true);
    }
    channel.addEventListener("message", hear);
    channel.postMessage({ offer: id });
  });
}

// Take what other tabs offer while `isReady` says so.
export function listen(isReady, take) {
  const tab = crypto.getRandomValues(new Uint32Array(2)).join("-");
  channel.addEventListener("message", ({ data }) => {
    if (data.offer && isReady()) channel.postMessage({ ready: data.offer, tab });
    if (data.to === tab) take({ bot: data.bot, text: data.text });
  });
}
