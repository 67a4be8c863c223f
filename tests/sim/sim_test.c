/*
 * The daemon's core through a cluster's life, with the outside made up: scheduler and store are the
 * real ones, the launcher, the clock and the faults come from one seed.  The daemon dies at random
 * moments (what was not committed is gone) and the next one loads what is stored.
 *
 *   sim_test [SEED [STEPS]]      a failure prints its seed
 *
 * The host changes under the queue, too: its numeric profile is another one now and then, and
 * sometimes only the ranks find out.
 *
 * Held all along: slots are never given out twice; what was acknowledged is stored once; a job's
 * events are legal transitions, each from where the last one ended; while the host stays as it is,
 * no attempt is started whose ranks would find another profile.  Held at the end: every job has
 * ended, no attempt is open, all slots are free, and the counters are right.
 */
#include "base/mem.h"
#include "daemon/core.h"
#include "daemon/scheduler.h"
#include "proto/job_state.h"

#include "../unit/daemon/jobs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLOTS = 8, ATTEMPTS_MAX = 64, RANKS_MOST = 5 };

/* A made-up process group, which outlives the daemon as real ones do. */
struct pretend {
    int64_t job_id; /* 0: free */
    int attempt;
    int ranks;
    int64_t ends_ms;
    bool dying; /* killed: ends soon, as failed */
    bool stopping;
    bool attached;
    const char *profile;
    bool refuses; /* its ranks found another profile than the first attempt's */
    int64_t checkpoint;
};

struct sim {
    uint64_t random;
    int64_t now_ms;
    int64_t wake_ms;
    char path[64];
    struct store *store;
    struct core *core;
    struct database *reader;
    struct pretend running[ATTEMPTS_MAX];
    bool adopt_asked[ATTEMPTS_MAX];
    int64_t acknowledged;
    int64_t deaths;
    int64_t calm_ms;     /* since when */
    int64_t waited;      /* examinations that found another profile */
    int64_t refused;     /* attempts that found it themselves */
    const char *profile; /* of this host, at present */
    bool fatal;
    bool calm; /* no more faults: everything must come to its end */
};

static void check(const struct sim *sim, bool good, const char *what)
{
    if (!good) {
        (void)printf("does not hold at %" PRId64 " ms: %s\n", sim->now_ms, what);
        exit(1);
    }
}

static void must(const struct sim *sim, enum cam_code rc, const struct cam_err *err)
{
    check(sim, rc == CAM_OK, rc == CAM_OK ? "" : err->text);
}

/* xorshift64*: below is exclusive. */
static uint64_t chance(struct sim *sim, uint64_t below)
{
    sim->random ^= sim->random >> 12;
    sim->random ^= sim->random << 25;
    sim->random ^= sim->random >> 27;
    return (sim->random * UINT64_C(2685821657736338717) >> 33) % below;
}

/* ---------------------------------------------------------------- ports */

static int64_t port_now(void *self)
{
    return ((struct sim *)self)->now_ms;
}

static int64_t port_wall(void *self)
{
    return ((struct sim *)self)->now_ms + 1000000;
}

static void port_wake_at(void *self, int64_t due_ms)
{
    ((struct sim *)self)->wake_ms = due_ms;
}

static void port_changed(void *self, int64_t job_id)
{
    (void)self;
    (void)job_id;
}

static void port_note(void *self, int64_t job_id, const char *text)
{
    (void)self;
    (void)job_id;
    (void)text;
}

static void port_fatal(void *self, const struct cam_err *why)
{
    (void)printf("fatal: %s\n", why->text);
    ((struct sim *)self)->fatal = true;
}

static struct pretend *find_pretend(struct sim *sim, int64_t job_id)
{
    for (int i = 0; i < ATTEMPTS_MAX; i++) {
        if (sim->running[i].job_id == job_id) {
            return &sim->running[i];
        }
    }
    return NULL;
}

static bool port_ask_stop(void *self, int64_t job_id, int attempt, const char *reason)
{
    struct sim *sim = self;
    (void)reason;
    struct pretend *pretend = find_pretend(sim, job_id);
    if (pretend == NULL || pretend->attempt != attempt || !pretend->attached) {
        return false;
    }
    pretend->stopping = true;
    pretend->ends_ms = sim->now_ms + (int64_t)chance(sim, 3000);
    return true;
}

/* The stored profile of a job is neither "" nor the host's. */
static bool is_of_another(const struct sim *sim, int64_t job_id)
{
    struct cam_err err = {0};
    struct query q;
    bool another = false;
    enum cam_code rc = database_query(sim->reader, &q, &err,
                                      "SELECT numeric_profile FROM jobs WHERE id = ?", "i", job_id);
    if (rc == CAM_OK && query_next(&q, &rc, &err)) {
        const char *stored = query_text(&q, 0);
        another = stored[0] != '\0' && strcmp(stored, sim->profile) != 0;
    }
    query_end(&q);
    must(sim, rc, &err);
    return another;
}

