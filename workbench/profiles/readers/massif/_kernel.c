/* The loops over the heap trees of a massif file, compiled. ``plain.py`` has the same four functions in numpy, says
   what they return, and is used if there was no compiler at installation. A test checks that both return the same.

   Columns are bytes of 64-bit numbers. No access leaves the buffers given: positions, parents, texts and functions are
   checked before use. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdint.h>
#include <string.h>

typedef const uint8_t *Text;
__extension__ typedef unsigned __int128 Sum; /* holds any sum of numbers below 2**63 */

enum { MOST_CHILDREN_DIGITS = 9, MOST_BYTES_DIGITS = 19, SLOTS = 4096 };
enum { DEPTH, CHILDREN, HELD, BEGIN, END, PARENT, COLUMNS }; /* columns of lines */

/* ---- lines */

typedef struct {
  int64_t *column[COLUMNS];
} Lines;

/* The number of at most ``most`` digits at ``at``. Returns where it ends: ``at`` if there is no number. */
static Text number(Text at, Text stop, int most, uint64_t *value) {
  uint64_t sum = 0;
  unsigned digit;
  for (int count = 0; count < most && at < stop && (digit = *at - '0') <= 9; count++, at++) sum = sum * 10 + digit;
  *value = sum;
  return at;
}

/* Read one line, ``DEPTH blanks, nCHILDREN: HELD TEXT``; 0 if it is not such a line. */
static int one_line(Text data, Text at, Text stop, Lines *lines, Py_ssize_t row) {
  Text begin = at, from;
  uint64_t children, held;
  while (at < stop && *at == ' ') at++;
  lines->column[DEPTH][row] = at - begin;
  if (at == stop || *at != 'n') return 0;
  from = at + 1;
  at = number(from, stop, MOST_CHILDREN_DIGITS, &children);
  if (at == from || stop - at < 2 || at[0] != ':' || at[1] != ' ') return 0;
  from = at + 2;
  at = number(from, stop, MOST_BYTES_DIGITS, &held);
  if (at == from || stop - at < 2 || *at != ' ') return 0;
  lines->column[CHILDREN][row] = (int64_t)children;
  lines->column[HELD][row] = (int64_t)held;
  lines->column[BEGIN][row] = at + 1 - data;
  lines->column[END][row] = stop - data;
  return 1;
}

/* Find parents by depth: 1 if the depths are possible and agree with the numbers of children, -1 without memory. */
static int parents(Lines *lines, Py_ssize_t count) {
  const int64_t *depth = lines->column[DEPTH], *children = lines->column[CHILDREN];
  int64_t *parent = lines->column[PARENT], *last = PyMem_Calloc((size_t)count + 1, sizeof(int64_t));
  int64_t *found = PyMem_Calloc((size_t)count + 1, sizeof(int64_t));
  int agrees = last != NULL && found != NULL ? depth[0] == 0 : -1;
  for (Py_ssize_t row = 0; agrees == 1 && row < count; row++) {
    if (row && (depth[row] < 1 || depth[row] > depth[row - 1] + 1))
      agrees = 0;
    else {
      parent[row] = row ? last[depth[row] - 1] : -1;
      last[depth[row]] = row;
      if (row) found[parent[row]]++;
    }
  }
  if (agrees == 1) agrees = memcmp(found, children, (size_t)count * sizeof(int64_t)) == 0;
  if (agrees == 0) memset(parent, 0, (size_t)count * sizeof(int64_t));
  PyMem_Free(last);
  PyMem_Free(found);
  return agrees;
}

static PyObject *columns_of(Text data, Text at, Text stop, Py_ssize_t count) {
  PyObject *blob[COLUMNS] = {NULL}, *result = NULL;
  Lines lines;
  Py_ssize_t row = 0;
  int sound = 1, agrees = -1;
  for (int column = 0; column < COLUMNS; column++) {
    blob[column] = PyBytes_FromStringAndSize(NULL, count * 8);
    if (blob[column] == NULL) goto done;
    lines.column[column] = (int64_t *)PyBytes_AsString(blob[column]);
  }
  for (; sound && at < stop; row++) {
    Text end = memchr(at, '\n', (size_t)(stop - at));
    if (end == NULL) end = stop;
    sound = row < count && one_line(data, at, end, &lines, row);
    at = end + 1;
  }
  if (!sound || row != count) {
    result = Py_NewRef(Py_None);
    goto done;
  }
  agrees = parents(&lines, count);
  if (agrees < 0) {
    PyErr_NoMemory();
    goto done;
  }
  Py_ssize_t large = 0;
  while (large < count && lines.column[HELD][large] >= 0) large++;
  result = Py_BuildValue("OOOOOOin", blob[0], blob[1], blob[2], blob[3], blob[4], blob[5], agrees,
                         large < count ? large : (Py_ssize_t)-1);
done:
  for (int column = 0; column < COLUMNS; column++) Py_XDECREF(blob[column]);
  return result;
}

