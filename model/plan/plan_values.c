/* Turns drafts into steps: which tensors exist, who stores and who reads them. */
#include "model/plan/plan_build.h"

#include "base/mem.h"

static int add_value(struct plan_builder *b, const struct plan_value *value)
{
    if (b->value_count == b->value_capacity) {
        int capacity = b->value_capacity == 0 ? 128 : 2 * b->value_capacity;
        struct plan_value *values =
            cam_grow(b->values, (size_t)b->value_capacity, (size_t)capacity, sizeof *values);
        if (values == NULL) {
            b->no_memory = true;
            return 0;
        }
        b->values = values;
        b->value_capacity = capacity;
    }
    b->values[b->value_count] = *value;
    if (value->alias == NONE) {
        b->values[b->value_count].alias = b->value_count;
    }
    return b->value_count++;
}

static struct plan_value leaf_value(const struct plan_builder *b, const struct node *node)
{
    const struct plan_request *request = b->request;
    struct plan_value value = {.slot = node->attr.slot, .shape = node->shape, .alias = NONE};
    static const enum storage STORAGES[OP_COUNT] = {
        [OP_PARAMETER] = STORAGE_PARAMETER,
        [OP_BUFFER] = STORAGE_BUFFER,
        [OP_INPUT] = STORAGE_INPUT,
        [OP_SCALAR] = STORAGE_SCALAR,
    };
    value.storage = STORAGES[node->op];
    if (node->op == OP_PARAMETER && request->parameter_offsets != NULL) {
        value.offset = request->parameter_offsets[node->attr.slot];
    } else if (node->op == OP_BUFFER && request->buffer_offsets != NULL) {
        value.offset = request->buffer_offsets[node->attr.slot];
    } else if (node->op == OP_INPUT && node->attr.slot >= b->plan->input_count) {
        b->plan->input_count = node->attr.slot + 1;
    } else if (node->op == OP_SCALAR && node->attr.slot >= b->plan->scalar_count) {
        b->plan->scalar_count = node->attr.slot + 1;
    }
    return value;
}

/* The dense tensor of a node: a leaf, what a step made, or a reshape of one of these. */
static int value_of(struct plan_builder *b, int node)
{
    node = plan_through(b, node);
    const struct node *n = plan_node(b, node);
    struct plan_note *note = &b->notes[node];
    struct plan_value value = {.slot = NONE, .shape = n->shape, .alias = NONE};
    if (note->value != NONE || b->no_memory) {
        return note->value == NONE ? 0 : note->value;
    }
    if (plan_is_leaf(b, node)) {
        value = leaf_value(b, n);
    } else if (note->step == NONE) {
        int base = value_of(b, n->input[0]);
        value = b->values[base];
        value.shape = n->shape;
        value.alias = b->values[base].alias;
    } else if (note->output != NONE) {
        value.storage = STORAGE_OUTPUT;
        value.offset = b->request->outputs[note->output].offset;
    } else {
        value.storage = STORAGE_ACTIVATION;
    }
    note->value = add_value(b, &value);
    return note->value;
}

static int output_value(struct plan_builder *b, int output)
{
    const struct plan_output *wanted = &b->request->outputs[output];
    struct plan_value value = {.storage = STORAGE_OUTPUT, .slot = NONE, .alias = NONE};
    value.offset = wanted->offset;
    value.shape = plan_node(b, wanted->node)->shape;
    return add_value(b, &value);
}

/* A node whose register has uses outside of its program is stored; in the order of the graph.
 * Until plan_values has all of them, stores name nodes. */
static void add_stores(struct plan_builder *b)
{
    for (int n = 0; n < b->node_count; n++) {
        const struct plan_note *note = &b->notes[n];
        if (note->step == NONE || note->source == NONE || note->uses == 0) {
            continue;
        }
        struct program *program = b->drafts[note->step].program;
        program->stores[program->store_count++] =
            (struct program_output){.value = n,
                                    .source = note->source,
                                    .row = !shape_equal(&plan_node(b, n)->shape, &program->space)};
    }
    for (int i = 0; i < b->draft_count; i++) {
        struct program *program = b->drafts[i].program;
        if (program != NULL && b->drafts[i].output != NONE) {
            program->stores[program->store_count++] =
                (struct program_output){.value = NONE, .source = b->drafts[i].output_source};
        }
    }
}

static void mark_read(struct plan_builder *b, int node)
{
    node = plan_through(b, node);
    b->notes[node].read = true;
    if (plan_class(b, node) == OP_CLASS_VIEW && b->notes[node].step == NONE) {
        mark_read(b, plan_node(b, node)->input[0]);
    }
}

