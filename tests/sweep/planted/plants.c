/* Faults planted into a stand-in, for the profilers to find: compiled by tests/sweep/plants.py.
 *
 * Python enters by the plant_ functions. libffi, by which it does, moves the stack pointer, and callgrind then takes
 * what it calls for a part of it; what these call has its own name. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FAULT __attribute__((noinline, noclone))

static volatile unsigned long sink;
static char *volatile kept;

/* Work that grows with the receipts of a payer: each receipt looks at all before it. */
static FAULT void planted_scan(long receipts, long work) {
  for (long i = 0; i < receipts * work; i++) sink += (unsigned long)i;
}

/* Memory that nobody frees. */
static FAULT void planted_leak(long bytes) {
  kept = malloc((size_t)bytes);
  if (kept) memset(kept, 1, (size_t)bytes);
}

/* A system call that no receipt needs. */
static FAULT void planted_call(void) { syscall(SYS_getppid); }

/* The same work, done three times where once would do. */
static FAULT void planted_repeat(long work) {
  for (long i = 0; i < work; i++) sink += (unsigned long)i;
}

/* Work that nobody asked for, fifty times a second. */
static FAULT void planted_spin(long work) {
  for (long i = 0; i < work; i++) sink += (unsigned long)i;
}

static void *planted_thread(void *work) {
  const struct timespec pause = {0, 20000000};
  for (;;) {
    planted_spin((long)work);
    nanosleep(&pause, NULL);
  }
  return NULL;
}

static FAULT void planted_receipt(long work) {
  planted_repeat(work);
  sink++;
  planted_repeat(work);
  sink++;
  planted_repeat(work);
}

long plant_repeat(long work) { planted_receipt(work); return (long)sink; }
long plant_thread(long work) { pthread_t thread; return pthread_create(&thread, NULL, planted_thread, (void *)work); }
long plant_scan(long receipts, long work) { planted_scan(receipts, work); return (long)sink; }
long plant_leak(long bytes) { planted_leak(bytes); return kept != 0; }
long plant_call(void) { planted_call(); return (long)sink; }