static PyObject *lines(PyObject *Py_UNUSED(self), PyObject *args) {
  Py_buffer data;
  Py_ssize_t start, stop, count = 0;
  PyObject *result = NULL;
  if (!PyArg_ParseTuple(args, "y*nn", &data, &start, &stop)) return NULL;
  Text at = data.buf, end;
  if (start < 0 || stop < start || stop > data.len)
    PyErr_SetString(PyExc_ValueError, "lines beyond the data");
  else {
    for (at += start, end = (Text)data.buf + stop; at < end; count++) {
      Text after = memchr(at, '\n', (size_t)(end - at));
      at = after == NULL ? end : after + 1;
    }
    result = count ? columns_of(data.buf, (Text)data.buf + start, end, count) : Py_NewRef(Py_None);
  }
  PyBuffer_Release(&data);
  return result;
}

/* ---- texts */

typedef struct {
  Text text;
  Py_ssize_t size;
  int64_t number;
} Slot;

static size_t slot_of(Text at, Py_ssize_t size) {
  uint64_t hash = (uint64_t)size, piece;
  for (; size > 0; at += 8, size -= 8) {
    piece = 0;
    memcpy(&piece, at, size < 8 ? (size_t)size : 8);
    hash = (hash ^ piece) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 29;
  }
  return (size_t)((hash * 0xBF58476D1CE4E5B9u) >> 32) % SLOTS;
}

/* The number of a text in the mapping, which gives new texts new numbers; -1 with an error set. */
static int64_t asked(PyObject *texts, Text at, Py_ssize_t size) {
  PyObject *text = PyBytes_FromStringAndSize((const char *)at, size);
  PyObject *value = text == NULL ? NULL : PyObject_GetItem(texts, text);
  int64_t number = value == NULL ? -1 : PyLong_AsLongLong(value);
  Py_XDECREF(text);
  Py_XDECREF(value);
  return number;
}

static int number_all(Text data, Py_ssize_t length, const int64_t *begin, const int64_t *end, Py_ssize_t count,
                      PyObject *texts, int64_t *number, Slot *slots) {
  for (Py_ssize_t row = 0; row < count; row++) {
    if (begin[row] < 0 || end[row] < begin[row] || end[row] > length) {
      PyErr_SetString(PyExc_ValueError, "texts beyond the data");
      return -1;
    }
    Text text = data + begin[row];
    Py_ssize_t size = (Py_ssize_t)(end[row] - begin[row]);
    Slot *slot = &slots[slot_of(text, size)];
    if (slot->text == NULL || slot->size != size || memcmp(slot->text, text, (size_t)size) != 0) {
      *slot = (Slot){text, size, asked(texts, text, size)};
      if (slot->number < 0) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "a text has a number below 0");
        return -1;
      }
    }
    number[row] = slot->number;
  }
  return 0;
}

static PyObject *numbers(PyObject *Py_UNUSED(self), PyObject *args) {
  Py_buffer data, begin, end;
  PyObject *texts, *result = NULL;
  if (!PyArg_ParseTuple(args, "y*y*y*O", &data, &begin, &end, &texts)) return NULL;
  Py_ssize_t count = begin.len / 8;
  Slot *slots = PyMem_Calloc(SLOTS, sizeof(Slot));
  if (slots == NULL)
    PyErr_NoMemory();
  else if (end.len != begin.len)
    PyErr_SetString(PyExc_ValueError, "columns differ in length");
  else
    result = PyBytes_FromStringAndSize(NULL, count * 8);
  if (result != NULL && number_all(data.buf, data.len, begin.buf, end.buf, count, texts,
                                   (int64_t *)PyBytes_AsString(result), slots))
    Py_CLEAR(result);
  PyMem_Free(slots);
  PyBuffer_Release(&data);
  PyBuffer_Release(&begin);
  PyBuffer_Release(&end);
  return result;
}

