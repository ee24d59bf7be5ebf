// Limits for dropped files, and the error for files beyond them. Content is untrusted.

export const MOST_BYTES = 128 * 1024 * 1024;
export const MOST_NODES = 400_000;
export const MOST_SPANS = 200_000;
export const MOST_DEPTH = 2_000;
export const NAME_LETTERS = 1_000;

// A file that this page cannot show: a sentence for the user.
export class ReadError extends Error {}

// like names in packing.py: invisible characters escaped, the middle of very long names cut out
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g; // eslint-disable-line no-control-regex

export function clean(text) {
  const half = NAME_LETTERS / 2;
  const seen = String(text).replace(UNSEEN, (letter) => {
    const code = letter.charCodeAt(0);
    return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
  return seen.length <= NAME_LETTERS ? seen : `${seen.slice(0, half)}…${seen.slice(-half)}`;
}
