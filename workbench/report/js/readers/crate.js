// The crate, package or module of a function, by the rules of names.py: equal crates have equal colours.

const CRATE = /^([A-Za-z_]\w*)(?:\[[0-9a-f]+\])?$/;
const GO = /^((?:[\w.~-]+\/)*[\w~-]+)\.(?:\(|[A-Za-z_])/;

export function crateOf(name, file) {
  const path = ofPath(name);
  if (path) return path;
  if (/\.pyx?$/.test(file)) return ofPython(file);
  const go = GO.exec(name);
  return go && (/\.(go|s)$/.test(file) || name.includes("/")) ? go[1] : "";
}

function ofPath(name) {
  let text = name.replace(/^[<_&*( ]+/, "");
  for (const word of ["dyn ", "impl ", "mut "]) if (text.startsWith(word)) text = text.slice(word.length);
  text = text.replaceAll("$LT$", "<").replace(/^[<&*( ]+/, "");
  const ends = [text.indexOf("::"), text.indexOf("..")].filter((end) => end >= 0);
  return ends.length ? CRATE.exec(text.slice(0, Math.min(...ends)))?.[1] ?? "" : "";
}

function ofPython(file) {
  const site = /\/(?:site|dist)-packages\/([^/]+)/.exec(file);
  if (site) return site[1].replace(/\.py$/, "");
  const library = file.lastIndexOf("/lib/python");
  if (library >= 0) return file.slice(library + 11).split("/").slice(1)[0]?.replace(/\.py$/, "") ?? "";
  return file.replaceAll("\\", "/").split("/").pop().replace(/\.py$/, "");
}