/* ---- checks and notes of a tree */

typedef struct {
  Py_ssize_t count, texts;
  const int64_t *parent, *depth, *held, *text, *address, *small;
  const uint8_t *known, *unnamed;
  uint8_t *seen;    /* kinds of frames, then texts without a name: 1 if seen */
  uint8_t *inlined; /* a byte per node: 1 for inlined frames */
  uint8_t *linked;
  int64_t *stamp;   /* the group of inlined frames that each text was last in; after them the last group */
  int64_t *children;
  Sum *sums;
} Tree;

typedef struct {
  long long count;
  Py_ssize_t first;
} Found;

static void find(Found *found, Py_ssize_t row) {
  if (!found->count++) found->first = row;
}

static int is_sound(const Tree *tree) {
  for (Py_ssize_t row = 0; row < tree->count; row++)
    if (tree->parent[row] < -1 || tree->parent[row] >= row || tree->text[row] < 0 || tree->text[row] >= tree->texts)
      return 0;
  return 1;
}

/* Inlined frames are one below the other with one address; a text that repeats begins a new frame. */
static void find_inlined(Tree *tree) {
  int64_t group = tree->stamp[tree->texts];
  for (Py_ssize_t row = 0; row + 1 < tree->count; row++) {
    int64_t here = tree->text[row], next = tree->text[row + 1];
    tree->linked[row] = tree->children[row] == 1 && tree->parent[row + 1] == row && tree->known[here] &&
                        tree->known[next] && tree->address[here] == tree->address[next];
    tree->inlined[row] = tree->linked[row];
  }
  for (Py_ssize_t row = 0; row < tree->count; row++) {
    int64_t *stamp = &tree->stamp[tree->text[row]];
    if (!row || !tree->linked[row - 1])
      group++;
    else if (*stamp == group) {
      tree->inlined[row - 1] = 0;
      group++;
    }
    *stamp = group;
  }
  tree->stamp[tree->texts] = group;
}

/* Add the kinds of frames that were not seen before to ``kinds``, in order; -1 with an error set. */
static int find_kinds(const Tree *tree, PyObject *kinds) {
  for (Py_ssize_t row = 0; row < tree->count; row++) {
    int64_t kind = tree->text[row] * 3 + (tree->depth[row] == 0 ? 2 : tree->inlined[row]);
    if (tree->seen[kind]) continue;
    tree->seen[kind] = 1;
    PyObject *value = PyLong_FromLongLong(kind);
    int failed = value == NULL || PyList_Append(kinds, value);
    Py_XDECREF(value);
    if (failed) return -1;
  }
  return 0;
}

static PyObject *judged(Tree *tree, PyObject *inlined, PyObject *kinds) {
  Found odd = {0, -1}, unnamed = {0, -1}, apart = {0, -1};
  Sum weight = 0, most = 0, own = 0;
  Py_ssize_t highest = -1;
  for (Py_ssize_t row = 0; row < tree->count; row++) {
    int64_t up = tree->parent[row], text = tree->text[row];
    if (up >= 0) {
      tree->children[up]++;
      tree->sums[up] += (uint64_t)tree->held[row];
    }
    if (tree->depth[row] > 0 && !tree->known[text] && tree->small[text] == 0) find(&odd, row);
    if (tree->unnamed[text]) {
      find(&unnamed, row);
      tree->seen[3 * tree->texts + text] = 1;
    }
  }
  for (Py_ssize_t row = 0; row < tree->count; row++) {
    Sum held = (uint64_t)tree->held[row], sum = tree->sums[row];
    if (tree->children[row] && (highest < 0 || sum > most)) {
      most = sum;
      highest = row;
    }
    if (held > sum) own += held - sum;
    if (!tree->children[row] || held == sum) continue;
    find(&apart, row);
    weight += held > sum ? held - sum : sum - held;
  }
  find_inlined(tree);
  if (find_kinds(tree, kinds)) return NULL;
  return Py_BuildValue("OO(Ln)(Ln)(LnKK)(nKK)(KK)", inlined, kinds, odd.count, odd.first, unnamed.count, unnamed.first,
                       apart.count, apart.first, (unsigned long long)(weight >> 64), (unsigned long long)weight, highest,
                       (unsigned long long)(most >> 64), (unsigned long long)most, (unsigned long long)(own >> 64),
                       (unsigned long long)own);
}

