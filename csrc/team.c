/* The threads that run a team's parts: OpenMP's. With FNN_PTHREADS, in the build for ThreadSanitizer, plain ones made
 * for each call: it cannot see how OpenMP's meet, and would take all they do for races. Without either, one thread. */
#if defined(FNN_PTHREADS)
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>
#elif defined(_OPENMP)
#include <omp.h>
#endif
#ifndef _WIN32
#include <pthread.h>
#endif
#include "fastnn.h"
#include "share.h"

/* libgomp's team does not survive a fork: a child that asked for one would wait forever. So it runs alone. */
static int after_fork;
int fnn_forked(void) { return after_fork; }

#ifndef _WIN32
static void child_runs_alone(void) { after_fork = 1; }
static void watch_forks(void) { pthread_atfork(NULL, NULL, child_runs_alone); }
#endif

/* Whether threads may meet in a team; from the first one on, forks are watched. */
static int may_team(int n_threads) {
#ifndef _WIN32
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  if (n_threads > 1) pthread_once(&once, watch_forks);
#endif
  return n_threads > 1 && !after_fork;
}

#if defined(FNN_PTHREADS)

/* as in OpenMP: a number of each calling thread, at first that of the environment or the processors */
static _Thread_local int most_threads;

static int wanted_threads(void) {
  if (most_threads) return most_threads;
  const char *given = getenv("OMP_NUM_THREADS");
  const int n = given ? atoi(given) : (int)sysconf(_SC_NPROCESSORS_ONLN);
  return n > 0 ? n : 1;
}

static void want_threads(int n) { most_threads = n; }

typedef struct {
  fnn_work_fn part;
  void *data;
  int n_threads; /* 0 until all have been made, or as many as the machine gives */
} fnn_work;

typedef struct { fnn_work *work; int thread; } fnn_member;

static void *run_part(void *argument) {
  const fnn_member *member = argument;
  int n;
  while (!(n = __atomic_load_n(&member->work->n_threads, __ATOMIC_ACQUIRE))) sched_yield();
  member->work->part(member->work->data, member->thread, n);
  return NULL;
}

static void run_team(int n_threads, fnn_work_fn part, void *data) {
  fnn_work work = {part, data, 0};
  fnn_member members[FNN_MAX_THREADS];
  pthread_t threads[FNN_MAX_THREADS];
  int n = 1;
  for (; n < n_threads && n < FNN_MAX_THREADS; n++) {
    members[n] = (fnn_member){&work, n};
    if (pthread_create(&threads[n], NULL, run_part, &members[n])) break;
  }
  __atomic_store_n(&work.n_threads, n, __ATOMIC_RELEASE);
  part(data, 0, n);
  while (--n) pthread_join(threads[n], NULL);
}

#elif defined(_OPENMP)

static int wanted_threads(void) { return omp_get_max_threads(); }
static void want_threads(int n) { omp_set_num_threads(n); }

static void run_team(int n_threads, fnn_work_fn part, void *data) {
#pragma omp parallel num_threads(n_threads)
  part(data, omp_get_thread_num(), omp_get_num_threads());
}

#else

static int wanted_threads(void) { return 1; }
static void want_threads(int n) { (void)n; }
static void run_team(int n_threads, fnn_work_fn part, void *data) { (void)n_threads, part(data, 0, 1); }

#endif

int fnn_max_threads(void) { return after_fork ? 1 : (int)fnn_min(wanted_threads(), FNN_MAX_THREADS); }

void fnn_set_max_threads(int n) { want_threads(n); }

void fnn_on_team(int n_threads, fnn_work_fn part, void *data) {
  if (may_team(n_threads)) run_team(n_threads, part, data);
  else part(data, 0, 1);
}

static void no_work(void *data, int thread, int n_threads) { (void)data, (void)thread, (void)n_threads; }

double fnn_fork_join_seconds(int n_threads) {
  enum { MOST_ROUNDS = 200 };
  const double longest = 5e-3; /* where another program has the core, a region takes milliseconds */
  const double begin = fnn_now();
  int rounds = 0;
  do fnn_on_team(n_threads, no_work, NULL);
  while (++rounds < MOST_ROUNDS && fnn_now() - begin < longest);
  return (fnn_now() - begin) / rounds;
}
