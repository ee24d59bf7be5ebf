// What a page carries as gzip in base64, as a Response to be read as text or bytes.

export function unzipped(base64) {
  const text = atob(base64.trim());
  const packed = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) packed[at] = text.charCodeAt(at);
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip")));
}
