/* Adds nodes to programs: loads, constants and registers, within the limits of program.h. */
#include "model/plan/plan_build.h"

#include <string.h>

static bool same_load(const struct program_load *load, const struct plan_view *view)
{
    return load->value == view->base && load->offset == view->offset &&
           memcmp(load->stride, view->stride, sizeof load->stride) == 0;
}

static int append(struct program *program, const struct program_instruction *instruction)
{
    if (program->instruction_count == PROGRAM_INSTRUCTIONS_MAX) {
        return NONE;
    }
    program->instructions[program->instruction_count] = *instruction;
    return program->instruction_count++;
}

/* While a program grows, a load's `value` is the node that it reads. */
int plan_join_load(struct program *program, const struct plan_view *view)
{
    for (int i = 0; i < program->instruction_count; i++) {
        const struct program_instruction *instruction = &program->instructions[i];
        if (instruction->op == OP_INPUT && same_load(&program->loads[instruction->load], view)) {
            return i;
        }
    }
    if (program->load_count == PROGRAM_LOADS_MAX) {
        return NONE;
    }
    struct program_load *load = &program->loads[program->load_count];
    *load = (struct program_load){.value = view->base, .offset = view->offset};
    memcpy(load->stride, view->stride, sizeof load->stride);
    return append(program,
                  &(struct program_instruction){.op = OP_INPUT, .load = program->load_count++});
}

int plan_join_constant(struct program *program, double value)
{
    for (int i = 0; i < program->instruction_count; i++) {
        const struct program_instruction *instruction = &program->instructions[i];
        if (instruction->op == OP_CONSTANT &&
            memcmp(&instruction->value, &value, sizeof value) == 0) {
            return i;
        }
    }
    return append(program, &(struct program_instruction){.op = OP_CONSTANT, .value = value});
}

int plan_join_instruction(struct program *program, enum op_kind op, const int *sources, int count)
{
    struct program_instruction wanted = {.op = op};
    memcpy(wanted.source, sources, (size_t)count * sizeof *sources);
    for (int i = 0; i < program->instruction_count; i++) {
        const struct program_instruction *there = &program->instructions[i];
        if (there->op == op && memcmp(there->source, wanted.source, sizeof wanted.source) == 0) {
            return i;
        }
    }
    return append(program, &wanted);
}

/* A random or iota node whose shape is the space. */
static int generator_register(struct program *program, const struct node *node)
{
    struct program_instruction instruction = {.op = node->op, .axis = node->attr.axis};
    if (!shape_equal(&node->shape, &program->space)) {
        return NONE; /* one number a row: made in a program of its own */
    }
    if (node->op != OP_IOTA) {
        instruction.stream = node->attr.stream;
        instruction.by_row = node->attr.by_row;
        shape_strides(&node->shape, instruction.element_stride);
        if (node->attr.by_row) {
            instruction.element_stride[0] = 0;
            instruction.row_stride[0] = 1;
        }
    }
    return append(program, &instruction);
}

static bool is_generator(enum op_kind op)
{
    return op == OP_UNIFORM || op == OP_NORMAL || op == OP_IOTA;
}

bool plan_join_is_register(const struct plan_builder *b, const struct plan_operand *operand)
{
    const struct plan_note *note = &b->notes[operand->view.base];
    return note->step != NONE && note->source != NONE &&
           (operand->direct || plan_rows_repeat(b, b->drafts[note->step].program, operand));
}

int plan_join_register(struct plan_builder *b, int step, const struct plan_operand *operand)
{
    struct program *program = b->drafts[step].program;
    const struct node *node = plan_node(b, operand->view.base);
    struct plan_note *note = &b->notes[operand->view.base];
    if (node->op == OP_CONSTANT) {
        return plan_join_constant(program, node->attr.value);
    }
    if (note->step == step && plan_join_is_register(b, operand)) {
        return note->source;
    }
    if (operand->direct && note->step == NONE && is_generator(node->op)) {
        int source = generator_register(program, node);
        if (source != NONE) {
            note->step = step;
            note->source = source;
            b->drafts[step].stored++;
        }
        return source;
    }
    if (operand->direct && note->source != NONE && !note->kept &&
        plan_class(b, operand->view.base) == OP_CLASS_ELEMENTWISE) {
        int again = plan_again(b, step, operand->view.base);
        if (again != NONE) {
            b->effects.spared[b->effects.spared_count++] = operand->view.base;
            return again;
        }
    }
    return plan_join_load(program, &operand->view);
}

bool plan_join_shares(const struct plan_builder *b, int step, const struct plan_operand *operands,
                      int count)
{
    const struct program *program = b->drafts[step].program;
    for (int i = 0; i < count; i++) {
        for (int k = 0; k < program->load_count; k++) {
            if (same_load(&program->loads[k], &operands[i].view)) {
                return true;
            }
        }
    }
    return false;
}

/* One use from outside of its program more or less; the first and the last say whether it is
 * stored.  A view that nobody reads is no use of what it is a view of. */
