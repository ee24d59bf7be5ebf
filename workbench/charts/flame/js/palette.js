// Tints on which text can be read, the same for the same name on every page and in every run: see crate_colours.py, which
// has the same numbers.

export const LIGHT = [
  "#ffc4cc", "#f59eab", "#ffc6b8", "#f6a18f", "#ffcba9", "#efa878", "#f3d2a0", "#e0b26a",
  "#e3d9a0", "#cabc6a", "#cee0a9", "#aec678", "#b9e5b9", "#8fcd91", "#a7e8ce", "#71d0ad",
  "#9ce8e2", "#5cd0c9", "#9de5f5", "#5dcce2", "#a7e0ff", "#73c5f4", "#b9daff", "#90bdfe",
  "#cdd3ff", "#adb3fd", "#e1ccff", "#c7aaf3", "#f1c7f3", "#dda3e0", "#fec4e1", "#ed9fc7",
];
export const DARK = [
  "#834550", "#652e39", "#84483b", "#663026", "#7f4d28", "#623512", "#75541a", "#5a3c00",
  "#665c1a", "#4c4300", "#526228", "#3b4911", "#3a673c", "#244d26", "#1b6a51", "#004f3a",
  "#006a65", "#004f4c", "#006777", "#004d5b", "#1f6284", "#014867", "#3b5c8a", "#25436c",
  "#52558a", "#3a3d6c", "#644e82", "#4b3765", "#734975", "#57325a", "#7d4664", "#602f4a",
];

const SPREAD = 0xc3b2cccf;

// 32-bit FNV-1a of the name's UTF-8 bytes, times SPREAD, the upper five bits of that
export function tintNumber(name) {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  return Math.imul(hash, SPREAD) >>> 27;
}
