#include "model/optim/rate.h"

#include "base/text.h"
#include "model/optim/optimizer.h"

#include <string.h>

#define STEPS_MAX INT64_C(1000000000000)

enum { RATE_KEYS_MAX = 2 };

static enum cam_code read_nothing(const struct doc_node *map, struct rate *out, struct cam_err *err)
{
    (void)map;
    (void)out;
    (void)err;
    return CAM_OK;
}

static enum cam_code need(const struct doc_node *map, const char *key, const char *kind,
                          const struct doc_node *schedule, struct cam_err *err)
{
    return doc_get(map, key) != NULL
               ? CAM_OK
               : doc_fail(schedule->file_name, schedule->line, err,
                          "%s is missing, the schedule %s needs it", key, kind);
}

static enum cam_code read_step(const struct doc_node *map, struct rate *out, struct cam_err *err)
{
    out->factor = 0.1;
    enum cam_code rc = doc_read_int(map, "every", 1, STEPS_MAX, &out->every, err);
    return rc == CAM_OK ? doc_read_real(map, "factor", 0.0, 1.0, &out->factor, err) : rc;
}

static enum cam_code read_towards(const struct doc_node *map, struct rate *out, struct cam_err *err)
{
    enum cam_code rc = doc_read_int(map, "steps", 1, STEPS_MAX, &out->steps, err);
    return rc == CAM_OK ? doc_read_real(map, "to", 0.0, 100.0, &out->to, err) : rc;
}

static double at_constant(const struct rate *rate, int64_t s)
{
    (void)s;
    return rate->base;
}

static double at_step(const struct rate *rate, int64_t s)
{
    return rate->base * rate_power(rate->factor, s / rate->every);
}

static double at_linear(const struct rate *rate, int64_t s)
{
    return s >= rate->steps
               ? rate->to
               : rate->base + (rate->to - rate->base) * ((double)s / (double)rate->steps);
}

static double at_cosine(const struct rate *rate, int64_t s)
{
    if (s >= rate->steps) {
        return rate->to;
    }
    double share = 0.5 * (1.0 + rate_cos_pi((double)s / (double)rate->steps));
    return rate->to + (rate->base - rate->to) * share;
}

static const struct {
    const char *name;
    const char *needed; /* a key that it cannot do without; NULL: none */
    const char *keys[RATE_KEYS_MAX];
    enum cam_code (*read)(const struct doc_node *map, struct rate *out, struct cam_err *err);
    double (*at)(const struct rate *rate, int64_t s);
} KINDS[] = {
    [RATE_CONSTANT] = {.name = "constant", .read = read_nothing, .at = at_constant},
    [RATE_STEP] = {.name = "step",
                   .needed = "every",
                   .keys = {"every", "factor"},
                   .read = read_step,
                   .at = at_step},
    [RATE_LINEAR] = {.name = "linear",
                     .needed = "steps",
                     .keys = {"steps", "to"},
                     .read = read_towards,
                     .at = at_linear},
    [RATE_COSINE] = {.name = "cosine",
                     .needed = "steps",
                     .keys = {"steps", "to"},
                     .read = read_towards,
                     .at = at_cosine},
};
_Static_assert(sizeof KINDS / sizeof KINDS[0] == RATE_KIND_COUNT, "a row for every schedule");

/* `constant`, or `{cosine: {steps: 1000}}`. */
static enum cam_code read_schedule(const struct doc_node *node, struct rate *out,
                                   struct cam_err *err)
{
    char found[80];
    const char *name = NULL;
    const struct doc_node *map = NULL;
    if (node->kind == DOC_SCALAR) {
        name = node->text;
    } else if (node->kind == DOC_MAP && node->count == 1) {
        name = node->keys[0];
        map = doc_given(node->items[0]) ? node->items[0] : NULL;
    }
    for (int i = 0; name != NULL && i < RATE_KIND_COUNT; i++) {
        size_t keys = 0;
        if (strcmp(name, KINDS[i].name) != 0) {
            continue;
        }
        while (keys < RATE_KEYS_MAX && KINDS[i].keys[keys] != NULL) {
            keys++;
        }
        out->kind = (enum rate_kind)i;
        enum cam_code rc = doc_check_keys(map, name, KINDS[i].keys, keys, err);
        if (rc == CAM_OK && KINDS[i].needed != NULL) {
            rc = need(map, KINDS[i].needed, name, node, err);
        }
        return rc == CAM_OK ? KINDS[i].read(map, out, err) : rc;
    }
    return doc_fail(node->file_name, node->line, err,
                    "schedule is %s, constant, or one of step, linear, cosine such as {cosine: "
                    "{steps: 1000}} is expected",
                    name != NULL && doc_given(node) ? name
                                                    : doc_describe(node, found, sizeof found));
}

enum cam_code rate_read(const struct doc_node *attributes, struct rate *out, struct cam_err *err)
{
    *out = (struct rate){.base = out->base};
    enum cam_code rc = doc_read_real(attributes, "lr", LEARNING_RATE_LEAST, 100.0, &out->base, err);
    if (rc == CAM_OK) {
        rc = doc_read_int(attributes, "warmup", 0, STEPS_MAX, &out->warmup, err);
    }
    const struct doc_node *schedule = doc_get(attributes, "schedule");
    return rc == CAM_OK && schedule != NULL ? read_schedule(schedule, out, err) : rc;
}

double rate_at(const struct rate *rate, int64_t t)
{
    return t < rate->warmup ? rate->base * ((double)(t + 1) / (double)rate->warmup)
                            : KINDS[rate->kind].at(rate, t - rate->warmup);
}

bool rate_changes(const struct rate *rate)
{
    return rate->warmup > 0 || rate->kind != RATE_CONSTANT;
}

/* Taylor's series of the cosine (odd = 0) or sine (odd = 1) at y in [0, pi / 4], from its smallest
 * term up: the first one left out is below 1e-17. */
static double series(double y, int odd)
{
    enum { TERMS = 9 };
    double sum = 1.0;
    for (int k = TERMS; k >= 1; k--) {
        double n = 2.0 * k + odd;
        sum = 1.0 - sum * (y * y) / (n * (n - 1.0));
    }
    return odd == 1 ? y * sum : sum;
}

double rate_cos_pi(double x)
{
    const double pi = 3.14159265358979323846;
    if (x > 0.5) {
        return -rate_cos_pi(1.0 - x);
    }
    return x <= 0.25 ? series(pi * x, 0) : series(pi * (0.5 - x), 1);
}

double rate_power(double base, int64_t exponent)
{
    double result = 1.0;
    for (double square = base; exponent > 0; exponent /= 2) {
        if (exponent % 2 == 1) {
            result *= square;
        }
        square *= square;
    }
    return result;
}
