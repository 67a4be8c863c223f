#include "model/graph/node_equal.h"

#include <string.h>

/* Field by field: the padding between fields holds anything. */
static bool window_equal(const struct window *a, const struct window *b)
{
    return memcmp(a->size, b->size, sizeof a->size) == 0 &&
           memcmp(a->stride, b->stride, sizeof a->stride) == 0 &&
           memcmp(a->pad_before, b->pad_before, sizeof a->pad_before) == 0 &&
           memcmp(a->pad_after, b->pad_after, sizeof a->pad_after) == 0 &&
           memcmp(a->dilation, b->dilation, sizeof a->dilation) == 0 && a->groups == b->groups;
}

static bool attr_equal(const struct op_attr *a, const struct op_attr *b)
{
    return shape_equal(&a->shape, &b->shape) && window_equal(&a->window, &b->window) &&
           memcmp(a->start, b->start, sizeof a->start) == 0 &&
           memcmp(a->order, b->order, sizeof a->order) == 0 &&
           memcmp(&a->value, &b->value, sizeof a->value) == 0 && a->slot == b->slot &&
           a->axis == b->axis && a->axes == b->axes && a->stream == b->stream &&
           a->by_row == b->by_row && a->transpose_a == b->transpose_a &&
           a->transpose_b == b->transpose_b && a->causal == b->causal && a->replay == b->replay;
}

bool node_equal(const struct node *a, const struct node *b)
{
    return a->op == b->op && a->input_count == b->input_count &&
           memcmp(a->input, b->input, sizeof a->input) == 0 && attr_equal(&a->attr, &b->attr);
}

/* FNV-1a over words: enough fields to tell nodes apart, not all of them. */
static unsigned mix(unsigned hash, uint64_t word)
{
    for (int i = 0; i < 2; i++) {
        hash = (hash ^ (unsigned)(word >> (32 * i))) * 16777619u;
    }
    return hash ^ hash >> 15;
}

unsigned node_hash(const struct node *node)
{
    const struct op_attr *attr = &node->attr;
    uint64_t value;
    unsigned hash = mix(2166136261u, (uint64_t)node->op);
    memcpy(&value, &attr->value, sizeof value);
    for (int i = 0; i < node->input_count; i++) {
        hash = mix(hash, (uint64_t)node->input[i]);
    }
    for (int i = 0; i < attr->shape.rank; i++) {
        hash = mix(hash, (uint64_t)attr->shape.dim[i] << 8 | (uint64_t)attr->start[i] << 40);
    }
    hash = mix(hash, value);
    hash = mix(hash, (uint64_t)attr->slot << 32 | attr->axes) ^ attr->stream;
    return attr->replay ? mix(hash, 1) : hash;
}
