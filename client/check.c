/* cambrian check: what submit would say, and what the job costs, without a daemon. */
#include "model/check.h"

#include "base/arena.h"
#include "client/check_plan.h"
#include "client/job_text.h"
#include "client/output.h"
#include "client/render.h"
#include "data/source.h"

#include <inttypes.h>
#include <sched.h>

/* What was found out about one job. */
struct checked {
    struct job_file job;
    struct data_shape data;
    struct job_figures figures;
    int lanes;
};

static int cores_here(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count > 0 ? count : 1;
}

static enum cam_code read_data_shape(const struct job_file *job, struct data_shape *out,
                                     struct cam_err *err)
{
    struct source *source = NULL;
    enum cam_code rc = source_open_job(job, &source, err);
    if (rc == CAM_OK) {
        const struct source_info *info = source_info(source);
        *out = (struct data_shape){.count = info->count,
                                   .validation_count = info->validation_count,
                                   .height = info->height,
                                   .width = info->width,
                                   .channels = info->channels,
                                   .classes = info->classes,
                                   .length = info->length,
                                   .set_bytes = info->set_bytes};
        source_close(source);
    }
    return rc;
}

static enum cam_code print_json(const struct checked *c, bool plan, struct cam_err *err)
{
    const struct job_figures *f = &c->figures;
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"samples", c->data.count},
        {"height", c->data.height},
        {"width", c->data.width},
        {"channels", c->data.channels},
        {"classes", c->data.classes},
        {"length", c->data.length},
        {"validation_samples", c->data.validation_count},
        {"epochs", c->job.train.epochs},
        {"steps_per_epoch", f->steps_per_epoch},
        {"batch", c->job.train.batch},
        {"shards", c->job.train.shards},
        {"ranks_min", c->job.resources.ranks_min},
        {"ranks_max", c->job.resources.ranks_max},
        {"lanes", c->lanes},
        {"parameters", f->parameters},
        {"flops_per_step", f->flops_per_step},
        {"traffic_bytes", f->traffic_bytes},
        {"parameter_bytes", f->parameter_bytes},
        {"state_bytes", f->state_bytes},
        {"gradient_bytes", f->gradient_bytes},
        {"activation_bytes", f->activation_bytes},
        {"packed_bytes", f->packed_bytes},
        {"data_bytes", f->data_bytes},
        {"checkpoint_bytes", f->checkpoint_bytes},
        {"rank_bytes", f->rank_bytes},
    };
    json_t *map = json_pack("{s:s, s:s, s:s}", "name", c->job.name, "kind",
                            job_kind_name(c->job.kind), "recipe", job_recipe_name(c->job.recipe));
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        (void)json_object_set_new(map, numbers[i].name, json_integer(numbers[i].value));
    }
    json_t *phases = NULL;
    enum cam_code rc = plan ? check_plan_json(&c->job, &c->data, &phases, err) : CAM_OK;
    if (rc != CAM_OK) {
        json_decref(map);
        return rc;
    }
    if (phases != NULL) {
        (void)json_object_set_new(map, "phases", phases);
    }
    return output_json(map, err);
}

static void add_bytes(struct cam_text *out, const char *name, int64_t bytes)
{
    char text[RENDER_SIZE];
    cam_text_add(out, "  %-14s %10s\n", name, render_bytes(bytes, text));
}

static void add_data(struct cam_text *out, const struct data_shape *data)
{
    char count[RENDER_SIZE];
    cam_text_add(out, "data             %s samples of ", render_count(data->count, count));
    if (data->length > 0) {
        cam_text_add(out, "%s tokens, ", render_count(data->length, count));
        cam_text_add(out, "vocabulary of %s", render_count(data->classes, count));
    } else {
        cam_text_add(out, "%" PRId64 " x %" PRId64 " x %" PRId64, data->height, data->width,
                     data->channels);
        if (data->classes > 0) {
            cam_text_add(out, ", %" PRId64 " classes", data->classes);
        }
    }
    if (data->validation_count > 0) {
        cam_text_add(out, "; %s for validation", render_count(data->validation_count, count));
    }
    cam_text_add(out, "\n");
}

static enum cam_code print_text(const struct checked *c, bool plan, struct cam_err *err)
{
    const struct job_file *job = &c->job;
    const struct job_figures *f = &c->figures;
    char count[RENDER_SIZE];
    char other[RENDER_SIZE];
    struct cam_text out = {0};
    cam_text_add(&out, "%s: can run\n", job->name);
    add_data(&out, &c->data);
    cam_text_add(&out, "training         %s epochs of %s steps\n",
                 render_count(job->train.epochs, count), render_count(f->steps_per_epoch, other));
    cam_text_add(&out,
                 "batch            %" PRId64 " in %" PRId64 " shards of %" PRId64 " samples\n",
                 job->train.batch, job->train.shards, job->train.batch / job->train.shards);
    cam_text_add(&out, "parameters       %s\n", render_count(f->parameters, count));
    cam_text_add(&out, "arithmetic       %sFLOP a step\n",
                 render_rate((double)f->flops_per_step, count));
    cam_text_add(&out, "traffic          %s a step from each of %" PRId64 " ranks\n",
                 render_bytes(f->traffic_bytes, count), job->resources.ranks_max);
    cam_text_add(&out, "memory           %s a rank, with %" PRId64 " rank%s of %d lane%s\n",
                 render_bytes(f->rank_bytes, count), job->resources.ranks_min,
                 job->resources.ranks_min == 1 ? "" : "s", c->lanes, c->lanes == 1 ? "" : "s");
    add_bytes(&out, "parameters", f->parameter_bytes);
    add_bytes(&out, "optimizer", f->state_bytes);
    add_bytes(&out, "gradients", f->gradient_bytes);
    add_bytes(&out, "activations", f->activation_bytes);
    add_bytes(&out, "packed weights", f->packed_bytes);
    add_bytes(&out, "data", f->data_bytes);
    add_bytes(&out, "checkpoint", f->checkpoint_bytes);
    if (f->note[0] != '\0') {
        cam_text_add(&out, "note             %s\n", f->note);
    }
    enum cam_code rc = plan ? check_plan_text(&c->job, &c->data, &out, err) : CAM_OK;
    if (rc != CAM_OK) {
        cam_text_release(&out);
        return rc;
    }
    return output_text(&out, err);
}

enum cam_code command_check(struct invocation *in, struct cam_err *err)
{
    struct checked c = {0};
    struct job_source source;
    enum cam_code rc = job_source_read(in, &source, err);
    if (rc != CAM_OK) {
        return rc;
    }
    struct cam_arena *arena = cam_arena_create();
    if (arena == NULL) {
        rc = cam_fail(err, CAM_NO_MEMORY, "out of memory");
        goto out;
    }
    rc = jobfile_parse(&source.text, arena, &c.job, err);
    if (rc == CAM_OK) {
        rc = read_data_shape(&c.job, &c.data, err);
    }
    if (rc == CAM_OK) {
        c.lanes = (int)jobfile_lanes(&c.job, c.job.resources.ranks_min, cores_here());
        rc = model_check(&c.job, &c.data, c.lanes, &c.figures, err);
    }
    if (rc == CAM_OK) {
        rc = (in->given[OPTION_JSON] ? print_json : print_text)(&c, in->given[OPTION_PLAN], err);
    }
out:
    cam_arena_destroy(arena);
    job_source_release(&source);
    return rc;
}
