// Reads an AsyncAPI document from standard input with the official parser; prints what it found, and what is wrong.
import { Parser } from "@asyncapi/parser";

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const { document, diagnostics } = await new Parser().parse(Buffer.concat(chunks).toString());
const wrong = diagnostics.filter(({ severity }) => severity <= 1).map(({ code, message }) => `${code}: ${message}`);
const channels = document ? document.channels().all().map((channel) => channel.address()) : [];
const messages = document ? document.messages().all().map((message) => message.name()) : [];
console.log(JSON.stringify({ wrong, channels, messages }));