static void port_examine(void *self, const struct profile_question *question,
                         profile_answer_fn answer, void *context)
{
    struct sim *sim = self;
    struct cam_err err = {0};
    bool fits = strcmp(question->wanted, sim->profile) == 0;
    sim->waited += fits ? 0 : 1;
    answer(context, fits ? CAM_OK : cam_fail(&err, CAM_OTHER_PROFILE, "another"), &err);
    if (!sim->calm && chance(sim, 10) == 0) { /* too late for what was just answered */
        sim->profile = chance(sim, 3) == 0 ? "{\"a\":2}" : "{\"a\":1}";
    }
}

static void port_launch(void *self, const struct launch_order *order)
{
    struct sim *sim = self;
    int taken = order->ranks;
    for (int i = 0; i < ATTEMPTS_MAX; i++) {
        taken += sim->running[i].job_id == 0 ? 0 : sim->running[i].ranks;
        check(sim, sim->running[i].job_id != order->job_id, "a job has two attempts at once");
    }
    check(sim, taken <= SLOTS, "slots are given out twice");
    struct pretend *free_one = find_pretend(sim, 0);
    check(sim, free_one != NULL, "more attempts than slots");
    bool refuses = is_of_another(sim, order->job_id);
    check(sim, !refuses || !sim->calm || sim->now_ms < sim->calm_ms + 60000,
          "a host of another profile is found out before the launch");
    *free_one = (struct pretend){.refuses = refuses,
                                 .profile = sim->profile,
                                 .job_id = order->job_id,
                                 .attempt = order->attempt,
                                 .ranks = order->ranks,
                                 .ends_ms = sim->now_ms + 100 + (int64_t)chance(sim, 20000)};
}

static void port_adopt(void *self, const struct launch_order *order)
{
    struct sim *sim = self;
    struct pretend *pretend = find_pretend(sim, order->job_id);
    if (pretend != NULL && pretend->attempt == order->attempt) {
        sim->adopt_asked[pretend - sim->running] = true;
        return;
    }
    /* The last daemon died between the commit and the launch, or the end was never stored. */
    struct post_mortem mortem = {.job_id = order->job_id,
                                 .attempt = order->attempt,
                                 .never_started = true,
                                 .exit.exit_code = -1};
    core_ended(sim->core, &mortem);
}

static void port_kill(void *self, int64_t job_id, int attempt)
{
    struct sim *sim = self;
    struct pretend *pretend = find_pretend(sim, job_id);
    if (pretend != NULL && pretend->attempt == attempt) {
        pretend->dying = true;
        pretend->ends_ms = sim->now_ms + 50;
    }
}

/* ---------------------------------------------------------------- a daemon's life */

static void daemon_start(struct sim *sim)
{
    struct cam_err err = {0};
    must(sim,
         store_open(&(struct store_options){.path = sim->path, .inline_mode = true}, &sim->store,
                    &err),
         &err);
    must(sim, database_open_reader(sim->path, &sim->reader, &err), &err);
    struct core_options options = {.store = sim->store,
                                   .slots = SLOTS,
                                   .jobs_dir = "/nowhere",
                                   .scratch_prefix = "/nowhere/s",
                                   .stop_grace_ms = 2000,
                                   .silent_limit_ms = 1000000000,
                                   .attach_limit_ms = 1000000000};
    struct core_ports ports = {.launcher = {sim, port_launch, port_adopt, port_kill},
                               .self = sim,
                               .monotonic_ms = port_now,
                               .wall_ms = port_wall,
                               .examine = port_examine,
                               .ask_stop = port_ask_stop,
                               .wake_at = port_wake_at,
                               .changed = port_changed,
                               .note = port_note,
                               .fatal = port_fatal};
    must(sim, core_create(&options, &ports, &sim->core, &err), &err);
    must(sim, core_load(sim->core, sim->reader, &err), &err);
    core_tick(sim->core);
}

/* What was handed to the store and not committed is gone, with whoever waited for it. */
static void daemon_die(struct sim *sim)
{
    core_destroy(sim->core);
    database_close(sim->reader);
    store_close(sim->store);
    memset(sim->adopt_asked, 0, sizeof sim->adopt_asked);
    for (int i = 0; i < ATTEMPTS_MAX; i++) {
        sim->running[i].attached = false;
    }
    sim->deaths++;
}

/* ---------------------------------------------------------------- what happens */

static void submitted(void *context, enum cam_code rc, const struct cam_err *err, int64_t id,
                      bool existed)
{
    struct sim *sim = context;
    must(sim, rc, err);
    check(sim, !existed, "a new key found an old job");
    sim->acknowledged = id > sim->acknowledged ? id : sim->acknowledged;
}

