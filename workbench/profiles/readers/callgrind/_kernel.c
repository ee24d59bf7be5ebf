/* The two loops over the bytes of a callgrind file, compiled. ``plain.py`` has the same two functions in Python, says
   what they return, and is used if there was no compiler at installation. A test checks that both return the same.

   No access leaves the buffers given: positions of marks and rows of tables are checked before use. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdint.h>
#include <string.h>

typedef const uint8_t *Text;

enum { NAMED, CALL, JUMP };                          /* kinds of marks and of runs */
enum { IS_SOUND, NO_POSITION, NO_COST, NO_ROOM };    /* faults */
enum { MISSING, EXTRA, WRONG_LINE, WRAPPED, ODDITIES }; /* noted; the line is still read */

typedef struct {
  int64_t begin, end, value;
  int32_t costs, kind;
} Mark;

typedef struct {
  int64_t mark, line, address, kind;
} Run;

/* ---- words */

static Text skip_blanks(Text at, Text stop) {
  while (at < stop && *at <= 32 && *at != '\n') at++;
  return at;
}

static Text skip_word(Text at, Text stop) {
  while (at < stop && *at > 32) at++;
  return at;
}

static Text line_end(Text at, Text stop) {
  Text end = at < stop ? memchr(at, '\n', (size_t)(stop - at)) : NULL;
  return end == NULL ? stop : end;
}

/* Where the last word of a line ends. */
static Text text_end(Text at, Text end) {
  while (end > at && end[-1] <= 32) end--;
  return end;
}

static int starts(Text at, Text stop, const char *word) {
  size_t size = strlen(word);
  return (size_t)(stop - at) >= size && memcmp(at, word, size) == 0;
}

/* A whole number in decimal or, after 0x, hexadecimal digits: 1 if it is below 2**63, 2 if it is below 2**64, 0 for
   anything else. */
static int whole_number(Text at, Text stop, uint64_t *value) {
  unsigned base = 10;
  uint64_t sum = 0, most = UINT64_MAX / 10; /* to which a digit can be added, or it is compared exactly */
  if (stop - at > 40) return 0;
  if (stop - at > 2 && at[0] == '0' && (at[1] | 32) == 'x') {
    base = 16;
    most = UINT64_MAX / 16;
    at += 2;
  }
  if (at >= stop) return 0;
  for (; at < stop; at++) {
    unsigned digit = *at - '0';
    if (digit > 9) digit = (*at | 32) >= 'a' ? (unsigned)(*at | 32) - 'a' + 10 : base;
    if (digit >= base || (sum >= most && sum > (UINT64_MAX - digit) / base)) return 0;
    sum = sum * base + digit;
  }
  *value = sum;
  return sum <= INT64_MAX ? 1 : 2;
}

/* ---- lines that are not cost lines */

typedef struct {
  Mark *marks;
  size_t count, room;
  uint32_t *slots; /* a hash table: 1 + the first mark with a text */
  uint64_t *hashes;
  size_t slot_count, distinct;
  uint64_t seed;
  PyObject *texts; /* a list of the distinct texts */
} Found;

static int more_marks(Found *found) {
  size_t room = found->room ? 2 * found->room : 4096;
  Mark *marks = PyMem_Realloc(found->marks, room * sizeof(Mark));
  if (marks == NULL) return -1;
  found->marks = marks;
  found->room = room;
  return 0;
}

static int more_slots(Found *found) {
  size_t count = found->slot_count ? 4 * found->slot_count : 4096;
  uint32_t *slots = PyMem_Calloc(count, sizeof(uint32_t));
  uint64_t *hashes = PyMem_Malloc(count * sizeof(uint64_t));
  if (slots == NULL || hashes == NULL) {
    PyMem_Free(slots);
    PyMem_Free(hashes);
    return -1;
  }
  for (size_t old = 0; old < found->slot_count; old++) {
    if (!found->slots[old]) continue;
    size_t slot = found->hashes[old] & (count - 1);
    while (slots[slot]) slot = (slot + 1) & (count - 1);
    slots[slot] = found->slots[old];
    hashes[slot] = found->hashes[old];
  }
  PyMem_Free(found->slots);
  PyMem_Free(found->hashes);
  found->slots = slots;
  found->hashes = hashes;
  found->slot_count = count;
  return 0;
}

static uint64_t hash_of(Text at, Text end, uint64_t seed) {
  uint64_t hash = seed ^ (uint64_t)(end - at), piece;
  while (at < end) {
    size_t size = end - at < 8 ? (size_t)(end - at) : 8;
    piece = 0;
    memcpy(&piece, at, size);
    hash = (hash ^ piece) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 29;
    at += size;
  }
  hash *= 0xBF58476D1CE4E5B9u;
  return hash ^ (hash >> 32);
}

