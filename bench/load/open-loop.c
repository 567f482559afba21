/*
 * Open-loop load: requests arrive as a Poisson process of a fixed rate and go out on keep-alive connections. Latency
 * counts from the send; from the scheduled arrival when that had to wait for a free connection, so that a stalled proxy
 * is charged for the requests it held up. The generator's own lateness is reported apart, as lag.
 * usage: open-loop PORT RATE SECONDS WARMUP CONNECTIONS TOKENS SEED     prints one line of JSON, times in microseconds
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define QUEUE (1 << 20)
#define GIVE_UP 3000000000LL /* ns after the end in which late answers still count */

typedef struct {
  int fd, busy, measured;
  int length; /* bytes of the answer so far */
  int needed; /* bytes of the whole answer; -1: head not complete */
  long long from;
  char answer[32768];
} Connection;

static struct sockaddr_in proxy = {.sin_family = AF_INET};
static long long arrivals[QUEUE]; /* waiting for a free connection */

static long long now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static long long gap_ns(double rate) { return -log((random() + 1.0) / (RAND_MAX + 2.0)) / rate * 1e9; }

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static double quantile(const double *sorted, long n, double q) { return n ? sorted[(long)((n - 1) * q)] : 0; }

static void dial(Connection *c, int epoll, int index) {
  int one = 1;
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
  c->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(c->fd, (void *)&proxy, sizeof proxy)) {
    perror("connect");
    exit(1);
  }
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
  c->busy = 0;
}

static int read_requests(const char *file, int port, char ***requests) {
  FILE *f = fopen(file, "r");
  char *line = NULL;
  size_t room = 0;
  int n = 0;
  while (f && getline(&line, &room, f) > 0) {
    line[strcspn(line, "\n")] = 0;
    *requests = realloc(*requests, sizeof(char *) * (n + 1));
    if (asprintf(&(*requests)[n++], "GET /orders HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %s\r\n\r\n",
                 port, line) < 0)
      return 0;
  }
  return n;
}

/* 1: answer complete, 0: more to come, -1: connection lost or an answer without Content-Length */
static int read_answer(Connection *c) {
  int n = read(c->fd, c->answer + c->length, sizeof c->answer - 1 - c->length);
  if (n < 0 && errno == EAGAIN) return 0;
  if (n <= 0) return -1;
  c->length += n;
  c->answer[c->length] = 0;
  if (c->needed < 0) {
    char *end = strstr(c->answer, "\r\n\r\n"), *size = strcasestr(c->answer, "\r\ncontent-length:");
    if (!end) return 0;
    if (!size || size > end) return -1;
    c->needed = end - c->answer + 4 + atoi(size + 17);
  }
  return c->length >= c->needed;
}

int main(int argc, char **argv) {
  if (argc != 8) {
    fprintf(stderr, "usage: open-loop PORT RATE SECONDS WARMUP CONNECTIONS TOKENS SEED\n");
    return 2;
  }
  double rate = atof(argv[2]), seconds = atof(argv[3]), warm_up = atof(argv[4]);
  int connections = atoi(argv[5]);
  char **requests = NULL;
  int tokens = read_requests(argv[6], atoi(argv[1]), &requests);
  if (!tokens) {
    fprintf(stderr, "no tokens in %s\n", argv[6]);
    return 2;
  }
  srandom(atoi(argv[7]));
  prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
  proxy.sin_port = htons(atoi(argv[1]));
  inet_pton(AF_INET, "127.0.0.1", &proxy.sin_addr);

  int epoll = epoll_create1(0);
  Connection *all = calloc(connections, sizeof(Connection));
  for (int i = 0; i < connections; i++) dial(&all[i], epoll, i);

  long most = rate * (seconds + warm_up) * 1.5 + 1000;
  double *latencies = malloc(most * sizeof(double)), *lags = malloc(most * sizeof(double));
  long answered = 0, measured = 0, lagged = 0, failed = 0, head = 0, tail = 0;
  int busy = 0, turn = 0, token = 0;
  long long start = now_ns(), measure = start + warm_up * 1e9, end = measure + seconds * 1e9, next = start;

  for (;;) {
    long long now = now_ns();
    long fresh = tail; /* arrivals from here on found a connection at once, if they get one now */
    for (; next <= now && next < end; next += gap_ns(rate)) arrivals[tail++ % QUEUE] = next;
    while (head < tail && busy < connections) {
      while (all[turn].busy) turn = (turn + 1) % connections;
      Connection *c = &all[turn];
      long long scheduled = arrivals[head % QUEUE];
      size_t size = strlen(requests[token]);
      c->from = head >= fresh ? now_ns() : scheduled;
      c->measured = scheduled >= measure;
      c->busy = 1;
      c->length = 0;
      c->needed = -1;
      if (write(c->fd, requests[token], size) != (ssize_t)size) failed++;
      if (c->measured && lagged < most) lags[lagged++] = (now_ns() - scheduled) / 1e3;
      token = (token + 1) % tokens;
      head++;
      busy++;
    }
    if ((now >= end && !busy && head == tail) || now >= end + GIVE_UP) break;

    long long wait = (next < end ? next : now + 1000000) - now_ns();
    if (wait < 0) wait = 0;
    struct timespec timeout = {wait / 1000000000, wait % 1000000000};
    struct epoll_event events[256];
    int n = epoll_pwait2(epoll, events, 256, &timeout, NULL);
    for (int i = 0; i < n; i++) {
      Connection *c = &all[events[i].data.u32];
      int state = read_answer(c);
      if (state == 0) continue;
      if (c->busy) busy--;
      if (state < 0) {
        failed++;
        close(c->fd);
        dial(c, epoll, events[i].data.u32);
        continue;
      }
      if (memcmp(c->answer + 9, "200", 3)) failed++;
      if (c->measured && measured < most) latencies[measured++] = (now_ns() - c->from) / 1e3;
      answered++;
      c->busy = 0;
    }
  }
  failed += busy + (tail - head); /* never answered */
  qsort(latencies, measured, sizeof(double), by_value);
  qsort(lags, lagged, sizeof(double), by_value);
  printf("{\"requests\":%ld,\"failed\":%ld,\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f,\"lag99\":%.1f}\n",
         answered, failed, quantile(latencies, measured, .5), quantile(latencies, measured, .99),
         quantile(latencies, measured, .999), quantile(latencies, measured, 1), quantile(lags, lagged, .99));
  return 0;
}
