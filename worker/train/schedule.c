#include "worker/train/schedule.h"

#include "base/mem.h"

#include <assert.h>
#include <stdbool.h>

enum { STACK_MAX = 64 };

/* Finished subtrees, left to right, and the buffers that hold them. */
struct stack {
    int count;
    struct tree_node node[STACK_MAX];
    int buffer[STACK_MAX];
};

/* The lowest buffer not in use; grows the count. */
static int take_buffer(bool *used, int *count)
{
    int i = 0;
    while (used[i]) {
        i++;
    }
    used[i] = true;
    *count = i + 1 > *count ? i + 1 : *count;
    return i;
}

/* Merges the top of the stack while its two uppermost nodes are halves of one. */
static int merge_top(struct stack *stack, int shards, bool *used, struct schedule_merge *out)
{
    int merges = 0;
    while (stack->count >= 2) {
        int top = stack->count - 1;
        if (!tree_siblings(shards, stack->node[top - 1], stack->node[top])) {
            break;
        }
        out[merges++] =
            (struct schedule_merge){.dst = stack->buffer[top - 1], .src = stack->buffer[top]};
        stack->node[top - 1].end = stack->node[top].end;
        used[stack->buffer[top]] = false;
        stack->count--;
    }
    return merges;
}

static void fill_rounds(struct schedule *schedule, int shards, struct tree_node range, int lanes)
{
    struct stack stack = {0};
    bool used[2 * TREE_SHARDS_MAX] = {false};
    int *buffer = schedule->buffers;
    struct schedule_merge *merge = schedule->merges;
    for (int first = range.first; first < range.end; first += lanes) {
        struct schedule_round *round = &schedule->rounds[schedule->round_count++];
        int count = range.end - first < lanes ? range.end - first : lanes;
        *round = (struct schedule_round){
            .shard_first = first, .shard_count = count, .buffer = buffer, .merges = merge};
        for (int i = 0; i < count; i++) {
            buffer[i] = take_buffer(used, &schedule->buffer_count);
        }
        for (int i = 0; i < count; i++) {
            assert(stack.count < STACK_MAX);
            stack.node[stack.count] = (struct tree_node){first + i, first + i + 1};
            stack.buffer[stack.count++] = buffer[i];
            int merged = merge_top(&stack, shards, used, merge);
            merge += merged;
            round->merge_count += merged;
        }
        buffer += count;
    }
    schedule->partial_count = stack.count;
    assert(stack.count <= TREE_COVER_MAX);
    for (int i = 0; i < stack.count; i++) {
        schedule->partial[i] = stack.node[i];
        schedule->partial_buffer[i] = stack.buffer[i];
    }
}

enum cam_code schedule_init(struct schedule *schedule, int shards, struct tree_node range,
                            int lanes, struct cam_err *err)
{
    assert(lanes >= 1 && range.first < range.end && range.end <= shards);
    size_t count = (size_t)(range.end - range.first);
    *schedule = (struct schedule){
        .rounds = cam_alloc(count, sizeof *schedule->rounds),
        .buffers = cam_alloc(count, sizeof *schedule->buffers),
        .merges = cam_alloc(count, sizeof *schedule->merges),
    };
    if (schedule->rounds == NULL || schedule->buffers == NULL || schedule->merges == NULL) {
        schedule_release(schedule);
        return cam_fail(err, CAM_NO_MEMORY, "the schedule of %zu shards: out of memory", count);
    }
    fill_rounds(schedule, shards, range, lanes);
    return CAM_OK;
}

void schedule_release(struct schedule *schedule)
{
    cam_free(schedule->rounds);
    cam_free(schedule->buffers);
    cam_free(schedule->merges);
    *schedule = (struct schedule){0};
}

/* The operand that a sum goes to: one of its own that is scratch, else a new scratch. */
static int combine_out(const struct combine *combine, int left, int right, bool *used,
                       int *scratch_count)
{
    if (left >= combine->partial_count) {
        return left;
    }
    return right >= combine->partial_count
               ? right
               : combine->partial_count + take_buffer(used, scratch_count);
}

enum cam_code combine_init(struct combine *combine, int shards, const struct tree_node *partials,
                           int count, struct cam_err *err)
{
    assert(count >= 1);
    *combine = (struct combine){
        .partial_count = count,
        .steps = cam_alloc((size_t)count, sizeof *combine->steps),
    };
    if (combine->steps == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the sum of %d partials: out of memory", count);
    }
    struct stack stack = {0};
    bool used[STACK_MAX] = {false};
    for (int i = 0; i < count; i++) {
        assert(stack.count < STACK_MAX);
        stack.node[stack.count] = partials[i];
        stack.buffer[stack.count++] = i;
        while (stack.count >= 2 &&
               tree_siblings(shards, stack.node[stack.count - 2], stack.node[stack.count - 1])) {
            int top = stack.count - 1;
            int left = stack.buffer[top - 1];
            int right = stack.buffer[top];
            int out = combine_out(combine, left, right, used, &combine->scratch_count);
            combine->steps[combine->step_count++] = (struct combine_step){left, right, out};
            if (right >= count && out != right) {
                used[right - count] = false;
            }
            stack.node[top - 1].end = stack.node[top].end;
            stack.buffer[top - 1] = out;
            stack.count--;
        }
    }
    assert(stack.count == 1 && stack.node[0].first == 0 && stack.node[0].end == shards);
    combine->result = stack.buffer[0];
    return CAM_OK;
}

void combine_release(struct combine *combine)
{
    cam_free(combine->steps);
    *combine = (struct combine){0};
}
