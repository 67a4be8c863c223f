/*
 * Fusion: which step makes each node, and in which order.
 *
 * Products, copies, sums and outputs are placed in the order of the graph.  Other elementwise nodes
 * wait until something placed needs them, so that what only the backward pass reads is made there,
 * from values in memory, rather than stored by the forward pass.  A node joins the program that
 * holds its operands in registers, else one over the same space that loads what it loads, else it
 * starts a program.  What is cheap is computed again where that saves its store (plan_again.c).
 * Programs stop growing at the next operator step: what comes later would make values that wait in
 * memory.
 */
#include "model/plan/plan_build.h"

#include "base/mem.h"

/* Below this many elements a step costs more than the loads that programs could share. */
enum { SMALL_SPACE = 4096 };

int plan_draft_add(struct plan_builder *b, int node, const struct shape *space)
{
    if (b->draft_count == b->draft_capacity) {
        int capacity = b->draft_capacity == 0 ? 64 : 2 * b->draft_capacity;
        struct plan_draft *drafts =
            cam_grow(b->drafts, (size_t)b->draft_capacity, (size_t)capacity, sizeof *drafts);
        if (drafts == NULL) {
            b->no_memory = true;
            return NONE;
        }
        b->drafts = drafts;
        b->draft_capacity = capacity;
    }
    struct plan_draft draft = {.node = node, .output = NONE, .output_source = NONE};
    if (space != NULL) {
        draft.program = cam_arena_alloc(b->plan->arena, 1, sizeof *draft.program);
        if (draft.program == NULL) {
            b->no_memory = true;
            return NONE;
        }
        draft.program->space = *space;
    }
    b->drafts[b->draft_count] = draft;
    return b->draft_count++;
}

static void place(struct plan_builder *b, int node);

static bool is_made(const struct plan_builder *b, int node)
{
    return b->notes[node].step != NONE || plan_is_leaf(b, node);
}

/* Starts a program of the one node; cannot fail but for memory. */
static void start(struct plan_builder *b, int node, const struct shape *space,
                  const struct plan_operand *operands, int count)
{
    int step = plan_draft_add(b, node, space);
    if (step != NONE && !plan_join(b, step, node, operands, count)) {
        b->no_memory = true;
    }
}

/* Puts a view, a constant or a generator into memory as a dense tensor. */
static void place_copy(struct plan_builder *b, int node)
{
    const struct plan_operand operand = {.view = plan_resolve(b, node), .node = node};
    struct plan_operand self = operand;
    self.direct = operand.view.base == node;
    start(b, node, &plan_node(b, node)->shape, &self, 1);
}

struct plan_view plan_resolve(struct plan_builder *b, int node)
{
    node = plan_through(b, node);
    const struct node *n = plan_node(b, node);
    if (plan_class(b, node) != OP_CLASS_VIEW || b->notes[node].step != NONE) {
        return plan_view_dense(node, &n->shape);
    }
    struct plan_view view;
    struct plan_view inner = plan_resolve(b, n->input[0]);
    if (!plan_view_apply(n, &inner, &view)) {
        int input = plan_through(b, n->input[0]);
        place_copy(b, input);
        inner = plan_view_dense(input, &plan_node(b, input)->shape);
        (void)plan_view_apply(n, &inner, &view); /* any reshape of a dense tensor is a view */
    }
    for (int i = 0; i < view.shape.rank; i++) {
        view.stride[i] = view.shape.dim[i] == 1 ? 0 : view.stride[i];
    }
    return view;
}

/* Makes what a node is a view of; a generator read directly waits for its reader's program. */
static void prepare(struct plan_builder *b, int node, bool direct)
{
    node = plan_through(b, node);
    enum op_kind op = plan_node(b, node)->op;
    if (is_made(b, node) || op == OP_CONSTANT) {
        return;
    }
    if (plan_class(b, node) == OP_CLASS_VIEW) {
        prepare(b, plan_node(b, node)->input[0], false);
    } else if (plan_class(b, node) == OP_CLASS_ELEMENTWISE || plan_is_reduction(b, node)) {
        place(b, node);
    } else if (!direct) {
        place_copy(b, node);
    }
}

