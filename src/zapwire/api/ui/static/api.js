// The daemon's API: calls, and the events as they come.

const KEY = "zapwire-token";

export const OFFLINE = "The daemon does not answer. Is it running?";

export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
  // The link that the daemon prints carries the token behind the "#", which browsers do not send anywhere.
  // Says whether there was one.
  takeFromAddress() {
    const found = new URLSearchParams(location.hash.slice(1)).get("token");
    if (found) {
      token.set(found);
      history.replaceState(null, "", location.pathname);
    }
    return Boolean(found);
  },
};

// One call; throws an Error with the problem's words, its `status` and its `code`.
export async function call(method, path, body) {
  const headers = { Authorization: `Bearer ${token.get()}`, Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw Object.assign(new Error(OFFLINE), { status: 0, code: "offline" });
  }
  const text = await answer.text();
  const data = text ? JSON.parse(text) : null;
  if (answer.ok) return data;
  const field = data?.field ? `${data.field}: ` : "";
  throw Object.assign(new Error(field + (data?.detail ?? answer.statusText)), { status: answer.status, code: data?.code });
}

export const bot = (id, rest = "") => `/v1/bots/${encodeURIComponent(id)}${rest}`;

// Follow the events after `after` for ever, over all interruptions; returns a function that stops it.
export function follow(after, { onEvent, onLive, onRefused }) {
  let cursor = after, socket = null, timer = null, tries = 0, stopped = false;

  function open() {
    const address = new URL(`/v1/events?after=${cursor}`, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    socket = new WebSocket(address);
    socket.onopen = () => {
      socket.send(JSON.stringify({ token: token.get() }));
      tries = 0;
      onLive(true);
    };
    socket.onmessage = (message) => {
      const event = JSON.parse(message.data);
      cursor = event.seq;
      onEvent(event);
    };
    socket.onclose = (end) => {
      if (stopped) return;
      if (end.code === 4401) return onRefused();
      onLive(false);
      timer = setTimeout(open, Math.min(500 * 2 ** tries++, 15000));
    };
  }

  open();
  return () => {
    stopped = true;
    clearTimeout(timer);
    socket?.close();
  };
}