static void add_uses(struct plan_builder *b, int node, int uses)
{
    struct plan_note *note = &b->notes[plan_through(b, node)];
    note->uses += uses;
    if (note->uses != (uses > 0 ? 1 : 0)) {
        return;
    }
    if (note->source != NONE) {
        b->drafts[note->step].stored += uses;
    } else if (note->step == NONE && plan_class(b, plan_through(b, node)) == OP_CLASS_VIEW) {
        add_uses(b, plan_node(b, plan_through(b, node))->input[0], uses);
    }
}

/* A register found by this node is one use less from outside; -1 takes, 1 gives back. */
static void take_registers(struct plan_builder *b, int step, const struct plan_operand *operands,
                           int count, int uses)
{
    for (int i = 0; i < count; i++) {
        if (b->notes[operands[i].view.base].step == step &&
            plan_join_is_register(b, &operands[i])) {
            add_uses(b, operands[i].node, uses);
        }
    }
}

/* Loaded once more: one use more.  Computed again: one less, maybe its last from outside. */
static void apply_effects(struct plan_builder *b)
{
    for (int i = 0; i < b->effects.held_count; i++) {
        add_uses(b, b->effects.held[i], 1);
    }
    for (int i = 0; i < b->effects.spared_count; i++) {
        add_uses(b, b->effects.spared[i], -1);
    }
}

static bool add_sum(struct plan_builder *b, int step, int node, int source)
{
    struct program *program = b->drafts[step].program;
    const struct node *n = plan_node(b, node);
    const struct shape *space = &plan_node(b, n->input[0])->shape;
    uint32_t axes = 0;
    for (int i = 0; i < space->rank; i++) {
        axes |= space->dim[i] > 1 ? n->attr.axes & 1u << i : 0;
    }
    if (program->sum_count == PROGRAM_STORES_MAX ||
        (program->sum_count > 0 && program->sum_axes != axes)) {
        return false;
    }
    program->sum_axes = axes;
    program->sums[program->sum_count++] = (struct program_output){
        .value = node, .source = source, .row = !shape_equal(space, &program->space)};
    return true;
}

static bool add_node(struct plan_builder *b, int step, int node, const int *sources, int count)
{
    struct program *program = b->drafts[step].program;
    struct plan_note *note = &b->notes[node];
    note->step = step;
    if (plan_is_reduction(b, node)) {
        const struct node *n = plan_node(b, node);
        bool whole = shape_equal(&plan_node(b, n->input[0])->shape, &program->space);
        if (!whole || !plan_rows_begin(program, n->attr.axes)) {
            return plan_class(b, node) == OP_CLASS_SUM && add_sum(b, step, node, sources[0]);
        }
        note->source = plan_join_instruction(program, n->op, sources, 1);
    } else if (plan_class(b, node) == OP_CLASS_ELEMENTWISE) {
        note->source = plan_join_instruction(program, plan_node(b, node)->op, sources, count);
    } else {
        note->source = sources[0]; /* a copy of a view or a constant, or a generator itself */
    }
    return note->source != NONE;
}

bool plan_join(struct plan_builder *b, int step, int node, const struct plan_operand *operands,
               int count)
{
    struct plan_draft *draft = &b->drafts[step];
    struct program *program = draft->program;
    int sources[NODE_INPUTS_MAX] = {0};
    struct plan_note saved[NODE_INPUTS_MAX];
    const struct plan_draft saved_draft = *draft;
    const struct plan_note saved_node = b->notes[node];
    const int loads = program->load_count;
    const int instructions = program->instruction_count;
    const int sums = program->sum_count;
    const uint32_t sum_axes = program->sum_axes;
    const uint32_t row_axes = program->row_axes;
    bool taken = false;
    bool fits = true;
    b->effects = (struct plan_effects){0};
    for (int i = 0; i < count; i++) {
        saved[i] = b->notes[operands[i].view.base];
    }
    for (int i = 0; i < count && fits; i++) {
        sources[i] = plan_join_register(b, step, &operands[i]);
        fits = sources[i] != NONE;
    }
    fits = fits && add_node(b, step, node, sources, count) && plan_rows_hold(program);
    if (fits) {
        if (b->notes[node].source != NONE && saved_node.step == NONE &&
            !is_generator(plan_node(b, node)->op)) {
            draft->stored++;
        }
        taken = operands[0].view.base != node;
        if (taken) {
            take_registers(b, step, operands, count, -1);
        }
        fits = draft->stored <= PROGRAM_STORES_MAX;
    }
    if (fits) {
        apply_effects(b);
    } else {
        if (taken) {
            take_registers(b, step, operands, count, 1);
        }
        for (int i = 0; i < count; i++) {
            b->notes[operands[i].view.base] = saved[i];
        }
        b->notes[node] = saved_node;
        *draft = saved_draft;
        program->load_count = loads;
        program->instruction_count = instructions;
        program->sum_count = sums;
        program->sum_axes = sum_axes;
        program->row_axes = row_axes;
    }
    return fits;
}