/* The first step that the node may be part of, and the program that holds its operands. */
static int first_step(const struct plan_builder *b, const struct plan_operand *operands, int count,
                      int *holder_out)
{
    int first = b->open_from;
    int holder = NONE;
    for (int i = 0; i < count; i++) {
        const struct plan_note *note = &b->notes[operands[i].view.base];
        if (note->step == NONE || plan_node(b, operands[i].view.base)->op == OP_CONSTANT) {
            continue;
        }
        if (plan_join_is_register(b, &operands[i])) {
            holder = note->step > holder ? note->step : holder;
        } else if (note->step >= first) {
            first = note->step + 1;
        }
    }
    *holder_out = holder >= first ? holder : NONE;
    return holder > first ? holder : first;
}

static void join_or_start(struct plan_builder *b, int node, const struct shape *space,
                          const struct plan_operand *operands, int count)
{
    int holder;
    int first = first_step(b, operands, count, &holder);
    if (holder != NONE && plan_rows_host(b->drafts[holder].program, space) &&
        plan_join(b, holder, node, operands, count)) {
        return;
    }
    bool small = shape_count(space) <= SMALL_SPACE;
    for (int step = first; step < b->draft_count; step++) {
        const struct program *program = b->drafts[step].program;
        if (program != NULL && step != holder && b->drafts[step].output == NONE &&
            shape_equal(&program->space, space) &&
            (small || plan_join_shares(b, step, operands, count)) &&
            plan_join(b, step, node, operands, count)) {
            return;
        }
    }
    start(b, node, space, operands, count);
}

/* Places an elementwise node or a reduction, after what it needs. */
static void place(struct plan_builder *b, int node)
{
    const struct node *n = plan_node(b, node);
    struct plan_operand operands[NODE_INPUTS_MAX];
    if (b->notes[node].step != NONE || b->no_memory) {
        return;
    }
    for (int i = 0; i < n->input_count; i++) {
        prepare(b, n->input[i], true);
    }
    for (int i = 0; i < n->input_count; i++) {
        operands[i].view = plan_resolve(b, n->input[i]);
        operands[i].node = plan_through(b, n->input[i]);
        operands[i].direct = operands[i].view.base == operands[i].node;
    }
    if (!b->no_memory) {
        join_or_start(b, node, &plan_node(b, n->input[0])->shape, operands, n->input_count);
    }
}

/* An operator's operand: in memory and dense. */
static void require_dense(struct plan_builder *b, int node)
{
    node = plan_through(b, node);
    prepare(b, node, false);
    if (!is_made(b, node) && !b->no_memory) {
        struct plan_view view = plan_resolve(b, node);
        if (plan_node(b, view.base)->op == OP_CONSTANT ||
            !plan_view_is_dense(&view, &plan_node(b, view.base)->shape)) {
            place_copy(b, node);
        }
    }
}

static void place_operator(struct plan_builder *b, int node)
{
    const struct node *n = plan_node(b, node);
    for (int i = 0; i < n->input_count; i++) {
        require_dense(b, n->input[i]);
    }
    b->notes[node].step = plan_draft_add(b, node, NULL);
    b->open_from = b->draft_count;
}

/* In place where the node is made by a step and nobody else claimed it, else by a copy. */
static void place_output(struct plan_builder *b, int index)
{
    int node = plan_through(b, b->request->outputs[index].node);
    prepare(b, node, false);
    if (b->no_memory) {
        return;
    }
    struct plan_operand operand = {.view = plan_resolve(b, node), .node = node};
    struct plan_note *note = &b->notes[operand.view.base];
    if (note->step != NONE && note->output == NONE &&
        plan_view_is_dense(&operand.view, &plan_node(b, operand.view.base)->shape)) {
        note->output = index;
        return;
    }
    int step = plan_draft_add(b, node, &plan_node(b, node)->shape);
    if (step != NONE) {
        b->drafts[step].output = index;
        b->drafts[step].output_source = plan_join_register(b, step, &operand);
        b->drafts[step].stored = PROGRAM_STORES_MAX; /* nothing joins a copy */
    }
}

void plan_fuse(struct plan_builder *b)
{
    for (int n = 0; n < b->node_count && !b->no_memory; n++) {
        if (!b->notes[n].reached || plan_through(b, n) != n) {
            continue;
        }
        enum op_class class = plan_class(b, n);
        bool output = class == OP_CLASS_ELEMENTWISE && b->notes[n].wanted;
        if (plan_is_reduction(b, n) || output) {
            place(b, n);
        } else if (class == OP_CLASS_PRODUCT || class == OP_CLASS_MOVE ||
                   class == OP_CLASS_CHOICE || class == OP_CLASS_MACRO) {
            place_operator(b, n);
        }
    }
    for (int i = 0; i < b->request->output_count && !b->no_memory; i++) {
        place_output(b, i);
    }
}