/* The first mark with this text: the current mark if the text is new. -1 without memory. */
static int64_t first_of(Found *found, Text data, Text at, Text end) {
  if (2 * (found->distinct + 1) > found->slot_count && more_slots(found)) return -1;
  uint64_t hash = hash_of(at, end, found->seed);
  size_t slot = hash & (found->slot_count - 1), size = (size_t)(end - at);
  for (; found->slots[slot]; slot = (slot + 1) & (found->slot_count - 1)) {
    if (found->hashes[slot] != hash) continue;
    const Mark *other = &found->marks[found->slots[slot] - 1];
    Text there = data + other->begin;
    if ((size_t)(text_end(there, data + other->end) - there) == size && memcmp(there, at, size) == 0)
      return found->slots[slot] - 1;
  }
  PyObject *text = PyBytes_FromStringAndSize((const char *)at, end - at);
  int failed = text == NULL || PyList_Append(found->texts, text);
  Py_XDECREF(text);
  if (failed) return -1;
  found->slots[slot] = (uint32_t)found->count + 1;
  found->hashes[slot] = hash;
  found->distinct++;
  return (int64_t)found->count;
}

/* The number after ``calls=``, -1 if there is none. */
static int64_t calls_of(Text at, Text stop) {
  uint64_t count = 0;
  at = skip_blanks(at, stop);
  return whole_number(at, skip_word(at, stop), &count) == 1 ? (int64_t)count : -1;
}

static int add_mark(Found *found, Text data, Text at, Text end, Text after) {
  if (found->count == found->room && more_marks(found)) return -1;
  int32_t kind = NAMED;
  int64_t value;
  if (starts(at, end, "calls=") || starts(at, end, "rcalls=")) {
    kind = CALL;
    value = calls_of(at + (*at == 'r' ? 7 : 6), end);
  } else if (end - at > 4 && at[0] == 'j' && (at[1] == 'u' || at[1] == 'c') && at[4] == '=') {
    kind = JUMP;
    value = 0;
  } else {
    value = first_of(found, data, at, text_end(at, end));
    if (value < 0) return -1;
  }
  found->marks[found->count++] = (Mark){at - data, after - data, value, 0, kind};
  return 0;
}

static int find_marks(Found *found, Text data, Text at, Text stop) {
  if (more_marks(found)) return -1;
  found->marks[found->count++] = (Mark){at - data, at - data, -1, 0, NAMED};
  while (at < stop) {
    at = skip_blanks(at, stop);
    if (at == stop) break;
    Text end = line_end(at, stop), after = end < stop ? end + 1 : stop;
    uint8_t head = *at;
    if (head == '+' || head == '-' || head == '*' || (head >= '0' && head <= '9'))
      found->marks[found->count - 1].costs++;
    else if (head != '\n' && head != '#' && add_mark(found, data, at, end, after))
      return -1;
    at = after;
  }
  return 0;
}

static PyObject *marks(PyObject *Py_UNUSED(self), PyObject *args) {
  Py_buffer data;
  Py_ssize_t start, stop;
  unsigned long long seed;
  PyObject *result = NULL;
  if (!PyArg_ParseTuple(args, "y*nnK", &data, &start, &stop, &seed)) return NULL;
  Found found = {.seed = seed, .texts = PyList_New(0)};
  if (start < 0 || stop < start || stop > data.len || stop - start >= INT32_MAX)
    PyErr_SetString(PyExc_ValueError, "a piece beyond the data, or of 2 GiB");
  else if (found.texts == NULL || find_marks(&found, data.buf, (Text)data.buf + start, (Text)data.buf + stop))
    PyErr_NoMemory();
  else
    result = Py_BuildValue("y#O", (char *)found.marks, (Py_ssize_t)(found.count * sizeof(Mark)), found.texts);
  Py_XDECREF(found.texts);
  PyMem_Free(found.marks);
  PyMem_Free(found.slots);
  PyMem_Free(found.hashes);
  PyBuffer_Release(&data);
  return result;
}

/* ---- cost lines */

typedef struct {
  Text data, stop;
  int64_t positions, line, address, events; /* columns; line and address: -1 if it is not read */
  int64_t *state;                           /* the current line and address */
  int64_t *table, *sums;
  double *sizes;
  int64_t rows; /* of the table */
  Run *runs;    /* NULL: costs are summed by the rows given */
  int64_t run_count, run_room;
  Run last;
  int each; /* a run for each line */
  int fault;
  Text fault_at;
  Text here; /* the current line */
  int64_t odd[ODDITIES];
  Text odd_at[ODDITIES];
} Sums;