static void submit(struct sim *sim)
{
    static struct new_job job; /* lives until the answer, which comes with the next delivery */
    static int64_t after[1];
    job = test_job(NULL);
    job.ranks_min = 1 + (int64_t)chance(sim, RANKS_MOST);
    job.ranks_max = job.ranks_min + (int64_t)chance(sim, 3);
    job.retry_max = (int64_t)chance(sim, 3);
    job.isa = "avx2";
    job.hold = chance(sim, 10) == 0;
    if (sim->acknowledged > 0 && chance(sim, 5) == 0) {
        after[0] = 1 + (int64_t)chance(sim, (uint64_t)sim->acknowledged);
        job.after = after;
        job.after_count = 1;
    }
    core_submit(sim->core, &job, submitted, sim);
    store_deliver(sim->store);
}

static void change_some_job(struct sim *sim)
{
    static const enum job_event EVENTS[] = {JOB_EVENT_CANCEL, JOB_EVENT_HOLD, JOB_EVENT_RELEASE,
                                            JOB_EVENT_RESUME};
    if (sim->acknowledged > 0) {
        int64_t id = 1 + (int64_t)chance(sim, (uint64_t)sim->acknowledged);
        core_change(sim->core,
                    &(struct core_wish){
                        .id = id, .event = EVENTS[chance(sim, 4)], .now = chance(sim, 2) == 0},
                    NULL, NULL);
    }
}

static void adopt_pretend(struct sim *sim, int i)
{
    struct post_mortem so_far = {.job_id = sim->running[i].job_id,
                                 .attempt = sim->running[i].attempt};
    sim->adopt_asked[i] = false;
    core_adopted(sim->core, &so_far);
}

static void attach_pretend(struct sim *sim, struct pretend *pretend)
{
    struct live *live = core_live(sim->core, pretend->job_id, pretend->attempt);
    if (live != NULL && !pretend->refuses) {
        pretend->attached = true;
        if (core_rank_attached(sim->core, live, 0, pretend->profile)) {
            pretend->stopping = true;
            pretend->ends_ms = sim->now_ms + 100;
        }
    }
}

static void end_pretend(struct sim *sim, struct pretend *pretend)
{
    struct post_mortem mortem = {.job_id = pretend->job_id,
                                 .attempt = pretend->attempt,
                                 .has_exit = true,
                                 .exit.elapsed_ms = 10,
                                 .failure_rank = -1,
                                 .failure_step = -1};
    uint64_t fate = sim->calm ? 0 : chance(sim, 6);
    pretend->checkpoint += (int64_t)chance(sim, 20);
    mortem.checkpoint_step = pretend->checkpoint;
    if (pretend->dying) {
        mortem.exit.signal = 9;
        mortem.exit.stop_killed = true;
    } else if (pretend->refuses) {
        mortem.failure_code = CAM_OTHER_PROFILE;
        sim->refused++;
    } else if (pretend->stopping) {
        (void)snprintf(mortem.outcome, sizeof mortem.outcome, "stopped");
    } else if (fate <= 2) {
        (void)snprintf(mortem.outcome, sizeof mortem.outcome, "succeeded");
    } else if (fate == 3) {
        mortem.failure_code = CAM_NON_FINITE;
    } else if (fate == 4) {
        mortem.has_exit = false;
    } else {
        mortem.exit.exit_code = 137;
    }
    *pretend = (struct pretend){0};
    core_ended(sim->core, &mortem);
}

/* Everything of the outside that is due. */
static void outside(struct sim *sim)
{
    for (int i = 0; i < ATTEMPTS_MAX; i++) {
        struct pretend *pretend = &sim->running[i];
        if (pretend->job_id == 0) {
            continue;
        }
        if (sim->adopt_asked[i]) {
            adopt_pretend(sim, i);
        }
        if (pretend->ends_ms <= sim->now_ms) {
            end_pretend(sim, pretend);
        } else if (!pretend->attached && chance(sim, 2) == 0) {
            attach_pretend(sim, pretend);
        }
    }
}

static void step(struct sim *sim)
{
    uint64_t what = chance(sim, 100);
    if (!sim->calm && what < 25) {
        submit(sim);
    } else if (!sim->calm && what < 40) {
        change_some_job(sim);
    } else if (!sim->calm && what < 43) {
        daemon_die(sim);
        daemon_start(sim);
    }
    if (chance(sim, 3) > 0) {
        store_deliver(sim->store);
    }
    outside(sim);
    if (sim->wake_ms <= sim->now_ms) {
        core_tick(sim->core);
    }
    sim->now_ms += (int64_t)chance(sim, 1000);
    check(sim, !sim->fatal, "the core gave up");
}

