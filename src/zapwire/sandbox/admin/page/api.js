// Calls of the admin API; a refusal is shown in the page's header until something else is tried.

const SILENT = "The sandbox does not answer.";
const problem = document.getElementById("problem");

export async function call(method, path, body) {
  const options = { method, headers: { "Content-Type": "application/json" } };
  if (body !== undefined) options.body = JSON.stringify(body);
  let answer;
  try {
    answer = await fetch("/admin" + path, options);
  } catch (error) {
    show(SILENT);
    throw error;
  }
  if (problem.textContent === SILENT) show("");
  const text = await answer.text();
  const value = text ? JSON.parse(text) : null;
  if (!answer.ok) {
    show(value?.detail ?? `The sandbox answered ${answer.status}.`);
    throw new Error(problem.textContent);
  }
  return value;
}

function show(text) {
  problem.textContent = text;
  problem.hidden = !text;
}

// A form's fields as an object; the form is sent by `send` and then emptied.
export function onSubmit(id, send) {
  const form = document.getElementById(id);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    show("");
    try {
      await send(Object.fromEntries(new FormData(form)));
      form.reset();
    } catch {
      // shown in the header; what was typed stays
    }
  });
}

export function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
