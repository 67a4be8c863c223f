#include "client/check_plan.h"

#include "base/arena.h"
#include "client/render.h"
#include "model/plan/plan_step.h"

#include <inttypes.h>

enum { FLOAT_BYTES = 4, COLUMNS = 7 };

static const struct render_column TITLES[COLUMNS] = {
    {"STEP", true},    {"PATH", false}, {"SHAPES", false},    {"READ", true},
    {"WRITTEN", true}, {"FLOP", true},  {"OPERATORS", false},
};

/* Keeps a text that was built in `text`, and empties that. */
static const char *keep(struct cam_arena *arena, struct cam_text *text)
{
    const char *kept = text->bytes == NULL ? "" : cam_arena_strdup(arena, text->bytes);
    cam_text_release(text);
    *text = (struct cam_text){0};
    return kept == NULL ? "" : kept;
}

static void fill_row(const struct plan *plan, int index, struct cam_arena *arena,
                     const char **cells)
{
    const struct plan_step *step = &plan->steps[index];
    const struct step_cost cost = plan_step_cost(plan, step);
    char value[RENDER_SIZE];
    struct cam_text text = {0};
    cam_text_add(&text, "%d", index);
    cells[0] = keep(arena, &text);
    cells[1] = step->path;
    plan_step_shapes(plan, step, &text);
    cells[2] = keep(arena, &text);
    cam_text_add(&text, "%s", render_bytes(cost.read_bytes, value));
    cells[3] = keep(arena, &text);
    cam_text_add(&text, "%s", render_bytes(cost.written_bytes, value));
    cells[4] = keep(arena, &text);
    cam_text_add(&text, "%s", render_rate((double)cost.flops, value));
    cells[5] = keep(arena, &text);
    if (step->kind == PLAN_PROGRAM) {
        cam_text_add(&text, "program: ");
    }
    plan_step_operators(step, &text);
    cells[6] = keep(arena, &text);
}

/* What all steps of a plan move. */
static struct step_cost total_of(const struct plan *plan)
{
    struct step_cost total = {0};
    for (int i = 0; i < plan->step_count; i++) {
        const struct step_cost cost = plan_step_cost(plan, &plan->steps[i]);
        total.read_bytes += cost.read_bytes;
        total.written_bytes += cost.written_bytes;
        total.flops += cost.flops;
    }
    return total;
}

static int program_count(const struct plan *plan)
{
    int count = 0;
    for (int i = 0; i < plan->step_count; i++) {
        count += plan->steps[i].kind == PLAN_PROGRAM ? 1 : 0;
    }
    return count;
}

static enum cam_code visit_text(void *context, const char *phase, const struct plan *plan,
                                struct cam_err *err)
{
    struct cam_text *out = context;
    const struct step_cost total = total_of(plan);
    struct cam_arena *arena = cam_arena_create();
    const char **cells =
        arena == NULL
            ? NULL
            : cam_arena_alloc(arena, (size_t)plan->step_count * COLUMNS + 1, sizeof(const char *));
    char value[5][RENDER_SIZE];
    if (cells == NULL) {
        cam_arena_destroy(arena);
        return cam_fail(err, CAM_NO_MEMORY, "out of memory");
    }
    for (int i = 0; i < plan->step_count; i++) {
        fill_row(plan, i, arena, cells + (ptrdiff_t)i * COLUMNS);
    }
    cam_text_add(
        out, "\n%s, a shard: %d steps, %d of them programs; %sFLOP; %s read, %s written\n", phase,
        plan->step_count, program_count(plan), render_rate((double)total.flops, value[0]),
        render_bytes(total.read_bytes, value[1]), render_bytes(total.written_bytes, value[2]));
    cam_text_add(out, "activations %s at their peak, a lane; results %s\n",
                 render_bytes(plan->activation_floats * FLOAT_BYTES, value[3]),
                 render_bytes(plan->output_floats * FLOAT_BYTES, value[4]));
    render_table(out, TITLES, COLUMNS, cells, (size_t)plan->step_count);
    cam_arena_destroy(arena);
    return CAM_OK;
}

enum cam_code check_plan_text(const struct job_file *job, const struct data_shape *data,
                              struct cam_text *out, struct cam_err *err)
{
    const struct check_visitor visitor = {.visit = visit_text, .context = out};
    return model_check_plans(job, data, &visitor, err);
}

static json_t *step_json(const struct plan *plan, const struct plan_step *step)
{
    const struct step_cost cost = plan_step_cost(plan, step);
    struct cam_text operators = {0};
    struct cam_text shapes = {0};
    plan_step_operators(step, &operators);
    plan_step_shapes(plan, step, &shapes);
    json_t *map =
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "path", step->path, "kind",
                  step->kind == PLAN_PROGRAM ? "program" : "kernel", "operators", operators.bytes,
                  "shapes", shapes.bytes, "read_bytes", (json_int_t)cost.read_bytes,
                  "written_bytes", (json_int_t)cost.written_bytes, "flops", (json_int_t)cost.flops);
    cam_text_release(&operators);
    cam_text_release(&shapes);
    return map;
}

static enum cam_code visit_json(void *context, const char *phase, const struct plan *plan,
                                struct cam_err *err)
{
    json_t *phases = context;
    json_t *steps = json_array();
    for (int i = 0; i < plan->step_count; i++) {
        (void)json_array_append_new(steps, step_json(plan, &plan->steps[i]));
    }
    json_t *map = json_pack("{s:s, s:I, s:I, s:I, s:o}", "phase", phase, "activation_bytes",
                            (json_int_t)(plan->activation_floats * FLOAT_BYTES), "output_bytes",
                            (json_int_t)(plan->output_floats * FLOAT_BYTES), "product_flops",
                            (json_int_t)plan->flops, "steps", steps);
    return json_array_append_new(phases, map) == 0 ? CAM_OK
                                                   : cam_fail(err, CAM_NO_MEMORY, "out of memory");
}

enum cam_code check_plan_json(const struct job_file *job, const struct data_shape *data,
                              json_t **out, struct cam_err *err)
{
    json_t *phases = json_array();
    const struct check_visitor visitor = {.visit = visit_json, .context = phases};
    enum cam_code rc = model_check_plans(job, data, &visitor, err);
    if (rc == CAM_OK) {
        *out = phases;
    } else {
        json_decref(phases);
    }
    return rc;
}
