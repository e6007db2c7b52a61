// A small server as people write one with Baileys and express: the yardstick of `make bench`, not a part of zapwire.
// Sends are answered when WhatsApp's server has acknowledged them; every message and receipt goes to a webhook.
import http from "node:http"
import { readFileSync } from "node:fs"
import { makeWASocket, useMultiFileAuthState, WA_CERT_DETAILS, DisconnectReason } from "@whiskeysockets/baileys"
import express from "express"
import pino from "pino"

const [descriptor, folder, webhook] = process.argv.slice(2)
const sandbox = JSON.parse(readFileSync(descriptor, "utf-8"))
WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(sandbox.noise_root, "hex")
const agent = new http.Agent({ keepAlive: true, maxSockets: 16 })
const logger = pino({ level: "silent" })
const bots = new Map()
const acknowledgements = new Map()

function post(event) {
  const body = JSON.stringify(event)
  const headers = { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) }
  const request = http.request(webhook, { method: "POST", agent, headers }, (answer) => answer.resume())
  request.on("error", () => {}) // as most do: a webhook that fails is lost
  request.end(body)
}

async function connect(name) {
  const { state, saveCreds } = await useMultiFileAuthState(`${folder}/${name}`)
  const socket = makeWASocket({ auth: state, logger, waWebSocketUrl: sandbox.socket_url, syncFullHistory: false })
  const bot = bots.get(name) ?? { qr: null, state: "connecting" }
  bot.socket = socket
  bots.set(name, bot)
  socket.ev.on("creds.update", saveCreds)
  socket.ev.on("connection.update", ({ connection, qr, lastDisconnect }) => {
    if (qr) bot.qr = qr
    if (connection) bot.state = connection
    const code = lastDisconnect?.error?.output?.statusCode
    if (connection === "close" && code !== DisconnectReason.loggedOut) connect(name)
  })
  socket.ev.on("messages.upsert", ({ messages }) => {
    for (const message of messages) {
      if (!message.key.fromMe) post({ type: "message.received", data: { id: message.key.id, message } })
    }
  })
  socket.ws.on("CB:ack,class:message", ({ attrs }) => {
    acknowledgements.get(attrs.id)?.()
    acknowledgements.delete(attrs.id)
    post({ type: "message.status", data: { whatsapp_id: attrs.id, state: "sent" } })
  })
  socket.ws.on("CB:receipt", ({ attrs }) => {
    post({ type: "message.status", data: { whatsapp_id: attrs.id, state: attrs.type ?? "delivered" } })
  })
}

const app = express()
app.use(express.json())
app.post("/bots/:name", async (request, response) => {
  await connect(request.params.name)
  response.status(201).json({ id: request.params.name })
})
app.get("/bots/:name", (request, response) => {
  const { qr, state } = bots.get(request.params.name) ?? {}
  response.json({ qr, state })
})
app.post("/bots/:name/messages", async (request, response) => {
  const { socket } = bots.get(request.params.name)
  const messageId = "3EB0" + crypto.randomUUID().replaceAll("-", "").slice(0, 18).toUpperCase()
  const acknowledged = new Promise((resolve) => acknowledgements.set(messageId, resolve))
  await socket.sendMessage(`${request.body.to}@s.whatsapp.net`, { text: request.body.text }, { messageId })
  await acknowledged
  response.status(202).json({ whatsapp_id: messageId })
})
const server = app.listen(0, "127.0.0.1", () => console.log(`listening on ${server.address().port}`))
