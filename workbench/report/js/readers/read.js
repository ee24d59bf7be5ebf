// A dropped file: its format is recognised by content, not by name.

import { MOST_BYTES, ReadError, clean } from "./limits.js";
import { isCallgrind, readCallgrind } from "./callgrind.js";
import { isFirefox, readFirefox } from "./firefox.js";
import { isFolded, isPerf, readFolded, readPerf } from "./text.js";
import { isSpeedscope, readSpeedscope } from "./speedscope.js";
import { readPprof } from "./pprof.js";

const MORE = "This page reads callgrind, folded stacks, perf script, speedscope, Firefox and pprof.";

// The payload of a file. Throws ReadError with a sentence for the user.
export async function readDropped(name, blob) {
  if (blob.size > MOST_BYTES) throw new ReadError("It is larger than 128 MiB.");
  const bytes = await unpacked(new Uint8Array(await blob.arrayBuffer()));
  if (!bytes.length) throw new ReadError("It is empty.");
  try {
    return payloadOf(name, bytes);
  } catch (error) {
    // missing parts of damaged tables
    if (error instanceof TypeError || error instanceof RangeError) throw new ReadError("It is damaged: its tables do not match.");
    throw error;
  }
}

function payloadOf(name, bytes) {
  if (bytes[0] === 0x0a && bytes.length > 2) {
    const { stacks, metric } = readPprof(bytes);
    return { ...stacks.payload(name), metric };
  }
  if (bytes.subarray(0, 4096).includes(0)) throw new ReadError(`Its format is not known here. ${MORE}`);
  const text = new TextDecoder().decode(bytes);
  const stacks = /^\s*\{/.test(text) ? readJson(text) : readText(text);
  return stacks.payload(name);
}

function readJson(text) {
  let data;
  try {
    data = JSON.parse(text);
  } catch (error) {
    throw new ReadError(`It is not complete JSON: ${clean(error.message)}.`);
  }
  if (isSpeedscope(data)) return readSpeedscope(data);
  if (isFirefox(data)) return readFirefox(data);
  throw new ReadError(`It is JSON of another kind. ${MORE}`);
}

function readText(text) {
  if (isCallgrind(text)) return readCallgrind(text);
  if (isPerf(text)) return readPerf(text);
  if (isFolded(text)) return readFolded(text);
  throw new ReadError(`Its format is not known here. ${MORE}`);
}

async function unpacked(bytes) {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const parts = [];
  let size = 0;
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")).getReader();
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch {
      throw new ReadError("Its gzip data are damaged or cut off.");
    }
    if (part.done) break;
    size += part.value.length;
    if (size > MOST_BYTES) {
      await reader.cancel();
      throw new ReadError("It unpacks to more than 128 MiB.");
    }
    parts.push(part.value);
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
