/* The thread pool: fp_parallel divides a job into chunks, which the calling thread and the workers claim one by one.
 *
 * The calling thread runs chunks too, so that a job never waits for workers that sleep or have no core to run on. One
 * caller at a time owns the pool; a second caller runs its chunks alone. Which thread runs a chunk changes no bit of
 * the result, since chunks write to different memory. After a job, workers spin for a short time, because in training
 * the next job follows within microseconds; then they sleep. */
#if !defined(_WIN32)
#define _GNU_SOURCE /* pthread_sigmask, sched_yield, sched_getcpu */
#endif
#include "core.h"
#include "atomic.h"

enum { FP_MAX_WORKERS = FP_MAX_THREADS - 1 };

/* How long a worker spins before it sleeps. This is longer than the gap between two parallel phases of a step (a few
 * microseconds) and than the Python code between two steps, and short enough that an idle pool uses no CPU time. */
#define FP_SPIN_SECONDS 100e-6
#define FP_SPINS_PER_CLOCK_READ 64 /* pauses between two readings of the clock */

/* Only the newest versions of MSVC know C11's keyword; other compilers for Windows ignore MSVC's own. */
#if defined(_MSC_VER)
#define FP_THREAD_LOCAL __declspec(thread)
#else
#define FP_THREAD_LOCAL _Thread_local
#endif

/* ---- the operating system: a lock, a condition variable, threads ---- */

#if defined(_WIN32)
#include <windows.h>
static SRWLOCK lock = SRWLOCK_INIT;
static CONDITION_VARIABLE condition = CONDITION_VARIABLE_INIT;
static void lock_acquire(void) { AcquireSRWLockExclusive(&lock); }
static int lock_try_acquire(void) { return TryAcquireSRWLockExclusive(&lock); }
static void lock_release(void) { ReleaseSRWLockExclusive(&lock); }
static void condition_wait(void) { SleepConditionVariableSRW(&condition, &lock, INFINITE, 0); }
static void condition_broadcast(void) { WakeAllConditionVariable(&condition); }
static void yield_cpu(void) { SwitchToThread(); }
static void worker_loop(int worker);
static DWORD WINAPI thread_main(void *worker)
{
    worker_loop((int)(intptr_t)worker);
    return 0;
}
static int thread_start(int worker)
{
    HANDLE thread = CreateThread(NULL, 0, thread_main, (void *)(intptr_t)worker, 0, NULL);
    if (thread)
        CloseHandle(thread);
    return thread != NULL;
}
#else
#include <pthread.h>
#include <sched.h>
#include <signal.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static void lock_acquire(void) { pthread_mutex_lock(&lock); }
static int lock_try_acquire(void) { return !pthread_mutex_trylock(&lock); }
static void lock_release(void) { pthread_mutex_unlock(&lock); }
static void condition_wait(void) { pthread_cond_wait(&condition, &lock); }
static void condition_broadcast(void) { pthread_cond_broadcast(&condition); }
static void yield_cpu(void) { sched_yield(); }
static void worker_loop(int worker);
static void *thread_main(void *worker)
{
    worker_loop((int)(intptr_t)worker);
    return NULL;
}
static int thread_start(int worker)
{
    /* Signals are for the program's own threads: Python handles Ctrl-C in its main thread. */
    sigset_t broadcast, before;
    pthread_t thread;
    sigfillset(&broadcast);
    pthread_sigmask(SIG_SETMASK, &broadcast, &before);
    int failed = pthread_create(&thread, NULL, thread_main, (void *)(intptr_t)worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!failed)
        pthread_detach(thread);
    return !failed;
}
#endif

/* ---- state that threads share ---- */

/* Three cache lines: one that workers poll, one that the caller polls, and one for the rest, which workers access only
 * when they go to sleep and wake up. Each write to a line that another thread is polling costs up to 0.2
 * microseconds. */
#define FP_CACHE_LINE 64

/* Polled by workers. The ticket holds the number of the job (upper 32 bits), its number of chunks (16 bits) and the
 * next chunk (lower 16 bits), so that a thread claims a chunk by one compare-and-exchange, which fails if the job has
 * changed meanwhile. Chunk 0 is the caller's. The other fields are written before the ticket, and read by threads that
 * have claimed a chunk. */
static struct {
    _Alignas(FP_CACHE_LINE) volatile int64_t ticket;
    fp_task *task;
    void *context;
} job;

/* Polled by the caller: the number of chunks of the job that are not done. */
static struct {
    _Alignas(FP_CACHE_LINE) volatile int64_t chunks;
} unfinished;