static void note(Sums *sums, int what) {
  if (!sums->odd[what]++) sums->odd_at[what] = sums->here;
}

/* Change a position as a word says: to N, by +N or -N, to the start of a range. */
static int move(Text at, Text end, int64_t *position) {
  uint8_t lead = *at;
  uint64_t number = 0;
  Text from = at;
  while (from < end && (*from == '+' || *from == '-' || *from == '*')) from++;
  Text until = from;
  while (until < end && *until != ':' && *until != '+' && *until != '-') until++;
  if (from < end && whole_number(from, until, &number) != 1) return 0;
  if (lead == '-') number = 0 - number;
  if (lead == '+' || lead == '-' || lead == '*') number += (uint64_t)*position;
  *position = (int64_t)number;
  return 1;
}

/* The cost at this word; *next becomes the end of the word. */
static int64_t cost_of(Sums *sums, Text at, Text *next) {
  uint64_t number = 0;
  Text end = at;
  unsigned digit;
  while (end < sums->stop && (digit = *end - '0') <= 9) {
    number = number * 10 + digit;
    end++;
  }
  *next = end;
  if (end > at && end - at <= 18 && (end == sums->stop || *end <= 32)) return (int64_t)number;
  *next = skip_word(end, sums->stop);
  int negative = *at == '-';
  int kind = whole_number(at + negative, *next, &number);
  if (kind == 0 || (negative && kind == 2)) {
    if (sums->fault) return 0;
    sums->fault = NO_COST;
    sums->fault_at = at;
    return 0;
  }
  if (kind == 2) note(sums, WRAPPED);
  return (int64_t)(negative ? 0 - number : number);
}

/* Read the positions of a line; returns where its costs begin. */
static Text read_positions(Sums *sums, Text at) {
  Text first = at;
  for (int64_t column = 0; column < sums->positions; column++) {
    int missing = at == sums->stop || *at == '\n';
    Text word = missing ? first : at, end = skip_word(word, sums->stop);
    int64_t *position = column == sums->line ? &sums->state[0] : column == sums->address ? &sums->state[1] : NULL;
    int64_t unused = 0;
    if (position != NULL && missing) {
      note(sums, MISSING);
      position = &unused;
    }
    if (position != NULL && !(*word == '*' && end == word + 1) && !move(word, end, position) && !sums->fault) {
      sums->fault = NO_POSITION;
      sums->fault_at = word;
    }
    if (!missing) at = skip_blanks(end, sums->stop);
  }
  return at;
}

/* The run that a line is in: the last run if it has the same mark and source line, else a new one. -1 without room. */
static int64_t run_of(Sums *sums, int64_t mark, int64_t line, int kind) {
  Run run = {mark, line, sums->state[1], kind}, *last = &sums->last;
  int same = sums->run_count && kind == NAMED && last->kind == NAMED && last->mark == mark && last->line == line;
  if (same && !sums->each) return sums->run_count - 1;
  if (sums->runs != NULL && sums->run_count == sums->run_room) return -1;
  *last = run;
  if (sums->runs != NULL) sums->runs[sums->run_count] = run;
  return sums->run_count++;
}

static Text cost_line(Sums *sums, Text at, int64_t mark, int64_t row, int kind) {
  sums->here = at;
  at = read_positions(sums, at);
  int64_t line = sums->line < 0 ? 0 : sums->state[0];
  if (line < 0 || line > INT32_MAX) {
    note(sums, WRONG_LINE);
    line = 0;
  }
  int64_t run = run_of(sums, mark, line, kind);
  if (sums->runs != NULL) row = run;
  if (sums->fault) return at;
  if (row < 0 || row >= sums->rows) {
    sums->fault = NO_ROOM;
    sums->fault_at = sums->here;
    return at;
  }
  int64_t *costs = sums->table + row * sums->events;
  if (kind == JUMP) return line_end(at, sums->stop);
  for (int64_t column = 0; at < sums->stop && *at != '\n'; column++) {
    if (column == sums->events) {
      note(sums, EXTRA);
      return line_end(at, sums->stop);
    }
    unsigned digit = *at - '0';
    int64_t cost;
    if (digit <= 9 && at + 1 < sums->stop && at[1] <= 32) { /* most costs have one digit */
      cost = digit;
      at++;
    } else
      cost = cost_of(sums, at, &at);
    if (cost) {
      costs[column] = (int64_t)((uint64_t)costs[column] + (uint64_t)cost);
      sums->sizes[column] += cost < 0 ? -(double)cost : (double)cost;
      if (kind == NAMED) sums->sums[column] = (int64_t)((uint64_t)sums->sums[column] + (uint64_t)cost);
    }
    at = skip_blanks(at, sums->stop);
  }
  return at;
}