static PyObject *judge(PyObject *Py_UNUSED(self), PyObject *args) {
  Py_buffer parent, depth, held, text, address, small, known, unnamed, seen, stamp;
  if (!PyArg_ParseTuple(args, "y*y*y*y*y*y*y*y*w*w*", &parent, &depth, &held, &text, &address, &small, &known, &unnamed,
                        &seen, &stamp))
    return NULL;
  Tree tree = {.count = parent.len / 8, .texts = known.len, .parent = parent.buf, .depth = depth.buf, .held = held.buf,
               .text = text.buf, .address = address.buf, .small = small.buf, .known = known.buf,
               .unnamed = unnamed.buf, .seen = seen.buf, .stamp = stamp.buf};
  PyObject *result = NULL, *kinds = PyList_New(0), *inlined = PyBytes_FromStringAndSize(NULL, tree.count);
  size_t room = (size_t)tree.count + 1;
  int sound = depth.len == parent.len && held.len == parent.len && text.len == parent.len;
  sound = sound && address.len == 8 * tree.texts && small.len == 8 * tree.texts && unnamed.len == tree.texts;
  tree.linked = PyMem_Calloc(room, 1);
  tree.children = PyMem_Calloc(room, sizeof(int64_t));
  tree.sums = PyMem_Calloc(room, sizeof(Sum));
  if (kinds == NULL || inlined == NULL || !tree.linked || !tree.children || !tree.sums)
    PyErr_NoMemory();
  else if (!sound || seen.len != 4 * tree.texts || stamp.len != 8 * tree.texts + 8 || !is_sound(&tree))
    PyErr_SetString(PyExc_ValueError, "columns or texts that do not fit");
  else {
    tree.inlined = (uint8_t *)PyBytes_AsString(inlined);
    memset(tree.inlined, 0, (size_t)tree.count);
    result = judged(&tree, inlined, kinds);
  }
  Py_XDECREF(kinds);
  Py_XDECREF(inlined);
  PyMem_Free(tree.linked);
  PyMem_Free(tree.children);
  PyMem_Free(tree.sums);
  Py_buffer *all[] = {&parent, &depth, &held, &text, &address, &small, &known, &unnamed, &seen, &stamp};
  for (size_t index = 0; index < sizeof all / sizeof *all; index++) PyBuffer_Release(all[index]);
  return result;
}

/* ---- the bytes that functions hold in the tree that is shown */

typedef struct {
  Py_ssize_t count, texts, functions;
  const int64_t *parent, *depth, *held, *text, *small;
  const int64_t *function_of; /* the function of each kind of frame */
  const uint8_t *inlined;
  int64_t *below; /* the sum of each node's own bytes and those of all nodes below it */
  int64_t *own, *path, *active, *function;
  int64_t *selves, *totals;
  int64_t deepest, frames;
} Shown;

static void sum_below(Shown *shown) {
  for (Py_ssize_t row = 0; row < shown->count; row++)
    if (shown->parent[row] >= 0) {
      uint64_t *sum = (uint64_t *)&shown->below[shown->parent[row]];
      *sum += (uint64_t)shown->held[row];
    }
  for (Py_ssize_t row = 0; row < shown->count; row++) {
    int64_t held = shown->held[row], sum = shown->below[row];
    shown->own[row] = held > sum ? held - sum : 0;
    shown->below[row] = shown->own[row];
  }
  for (Py_ssize_t row = shown->count - 1; row > 0; row--)
    if (shown->parent[row] >= 0) {
      uint64_t *sum = (uint64_t *)&shown->below[shown->parent[row]];
      *sum += (uint64_t)shown->below[row];
    }
}

/* Sum what functions hold, and of stacks with a node below the threshold the number of places and the bytes. A
   function counts once per stack: at its node nearest the top. -1 if the nodes are not in preorder. */
static int walk(Shown *shown, int64_t *places, int64_t *bytes) {
  Py_ssize_t top = 0, small_above = 0;
  for (Py_ssize_t row = 0; row < shown->count; row++) {
    int64_t function = shown->function[row], own = shown->own[row];
    int64_t wanted = shown->depth[row] > 1 ? shown->depth[row] : 1;
    int64_t small = shown->small[shown->text[row]];
    while (top && shown->path[top - 1] != shown->parent[row]) {
      int64_t left = shown->path[--top];
      if (shown->depth[left] == 0) continue;
      shown->active[shown->function[left]]--;
      small_above -= shown->small[shown->text[left]] > 0;
    }
    if (shown->parent[row] >= 0 && !top) return -1;
    shown->path[top++] = row;
    if (own && wanted > shown->deepest) shown->deepest = wanted;
    if (own) shown->frames += wanted;
    if (shown->depth[row] == 0) {
      shown->selves[function] += own;
      shown->totals[function] += own;
      continue;
    }
    if (!shown->active[function]++) shown->totals[function] += shown->below[row];
    if (shown->depth[row] == 1) shown->selves[function] += shown->below[row];
    small_above += small > 0;
    if (own && small_above) {
      *places += small;
      *bytes += own;
    }
  }
  return 0;
}