static struct {
    _Alignas(FP_CACHE_LINE) volatile int64_t busy; /* 1 while a caller owns the pool; it alone writes the next three */
    int workers;                                   /* number of threads started so far */
    int64_t jobs;                                  /* number of jobs so far */
    volatile int64_t caller_cpu;                   /* the CPU on which the last caller ran */
    volatile int64_t sleepers;                     /* number of workers that sleep */
    volatile int64_t callers;                      /* number of threads between fp_work_begin and fp_work_end */
} pool;

static volatile int64_t num_threads = 1;
static int forks;

/* ---- the CPU on which a worker wakes up ---- */

/* In a virtual machine, Linux often wakes a worker on the CPU of its caller. There it waits for the end of the caller's
 * time slice, some milliseconds each time, while another CPU idles, and two threads are slower than one. So before a
 * caller wakes the workers, it removes its own CPU from the affinity mask of each that sleeps, and a worker restores
 * its mask when it is awake. A mask that someone else sets, as `taskset -ap` does, is respected: a worker restores its
 * mask only if the mask is still the one that the caller set. */
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
static struct affinity {
    int asleep;        /* guarded by the lock: while it is set, callers own the other fields, else the worker does */
    int is_restricted; /* a caller removed its CPU from the mask */
    pid_t id;
    cpu_set_t original, restricted; /* the mask before that and after it */
} worker_affinity[FP_MAX_WORKERS];

static void record_caller_cpu(void) { fp_atomic_store(&pool.caller_cpu, sched_getcpu()); }

/* Removes the CPU of the pool's caller from a sleeping worker's mask; with the lock held. If it is the only CPU,
 * Linux refuses the empty mask, and the worker's mask stays as it is. */
static void exclude_caller_cpu(int worker)
{
    struct affinity *sleeper = &worker_affinity[worker];
    cpu_set_t now, others;
    int64_t cpu = fp_atomic_load(&pool.caller_cpu);
    if (cpu < 0 || sched_getaffinity(sleeper->id, sizeof now, &now)) /* fails where cpu_set_t has too few bits */
        return;
    if (!sleeper->is_restricted || !CPU_EQUAL(&now, &sleeper->restricted))
        sleeper->original = now;
    others = sleeper->original;
    CPU_CLR((size_t)cpu, &others);
    if (!CPU_EQUAL(&now, &others) && !sched_setaffinity(sleeper->id, sizeof others, &others)) {
        sleeper->restricted = others;
        sleeper->is_restricted = 1;
    }
}

/* A worker calls this before it sleeps; from then on a caller may restrict its mask. */
static void park(int worker)
{
    worker_affinity[worker].id = (pid_t)syscall(SYS_gettid);
    worker_affinity[worker].is_restricted = 0;
}

/* A worker calls this when it is awake again. */
static void unpark(int worker)
{
    struct affinity *own = &worker_affinity[worker];
    cpu_set_t now;
    if (own->is_restricted && !sched_getaffinity(0, sizeof now, &now) && CPU_EQUAL(&now, &own->restricted))
        sched_setaffinity(0, sizeof own->original, &own->original);
}

/* Excludes the caller's CPU from the mask of each worker that sleeps; with the lock held. */
static void retarget_sleepers(int workers)
{
    for (int i = 0; i < workers; i++)
        if (worker_affinity[i].asleep)
            exclude_caller_cpu(i);
}

static void set_asleep(int worker, int asleep) { worker_affinity[worker].asleep = asleep; }
#else
static void record_caller_cpu(void) {}
static void park(int worker) { (void)worker; }
static void unpark(int worker) { (void)worker; }
static void retarget_sleepers(int workers) { (void)workers; }
static void set_asleep(int worker, int asleep) { (void)worker, (void)asleep; }
#endif

/* ---- jobs ---- */

/* This thread's part of pool.busy and pool.callers: after a fork no other thread is left. */
static FP_THREAD_LOCAL int holds_pool, own_calls;

/* Claims the next chunk and runs it; returns 0 if there is none. */
static int run_one_chunk(void)
{
    int64_t seen = fp_atomic_load(&job.ticket);
    int next = (int)(seen & 0xffff), chunks = (int)(seen >> 16 & 0xffff);
    if (next >= chunks)
        return 0;
    if (fp_atomic_compare_exchange(&job.ticket, seen, seen + 1)) {
        job.task(job.context, next);
        fp_atomic_add(&unfinished.chunks, -1);
    }
    return 1;
}

static int has_unclaimed_chunks(void)
{
    int64_t seen = fp_atomic_load(&job.ticket);
    return (seen & 0xffff) < (seen >> 16 & 0xffff);
}

/* Sleeps until there is work; may return early. It returns at once if another thread holds the lock, a caller with a
 * job or another worker: a worker that waited for the lock would be asleep without its affinity being set. */