/* Add up the cost lines after a mark; the first line after a call or a jump belongs to that. */
static void after_mark(Sums *sums, int64_t index, const Mark *mark, Text stop, int64_t own, int64_t call) {
  Text at = sums->data + mark->end;
  int kind = mark->kind;
  sums->stop = stop;
  while (at < stop && !sums->fault) {
    at = skip_blanks(at, stop);
    if (at == stop) break;
    if (*at == '\n' || *at == '#') {
      at = *at == '\n' ? at + 1 : line_end(at, stop);
      continue;
    }
    at = cost_line(sums, at, index, kind == CALL ? call : own, kind);
    kind = NAMED;
  }
}

static PyObject *result_of(const Sums *sums) {
  PyObject *odd = PyTuple_New(ODDITIES);
  if (odd == NULL) return NULL;
  for (int what = 0; what < ODDITIES; what++) {
    Py_ssize_t at = sums->odd[what] ? sums->odd_at[what] - sums->data : -1;
    PyObject *pair = Py_BuildValue("Ln", (long long)sums->odd[what], at);
    if (pair == NULL || PyTuple_SetItem(odd, what, pair)) {
      Py_DECREF(odd);
      return NULL;
    }
  }
  Py_ssize_t fault_at = sums->fault ? sums->fault_at - sums->data : -1;
  return Py_BuildValue("LinN", (long long)sums->run_count, sums->fault, fault_at, odd);
}

static PyObject *costs(PyObject *Py_UNUSED(self), PyObject *args) {
  Py_buffer data, marks_, own, call, state, table, own_sums, sizes, runs = {0};
  Py_ssize_t stop;
  Sums sums = {0};
  long long layout[4];
  int each;
  if (!PyArg_ParseTuple(args, "y*ny*y*y*(LLLL)w*w*w*w*w*p", &data, &stop, &marks_, &own, &call, &layout[0], &layout[1],
                        &layout[2], &layout[3], &state, &table, &own_sums, &sizes, &runs, &each))
    return NULL;
  const Mark *mark = marks_.buf;
  int64_t count = (int64_t)(marks_.len / (Py_ssize_t)sizeof(Mark)), events = layout[3];
  int sound = stop >= 0 && stop <= data.len && events >= 0 && events <= 64 && layout[0] >= 0 && layout[0] <= 8;
  sound = sound && own.len >= count * 8 && call.len >= count * 8 && state.len >= 16;
  sound = sound && own_sums.len >= events * 8 && sizes.len >= events * 8;
  for (int64_t index = 0; sound && index < count; index++)
    sound = mark[index].end >= 0 && mark[index].end <= (index + 1 < count ? mark[index + 1].begin : stop) &&
            (index + 1 == count || mark[index + 1].begin <= mark[index + 1].end);
  sums.data = data.buf;
  sums.positions = layout[0], sums.line = layout[1], sums.address = layout[2], sums.events = events;
  sums.state = state.buf, sums.table = table.buf, sums.sums = own_sums.buf, sums.sizes = sizes.buf;
  sums.rows = events ? table.len / 8 / events : INT64_MAX;
  sums.run_room = runs.len / (Py_ssize_t)sizeof(Run);
  sums.runs = sums.run_room ? runs.buf : NULL;
  sums.each = each;
  PyObject *result = NULL;
  if (sound) {
    for (int64_t index = 0; index < count && !sums.fault; index++)
      if (mark[index].costs)
        after_mark(&sums, index, &mark[index], sums.data + (index + 1 < count ? mark[index + 1].begin : stop),
                   ((int64_t *)own.buf)[index], ((int64_t *)call.buf)[index]);
    result = result_of(&sums);
  } else
    PyErr_SetString(PyExc_ValueError, "marks, tables or columns that do not fit");
  Py_buffer *all[] = {&data, &marks_, &own, &call, &state, &table, &own_sums, &sizes, &runs};
  for (size_t index = 0; index < sizeof all / sizeof *all; index++) PyBuffer_Release(all[index]);
  return result;
}

static PyMethodDef methods[] = {{"marks", marks, METH_VARARGS, "The lines without costs: see plain.marks."},
                                {"costs", costs, METH_VARARGS, "Cost lines summed: see plain.costs."},
                                {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_kernel", .m_size = 0, .m_methods = methods};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModuleDef_Init(&module); }
