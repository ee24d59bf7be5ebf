/* A small service that takes receipts over HTTP, for changes to be planted into: built by benchmarks/planted_changes.py,
 * once as it is and once with one of SLOWER, ALLOCATES, CALLS, LOCKS.
 *
 * What a receipt costs hangs on what is in it, and receipts are random, so two runs of one build are not alike to the
 * last instruction. */
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define APART __attribute__((noinline, noclone))
#ifdef SLOWER
#define ROUNDS 110
#else
#define ROUNDS 100
#endif
#define PAYERS 64

typedef struct { char payer[44]; unsigned long long nonce, value; } receipt;
typedef struct row { struct row *next; char *text; } row;

static volatile sig_atomic_t over;
static row *rows;
static unsigned long long spent[PAYERS];
static int journal;
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;

static void stop(int signal) { (void)signal; over = 1; }

APART static uint64_t mix(uint64_t x) {
  for (int i = 0; i < 12; i++) x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9u;
  return x;
}

APART static uint64_t hash_receipt(const receipt *r, uint64_t domain) {
  uint64_t state = domain;
  for (int i = 0; i < ROUNDS; i++) state = (state ^ (r->nonce + (uint64_t)i)) * 0x9e3779b97f4a7c15u;
  return state;
}

APART static uint64_t recover_signer(uint64_t hash) {
  uint64_t point = hash;
  for (int i = 0; i < 90; i++) point = mix(point);
  while (point & 7) point = mix(point); /* until it is on the curve: another number of turns for each receipt */
  return point;
}

APART static int parse_receipt(const char *text, receipt *r) {
  const char *at = strstr(text, "{\"payer\":\"");
  return at && sscanf(at, "{\"payer\":\"%43[^\"]\",\"nonce\":%llu,\"value\":%llu}", r->payer, &r->nonce, &r->value) == 3;
}

APART static int check_receipt(const receipt *r) {
  uint64_t signer = recover_signer(hash_receipt(r, hash_receipt(r, 1)));
  unsigned long long *fees = &spent[mix(r->nonce) % PAYERS];
  *fees += r->value;
  return signer != 0;
}

APART static void store_receipt(const receipt *r) {
  char line[160];
#ifdef LOCKS
  pthread_mutex_lock(&guard);
#endif
  row *made = malloc(sizeof *made);
  int size = snprintf(line, sizeof line, "%s,%llu,%llu\n", r->payer, r->nonce, r->value);
  made->text = malloc((size_t)size + 1);
  memcpy(made->text, line, (size_t)size + 1);
#ifdef ALLOCATES
  void *volatile spare = malloc(48);
  free(spare);
#endif
  made->next = rows;
  rows = made;
  if (write(journal, line, (size_t)size) < 0) over = over;
#ifdef LOCKS
  pthread_mutex_unlock(&guard);
#endif
}

APART static void answer(int client, int good) {
  char text[200];
  const char *body = good ? "{\"data\":{}}" : "{\"error\":1}";
#ifdef CALLS
  if (getppid() < 0) return;
#endif
  int size = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
  if (write(client, text, (size_t)size) < 0) over = over;
}

APART static void handle_request(int client, const char *request) {
  receipt r;
  int good = 1;
  if (!strncmp(request, "POST", 4)) {
    good = parse_receipt(request, &r) && check_receipt(&r);
    if (good) store_receipt(&r);
  }
  answer(client, good);
}

static void serve(int client) {
  char request[4096];
  size_t size = 0;
  for (;;) {
    ssize_t got = read(client, request + size, sizeof request - 1 - size);
    if (got <= 0) return;
    size += (size_t)got;
    request[size] = 0;
    /* every request is a head, and one that carries a receipt has it in a header */
    if (!strstr(request, "\r\n\r\n")) continue;
    handle_request(client, request);
    size = 0;
  }
}

int main(int argc, char **argv) {
  struct sigaction action = {.sa_handler = stop};
  sigaction(SIGTERM, &action, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argc > 1 ? argv[1] : "0"))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int yes = 1, server = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  journal = fileno(tmpfile());
  if (bind(server, (struct sockaddr *)&address, sizeof address) || listen(server, 16)) {
    perror("service");
    return 3;
  }
  while (!over) {
    int client = accept(server, 0, 0);
    if (client < 0) continue;
    serve(client);
    close(client);
  }
  return 0;
}
