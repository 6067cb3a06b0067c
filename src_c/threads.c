/* The pool: fp_parallel cuts work into chunks, and whoever is awake takes the next one.
 *
 * The caller works too, so that a pool that sleeps, or whose core is busy with something else, costs nothing but its help.
 * One caller at a time has the pool; a second one does its chunks alone. Which thread does a chunk changes no bit, since
 * chunks write to different places. Workers spin briefly after a job, for the next follows within microseconds in
 * training, and then sleep. */
#if !defined(_WIN32)
#define _GNU_SOURCE /* pthread_sigmask, sched_yield */
#endif
#include "fastprop.h"
#include "atomic.h"

enum { FP_MAX_WORKERS = FP_MAX_THREADS - 1 };

/* How long a worker spins before it sleeps. Longer than the gap between two parallel phases of a step (a few
 * microseconds) and than the Python between two steps; short enough that an idle pool takes no CPU. */
#define FP_SPIN_SECONDS 100e-6
#define FP_SPINS_PER_LOOK 64 /* pauses between two looks at the clock */

/* MSVC knows C11's word only in its newest versions; other compilers for Windows ignore MSVC's. */
#if defined(_MSC_VER)
#define OF_EACH_THREAD __declspec(thread)
#else
#define OF_EACH_THREAD _Thread_local
#endif

/* ---- what an operating system gives: a lock, a place to sleep, a thread ---- */

#if defined(_WIN32)
#include <windows.h>
static SRWLOCK lock = SRWLOCK_INIT;
static CONDITION_VARIABLE bell = CONDITION_VARIABLE_INIT;
static void lock_take(void) { AcquireSRWLockExclusive(&lock); }
static int lock_try(void) { return TryAcquireSRWLockExclusive(&lock); }
static void lock_give(void) { ReleaseSRWLockExclusive(&lock); }
static void bell_wait(void) { SleepConditionVariableSRW(&bell, &lock, INFINITE, 0); }
static void bell_ring(void) { WakeAllConditionVariable(&bell); }
static void let_others_run(void) { SwitchToThread(); }
static void work(int worker);
static DWORD WINAPI thread_main(void *worker)
{
    work((int)(intptr_t)worker);
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
static pthread_cond_t bell = PTHREAD_COND_INITIALIZER;
static void lock_take(void) { pthread_mutex_lock(&lock); }
static int lock_try(void) { return !pthread_mutex_trylock(&lock); }
static void lock_give(void) { pthread_mutex_unlock(&lock); }
static void bell_wait(void) { pthread_cond_wait(&bell, &lock); }
static void bell_ring(void) { pthread_cond_broadcast(&bell); }
static void let_others_run(void) { sched_yield(); }
static void work(int worker);
static void *thread_main(void *worker)
{
    work((int)(intptr_t)worker);
    return NULL;
}
static int thread_start(int worker)
{
    /* signals belong to the program's own threads: Python answers Ctrl-C in its main one */
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, NULL, thread_main, (void *)(intptr_t)worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!failed)
        pthread_detach(thread);
    return !failed;
}
#endif

/* ---- what threads share ---- */

/* A cache line for what workers poll, one for what the caller polls, and one for the rest, which workers touch only when they
 * go to sleep and wake up: each write to a line that the other side is reading costs up to a fifth of a microsecond. */
#define FP_CACHE_LINE 64

/* Polled by workers. The ticket says which job (upper 32 bits), how many chunks it has (16 bits), and which is next (16 bits):
 * taking a chunk is one compare-and-swap, and a worker that comes late finds that its ticket is void. Chunk 0 is the caller's
 * own. The rest is written before the ticket is, and read by those who hold a chunk. */
static struct {
    _Alignas(FP_CACHE_LINE) volatile int64_t ticket;
    fp_task *task;
    void *context;
} job;

/* Polled by the caller: chunks of the job that are not done. */
static struct {
    _Alignas(FP_CACHE_LINE) volatile int64_t chunks;
} unfinished;

static struct {
    _Alignas(FP_CACHE_LINE) volatile int64_t busy; /* a caller has the pool; it guards the next three */
    int workers;                                   /* started so far */
    int64_t jobs;                                  /* so far */
    volatile int64_t caller_cpu;                   /* where the last one ran */
    volatile int64_t sleepers;
    volatile int64_t callers; /* between fp_work_begin and fp_work_end */
} pool;