static void sleep_until_work(int worker)
{
    if (!lock_try_acquire())
        return;
    park(worker);
    fp_atomic_add(&pool.sleepers, 1);
    set_asleep(worker, 1);
    if (!has_unclaimed_chunks())
        condition_wait();
    set_asleep(worker, 0);
    fp_atomic_add(&pool.sleepers, -1);
    lock_release();
    unpark(worker);
}

static void worker_loop(int worker)
{
    fp_denormals_flush(); /* never restored: this thread runs nothing but chunks */
    double sleep_time = fp_clock() + FP_SPIN_SECONDS;
    for (int64_t spins = 1;; spins++) {
        if (run_one_chunk()) {
            sleep_time = fp_clock() + FP_SPIN_SECONDS;
            continue;
        }
        fp_cpu_pause();
        if (spins % FP_SPINS_PER_CLOCK_READ == 0 && fp_clock() > sleep_time)
            sleep_until_work(worker);
    }
}

/* Runs chunks of this thread's job and waits until `left` are unfinished: 1 from within chunk 0, else 0. */
static void finish_chunks(int left)
{
    while (run_one_chunk())
        ;
    for (int spins = 1; fp_atomic_load(&unfinished.chunks) > left; spins++) {
        fp_cpu_pause();
        if (spins % (16 * FP_SPINS_PER_CLOCK_READ) == 0) /* the last chunk's thread may need this core */
            yield_cpu();
    }
}

#if !defined(_WIN32)
/* A signal handler may fork while this thread is in chunk 0. The child has no workers, so the other chunks are finished
 * before the fork. */
static void before_fork(void)
{
    if (holds_pool) {
        uint64_t state = fp_denormals_flush(); /* the handler runs with the program's own state */
        finish_chunks(1);
        fp_denormals_restore(state);
    }
}

/* In the child only the forking thread exists: the pool starts anew, and that thread keeps its own job if it has
 * one. */
static void reset_in_child(void)
{
    pthread_mutex_init(&lock, NULL);
    pthread_cond_init(&condition, NULL);
    for (int i = 0; i < pool.workers; i++)
        set_asleep(i, 0);
    pool.workers = 0;
    pool.sleepers = 0;
    pool.busy = holds_pool;
    pool.callers = own_calls;
    unfinished.chunks = holds_pool;
    job.ticket = 0;
    forks++;
}
#endif

void fp_threads_init(void)
{
#if !defined(_WIN32)
    pthread_atfork(before_fork, NULL, reset_in_child);
#endif
}

int fp_forks(void) { return forks; }

uint64_t fp_work_begin(void)
{
    fp_atomic_add(&pool.callers, 1);
    own_calls++;
    return fp_denormals_flush();
}

void fp_work_end(uint64_t state)
{
    fp_denormals_restore(state);
    own_calls--;
    fp_atomic_add(&pool.callers, -1);
}

void fp_yield(void) { yield_cpu(); }

int fp_get_num_threads(void) { return (int)fp_atomic_load(&num_threads); }

void fp_set_num_threads(int n) { fp_atomic_store(&num_threads, n < 1 ? 1 : n > FP_MAX_THREADS ? FP_MAX_THREADS : n); }

void fp_parallel(fp_task *task, void *context, int chunks)
{
    /* A program that calls from several threads is parallel already: workers would only compete with its threads. */
    if (chunks > 1 && fp_atomic_load(&pool.callers) <= 1 && fp_atomic_compare_exchange(&pool.busy, 0, 1)) {
        holds_pool = 1;
        while (pool.workers < chunks - 1 && pool.workers < FP_MAX_WORKERS && thread_start(pool.workers))
            pool.workers++;
        record_caller_cpu();
        pool.jobs++;
        fp_atomic_store(&unfinished.chunks, chunks);
        job.task = task;
        job.context = context;
        fp_atomic_store(&job.ticket, (int64_t)((uint64_t)pool.jobs << 32 | (uint64_t)chunks << 16 | 1));
        int64_t sleepers = fp_atomic_load(&pool.sleepers);
        if (sleepers && pool.workers - sleepers < chunks - 1) {
            lock_acquire(); /* so that no worker is between its last check for work and its sleep */
            retarget_sleepers(pool.workers);
            lock_release(); /* before the broadcast: workers that wake acquire it */
            condition_broadcast();
        }
        task(context, 0);
        if (fp_atomic_add(&unfinished.chunks, -1))
            finish_chunks(0);
        holds_pool = 0;
        fp_atomic_store(&pool.busy, 0);
    } else {
        for (int chunk = 0; chunk < chunks; chunk++)
            task(context, chunk);
    }
}