/* ---------------------------------------------------------------- what must hold */

static int64_t ask(const struct sim *sim, const char *sql)
{
    struct cam_err err = {0};
    int64_t value = 0;
    must(sim, database_number(sim->reader, -1, &value, &err, sql), &err);
    return value;
}

static void check_events(const struct sim *sim)
{
    struct cam_err err = {0};
    struct query q;
    int64_t id = 0;
    enum job_state at = JOB_NO_STATE;
    enum cam_code rc = database_query(
        sim->reader, &q, &err,
        "SELECT job_id, from_state, to_state FROM events WHERE kind IN ('submitted', 'state') "
        "ORDER BY job_id, id",
        "");
    while (rc == CAM_OK && query_next(&q, &rc, &err)) {
        enum job_state from = job_state_from_name(query_text(&q, 1));
        enum job_state to = job_state_from_name(query_text(&q, 2));
        bool legal = from == JOB_NO_STATE;
        for (int event = 0; event < JOB_EVENT_COUNT && !legal; event++) {
            legal = job_next_state(from, (enum job_event)event) == to;
        }
        check(sim, legal, "a transition is not legal");
        check(sim, from == (query_int(&q, 0) == id ? at : JOB_NO_STATE), "a transition is missing");
        id = query_int(&q, 0);
        at = to;
    }
    query_end(&q);
    must(sim, rc, &err);
}

static void check_stored(const struct sim *sim)
{
    check(sim, ask(sim, "SELECT count(*) FROM jobs") == sim->acknowledged,
          "what was acknowledged is stored once");
    check(sim,
          ask(sim, "SELECT count(*) FROM job_counts AS c WHERE count <> (SELECT count(*) FROM "
                   "jobs WHERE jobs.state = c.state)") == 0,
          "the counters are right");
    check(sim,
          ask(sim, "SELECT count(*) FROM jobs WHERE (state IN ('starting', 'running', "
                   "'stopping')) <> EXISTS (SELECT 1 FROM attempts WHERE job_id = jobs.id AND "
                   "ended_at_ms = 0)") == 0,
          "a job is active exactly while an attempt is open");
    check_events(sim);
}

/* Lets everything end: waiting jobs whose predecessors failed are cancelled. */
static void settle(struct sim *sim)
{
    sim->calm = true;
    sim->calm_ms = sim->now_ms;
    sim->profile = "{\"a\":1}"; /* jobs of the other one wait until they are cancelled */
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 3000; i++) {
            step(sim);
        }
        for (int64_t id = 1; id <= sim->acknowledged; id++) {
            core_change(sim->core,
                        &(struct core_wish){.id = id, .event = JOB_EVENT_RELEASE, .now = false},
                        NULL, NULL);
            if (round > 10) {
                core_change(sim->core,
                            &(struct core_wish){.id = id, .event = JOB_EVENT_CANCEL, .now = false},
                            NULL, NULL);
            }
        }
    }
    int32_t slots = 0;
    int32_t slots_free = 0;
    core_slots(sim->core, &slots, &slots_free);
    check(sim, slots_free == slots, "all slots are free at the end");
    check(sim, core_idle(sim->core), "nothing lives at the end");
    check(sim,
          ask(sim, "SELECT count(*) FROM jobs WHERE state NOT IN ('succeeded', 'failed', "
                   "'cancelled', 'interrupted')") == 0,
          "every job has ended");
    check_stored(sim);
}

int main(int argc, char **argv)
{
    static struct sim sim;
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    long steps = argc > 2 ? strtol(argv[2], NULL, 10) : 4000;
    sim.random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    /* Memory, not a disk: what is simulated is not the disk, and years would take years. */
    (void)snprintf(sim.path, sizeof sim.path, "/dev/shm/cambrian-sim-%d.db", (int)getpid());
    (void)printf("seed %" PRIu64 "\n", seed);
    sim.profile = "{\"a\":1}";
    daemon_start(&sim);
    for (long i = 0; i < steps; i++) {
        step(&sim);
        if (i % 500 == 0) {
            store_deliver(sim.store);
            check_stored(&sim);
        }
    }
    settle(&sim);
    (void)printf("%" PRId64 " jobs, %" PRId64 " attempts, %" PRId64 " daemons, %" PRId64
                 " s; another profile: %" PRId64 " waits, %" PRId64 " attempts\n",
                 sim.acknowledged, ask(&sim, "SELECT count(*) FROM attempts"), sim.deaths,
                 sim.now_ms / 1000, sim.waited, sim.refused);
    daemon_die(&sim);
    static const char *const ENDS[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        char path[80];
        (void)snprintf(path, sizeof path, "%s%s", sim.path, ENDS[i]);
        (void)unlink(path);
    }
    return 0;
}
