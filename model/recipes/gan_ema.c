/* `gan.ema`: the average of the generator's weights. */
#include "model/recipes/gan.h"

#define HALF_LIFE_MOST 1e12

enum cam_code gan_read_ema(const struct gan *gan, struct ema *out)
{
    const struct job_file *job = gan->build->job;
    const struct doc_node *map = job->gan.ema;
    struct cam_err *err = gan->build->err;
    if (map == NULL) {
        return CAM_OK;
    }
    if ((doc_get(map, "half_life") != NULL) == (doc_get(map, "decay") != NULL)) {
        return jobfile_fail(job, "gan.ema", err,
                            "gan.ema has %s, one of half_life (in images) and decay is expected",
                            map->count == 0 ? "neither" : "both");
    }
    enum cam_code rc = doc_read_real(map, "half_life", 1.0, HALF_LIFE_MOST, &out->half_life, err);
    return rc == CAM_OK ? doc_read_real(map, "decay", 1e-6, 0.999999, &out->decay, err) : rc;
}
