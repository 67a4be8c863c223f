/*
 * Offsets in a lane's activation arena.  A value is alive from the step that makes it to the last
 * that reads it; values alive together never overlap.  Largest first, each into the tightest gap
 * that is free over its whole life: within a few per cent of the largest sum of live values.
 */
#include "model/plan/plan_build.h"

#include <stdlib.h>

enum { ALIGN_FLOATS = 16 }; /* 64 bytes */

struct life {
    int value;
    int first;
    int last;
    int64_t floats;
    int64_t offset;
};

static void touch(const struct plan_builder *b, struct life *lives, int value, int step)
{
    struct life *life = &lives[b->values[value].alias];
    life->first = life->first == NONE || step < life->first ? step : life->first;
    life->last = step > life->last ? step : life->last;
}

static void touch_step(const struct plan_builder *b, struct life *lives, int index)
{
    const struct plan_step *step = &b->plan->steps[index];
    for (int i = 0; i < step->input_count; i++) {
        touch(b, lives, step->input[i], index);
    }
    if (step->kind == PLAN_OPERATOR) {
        touch(b, lives, step->output, index);
        return;
    }
    const struct program *program = step->program;
    for (int i = 0; i < program->load_count; i++) {
        touch(b, lives, program->loads[i].value, index);
    }
    for (int i = 0; i < program->store_count; i++) {
        touch(b, lives, program->stores[i].value, index);
    }
    for (int i = 0; i < program->sum_count; i++) {
        touch(b, lives, program->sums[i].value, index);
    }
}

static int by_size(const void *left, const void *right)
{
    const struct life *a = left;
    const struct life *b = right;
    if (a->floats != b->floats) {
        return a->floats > b->floats ? -1 : 1;
    }
    return a->value < b->value ? -1 : 1;
}

/* The tightest gap between placed values that live at the same time; else behind them all. */
static int64_t find_gap(const struct life *life, struct life *const *placed, int count)
{
    int64_t end = 0;
    int64_t best = -1;
    int64_t best_size = INT64_MAX;
    for (int i = 0; i < count; i++) {
        const struct life *other = placed[i];
        if (other->last < life->first || other->first > life->last) {
            continue;
        }
        int64_t gap = other->offset - end;
        if (gap >= life->floats && gap < best_size) {
            best = end;
            best_size = gap;
        }
        int64_t after = other->offset + other->floats;
        end = after > end ? after : end;
    }
    return best >= 0 ? best : end;
}

/* Keeps placed[] sorted by offset. */
static void insert(struct life **placed, int count, struct life *life)
{
    int at = count;
    while (at > 0 && placed[at - 1]->offset > life->offset) {
        placed[at] = placed[at - 1];
        at--;
    }
    placed[at] = life;
}

void plan_memory(struct plan_builder *b)
{
    size_t count = (size_t)b->value_count + 1;
    struct life *lives = cam_arena_alloc(b->scratch, count, sizeof *lives);
    struct life **placed = cam_arena_alloc(b->scratch, count, sizeof(struct life *));
    int live_count = 0;
    if (lives == NULL || placed == NULL) {
        b->no_memory = true;
        return;
    }
    for (int v = 0; v < b->value_count; v++) {
        int64_t floats = shape_count(&b->values[v].shape);
        lives[v] = (struct life){.value = v, .first = NONE, .last = NONE};
        lives[v].floats = (floats + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
    }
    for (int i = 0; i < b->plan->step_count; i++) {
        touch_step(b, lives, i);
    }
    for (int v = 0; v < b->value_count; v++) {
        if (b->values[v].storage == STORAGE_ACTIVATION && b->values[v].alias == v) {
            lives[live_count++] = lives[v];
        }
    }
    qsort(lives, (size_t)live_count, sizeof *lives, by_size);
    for (int i = 0; i < live_count; i++) {
        struct life *life = &lives[i];
        life->offset = find_gap(life, placed, i);
        insert(placed, i, life);
        b->values[life->value].offset = life->offset;
        int64_t end = life->offset + life->floats;
        b->plan->activation_floats =
            end > b->plan->activation_floats ? end : b->plan->activation_floats;
    }
    for (int v = 0; v < b->value_count; v++) {
        b->values[v].offset = b->values[b->values[v].alias].offset;
    }
}
