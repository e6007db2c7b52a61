// Draws /openapi.json.

import { $, el, prose } from "./view.js";

const document_ = await (await fetch("/openapi.json")).json();
const schemas = document_.components.schemas;

const resolve = (schema) => (schema?.$ref ? schemas[schema.$ref.split("/").pop()] : schema);

// A schema in a few words: `string`, `Bot`, `list of string`, `string or null`.
function words(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf?.length > 6) return "object"; // of many kinds: the description says by what
  if (schema.anyOf) return schema.anyOf.map(words).join(" or ");
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(", ");
  if (schema.type === "array") return `list of ${words(schema.items)}`;
  return schema.type ?? "anything";
}

function table(rows) {
  return el("div", { className: "scroll", tabIndex: 0 }, el("table", {}, el("tbody", {}, ...rows.map((cells) =>
    el("tr", {}, ...cells.map((cell) => el("td", {}, cell)))))));
}

function fields(schema, isRequest = false) {
  const full = resolve(schema);
  // one of several bodies, by its `type`
  if (full.oneOf) {
    return el("div", {}, ...full.oneOf.map((one) => el("details", {},
      el("summary", {}, el("code", {}, resolve(one).properties.type.const), " ", prose(resolve(one).description ?? "")),
      fields(one, isRequest))));
  }
  if (full.anyOf) return el("div", {}, ...full.anyOf.map((one) => fields(one, isRequest)));
  const required = new Set(full.required ?? []);
  return table(Object.entries(full.properties ?? {}).map(([name, one]) => [
    el("code", {}, name), words(one), isRequest && required.has(name) ? "required" : "",
    prose(one.description ?? resolve(one)?.description ?? "")]));
}

// A request that can be pasted into a terminal.
function curl(method, path, operation) {
  const lines = [`curl ${location.origin}${path}`];
  if (method !== "get") lines.push(`-X ${method.toUpperCase()}`);
  if (operation.security?.length !== 0) lines.push('-H "Authorization: Bearer $TOKEN"');
  if (operation.requestBody) {
    const body = operation.requestBody.content["application/json"];
    const [schema] = body ? (resolve(body.schema).oneOf ?? [body.schema]).map(resolve) : [];
    const required = (schema?.required ?? []).map((name) => [name, "..."]);
    lines.push(body ? `--json '${JSON.stringify(Object.fromEntries(required))}'` : "--data-binary @file");
  }
  return el("pre", { tabIndex: 0 }, lines.join(" \\\n  "));
}

function section(title, ...content) {
  return [el("h4", {}, title), ...content];
}

function drawCall(path, method, operation) {
  const parts = [el("h3", {}, el("span", { className: `method ${method}` }, method.toUpperCase()), el("code", {}, path)),
    el("p", {}, operation.summary)];
  if (operation.parameters?.length) {
    parts.push(...section("Parameters", table(operation.parameters.map((one) => [
      el("code", {}, one.name), `${one.in}, ${words(one.schema)}`, prose(one.description ?? "")]))));
  }
  const body = operation.requestBody?.content["application/json"];
  if (body) parts.push(...section("Body", fields(body.schema, true)));
  else if (operation.requestBody) parts.push(...section("Body", el("p", { className: "hint" }, "A file, or a form with the field file.")));
  for (const [status, answer] of Object.entries(operation.responses)) {
    const schema = answer.content?.["application/json"]?.schema;
    if (schema) parts.push(...section(`Answer ${status}: ${words(schema)}`, fields(schema)));
    else if (Number(status) < 300) parts.push(...section(`Answer ${status}`, el("p", { className: "hint" }, "No body.")));
  }
  const failures = Object.entries(operation.responses).filter(([status]) => Number(status) >= 400);
  if (failures.length) {
    parts.push(...section("Problems", el("p", { className: "hint" },
      failures.map(([status, one]) => `${status} ${one.description}`).join(" · "))));
  }
  parts.push(curl(method, path, operation));
  return el("section", { className: "card call", id: operation.operationId }, ...parts);
}

const toc = [], calls = [];
for (const { name } of document_.tags) {
  toc.push(el("h2", {}, name));
  for (const [path, methods] of Object.entries(document_.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      if (!operation.tags.includes(name)) continue;
      toc.push(el("a", { href: `#${operation.operationId}`, title: `${method.toUpperCase()} ${path}` }, operation.summary));
      calls.push(drawCall(path, method, operation));
    }
  }
}
toc.push(el("h2", {}, "Values"));
for (const name of ["Event", "ReceivedMessage", "Party", "Problem"]) {
  toc.push(el("a", { href: `#${name}` }, name));
  calls.push(el("section", { className: "card call", id: name }, el("h3", {}, name),
    el("p", {}, prose(schemas[name].description ?? "")), fields(schemas[name])));
}
$("toc").replaceChildren(...toc);
$("calls").replaceChildren(...calls);