static volatile int64_t wanted = 1;
static int forks;

/* ---- where workers wake up ---- */

/* Linux in a virtual machine likes to wake a worker on the CPU of its caller, where it then waits for the end of the caller's
 * time slice, milliseconds each time, while its own CPU idles: two threads are slower than one. So a caller takes its own CPU
 * out of a sleeper's affinity mask before it wakes it, and the worker puts it back when it is awake. A mask that somebody else
 * sets, as `taskset -ap` does, stays: while a worker sleeps its mask is its own, and it puts back only what was taken out. */
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
static struct {
    int asleep; /* guarded by the lock; while it is set, the rest is the callers', else the worker's */
    int narrowed; /* the caller's CPU was taken out */
    pid_t id;
    cpu_set_t whole, narrow; /* the mask before that, and after */
} beds[FP_MAX_WORKERS];

static void note_caller(void) { fp_atomic_store(&pool.caller_cpu, sched_getcpu()); }

/* With the lock, of a sleeper. Where the caller's CPU is the only one, the kernel refuses the empty mask. */
static void forbid_cpu_of_caller(int worker)
{
    cpu_set_t now, others;
    int64_t cpu = fp_atomic_load(&pool.caller_cpu);
    if (cpu < 0 || sched_getaffinity(beds[worker].id, sizeof now, &now)) /* more CPUs than a mask has room for */
        return;
    if (!beds[worker].narrowed || !CPU_EQUAL(&now, &beds[worker].narrow))
        beds[worker].whole = now;
    others = beds[worker].whole;
    CPU_CLR((size_t)cpu, &others);
    if (!CPU_EQUAL(&now, &others) && !sched_setaffinity(beds[worker].id, sizeof others, &others)) {
        beds[worker].narrow = others;
        beds[worker].narrowed = 1;
    }
}

static void lie_down(int worker)
{
    beds[worker].id = (pid_t)syscall(SYS_gettid);
    beds[worker].narrowed = 0;
}

static void get_up(int worker)
{
    cpu_set_t now;
    if (beds[worker].narrowed && !sched_getaffinity(0, sizeof now, &now) && CPU_EQUAL(&now, &beds[worker].narrow))
        sched_setaffinity(0, sizeof beds[worker].whole, &beds[worker].whole);
}

/* With the lock. */
static void before_they_wake(int workers)
{
    for (int i = 0; i < workers; i++)
        if (beds[i].asleep)
            forbid_cpu_of_caller(i);
}

static void set_asleep(int worker, int asleep) { beds[worker].asleep = asleep; }
#else
static void note_caller(void) {}
static void lie_down(int worker) { (void)worker; }
static void get_up(int worker) { (void)worker; }
static void before_they_wake(int workers) { (void)workers; }
static void set_asleep(int worker, int asleep) { (void)worker, (void)asleep; }
#endif

/* ---- the job ---- */

/* Of the busy and callers above, what is this thread's: after a fork no other is left. */
static OF_EACH_THREAD int my_busy, my_callers;

static int take_and_do_a_chunk(void)
{
    int64_t seen = fp_atomic_load(&job.ticket);
    int next = (int)(seen & 0xffff), chunks = (int)(seen >> 16 & 0xffff);
    if (next >= chunks)
        return 0;
    if (fp_atomic_swap_if(&job.ticket, seen, seen + 1)) {
        job.task(job.context, next);
        fp_atomic_add(&unfinished.chunks, -1);
    }
    return 1;
}

static int work_is_left(void)
{
    int64_t seen = fp_atomic_load(&job.ticket);
    return (seen & 0xffff) < (seen >> 16 & 0xffff);
}

/* Until there is work, or for no reason. Whoever has the lock is a caller with a job, or goes to sleep: waiting for it would be
 * a sleep that no caller prepares for. */
static void sleep_until_there_is_work(int worker)
{
    if (!lock_try())
        return;
    lie_down(worker);
    fp_atomic_add(&pool.sleepers, 1);
    set_asleep(worker, 1);
    if (!work_is_left())
        bell_wait();
    set_asleep(worker, 0);
    fp_atomic_add(&pool.sleepers, -1);
    lock_give();
    get_up(worker);
}