static int keep_read(const struct plan_builder *b, struct program_output *outputs, int count)
{
    int kept = 0;
    for (int i = 0; i < count; i++) {
        if (outputs[i].value == NONE || b->notes[outputs[i].value].read) {
            outputs[kept++] = outputs[i];
        }
    }
    return kept;
}

/* Last step first: what later steps do not read is neither stored nor computed. */
static void drop_unread(struct plan_builder *b)
{
    for (int i = 0; i < b->request->output_count; i++) {
        mark_read(b, b->request->outputs[i].node);
    }
    for (int i = b->draft_count - 1; i >= 0; i--) {
        const struct plan_draft *draft = &b->drafts[i];
        struct program *program = draft->program;
        if (program == NULL) {
            const struct node *node = plan_node(b, draft->node);
            for (int k = 0; k < node->input_count; k++) {
                mark_read(b, node->input[k]);
            }
            continue;
        }
        program->store_count = keep_read(b, program->stores, program->store_count);
        program->sum_count = keep_read(b, program->sums, program->sum_count);
        program->sum_axes = program->sum_count > 0 ? program->sum_axes : 0;
        plan_tidy(program);
        for (int k = 0; k < program->load_count; k++) {
            mark_read(b, program->loads[k].value);
        }
    }
}

/* From nodes to values. */
static void program_values(struct plan_builder *b, const struct plan_draft *draft)
{
    struct program *program = draft->program;
    for (int i = 0; i < program->load_count; i++) {
        program->loads[i].value = value_of(b, program->loads[i].value);
    }
    for (int i = 0; i < program->sum_count; i++) {
        program->sums[i].value = value_of(b, program->sums[i].value);
    }
    for (int i = 0; i < program->store_count; i++) {
        int node = program->stores[i].value;
        program->stores[i].value =
            node == NONE ? output_value(b, draft->output) : value_of(b, node);
    }
    plan_collapse(program);
}

/* A copy into the output block, where no program may be: a slice that is the whole. */
static void copy_step(struct plan_builder *b, const struct plan_draft *draft,
                      struct plan_step *step)
{
    step->op = OP_SLICE;
    step->attr = (struct op_attr){.shape = plan_node(b, draft->node)->shape};
    step->input_count = 1;
    step->input[0] = value_of(b, draft->output_source);
    step->output = output_value(b, draft->output);
}

static void operator_step(struct plan_builder *b, const struct plan_draft *draft,
                          struct plan_step *step)
{
    const struct node *node = plan_node(b, draft->node);
    const struct node *inputs[NODE_INPUTS_MAX] = {0};
    step->op = node->op;
    step->attr = node->attr;
    step->input_count = node->input_count;
    for (int i = 0; i < node->input_count; i++) {
        inputs[i] = plan_node(b, node->input[i]);
        step->input[i] = value_of(b, node->input[i]);
    }
    step->output = value_of(b, draft->node);
    const struct op *op = op_get(node->op);
    step->flops = op->flops != NULL ? op->flops(node, inputs) : 0;
    b->plan->flops += step->flops;
}

/* Programs all of whose nodes were computed again by their readers are gone. */
static int drop_empty(struct plan_step *steps, int count)
{
    int kept = 0;
    for (int i = 0; i < count; i++) {
        const struct program *program = steps[i].program;
        if (program == NULL || program->store_count + program->sum_count > 0) {
            steps[kept++] = steps[i];
        }
    }
    return kept;
}

void plan_values(struct plan_builder *b)
{
    struct plan_step *steps =
        cam_arena_alloc(b->plan->arena, (size_t)b->draft_count + 1, sizeof *steps);
    if (steps == NULL) {
        b->no_memory = true;
        return;
    }
    add_stores(b);
    drop_unread(b);
    for (int i = 0; i < b->draft_count && !b->no_memory; i++) {
        const struct plan_draft *draft = &b->drafts[i];
        steps[i].path = cam_arena_strdup(b->plan->arena, plan_node(b, draft->node)->path);
        b->no_memory = b->no_memory || steps[i].path == NULL;
        steps[i].kind = draft->program != NULL ? PLAN_PROGRAM : PLAN_OPERATOR;
        steps[i].program = draft->program;
        steps[i].output = NONE;
        if (draft->program != NULL) {
            program_values(b, draft);
        } else if (draft->output != NONE) {
            copy_step(b, draft, &steps[i]);
        } else {
            operator_step(b, draft, &steps[i]);
        }
    }
    b->plan->steps = steps;
    b->plan->step_count = drop_empty(steps, b->draft_count);
}
