/* What is done about a value that is not finite: `train.on_nan` and `train.anchor_every`. */
#include "proto/jobfile_guard.h"

#include "base/text.h"

#include <string.h>

enum { ROLLBACKS_MAX = 1000 };

static const char *const NAMES[] = {"stop", "rollback"};
static const char *const ROLLBACK_KEYS[] = {"factor", "most"};

size_t jobfile_guard_names(const char *const **names_out, const char *const **options_out,
                           size_t *option_count_out)
{
    *names_out = NAMES;
    *options_out = ROLLBACK_KEYS;
    *option_count_out = sizeof ROLLBACK_KEYS / sizeof ROLLBACK_KEYS[0];
    return sizeof NAMES / sizeof NAMES[0];
}

static enum cam_code read_on_nan(const struct reading *r, struct cam_err *err)
{
    struct job_file *job = r->job;
    const struct typed_spec *spec = &job->train.on_nan;
    job->train.rollback = strcmp(spec->type, NAMES[1]) == 0;
    job->train.rollback_factor = 0.5;
    job->train.rollback_most = 3;
    if (!job->train.rollback && strcmp(spec->type, NAMES[0]) != 0) {
        const char *near = cam_nearest(spec->type, NAMES, 2);
        return jobfile_fail(job, "train.on_nan", err,
                            "train.on_nan is '%s'%s%s%s; allowed: stop, rollback", spec->type,
                            near != NULL ? ", did you mean '" : "", near != NULL ? near : "",
                            near != NULL ? "'?" : "");
    }
    const struct doc_node *map = spec->attributes;
    enum cam_code rc =
        doc_check_keys(map, spec->type, ROLLBACK_KEYS, job->train.rollback ? 2 : 0, err);
    if (rc == CAM_OK) {
        rc = doc_read_real(map, "factor", 1e-6, 1.0, &job->train.rollback_factor, err);
    }
    return rc == CAM_OK
               ? doc_read_int(map, "most", 1, ROLLBACKS_MAX, &job->train.rollback_most, err)
               : rc;
}

/* Every epoch's end is an anchor, so that no epoch is told twice; more of them are a matter of
 * steps. */
enum cam_code jobfile_read_guard(const struct reading *r, struct cam_err *err)
{
    const struct interval *every = &r->job->train.anchor_every;
    enum cam_code rc = read_on_nan(r, err);
    if (rc == CAM_OK &&
        (every->unit == INTERVAL_TIME || (every->unit == INTERVAL_EPOCHS && every->count != 1))) {
        return jobfile_fail(r->job, "train.anchor_every", err,
                            "train.anchor_every is %s, 1 epoch or a number of steps such as 200 "
                            "steps is expected",
                            every->unit == INTERVAL_TIME ? "a time" : "several epochs");
    }
    return rc;
}