static void work(int worker)
{
    fp_denormals_flush(); /* for good: this thread computes nothing else */
    double asleep_at = fp_clock() + FP_SPIN_SECONDS;
    for (int64_t spins = 1;; spins++) {
        if (take_and_do_a_chunk()) {
            asleep_at = fp_clock() + FP_SPIN_SECONDS;
            continue;
        }
        fp_relax();
        if (spins % FP_SPINS_PER_LOOK == 0 && fp_clock() > asleep_at)
            sleep_until_there_is_work(worker);
    }
}

/* The other chunks of this thread's job, until only `left` of them, its own, are unfinished. */
static void finish_all_but(int left)
{
    while (take_and_do_a_chunk())
        ;
    for (int spins = 1; fp_atomic_load(&unfinished.chunks) > left; spins++) {
        fp_relax();
        if (spins % (16 * FP_SPINS_PER_LOOK) == 0) /* whoever has the last chunk may be waiting for this core */
            let_others_run();
    }
}

#if !defined(_WIN32)
/* A signal's handler may fork in mid-step, from within chunk 0: what workers hold then would be lost to the child. */
static void before_a_fork(void)
{
    if (my_busy) {
        uint64_t state = fp_denormals_flush(); /* the handler's own state is its program's */
        finish_all_but(1);
        fp_denormals_restore(state);
    }
}

/* Only the forking thread lives on in the child: the pool starts anew there, around that thread's own job if it has one. */
static void forget_the_pool(void)
{
    pthread_mutex_init(&lock, NULL);
    pthread_cond_init(&bell, NULL);
    for (int i = 0; i < pool.workers; i++)
        set_asleep(i, 0);
    pool.workers = 0;
    pool.sleepers = 0;
    pool.busy = my_busy;
    pool.callers = my_callers;
    unfinished.chunks = my_busy;
    job.ticket = 0;
    forks++;
}
#endif

void fp_threads_init(void)
{
#if !defined(_WIN32)
    pthread_atfork(before_a_fork, NULL, forget_the_pool);
#endif
}

int fp_forks(void) { return forks; }

uint64_t fp_work_begin(void)
{
    fp_atomic_add(&pool.callers, 1);
    my_callers++;
    return fp_denormals_flush();
}

void fp_work_end(uint64_t state)
{
    fp_denormals_restore(state);
    my_callers--;
    fp_atomic_add(&pool.callers, -1);
}

int fp_get_num_threads(void) { return (int)fp_atomic_load(&wanted); }

void fp_set_num_threads(int n) { fp_atomic_store(&wanted, n < 1 ? 1 : n > FP_MAX_THREADS ? FP_MAX_THREADS : n); }

void fp_parallel(fp_task *task, void *context, int chunks)
{
    /* Programs that call from several threads have their parallelism already: a pool on top would only get in the way. */
    if (chunks > 1 && fp_atomic_load(&pool.callers) <= 1 && fp_atomic_swap_if(&pool.busy, 0, 1)) {
        my_busy = 1;
        while (pool.workers < chunks - 1 && pool.workers < FP_MAX_WORKERS && thread_start(pool.workers))
            pool.workers++;
        note_caller();
        pool.jobs++;
        fp_atomic_store(&unfinished.chunks, chunks);
        job.task = task;
        job.context = context;
        fp_atomic_store(&job.ticket, (int64_t)((uint64_t)pool.jobs << 32 | (uint64_t)chunks << 16 | 1));
        int64_t sleepers = fp_atomic_load(&pool.sleepers);
        if (sleepers && pool.workers - sleepers < chunks - 1) {
            lock_take(); /* so that no worker is between its last look and its sleep */
            before_they_wake(pool.workers);
            lock_give(); /* who wakes wants it */
            bell_ring();
        }
        task(context, 0);
        if (fp_atomic_add(&unfinished.chunks, -1))
            finish_all_but(0);
        my_busy = 0;
        fp_atomic_store(&pool.busy, 0);
    } else {
        for (int chunk = 0; chunk < chunks; chunk++)
            task(context, chunk);
    }
}
