#include "daemon/live.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

enum {
    QUIET_MS = 10000,       /* no verdict within this of a start, re-attach or stall */
    STUCK_LEAST_MS = 10000, /* a stage may take this long ... */
    STUCK_FACTOR = 5,       /* ... or so many times its usual time */
};

enum cam_code live_create(int64_t job_id, int attempt, int rank_count, struct live **out,
                          struct cam_err *err)
{
    struct live *live = cam_alloc(1, sizeof *live);
    struct live_rank *ranks = cam_alloc((size_t)rank_count, sizeof *ranks);
    if (live == NULL || ranks == NULL) {
        cam_free(ranks);
        cam_free(live);
        return cam_fail(err, CAM_NO_MEMORY, "attempt %d of job %lld", attempt, (long long)job_id);
    }
    *live = (struct live){.job_id = job_id,
                          .attempt = attempt,
                          .rank_count = rank_count,
                          .ranks = ranks,
                          .error_rank = -1,
                          .error_step = -1};
    *out = live;
    return CAM_OK;
}

void live_destroy(struct live *live)
{
    if (live != NULL) {
        cam_free(live->ranks);
        cam_free(live);
    }
}

void live_attach(struct live *live, int rank, int64_t now_ms)
{
    struct live_rank *who = &live->ranks[rank];
    who->attached = true;
    who->heard_ms = now_ms;
    who->moved_ms = now_ms;
    who->whole = false;
    live->judge_after_ms = now_ms + QUIET_MS;
}

static bool same_place(const struct live_progress *a, const struct live_progress *b)
{
    return a->step == b->step && a->collective == b->collective &&
           strcmp(a->phase, b->phase) == 0 && strcmp(a->stage, b->stage) == 0;
}

void live_hear(struct live *live, int rank, const struct live_progress *progress, int64_t now_ms)
{
    struct live_rank *who = &live->ranks[rank];
    who->heard_ms = now_ms;
    if (!who->reported || !same_place(&who->now, progress)) {
        if (who->reported && who->whole) {
            stage_times_add(&who->times, who->now.phase, who->now.stage, now_ms - who->moved_ms);
        }
        who->moved_ms = now_ms;
        who->whole = who->reported;
    }
    who->reported = true;
    who->now = *progress;
}

void live_fail(struct live *live, enum cam_code code, const char *text, int rank, int64_t step)
{
    /* That a peer is gone is seldom where it began: a better account replaces it. */
    if (live->error_code != CAM_OK && live->error_code != CAM_PEER_LOST) {
        return;
    }
    live->error_code = code == CAM_OK ? CAM_INTERNAL : code;
    (void)snprintf(live->error_text, sizeof live->error_text, "%s", text);
    cam_utf8_mend(live->error_text);
    live->error_rank = rank;
    live->error_step = step;
}

void live_forgive(struct live *live, int64_t now_ms)
{
    live->judge_after_ms = now_ms + QUIET_MS;
    for (int i = 0; i < live->rank_count; i++) {
        live->ranks[i].heard_ms = now_ms;
        live->ranks[i].moved_ms = now_ms;
        live->ranks[i].whole = false;
    }
}

/* Of several silent ranks the first to fall silent: the others may only wait for it. */
static int find_silent(const struct live *live, int64_t now_ms, char *text, size_t size)
{
    int silent = -1;
    int absent = -1;
    for (int i = 0; i < live->rank_count; i++) {
        const struct live_rank *rank = &live->ranks[i];
        if (!rank->attached) {
            absent = absent < 0 ? i : absent;
        } else if (now_ms - rank->heard_ms > live->silent_limit_ms &&
                   (silent < 0 || rank->heard_ms < live->ranks[silent].heard_ms)) {
            silent = i;
        }
    }
    if (silent >= 0) {
        const struct live_rank *rank = &live->ranks[silent];
        (void)snprintf(text, size,
                       "rank %d hangs: no heartbeat for %lld s (%lld s are allowed); it was in "
                       "step %lld, %s %s",
                       silent, (long long)((now_ms - rank->heard_ms) / 1000),
                       (long long)(live->silent_limit_ms / 1000), (long long)rank->now.step,
                       rank->now.phase, rank->now.stage);
        return silent;
    }
    if (absent >= 0 && now_ms - live->since_ms > live->attach_limit_ms) {
        (void)snprintf(text, size, "rank %d has not reported within %lld s of the launch", absent,
                       (long long)(live->attach_limit_ms / 1000));
        return absent;
    }
    return -1;
}

/* How long this rank's stage usually takes; -1: nobody has ended it yet. */
static int64_t usual_ms(const struct live *live, const struct live_rank *rank)
{
    int64_t usual = stage_times_median(&rank->times, rank->now.phase, rank->now.stage);
    if (usual >= 0) {
        return usual;
    }
    for (int i = 0; i < live->rank_count; i++) {
        int64_t other = stage_times_median(&live->ranks[i].times, rank->now.phase, rank->now.stage);
        usual = other > usual ? other : usual;
    }
    return usual;
}

static int64_t limit_ms(const struct live *live, const struct live_rank *rank)
{
    if (rank->now.stage_limit_ms > 0) {
        return rank->now.stage_limit_ms;
    }
    int64_t limit = STUCK_FACTOR * usual_ms(live, rank);
    return limit < STUCK_LEAST_MS ? STUCK_LEAST_MS : limit;
}

static bool is_before(const struct live_progress *a, const struct live_progress *b)
{
    return a->step != b->step ? a->step < b->step : a->collective < b->collective;
}

/* The rank behind all others, where those wait for it in a later collective. */
static int find_behind(const struct live *live, int64_t now_ms, char *text, size_t size)
{
    int behind = 0;
    int ahead = 0;
    for (int i = 0; i < live->rank_count; i++) {
        if (!live->ranks[i].reported) {
            return -1;
        }
        behind = is_before(&live->ranks[i].now, &live->ranks[behind].now) ? i : behind;
        ahead = is_before(&live->ranks[ahead].now, &live->ranks[i].now) ? i : ahead;
    }
    const struct live_rank *rank = &live->ranks[behind];
    const struct live_rank *first = &live->ranks[ahead];
    int64_t limit = limit_ms(live, rank);
    if (rank->now.collective >= first->now.collective || now_ms - rank->moved_ms <= limit) {
        return -1;
    }
    (void)snprintf(text, size,
                   "rank %d hangs: for %lld s (%lld s are allowed) in step %lld, %s %s, at "
                   "collective %lld, where rank %d waits at %lld",
                   behind, (long long)((now_ms - rank->moved_ms) / 1000), (long long)(limit / 1000),
                   (long long)rank->now.step, rank->now.phase, rank->now.stage,
                   (long long)rank->now.collective, ahead, (long long)first->now.collective);
    return behind;
}

int live_verdict(const struct live *live, int64_t now_ms, char *text, size_t size)
{
    if (now_ms < live->judge_after_ms) {
        return -1;
    }
    int rank = find_silent(live, now_ms, text, size);
    return rank >= 0 ? rank : find_behind(live, now_ms, text, size);
}