/* Whether all columns are valid; also finds the function of each node. */
static int fits(const Shown *shown) {
  for (Py_ssize_t row = 0; row < shown->count; row++) {
    int64_t text = shown->text[row], depth = shown->depth[row];
    if (shown->parent[row] < -1 || shown->parent[row] >= row || depth < 0 || shown->held[row] < 0) return 0;
    if (text < 0 || text >= shown->texts) return 0;
    int64_t function = shown->function_of[text * 3 + (depth == 0 ? 2 : shown->inlined[row] != 0)];
    if (function < 0 || function >= shown->functions) return 0;
    shown->function[row] = function;
  }
  return 1;
}

static PyObject *held_by(PyObject *Py_UNUSED(self), PyObject *args) {
  Py_buffer parent, depth, held, text, inlined, small, function_of;
  Py_ssize_t functions;
  if (!PyArg_ParseTuple(args, "y*y*y*y*y*y*y*n", &parent, &depth, &held, &text, &inlined, &small, &function_of,
                        &functions))
    return NULL;
  Shown shown = {.count = parent.len / 8, .texts = small.len / 8, .functions = functions, .parent = parent.buf,
                 .depth = depth.buf, .held = held.buf, .text = text.buf, .small = small.buf,
                 .function_of = function_of.buf, .inlined = inlined.buf};
  int sound = depth.len == parent.len && held.len == parent.len && text.len == parent.len;
  sound = sound && inlined.len == shown.count && function_of.len == 3 * small.len;
  sound = sound && functions >= 0 && functions <= function_of.len;
  size_t room = (size_t)shown.count + 1, groups = sound ? (size_t)functions : 0;
  PyObject *selves = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)groups * 8);
  PyObject *totals = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)groups * 8), *result = NULL;
  int64_t places = 0, bytes = 0;
  shown.below = PyMem_Calloc(4 * room, sizeof(int64_t));
  shown.active = PyMem_Calloc(groups + 1, sizeof(int64_t));
  if (shown.below == NULL || shown.active == NULL || selves == NULL || totals == NULL)
    PyErr_NoMemory();
  else {
    shown.own = shown.below + room, shown.path = shown.own + room, shown.function = shown.path + room;
    shown.selves = (int64_t *)PyBytes_AsString(selves);
    shown.totals = (int64_t *)PyBytes_AsString(totals);
    memset(shown.selves, 0, groups * 8);
    memset(shown.totals, 0, groups * 8);
    sound = sound && fits(&shown);
    if (sound) sum_below(&shown);
    if (!sound || walk(&shown, &places, &bytes))
      PyErr_SetString(PyExc_ValueError, "columns or functions that do not fit, or nodes not in preorder");
    else
      result = Py_BuildValue("OOLLLL", selves, totals, (long long)places, (long long)bytes, (long long)shown.deepest,
                             (long long)shown.frames);
  }
  Py_XDECREF(selves);
  Py_XDECREF(totals);
  PyMem_Free(shown.below);
  PyMem_Free(shown.active);
  Py_buffer *all[] = {&parent, &depth, &held, &text, &inlined, &small, &function_of};
  for (size_t index = 0; index < sizeof all / sizeof *all; index++) PyBuffer_Release(all[index]);
  return result;
}

static PyMethodDef methods[] = {{"lines", lines, METH_VARARGS, "The lines of a tree: see plain.lines."},
                                {"numbers", numbers, METH_VARARGS, "The numbers of texts: see plain.numbers."},
                                {"judge", judge, METH_VARARGS, "What is noted of a tree: see plain.judge."},
                                {"held_by", held_by, METH_VARARGS, "What functions hold: see plain.held_by."},
                                {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_kernel", .m_size = 0, .m_methods = methods};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModuleDef_Init(&module); }
