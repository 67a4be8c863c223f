/*
 * Runs a plan over hashes in place of numbers: a sum adds them, everything else mixes what it
 * reads.  Two plans of one graph agree in every output exactly when they compute the same
 * expressions, whatever their fusion and memory.
 */
#ifndef PLAN_HASH_H
#define PLAN_HASH_H

#include "model/graph/op.h"
#include "model/plan/plan.h"

#include <stdlib.h>
#include <string.h>

struct hash_run {
    const struct plan *plan;
    uint64_t *activations;
    uint64_t *output;
};

static uint64_t hash_mix(uint64_t a, uint64_t b)
{
    uint64_t x = (a ^ b * 0x9e3779b97f4a7c15u) + 0x2545f4914f6cdd1du;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static uint64_t hash_double(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return hash_mix(bits, OP_CONSTANT);
}

static uint64_t hash_random(enum op_kind op, uint32_t stream, int64_t row, int64_t element)
{
    return hash_mix(hash_mix((uint64_t)op, stream), hash_mix((uint64_t)row, (uint64_t)element));
}

static uint64_t *hash_place(const struct hash_run *run, int value)
{
    const struct plan_value *v = &run->plan->values[value];
    return (v->storage == STORAGE_OUTPUT ? run->output : run->activations) + v->offset;
}

static uint64_t hash_read(const struct hash_run *run, int value, int64_t element)
{
    const struct plan_value *v = &run->plan->values[value];
    if (v->storage == STORAGE_ACTIVATION || v->storage == STORAGE_OUTPUT) {
        return hash_place(run, value)[element];
    }
    return hash_mix(hash_mix((uint64_t)v->storage, (uint64_t)v->slot), (uint64_t)element);
}

/* The index of an element of a shape. */
static void hash_index(const struct shape *shape, int64_t element, int64_t *index)
{
    for (int d = shape->rank - 1; d >= 0; d--) {
        index[d] = element % shape->dim[d];
        element /= shape->dim[d];
    }
}

static uint64_t hash_elementwise(enum op_kind op, const uint64_t *sources)
{
    uint64_t hash = (uint64_t)op;
    for (int i = 0; i < op_get(op)->input_count; i++) {
        hash = hash_mix(hash, sources[i]);
    }
    return hash;
}

static int64_t hash_dot(const int64_t *index, const int64_t *stride, int rank)
{
    int64_t sum = 0;
    for (int d = 0; d < rank; d++) {
        sum += index[d] * stride[d];
    }
    return sum;
}

static uint64_t hash_instruction(const struct hash_run *run, const struct program *p, int i,
                                 const int64_t *index, const uint64_t *registers)
{
    const struct program_instruction *in = &p->instructions[i];
    uint64_t sources[3];
    if (in->op == OP_INPUT) {
        const struct program_load *load = &p->loads[in->load];
        return hash_read(run, load->value,
                         load->offset + hash_dot(index, load->stride, p->space.rank));
    }
    if (in->op == OP_CONSTANT) {
        return hash_double(in->value);
    }
    if (in->op == OP_IOTA) {
        return hash_double((double)index[in->axis]);
    }
    if (in->op == OP_UNIFORM || in->op == OP_NORMAL) {
        return hash_random(in->op, in->stream, hash_dot(index, in->row_stride, p->space.rank),
                           hash_dot(index, in->element_stride, p->space.rank));
    }
    for (int k = 0; k < 3; k++) {
        sources[k] = registers[in->source[k]];
    }
    return hash_elementwise(in->op, sources);
}

/* A reduction is a sum over all elements, whatever their order: here of hashes. */
static uint64_t hash_term(enum op_kind op, uint64_t value)
{
    return op == OP_REDUCE_MAX ? hash_mix(value, OP_REDUCE_MAX) : value;
}

/* The registers of every element of a row, reductions among them. */
static void hash_row(const struct hash_run *run, const struct program *p, int64_t first,
                     int64_t size, uint64_t *registers)
{
    int64_t index[SHAPE_RANK_MAX] = {0};
    for (int i = 0; i < p->instruction_count; i++) {
        const struct program_instruction *in = &p->instructions[i];
        uint64_t all = 0;
        for (int64_t e = 0; e < size; e++) {
            uint64_t *own = registers + e * PROGRAM_INSTRUCTIONS_MAX;
            if (in->op == OP_SUM || in->op == OP_REDUCE_MAX) {
                all += hash_term(in->op, own[in->source[0]]);
            } else {
                hash_index(&p->space, first + e, index);
                own[i] = hash_instruction(run, p, i, index, own);
            }
        }
        for (int64_t e = 0; e < size && (in->op == OP_SUM || in->op == OP_REDUCE_MAX); e++) {
            registers[e * PROGRAM_INSTRUCTIONS_MAX + i] = all;
        }
    }
}

static void hash_program(const struct hash_run *run, const struct program *p)
{
    int64_t row = p->row_axes != 0 ? p->space.dim[p->space.rank - 1] : 1;
    uint64_t *all = calloc((size_t)row * PROGRAM_INSTRUCTIONS_MAX, sizeof *all);
    int64_t index[SHAPE_RANK_MAX] = {0};
    for (int i = 0; i < p->sum_count; i++) {
        int value = p->sums[i].value;
        memset(hash_place(run, value), 0,
               (size_t)shape_count(&run->plan->values[value].shape) * sizeof(uint64_t));
    }
    for (int64_t e = 0; e < shape_count(&p->space); e++) {
        hash_index(&p->space, e, index);
        const uint64_t *registers = all + e % row * PROGRAM_INSTRUCTIONS_MAX;
        if (e % row == 0) {
            hash_row(run, p, e, row, all);
        }
        for (int i = 0; i < p->store_count; i++) {
            int64_t at = p->stores[i].row ? e / row : e;
            hash_place(run, p->stores[i].value)[at] = registers[p->stores[i].source];
        }
        int64_t left = 0;
        for (int d = 0; d < p->space.rank; d++) {
            left = (p->sum_axes >> d & 1u) != 0 ? left : left * p->space.dim[d] + index[d];
        }
        for (int i = 0; i < p->sum_count; i++) {
            if (!p->sums[i].row || e % row == 0) {
                int64_t at = p->sums[i].row ? left / row : left;
                hash_place(run, p->sums[i].value)[at] += registers[p->sums[i].source];
            }
        }
    }
    free(all);
}

/* What element `e` of a form operator is, in terms of its inputs. */
static uint64_t hash_form(const struct hash_run *run, const struct plan_step *s, int64_t e)
{
    const struct shape *out = &run->plan->values[s->output].shape;
    int input = s->input[0];
    int64_t index[SHAPE_RANK_MAX] = {0};
    int64_t source[SHAPE_RANK_MAX] = {0};
    int64_t stride[SHAPE_RANK_MAX];
    hash_index(out, e, index);
    if (s->op == OP_CONCAT) {
        for (int i = 0; index[s->attr.axis] >= run->plan->values[input].shape.dim[s->attr.axis];) {
            index[s->attr.axis] -= run->plan->values[input].shape.dim[s->attr.axis];
            input = s->input[++i];
        }
    }
    const struct shape *in = &run->plan->values[input].shape;
    for (int d = 0; d < out->rank; d++) {
        int to = s->op == OP_PERMUTE ? s->attr.order[d] : d;
        source[to] = index[d];
        source[to] += s->op == OP_SLICE ? s->attr.start[d] : 0;
        source[to] -= s->op == OP_PAD ? s->attr.start[d] : 0;
        source[to] = s->op == OP_BROADCAST && in->dim[d] == 1 ? 0 : source[to];
        if (source[to] < 0 || source[to] >= in->dim[to]) {
            return hash_double(0.0);
        }
    }
    shape_strides(in, stride);
    return hash_read(run, input, hash_dot(source, stride, in->rank));
}

static uint64_t hash_generator(const struct hash_run *run, const struct plan_step *s, int64_t e)
{
    const struct shape *out = &run->plan->values[s->output].shape;
    int64_t index[SHAPE_RANK_MAX] = {0};
    hash_index(out, e, index);
    if (s->op == OP_CONSTANT) {
        return hash_double(s->attr.value);
    }
    if (s->op == OP_IOTA) {
        return hash_double((double)index[s->attr.axis]);
    }
    int64_t row_size = s->attr.by_row ? shape_count(out) / out->dim[0] : shape_count(out);
    return hash_random(s->op, s->attr.stream, e / row_size, e % row_size);
}

static void hash_sum(const struct hash_run *run, const struct plan_step *s)
{
    const struct shape *in = &run->plan->values[s->input[0]].shape;
    const struct shape *out = &run->plan->values[s->output].shape;
    int64_t index[SHAPE_RANK_MAX] = {0};
    int64_t stride[SHAPE_RANK_MAX];
    shape_strides(out, stride);
    memset(hash_place(run, s->output), 0, (size_t)shape_count(out) * sizeof(uint64_t));
    for (int64_t e = 0; e < shape_count(in); e++) {
        hash_index(in, e, index);
        for (int d = 0; d < in->rank; d++) {
            index[d] = (s->attr.axes >> d & 1u) != 0 ? 0 : index[d];
        }
        hash_place(run, s->output)[hash_dot(index, stride, in->rank)] +=
            hash_term(s->op, hash_read(run, s->input[0], e));
    }
}

static void hash_operator(const struct hash_run *run, const struct plan_step *s)
{
    enum op_class class = op_get(s->op)->class;
    uint64_t all = (uint64_t)s->op;
    uint64_t sources[3] = {0};
    if (class == OP_CLASS_SUM || s->op == OP_REDUCE_MAX) {
        hash_sum(run, s);
        return;
    }
    for (int i = 0; class == OP_CLASS_PRODUCT && i < s->input_count; i++) {
        for (int64_t e = 0; e < shape_count(&run->plan->values[s->input[i]].shape); e++) {
            all = hash_mix(all, hash_read(run, s->input[i], e));
        }
    }
    for (int64_t e = 0; e < shape_count(&run->plan->values[s->output].shape); e++) {
        for (int i = 0; class == OP_CLASS_ELEMENTWISE && i < s->input_count; i++) {
            sources[i] = hash_read(run, s->input[i], e);
        }
        hash_place(run, s->output)[e] = class == OP_CLASS_PRODUCT ? hash_mix(all, (uint64_t)e)
                                        : class == OP_CLASS_ELEMENTWISE
                                            ? hash_elementwise(s->op, sources)
                                        : s->input_count > 0 ? hash_form(run, s, e)
                                                             : hash_generator(run, s, e);
    }
}

/* The output block as hashes; ends with free. */
static uint64_t *plan_hash(const struct plan *plan)
{
    struct hash_run run = {.plan = plan};
    run.activations = calloc((size_t)plan->activation_floats + 1, sizeof(uint64_t));
    run.output = calloc((size_t)plan->output_floats + 1, sizeof(uint64_t));
    for (int i = 0; i < plan->step_count; i++) {
        if (plan->steps[i].kind == PLAN_PROGRAM) {
            hash_program(&run, plan->steps[i].program);
        } else {
            hash_operator(&run, &plan->steps[i]);
        }
    }
    free(run.activations);
    return run.output;
}

#endif
