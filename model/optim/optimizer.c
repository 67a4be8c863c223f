#include "model/optim/optimizer.h"

#include "base/text.h"

#include <string.h>

static const char *const NAMES[] = {"adam", "sgd"};
static const struct optimizer OPTIMIZERS[] = {
    {.name = "adam",
     .keys = {"lr", "beta1", "beta2", "epsilon"},
     .read = adam_read,
     .update = adam_update},
    {.name = "sgd", .keys = {"lr", "momentum"}, .read = sgd_read, .update = sgd_update},
};
enum { OPTIMIZER_COUNT = sizeof OPTIMIZERS / sizeof OPTIMIZERS[0] };
_Static_assert(sizeof NAMES / sizeof NAMES[0] == OPTIMIZER_COUNT, "a name for every optimizer");

const struct optimizer *optimizer_get(int index)
{
    return &OPTIMIZERS[index];
}

int optimizer_count(void)
{
    return OPTIMIZER_COUNT;
}

enum cam_code optimizer_read(const struct job_file *job, const struct optimizer_spec *spec,
                             struct cam_arena *arena, struct update_info *out, struct cam_err *err)
{
    for (int i = 0; i < OPTIMIZER_COUNT; i++) {
        const struct optimizer *optimizer = &OPTIMIZERS[i];
        size_t count = 0;
        if (strcmp(optimizer->name, spec->type) != 0) {
            continue;
        }
        while (count < OPTIMIZER_KEYS_MAX && optimizer->keys[count] != NULL) {
            count++;
        }
        out->optimizer = i;
        enum cam_code rc =
            doc_check_keys(spec->attributes, spec->type, optimizer->keys, count, err);
        return rc == CAM_OK ? optimizer->read(spec, arena, out, err) : rc;
    }
    const char *near = cam_nearest(spec->type, NAMES, OPTIMIZER_COUNT);
    return doc_fail(job->file_name, spec->line, err,
                    "unknown optimizer '%s'%s%s%s; allowed: adam, sgd", spec->type,
                    near != NULL ? ", did you mean '" : "", near != NULL ? near : "",
                    near != NULL ? "'?" : "");
}
