/*
 * Computing again instead of storing.  A node that only elementwise operators and sums read (the
 * input of an activation, say, that the backward pass compares with 0) need not be in memory when
 * the few cheap operators that make it can be repeated over what is there anyway: the forward pass
 * saves a store of a whole tensor, and the backward pass often has the operands loaded.  The
 * operators are the same, so the bits are.
 */
#include "model/plan/plan_build.h"

enum {
    AGAIN_MAX = 6,   /* operators */
    WHOLE_LOADS = 2, /* as a store and a load move: a long sum is better stored than made of all of
                        its terms, which would have to stay in memory */
};

static bool is_cheap(enum op_kind op)
{
    static const bool CHEAP[OP_COUNT] = {
        [OP_ADD] = true,   [OP_SUB] = true,    [OP_MUL] = true, [OP_MAX] = true,
        [OP_MIN] = true,   [OP_NEG] = true,    [OP_ABS] = true, [OP_GREATER] = true,
        [OP_EQUAL] = true, [OP_SELECT] = true,
    };
    return CHEAP[op];
}

static int again(struct plan_builder *b, int step, int node, int *budget);

/* Whether a register that is not stored can be: it is one number a row, and its program may store
 * one more. */
static bool may_store(const struct plan_builder *b, int node)
{
    const struct plan_note *note = &b->notes[node];
    const struct plan_draft *draft = &b->drafts[note->step];
    int stored = draft->stored;
    for (int i = 0; i < b->effects.held_count; i++) {
        const struct plan_note *held = &b->notes[b->effects.held[i]];
        stored += held->step == note->step && held->uses == 0 ? 1 : 0;
    }
    return stored < PROGRAM_STORES_MAX &&
           !shape_equal(&plan_node(b, node)->shape, &draft->program->space);
}

/* A load of what some earlier step leaves in memory; a register that is stored has one use more. */
static int load(struct plan_builder *b, int step, const struct plan_view *view)
{
    const struct plan_note *note = &b->notes[view->base];
    struct plan_effects *effects = &b->effects;
    if (note->source != NONE) {
        if ((note->uses == 0 && !may_store(b, view->base)) ||
            effects->held_count == PROGRAM_LOADS_MAX) {
            return NONE;
        }
        effects->held[effects->held_count++] = view->base;
    }
    return plan_join_load(b->drafts[step].program, view);
}

static int operand(struct plan_builder *b, int step, int input, int *budget)
{
    const struct plan_view view = plan_resolve(b, input);
    const struct plan_note *note = &b->notes[view.base];
    bool direct = view.base == plan_through(b, input);
    if (plan_node(b, view.base)->op == OP_CONSTANT) {
        return plan_join_constant(b->drafts[step].program, plan_node(b, view.base)->attr.value);
    }
    const struct plan_operand self = {.view = view, .direct = direct};
    if (note->step == step && plan_join_is_register(b, &self)) {
        return note->source;
    }
    if (note->step >= step || (note->step == NONE && !plan_is_leaf(b, view.base))) {
        return NONE;
    }
    if (direct && !note->kept && note->source != NONE &&
        plan_class(b, view.base) == OP_CLASS_ELEMENTWISE) {
        int source = again(b, step, view.base, budget);
        if (source != NONE) {
            return source;
        }
    }
    return load(b, step, &view);
}

static int again(struct plan_builder *b, int step, int node, int *budget)
{
    const struct node *n = plan_node(b, node);
    int sources[NODE_INPUTS_MAX] = {0};
    if (!is_cheap(n->op) || --*budget < 0) {
        return NONE;
    }
    for (int i = 0; i < n->input_count; i++) {
        sources[i] = operand(b, step, n->input[i], budget);
        if (sources[i] == NONE) {
            return NONE;
        }
    }
    return plan_join_instruction(b->drafts[step].program, n->op, sources, n->input_count);
}

/* Loads from `first` on that read an element for each of the space. */
static int whole_loads(const struct program *program, int first)
{
    int count = 0;
    for (int i = first; i < program->load_count; i++) {
        bool whole = true;
        for (int d = 0; d < program->space.rank; d++) {
            whole = whole && (program->space.dim[d] == 1 || program->loads[i].stride[d] != 0);
        }
        count += whole ? 1 : 0;
    }
    return count;
}

int plan_again(struct plan_builder *b, int step, int node)
{
    struct program *program = b->drafts[step].program;
    const int loads = program->load_count;
    const int instructions = program->instruction_count;
    const int held = b->effects.held_count;
    int budget = AGAIN_MAX;
    int source = again(b, step, node, &budget);
    if (source == NONE || whole_loads(program, loads) > WHOLE_LOADS) {
        source = NONE;
        program->load_count = loads;
        program->instruction_count = instructions;
        b->effects.held_count = held;
    }
    return source;
}
